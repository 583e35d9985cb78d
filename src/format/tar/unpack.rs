//! Members of an archive become a tree.
//!
//! Everything happens inside the tree: an absolute name starts at its root, a symbolic link on the way to a name is
//! followed there, and a name with `..` is refused. Directories that no member speaks of are made, root's and open to
//! everybody.
//!
//! Layers of OCI images are archives of changes. A member `.wh.NAME` deletes `NAME`, and `.wh..wh..opq` all that the
//! layers below have in its directory ([image-spec, "Image Layer Filesystem Changeset"][layers]).
//!
//! [layers]: https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md

use std::sync::Arc;

use super::accounts::Accounts;
use super::reader::{Member, MemberKind, Members, ReadError};
use crate::format::budget::{Budget, OverBudget};
use crate::format::read_at::ReadAt;
use crate::tree::{
    self, Entry, EntryKind, FileTree, HardLinkGroup, InsertError, Timestamp, TreePath,
    UnresolvablePath,
};

/// `PATH_MAX`, which counts the NUL at the end.
const PATH_LIMIT_BYTES: usize = 4096;
/// `NAME_MAX`.
const NAME_LIMIT_BYTES: usize = 255;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names of the union file system that the marks come from, which speak of nothing in a layer.
const RESERVED: &[u8] = b".wh..wh.";

/// What members do to what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rules {
    /// What `tar --keep-directory-symlink` does: a directory leaves a link to a directory as it is.
    Archive,
    /// What a layer does: members replace, and whiteouts delete.
    Layer,
}

/// An archive cannot become a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    #[error(transparent)]
    Archive(#[from] ReadError),
    #[error("the name `{name}` of the member at byte {offset} cannot be in a tree: {reason}")]
    Name {
        name: String,
        offset: u64,
        reason: &'static str,
    },
    #[error("the member at byte {offset} is below `/{path}`, which is not a directory")]
    NotDirectory { path: TreePath, offset: u64 },
    #[error("the hard link `/{path}` at byte {offset} leads to `/{target}`, {reason}")]
    HardLink {
        path: TreePath,
        target: TreePath,
        offset: u64,
        reason: &'static str,
    },
    #[error("finding where the member at byte {offset} belongs")]
    FollowLinks {
        offset: u64,
        source: UnresolvablePath,
    },
    #[error("placing the member at byte {offset}")]
    Insert { offset: u64, source: InsertError },
}

impl From<OverBudget> for UnpackError {
    fn from(_: OverBudget) -> Self {
        Self::Archive(ReadError::TooLarge)
    }
}

/// Puts the members of `archive`, which is not compressed, into `tree`; `owner` says whose a member becomes.
///
/// # Errors
/// An [`UnpackError`]; the tree may have a part of the members then.
pub fn unpack(
    tree: &mut FileTree,
    archive: &Arc<dyn ReadAt>,
    rules: Rules,
    owner: &dyn Fn(&Member) -> (u32, u32),
) -> Result<(), UnpackError> {
    let next_group = tree
        .iter()
        .filter_map(|(_, entry)| entry.hard_link)
        .map(|HardLinkGroup(group)| group.saturating_add(1))
        .max()
        .unwrap_or(0);
    let mut unpacking = Unpacking {
        tree,
        rules,
        budget: Budget::of(archive.size_bytes()),
        next_group,
    };
    let accounts = Arc::new(accounts(unpacking.tree, archive)?);
    if rules == Rules::Layer {
        // They are about the layers below, wherever among its members they stand.
        for member in Members::new(archive.clone(), accounts.clone()) {
            unpacking.delete(&member?)?;
        }
    }
    for member in Members::new(archive.clone(), accounts.clone()) {
        let member = member?;
        let owner = owner(&member);
        unpacking.add(member, owner)?;
    }
    Ok(())
}

/// Returns the accounts of the tree, with those that the archive brings.
fn accounts(tree: &FileTree, archive: &Arc<dyn ReadAt>) -> Result<Accounts, ReadError> {
    let mut accounts = Accounts::of_tree(tree);
    // What names stand for cannot be asked before it is known.
    for member in Members::new(archive.clone(), Arc::new(Accounts::of_anybody())) {
        accounts.add_member(&member?);
    }
    Ok(accounts)
}

struct Unpacking<'a> {
    tree: &'a mut FileTree,
    rules: Rules,
    budget: Budget,
    next_group: u64,
}

impl Unpacking<'_> {
    /// Does what a whiteout says; anything else is left for later.
    fn delete(&mut self, member: &Member) -> Result<(), UnpackError> {
        let path = member_path(&member.name, member.offset_bytes)?;
        let Some(parent) = path
            .parent()
            .filter(|_| path.file_name().starts_with(WHITEOUT))
        else {
            return Ok(());
        };
        let resolved = self.resolve(&parent, member.offset_bytes)?;
        if !resolved.exists {
            return Ok(());
        }
        if path.file_name() == OPAQUE {
            let names: Vec<TreePath> = self
                .tree
                .descendants(&resolved.path)
                .map(|(path, _)| path.clone())
                .filter(|below| below.parent().as_ref() == Some(&resolved.path))
                .collect();
            names.iter().for_each(|path| self.tree.remove(path));
        } else if !path.file_name().starts_with(RESERVED) {
            let name = &path.file_name()[WHITEOUT.len()..];
            let deleted = resolved.path.join(name).map_err(|_| UnpackError::Name {
                name: String::from_utf8_lossy(&member.name).into_owned(),
                offset: member.offset_bytes,
                reason: "it deletes no name",
            })?;
            self.tree.remove(&deleted);
        }
        Ok(())
    }

    fn resolve(&self, path: &TreePath, offset: u64) -> Result<tree::Resolved, UnpackError> {
        tree::resolve(path, |path| self.tree.get(path))
            .map_err(|source| UnpackError::FollowLinks { offset, source })
    }

    fn add(&mut self, member: Member, (uid, gid): (u32, u32)) -> Result<(), UnpackError> {
        let offset = member.offset_bytes;
        let path = member_path(&member.name, offset)?;
        if self.rules == Rules::Layer && path.file_name().starts_with(WHITEOUT) {
            return Ok(());
        }
        let place = match path.parent() {
            Some(parent) => self
                .make_directory(&parent, member.modified, offset)?
                .join(path.file_name())
                .expect("the last component of a tree path is a name"),
            None => path,
        };
        let kind = match member.kind {
            MemberKind::HardLink(target) => return self.link(place, &target, offset),
            MemberKind::Directory => EntryKind::Directory,
            MemberKind::Regular(content) => EntryKind::Regular(content),
            MemberKind::Symlink(target) => {
                check_target(&target, offset)?;
                EntryKind::Symlink(target)
            }
            MemberKind::CharacterDevice(number) => EntryKind::CharacterDevice(number),
            MemberKind::BlockDevice(number) => EntryKind::BlockDevice(number),
            MemberKind::Fifo => EntryKind::Fifo,
        };
        let mut entry = Entry::new(kind, member.mode, member.modified);
        (entry.uid, entry.gid, entry.xattrs) = (uid, gid, member.xattrs);
        if entry.is_directory() && self.keeps_link(&place, offset)? {
            return Ok(());
        }
        self.insert(place, entry, offset)
    }

    /// Tells whether `place` is a link to a directory, which a member that is a directory leaves there.
    fn keeps_link(&self, place: &TreePath, offset: u64) -> Result<bool, UnpackError> {
        let is_link = |entry: &Entry| matches!(entry.kind, EntryKind::Symlink(_));
        if self.rules == Rules::Layer || !self.tree.get(place).is_some_and(is_link) {
            return Ok(false);
        }
        let resolved = self.resolve(place, offset)?;
        Ok(self
            .tree
            .get(&resolved.path)
            .is_some_and(Entry::is_directory))
    }

    fn link(&mut self, place: TreePath, target: &[u8], offset: u64) -> Result<(), UnpackError> {
        check_target(target, offset)?;
        let target = member_path(target, offset)?;
        let first = match target.parent() {
            Some(parent) => self
                .resolve(&parent, offset)?
                .path
                .join(target.file_name())
                .expect("the last component of a tree path is a name"),
            None => target,
        };
        let failed = |reason| UnpackError::HardLink {
            path: place.clone(),
            target: first.clone(),
            offset,
            reason,
        };
        if place == first {
            return Err(failed("which is itself"));
        }
        let found = match self.tree.get_mut(&first) {
            None => return Err(failed("which is not there")),
            Some(found) if found.is_directory() => return Err(failed("which is a directory")),
            Some(found) => found,
        };
        if found.hard_link.is_none() {
            found.hard_link = Some(HardLinkGroup(self.next_group));
            self.next_group += 1;
        }
        let entry = found.clone();
        let attributes = entry.xattrs.iter();
        let attribute_bytes = attributes.map(|(name, value)| (name.len() + value.len()) as u64);
        self.budget.take(attribute_bytes.sum())?;
        self.insert(place, entry, offset)
    }

    /// Returns the directory that `path` leads to, after making it and those above it.
    fn make_directory(
        &mut self,
        path: &TreePath,
        modified: Timestamp,
        offset: u64,
    ) -> Result<TreePath, UnpackError> {
        let resolved = self.resolve(path, offset)?;
        if resolved.exists
            && self
                .tree
                .get(&resolved.path)
                .is_some_and(Entry::is_directory)
        {
            return Ok(resolved.path);
        }
        let mut reached = TreePath::root();
        for name in resolved.path.components() {
            reached = reached
                .join(name)
                .expect("components of a tree path are names");
            match self.tree.get(&reached) {
                Some(found) if found.is_directory() => {}
                Some(_) => {
                    return Err(UnpackError::NotDirectory {
                        path: reached,
                        offset,
                    });
                }
                None => self.insert(reached.clone(), Entry::directory(modified), offset)?,
            }
        }
        Ok(reached)
    }

    fn insert(&mut self, path: TreePath, entry: Entry, offset: u64) -> Result<(), UnpackError> {
        self.budget.take_entry(path.as_bytes().len())?;
        if !entry.is_directory() && !path.is_root() && self.tree.has_children(&path) {
            self.tree.remove(&path);
        }
        self.tree
            .insert(path, entry)
            .map_err(|source| UnpackError::Insert { offset, source })
    }
}

/// Returns where a member belongs, before links are followed.
fn member_path(name: &[u8], offset: u64) -> Result<TreePath, UnpackError> {
    let failed = |reason| UnpackError::Name {
        name: String::from_utf8_lossy(&name[..name.len().min(PATH_LIMIT_BYTES)]).into_owned(),
        offset,
        reason,
    };
    if name.len() >= PATH_LIMIT_BYTES {
        return Err(failed("it has 4096 bytes or more"));
    }
    let components = || {
        name.split(|byte| *byte == b'/')
            .filter(|name| !matches!(*name, b"" | b"."))
    };
    if components().any(|name| name == b"..") {
        return Err(failed("`..` is not allowed"));
    }
    if components().any(|name| name.len() > NAME_LIMIT_BYTES) {
        return Err(failed("a part of it has more than 255 bytes"));
    }
    let normal = components().collect::<Vec<_>>().join(&b'/');
    TreePath::new(normal).map_err(|error| failed(error.reason))
}

fn check_target(target: &[u8], offset: u64) -> Result<(), UnpackError> {
    let reason = match target.len() {
        0 => "a link leads nowhere",
        PATH_LIMIT_BYTES.. => "it has 4096 bytes or more",
        _ if target.contains(&0) => "it contains a NUL byte",
        _ => return Ok(()),
    };
    Err(UnpackError::Name {
        name: String::from_utf8_lossy(&target[..target.len().min(PATH_LIMIT_BYTES)]).into_owned(),
        offset,
        reason,
    })
}

#[cfg(test)]
mod tests;
