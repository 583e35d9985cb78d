//! Reads an uncompressed EROFS image back into a [`FileTree`], for tests and tools.
//!
//! The image is untrusted: every offset is checked, nothing recurses, a directory is entered once, and the memory that
//! a tree takes is bounded by the size of the image. The order of names is checked, as the kernel's search needs it.

use std::collections::{BTreeMap, HashMap};

use super::inode::decode_device;
use super::layout::{
    BLOCK_BYTES, BLOCK_LENGTH, BLOCK_SIZE_BITS, DIRENT_LENGTH, Dirent, FEATURE_COMPAT_SB_CHKSUM,
    FLAT_INLINE, FLAT_PLAIN, Inode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG,
    S_IFSOCK, SLOT_BYTES, SUPER_LENGTH, SUPER_OFFSET, SuperBlock, XATTR_ENTRY_LENGTH,
    XATTR_IBODY_HEADER_LENGTH, XATTR_PREFIXES, align, file_type, get, superblock_checksum,
};
use crate::tree::{
    Content, Entry, EntryKind, FileTree, HardLinkGroup, InsertError, InvalidTreePath, TreePath,
};

/// `PATH_MAX`; without a limit, deep directories would take memory with the square of the image's size.
const PATH_LIMIT_BYTES: usize = 4096;
/// How much more than the size of the image its contents and attributes may be, as inodes can share attributes.
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

/// An image whose superblock is in order.
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    pub(super) superblock: SuperBlock,
}

impl<'a> Image<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let first_block = bytes.get(..BLOCK_LENGTH).ok_or(ReadError::NotErofs)?;
        let encoded = &first_block[SUPER_OFFSET..SUPER_OFFSET + SUPER_LENGTH];
        let superblock = SuperBlock::decode(encoded).ok_or(ReadError::NotErofs)?;
        if superblock.blkszbits != BLOCK_SIZE_BITS {
            return Err(ReadError::UnsupportedBlockSize {
                bits: superblock.blkszbits,
            });
        }
        if superblock.feature_incompat != 0 {
            return Err(ReadError::UnsupportedFeatures {
                bits: superblock.feature_incompat,
            });
        }
        if superblock.feature_compat & FEATURE_COMPAT_SB_CHKSUM != 0 {
            let expected = get(encoded, 4).map(u32::from_le_bytes).unwrap_or_default();
            let mut unsealed = first_block.to_vec();
            unsealed[SUPER_OFFSET + 4..SUPER_OFFSET + 8].fill(0);
            let found = superblock_checksum(&unsealed);
            if expected != found {
                return Err(ReadError::Checksum { expected, found });
            }
        }
        Ok(Self { bytes, superblock })
    }

    /// Returns the inode `nid`.
    pub(super) fn inode(&self, nid: u64) -> Result<Inode, ReadError> {
        let start = self.inode_offset(nid)?;
        let available = (self.bytes.len() as u64).saturating_sub(start).min(64);
        let encoded = self.slice(nid, start, available)?;
        Inode::decode(encoded).ok_or(ReadError::Damaged {
            nid,
            reason: "it is cut off or has an unknown format",
        })
    }

    fn inode_offset(&self, nid: u64) -> Result<u64, ReadError> {
        let start = u64::from(self.superblock.meta_blkaddr) * BLOCK_BYTES;
        nid.checked_mul(SLOT_BYTES)
            .and_then(|offset| offset.checked_add(start))
            .ok_or(ReadError::OutOfBounds {
                nid,
                offset: u64::MAX,
                size_bytes: 0,
            })
    }

    fn slice(&self, nid: u64, offset: u64, size_bytes: u64) -> Result<&'a [u8], ReadError> {
        let range = || {
            let start = usize::try_from(offset).ok()?;
            let length = usize::try_from(size_bytes).ok()?;
            self.bytes.get(start..start.checked_add(length)?)
        };
        range().ok_or(ReadError::OutOfBounds {
            nid,
            offset,
            size_bytes,
        })
    }

    /// Returns the part of the contents in blocks and the tail behind the inode.
    fn contents(&self, nid: u64, inode: &Inode) -> Result<(&'a [u8], &'a [u8]), ReadError> {
        let tail_bytes = match inode.data_layout {
            FLAT_PLAIN => 0,
            FLAT_INLINE => inode.i_size % BLOCK_BYTES,
            layout => return Err(ReadError::UnsupportedLayout { nid, layout }),
        };
        let block_bytes = inode.i_size - tail_bytes;
        let blocks = if block_bytes > 0 {
            self.slice(nid, u64::from(inode.i_u) * BLOCK_BYTES, block_bytes)?
        } else {
            &[]
        };
        let tail_start = self.inode_offset(nid)?
            + inode.length() as u64
            + xattr_body_bytes(inode.i_xattr_icount);
        if tail_start % BLOCK_BYTES + tail_bytes > BLOCK_BYTES {
            return Err(ReadError::Damaged {
                nid,
                reason: "its tail crosses a block",
            });
        }
        let tail = if tail_bytes > 0 {
            self.slice(nid, tail_start, tail_bytes)?
        } else {
            &[]
        };
        Ok((blocks, tail))
    }

    fn xattrs(&self, nid: u64, inode: &Inode) -> Result<Vec<Xattr<'a>>, ReadError> {
        let damaged = ReadError::Damaged {
            nid,
            reason: "its extended attributes are cut off",
        };
        let size_bytes = xattr_body_bytes(inode.i_xattr_icount);
        if size_bytes == 0 {
            return Ok(Vec::new());
        }
        let start = self.inode_offset(nid)? + inode.length() as u64;
        let body = self.slice(nid, start, size_bytes)?;
        let shared_count = usize::from(*body.get(4).unwrap_or(&0));
        let Some((ids, mut inline)) = body
            .get(XATTR_IBODY_HEADER_LENGTH..)
            .and_then(|rest| rest.split_at_checked(shared_count * 4))
        else {
            return Err(damaged);
        };
        let mut found = Vec::new();
        let area = u64::from(self.superblock.xattr_blkaddr) * BLOCK_BYTES;
        for id in ids.as_chunks::<4>().0 {
            let offset = area + u64::from(u32::from_le_bytes(*id)) * 4;
            let available = (self.bytes.len() as u64).saturating_sub(offset);
            let entry = self.slice(nid, offset, available)?;
            found.push(decode_xattr(nid, entry)?);
        }
        while !inline.is_empty() {
            let xattr = decode_xattr(nid, inline)?;
            inline = inline.get(xattr.entry_length..).ok_or(ReadError::Damaged {
                nid,
                reason: "its extended attributes are cut off",
            })?;
            found.push(xattr);
        }
        Ok(found)
    }
}

/// An attribute as found in an entry.
struct Xattr<'a> {
    name: Vec<u8>,
    value: &'a [u8],
    entry_length: usize,
}

/// Returns the attribute in the entry that `entry` starts with.
fn decode_xattr(nid: u64, entry: &[u8]) -> Result<Xattr<'_>, ReadError> {
    let decode = || {
        let [name_length, name_index, ..] = get::<4>(entry, 0)?;
        let name_length = usize::from(name_length);
        let value_length = usize::from(u16::from_le_bytes(get(entry, 2)?));
        let suffix = entry.get(XATTR_ENTRY_LENGTH..)?.get(..name_length)?;
        let value_start = XATTR_ENTRY_LENGTH + name_length;
        let value = entry.get(value_start..value_start + value_length)?;
        let (_, prefix) = XATTR_PREFIXES
            .iter()
            .find(|(index, _)| *index == name_index)?;
        Some(Xattr {
            name: [*prefix, suffix].concat(),
            value,
            entry_length: (value_start + value_length).next_multiple_of(4),
        })
    };
    decode().ok_or(ReadError::Damaged {
        nid,
        reason: "an extended attribute is cut off or has an unknown prefix",
    })
}

fn xattr_body_bytes(icount: u16) -> u64 {
    match icount.checked_sub(1) {
        None => 0,
        Some(units) => XATTR_IBODY_HEADER_LENGTH as u64 + 4 * u64::from(units),
    }
}

/// What is known while the directories are read.
struct Walk<'a> {
    image: Image<'a>,
    /// How many bytes of contents and attributes may still be decoded.
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

/// Returns the entries of a block with their names, `None` if it is malformed.
fn decode_directory_block(block: &[u8]) -> Option<Vec<(Dirent, &[u8])>> {
    let names_start = usize::from(Dirent::decode(block)?.nameoff);
    let count = names_start / DIRENT_LENGTH;
    if count == 0 || names_start % DIRENT_LENGTH != 0 {
        return None;
    }
    let dirents: Vec<_> = block
        .get(..names_start)?
        .chunks(DIRENT_LENGTH)
        .map(Dirent::decode)
        .collect::<Option<_>>()?;
    let mut entries = Vec::with_capacity(count);
    for (index, dirent) in dirents.iter().enumerate() {
        let start = usize::from(dirent.nameoff);
        let name = match dirents.get(index + 1) {
            Some(next) => block.get(start..usize::from(next.nameoff))?,
            // The last name ends with the block or at the zeros that fill it up.
            None => block.get(start..)?.split(|byte| *byte == 0).next()?,
        };
        entries.push((*dirent, name));
    }
    Some(entries)
}
