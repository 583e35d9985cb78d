//! What a layer holds: a whole tree, or what changes one into another.
//!
//! A name that is gone is there as an empty file whose name is that name after `.wh.` (layer.md, "Whiteouts"). Opaque
//! directories are not written: every reader knows whiteouts of single names, and not every one those.

use std::collections::{BTreeSet, HashMap};

use super::Error;
use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

/// What comes before the name of what a layer deletes.
const WHITEOUT: &[u8] = b".wh.";

/// Fails when a name of `tree` would be taken for a deletion.
pub(super) fn check(tree: &FileTree) -> Result<(), Error> {
    match tree
        .iter()
        .find(|(path, _)| path.file_name().starts_with(WHITEOUT))
    {
        Some((path, _)) => Err(Error::ReservedName { path: path.clone() }),
        None => Ok(()),
    }
}

/// Returns what makes `tree` of `base` when it is unpacked over it; `None` when nothing does. Times of the base after
/// `latest` are that.
///
/// Parents of what changes are there too: tools that unpack each layer by itself would make up their modes.
pub(super) fn difference(
    base: &FileTree,
    tree: &FileTree,
    latest: Timestamp,
) -> Result<Option<FileTree>, Error> {
    let mut changed = changed(base, tree, latest)?;
    let deleted: Vec<&TreePath> = base
        .iter()
        .map(|(path, _)| path)
        .filter(|path| is_deleted(path, tree))
        .collect();
    let parents = deleted.iter().filter_map(|path| path.parent());
    changed.extend(parents);
    let Some(first) = changed.first().cloned() else {
        return Ok(None);
    };
    let ancestors: Vec<TreePath> = std::iter::once(first)
        .chain(changed.iter().cloned())
        .flat_map(|path| std::iter::successors(path.parent(), TreePath::parent))
        .collect();
    changed.extend(ancestors);
    let mut layer = FileTree::new(tree.root().clone())?;
    for path in &changed {
        let entry = tree.get(path).expect("what has changed is in the tree");
        layer.insert(path.clone(), entry.clone())?;
    }
    for path in deleted {
        add_whiteout(&mut layer, path)?;
    }
    Ok(Some(layer))
}

/// Returns the names of `tree` that are not as they are in `base`.
fn changed(
    base: &FileTree,
    tree: &FileTree,
    latest: Timestamp,
) -> Result<BTreeSet<TreePath>, Error> {
    let (links, base_links) = (linked(tree), linked(base));
    let names = |links: &HashMap<HardLinkGroup, Vec<TreePath>>, entry: &Entry| {
        let group = entry.hard_link?;
        links.get(&group).filter(|names| names.len() > 1).cloned()
    };
    let mut changed = BTreeSet::new();
    for (path, entry) in tree.iter() {
        let is_kept = match base.get(path) {
            Some(below) => {
                entry.modified == below.modified.min(latest)
                    && names(&links, entry) == names(&base_links, below)
                    && entry.is_same_as(below)?
            }
            None => false,
        };
        if !is_kept {
            // A layer cannot link to a file of another one, so all names of the inode go along.
            changed.extend(names(&links, entry).unwrap_or_default());
            changed.insert(path.clone());
        }
    }
    Ok(changed)
}

/// Returns the names of each inode that may have several.
fn linked(tree: &FileTree) -> HashMap<HardLinkGroup, Vec<TreePath>> {
    let mut linked: HashMap<_, Vec<_>> = HashMap::new();
    for (path, entry) in tree.iter() {
        if let Some(group) = entry.hard_link {
            linked.entry(group).or_default().push(path.clone());
        }
    }
    linked
}

/// Tells whether a name is gone by itself, and not with the directory it was in.
fn is_deleted(path: &TreePath, tree: &FileTree) -> bool {
    let parent = path.parent().and_then(|parent| tree.get(&parent));
    tree.get(path).is_none() && parent.is_some_and(Entry::is_directory)
}

fn add_whiteout(layer: &mut FileTree, path: &TreePath) -> Result<(), Error> {
    let parent = path.parent().unwrap_or_else(TreePath::root);
    let name = [WHITEOUT, path.file_name()].concat();
    let whiteout = parent.join(&name).map_err(|source| Error::DeletedName {
        path: path.clone(),
        source,
    })?;
    let modified = layer.get(&parent).map(|entry| entry.modified);
    let kind = EntryKind::Regular(Content::from_bytes([]));
    let entry = Entry::new(kind, 0o644, modified.unwrap_or_default());
    Ok(layer.insert(whiteout, entry)?)
}
