//! Trees for the tests of extensions.

use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

pub(crate) const THEN: Timestamp = Timestamp::from_seconds(1000);

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// Returns a tree of `directory/`, `file`, `file=content` and `link -> target`, with the directories above them.
pub(crate) fn tree(lines: &[&str]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for line in lines {
        put(&mut tree, line);
    }
    tree
}

pub(crate) fn put(tree: &mut FileTree, line: &str) {
    let (name, entry) = if let Some((name, target)) = line.split_once(" -> ") {
        let kind = EntryKind::Symlink(target.into());
        (name, Entry::new(kind, 0o777, THEN))
    } else if line.ends_with('/') {
        (line, Entry::directory(THEN))
    } else {
        let (name, content) = line.split_once('=').unwrap_or((line, ""));
        let kind = EntryKind::Regular(Content::from_bytes(content.as_bytes()));
        (name, Entry::new(kind, 0o644, THEN))
    };
    let name = path(name);
    let mut missing: Vec<TreePath> = std::iter::successors(name.parent(), TreePath::parent)
        .take_while(|parent| tree.get(parent).is_none())
        .collect();
    while let Some(parent) = missing.pop() {
        tree.insert(parent, Entry::directory(THEN)).unwrap();
    }
    tree.insert(name, entry).unwrap();
}

pub(crate) fn entry<'a>(tree: &'a mut FileTree, name: &str) -> &'a mut Entry {
    tree.get_mut(&path(name)).unwrap()
}

pub(crate) fn names(tree: &FileTree) -> Vec<String> {
    let below_root = tree.iter().skip(1);
    below_root.map(|(path, _)| path.to_string()).collect()
}
