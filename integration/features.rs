//! Hosts that lack something, made of this one by namespaces: the build and `doctor` name the same cause and remedy.

use std::process::Command;

use crate::harness::{Transcript, World};
use crate::require::{self, tool};

/// The programs a build starts, with their packages.
const PROGRAMS: [(&str, &str); 4] = [
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
];

const RECIPE: &str = "[Output]\nFormat=directory\nOutputDirectory=mkosi.output\n";

/// Runs the program below a shell in new namespaces, in which `script` was run first.
pub(crate) fn run_on(
    world: &World,
    options: &[&str],
    script: &str,
    arguments: &[&str],
) -> Transcript {
    run_below(world, &after(options, script), arguments)
}

/// Returns what to put before a command so that it runs in new namespaces, after `script`.
fn after(options: &[&str], script: &str) -> Vec<String> {
    let shell = format!("{script} && exec \"$0\" \"$@\"");
    let words = ["/usr/bin/unshare"].iter().chain(options);
    words
        .chain(&["/bin/sh", "-c", &shell])
        .map(ToString::to_string)
        .collect()
}

/// Runs the program as the last arguments of another command.
fn run_below(world: &World, prefix: &[String], arguments: &[&str]) -> Transcript {
    let program = world.command(arguments);
    let mut command = Command::new(&prefix[0]);
    command
        .args(&prefix[1..])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(program.get_current_dir().unwrap())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    world.finish(command)
}

fn world() -> World {
    let world = World::new();
    world.write("mkosi.conf", RECIPE);
    world
}

/// Asserts that `doctor` names a problem, in text and JSON.
fn assert_doctor(world: &World, prefix: &[String], name: &str, remedy: &str) {
    let text = run_below(world, prefix, &["doctor"]);
    assert_eq!(text.status, Some(3), "{}{}", text.stdout, text.stderr);
    let paragraph = format!("missing: {name}");
    assert!(text.stdout.starts_with(&paragraph), "{}", text.stdout);
    assert!(
        text.stdout.contains(&format!("\n  remedy: {remedy}\n")),
        "{}",
        text.stdout
    );
    let report = run_below(world, prefix, &["doctor", "--json"]);
    assert_eq!(report.status, Some(3), "{}", report.stderr);
    let json: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let missing: Vec<_> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "missing")
        .map(|check| (check["name"].as_str().unwrap(), check["remedy"].clone()))
        .collect();
    assert_eq!(json["ready"], false);
    assert_eq!(missing[0], (name, remedy.into()));
}

#[test]
fn limit_of_user_namespaces_is_named() {
    require!(require::building());
    require!(tool("unshare"));
    const NONE: &str = "echo 0 >/proc/sys/user/max_user_namespaces";
    const REMEDY: &str =
        "run `sudo sysctl -w user.max_user_namespaces=15000`, or end programs that hold namespaces";
    const CAUSE: &str = "the limit `user.max_user_namespaces` of namespaces is reached";
    let ordinary = [
        "--user",
        "--map-user=1000",
        "--map-group=1000",
        "--keep-caps",
    ];
    let root = ["--user", "--map-root-user"];

    let world = world();
    run_on(&world, &ordinary, NONE, &["-f"]).assert_failed(
        3,
        &format!(
            "error: {CAUSE}\n  caused by: No space left on device (os error 28)\n\nhint: {REMEDY}\n"
        ),
    );
    run_on(&world, &root, NONE, &["-f"]).assert_failed(
        3,
        &format!(
            "main: repository metadata ...\n\
             error: building the image `main`\n  \
             caused by: starting the step `repository metadata`\n  \
             caused by: {CAUSE}\n  \
             caused by: No space left on device (os error 28)\n\nhint: {REMEDY}\n"
        ),
    );
    assert_doctor(&world, &after(&ordinary, NONE), "user namespaces", REMEDY);
}

/// Refuses new user namespaces with the errno of the first argument, as the seccomp profiles of container managers do,
/// and executes the others: clone3 is refused with ENOSYS, so that clone, whose flags a filter can see, is used.
const SECCOMP: &str = r#"
my ($errno, @command) = @ARGV;
my ($prctl, $unshare, $clone) = `uname -m` =~ /aarch64/ ? (167, 97, 220) : (157, 272, 56);
sub instruction { pack "SCCL", @_ }
my $filter = join "",
    instruction(0x20, 0, 0, 0), instruction(0x15, 4, 0, $unshare), instruction(0x15, 4, 0, 435),
    instruction(0x15, 0, 4, $clone), instruction(0x20, 0, 0, 16), instruction(0x45, 0, 2, 0x10000000),
    instruction(0x06, 0, 0, 0x00050000 | $errno), instruction(0x06, 0, 0, 0x00050000 | 38),
    instruction(0x06, 0, 0, 0x7fff0000);
my $program = pack "Sx6P", 9, $filter;
syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "seccomp: $!";
exec @command or die "exec: $!";
"#;

#[test]
fn seccomp_profile_of_a_container_is_named() {
    require!(require::building());
    require!(tool("perl"));
    const CAUSE: &str = "this container's profile forbids user namespaces or mounts";
    const REMEDY: &str = "start the container with `--security-opt seccomp=unconfined --security-opt \
                          apparmor=unconfined --security-opt systempaths=unconfined` and the state directory on a \
                          volume";
    for errno in ["1", "38"] {
        let world = world();
        let prefix = ["/usr/bin/perl", "-e", SECCOMP, errno].map(str::to_owned);
        let build = run_below(&world, &prefix, &["-f"]);
        assert_eq!(build.status, Some(3), "{}", build.stderr);
        // An ordinary user fails on the way in, root at the first step.
        let told = build.stderr.lines().any(|line| {
            [format!("error: {CAUSE}"), format!("  caused by: {CAUSE}")].contains(&line.to_owned())
        });
        assert!(told, "{}", build.stderr);
        let hint = build.stderr.lines().next_back();
        assert_eq!(hint, Some(format!("hint: {REMEDY}").as_str()));
        assert_doctor(&world, &prefix, "user namespaces", REMEDY);
    }
}

#[test]
fn missing_program_of_apt_is_named_with_its_package() {
    require!(require::building());
    require!(tool("unshare"));
    let options = ["--user", "--map-root-user", "--mount"];
    for (program, package) in PROGRAMS {
        let world = world();
        let hide = format!("mount --bind /dev/null /usr/bin/{program}");
        run_on(&world, &options, &hide, &["-f"]).assert_failed(
            3,
            &format!(
                "error: `{program}` is not installed on this machine\n\n\
                 hint: install the package `{package}`; `overcoat doctor` tells how\n"
            ),
        );
        assert!(!world.path("mkosi.output").exists());
        let doctor = run_on(&world, &options, &hide, &["doctor"]);
        assert_eq!(doctor.status, Some(3));
        let first = format!("missing: {program}: `{program}` is not installed");
        assert_eq!(doctor.stdout.lines().next(), Some(first.as_str()));
    }
}

#[test]
fn missing_keyring_is_named_before_anything_is_downloaded() {
    require!(require::building());
    require!(tool("unshare"));
    let world = world();
    let options = ["--user", "--map-root-user", "--mount"];
    let hide = "mount -t tmpfs none /usr/share/keyrings";
    let arguments = ["-f", "--distribution=debian", "--release=bookworm"];
    run_on(&world, &options, hide, &arguments).assert_failed(
        3,
        "error: building the image `main`\n  \
         caused by: the keyring `/usr/share/keyrings/debian-archive-keyring.gpg` is not on this machine\n\n\
         hint: install the package `debian-archive-keyring`; `overcoat doctor` tells how\n",
    );
    let doctor = run_on(&world, &options, hide, &["doctor"]);
    assert_eq!(doctor.status, Some(3));
    let first = "missing: archive keyring: packages cannot be verified";
    assert_eq!(doctor.stdout.lines().next(), Some(first));
}
