//! The file tree of an image: one sorted, in-memory description that every writer reads.
//!
//! `capture` makes a [`FileTree`] from directories, `extension` and the filters here narrow it, and `format` writes
//! it. Contents stay where they are until a writer opens them, so nothing is copied. Invariants: the root directory is
//! always present, every entry's parent is a directory of the tree, and iteration order depends on names alone.

#[cfg(test)]
pub(crate) mod arbitrary;
mod compare;
mod content;
mod delta;
mod filter;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod links;
mod path;
mod resolve;

pub use self::content::{Content, ContentError, ContentReader, StoredContents};
pub use self::delta::Delta;
pub use self::links::number_hard_links;
pub use self::path::{InvalidTreePath, TreePath};
pub use self::resolve::{Resolved, UnresolvablePath, resolve};

use std::collections::BTreeMap;

/// A file system tree, sorted by path so that a directory precedes its contents.
#[derive(Clone, Debug)]
pub struct FileTree {
    entries: BTreeMap<TreePath, Entry>,
}

/// One name in the tree, with the metadata of its inode.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: EntryKind,
    /// The permission bits with setuid, setgid and sticky: `0o0000` to `0o7777`.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub modified: Timestamp,
    /// Extended attributes by full name (`user.x`, `security.capability`, `system.posix_acl_access`), values raw.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Names with the same group are hard links of one inode and agree in every other field.
    pub hard_link: Option<HardLinkGroup>,
}

/// What an entry is, with what only that type has.
#[derive(Clone, Debug)]
pub enum EntryKind {
    Directory,
    Regular(Content),
    /// The target is not resolved and may be any bytes but NUL.
    Symlink(Vec<u8>),
    CharacterDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
    Socket,
}

/// A device's major and minor number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceNumber {
    pub major: u32,
    pub minor: u32,
}

/// Identifies the inode that several names share.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HardLinkGroup(pub u64);

/// A point in time: seconds since 1970-01-01 UTC and nanoseconds below one second.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// An entry does not fit where it is inserted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    #[error("`/{path}` has no parent directory in the tree")]
    MissingParent { path: TreePath },
    #[error("`/{parent}` is not a directory, so `/{path}` cannot be below it")]
    ParentNotDirectory { path: TreePath, parent: TreePath },
    #[error("`/{path}` is a directory with contents and cannot become another type of file")]
    DirectoryNotEmpty { path: TreePath },
    #[error("the root of a tree must be a directory")]
    RootNotDirectory,
}

impl Timestamp {
    /// Returns the whole second `seconds` after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }
}

impl Entry {
    /// Returns a `root:root` entry without extended attributes.
    pub fn new(kind: EntryKind, mode: u16, modified: Timestamp) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            modified,
            xattrs: BTreeMap::new(),
            hard_link: None,
        }
    }

    /// Returns a `root:root` directory of mode 0755.
    pub fn directory(modified: Timestamp) -> Self {
        Self::new(EntryKind::Directory, 0o755, modified)
    }

    /// Tells whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory)
    }

    /// Returns the length of a regular file or symlink target in bytes, 0 for other types.
    pub fn size_bytes(&self) -> u64 {
        match &self.kind {
            EntryKind::Regular(content) => content.size_bytes(),
            EntryKind::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }
}

impl FileTree {
    /// Returns a tree that holds only the root directory `root`.
    ///
    /// # Errors
    /// [`InsertError::RootNotDirectory`] when `root` is not a directory.
    pub fn new(root: Entry) -> Result<Self, InsertError> {
        if !root.is_directory() {
            return Err(InsertError::RootNotDirectory);
        }
        Ok(Self {
            entries: BTreeMap::from([(TreePath::root(), root)]),
        })
    }

    /// Returns the root directory's entry.
    pub fn root(&self) -> &Entry {
        self.entries
            .get(&TreePath::root())
            .expect("a tree is made with a root and never loses it")
    }

    /// Returns the entry at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Returns the entry at `path` for changes to its metadata.
    ///
    /// The type of a directory must not be changed through it; [`FileTree::insert`] checks that and this does not.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Entry> {
        self.entries.get_mut(path)
    }

    /// Adds `entry` at `path`, in place of one that is there.
    ///
    /// # Errors
    /// An [`InsertError`] when the parent is missing or no directory, or a directory with contents would stop being one.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), InsertError> {
        match path.parent() {
            None if !entry.is_directory() => return Err(InsertError::RootNotDirectory),
            None => {}
            Some(parent) => match self.entries.get(&parent) {
                None => return Err(InsertError::MissingParent { path }),
                Some(found) if !found.is_directory() => {
                    return Err(InsertError::ParentNotDirectory { path, parent });
                }
                Some(_) => {}
            },
        }
        if !entry.is_directory() && self.has_children(&path) {
            return Err(InsertError::DirectoryNotEmpty { path });
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Removes the entry at `path` and everything below it; removing the root empties it instead.
    pub fn remove(&mut self, path: &TreePath) {
        let below: Vec<TreePath> = self
            .descendants(path)
            .map(|(below, _)| below.clone())
            .collect();
        for below in &below {
            self.entries.remove(below);
        }
        if !path.is_root() {
            self.entries.remove(path);
        }
    }

    /// Tells whether any entry lies below the directory `path`.
    pub fn has_children(&self, path: &TreePath) -> bool {
        self.descendants(path).next().is_some()
    }

    /// Iterates over what lies below `directory`, in the order of [`FileTree::iter`].
    pub fn descendants<'a>(
        &'a self,
        directory: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        self.entries
            .range((
                std::ops::Bound::Excluded(directory),
                std::ops::Bound::Unbounded,
            ))
            .take_while(|(path, _)| path.starts_with(directory))
    }

    /// Returns what lies directly in `directory`, by name.
    pub fn children(&self, directory: &TreePath) -> Vec<(&TreePath, &Entry)> {
        let depth = directory.components().count() + 1;
        let after = (
            std::ops::Bound::Excluded(directory),
            std::ops::Bound::Unbounded,
        );
        self.entries
            .range(after)
            .take_while(|(path, _)| path.starts_with(directory))
            .filter(|(path, _)| path.components().count() == depth)
            .collect()
    }

    /// Iterates over all entries, the root first, a directory before its contents, siblings by name as bytes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// Iterates over all entries for changes to their metadata, in the order of [`FileTree::iter`].
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&TreePath, &mut Entry)> {
        self.entries.iter_mut()
    }

    /// Returns the number of names, the root included.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests;
