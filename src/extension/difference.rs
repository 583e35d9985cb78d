//! What an image changes of its base.
//!
//! A function on two trees: the base alone, and the image, which is the base with everything that was done to it. What
//! changed decides what an extension ships, not what a layer happens to hold: opening a file for writing is enough to
//! copy it up, and a program may write what was there before.
//!
//! Merging an extension is stacking it on the base with overlayfs, the extension on top. So a file that differs from
//! the base's hides that one, which is called shadowing here; a name that the base has and the image lacks cannot be
//! expressed, because systemd-sysext sees to it that no whiteout of an extension counts; and a directory in the place
//! of something else, or the reverse, hides everything that the base and the extensions below have there.

use std::fmt;

use super::Lint;
use super::caches::is_kept_cache;
use crate::tree::{ContentError, Entry, EntryKind, FileTree, TreePath, number_hard_links};

/// What an image makes of its base.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The entries that are new or changed, with their parent directories.
    pub tree: FileTree,
    /// What the tree has otherwise than the base, in the tree's order.
    pub shadowing: Vec<Shadowed>,
    /// What the base has and the image lacks, in the tree's order: the topmost names, whose contents went with them.
    pub deleted: Vec<TreePath>,
    /// How many names that are no directories' equal the base's.
    pub equal_count: usize,
}

/// A name of the base that an extension has otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shadowed {
    pub path: TreePath,
    pub change: Change,
}

/// In what an entry differs from the base's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Change {
    /// The bytes of a file, the target of a link, the numbers of a device, or the type of what is no directory.
    Content,
    /// Mode, owner or attributes alone.
    Metadata,
    /// A directory of the base is none: whatever it holds is hidden.
    DirectoryGone,
    /// What is no directory in the base is one: the base's file or link is hidden, with whatever it led to.
    DirectoryMade,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Content => "content",
            Self::Metadata => "metadata",
            Self::DirectoryGone => "directory-gone",
            Self::DirectoryMade => "directory-made",
        })
    }
}

impl Change {
    /// Tells in what two entries differ that are not the same.
    fn between(base: &Entry, image: &Entry) -> Result<Self, ContentError> {
        Ok(match (base.is_directory(), image.is_directory()) {
            (true, true) => Self::Metadata,
            (true, false) => Self::DirectoryGone,
            (false, true) => Self::DirectoryMade,
            (false, false) => {
                let is_same = match (&base.kind, &image.kind) {
                    (EntryKind::Regular(one), EntryKind::Regular(other)) => {
                        one.is_same_as(other)?
                    }
                    _ => Entry {
                        kind: image.kind.clone(),
                        ..base.clone()
                    }
                    .is_same_as(base)?,
                };
                if is_same {
                    Self::Metadata
                } else {
                    Self::Content
                }
            }
        })
    }
}

/// Returns what `image` adds to and changes of `base`.
///
/// An entry is dropped when the base has its equal: type, mode, owner, attributes, and content, target or device; times
/// and hard links do not count. A directory that equals the base's is kept, with the base's time, only where something
/// below it is. A new directory is kept, also when it is empty. It takes one walk over both trees, and reads a file
/// only where one of the same length and with the same metadata lies elsewhere on disk.
///
/// # Errors
/// A [`ContentError`] when a file cannot be read to compare it.
pub fn difference(base: &FileTree, image: &FileTree) -> Result<Payload, ContentError> {
    let mut kept: Vec<(TreePath, Entry)> = Vec::new();
    let mut shadowing = Vec::new();
    let mut deleted = Vec::new();
    let mut equal_count = 0;
    // From the end, contents come before their directory, so that it is known whether anything below it is kept.
    let mut of_base = base.iter().rev().peekable();
    for (path, entry) in image.iter().rev() {
        let mut found = None;
        while let Some((base_path, base_entry)) = of_base.next_if(|(name, _)| *name >= path) {
            if base_path == path {
                found = Some(base_entry);
            } else if is_topmost(image, base_path) {
                deleted.push(base_path.clone());
            }
        }
        let Some(found) = found else {
            kept.push((path.clone(), entry.clone()));
            continue;
        };
        let is_same = entry.is_same_as(found)?;
        if is_same && !entry.is_directory() {
            equal_count += 1;
        } else if is_same {
            let holds_more = kept.last().is_some_and(|(name, _)| name.starts_with(path));
            if holds_more || path.is_root() {
                kept.push((path.clone(), found.clone()));
            }
        } else {
            // The root is no part of what is merged.
            if !path.is_root() {
                let change = Change::between(found, entry)?;
                let path = path.clone();
                shadowing.push(Shadowed { path, change });
            }
            kept.push((path.clone(), entry.clone()));
        }
    }
    shadowing.reverse();
    deleted.reverse();
    number_hard_links(kept.iter_mut().rev().map(|(_, entry)| entry));
    let (_, root) = kept
        .pop()
        .expect("the root of a tree comes last and is kept");
    let mut tree = FileTree::new(root).expect("the root of a tree is a directory");
    for (path, entry) in kept.into_iter().rev() {
        tree.insert(path, entry)
            .expect("an entry is kept only with its parent directories");
    }
    Ok(Payload {
        tree,
        shadowing,
        deleted,
        equal_count,
    })
}

/// Returns what there is to know of what an extension's `tree` has otherwise than its base. Caches that are meant to be
/// so are told elsewhere.
///
/// # Errors
/// As [`difference`].
pub fn shadowing(base: &FileTree, tree: &FileTree) -> Result<Vec<Lint>, ContentError> {
    let mut shadowing = difference(base, tree)?.shadowing;
    shadowing.retain(|shadowed| !is_kept_cache(&shadowed.path));
    Ok(Lint::of_shadowing(&shadowing))
}

/// Tells whether the image has the directory in which `path`, which it lacks, would be.
fn is_topmost(image: &FileTree, path: &TreePath) -> bool {
    let parent = path.parent().and_then(|parent| image.get(&parent));
    parent.is_some_and(Entry::is_directory)
}

#[cfg(test)]
mod tests;
