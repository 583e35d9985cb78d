//! The sandbox in which the host's package manager works on an image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use overcoat_sandbox::{Network, Spec};

use crate::packages::apt;

/// What a package manager's sandbox holds besides the host's programs.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// apt's configuration file.
    pub(super) configuration: String,
    /// The list of repositories.
    pub(super) sources: String,
    /// The directory with the repositories' metadata, on the host.
    pub(super) lists: PathBuf,
    /// The directory with downloaded packages, on the host.
    pub(super) archives: PathBuf,
}

/// Whether a directory that a step gets may be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

/// How long one step may take: a package that waits for input must not hold a build for ever.
const STEP_LIMIT: Duration = Duration::from_secs(60 * 60);

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
/// Top-level directories of programs and libraries, which are links into `/usr` on merged systems.
const TOP_LEVEL: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];

impl Tools {
    /// Returns a sandbox without network that runs `command` with the host's programs and this configuration.
    ///
    /// The image's tree is not in it yet: the caller adds it at [`apt::ROOT`].
    pub(super) fn spec(&self, command: Vec<String>, lists: Access, archives: Access) -> Spec {
        let spec = host_programs(Spec::new(command))
            .file("/etc/passwd", PASSWD)
            .file("/etc/group", GROUP)
            .file("/etc/nsswitch.conf", NSSWITCH)
            .file("/etc/hosts", HOSTS)
            .file(apt::CONFIGURATION_FILE, self.configuration.as_str())
            .file(apt::SOURCES_FILE, self.sources.as_str())
            .directory("/etc/apt/apt.conf.d")
            .directory("/etc/apt/preferences.d")
            .directory("/etc/apt/trusted.gpg.d")
            .directory("/etc/dpkg/dpkg.cfg.d")
            .tmpfs("/tmp", 0o1777)
            .tmpfs("/var", 0o755)
            .tmpfs("/run", 0o755)
            .proc("/proc")
            .devices("/dev")
            .environment("APT_CONFIG", apt::CONFIGURATION_FILE)
            .hostname("overcoat")
            .wall_clock_limit(STEP_LIMIT);
        let spec = bind(spec, &self.lists, apt::LISTS, lists);
        bind(spec, &self.archives, apt::ARCHIVES, archives)
    }
}

fn bind(spec: Spec, host: &Path, inside: &str, access: Access) -> Spec {
    match access {
        Access::Read => spec.bind_read_only(host, inside),
        Access::Write => spec.bind(host, inside),
    }
}

/// Adds the host's `/usr` and what its programs need to start, and an environment that is the same everywhere.
fn host_programs(mut spec: Spec) -> Spec {
    spec = spec.bind_read_only("/usr", "/usr");
    // What an administrator keeps there is not a distribution's, and a build by root could read all of it.
    for local in ["/usr/local", "/usr/src"] {
        if Path::new(local).is_dir() {
            spec = spec.tmpfs(local, 0o755);
        }
    }
    for name in TOP_LEVEL {
        let path = Path::new("/").join(name);
        match fs_err::read_link(&path) {
            Ok(target) => spec = spec.symlink(target, &path),
            Err(_) if path.is_dir() => spec = spec.bind_read_only(&path, &path),
            Err(_) => {}
        }
    }
    for path in ["/etc/alternatives", "/etc/ld.so.cache"].map(Path::new) {
        if path.exists() {
            spec = spec.bind_read_only(path, path);
        }
    }
    let environment = [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DEBCONF_NOWARNINGS", "yes"),
        // Initrds and boot loader entries are not made by maintainer scripts, and no service manager is there.
        ("INITRD", "No"),
        ("KERNEL_INSTALL_BYPASS", "1"),
        ("SYSTEMD_IN_CHROOT", "1"),
    ];
    environment
        .into_iter()
        .fold(spec, |spec, (name, value)| spec.environment(name, value))
}

/// Gives the sandbox the host's network, with what resolving names and checking certificates needs.
pub(super) fn with_network(mut spec: Spec) -> Spec {
    // resolv.conf is often a link into /run, which is not there: the file behind it is bound.
    for path in ["/etc/resolv.conf", "/etc/ssl/certs"].map(Path::new) {
        if let Ok(found) = fs_err::canonicalize(path) {
            spec = spec.bind_read_only(found, path);
        }
    }
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Some(value) = std::env::var_os(name).and_then(|value| value.into_string().ok()) {
            spec = spec.environment(name, value);
        }
    }
    spec.network(Network::Host)
}
