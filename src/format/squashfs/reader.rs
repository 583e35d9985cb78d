//! Reads a squashfs image back into a [`FileTree`], whoever made it.
//!
//! The image is untrusted: every offset is checked, nothing recurses, a directory is entered once, and the memory that
//! a tree takes is bounded by the size of the image. The order of names and the indexes of directories are checked, as
//! the kernel's search needs them. Contents stay in the image until they are opened; then one block at a time is held.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::contents::{Contents, block_count};
use super::entries::{Entries, Found};
use super::image::Cursor;
pub use super::image::Image;
use super::layout::{FileInode, Inode, InodeKind, METADATA_LENGTH, NO_XATTRS, Place};
use super::xattr;
use crate::format::budget::{Budget, OverBudget};
use crate::format::codec::CodecError;
use crate::format::growing::{GrowingTree, Misfit};
use crate::format::inodes::decode_device;
use crate::format::read_at::ImageBytes;
use crate::tree::{
    Content, Entry, EntryKind, FileTree, InsertError, InvalidTreePath, StoredContents, Timestamp,
    TreePath,
};

/// `PATH_MAX` without its NUL: the kernel follows no longer target.
pub(super) const TARGET_LIMIT_BYTES: u32 = 4095;

/// An image is not one of squashfs, not one that this reader knows, or damaged.
///
/// Inodes are named by the references to their places.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("there is no superblock of squashfs 4.0")]
    NotSquashfs,
    #[error("the image is compressed in the way {number}, and gzip, xz, lz4 and zstd are known")]
    UnsupportedCompression { number: u16 },
    #[error("the image has blocks of {bytes} bytes, and 4096 to 1048576 are known")]
    UnsupportedBlockSize { bytes: u32 },
    #[error("the image should have {expected_bytes} bytes and has {found_bytes}")]
    CutOff {
        expected_bytes: u64,
        found_bytes: u64,
    },
    #[error("the superblock is damaged: {reason}")]
    Superblock { reason: &'static str },
    #[error("the metadata block at {offset} is damaged: {reason}")]
    Metadata { offset: u64, reason: &'static str },
    #[error("the block at {offset} is damaged: {reason}")]
    Block { offset: u64, reason: &'static str },
    #[error("inode {inode:#x} is damaged: {reason}")]
    Damaged { inode: u64, reason: &'static str },
    #[error("something is looked for at {offset}, which is outside the image")]
    OutOfBounds { offset: u64 },
    #[error("the tree takes more memory than an image of this size should need")]
    TooLarge,
    #[error("decompressing what is stored at {offset}")]
    Decompress { offset: u64, source: CodecError },
    #[error("a name in directory {inode:#x} cannot be in a tree")]
    InvalidName { inode: u64, source: InvalidTreePath },
    #[error("a name in directory {inode:#x} does not fit into the tree")]
    Insert { inode: u64, source: InsertError },
    #[error("reading the image")]
    Read { source: io::Error },
}

impl From<OverBudget> for ReadError {
    fn from(OverBudget: OverBudget) -> Self {
        Self::TooLarge
    }
}

impl ReadError {
    fn of_misfit(misfit: Misfit, inode: u64, directory: u64) -> Self {
        match misfit {
            Misfit::Inode { reason } => Self::Damaged { inode, reason },
            Misfit::Name { source } => Self::InvalidName {
                inode: directory,
                source,
            },
            Misfit::Place { source } => Self::Insert {
                inode: directory,
                source,
            },
            Misfit::OverBudget => Self::TooLarge,
        }
    }
}

/// Reads the tree in an image that is held in memory.
///
/// # Errors
/// A [`ReadError`] that says what is unknown or damaged.
pub fn read_tree(image: &[u8]) -> Result<FileTree, ReadError> {
    let image = Image::open(Arc::new(ImageBytes::new(image)))?;
    Arc::new(image).tree()
}

impl Image {
    /// Reads the tree. Inodes with several names get a [`HardLinkGroup`](crate::tree::HardLinkGroup) of the references
    /// to their places.
    ///
    /// # Errors
    /// A [`ReadError`] that says what is unknown or damaged.
    pub fn tree(self: &Arc<Self>) -> Result<FileTree, ReadError> {
        let root_place = Place::of_reference(self.superblock.root_inode);
        let walk = Walk {
            contents: Arc::new(Contents(self.clone())),
            image: self,
        };
        let (inode, cursor) = self.inode(root_place)?;
        let mut budget = Budget::of(self.bytes.size_bytes());
        let root = walk.entry(root_place, &inode, cursor, &mut budget)?;
        let number = root_place.reference();
        let mut growing =
            GrowingTree::new(budget, number, root).map_err(|source| ReadError::Insert {
                inode: number,
                source,
            })?;
        let mut pending = vec![(TreePath::root(), root_place)];
        while let Some((path, place)) = pending.pop() {
            walk.read_directory(&path, place, &mut growing, &mut pending)?;
        }
        Ok(growing.finish())
    }
}

/// What is needed while the directories are read.
struct Walk<'a> {
    image: &'a Image,
    contents: Arc<dyn StoredContents>,
}

impl Walk<'_> {
    fn read_directory(
        &self,
        path: &TreePath,
        place: Place,
        growing: &mut GrowingTree,
        pending: &mut Vec<(TreePath, Place)>,
    ) -> Result<(), ReadError> {
        let image = self.image;
        let (inode, index) = image.inode(place)?;
        let InodeKind::Directory(directory) = inode.kind else {
            return Err(ReadError::Damaged {
                inode: place.reference(),
                reason: "it is no directory",
            });
        };
        let mut entries = Entries::new(image, place.reference(), directory)?;
        while let Some(found) = entries.next()? {
            let child = self.insert(path, place, entries.name(), found, growing)?;
            pending.extend(child.map(|child| (child, found.place)));
        }
        entries.check_index(index)
    }

    /// Puts a name into the tree; returns its path if it is a directory.
    fn insert(
        &self,
        directory: &TreePath,
        directory_place: Place,
        name: &[u8],
        Found { place, kind }: Found,
        growing: &mut GrowingTree,
    ) -> Result<Option<TreePath>, ReadError> {
        let number = place.reference();
        let misfit = |misfit| ReadError::of_misfit(misfit, number, directory_place.reference());
        let path = growing.path(directory, name).map_err(misfit)?;
        let (inode, cursor) = self.image.inode(place)?;
        if inode.kind.basic_type() != kind {
            return Err(ReadError::Damaged {
                inode: number,
                reason: "its directory entry has another type",
            });
        }
        let is_directory = matches!(inode.kind, InodeKind::Directory(_));
        let entry = match growing.known(number, is_directory).map_err(misfit)? {
            Some(entry) => entry,
            None => self.entry(place, &inode, cursor, &mut growing.budget)?,
        };
        growing
            .insert(path.clone(), number, entry)
            .map_err(misfit)?;
        Ok(is_directory.then_some(path))
    }

    fn entry(
        &self,
        place: Place,
        inode: &Inode,
        mut following: Cursor<'_>,
        budget: &mut Budget,
    ) -> Result<Entry, ReadError> {
        let damaged = |reason| ReadError::Damaged {
            inode: place.reference(),
            reason,
        };
        let kind = match inode.kind {
            InodeKind::Directory(_) => EntryKind::Directory,
            InodeKind::File(file) => {
                self.check_blocks(&file).map_err(damaged)?;
                let contents = self.contents.clone();
                let content = Content::from_image(contents, place.reference(), file.file_size);
                EntryKind::Regular(content)
            }
            InodeKind::Symlink { symlink_size } => {
                if symlink_size > TARGET_LIMIT_BYTES {
                    return Err(damaged("its target is too long"));
                }
                budget.take(symlink_size.into())?;
                EntryKind::Symlink(following.bytes(symlink_size as usize)?)
            }
            InodeKind::BlockDevice { rdev } => EntryKind::BlockDevice(decode_device(rdev)),
            InodeKind::CharacterDevice { rdev } => EntryKind::CharacterDevice(decode_device(rdev)),
            InodeKind::Fifo => EntryKind::Fifo,
            InodeKind::Socket => EntryKind::Socket,
        };
        let id = |index: u16| {
            let id = self.image.ids.get(usize::from(index));
            id.copied()
                .ok_or_else(|| damaged("its owner is in no table"))
        };
        Ok(Entry {
            kind,
            mode: inode.mode & 0o7777,
            uid: id(inode.uid)?,
            gid: id(inode.gid)?,
            modified: Timestamp::from_seconds(inode.mtime.into()),
            xattrs: match inode.xattr {
                NO_XATTRS => BTreeMap::new(),
                number => xattr::read(self.image, number, place, budget)?,
            },
            hard_link: None,
        })
    }

    /// Checks that a file's list of blocks can be there; its end would be found out only when the content is read.
    fn check_blocks(&self, file: &FileInode) -> Result<(), &'static str> {
        let table = &self.image.superblock;
        let table_bytes = table.directory_table_start - table.inode_table_start;
        let blocks = block_count(file, table.block_size);
        // A metadata block takes three bytes at least.
        let list_bytes = blocks
            .div_ceil(METADATA_LENGTH as u64 / 4)
            .saturating_sub(1)
            * 3;
        match list_bytes <= table_bytes {
            true => Ok(()),
            false => Err("it has more blocks than the image"),
        }
    }
}
