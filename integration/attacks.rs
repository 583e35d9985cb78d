//! A hostile recipe and package against the whole program: what it could do to the machine that builds it.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::interruption::fixture::{Fixture, Stage};
use crate::interruption::traces::{Files, assert_nothing_lasts, files};
use crate::repository::Repository;
use crate::require;

const SECRET: &str = "the-callers-secret-77a9e4";

/// Variables that hold secrets where builds run.
const SECRET_VARIABLES: [&str; 14] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_CACHE_URL",
    "CI_JOB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "NPM_TOKEN",
    "CARGO_REGISTRY_TOKEN",
    "GNUPGHOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
];

/// Files of a home directory that hold secrets, and such beside the recipe.
const SECRET_FILES: [&str; 6] = [
    ".ssh/id_ed25519",
    ".netrc",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".aws/credentials",
    ".gnupg/private-keys-v1.d/key",
];

/// Writes down everything that can be read, but for what is the machine's or the image's own.
const SEARCH: &str = r#"#!/bin/sh
mkdir -p /usr/lib/found
exec perl -e '
    open my $report, ">", "/usr/lib/found/report" or die;
    print $report "$_=$ENV{$_}\n" for sort keys %ENV;
    sub names { opendir my $handle, shift or return; grep !/^\.\.?$/, readdir $handle }
    my @files = ("/proc/self/mountinfo", "/proc/keys", "/proc/1/root$ENV{HOME}/.netrc");
    push @files, "/proc/$_/environ", "/proc/$_/cmdline", "/proc/$_/task/$_/environ" for grep /^\d+$/, names "/proc";
    for my $file (@files) {
        open my $source, "<", $file or next;
        local $/;
        print {$report} scalar(<$source>), "\n";
    }
    my @waiting = ("");
    while (defined(my $directory = shift @waiting)) {
        next if $directory =~ m{^/(proc|usr/lib/found|sys)$};
        for my $name (names "$directory/") {
            my $path = "$directory/$name";
            print $report "socket $path\n" if -S $path;
            if (-d $path && ! -l $path) { push @waiting, $path; }
            elsif (-f $path && -s $path < 100000) {
                open my $source, "<", $path or next;
                local $/;
                my $text = <$source>;
                print $report "secret $path\n" if defined $text && $text =~ /callers-secre[t]/;
            }
        }
    }
    print $report "searched\n";
'
"#;

#[test]
fn secrets_of_the_caller_reach_no_package() {
    let fixture = require!(Fixture::of(|dpkg_deb| Repository::of(
        dpkg_deb,
        "hostile",
        Some(SEARCH)
    )));
    let home = fixture.world.home();
    for name in SECRET_FILES {
        let path = home.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, SECRET).unwrap();
    }
    for name in ["mkosi.key", "mkosi.crt", "token", ".env", ".git/config"] {
        fixture.world.write(name, SECRET);
        // A key that others may open is refused already.
        let private = PermissionsExt::from_mode(0o600);
        fs_err::set_permissions(fixture.world.path(name), private).unwrap();
    }
    let agent = home.join("agent");
    let listener = UnixListener::bind(&agent).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut command = fixture.command();
    for name in SECRET_VARIABLES {
        command.env(name, SECRET);
    }
    command
        .env("SSH_AUTH_SOCK", &agent)
        .env("http_proxy", format!("http://user:{SECRET}@127.0.0.1:1"))
        .env("no_proxy", "127.0.0.1");
    let built = fixture.world.finish(command);
    assert_eq!(built.status, Some(0), "{}", built.stderr);
    let report = fixture
        .world
        .path("mkosi.output/extension/usr/lib/found/report");
    let report = String::from_utf8_lossy(&fs_err::read(report).unwrap()).into_owned();
    assert!(report.ends_with("searched\n"), "{report}");
    for absent in [SECRET, "secret /", "socket /", "SSH_AUTH_SOCK", "GITHUB"] {
        assert!(!report.contains(absent), "`{absent}` in {report}");
    }
    assert!(
        report.contains("DEBIAN_FRONTEND=noninteractive\n"),
        "{report}"
    );
    let connected = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(connected, Err(std::io::ErrorKind::WouldBlock));
    // Nor do they lie in what a build keeps.
    assert_holds_no_secret(&fixture.store());
    assert_holds_no_secret(&fixture.world.path("mkosi.output"));
    assert!(!built.stderr.contains(SECRET) && !built.stdout.contains(SECRET));
}

fn assert_holds_no_secret(directory: &Path) {
    for path in files(directory).into_keys() {
        if fs_err::symlink_metadata(&path).unwrap().is_file() {
            let bytes = fs_err::read(&path).unwrap();
            let found = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

/// Leaves links that lead to `@VICTIM@` wherever somebody could follow them, and directories that are hard to remove.
const LINKS: &str = r#"#!/bin/sh
cd /usr/lib
mkdir -p links/below && cd links
ln -s @VICTIM@ directory
ln -s @VICTIM@/file file
ln -s ../../../../../../../../../../../../../../..@VICTIM@ up
ln -s @VICTIM@ below/directory
ln -s / root
ln -s /proc/self/root magic
ln -s /proc/1/cwd init
ln -s links loop
: >replaced && ln -sf @VICTIM@ replaced
echo x >one && ln one two
mkdir sticky && chmod 1777 sticky && chmod 777 .
if [ -e /fail ] || [ -e /hang ]; then mkdir shut && ln -s @VICTIM@ shut/link && chmod 0 shut; fi
echo "links are planted"
if [ -e /hang ]; then sleep 600; fi
if [ -e /fail ]; then exit 7; fi
"#;

fn links() -> Result<(Fixture, Files), String> {
    // The victim is known only when the fixture has its world, which the package is made for.
    let victim = tempfile::Builder::new()
        .prefix("victim-")
        .tempdir_in(crate::harness::directory())
        .unwrap()
        .keep();
    fs_err::write(victim.join("file"), SECRET).unwrap();
    fs_err::create_dir(victim.join("below")).unwrap();
    fs_err::write(victim.join("below/file"), SECRET).unwrap();
    let script = LINKS.replace("@VICTIM@", victim.to_str().unwrap());
    let fixture = Fixture::of(|dpkg_deb| Repository::of(dpkg_deb, "hostile", Some(&script)))?;
    Ok((fixture, files(&victim)))
}

fn assert_untouched(before: &Files) {
    let file = before.keys().find(|path| path.ends_with("below/file"));
    let victim = file.unwrap().parent().unwrap().parent().unwrap();
    assert_eq!(files(victim), *before);
}

#[test]
fn cleaning_up_follows_no_link() {
    let (fixture, victim) = require!(links());
    fixture.tell("fail");
    let failed = fixture.world.finish(fixture.command());
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("links are planted"),
        "{}",
        failed.stderr
    );
    assert_untouched(&victim);
    fixture.assert_nothing_is_staged();
    fs_err::remove_file(fixture.world.path("base/fail")).unwrap();

    // What a killed build leaves is removed by the next one, and by `clean`.
    for clean in [false, true] {
        fixture.forget();
        fixture.tell("hang");
        let mut running = crate::interruption::fixture::Running::start(fixture.command());
        running.wait_for("links are planted");
        kill(running.pid(), Signal::SIGKILL).unwrap();
        fixture.end(running);
        assert_nothing_lasts(&fixture.world);
        if clean {
            let cleaned = fixture.world.run(&["clean"]);
            assert_eq!(cleaned.status, Some(0), "{}", cleaned.stderr);
        } else {
            fixture.build();
        }
        fixture.assert_nothing_is_staged();
        assert_untouched(&victim);
    }
    fixture.build();
    for arguments in [&["clean"][..], &["clean", "-f"], &["clean", "-ff"]] {
        let cleaned = fixture.world.run(arguments);
        assert_eq!(cleaned.status, Some(0), "{}", cleaned.stderr);
        assert_untouched(&victim);
    }
    assert!(!fixture.world.path("mkosi.output/extension").exists());
}

#[test]
fn outputs_are_written_through_no_link() {
    let (fixture, victim) = require!(links());
    let release = fixture.world.path("base/usr/lib/os-release");
    fs_err::write(release, "ID=debian\nVERSION_ID=12\n").unwrap();
    // Trees that are added put files where the package has links.
    for name in [
        "directory/made",
        "below/directory/made",
        "up/made",
        "init/made",
    ] {
        fixture
            .world
            .write(&format!("more/usr/lib/links/{name}"), "made");
    }
    for format in ["directory", "cpio", "sysext", "disk"] {
        for more in [&[][..], &["--extra-tree=more"]] {
            let mut command = fixture.command();
            command.arg(format!("--format={format}")).args(more);
            let built = fixture.world.finish(command);
            // Adding below a link that leads out may be refused.
            let ends = [Some(0), Some(1)];
            assert!(ends.contains(&built.status), "{}", built.stderr);
            assert!(
                built.status == Some(0) || !more.is_empty(),
                "{}",
                built.stderr
            );
            assert_untouched(&victim);
            fixture.assert_nothing_is_staged();
        }
    }
    assert_holds_no_secret(&fixture.world.path("mkosi.output"));
    assert_holds_no_secret(&fixture.store());
}

/// A process that goes on writing to what is a layer of the store by then, as long as it lives.
const LATE: &str = "#!/bin/sh
exec 3>/usr/lib/late
echo early >&3
(setsid sh -c 'while :; do echo late >&3; done' <&- >&- 2>&- &)
";

#[test]
fn a_finished_layer_is_changed_by_nobody() {
    let fixture = require!(Fixture::of(|dpkg_deb| Repository::of(
        dpkg_deb,
        "hostile",
        Some(LATE)
    )));
    fixture.build();
    assert_nothing_lasts(&fixture.world);
    let layers = files(&fixture.store().join("layers"));
    let layer = layers.keys().find(|path| path.ends_with("usr/lib/late"));
    let layer = fs_err::read(layer.unwrap()).unwrap();
    assert!(layer.starts_with(b"early\n"));
    let output = fixture.world.path("mkosi.output/extension/usr/lib/late");
    assert!(layer == fs_err::read(output).unwrap());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(files(&fixture.store().join("layers")), layers);
}

/// Calls by number and writes that must fail within a maintainer script, and twins that must not.
const CALLS: &str = r#"#!/bin/sh
mkdir -p /usr/lib/calls
exec perl -e '
    open my $report, ">", "/usr/lib/calls/report" or die;
    my @calls = (["tiocsti", 16, 0, 0x5412, "x"], ["tiocsti high", 16, 0, 0x5412 + (1 << 32), "x"],
        ["tioclinux", 16, 0, 0x541c, "\3"], ["add_key", 248, "user", "x", "y", 1, -3], ["keyctl", 250, 1, 0],
        ["request_key", 249, "user", "x", 0, 0], ["unshare", 272, 0x10000000], ["clone", 56, 0x10000011, 0, 0, 0, 0],
        ["clone3", 435, 0, 0], ["setns", 308, 0, 0], ["mount", 165, 0, "/", 0, 0x1000, 0], ["fsopen", 430, "tmpfs", 0],
        ["move_mount", 429, 0, "", -100, "/mnt", 0], ["open_by_handle_at", 304, -100, "x" x 32, 0],
        ["bpf", 321, 0, 0, 0], ["io_uring_setup", 425, 1, 0], ["userfaultfd", 323, 1], ["attach", 101, 16, 1, 0, 0],
        ["kill", 62, 1, 9], ["syslog", 103, 3, "x" x 8, 8], ["reboot", 169, 0, 0, 0, 0], ["swapon", 167, "/x", 0],
        ["settime", 227, 0, pack "qq", 1, 0], ["nice", 141, 0, 0, -20], ["x32 ioctl", 0x40000000 + 514, 0, 0x5412, "x"],
        ["getpid", 39], ["unshare files", 272, 0x400]);
    for my $call (@calls) {
        my ($name, $number, @arguments) = @$call;
        next if $name eq "kill" && !kill(0, 1);
        print $report "$name\n" if syscall($number, @arguments) >= 0;
    }
    for my $path ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/fs/binfmt_misc/register",
                  "/proc/sys/kernel/modprobe", "/proc/1/mem", "/proc/1/oom_score_adj", "/proc/1/exe", "/dev/kmsg",
                  "/dev/mem", "/dev/sda", "/dev/vda", "/sys/kernel/uevent_helper", "/proc/self/exe",
                  "/proc/sys/kernel/hostname", "/proc/self/uid_map", "/proc/self/setgroups", "/dev/null") {
        next unless -e $path;
        open my $file, "+<", $path or open $file, ">", $path or next;
        print $report "$path\n" if defined syswrite $file, "x";
    }
    print $report "done\n";
'
"#;

#[test]
fn calls_of_a_package_reach_nothing() {
    make_calls(&[]);
}

mod range {
    #[test]
    fn calls_of_a_package_reach_nothing() {
        if crate::require::has_range() {
            super::make_calls(&["--userns=range"]);
        }
    }
}

fn make_calls(options: &'static [&'static str]) {
    if !cfg!(target_arch = "x86_64") {
        return require::say_skipped("the calls have the numbers of x86-64");
    }
    let package = |script: &'static str| {
        Fixture::of(|dpkg_deb| Repository::of(dpkg_deb, "hostile", Some(script)))
    };
    let mut fixture = require!(package(CALLS));
    fixture.options = options;
    fixture.build();
    let report = fixture
        .world
        .path("mkosi.output/extension/usr/lib/calls/report");
    assert_eq!(
        fs_err::read_to_string(report).unwrap(),
        "getpid\nunshare files\n/dev/null\ndone\n"
    );
    assert_nothing_lasts(&fixture.world);
}

/// What a build could have changed to be able to run, and did not.
#[test]
fn the_host_is_as_it_was() {
    let fixture = require!(Fixture::new());
    let before = host();
    fixture.build();
    fixture.tell("fail");
    fixture.forget();
    assert_eq!(fixture.world.finish(fixture.command()).status, Some(1));
    fixture.start_and_kill(Stage::Install);
    assert_eq!(host(), before);
}

/// Describes switches of the kernel, devices, mounts, confinement and subordinate ids of the host.
#[expect(
    clippy::disallowed_methods,
    reason = "much of it may be read by root only, and processes come and go"
)]
fn host() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = [
        "kernel",
        "user",
        "vm",
        "fs/protected_hardlinks",
        "fs/protected_symlinks",
        "fs/suid_dumpable",
    ]
    .map(|name| Path::new("/proc/sys").join(name))
    .to_vec();
    // They count, and name the last process.
    let counts = [
        "random",
        "ns_last_pid",
        "pty",
        "sched_domain",
        "stat_refresh",
    ];
    while let Some(path) = waiting.pop() {
        if counts.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        match std::fs::read_dir(&path) {
            Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => {
                let value = std::fs::read_to_string(&path).unwrap_or_default();
                found.insert(path.display().to_string(), value);
            }
        }
    }
    for path in [
        "/etc/subuid",
        "/etc/subgid",
        "/proc/mounts",
        "/proc/modules",
        "/sys/kernel/security/apparmor/profiles",
    ] {
        let value = std::fs::read_to_string(path).unwrap_or_default();
        // Of modules and mounts, how often they are used and which were added by others is no matter.
        let names: Vec<&str> = value
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let value = if path == "/proc/modules" {
            names.join("\n")
        } else {
            value
        };
        found.insert(path.to_owned(), value);
    }
    for path in [
        "/dev/kvm",
        "/dev/fuse",
        "/dev/loop-control",
        "/dev/null",
        "/dev/net/tun",
        "/tmp",
        "/var/tmp",
        "/etc",
        "/usr",
        "/",
    ] {
        if let Ok(metadata) = std::fs::metadata(path) {
            let value = format!(
                "{:o} {}:{}",
                metadata.permissions().mode(),
                metadata.uid(),
                metadata.gid()
            );
            found.insert(path.to_owned(), value);
        }
    }
    found
}
