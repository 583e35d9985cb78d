//! Reads an uncompressed EROFS image back into a [`FileTree`], for tests and tools.
//!
//! The image is untrusted: every offset is checked, nothing recurses, a directory is entered once, and the memory that
//! a tree takes is bounded by the size of the image. The order of names is checked, as the kernel's search needs it.

use std::collections::{BTreeMap, HashMap};

use super::image::{Image, Xattr, decode_directory_block};
use super::layout::{BLOCK_BYTES, BLOCK_LENGTH, Dirent, Inode, align, file_type};
use crate::format::inodes::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, decode_device,
};
use crate::tree::{
    Content, Entry, EntryKind, FileTree, HardLinkGroup, InsertError, InvalidTreePath, TreePath,
};

/// `PATH_MAX`; without a limit, deep directories would take memory with the square of the image's size.
const PATH_LIMIT_BYTES: usize = 4096;
/// How much more than the size of the image its contents, attributes and paths may be, as inodes can share attributes
/// and paths repeat the names of directories.
const DECODED_EXCESS_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

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
    #[error("the image has blocks of 2^{bits} bytes and only 4096 are known")]
    UnsupportedBlockSize { bits: u8 },
    #[error("inode {nid} has the data layout {layout}, which is not known")]
    UnsupportedLayout { nid: u64, layout: u16 },
    #[error("inode {nid} is damaged: {reason}")]
    Damaged { nid: u64, reason: &'static str },
    #[error("inode {nid} points outside the image: {size_bytes} bytes at {offset}")]
    OutOfBounds {
        nid: u64,
        offset: u64,
        size_bytes: u64,
    },
    #[error("the contents are larger than the image can hold")]
    TooLarge,
    #[error("a name in directory {nid} cannot be in a tree")]
    InvalidName { nid: u64, source: InvalidTreePath },
    #[error("a name in directory {nid} does not fit into the tree")]
    Insert { nid: u64, source: InsertError },
}

/// Reads the tree in `image`.
///
/// Contents are copied into memory. Inodes with several names get a [`HardLinkGroup`] of their nid.
///
/// # Errors
/// A [`ReadError`] that says what is unknown or damaged.
pub fn read_tree(image: &[u8]) -> Result<FileTree, ReadError> {
    let image = Image::open(image)?;
    let root_nid = u64::from(image.superblock.root_nid);
    let root = image.inode(root_nid)?;
    let mut walk = Walk {
        remaining_bytes: image.bytes.len() as u64 + DECODED_EXCESS_LIMIT_BYTES,
        names: HashMap::new(),
        image,
    };
    let entry = walk.entry(root_nid, &root)?;
    let mut tree = FileTree::new(entry).map_err(|source| ReadError::Insert {
        nid: root_nid,
        source,
    })?;
    walk.names.insert(root_nid, vec![TreePath::root()]);
    let mut pending = vec![(TreePath::root(), root_nid, root_nid)];
    while let Some((path, nid, parent_nid)) = pending.pop() {
        walk.read_directory(&path, nid, parent_nid, &mut tree, &mut pending)?;
    }
    for (nid, names) in walk.names.iter().filter(|(_, names)| names.len() > 1) {
        for name in names {
            if let Some(entry) = tree.get_mut(name) {
                entry.hard_link = Some(HardLinkGroup(*nid));
            }
        }
    }
    Ok(tree)
}

/// What is known while the directories are read.
struct Walk<'a> {
    image: Image<'a>,
    /// How many bytes of contents, attributes and paths may still be decoded.
    remaining_bytes: u64,
    /// The names of each inode.
    names: HashMap<u64, Vec<TreePath>>,
}

impl Walk<'_> {
    fn read_directory(
        &mut self,
        path: &TreePath,
        nid: u64,
        parent_nid: u64,
        tree: &mut FileTree,
        pending: &mut Vec<(TreePath, u64, u64)>,
    ) -> Result<(), ReadError> {
        let damaged = |reason| ReadError::Damaged { nid, reason };
        let inode = self.image.inode(nid)?;
        let (blocks, tail) = self.image.contents(nid, &inode)?;
        self.account(inode.i_size)?;
        let mut previous: Option<&[u8]> = None;
        let mut dots = 0;
        for block in blocks
            .chunks(BLOCK_LENGTH)
            .chain((!tail.is_empty()).then_some(tail))
        {
            for (dirent, name) in decode_directory_block(block)
                .ok_or_else(|| damaged("a block of the directory is malformed"))?
            {
                if previous.is_some_and(|previous| previous >= name) {
                    return Err(damaged("its names are not sorted"));
                }
                previous = Some(name);
                match name {
                    b"." | b".." => {
                        let expected = if name == b"." { nid } else { parent_nid };
                        if dirent.nid != expected {
                            return Err(damaged("`.` or `..` is another directory"));
                        }
                        dots += 1;
                    }
                    _ => {
                        let child = self.insert(path, nid, name, dirent, tree)?;
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
        &mut self,
        directory: &TreePath,
        directory_nid: u64,
        name: &[u8],
        dirent: Dirent,
        tree: &mut FileTree,
    ) -> Result<Option<TreePath>, ReadError> {
        let nid = dirent.nid;
        if directory.as_bytes().len() + name.len() >= PATH_LIMIT_BYTES {
            return Err(ReadError::Damaged {
                nid,
                reason: "its path is longer than 4096 bytes",
            });
        }
        let path = directory
            .join(name)
            .map_err(|source| ReadError::InvalidName {
                nid: directory_nid,
                source,
            })?;
        // The tree and the names of its inodes hold the path, which may be hundreds of times as long as its entry here.
        self.account(2 * path.as_bytes().len() as u64)?;
        let inode = self.image.inode(nid)?;
        if file_type(inode.i_mode) != dirent.file_type {
            return Err(ReadError::Damaged {
                nid,
                reason: "its directory entry has another type",
            });
        }
        let is_directory = inode.i_mode & S_IFMT == S_IFDIR;
        let entry = match self.names.get(&nid).and_then(|names| names.first()) {
            Some(_) if is_directory => {
                return Err(ReadError::Damaged {
                    nid,
                    reason: "it is a directory with several names",
                });
            }
            Some(first) => tree.get(first).cloned(),
            None => None,
        };
        let entry = match entry {
            Some(entry) => {
                self.account(copied_bytes(&entry))?;
                entry
            }
            None => self.entry(nid, &inode)?,
        };
        tree.insert(path.clone(), entry)
            .map_err(|source| ReadError::Insert {
                nid: directory_nid,
                source,
            })?;
        self.names.entry(nid).or_default().push(path.clone());
        Ok(is_directory.then_some(path))
    }

    fn entry(&mut self, nid: u64, inode: &Inode) -> Result<Entry, ReadError> {
        let damaged = |reason| ReadError::Damaged { nid, reason };
        let kind = match inode.i_mode & S_IFMT {
            S_IFDIR => EntryKind::Directory,
            S_IFREG => EntryKind::Regular(Content::from_bytes(self.whole(nid, inode)?)),
            S_IFLNK if inode.i_size >= BLOCK_BYTES => {
                return Err(damaged("its target is too long"));
            }
            S_IFLNK => EntryKind::Symlink(self.whole(nid, inode)?),
            S_IFCHR => EntryKind::CharacterDevice(decode_device(inode.i_u)),
            S_IFBLK => EntryKind::BlockDevice(decode_device(inode.i_u)),
            S_IFIFO => EntryKind::Fifo,
            S_IFSOCK => EntryKind::Socket,
            _ => return Err(damaged("its type is unknown")),
        };
        let mut xattrs = BTreeMap::new();
        for Xattr { name, value, .. } in self.image.xattrs(nid, inode)? {
            self.account(align((name.len() + value.len()) as u64, 16))?;
            if xattrs.insert(name, value.to_vec()).is_some() {
                return Err(damaged("an extended attribute is there twice"));
            }
        }
        Ok(Entry {
            kind,
            mode: inode.i_mode & !S_IFMT,
            uid: inode.i_uid,
            gid: inode.i_gid,
            modified: inode.i_mtime.unwrap_or(self.image.superblock.build_time),
            xattrs,
            hard_link: None,
        })
    }

    fn whole(&mut self, nid: u64, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let (blocks, tail) = self.image.contents(nid, inode)?;
        self.account(inode.i_size)?;
        Ok([blocks, tail].concat())
    }

    fn account(&mut self, size_bytes: u64) -> Result<(), ReadError> {
        self.remaining_bytes = self
            .remaining_bytes
            .checked_sub(size_bytes)
            .ok_or(ReadError::TooLarge)?;
        Ok(())
    }
}

/// Returns how much of an entry each of its names holds.
fn copied_bytes(entry: &Entry) -> u64 {
    let xattrs = entry.xattrs.iter();
    let xattr_bytes: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
    let target_bytes = match &entry.kind {
        EntryKind::Symlink(target) => target.len(),
        _ => 0,
    };
    (xattr_bytes + target_bytes) as u64
}
