//! Sizes, flags and checksums that all parts share.

use uuid::Uuid;

pub(super) const BLOCK_BYTES: usize = 4096;
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;
/// One bitmap of a block: 128 MiB.
pub(super) const BLOCKS_PER_GROUP: u32 = 32768;
pub(super) const INODE_BYTES: usize = 256;
pub(super) const INODES_PER_BLOCK: u32 = 16;
/// What mke2fs makes one inode for.
pub(super) const BYTES_PER_INODE: u64 = 16384;
pub(super) const ROOT_INODE: u32 = 2;
pub(super) const JOURNAL_INODE: u32 = 8;
/// The first that is not reserved, and that of `lost+found`.
pub(super) const FIRST_INODE: u32 = 11;
pub(super) const LOST_AND_FOUND: &[u8] = b"lost+found";
/// So many that fsck rarely has to allocate any.
pub(super) const LOST_AND_FOUND_BLOCKS: u32 = 4;
/// A group descriptor without the `64bit` feature.
pub(super) const DESCRIPTOR_BYTES: usize = 32;

/// A block of metadata with its number.
pub(super) type PlacedBlock = (u32, Vec<u8>);

/// Computes the checksum of `parts` in the file system with this UUID: CRC-32C without the final inversion, which
/// starts with the UUID everywhere but in the superblock.
pub(super) fn checksum(uuid: Uuid, parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(uuid.as_bytes());
    for part in parts {
        digest.update(part);
    }
    !digest.finalize()
}

/// Computes the checksum of a superblock.
pub(super) fn superblock_checksum(bytes: &[u8]) -> u32 {
    !CRC32C.checksum(bytes)
}

const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// Bytes that are filled field by field, at the offsets of the documentation.
pub(super) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

/// Returns the low 16 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is stored elsewhere"
)]
pub(super) const fn low16(value: u32) -> u16 {
    value as u16
}

/// Returns the high 16 bits.
pub(super) const fn high16(value: u32) -> u16 {
    low16(value >> 16)
}

/// Returns the low 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is stored elsewhere"
)]
pub(super) const fn low32(value: u64) -> u32 {
    value as u32
}
