//! Trees of tar archives.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::format::read_at::ReadAt;
use crate::format::tar::reader::Member;
use crate::format::tar::unpack::{Rules, unpack};
use crate::tree::{Entry, FileTree, Timestamp, TreePath};

/// Where a running system has what belongs to no image; mkosi leaves the same out.
const LEFT_EMPTY: [&str; 6] = ["dev", "proc", "sys", "tmp", "run", "var/tmp"];

/// Says who owns a member.
pub(super) type OwnerOf<'a> = &'a dyn Fn(&Member) -> (u32, u32);

/// Owners by number: what they were called where an archive was made says nothing here.
pub(super) fn numeric(member: &Member) -> (u32, u32) {
    (member.uid, member.gid)
}

/// Returns all that is in the archive `bytes`.
pub(super) fn whole(
    path: &Path,
    bytes: &Arc<dyn ReadAt>,
    owner: OwnerOf<'_>,
) -> Result<FileTree, Error> {
    let mut tree = FileTree::new(Entry::directory(Timestamp::default()))
        .expect("the root is made as a directory");
    unpack(&mut tree, bytes, Rules::Archive, owner).map_err(|source| Error::Archive {
        path: path.into(),
        source,
    })?;
    Ok(tree)
}

/// Leaves out what lies in directories that a running system fills.
pub(super) fn without_runtime_files(tree: FileTree) -> FileTree {
    let empty = LEFT_EMPTY.map(|name| TreePath::new(name).expect("it is a path inside a tree"));
    tree.retain(|path, _| {
        !empty
            .iter()
            .any(|directory| path != directory && path.starts_with(directory))
    })
}
