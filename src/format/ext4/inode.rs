//! Inodes and the maps of their blocks.

use uuid::Uuid;

use super::Error;
use super::blocks::Run;
use super::layout::{BLOCK_BYTES, INODE_BYTES, PlacedBlock, checksum, high16, low16, low32, put};
use super::xattr::Attributes;
use crate::tree::{DeviceNumber, Timestamp, TreePath};

/// The flag of inodes whose `i_block` is a tree of extents.
const EXTENTS_FLAG: u32 = 0x8_0000;
/// The most blocks of one extent.
const EXTENT_BLOCKS: u32 = 32768;
/// Extents or nodes of the next level that an inode has room for.
const IN_INODE: usize = 4;
const ENTRY_BYTES: usize = 12;
/// Extents of a block, behind which is its checksum.
const IN_BLOCK: usize = (BLOCK_BYTES - ENTRY_BYTES - 4) / ENTRY_BYTES;
pub(super) const MOST_EXTENTS: usize = IN_INODE * IN_BLOCK;
const EXTRA_BYTES: u16 = 32;

/// Some blocks of a file and where they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    pub(super) logical: u32,
    pub(super) run: Run,
}

/// Cuts runs that follow each other in a file from block `logical` on into extents.
pub(super) fn extents(mut logical: u32, runs: &[Run]) -> Vec<Extent> {
    let mut extents = Vec::new();
    for run in runs {
        let mut rest = *run;
        while rest.count > 0 {
            let count = rest.count.min(EXTENT_BLOCKS);
            let run = Run {
                start: rest.start,
                count,
            };
            extents.push(Extent { logical, run });
            logical += count;
            rest.start += count;
            rest.count -= count;
        }
    }
    extents
}

/// Returns how many blocks the map of so many extents takes besides the inode.
pub(super) fn map_blocks(extent_count: usize) -> u32 {
    match extent_count {
        0..=IN_INODE => 0,
        count => u32::try_from(count.div_ceil(IN_BLOCK)).unwrap_or(u32::MAX),
    }
}

/// What `i_block` holds.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Extents(Vec<Extent>),
    /// The target of a link.
    Inline(Vec<u8>),
    Device(DeviceNumber),
    Nothing,
}

/// An inode, but for its number.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) link_count: u16,
    pub(super) size_bytes: u64,
    /// Of data, map and attributes.
    pub(super) block_count: u64,
    pub(super) modified: Timestamp,
    pub(super) created: Timestamp,
    pub(super) body: Body,
    /// The blocks of the map.
    pub(super) map: Vec<u32>,
    pub(super) attributes: Attributes,
    pub(super) attribute_block: Option<u32>,
}

impl Inode {
    /// Returns the bytes of the inode, and the blocks of its map.
    pub(super) fn encode(&self, uuid: Uuid, number: u32) -> ([u8; INODE_BYTES], Vec<PlacedBlock>) {
        let mut bytes = [0; INODE_BYTES];
        let (flags, block, nodes) = self.block(uuid, number);
        let (seconds, extra) = time(self.modified);
        let (created, created_extra) = time(self.created);
        let sectors = self.block_count * (BLOCK_BYTES as u64 / 512);
        put(&mut bytes, 0x00, &self.mode.to_le_bytes());
        put(&mut bytes, 0x02, &low16(self.uid).to_le_bytes());
        put(&mut bytes, 0x04, &low32(self.size_bytes).to_le_bytes());
        put(&mut bytes, 0x08, &seconds.to_le_bytes());
        put(&mut bytes, 0x0C, &seconds.to_le_bytes());
        put(&mut bytes, 0x10, &seconds.to_le_bytes());
        put(&mut bytes, 0x18, &low16(self.gid).to_le_bytes());
        put(&mut bytes, 0x1A, &self.link_count.to_le_bytes());
        put(&mut bytes, 0x1C, &low32(sectors).to_le_bytes());
        put(&mut bytes, 0x20, &flags.to_le_bytes());
        put(&mut bytes, 0x28, &block);
        let attribute_block = self.attribute_block.unwrap_or(0);
        put(&mut bytes, 0x68, &attribute_block.to_le_bytes());
        put(
            &mut bytes,
            0x6C,
            &low32(self.size_bytes >> 32).to_le_bytes(),
        );
        put(&mut bytes, 0x74, &low16(low32(sectors >> 32)).to_le_bytes());
        put(&mut bytes, 0x78, &high16(self.uid).to_le_bytes());
        put(&mut bytes, 0x7A, &high16(self.gid).to_le_bytes());
        put(&mut bytes, 0x80, &EXTRA_BYTES.to_le_bytes());
        put(&mut bytes, 0x84, &extra.to_le_bytes());
        put(&mut bytes, 0x88, &extra.to_le_bytes());
        put(&mut bytes, 0x8C, &extra.to_le_bytes());
        put(&mut bytes, 0x90, &created.to_le_bytes());
        put(&mut bytes, 0x94, &created_extra.to_le_bytes());
        put(&mut bytes, 0xA0, &self.attributes.in_inode());
        let sum = checksum(uuid, &[&number.to_le_bytes(), &[0; 4], &bytes]);
        put(&mut bytes, 0x7C, &low16(sum).to_le_bytes());
        put(&mut bytes, 0x82, &high16(sum).to_le_bytes());
        (bytes, nodes)
    }

    fn block(&self, uuid: Uuid, number: u32) -> (u32, [u8; 60], Vec<PlacedBlock>) {
        let mut block = [0; 60];
        let mut nodes = Vec::new();
        match &self.body {
            Body::Nothing => return (0, block, nodes),
            Body::Inline(target) => {
                put(&mut block, 0, target);
                return (0, block, nodes);
            }
            Body::Device(device) => {
                let (index, encoded) = encode_device(*device);
                put(&mut block, index * 4, &encoded.to_le_bytes());
                return (0, block, nodes);
            }
            Body::Extents(extents) if extents.len() <= IN_INODE => {
                write_extents(&mut block, IN_INODE, extents);
            }
            Body::Extents(extents) => {
                let chunks = extents.chunks(IN_BLOCK);
                write_header(&mut block, chunks.len(), IN_INODE, 1);
                for (index, (chunk, at)) in chunks.zip(&self.map).enumerate() {
                    let logical = chunk.first().map_or(0, |extent| extent.logical);
                    let offset = ENTRY_BYTES * (index + 1);
                    put(&mut block, offset, &logical.to_le_bytes());
                    put(&mut block, offset + 4, &at.to_le_bytes());
                    let mut node = vec![0; BLOCK_BYTES];
                    write_extents(&mut node, IN_BLOCK, chunk);
                    let end = ENTRY_BYTES * (IN_BLOCK + 1);
                    let sum = checksum(uuid, &[&number.to_le_bytes(), &[0; 4], &node[..end]]);
                    put(&mut node, end, &sum.to_le_bytes());
                    nodes.push((*at, node));
                }
            }
        }
        (EXTENTS_FLAG, block, nodes)
    }
}

/// Checks that a file has no more extents than its map can hold.
pub(super) fn check_extents(path: &TreePath, size_bytes: u64, count: usize) -> Result<(), Error> {
    match count <= MOST_EXTENTS {
        true => Ok(()),
        false => Err(Error::FileTooLarge {
            path: path.clone(),
            size_bytes,
            limit: MOST_EXTENTS,
        }),
    }
}

fn write_header(room: &mut [u8], count: usize, limit: usize, depth: u16) {
    put(room, 0, &0xF30A_u16.to_le_bytes());
    put(
        room,
        2,
        &u16::try_from(count).unwrap_or_default().to_le_bytes(),
    );
    put(
        room,
        4,
        &u16::try_from(limit).unwrap_or_default().to_le_bytes(),
    );
    put(room, 6, &depth.to_le_bytes());
}

fn write_extents(room: &mut [u8], limit: usize, extents: &[Extent]) {
    write_header(room, extents.len(), limit, 0);
    for (index, extent) in extents.iter().enumerate() {
        let offset = ENTRY_BYTES * (index + 1);
        let count = u16::try_from(extent.run.count).unwrap_or_default();
        put(room, offset, &extent.logical.to_le_bytes());
        put(room, offset + 4, &count.to_le_bytes());
        put(room, offset + 8, &extent.run.start.to_le_bytes());
    }
}

/// Returns which word of `i_block` holds a device's number, and the word: the old form where it fits.
fn encode_device(device: DeviceNumber) -> (usize, u32) {
    let DeviceNumber { major, minor } = device;
    match major < 256 && minor < 256 {
        true => (0, major << 8 | minor),
        false => (1, (minor & 0xff) | major << 8 | (minor & !0xff) << 12),
    }
}

/// Returns a time's low 32 bits, and the word with two more bits and the nanoseconds.
fn time(time: Timestamp) -> (u32, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the low half, whose missing bits are in the other word"
    )]
    let low = time.seconds as u32;
    let signed = i64::from(low.cast_signed());
    let epoch = (time.seconds - signed) >> 32;
    let epoch = u32::try_from(epoch & 3).unwrap_or_default();
    (low, time.nanoseconds << 2 | epoch)
}
