//! The superblock and the descriptors of groups.

use super::blocks::Run;
use super::inode::Inode;
use super::inode::{Body, extents};
use super::layout::{
    BLOCK_BYTES, BLOCKS_PER_GROUP, DESCRIPTOR_BYTES, FIRST_INODE, INODE_BYTES, JOURNAL_INODE,
    checksum, low16, low32, put, superblock_checksum,
};
use super::plan::Plan;
use crate::tree::Timestamp;

pub(super) const SUPERBLOCK_BYTES: usize = 1024;

/// `has_journal`, `ext_attr`, `dir_index`.
const COMPATIBLE: u32 = 0x8 | 0x20;
const HAS_JOURNAL: u32 = 0x4;
/// `filetype`, `extents`, `flex_bg`.
const INCOMPATIBLE: u32 = 0x2 | 0x40 | 0x200;
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
const READ_ONLY_COMPATIBLE: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;
/// The inode table was zeroed, so that the kernel need not do it.
const INODES_ZEROED: u16 = 0x4;

/// How many inodes and directories a group has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) inodes: u32,
    /// The number within the group of the last inode in use, from 1.
    pub(super) last_inode: u32,
    pub(super) directories: u32,
}

/// Returns the inode of the journal.
pub(super) fn journal_inode(runs: &[Run], time: Timestamp) -> Inode {
    let blocks: u32 = runs.iter().map(|run| run.count).sum();
    Inode {
        mode: 0o100_600,
        uid: 0,
        gid: 0,
        link_count: 1,
        size_bytes: u64::from(blocks) * BLOCK_BYTES as u64,
        block_count: u64::from(blocks),
        modified: time,
        created: time,
        body: Body::Extents(extents(0, runs)),
        map: Vec::new(),
        attributes: super::xattr::Attributes::default(),
        attribute_block: None,
    }
}

/// Returns the superblock as the group `group` has it.
pub(super) fn superblock(plan: &Plan<'_>, usage: &[Usage], group: u32) -> Vec<u8> {
    let (options, places) = (&plan.options, &plan.places);
    let mut bytes = vec![0; SUPERBLOCK_BYTES];
    let mut word = |offset: usize, value: u32| put(&mut bytes, offset, &value.to_le_bytes());
    let inode_count = places.inodes_per_group * places.blocks.group_count;
    let used: u32 = usage.iter().map(|usage| usage.inodes).sum();
    let time = low32(options.build_time.seconds.cast_unsigned());
    let has_journal = match places.journal.is_empty() {
        true => 0,
        false => HAS_JOURNAL,
    };
    word(0x00, inode_count);
    word(0x04, places.blocks.count);
    word(0x0C, places.blocks.free_count());
    word(0x10, inode_count - used);
    word(0x18, 2);
    word(0x1C, 2);
    word(0x20, BLOCKS_PER_GROUP);
    word(0x24, BLOCKS_PER_GROUP);
    word(0x28, places.inodes_per_group);
    word(0x30, time);
    word(0x40, time);
    word(0x4C, 1);
    word(0x54, FIRST_INODE);
    word(0x5C, COMPATIBLE | has_journal);
    word(0x60, INCOMPATIBLE);
    word(0x64, READ_ONLY_COMPATIBLE);
    // User attributes and ACLs are on without a mount option.
    word(0x100, 0xC);
    word(0x108, time);
    // Names are hashed as signed bytes.
    word(0x160, 0x1);
    let mut half = |offset: usize, value: u16| put(&mut bytes, offset, &value.to_le_bytes());
    half(0x36, u16::MAX);
    half(0x38, 0xEF53);
    half(0x3A, 1);
    half(0x3C, 1);
    half(0x58, u16::try_from(INODE_BYTES).unwrap_or_default());
    half(0x5A, low16(group));
    half(0x15C, 32);
    half(0x15E, 32);
    put(&mut bytes, 0x68, options.uuid.as_bytes());
    put(&mut bytes, 0x78, cut(&options.label, 16).as_bytes());
    put(&mut bytes, 0xEC, options.hash_seed.as_bytes());
    // Half MD4, and a copy of the journal's inode below.
    bytes[0xFC] = 1;
    bytes[0x174] = 4;
    // CRC-32C.
    bytes[0x175] = 1;
    if has_journal != 0 {
        put(&mut bytes, 0xE0, &JOURNAL_INODE.to_le_bytes());
        bytes[0xFD] = 1;
        let inode = journal_inode(&places.journal, options.build_time);
        let (inode, _) = inode.encode(options.uuid, JOURNAL_INODE);
        put(&mut bytes, 0x10C, &inode[0x28..0x64]);
        put(&mut bytes, 0x148, &inode[0x6C..0x70]);
        put(&mut bytes, 0x14C, &inode[0x04..0x08]);
    }
    let sum = superblock_checksum(&bytes[..SUPERBLOCK_BYTES - 4]);
    put(&mut bytes, SUPERBLOCK_BYTES - 4, &sum.to_le_bytes());
    bytes
}

/// Returns the descriptors of all groups, with the bitmaps of each.
pub(super) fn descriptors(plan: &Plan<'_>, usage: &[Usage], bitmaps: &[[Vec<u8>; 2]]) -> Vec<u8> {
    let (uuid, places) = (plan.options.uuid, &plan.places);
    let mut all = Vec::new();
    for (group, usage) in (0..).zip(usage) {
        let index = usize::try_from(group).unwrap_or_default();
        let [blocks, inodes] = &bitmaps[index];
        let inode_bytes = usize::try_from(places.inodes_per_group / 8).unwrap_or_default();
        let mut bytes = [0; DESCRIPTOR_BYTES];
        let mut word = |offset: usize, value: u32| put(&mut bytes, offset, &value.to_le_bytes());
        word(0x00, places.block_bitmaps[index]);
        word(0x04, places.inode_bitmaps[index]);
        word(0x08, places.tables[index].start);
        let mut half =
            |offset: usize, value: u32| put(&mut bytes, offset, &low16(value).to_le_bytes());
        half(0x0C, places.blocks.free_in(group));
        half(0x0E, places.inodes_per_group - usage.inodes);
        half(0x10, usage.directories);
        half(0x12, INODES_ZEROED.into());
        half(0x18, checksum(uuid, &[blocks]));
        half(0x1A, checksum(uuid, &[&inodes[..inode_bytes]]));
        half(0x1C, places.inodes_per_group - usage.last_inode);
        let sum = checksum(uuid, &[&group.to_le_bytes(), &bytes]);
        put(&mut bytes, 0x1E, &low16(sum).to_le_bytes());
        all.extend_from_slice(&bytes);
    }
    all
}

/// Returns as much of `text` as fits.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
