//! The bounds-checked view of an image's structures that the reader walks.

use super::layout::{
    BLOCK_BYTES, BLOCK_LENGTH, BLOCK_SIZE_BITS, DIRENT_LENGTH, Dirent, FEATURE_COMPAT_SB_CHKSUM,
    FLAT_INLINE, FLAT_PLAIN, Inode, SLOT_BYTES, SUPER_LENGTH, SUPER_OFFSET, SuperBlock,
    XATTR_ENTRY_LENGTH, XATTR_IBODY_HEADER_LENGTH, XATTR_PREFIXES, get, superblock_checksum,
};
use super::reader::ReadError;

/// An image whose superblock is in order.
pub(super) struct Image<'a> {
    pub(super) bytes: &'a [u8],
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
    pub(super) fn contents(
        &self,
        nid: u64,
        inode: &Inode,
    ) -> Result<(&'a [u8], &'a [u8]), ReadError> {
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

    pub(super) fn xattrs(&self, nid: u64, inode: &Inode) -> Result<Vec<Xattr<'a>>, ReadError> {
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
pub(super) struct Xattr<'a> {
    pub(super) name: Vec<u8>,
    pub(super) value: &'a [u8],
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
