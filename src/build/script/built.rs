//! Puts into an image what build scripts installed for it.

use super::super::{Error, extra};
use crate::tree::{FileTree, Timestamp, TreePath};

/// Adds `built` to `tree`, as extra trees are added, with its owners. Everything gets the time `time`: what a script
/// made is as old as its run, and what it copied as the sources were checked out.
pub(in crate::build) fn add_built(
    mut tree: FileTree,
    mut built: FileTree,
    time: Timestamp,
) -> Result<FileTree, Error> {
    for (_, entry) in built.iter_mut() {
        entry.modified = time;
    }
    extra::merge(&mut tree, &built, &TreePath::root(), time)?;
    Ok(tree)
}
