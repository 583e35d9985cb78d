//! On-disk structures, with the kernel's field names and offsets (`fs/erofs/erofs_fs.h`). All integers are
//! little-endian. Changing anything here breaks the format.

use crate::format::inodes::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
};
use crate::tree::Timestamp;

/// The block size of our images. Kernels before 6.4 want the page size, which is 4096 on the usual machines.
pub(super) const BLOCK_BYTES: u64 = 4096;
/// [`BLOCK_BYTES`] for slices.
pub(super) const BLOCK_LENGTH: usize = 4096;
/// log2 of [`BLOCK_BYTES`], as the superblock has it.
pub(super) const BLOCK_SIZE_BITS: u8 = 12;
/// `EROFS_SUPER_OFFSET`.
pub(super) const SUPER_OFFSET: usize = 1024;
/// `EROFS_SUPER_MAGIC_V1`.
pub(super) const SUPER_MAGIC: u32 = 0xE0F5_E1E2;
pub(super) const SUPER_LENGTH: usize = 128;
/// Inodes are addressed by slots of this size: nid = offset / 32, as `meta_blkaddr` is 0.
pub(super) const SLOT_BYTES: u64 = 32;
pub(super) const COMPACT_INODE_LENGTH: usize = 32;
pub(super) const EXTENDED_INODE_LENGTH: usize = 64;
pub(super) const DIRENT_LENGTH: usize = 12;
pub(super) const XATTR_IBODY_HEADER_LENGTH: usize = 12;
pub(super) const XATTR_ENTRY_LENGTH: usize = 4;
pub(super) const VOLUME_NAME_LENGTH: usize = 16;

pub(super) const FEATURE_COMPAT_SB_CHKSUM: u32 = 0x1;
pub(super) const FEATURE_COMPAT_MTIME: u32 = 0x2;

/// `EROFS_INODE_FLAT_PLAIN`: all data in blocks.
pub(super) const FLAT_PLAIN: u16 = 0;
/// `EROFS_INODE_FLAT_INLINE`: whole blocks, then a tail behind the inode.
pub(super) const FLAT_INLINE: u16 = 2;

/// `struct erofs_super_block`, without the fields that are 0 in our images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SuperBlock {
    pub(super) feature_compat: u32,
    pub(super) blkszbits: u8,
    pub(super) root_nid: u16,
    pub(super) inos: u64,
    pub(super) build_time: Timestamp,
    pub(super) blocks: u32,
    pub(super) meta_blkaddr: u32,
    pub(super) xattr_blkaddr: u32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; VOLUME_NAME_LENGTH],
    pub(super) feature_incompat: u32,
}

/// `struct erofs_inode_compact` or `struct erofs_inode_extended`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Inode {
    /// `None` in a compact inode, whose time is the superblock's `build_time`.
    pub(super) i_mtime: Option<Timestamp>,
    pub(super) data_layout: u16,
    pub(super) i_xattr_icount: u16,
    pub(super) i_mode: u16,
    pub(super) i_nlink: u32,
    pub(super) i_size: u64,
    /// `raw_blkaddr` or `rdev`.
    pub(super) i_u: u32,
    pub(super) i_ino: u32,
    pub(super) i_uid: u32,
    pub(super) i_gid: u32,
}

/// `struct erofs_dirent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dirent {
    pub(super) nid: u64,
    pub(super) nameoff: u16,
    pub(super) file_type: u8,
}

impl SuperBlock {
    /// Returns the structure with a `checksum` of 0, which is what the checksum is computed over.
    pub(super) fn encode(&self) -> [u8; SUPER_LENGTH] {
        let mut bytes = [0; SUPER_LENGTH];
        put(&mut bytes, 0, SUPER_MAGIC.to_le_bytes());
        put(&mut bytes, 8, self.feature_compat.to_le_bytes());
        put(&mut bytes, 12, [self.blkszbits]);
        put(&mut bytes, 14, self.root_nid.to_le_bytes());
        put(&mut bytes, 16, self.inos.to_le_bytes());
        put(&mut bytes, 24, self.build_time.seconds.to_le_bytes());
        put(&mut bytes, 32, self.build_time.nanoseconds.to_le_bytes());
        put(&mut bytes, 36, self.blocks.to_le_bytes());
        put(&mut bytes, 40, self.meta_blkaddr.to_le_bytes());
        put(&mut bytes, 44, self.xattr_blkaddr.to_le_bytes());
        put(&mut bytes, 48, self.uuid);
        put(&mut bytes, 64, self.volume_name);
        put(&mut bytes, 80, self.feature_incompat.to_le_bytes());
        bytes
    }

    /// Returns the structure in `bytes`, `None` when they are too few or the magic is not there.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if u32::from_le_bytes(get(bytes, 0)?) != SUPER_MAGIC {
            return None;
        }
        Some(Self {
            feature_compat: u32::from_le_bytes(get(bytes, 8)?),
            blkszbits: *bytes.get(12)?,
            root_nid: u16::from_le_bytes(get(bytes, 14)?),
            inos: u64::from_le_bytes(get(bytes, 16)?),
            build_time: Timestamp {
                seconds: i64::from_le_bytes(get(bytes, 24)?),
                nanoseconds: u32::from_le_bytes(get(bytes, 32)?),
            },
            blocks: u32::from_le_bytes(get(bytes, 36)?),
            meta_blkaddr: u32::from_le_bytes(get(bytes, 40)?),
            xattr_blkaddr: u32::from_le_bytes(get(bytes, 44)?),
            uuid: get(bytes, 48)?,
            volume_name: get(bytes, 64)?,
            feature_incompat: u32::from_le_bytes(get(bytes, 80)?),
        })
    }
}

/// Returns the checksum of a first block whose `checksum` field is 0.
///
/// It covers the rest of the block from the superblock on, inodes included, and lacks the final inversion of CRC-32C
/// (`erofs_superblock_csum_verify`).
pub(super) fn superblock_checksum(first_block: &[u8]) -> u32 {
    const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let covered = first_block.get(SUPER_OFFSET..).unwrap_or_default();
    !CRC32C.checksum(covered)
}

/// Puts the checksum into a complete first block.
pub(super) fn seal_first_block(first_block: &mut [u8]) {
    let checksum = superblock_checksum(first_block);
    put(first_block, SUPER_OFFSET + 4, checksum.to_le_bytes());
}

impl Inode {
    /// Returns the length of the fixed part.
    pub(super) const fn length(&self) -> usize {
        match self.i_mtime {
            Some(_) => EXTENDED_INODE_LENGTH,
            None => COMPACT_INODE_LENGTH,
        }
    }

    /// Returns the structure in the first [`Inode::length`] bytes.
    pub(super) fn encode(&self) -> [u8; EXTENDED_INODE_LENGTH] {
        let mut bytes = [0; EXTENDED_INODE_LENGTH];
        let i_format = self.data_layout << 1 | u16::from(self.i_mtime.is_some());
        put(&mut bytes, 0, i_format.to_le_bytes());
        put(&mut bytes, 2, self.i_xattr_icount.to_le_bytes());
        put(&mut bytes, 4, self.i_mode.to_le_bytes());
        put(&mut bytes, 16, self.i_u.to_le_bytes());
        put(&mut bytes, 20, self.i_ino.to_le_bytes());
        if let Some(modified) = self.i_mtime {
            put(&mut bytes, 8, self.i_size.to_le_bytes());
            put(&mut bytes, 24, self.i_uid.to_le_bytes());
            put(&mut bytes, 28, self.i_gid.to_le_bytes());
            put(&mut bytes, 32, modified.seconds.to_le_bytes());
            put(&mut bytes, 40, modified.nanoseconds.to_le_bytes());
            put(&mut bytes, 44, self.i_nlink.to_le_bytes());
        } else {
            put(&mut bytes, 6, low_half(self.i_nlink));
            put(&mut bytes, 8, low_word(self.i_size));
            put(&mut bytes, 24, low_half(self.i_uid));
            put(&mut bytes, 26, low_half(self.i_gid));
        }
        bytes
    }

    /// Returns the structure at the start of `bytes`, `None` when they are too few or bits of `i_format` unknown.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let i_format = u16::from_le_bytes(get(bytes, 0)?);
        if i_format >> 4 != 0 {
            return None;
        }
        let half = |offset| get(bytes, offset).map(|found| u32::from(u16::from_le_bytes(found)));
        let word = |offset| get(bytes, offset).map(u32::from_le_bytes);
        let extended = i_format & 1 == 1;
        let (i_mtime, i_nlink, i_size, i_uid, i_gid) = if extended {
            let modified = Timestamp {
                seconds: i64::from_le_bytes(get(bytes, 32)?),
                nanoseconds: word(40)?,
            };
            let i_size = u64::from_le_bytes(get(bytes, 8)?);
            (Some(modified), word(44)?, i_size, word(24)?, word(28)?)
        } else {
            let i_size = u64::from(word(8)?);
            (None, half(6)?, i_size, half(24)?, half(26)?)
        };
        // The structure must be there as a whole.
        bytes.get(if extended { 63 } else { 31 })?;
        Some(Self {
            i_mtime,
            data_layout: i_format >> 1,
            i_xattr_icount: u16::from_le_bytes(get(bytes, 2)?),
            i_mode: u16::from_le_bytes(get(bytes, 4)?),
            i_nlink,
            i_size,
            i_u: word(16)?,
            i_ino: word(20)?,
            i_uid,
            i_gid,
        })
    }
}

impl Dirent {
    pub(super) fn encode(&self) -> [u8; DIRENT_LENGTH] {
        let mut bytes = [0; DIRENT_LENGTH];
        put(&mut bytes, 0, self.nid.to_le_bytes());
        put(&mut bytes, 8, self.nameoff.to_le_bytes());
        put(&mut bytes, 10, [self.file_type]);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.get(DIRENT_LENGTH - 1)?;
        Some(Self {
            nid: u64::from_le_bytes(get(bytes, 0)?),
            nameoff: u16::from_le_bytes(get(bytes, 8)?),
            file_type: *bytes.get(10)?,
        })
    }
}

/// Returns the type in directory entries (`EROFS_FT_*`, the generic `FT_*`) of the type bits of a mode, 0 if unknown.
pub(super) const fn file_type(i_mode: u16) -> u8 {
    match i_mode & S_IFMT {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFSOCK => 6,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// Returns the `EROFS_XATTR_INDEX_*` prefixes: a value of `e_name_index` and what it stands for.
///
/// Those of ACLs are whole names, so nothing follows them.
pub(super) const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// Returns `length` rounded up to a multiple of `alignment`.
pub(super) const fn align(length: u64, alignment: u64) -> u64 {
    length.next_multiple_of(alignment)
}

/// Returns the `N` bytes at `offset`.
pub(super) fn get<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn put<const N: usize>(target: &mut [u8], offset: usize, bytes: [u8; N]) {
    target[offset..offset + N].copy_from_slice(&bytes);
}

/// Returns the low 16 bits; the caller made sure that there are no others.
fn low_half(value: u32) -> [u8; 2] {
    let [first, second, ..] = value.to_le_bytes();
    [first, second]
}

/// Returns the low 32 bits; the caller made sure that there are no others.
fn low_word(value: u64) -> [u8; 4] {
    let [first, second, third, fourth, ..] = value.to_le_bytes();
    [first, second, third, fourth]
}
