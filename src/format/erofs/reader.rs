//! Reads an EROFS image back into a [`FileTree`], whoever made it.
//!
//! The image is untrusted: every offset is checked, nothing recurses, a directory is entered once, and the memory that
//! a tree takes is bounded by the size of the image. The order of names is checked, as the kernel's search needs it.
//! Contents stay in the image until they are opened; then one extent at a time is held, at most 13 MiB.

mod clusters;
mod contents;
mod decode;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod superblock;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub(super) use self::contents::{Contents, Packed};
pub(super) use self::superblock::ReadSuperBlock;
pub use super::image::Image;

use self::contents::ContentStream;
use super::image::{Xattr, decode_directory_block};
use super::layout::{Dirent, Inode, align, file_type};
use crate::format::budget::{Budget, OverBudget};
use crate::format::codec::CodecError;
use crate::format::file_system::Description;
use crate::format::growing::{GrowingTree, Misfit};
use crate::format::inodes::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, decode_device,
};
use crate::format::read_at::ImageBytes;
use crate::tree::{
    Content, Entry, EntryKind, FileTree, InsertError, InvalidTreePath, StoredContents, TreePath,
};

/// `PATH_MAX`: the kernel follows no longer target.
const TARGET_LIMIT_BYTES: u64 = 4096;

/// An image is not one of EROFS, not one that this reader knows, or damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("there is no EROFS superblock")]
    NotErofs,
    #[error("the superblock's checksum is {expected:#010x} and {found:#010x} was computed")]
    Checksum { expected: u32, found: u32 },
    #[error("the image needs the features {bits:#x}, which are not known")]
    UnsupportedFeatures { bits: u32 },
    #[error("the image has blocks of 2^{bits} bytes, and 2^9 to 2^16 are known")]
    UnsupportedBlockSize { bits: u8 },
    #[error("the image is spread over several devices, and only one can be read")]
    ExtraDevices,
    #[error("inode {nid} has the data layout {layout}, which is not known")]
    UnsupportedLayout { nid: u64, layout: u16 },
    #[error("inode {nid} is compressed in an unknown way: {reason}")]
    UnsupportedCompression { nid: u64, reason: &'static str },
    #[error("inode {nid} is damaged: {reason}")]
    Damaged { nid: u64, reason: &'static str },
    #[error("inode {nid} points outside the image: {size_bytes} bytes at {offset}")]
    OutOfBounds {
        nid: u64,
        offset: u64,
        size_bytes: u64,
    },
    #[error("the prefixes of extended attributes are damaged")]
    Prefixes,
    #[error("the tree takes more memory than an image of this size should need")]
    TooLarge,
    #[error("decompressing what inode {nid} stores at {offset}")]
    Decompress {
        nid: u64,
        offset: u64,
        source: CodecError,
    },
    #[error("a name in directory {nid} cannot be in a tree")]
    InvalidName { nid: u64, source: InvalidTreePath },
    #[error("a name in directory {nid} does not fit into the tree")]
    Insert { nid: u64, source: InsertError },
    #[error("reading the image")]
    Read { source: io::Error },
}

impl From<OverBudget> for ReadError {
    fn from(OverBudget: OverBudget) -> Self {
        Self::TooLarge
    }
}

impl ReadError {
    fn of_misfit(misfit: Misfit, nid: u64, directory_nid: u64) -> Self {
        match misfit {
            Misfit::Inode { reason } => Self::Damaged { nid, reason },
            Misfit::Name { source } => Self::InvalidName {
                nid: directory_nid,
                source,
            },
            Misfit::Place { source } => Self::Insert {
                nid: directory_nid,
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
    /// Reads the tree. Inodes with several names get a [`HardLinkGroup`](crate::tree::HardLinkGroup) of their nid.
    ///
    /// # Errors
    /// A [`ReadError`] that says what is unknown or damaged.
    pub fn tree(self: &Arc<Self>) -> Result<FileTree, ReadError> {
        let root_nid = u64::from(self.superblock.common.root_nid);
        let root = self.inode(root_nid)?;
        let walk = Walk {
            contents: Arc::new(Stored(self.clone())),
            image: self,
        };
        let mut budget = Budget::of(self.bytes.size_bytes());
        let root = walk.entry(root_nid, &root, &mut budget)?;
        let mut growing =
            GrowingTree::new(budget, root_nid, root).map_err(|source| ReadError::Insert {
                nid: root_nid,
                source,
            })?;
        let mut pending = vec![(TreePath::root(), root_nid, root_nid)];
        while let Some((path, nid, parent_nid)) = pending.pop() {
            walk.read_directory(&path, nid, parent_nid, &mut growing, &mut pending)?;
        }
        Ok(growing.finish())
    }

    /// Returns what the superblock says.
    pub fn description(&self) -> Description {
        self.superblock.describe()
    }
}

/// The image out of which the contents of its tree are read.
#[derive(Debug)]
struct Stored(Arc<Image>);

impl StoredContents for Stored {
    fn open(&self, inode: u64) -> io::Result<Box<dyn io::Read + Send>> {
        match ContentStream::new(self.0.clone(), inode) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(io::Error::other(error)),
        }
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
        nid: u64,
        parent_nid: u64,
        growing: &mut GrowingTree,
        pending: &mut Vec<(TreePath, u64, u64)>,
    ) -> Result<(), ReadError> {
        let damaged = |reason| ReadError::Damaged { nid, reason };
        let inode = self.image.inode(nid)?;
        let mut contents = Contents::of(self.image, nid, &inode)?;
        let block_bytes = self.image.superblock.directory_block_bytes;
        let mut previous: Vec<u8> = Vec::new();
        let mut dots = 0;
        let mut offset = 0;
        while offset < contents.size_bytes() {
            let length = block_bytes.min(contents.size_bytes() - offset);
            let block =
                contents.read_exact(self.image, offset, usize::try_from(length).unwrap_or(0))?;
            offset += length;
            for (dirent, name) in decode_directory_block(&block)
                .ok_or_else(|| damaged("a block of the directory is malformed"))?
            {
                // No name is empty, so the first one comes after this.
                if previous.as_slice() >= name {
                    return Err(damaged("its names are not sorted"));
                }
                previous.clear();
                previous.extend_from_slice(name);
                match name {
                    b"." | b".." => {
                        let expected = if name == b"." { nid } else { parent_nid };
                        if dirent.nid != expected {
                            return Err(damaged("`.` or `..` is another directory"));
                        }
                        dots += 1;
                    }
                    _ => {
                        let child = self.insert(path, nid, name, dirent, growing)?;
                        pending.extend(child.map(|child| (child, dirent.nid, nid)));
                    }
                }
            }
        }
        if dots == 2 {
            Ok(())
        } else {
            Err(damaged("it lacks `.` or `..`"))
        }
    }

    /// Puts a name into the tree; returns its path if it is a directory.
    fn insert(
        &self,
        directory: &TreePath,
        directory_nid: u64,
        name: &[u8],
        dirent: Dirent,
        growing: &mut GrowingTree,
    ) -> Result<Option<TreePath>, ReadError> {
        let nid = dirent.nid;
        let misfit = |misfit| ReadError::of_misfit(misfit, nid, directory_nid);
        let path = growing.path(directory, name).map_err(misfit)?;
        let inode = self.image.inode(nid)?;
        if file_type(inode.i_mode) != dirent.file_type {
            return Err(ReadError::Damaged {
                nid,
                reason: "its directory entry has another type",
            });
        }
        let is_directory = inode.i_mode & S_IFMT == S_IFDIR;
        let entry = match growing.known(nid, is_directory).map_err(misfit)? {
            Some(entry) => entry,
            None => self.entry(nid, &inode, &mut growing.budget)?,
        };
        growing.insert(path.clone(), nid, entry).map_err(misfit)?;
        Ok(is_directory.then_some(path))
    }

    fn entry(&self, nid: u64, inode: &Inode, budget: &mut Budget) -> Result<Entry, ReadError> {
        let damaged = |reason| ReadError::Damaged { nid, reason };
        let kind = match inode.i_mode & S_IFMT {
            S_IFDIR => EntryKind::Directory,
            S_IFREG => {
                // Contents without end would be found out only when they are opened.
                Contents::of(self.image, nid, inode)?;
                let contents = self.contents.clone();
                EntryKind::Regular(Content::from_image(contents, nid, inode.i_size))
            }
            S_IFLNK if inode.i_size >= TARGET_LIMIT_BYTES => {
                return Err(damaged("its target is too long"));
            }
            S_IFLNK => EntryKind::Symlink(self.target(nid, inode, budget)?),
            S_IFCHR => EntryKind::CharacterDevice(decode_device(inode.i_u)),
            S_IFBLK => EntryKind::BlockDevice(decode_device(inode.i_u)),
            S_IFIFO => EntryKind::Fifo,
            S_IFSOCK => EntryKind::Socket,
            _ => return Err(damaged("its type is unknown")),
        };
        let mut xattrs = BTreeMap::new();
        for Xattr { name, value } in self.image.xattrs(nid, inode)? {
            budget.take(align((name.len() + value.len()) as u64, 16))?;
            if xattrs.insert(name, value).is_some() {
                return Err(damaged("an extended attribute is there twice"));
            }
        }
        Ok(Entry {
            kind,
            mode: inode.i_mode & !S_IFMT,
            uid: inode.i_uid,
            gid: inode.i_gid,
            modified: inode
                .i_mtime
                .unwrap_or(self.image.superblock.common.build_time),
            xattrs,
            hard_link: None,
        })
    }

    fn target(&self, nid: u64, inode: &Inode, budget: &mut Budget) -> Result<Vec<u8>, ReadError> {
        budget.take(inode.i_size)?;
        let length = usize::try_from(inode.i_size).unwrap_or(0);
        Contents::of(self.image, nid, inode)?.read_exact(self.image, 0, length)
    }
}

#[cfg(test)]
mod tests;
