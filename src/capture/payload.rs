//! What upper layers add to a base tree.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::layers::{LayerDirectory, Stacked, stack, tree_of};
use crate::tree::{Entry, FileTree, TreePath, number_hard_links};

/// What upper layers make of a base tree.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The entries to ship, with their parent directories.
    pub tree: FileTree,
    /// What the layers deleted of the base: the topmost names, whose contents went with them. An extension can not
    /// express these.
    pub deleted: Vec<TreePath>,
    /// How many names of files the layers hold that equal the base's, and were dropped.
    pub unchanged: usize,
}

/// Returns what `uppers`, lowest first, add to or change of `base`.
///
/// An entry is dropped when the base has its equal: type, mode, owner, attributes, and content, target or device; a
/// different modification time alone is no change, because opening a file for writing is enough to copy it up. A
/// directory that equals the base's is kept, as the base has it, only where something below it is. A new directory is
/// kept, also when it is empty. Deletions are returned apart, and nothing in the tree is a whiteout or opaque.
///
/// # Errors
/// An [`Error`] as of [`merge`](super::merge), or [`Error::Compare`] when a file or its base cannot be read.
pub fn payload(base: &FileTree, uppers: &[LayerDirectory]) -> Result<Payload, Error> {
    let stacked = stack(uppers)?;
    let deleted = deletions(base, &stacked);
    let mut kept = BTreeMap::new();
    let mut unchanged = 0;
    // Contents come before their directory, so that a directory knows whether anything below it is kept.
    let mut parents = BTreeSet::from([TreePath::root()]);
    for (path, entry) in stacked.entries.into_iter().rev() {
        let equal = match base.get(&path) {
            Some(found) if is_same(&path, &entry, found)? => Some(found),
            _ => None,
        };
        let entry = match equal {
            Some(_) if !entry.is_directory() => {
                unchanged += 1;
                continue;
            }
            Some(_) if !parents.contains(&path) => continue,
            Some(found) => found.clone(),
            None => entry,
        };
        parents.extend(path.parent());
        kept.insert(path, entry);
    }
    number_hard_links(kept.values_mut());
    let root = kept
        .remove(&TreePath::root())
        .unwrap_or_else(|| base.root().clone());
    Ok(Payload {
        tree: tree_of(root, kept),
        deleted,
        unchanged,
    })
}

/// Returns the topmost names of `base` that the layers hide without putting anything in their place.
fn deletions(base: &FileTree, stacked: &Stacked) -> Vec<TreePath> {
    let mut deleted: BTreeSet<TreePath> = BTreeSet::new();
    for whiteout in &stacked.whiteouts {
        if base.get(whiteout).is_some() {
            deleted.insert(whiteout.clone());
        }
    }
    for directory in &stacked.opaque {
        for (path, _) in base.descendants(directory) {
            let parent = path.parent().expect("a descendant has a parent");
            let parent_stays = stacked
                .entries
                .get(&parent)
                .is_some_and(Entry::is_directory);
            if parent_stays && !stacked.entries.contains_key(path) {
                deleted.insert(path.clone());
            }
        }
    }
    deleted.into_iter().collect()
}

/// Tells whether `entry` is no change over the base's `found`.
fn is_same(path: &TreePath, entry: &Entry, found: &Entry) -> Result<bool, Error> {
    entry.is_same_as(found).map_err(|source| Error::Compare {
        path: path.clone(),
        source,
    })
}
