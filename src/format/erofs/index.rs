//! The map from a file's logical clusters to its extents, as it follows a compressed inode.
//!
//! Each cluster has an entry: a head, where an extent starts, or the distance to it. There are two encodings. The full one
//! takes 8 bytes an entry. The compact one packs entries, 16 into 32 bytes or 2 into 8, and gives a block number only
//! once a pack, from which the kernel counts on; so it holds only extents that lie one behind the other
//! (`fs/erofs/zmap.c`).

use super::extent::{CLUSTER_BYTES, Extent, are_consecutive};
use super::layout::align;

/// `struct z_erofs_map_header`.
const MAP_HEADER_LENGTH: usize = 8;
/// What precedes full indexes behind the map header (`Z_EROFS_FULL_INDEX_START`).
const FULL_INDEX_GAP_LENGTH: usize = 8;
/// `struct z_erofs_lcluster_index`.
const FULL_ENTRY_LENGTH: usize = 8;
/// The map header, and what is in packs of 32 bytes, are aligned as the kernel finds them.
const MAP_HEADER_ALIGNMENT: u64 = 8;
const LARGE_PACK_LENGTH: usize = 32;
const LARGE_PACK_ENTRIES: usize = 16;
const SMALL_PACK_LENGTH: usize = 8;
const SMALL_PACK_ENTRIES: usize = 2;
/// Compact entries: 12 bits of a value and the type above them.
const TYPE_SHIFT: u32 = 12;

/// `Z_EROFS_LCLUSTER_TYPE_*`.
const PLAIN: u16 = 0;
const HEAD: u16 = 1;
const NONHEAD: u16 = 2;
/// `Z_EROFS_LI_D0_CBLKCNT`: an extent's second entry has the number of its blocks instead of a distance.
const BLOCK_COUNT: u16 = 1 << 11;

/// `Z_EROFS_ADVISE_*`.
const ADVISE_COMPACTED_2B: u16 = 0x01;
const ADVISE_BIG_PCLUSTER_1: u16 = 0x02;
const ADVISE_BIG_PCLUSTER_2: u16 = 0x04;
const ADVISE_FRAGMENT_PCLUSTER: u16 = 0x20;
/// Bit 7 of `h_clusterbits`: all of the file is in the packed inode, and the other 63 bits say where.
const WHOLE_FRAGMENT: u64 = 1 << 63;

/// The last part of a file that is in the packed inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TailFragment {
    pub(super) offset: u64,
    pub(super) clusters: u16,
}

/// A file's map, which can be encoded behind its inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<'a> {
    pub(super) size_bytes: u64,
    pub(super) extents: &'a [Extent],
    pub(super) tail: Option<TailFragment>,
    /// `Z_EROFS_COMPRESSION_*`.
    pub(super) algorithm: u8,
}

/// How the entries are encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Encoding {
    Full,
    Compact,
}

impl Encoding {
    /// Returns `EROFS_INODE_COMPRESSED_FULL` or `_COMPACT`.
    pub(super) const fn data_layout(self) -> u16 {
        match self {
            Self::Full => 1,
            Self::Compact => 3,
        }
    }
}

/// What is said of a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    Head {
        is_plain: bool,
        block: u32,
    },
    Inside {
        to_head: u16,
        to_next: u16,
        /// In the second cluster of an extent, the number of its blocks.
        blocks: Option<u16>,
    },
    /// The file ends in this cluster, which belongs to the extent before.
    End {
        length: u16,
    },
}

/// Returns the length that the map of a file takes behind an inode head of `head_bytes` when all of the file is in the
/// packed inode.
pub(super) fn whole_fragment_bytes(head_bytes: u64) -> u64 {
    align(head_bytes, MAP_HEADER_ALIGNMENT) - head_bytes + MAP_HEADER_LENGTH as u64
}

/// Appends the map of a file that is at `offset` of the packed inode, behind an inode head of `head_bytes`.
pub(super) fn encode_whole_fragment(offset: u64, head_bytes: u64, encoded: &mut Vec<u8>) {
    pad_to_header(head_bytes, encoded);
    encoded.extend_from_slice(&(offset | WHOLE_FRAGMENT).to_le_bytes());
}

impl Map<'_> {
    /// Returns the smaller of the encodings that can express the map.
    pub(super) fn encoding(&self) -> Encoding {
        // A compact map has no room for the upper half of a tail's offset.
        let is_near = |tail: &TailFragment| u32::try_from(tail.offset).is_ok();
        if are_consecutive(self.extents) && self.tail.as_ref().is_none_or(is_near) {
            Encoding::Compact
        } else {
            Encoding::Full
        }
    }

    /// Returns how many blocks the contents take.
    pub(super) fn blocks(&self) -> u32 {
        self.extents
            .iter()
            .fold(0, |blocks, extent| extent.blocks().saturating_add(blocks))
    }

    /// Returns the length of the map behind an inode head of `head_bytes`.
    pub(super) fn encoded_bytes(&self, head_bytes: u64) -> u64 {
        let before = whole_fragment_bytes(head_bytes);
        let clusters = self.clusters();
        match self.encoding() {
            Encoding::Full => {
                before + FULL_INDEX_GAP_LENGTH as u64 + clusters * FULL_ENTRY_LENGTH as u64
            }
            Encoding::Compact => {
                let packs = Packs::new(clusters, head_bytes + before);
                before
                    + (packs.leading + packs.trailing) * SMALL_PACK_LENGTH as u64
                    + packs.large * LARGE_PACK_LENGTH as u64
            }
        }
    }

    /// Appends the map behind an inode head of `head_bytes`, which itself starts at a multiple of 32 bytes.
    pub(super) fn encode(&self, head_bytes: u64, encoded: &mut Vec<u8>) {
        let encoding = self.encoding();
        pad_to_header(head_bytes, encoded);
        self.encode_header(encoding, encoded);
        match encoding {
            Encoding::Full => {
                encoded.extend_from_slice(&[0; FULL_INDEX_GAP_LENGTH]);
                for entry in self.entries() {
                    encoded.extend_from_slice(&entry.encode_full());
                }
            }
            Encoding::Compact => {
                let start = head_bytes + whole_fragment_bytes(head_bytes);
                let packs = Packs::new(self.clusters(), start);
                let mut entries = self.entries();
                for _ in 0..packs.leading {
                    encode_pack::<SMALL_PACK_ENTRIES, SMALL_PACK_LENGTH>(&mut entries, encoded);
                }
                for _ in 0..packs.large {
                    encode_pack::<LARGE_PACK_ENTRIES, LARGE_PACK_LENGTH>(&mut entries, encoded);
                }
                for _ in 0..packs.trailing {
                    encode_pack::<SMALL_PACK_ENTRIES, SMALL_PACK_LENGTH>(&mut entries, encoded);
                }
            }
        }
    }

    fn clusters(&self) -> u64 {
        self.size_bytes.div_ceil(CLUSTER_BYTES)
    }

    fn encode_header(&self, encoding: Encoding, encoded: &mut Vec<u8>) {
        let mut h_advise = match encoding {
            Encoding::Full => ADVISE_BIG_PCLUSTER_1,
            // The kernel wants the two to agree in compact maps.
            Encoding::Compact => {
                ADVISE_COMPACTED_2B | ADVISE_BIG_PCLUSTER_1 | ADVISE_BIG_PCLUSTER_2
            }
        };
        let mut h_fragmentoff = 0;
        if let Some(tail) = self.tail {
            h_advise |= ADVISE_FRAGMENT_PCLUSTER;
            h_fragmentoff = low_word(tail.offset);
        }
        encoded.extend_from_slice(&h_fragmentoff.to_le_bytes());
        encoded.extend_from_slice(&h_advise.to_le_bytes());
        // `h_clusterbits` is 0 for clusters of 4096 bytes.
        encoded.extend_from_slice(&[self.algorithm, 0]);
    }

    /// Iterates over the entries of all clusters.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let end = u16::try_from(self.size_bytes % CLUSTER_BYTES).expect("it is below 4096");
        let last = self.extents.len().saturating_sub(1);
        let has_tail = self.tail.is_some();
        let extents = self.extents.iter().enumerate();
        let of_extents = extents.flat_map(move |(index, extent)| {
            (0..extent.repetitions).flat_map(move |repetition| {
                let is_last = index == last && repetition + 1 == extent.repetitions && !has_tail;
                let cut = if is_last { end } else { 0 };
                (0..extent.clusters).map(move |cluster| extent_entry(extent, cluster, cut))
            })
        });
        of_extents.chain(self.tail.into_iter().flat_map(move |tail| {
            (0..tail.clusters).map(move |cluster| tail_entry(tail, cluster, end))
        }))
    }
}

/// Returns the entry of a cluster in an extent, of whose last cluster only `cut` bytes are there if not 0.
fn extent_entry(extent: &Extent, cluster: u16, cut: u16) -> Entry {
    if !extent.is_compressed() {
        return Entry::Head {
            is_plain: true,
            block: extent.first_block + u32::from(cluster),
        };
    }
    let head = Entry::Head {
        is_plain: false,
        block: extent.first_block,
    };
    entry_in_run(head, extent.blocks, extent.clusters, cluster, cut)
}

/// Returns the entry of a cluster in a tail, whose blocks are those of the packed inode.
fn tail_entry(tail: TailFragment, cluster: u16, cut: u16) -> Entry {
    let head = Entry::Head {
        is_plain: false,
        block: low_word(tail.offset >> 32),
    };
    entry_in_run(head, 0, tail.clusters, cluster, cut)
}

fn entry_in_run(head: Entry, blocks: u16, clusters: u16, cluster: u16, cut: u16) -> Entry {
    match cluster {
        0 => head,
        _ if cut > 0 && cluster + 1 == clusters => Entry::End { length: cut },
        _ => Entry::Inside {
            to_head: cluster,
            // Where the file ends in a cluster, that one starts what would be next.
            to_next: clusters - u16::from(cut > 0) - cluster,
            blocks: (cluster == 1).then_some(blocks),
        },
    }
}

impl Entry {
    fn encode_full(self) -> [u8; FULL_ENTRY_LENGTH] {
        let (kind, offset, rest) = match self {
            Self::Head { is_plain, block } => (head_type(is_plain), 0, block.to_le_bytes()),
            Self::Inside {
                to_head,
                to_next,
                blocks,
            } => {
                let [first, second] = blocks.map_or(to_head, |n| n | BLOCK_COUNT).to_le_bytes();
                let [third, fourth] = to_next.to_le_bytes();
                (NONHEAD, 0, [first, second, third, fourth])
            }
            Self::End { length } => (PLAIN, length, [0; 4]),
        };
        let mut encoded = [0; FULL_ENTRY_LENGTH];
        encoded[..2].copy_from_slice(&kind.to_le_bytes());
        encoded[2..4].copy_from_slice(&offset.to_le_bytes());
        encoded[4..].copy_from_slice(&rest);
        encoded
    }

    /// Returns the bits of a compact entry; the last of a pack looks ahead instead of back.
    fn encode_compact(self, is_last: bool) -> u16 {
        let (kind, value) = match self {
            Self::Head { is_plain, .. } => (head_type(is_plain), 0),
            Self::Inside {
                blocks: Some(blocks),
                ..
            } => (NONHEAD, blocks | BLOCK_COUNT),
            Self::Inside { to_next, .. } if is_last => (NONHEAD, to_next),
            Self::Inside { to_head, .. } => (NONHEAD, to_head),
            Self::End { length } => (PLAIN, length),
        };
        kind << TYPE_SHIFT | value
    }
}

fn head_type(is_plain: bool) -> u16 {
    if is_plain { PLAIN } else { HEAD }
}

/// How many packs of either size a compact map has: large ones are aligned, small ones fill up before and after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Packs {
    leading: u64,
    large: u64,
    trailing: u64,
}

impl Packs {
    /// Returns the packs for `clusters` entries that start at `start`, a multiple of 8.
    fn new(clusters: u64, start: u64) -> Self {
        let to_alignment = align(start, LARGE_PACK_LENGTH as u64) - start;
        let leading = to_alignment / SMALL_PACK_LENGTH as u64;
        let leading_entries = leading * SMALL_PACK_ENTRIES as u64;
        let Some(rest) = clusters.checked_sub(leading_entries) else {
            return Self {
                leading: clusters.div_ceil(SMALL_PACK_ENTRIES as u64),
                large: 0,
                trailing: 0,
            };
        };
        Self {
            leading,
            large: rest / LARGE_PACK_ENTRIES as u64,
            trailing: (rest % LARGE_PACK_ENTRIES as u64).div_ceil(SMALL_PACK_ENTRIES as u64),
        }
    }
}

/// Appends the next `COUNT` entries as a pack of `LENGTH` bytes, filled up with zeros where there are no more.
fn encode_pack<const COUNT: usize, const LENGTH: usize>(
    entries: &mut impl Iterator<Item = Entry>,
    encoded: &mut Vec<u8>,
) {
    let bits = (LENGTH - 4) * 8 / COUNT;
    let mut pack = [0; LENGTH];
    // The kernel adds to the pack's block number the blocks of the extents that it meets on the way to a head.
    let mut base = None;
    let mut passed_blocks: u32 = 0;
    let mut follows_head = false;
    for (index, entry) in entries.take(COUNT).enumerate() {
        match entry {
            Entry::Head { block, .. } => {
                // Without a second cluster, the one before is of one block.
                passed_blocks += u32::from(follows_head);
                base.get_or_insert(block.wrapping_sub(passed_blocks));
                follows_head = true;
            }
            Entry::Inside { blocks, .. } => {
                passed_blocks += u32::from(blocks.unwrap_or_default());
                follows_head = false;
            }
            Entry::End { .. } => follows_head = false,
        }
        let value = u32::from(entry.encode_compact(index + 1 == COUNT)) << (index * bits % 8);
        let first = index * bits / 8;
        for (byte, part) in pack[first..].iter_mut().zip(value.to_le_bytes()) {
            *byte |= part;
        }
    }
    pack[LENGTH - 4..].copy_from_slice(&base.unwrap_or_default().to_le_bytes());
    encoded.extend_from_slice(&pack);
}

fn pad_to_header(head_bytes: u64, encoded: &mut Vec<u8>) {
    for _ in head_bytes..align(head_bytes, MAP_HEADER_ALIGNMENT) {
        encoded.push(0);
    }
}

/// Returns the low 32 bits.
fn low_word(value: u64) -> u32 {
    let [first, second, third, fourth, ..] = value.to_le_bytes();
    u32::from_le_bytes([first, second, third, fourth])
}

#[cfg(test)]
mod tests;
