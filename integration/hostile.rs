//! A package whose maintainer script tries to get out, to read what is the caller's, and to talk to anyone.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};

use crate::harness::World;
use crate::repository::Repository;
use crate::require::{self, tool};
use crate::tutorial;

/// What neither the build's trees nor its outputs may contain.
const SECRET: &str = "the-callers-secret-5e0f2b";

/// A line `name=yes` for each attempt that succeeded and `name=no` for each that did not, in `/usr/lib/hostile`.
const POSTINST: &str = r#"#!/bin/sh
mkdir -p /usr/lib/hostile
cd /usr/lib/hostile || exit 1
try() {
    name=$1
    shift
    if "$@" >>"output-of-$name" 2>&1; then echo "$name=yes"; else echo "$name=no"; fi >>report
}
connect() { perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 3) or exit 1' "$1"; }
try write-own-tree touch /usr/lib/hostile/own
try connect-internet connect 1.1.1.1:53
try connect-host-loopback connect 127.0.0.1:@PORT@
try read-home cat "@HOME@/secret"
try read-recipe cat "@WORK@/mkosi.conf"
try read-through-init cat "/proc/1/root@HOME@/secret"
try write-home touch "@HOME@/escaped"
try write-output touch "@WORK@/mkosi.output/escaped"
try signal-host-process kill -9 @PID@
try read-raw-disk sh -c 'mknod disk b 8 0 && test "$(head -c 512 disk | wc -c)" -gt 0'
try set-host-name sh -c 'echo hostile > /proc/sys/kernel/hostname'
try mount-proc mount -t proc proc /mnt
ls -A /home >homes 2>&1
cat /etc/machine-id >machine-id 2>/dev/null
env >environment
cat /proc/*/environ >>environment 2>/dev/null
cat /proc/*/cmdline >commands 2>/dev/null
exit 0
"#;

struct Victim(Child);

impl Victim {
    fn start() -> Self {
        Self(Command::new("/bin/sleep").arg("3600").spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn maintainer_script_gets_nowhere() {
    require!(require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    let world = World::new();
    fs_err::write(world.home().join("secret"), SECRET).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut victim = Victim::start();

    let script = POSTINST
        .replace("@PORT@", &listener.local_addr().unwrap().port().to_string())
        .replace("@HOME@", world.home().to_str().unwrap())
        .replace(
            "@WORK@",
            world.path("").to_str().unwrap().trim_end_matches('/'),
        )
        .replace("@PID@", &victim.0.id().to_string());
    let repository = Repository::of(&dpkg_deb, "hostile", Some(&script));
    write_extension(&world, &repository, "hostile");
    let mut command = world.command(&["-f", "--debug"]);
    command.env("OVERCOAT_TEST_SECRET", SECRET);
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);

    let findings = world.path("mkosi.output/extension/usr/lib/hostile");
    assert_eq!(
        fs_err::read_to_string(findings.join("report")).unwrap(),
        "write-own-tree=yes\n\
         connect-internet=no\n\
         connect-host-loopback=no\n\
         read-home=no\n\
         read-recipe=no\n\
         read-through-init=no\n\
         write-home=no\n\
         write-output=no\n\
         signal-host-process=no\n\
         read-raw-disk=no\n\
         set-host-name=no\n\
         mount-proc=no\n"
    );
    assert_eq!(fs_err::read_to_string(findings.join("homes")).unwrap(), "");
    for finding in fs_err::read_dir(&findings).unwrap() {
        let path = finding.unwrap().path();
        // The attempt at the raw disk may have left its recorded device node.
        if path.is_file() {
            let text = String::from_utf8_lossy(&fs_err::read(&path).unwrap()).into_owned();
            assert!(!text.contains(SECRET), "{}: {text}", path.display());
        }
    }
    let own_machine = fs_err::read_to_string("/etc/machine-id").unwrap_or_default();
    let seen_machine = fs_err::read_to_string(findings.join("machine-id")).unwrap_or_default();
    assert!(own_machine.is_empty() || seen_machine != own_machine);
    assert_eq!(
        listener.accept().map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock),
        "someone connected to the host's loopback"
    );
    assert!(victim.lives());
    assert!(!world.home().join("escaped").exists());
    assert!(!world.path("mkosi.output/escaped").exists());
}

/// Writes the recipe of an extension that holds one package of a repository, as a directory, and the tutorial's base.
pub(crate) fn write_extension(world: &World, repository: &Repository, package: &str) {
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nLocalMirror={}\n\n\
             [Output]\nFormat=directory\nOutput=extension\nOutputDirectory=mkosi.output\nOverlay=yes\n\n\
             [Content]\nCleanPackageMetadata=no\nBaseTrees=base\nPackages={package}\n",
            repository.url()
        ),
    );
    repository.name_in(world, "local-mirror");
    copy_tree(&tutorial::signed().output("base"), &world.path("base"));
}

/// Copies a tree as its owner can: the base tree must lie in the recipe's directory.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let copied = Command::new("/bin/cp")
        .args(["--archive", "--no-preserve=ownership"])
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}
