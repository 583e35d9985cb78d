//! The workloads, and running one.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use overcoat::packages::apt::{self, Configuration};
use overcoat_sandbox::{Overlay, ProgramStatus, Spec};

use crate::Mode;
use crate::measured::Failure;
use crate::prepare::{PackageSet, Store};

/// Something to measure.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Install(PackageSet),
    Compile,
}

const DAEMONS: PackageSet = PackageSet {
    name: "daemons",
    packages: &[
        "openssh-server",
        "dbus",
        "cron",
        "man-db",
        "polkitd",
        "sudo",
    ],
};

const COMPILER: PackageSet = PackageSet {
    name: "compiler",
    packages: &["gcc", "make", "libc6-dev"],
};

static WORKLOADS: [Workload; 3] = [
    Workload {
        name: "install",
        kind: Kind::Install(DAEMONS),
    },
    Workload {
        name: "install-compiler",
        kind: Kind::Install(COMPILER),
    },
    Workload {
        name: "compile",
        kind: Kind::Compile,
    },
];

impl Workload {
    pub(crate) fn all() -> &'static [Self] {
        &WORKLOADS
    }

    /// Makes what all rounds share.
    pub(crate) fn prepare(&self, store: &Store, mode: Mode) -> Result<(), Failure> {
        self.spec(store, mode).map(drop)
    }

    /// Returns the sandbox of one round, on an empty upper directory.
    pub(crate) fn spec(&self, store: &Store, mode: Mode) -> Result<Spec, Failure> {
        match self.kind {
            Kind::Install(set) => {
                let lowers = store.tree(mode, crate::prepare::BASE)?;
                store.packages(set)?;
                store.install(mode, &lowers, &store.fresh("upper")?, set)
            }
            Kind::Compile => {
                let overlay = Overlay {
                    lowers: store.tree(mode, COMPILER)?,
                    upper: Some(store.fresh("upper")?),
                    work: Some(store.fresh("work")?),
                };
                Ok(mode.apply(compile(&overlay, &store.sources()?)))
            }
        }
    }
}

/// Runs a sandbox to its end.
pub(crate) fn run(spec: &Spec) -> Result<(), Failure> {
    let mut running = spec.spawn()?;
    let errors = running.take_stderr();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        errors.map(|mut errors| errors.read_to_string(&mut text));
        text
    });
    let outcome = running.wait()?;
    let errors = reader.join().unwrap_or_default();
    match outcome.status {
        ProgramStatus::Exited(0) => Ok(()),
        status => Err(format!("{:?}: {status:?}\n{errors}", spec.arguments()).into()),
    }
}

/// Unpacks packages into an empty directory, so that there is a shell to run maintainer scripts with.
pub(crate) fn unpack(tree: &Path, archives: &Path, names: &[String]) -> Spec {
    const SCRIPT: &str = "set -e; cd \"$1\"; shift
        mkdir -p var/lib/dpkg var/lib/apt; : > var/lib/dpkg/status; : > var/lib/dpkg/available
        for link in bin sbin lib lib64; do mkdir -p usr/$link; ln -s usr/$link $link; done
        for package; do
            dpkg-deb --fsys-tarfile \"$package\" | tar --extract --keep-directory-symlink --no-same-owner
        done";
    let mut command: Vec<String> = ["/bin/sh", "-c", SCRIPT, "unpack", apt::ROOT]
        .map(str::to_owned)
        .into();
    command.extend(names.iter().map(|name| inside_archives(name)));
    host_programs(command)
        .bind_read_only(archives, apt::ARCHIVES)
        .bind(tree, apt::ROOT)
}

/// Installs packages as a build does.
pub(crate) fn install(overlay: &Overlay, archives: &Path, names: &[String]) -> Spec {
    let configuration = apt::configuration(&Configuration {
        check_validity: true,
        architecture: match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        },
        with_recommends: false,
        with_docs: true,
        check_signatures: false,
    });
    let packages: Vec<String> = names.iter().map(|name| inside_archives(name)).collect();
    let mut arguments = vec!["--no-download", "install", "--"];
    arguments.extend(packages.iter().map(String::as_str));
    let spec = host_programs(apt::command(&arguments))
        .file(apt::CONFIGURATION_FILE, configuration)
        .tmpfs(apt::LISTS, 0o755)
        .bind_read_only(archives, apt::ARCHIVES)
        .environment("APT_CONFIG", apt::CONFIGURATION_FILE)
        .environment("SOURCE_DATE_EPOCH", "1700000000");
    in_tree(spec, overlay)
}

/// Configures and makes a program in a system of its own.
fn compile(overlay: &Overlay, sources: &Path) -> Spec {
    const SCRIPT: &str = "set -e; mkdir /tmp/program; cd /tmp/program
        tar --extract --file=/sources.tar.gz --strip-components=1 --no-same-owner
        ./configure && make";
    let command = ["/usr/sbin/chroot", apt::ROOT, "/bin/sh", "-c", SCRIPT];
    let spec = host_programs(command.map(str::to_owned).into());
    in_tree(spec, overlay)
        .bind_read_only(sources, inside("sources.tar.gz"))
        .environment("FORCE_UNSAFE_CONFIGURE", "1")
}

fn in_tree(spec: Spec, overlay: &Overlay) -> Spec {
    spec.overlay(apt::ROOT, overlay)
        .proc(inside("proc"))
        .devices(inside("dev"))
        .tmpfs(inside("run"), 0o755)
        .tmpfs(inside("tmp"), 0o1777)
        .suppress_sync()
}

fn inside(path: &str) -> PathBuf {
    Path::new(apt::ROOT).join(path)
}

fn inside_archives(name: &str) -> String {
    format!("{}/{name}", apt::ARCHIVES)
}

/// Returns a sandbox that runs a command with the host's programs.
fn host_programs(command: Vec<String>) -> Spec {
    let mut spec = Spec::new(command)
        .bind_read_only("/usr", "/usr")
        .file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        )
        .file("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        .file("/etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        .directory("/etc/apt/apt.conf.d")
        .directory("/etc/apt/preferences.d")
        .directory("/etc/apt/trusted.gpg.d")
        .directory("/etc/dpkg/dpkg.cfg.d")
        .tmpfs("/tmp", 0o1777)
        .tmpfs("/var", 0o755)
        .tmpfs("/run", 0o755)
        .proc("/proc")
        .devices("/dev");
    for link in ["bin", "sbin", "lib", "lib64"] {
        spec = spec.symlink(format!("usr/{link}"), Path::new("/").join(link));
    }
    for path in ["/etc/alternatives", "/etc/ld.so.cache"].map(Path::new) {
        if path.exists() {
            spec = spec.bind_read_only(path, path);
        }
    }
    [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DEBCONF_NOWARNINGS", "yes"),
        ("SYSTEMD_IN_CHROOT", "1"),
    ]
    .into_iter()
    .fold(spec, |spec, (name, value)| spec.environment(name, value))
}
