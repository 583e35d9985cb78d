//! Same recipe, same bytes: another directory, home, umask, time zone and locale change nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::require;
use crate::tutorial::{self, RECIPES};

/// Runs a command below a shell that sets what a person's session may differ in.
pub(crate) fn in_another_session(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "umask 077 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TZ", "Pacific/Kiritimati")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("SHELL", "/bin/false");
    shell
}

#[test]
fn two_builds_have_the_same_bytes() {
    require!(require::building());
    for recipe in RECIPES {
        let first = match recipe {
            "tutorial" => tutorial::signed(),
            _ => tutorial::initrd(),
        };
        let world = tutorial::world_with(recipe);
        for key in ["mkosi.key", "mkosi.crt"] {
            let original = first.certificate().with_file_name(key);
            if original.exists() {
                fs_err::copy(&original, world.path(key)).unwrap();
            }
        }
        let again = world.finish(in_another_session(&tutorial::build_command(&world)));
        assert_eq!(again.status, Some(0), "{}", again.stderr);

        let (first, again) = (
            contents(&first.output("")),
            contents(&world.path("mkosi.output")),
        );
        let paths: BTreeSet<_> = first.keys().chain(again.keys()).collect();
        let differing: Vec<_> = paths
            .into_iter()
            .filter(|path| first.get(*path) != again.get(*path))
            .collect();
        assert_eq!(differing, Vec::<&String>::new(), "{recipe}");
    }
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Content {
    File([u8; 32]),
    Link(std::path::PathBuf),
    Directory,
    Other,
}

/// Returns what is below a directory: the type and bytes of everything, and the mode of what has one.
pub(crate) fn contents(root: &Path) -> BTreeMap<String, (Content, u32)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let file_type = metadata.file_type();
            let content = if file_type.is_dir() {
                pending.push(path.clone());
                Content::Directory
            } else if file_type.is_symlink() {
                Content::Link(fs_err::read_link(&path).unwrap())
            } else if file_type.is_file() {
                Content::File(openssl::sha::sha256(&fs_err::read(&path).unwrap()))
            } else {
                Content::Other
            };
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            // An output that is a file is the person's own and has the mode that their umask gives it.
            let is_output_file = directory == root && file_type.is_file();
            let mode = if is_output_file {
                0
            } else {
                metadata.permissions().mode()
            };
            found.insert(name, (content, mode));
        }
    }
    found
}
