//! Which part of a tree an extension may hold.

use super::{ExtensionKind, Lint};
use crate::tree::{EntryKind, FileTree, TreePath};

/// What an extension must not bring although it lies inside a hierarchy.
const NEVER_MERGED: [(&str, Lint); 2] = [
    ("usr/lib/os-release", Lint::OsReleaseLeftOut),
    // The database of installed packages (rpm, zypper). Merged over a host's, it would replace that one.
    ("usr/lib/sysimage", Lint::PackageDatabaseLeftOut),
];

/// The part of a tree that becomes an extension.
#[derive(Clone, Debug)]
pub struct Selection {
    pub tree: FileTree,
    /// What was left out, in the tree's order: everything but directories that hold something.
    pub left_out: Vec<TreePath>,
    pub lints: Vec<Lint>,
}

/// Keeps what systemd merges of an extension of `kind`: its hierarchies, without what would break the host.
pub fn select(tree: FileTree, kind: ExtensionKind) -> Selection {
    let never_merged = NEVER_MERGED
        .map(|(path, lint)| (TreePath::new(path).expect("a constant path is valid"), lint));
    let in_hierarchy = |path: &TreePath| {
        let first = path.components().next();
        first.is_none_or(|first| {
            let mut hierarchies = kind.hierarchies().iter();
            hierarchies.any(|hierarchy| hierarchy.as_bytes() == first)
        })
    };
    let kept = |path: &TreePath| {
        in_hierarchy(path)
            && !never_merged
                .iter()
                .any(|(never, _)| path.starts_with(never))
    };

    let left_out: Vec<TreePath> = tree
        .iter()
        .filter(|(path, _)| !kept(path))
        .filter(|(path, entry)| !entry.is_directory() || !tree.has_children(path))
        .map(|(path, _)| path.clone())
        .collect();
    let mut lints: Vec<Lint> = never_merged
        .iter()
        .filter(|(never, _)| in_hierarchy(never) && tree.get(never).is_some())
        .map(|(_, lint)| lint.clone())
        .collect();
    let tree = tree.retain(|path, _| kept(path));
    let empty = tree
        .iter()
        .all(|(_, entry)| matches!(entry.kind, EntryKind::Directory));
    if empty {
        lints.push(Lint::EmptyPayload);
    }
    Selection {
        tree,
        left_out,
        lints,
    }
}

#[cfg(test)]
mod tests {
    use super::select;
    use crate::extension::{ExtensionKind, Lint};
    use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

    const THEN: Timestamp = Timestamp::from_seconds(1000);

    /// Returns a tree of these paths; those that end in a slash are directories.
    fn tree_of(paths: &[&str]) -> FileTree {
        let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
        for path in paths {
            let kind = if path.ends_with('/') {
                EntryKind::Directory
            } else {
                EntryKind::Regular(Content::from_bytes(path.as_bytes()))
            };
            let path = TreePath::new(path).unwrap();
            tree.insert(path, Entry::new(kind, 0o755, THEN)).unwrap();
        }
        tree
    }

    fn names<'a>(paths: impl Iterator<Item = &'a TreePath>) -> Vec<String> {
        paths.map(ToString::to_string).collect()
    }

    const DELTA: &[&str] = &[
        "etc/",
        "etc/app.conf",
        "opt/",
        "opt/app/",
        "opt/app/data",
        "usr/",
        "usr/bin/",
        "usr/bin/app",
        "usrlocal/",
        "var/",
        "var/cache/",
        "var/lib/",
        "var/lib/dpkg/",
        "var/lib/dpkg/status",
    ];

    #[test]
    fn a_sysext_keeps_usr_and_opt() {
        let selection = select(tree_of(DELTA), ExtensionKind::Sysext);
        assert_eq!(
            names(selection.tree.iter().map(|(path, _)| path)),
            [
                "",
                "opt",
                "opt/app",
                "opt/app/data",
                "usr",
                "usr/bin",
                "usr/bin/app"
            ]
        );
        assert_eq!(
            names(selection.left_out.iter()),
            [
                "etc/app.conf",
                "usrlocal",
                "var/cache",
                "var/lib/dpkg/status"
            ]
        );
        assert_eq!(selection.lints, []);
    }

    #[test]
    fn a_confext_keeps_etc() {
        let selection = select(tree_of(DELTA), ExtensionKind::Confext);
        assert_eq!(
            names(selection.tree.iter().map(|(path, _)| path)),
            ["", "etc", "etc/app.conf"]
        );
    }

    #[test]
    fn an_os_release_and_a_package_database_are_left_out_and_told() {
        let paths = [
            "usr/",
            "usr/lib/",
            "usr/lib/libapp.so",
            "usr/lib/os-release",
            "usr/lib/os-release.d/",
            "usr/lib/sysimage/",
            "usr/lib/sysimage/rpmdb.sqlite",
        ];
        let selection = select(tree_of(&paths), ExtensionKind::Sysext);
        assert_eq!(
            names(selection.left_out.iter()),
            ["usr/lib/os-release", "usr/lib/sysimage/rpmdb.sqlite"]
        );
        assert_eq!(
            selection.lints,
            [Lint::OsReleaseLeftOut, Lint::PackageDatabaseLeftOut]
        );
        assert_eq!(selection.tree.entry_count(), 5);
    }

    #[test]
    fn directories_alone_are_an_empty_payload() {
        let selection = select(
            tree_of(&["usr/", "usr/lib/", "var/", "var/x"]),
            ExtensionKind::Sysext,
        );
        assert_eq!(selection.lints, [Lint::EmptyPayload]);
    }
}
