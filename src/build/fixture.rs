//! Recipes and trees for the tests of this module.

use std::path::Path;

use crate::recipe::{self, Architecture, Distribution, HostFacts, Invocation, Recipe};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

pub(super) const TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Returns the recipe with the configuration `text`, and the directory that it is in.
pub(super) fn recipe(text: &str) -> (tempfile::TempDir, Recipe) {
    let directory = tempfile::tempdir().unwrap();
    let recipe = recipe_in(directory.path(), text);
    (directory, recipe)
}

/// Returns the recipe with the configuration `text` in a directory that has its other files.
pub(super) fn recipe_in(directory: &Path, text: &str) -> Recipe {
    fs_err::write(directory.join("mkosi.conf"), text).unwrap();
    let host = HostFacts {
        distribution: Some(Distribution::Debian),
        release: Some("bookworm".into()),
        architecture: Architecture::X86_64,
        systemd_version: None,
    };
    let invocation = Invocation {
        directory: directory.into(),
        overrides: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        host,
        grants: Default::default(),
        programs: &super::SandboxedPrograms::STRICT,
    };
    let mut project = recipe::load(&invocation).unwrap();
    project.recipes.pop().unwrap()
}

pub(super) fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// Returns a tree with the given names: `dir/`, `file`, or `link -> target`.
pub(super) fn tree(names: &[&str]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(TIME)).unwrap();
    for name in names {
        let (name, entry) = match (name.strip_suffix('/'), name.split_once(" -> ")) {
            (Some(directory), _) => (directory, Entry::directory(TIME)),
            (None, Some((link, target))) => {
                let kind = EntryKind::Symlink(target.as_bytes().to_vec());
                (link, Entry::new(kind, 0o777, TIME))
            }
            (None, None) => {
                let kind = EntryKind::Regular(Content::from_bytes(name.as_bytes()));
                (*name, Entry::new(kind, 0o644, TIME))
            }
        };
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

/// Returns the tree's names without the root, links with their targets.
pub(super) fn names(tree: &FileTree) -> Vec<String> {
    let name = |(path, entry): (&TreePath, &Entry)| match &entry.kind {
        EntryKind::Directory => format!("{path}/"),
        EntryKind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
        _ => path.to_string(),
    };
    tree.iter().skip(1).map(name).collect()
}

/// Returns the text of a file in the tree.
pub(super) fn text(tree: &FileTree, name: &str) -> String {
    match &tree.get(&path(name)).unwrap().kind {
        EntryKind::Regular(content) => String::from_utf8(content.read_all().unwrap()).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}
