//! Whole systems that their own tools have set up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::World;
use crate::reproducibility::in_another_session;
use crate::require::{self, tool};
use crate::tutorial;

/// Returns a world whose working directory has the recipe `name`, which is one file.
pub(crate) fn world(name: &str) -> World {
    let world = World::new();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/recipes");
    let text = fs_err::read_to_string(recipes.join(name).join("mkosi.conf")).unwrap();
    world.write("mkosi.conf", &text);
    world
}

/// Builds with what `command` adds to the usual command, and returns the output.
pub(crate) fn built(world: &World, output: &str, command: impl Fn(&Command) -> Command) -> PathBuf {
    let transcript = world.finish(command(&tutorial::build_command(world)));
    assert_eq!(transcript.status, Some(0), "{}", transcript.stderr);
    // Tests that run at the same time share what is downloaded.
    let mut warnings = transcript
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning") && !line.ends_with("waiting for it"));
    assert_eq!(warnings.next(), None);
    world.path("mkosi.output").join(output)
}

/// Returns a command as it is; commands cannot be cloned.
pub(crate) fn unchanged(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    copy
}

/// Returns the build of the system that all tests share.
fn base() -> &'static Path {
    static BUILT: OnceLock<(World, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let world = world("tar-base");
        let path = built(&world, "base.tar", unchanged);
        (world, path)
    });
    path
}

fn text(file: &str) -> String {
    let tar = tool("tar").unwrap();
    let archive = base().as_os_str();
    tar.text(&["-xOf".as_ref(), archive, file.as_ref()])
}

/// Returns mode, owner and link of each entry, by name.
fn entries() -> std::collections::BTreeMap<String, (String, String, String)> {
    let tar = tool("tar").unwrap();
    let archive = base().as_os_str();
    let list = tar.text(&["--numeric-owner".as_ref(), "-tvf".as_ref(), archive]);
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let target = words.get(7).copied().unwrap_or_default();
        let owner = words[1].to_owned();
        let name = words[5].trim_end_matches('/').to_owned();
        (name, (words[0].to_owned(), owner, target.to_owned()))
    };
    list.lines().map(entry).collect()
}

#[test]
fn users_directories_and_units_are_what_the_systems_own_tools_make() {
    require!(require::building());
    require!(tool("tar"));
    let entries = entries();
    let groups = text("etc/group");
    let journal = groups
        .lines()
        .find_map(|line| line.strip_prefix("systemd-journal:x:"))
        .unwrap();
    let journal = journal.trim_end_matches(':');
    assert!(text("etc/passwd").contains("\nsystemd-network:x:"));
    // What mkosi leaves out when it is not run by root.
    let (mode, owner, _) = &entries["var/log/journal"];
    assert_eq!(
        (mode.trim_end_matches('+'), owner.as_str()),
        ("drwxr-sr-x", format!("0/{journal}").as_str())
    );
    let (mode, owner, _) = &entries["var/lib/private"];
    assert_eq!((mode.as_str(), owner.as_str()), ("drwx------", "0/0"));
    for unit in [
        "etc/systemd/system/getty.target.wants/getty@tty1.service",
        "etc/systemd/system/multi-user.target.wants/remote-fs.target",
        "etc/systemd/system/sysinit.target.wants/systemd-pstore.service",
        "etc/systemd/user/timers.target.wants/systemd-tmpfiles-clean.timer",
    ] {
        let name = unit.rsplit('/').next().unwrap().replace("@tty1", "@");
        let (_, _, target) = entries.get(unit).unwrap_or_else(|| panic!("{unit}"));
        assert!(target.ends_with(&format!("/{name}")), "{unit} -> {target}");
    }
    assert!(entries.contains_key("usr/lib/udev/hwdb.bin"));
    for absent in [
        "etc/udev/hwdb.bin",
        "etc/.updated",
        "var/.updated",
        "var/lib/systemd/random-seed",
    ] {
        assert!(!entries.contains_key(absent), "{absent}");
    }
}

#[test]
fn settings_of_the_first_boot_are_made() {
    require!(require::building());
    require!(tool("tar"));
    let entries = entries();
    assert_eq!(text("etc/hostname"), "example\n");
    assert_eq!(text("etc/machine-id"), "uninitialized\n");
    assert_eq!(
        entries["etc/localtime"].2,
        "../usr/share/zoneinfo/Europe/Berlin"
    );
    assert_eq!(text("usr/lib/credstore/firstboot.locale"), "C.UTF-8");
    assert!(text("usr/lib/os-release").contains("\nDEFAULT_HOSTNAME=example\n"));
    assert!(text("etc/passwd").starts_with("root:x:0:0:root:/root:/bin/bash\n"));
    let shadow = text("etc/shadow");
    let root = shadow
        .lines()
        .find(|line| line.starts_with("root:"))
        .unwrap();
    let hash = root.split(':').nth(1).unwrap();
    // Another implementation finds the same.
    let openssl = require!(tool("openssl"));
    let salt = hash.split('$').nth(2).unwrap();
    assert_eq!(
        openssl
            .text(&["passwd", "-6", "-salt", salt, "secret"])
            .trim(),
        hash
    );
    assert_eq!(entries["efi"].0, "dr-x------");
}

#[test]
fn a_system_is_the_same_whoever_sets_it_up() {
    require!(require::building());
    let first = openssl::sha::sha256(&fs_err::read(base()).unwrap());
    let world = world("tar-base");
    let again = built(&world, "base.tar", in_another_session);
    assert_eq!(openssl::sha::sha256(&fs_err::read(again).unwrap()), first);
}
