//! Hostile scripts of every kind: what they try against the machine that builds, with what they may do instead.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{World, names};
use crate::scripts::script;

/// Every kind of script that has a file of its own, in the order in which they run.
const KINDS: [&str; 6] = [
    "mkosi.sync",
    "mkosi.prepare",
    "mkosi.build",
    "mkosi.postinst",
    "mkosi.finalize",
    "mkosi.postoutput",
];

/// What is tried, with whether it may succeed. `@HOME@`, `@PORT@` and `@PROCESS@` are of the machine.
const ATTEMPTS: [(&str, &str, bool); 17] = [
    ("reads its sources", "grep -q plain /work/src/plain", true),
    ("writes to its sources", "echo x >/work/src/new", true),
    ("reads the files of the caller", "cat @HOME@/secret", false),
    ("reads the key", "cat /work/src/mkosi.key", false),
    (
        "reads a passphrase",
        "cat /work/src/mkosi.passphrase",
        false,
    ),
    (
        "reads the addresses of git",
        "cat /work/src/.git/config",
        false,
    ),
    (
        "reads the outputs of others",
        "cat /work/src/out/precious",
        false,
    ),
    (
        "writes to the programs of the host",
        "echo x >/usr/bin/planted",
        false,
    ),
    (
        "reaches the network",
        "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => \"127.0.0.1:@PORT@\", Timeout => 5) or exit 1'",
        false,
    ),
    ("sees processes", "kill -0 @PROCESS@", false),
    ("mounts", "mount -t tmpfs none /tmp", false),
    ("makes a user namespace", "unshare --user true", false),
    (
        "loads a program into the kernel",
        "perl -e 'exit !(syscall(321, 0, 0, 0) >= 0)'",
        false,
    ),
    ("reads the log of the kernel", "dmesg", false),
    ("uses temporary files", "echo x >/tmp/x", true),
    ("runs programs", "perl -e 'exit 0'", true),
    (
        "leaves something running",
        "setsid perl -e '$0 = \"left-@PORT@\"; sleep 1000' >/dev/null 2>&1 </dev/null &",
        true,
    ),
];

/// Returns a world with secrets, and a server that nobody may reach.
fn world() -> (World, TcpListener) {
    let world = World::new();
    let text = "[Output]\nFormat=tar\nOutput=tree\nCompressOutput=none\nOutputDirectory=out\n[Content]\nBaseTrees=base\n";
    world.write("mkosi.conf", text);
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    world.write("plain", "plain");
    for secret in ["mkosi.key", "mkosi.passphrase"] {
        world.write(secret, "secret");
        let mode = std::fs::Permissions::from_mode(0o600);
        fs_err::set_permissions(world.path(secret), mode).unwrap();
    }
    world.write(".git/config", "secret");
    world.write("out/precious", "secret");
    fs_err::write(world.home().join("secret"), "secret").unwrap();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    (world, server)
}

/// Returns the script that makes every attempt and says what came of it.
fn attempts(world: &World, server: &TcpListener) -> String {
    let port = server.local_addr().unwrap().port().to_string();
    let text: String = ATTEMPTS
        .iter()
        .map(|(name, attempt, _)| {
            format!("if ( {attempt} ) >/dev/null 2>&1; then echo '{name}: yes'; else echo '{name}: no'; fi\n")
        })
        .collect();
    text.replace("@HOME@", world.home().to_str().unwrap())
        .replace("@PORT@", &port)
        .replace("@PROCESS@", &std::process::id().to_string())
}

/// Returns the command lines of all processes.
fn processes() -> Vec<String> {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

#[test]
fn no_script_gets_more_than_it_may() {
    let (world, server) = world();
    let text = attempts(&world, &server);
    for kind in KINDS {
        script(&world, kind, &text);
    }
    script(&world, "mkosi.clean", &text);
    let build = world.run(&["-f", "--debug"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let clean = world.run(&["clean", "--debug"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    let said = [build.stderr, clean.stderr].concat();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for line in said.lines().filter_map(|line| line.strip_prefix("main | ")) {
        *found.entry(line).or_default() += 1;
    }
    // Preparing runs once more for what is built.
    let runs = KINDS.len() + 2;
    for (name, _, may) in ATTEMPTS {
        let answer = format!("{name}: {}", if may { "yes" } else { "no" });
        assert_eq!(
            found.get(answer.as_str()),
            Some(&runs),
            "{answer}\n{found:#?}"
        );
    }
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err());
    let left = format!("left-{}", server.local_addr().unwrap().port());
    assert!(!processes().iter().any(|line| line.contains(&left)));
    assert!(!world.path("new").exists());
    for (path, text) in [
        ("plain", "plain"),
        ("out/precious", "secret"),
        ("mkosi.key", "secret"),
    ] {
        assert_eq!(fs_err::read_to_string(world.path(path)).unwrap(), text);
    }
}

#[test]
fn the_network_is_the_persons_to_give() {
    let (world, server) = world();
    let text = attempts(&world, &server);
    for kind in ["mkosi.prepare", "mkosi.postinst"] {
        script(&world, kind, &text);
    }
    let reached = |arguments: &[&str]| {
        let build = world.run(&[&["-f", "--debug"], arguments].concat());
        let yes = build
            .stderr
            .matches("main | reaches the network: yes\n")
            .count();
        (build.status, yes)
    };
    // A recipe cannot take it.
    assert_eq!(reached(&["--with-network=no"]), (Some(0), 0));
    // What prepares an image has it from the person alone, other scripts where the recipe wants it as well.
    assert_eq!(reached(&["--allow=network"]), (Some(0), 1));
    assert_eq!(
        reached(&["--allow=network", "--with-network=yes"]),
        (Some(0), 2)
    );
}

#[test]
fn links_in_what_a_script_installs_lead_nowhere_on_the_host() {
    let (world, _server) = world();
    let home = world.home();
    script(
        &world,
        "mkosi.build",
        &format!(
            "set -e\nmkdir -p \"$DESTDIR/usr/share\"\nln -s {0} \"$DESTDIR/usr/share/escape\"\n\
             ln -s {0}/secret \"$DESTDIR/usr/share/file\"\n",
            home.display()
        ),
    );
    world.write("mkosi.extra/usr/share/escape/planted", "x");
    world.write("mkosi.extra/usr/share/file", "x");
    let build = world.run(&["-f"]);
    assert!(!home.join("planted").exists(), "{}", build.stderr);
    assert_eq!(
        fs_err::read_to_string(home.join("secret")).unwrap(),
        "secret"
    );
    assert!(!names(&world.path("out")).contains(&"planted".to_owned()));
}

#[test]
fn what_a_script_prints_commands_no_terminal() {
    let (world, _server) = world();
    script(
        &world,
        "mkosi.finalize",
        "printf '\\033]0;title\\007\\033[2J::add-mask::x\\n'\nexit 3\n",
    );
    let build = world.run(&["-f", "--debug"]);
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    assert!(
        !build.stderr.contains(['\u{1b}', '\u{7}']),
        "{}",
        build.stderr
    );
    assert!(
        build.stderr.contains(
            "the step `run mkosi.finalize` failed: `/work/finalize` exited with status 3"
        ),
        "{}",
        build.stderr
    );
    assert_eq!(names(&world.path("out")), ["precious"]);
}
