//! The journal: empty, but for the block that says so.

use super::layout::{BLOCK_BYTES, put};

/// Returns how many blocks the journal of a file system has, as mke2fs has it; none of a small one.
pub(super) fn block_count(file_system_blocks: u32) -> u32 {
    match file_system_blocks {
        0..2048 => 0,
        2048..32768 => 1024,
        32768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16384,
        4_194_304..8_388_608 => 32768,
        8_388_608..16_777_216 => 65536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    }
}

/// Returns the first block of a journal; its integers are big-endian.
pub(super) fn superblock(block_count: u32) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let block_bytes: u32 = 4096;
    put(&mut block, 0x00, &0xC03B_3998_u32.to_be_bytes());
    put(&mut block, 0x04, &4u32.to_be_bytes());
    put(&mut block, 0x0C, &block_bytes.to_be_bytes());
    put(&mut block, 0x10, &block_count.to_be_bytes());
    put(&mut block, 0x14, &1u32.to_be_bytes());
    put(&mut block, 0x18, &1u32.to_be_bytes());
    put(&mut block, 0x40, &1u32.to_be_bytes());
    block
}
