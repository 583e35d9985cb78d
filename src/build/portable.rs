//! What makes the tree of a system a portable service. Nothing on disk changes.
//!
//! Specification: <https://systemd.io/PORTABLE_SERVICES>, "Requirements on Images".

use super::finish::path;
use super::{Error, extra};
use crate::extension;
use crate::recipe::Recipe;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// Where the service manager mounts something while the service runs; the image is read-only, so they must exist.
const DIRECTORIES: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "var/tmp"];

/// Files of the host that are mounted over the image's, with the mode of an empty one.
const FILES: [(&str, u16); 7] = [
    ("etc/group", 0o644),
    ("etc/gshadow", 0o600),
    ("etc/machine-id", 0o444),
    ("etc/nsswitch.conf", 0o644),
    ("etc/passwd", 0o644),
    ("etc/resolv.conf", 0o644),
    ("etc/shadow", 0o600),
];

/// Fails when the tree has no os-release, by which systemd knows a system, and adds what is mounted on and missing.
pub(super) fn make(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    if let Err(source) = extension::read_os_release(tree) {
        let image = recipe.name.clone();
        return Err(Error::NoPortableService { image, source });
    }
    for directory in DIRECTORIES.map(path) {
        if !is_there(tree, &directory) {
            let mode = match directory.file_name() {
                b"tmp" => 0o1777,
                _ => 0o755,
            };
            let parent = parent_of(tree, &directory, time)?;
            let made = parent
                .join(directory.file_name())
                .expect("a name of a constant path is valid");
            tree.insert(made, Entry::new(EntryKind::Directory, mode, time))?;
        }
    }
    for (name, mode) in FILES {
        let name = path(name);
        if !is_there(tree, &name) {
            let parent = parent_of(tree, &name, time)?;
            let made = parent
                .join(name.file_name())
                .expect("a name of a constant path is valid");
            let empty = EntryKind::Regular(Content::from_bytes(Vec::new()));
            tree.insert(made, Entry::new(empty, mode, time))?;
        }
    }
    Ok(())
}

/// A link counts, wherever it leads: what it names is there when the service runs.
fn is_there(tree: &FileTree, path: &TreePath) -> bool {
    tree.get(path).is_some() || tree.resolve(path).is_some()
}

fn parent_of(tree: &mut FileTree, path: &TreePath, time: Timestamp) -> Result<TreePath, Error> {
    match path.parent() {
        Some(parent) => extra::make_directory(tree, None, &parent, time),
        None => Ok(TreePath::root()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TIME, names, path, recipe, tree};
    use super::make;

    const RECIPE: &str = "[Output]\nFormat=portable\n";

    #[test]
    fn mount_points_that_are_missing_are_added() {
        let (_directory, recipe) = recipe(RECIPE);
        let mut service = tree(&[
            "etc/",
            "etc/passwd",
            "usr/",
            "usr/lib/",
            "usr/lib/os-release",
            "var/",
        ]);
        make(&mut service, &recipe, TIME).unwrap();
        let expected = [
            "dev/",
            "etc/",
            "etc/group",
            "etc/gshadow",
            "etc/machine-id",
            "etc/nsswitch.conf",
            "etc/passwd",
            "etc/resolv.conf",
            "etc/shadow",
            "proc/",
            "run/",
            "sys/",
            "tmp/",
            "usr/",
            "usr/lib/",
            "usr/lib/os-release",
            "var/",
            "var/tmp/",
        ];
        assert_eq!(names(&service), expected);
        assert_eq!(service.get(&path("var/tmp")).unwrap().mode, 0o1777);
        assert_eq!(service.get(&path("etc/shadow")).unwrap().mode, 0o600);
    }

    #[test]
    fn a_tree_without_an_os_release_is_no_portable_service() {
        let (_directory, recipe) = recipe(RECIPE);
        let mut tree = tree(&["usr/", "usr/bin/", "usr/bin/program"]);
        assert_eq!(
            make(&mut tree, &recipe, TIME).unwrap_err().to_string(),
            "`main` is no portable service"
        );
    }
}
