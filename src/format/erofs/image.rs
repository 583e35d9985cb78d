//! The bounds-checked view of an image's structures that the reader walks.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::layout::{
    DIRENT_LENGTH, Dirent, EXTENDED_INODE_LENGTH, Inode, SLOT_BYTES, XATTR_ENTRY_LENGTH,
    XATTR_IBODY_HEADER_LENGTH, XATTR_PREFIXES, get,
};
use super::reader::{Contents, Packed, ReadError, ReadSuperBlock};
use crate::format::read_at::ReadAt;

/// The longest name and value that an attribute's entry can say, with the entry itself.
const XATTR_LIMIT_BYTES: u64 = 4 + 255 + 65535;
/// `EROFS_XATTR_LONG_PREFIX`: the rest of the index is that of a long prefix.
const LONG_PREFIX: u8 = 0x80;

/// An image whose superblock is in order.
pub struct Image {
    pub(super) bytes: Arc<dyn ReadAt>,
    pub(super) superblock: ReadSuperBlock,
    /// The long prefixes of attributes' names, read when the first is needed.
    prefixes: OnceLock<Vec<Vec<u8>>>,
    packed: Packed,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "erofs::Image({:?})", self.bytes)
    }
}

impl Image {
    /// Takes an image whose superblock is in order.
    ///
    /// # Errors
    /// A [`ReadError`] that says what the superblock lacks.
    pub fn open(bytes: Arc<dyn ReadAt>) -> Result<Self, ReadError> {
        let superblock = ReadSuperBlock::read(&*bytes)?;
        Ok(Self {
            bytes,
            superblock,
            prefixes: OnceLock::new(),
            packed: Packed::default(),
        })
    }

    /// Returns the inode `nid`.
    pub(super) fn inode(&self, nid: u64) -> Result<Inode, ReadError> {
        let start = self.inode_offset(nid)?;
        let available = self.bytes.size_bytes().saturating_sub(start);
        let encoded = self.read(nid, start, available.min(EXTENDED_INODE_LENGTH as u64))?;
        Inode::decode(&encoded).ok_or(ReadError::Damaged {
            nid,
            reason: "it is cut off or has an unknown format",
        })
    }

    fn inode_offset(&self, nid: u64) -> Result<u64, ReadError> {
        let start = u64::from(self.superblock.common.meta_blkaddr) * self.block_bytes();
        nid.checked_mul(SLOT_BYTES)
            .and_then(|offset| offset.checked_add(start))
            // What follows the inode is found by adding to this.
            .filter(|offset| *offset < self.bytes.size_bytes())
            .ok_or(ReadError::OutOfBounds {
                nid,
                offset: u64::MAX,
                size_bytes: 0,
            })
    }

    /// Returns where what follows an inode and its attributes starts.
    pub(super) fn body_offset(&self, nid: u64, inode: &Inode) -> Result<u64, ReadError> {
        let start = self.inode_offset(nid)?;
        Ok(start + inode.length() as u64 + xattr_body_bytes(inode.i_xattr_icount))
    }

    pub(super) fn block_bytes(&self) -> u64 {
        self.superblock.block_bytes
    }

    /// Reads bytes that belong to the inode `nid`.
    pub(super) fn read(
        &self,
        nid: u64,
        offset: u64,
        size_bytes: u64,
    ) -> Result<Vec<u8>, ReadError> {
        let length = self.checked_length(nid, offset, size_bytes)?;
        self.bytes
            .bytes_at(offset, length)
            .map_err(|source| ReadError::Read { source })
    }

    /// Fills `buffer` with bytes that belong to the inode `nid`.
    pub(super) fn read_into(
        &self,
        nid: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), ReadError> {
        self.checked_length(nid, offset, buffer.len() as u64)?;
        self.bytes
            .read_exact_at(buffer, offset)
            .map_err(|source| ReadError::Read { source })
    }

    /// Reads some bytes of a fragment of the inode `nid`.
    pub(super) fn read_packed(
        &self,
        nid: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError> {
        self.packed.read(self, nid, offset, buffer)
    }

    fn checked_length(&self, nid: u64, offset: u64, size_bytes: u64) -> Result<usize, ReadError> {
        let end = offset.checked_add(size_bytes);
        match (end, usize::try_from(size_bytes)) {
            (Some(end), Ok(length)) if end <= self.bytes.size_bytes() => Ok(length),
            _ => Err(ReadError::OutOfBounds {
                nid,
                offset,
                size_bytes,
            }),
        }
    }

    pub(super) fn xattrs(&self, nid: u64, inode: &Inode) -> Result<Vec<Xattr>, ReadError> {
        let damaged = || ReadError::Damaged {
            nid,
            reason: "its extended attributes are cut off",
        };
        let size_bytes = xattr_body_bytes(inode.i_xattr_icount);
        if size_bytes == 0 {
            return Ok(Vec::new());
        }
        let start = self.inode_offset(nid)? + inode.length() as u64;
        let body = self.read(nid, start, size_bytes)?;
        let shared_count = usize::from(*body.get(4).unwrap_or(&0));
        let (ids, mut inline) = body
            .get(XATTR_IBODY_HEADER_LENGTH..)
            .and_then(|rest| rest.split_at_checked(shared_count * 4))
            .ok_or_else(damaged)?;
        let mut found = Vec::new();
        let area = u64::from(self.superblock.common.xattr_blkaddr) * self.block_bytes();
        for id in ids.as_chunks::<4>().0 {
            let offset = area + u64::from(u32::from_le_bytes(*id)) * 4;
            let header = self.read(nid, offset, XATTR_ENTRY_LENGTH as u64)?;
            let length = encoded_length(&header).ok_or_else(damaged)?;
            let entry = self.read(nid, offset, (length as u64).min(XATTR_LIMIT_BYTES))?;
            found.push(self.decode_xattr(nid, &entry)?);
        }
        while !inline.is_empty() {
            let length = encoded_length(inline).ok_or_else(damaged)?;
            let entry = inline.get(..length).ok_or_else(damaged)?;
            found.push(self.decode_xattr(nid, entry)?);
            inline = inline
                .get(length.next_multiple_of(4)..)
                .ok_or_else(damaged)?;
        }
        Ok(found)
    }

    /// Returns the attribute in the entry that `entry` is.
    fn decode_xattr(&self, nid: u64, entry: &[u8]) -> Result<Xattr, ReadError> {
        let unknown = || ReadError::Damaged {
            nid,
            reason: "an extended attribute is cut off or has an unknown prefix",
        };
        let [name_length, index, ..] = get::<4>(entry, 0).ok_or_else(unknown)?;
        let (suffix, value) = entry
            .get(XATTR_ENTRY_LENGTH..)
            .and_then(|rest| rest.split_at_checked(name_length.into()))
            .ok_or_else(unknown)?;
        let prefix = match index & LONG_PREFIX {
            0 => short_prefix(index),
            _ => self
                .prefixes()?
                .get(usize::from(index & !LONG_PREFIX))
                .map(Vec::as_slice),
        };
        Ok(Xattr {
            name: [prefix.ok_or_else(unknown)?, suffix].concat(),
            value: value.to_vec(),
        })
    }

    /// Returns the long prefixes, each with its short one.
    fn prefixes(&self) -> Result<&[Vec<u8>], ReadError> {
        if let Some(prefixes) = self.prefixes.get() {
            return Ok(prefixes);
        }
        let damaged = || ReadError::Prefixes;
        let table = self.superblock.prefixes.ok_or_else(damaged)?;
        let mut offset = table.offset;
        let mut packed = match table.nid {
            Some(nid) => Some(Contents::of(self, nid, &self.inode(nid)?)?),
            None => None,
        };
        let mut read = |offset: u64, length: usize| match &mut packed {
            Some(packed) => packed.read_exact(self, offset, length),
            None => self.read(0, offset, length as u64),
        };
        let mut prefixes = Vec::new();
        for _ in 0..table.count {
            let length = get(&read(offset, 2)?, 0).map_or(0, u16::from_le_bytes);
            // A byte for the short prefix, then what follows it, which cannot be longer than a name.
            if !(1..=256).contains(&length) {
                return Err(damaged());
            }
            let prefix = read(offset + 2, length.into())?;
            let (base, infix) = prefix.split_first().ok_or_else(damaged)?;
            let base = short_prefix(*base).ok_or_else(damaged)?;
            prefixes.push([base, infix].concat());
            offset += (2 + u64::from(length)).next_multiple_of(4);
        }
        Ok(self.prefixes.get_or_init(|| prefixes))
    }
}

/// An attribute as found in an entry.
pub(super) struct Xattr {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Returns the length of the entry that starts with `header`, without what aligns the next one.
fn encoded_length(header: &[u8]) -> Option<usize> {
    let name_length = usize::from(*header.first()?);
    let value_length = usize::from(u16::from_le_bytes(get(header, 2)?));
    Some(XATTR_ENTRY_LENGTH + name_length + value_length)
}

fn short_prefix(index: u8) -> Option<&'static [u8]> {
    let found = XATTR_PREFIXES.iter().find(|(known, _)| *known == index);
    found.map(|(_, prefix)| *prefix)
}

fn xattr_body_bytes(icount: u16) -> u64 {
    match icount.checked_sub(1) {
        None => 0,
        Some(units) => XATTR_IBODY_HEADER_LENGTH as u64 + 4 * u64::from(units),
    }
}

/// Returns the entries of a block with their names, `None` if it is malformed.
pub(super) fn decode_directory_block(block: &[u8]) -> Option<Vec<(Dirent, &[u8])>> {
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
