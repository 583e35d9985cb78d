//! The index of a compressed file: which part of it is where, and how it is stored.
//!
//! A file is cut into logical clusters of a block each. An entry of the index says of a cluster that an extent starts
//! in it (a head), or that it continues one. Entries have 8 bytes (full), or 4 and 2 in packs that share an address
//! (compact).

use super::{Image, ReadError};
use crate::format::erofs::layout::{Inode, get};

/// `Z_EROFS_PCLUSTER_MAX_SIZE` and `Z_EROFS_PCLUSTER_MAX_DSIZE`: the kernel reads no larger ones.
const STORED_LIMIT_BYTES: u64 = 1 << 20;
const EXTENT_LIMIT_BYTES: u64 = 12 << 20;
/// How often the way back to a head may jump: each jump passes up to 2047 clusters.
const JUMP_LIMIT: usize = 4096;
/// How much of an index is read at a time.
const WINDOW_BYTES: u64 = 512;

/// `Z_EROFS_ADVISE_*`.
const ADVISE_COMPACTED_2B: u16 = 0x01;
const ADVISE_BIG_PCLUSTER_1: u16 = 0x02;
const ADVISE_BIG_PCLUSTER_2: u16 = 0x04;
const ADVISE_INLINE_PCLUSTER: u16 = 0x08;
const ADVISE_INTERLACED_PCLUSTER: u16 = 0x10;
const ADVISE_FRAGMENT_PCLUSTER: u16 = 0x20;
const KNOWN_ADVISE: u16 = 0x3f;
/// `Z_EROFS_FRAGMENT_INODE_BIT` of `h_clusterbits`.
const WHOLE_FRAGMENT: u64 = 1 << 63;
/// `Z_EROFS_LI_PARTIAL_REF` of `di_advise`, `Z_EROFS_LI_D0_CBLKCNT` of a distance.
const PARTIAL_REFERENCE: u16 = 1 << 15;
const BLOCK_COUNT: u32 = 1 << 11;
const MAP_HEADER_BYTES: u64 = 8;
const DATA_LAYOUT_FULL: u16 = 1;

/// The index of one file.
#[derive(Debug)]
pub(super) struct Clusters {
    nid: u64,
    size_bytes: u64,
    block_bits: u32,
    index: Index,
    advise: u16,
    algorithms: [u8; 2],
    tail: Tail,
    window: Window,
}

/// Where the entries are.
#[derive(Clone, Copy, Debug)]
enum Index {
    Full {
        start: u64,
    },
    /// Entries of 4 bytes up to a multiple of 32, then as many packs of 2 as there are, then of 4 bytes again.
    Compact {
        start: u64,
        first_count: u64,
        short_count: u64,
    },
}

/// The last extent, where it is not stored as the others.
#[derive(Clone, Copy, Debug)]
enum Tail {
    None,
    Inline {
        start: u64,
        offset: u64,
        stored_bytes: u64,
    },
    Fragment {
        start: u64,
        offset: u64,
    },
}

/// What was last read of the index.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

/// A part of a file that is stored in one piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) stored: Stored,
}

/// How an extent is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stored {
    Compressed {
        algorithm: u8,
        offset: u64,
        stored_bytes: u64,
    },
    /// As it is.
    Plain { offset: u64 },
    /// In one block, each byte at the place that it has in a block of the file.
    Interlaced { offset: u64 },
    /// In the packed inode.
    Fragment { offset: u64 },
}

/// What an entry says of its cluster.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Head {
        kind: Head,
        /// Where in the cluster the extent starts.
        into: u64,
        block: u32,
    },
    Rest {
        /// How many clusters before this the head is.
        back: u64,
        /// How many blocks the extent is stored in, which only the first one after the head says.
        block_count: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Head {
    Plain,
    First,
    Second,
}

impl Clusters {
    /// Reads the header of the index of the inode `nid`, behind which `body` starts.
    pub(super) fn of(image: &Image, nid: u64, inode: &Inode, body: u64) -> Result<Self, ReadError> {
        let unsupported = |reason| ReadError::UnsupportedCompression { nid, reason };
        let header_offset = body.next_multiple_of(8);
        let mut clusters = Self {
            nid,
            size_bytes: inode.i_size,
            block_bits: image.block_bytes().ilog2(),
            index: Index::Full { start: 0 },
            advise: 0,
            algorithms: [0; 2],
            tail: Tail::None,
            window: Window::default(),
        };
        if inode.i_size == 0 {
            return Ok(clusters);
        }
        let header = image.read(nid, header_offset, MAP_HEADER_BYTES)?;
        let whole = get(&header, 0).map_or(0, u64::from_le_bytes);
        if whole & WHOLE_FRAGMENT != 0 {
            clusters.tail = Tail::Fragment {
                start: 0,
                offset: whole ^ WHOLE_FRAGMENT,
            };
            return Ok(clusters);
        }
        clusters.advise = get(&header, 4).map_or(0, u16::from_le_bytes);
        clusters.algorithms = [header[6] & 15, header[6] >> 4];
        if clusters.advise & !KNOWN_ADVISE != 0 {
            return Err(unsupported("its index has unknown features"));
        }
        if header[7] != 0 {
            return Err(unsupported("its logical clusters are larger than a block"));
        }
        let start = header_offset + MAP_HEADER_BYTES;
        clusters.index = if inode.data_layout == DATA_LAYOUT_FULL {
            // Eight bytes are left over from an older form.
            Index::Full { start: start + 8 }
        } else {
            compact(start, clusters.count(), clusters.advise)
        };
        clusters.find_tail(image, &header)?;
        Ok(clusters)
    }

    pub(super) fn has_fragment(&self) -> bool {
        matches!(self.tail, Tail::Fragment { .. })
    }

    /// Returns the extent with the byte at `offset`, which is before the end.
    pub(super) fn extent_at(&mut self, image: &Image, offset: u64) -> Result<Extent, ReadError> {
        let size_bytes = self.size_bytes;
        let extent = |start, stored| Extent {
            start,
            end: size_bytes,
            stored,
        };
        match self.tail {
            Tail::Fragment {
                start,
                offset: fragment,
            } if offset >= start => {
                return Ok(extent(start, Stored::Fragment { offset: fragment }));
            }
            _ => {}
        }
        let (cluster, kind, start, block) = self.head_of(image, offset)?;
        if let Tail::Inline {
            start: tail_start,
            offset,
            stored_bytes,
        } = self.tail
            && tail_start == start
        {
            let stored = match kind {
                Head::Plain if self.size_bytes - start > stored_bytes => {
                    return Err(self.damaged("its last part is longer than what is stored of it"));
                }
                Head::Plain => Stored::Plain { offset },
                _ => Stored::Compressed {
                    algorithm: self.algorithm(kind),
                    offset,
                    stored_bytes,
                },
            };
            return self.checked(extent(start, stored));
        }
        let (end, block_count) = self.end_of(image, cluster)?;
        let is_big = match kind {
            Head::Plain => false,
            Head::First => self.advise & ADVISE_BIG_PCLUSTER_1 != 0,
            Head::Second => self.advise & ADVISE_BIG_PCLUSTER_2 != 0,
        };
        let block_count = match block_count {
            Some(_) if !is_big => return Err(self.damaged("a part has several blocks unannounced")),
            Some(count) => count,
            None => 1,
        };
        let stored_bytes = block_count << self.block_bits;
        if stored_bytes > STORED_LIMIT_BYTES || block_count == 0 {
            return Err(self.damaged("a part is stored in no or too many blocks"));
        }
        let address = u64::from(block) << self.block_bits;
        let stored = match kind {
            Head::Plain if end - start > stored_bytes => {
                return Err(self.damaged("a part is longer than what is stored of it"));
            }
            Head::Plain if self.advise & ADVISE_INTERLACED_PCLUSTER != 0 => {
                Stored::Interlaced { offset: address }
            }
            Head::Plain => Stored::Plain { offset: address },
            _ => Stored::Compressed {
                algorithm: self.algorithm(kind),
                offset: address,
                stored_bytes,
            },
        };
        self.checked(Extent { start, end, stored })
    }

    fn checked(&self, extent: Extent) -> Result<Extent, ReadError> {
        match extent.end - extent.start > EXTENT_LIMIT_BYTES {
            true => Err(self.damaged("a part is longer than 12 MiB")),
            false => Ok(extent),
        }
    }

    fn algorithm(&self, kind: Head) -> u8 {
        self.algorithms[usize::from(kind == Head::Second)]
    }

    fn damaged(&self, reason: &'static str) -> ReadError {
        ReadError::Damaged {
            nid: self.nid,
            reason,
        }
    }

    fn block_bytes(&self) -> u64 {
        1 << self.block_bits
    }

    /// Returns the number of logical clusters.
    fn count(&self) -> u64 {
        self.size_bytes.div_ceil(self.block_bytes())
    }

    /// Finds out where the last extent is, if it lies behind the index or in the packed inode.
    fn find_tail(&mut self, image: &Image, header: &[u8]) -> Result<(), ReadError> {
        if self.advise & (ADVISE_INLINE_PCLUSTER | ADVISE_FRAGMENT_PCLUSTER) == 0 {
            return Ok(());
        }
        let (_, _, start, block) = self.head_of(image, self.size_bytes - 1)?;
        if self.advise & ADVISE_FRAGMENT_PCLUSTER != 0 {
            let low = get(header, 0).map_or(0, u32::from_le_bytes);
            let high = match self.index {
                Index::Full { .. } => block,
                Index::Compact { .. } => 0,
            };
            self.tail = Tail::Fragment {
                start,
                offset: u64::from(high) << 32 | u64::from(low),
            };
            return Ok(());
        }
        let stored_bytes = u64::from(get(header, 2).map_or(0, u16::from_le_bytes));
        let (place, entry_bytes) = self.place_of(self.count() - 1);
        let offset = match entry_bytes {
            8 => place + 8,
            _ => place - place % pack_bytes(entry_bytes) + pack_bytes(entry_bytes),
        };
        if stored_bytes == 0 || offset % self.block_bytes() + stored_bytes > self.block_bytes() {
            return Err(self.damaged("its last part crosses a block"));
        }
        self.tail = Tail::Inline {
            start,
            offset,
            stored_bytes,
        };
        Ok(())
    }

    /// Returns cluster, kind, start and block of the extent with the byte at `offset`.
    fn head_of(&mut self, image: &Image, offset: u64) -> Result<(u64, Head, u64, u32), ReadError> {
        let mut cluster = offset >> self.block_bits;
        for _ in 0..JUMP_LIMIT {
            let back = match self.entry(image, cluster)? {
                Entry::Head { kind, into, block } => {
                    let start = (cluster << self.block_bits) + into;
                    if start <= offset {
                        return Ok((cluster, kind, start, block));
                    }
                    1
                }
                Entry::Rest { back, .. } => back,
            };
            cluster = match cluster.checked_sub(back) {
                Some(before) if back > 0 => before,
                _ => return Err(self.damaged("a part of it has no start")),
            };
        }
        Err(self.damaged("the start of a part is too far away"))
    }

    /// Returns where the extent that starts in `head` ends, and how many blocks it says that it has.
    fn end_of(&mut self, image: &Image, head: u64) -> Result<(u64, Option<u64>), ReadError> {
        let mut found = None;
        let limit = head + (EXTENT_LIMIT_BYTES >> self.block_bits) + 2;
        for cluster in head + 1..limit {
            if cluster >= self.count() {
                return Ok((self.size_bytes, found));
            }
            match self.entry(image, cluster)? {
                Entry::Head { into, .. } => {
                    let end = (cluster << self.block_bits) + into;
                    return Ok((end.min(self.size_bytes), found));
                }
                Entry::Rest { block_count, .. } if cluster == head + 1 => found = block_count,
                Entry::Rest { .. } => {}
            }
        }
        Err(self.damaged("a part is longer than 12 MiB"))
    }

    /// Returns where the entry of a cluster is, and its length.
    fn place_of(&self, cluster: u64) -> (u64, u64) {
        match self.index {
            Index::Full { start } => (start.saturating_add(cluster.saturating_mul(8)), 8),
            Index::Compact {
                start,
                first_count,
                short_count,
            } => {
                let (before, bytes) = if cluster < first_count {
                    (cluster * 4, 4)
                } else if cluster < first_count + short_count {
                    (first_count * 4 + (cluster - first_count) * 2, 2)
                } else {
                    let long = first_count + (cluster - first_count - short_count);
                    (long.saturating_mul(4).saturating_add(short_count * 2), 4)
                };
                (start.saturating_add(before), bytes)
            }
        }
    }

    fn entry(&mut self, image: &Image, cluster: u64) -> Result<Entry, ReadError> {
        let (place, entry_bytes) = self.place_of(cluster);
        let entry = match entry_bytes {
            8 => {
                let nid = self.nid;
                full_entry(self.window.read(image, nid, place, 8)?)
            }
            _ => {
                let pack_bytes = pack_bytes(entry_bytes);
                let start = place - place % pack_bytes;
                let nid = self.nid;
                let pack = self.window.read(image, nid, start, pack_bytes)?;
                Pack {
                    bytes: pack,
                    entry_bytes,
                    value_bits: self.block_bits.max(BLOCK_COUNT.ilog2() + 1),
                    is_big: self.advise & ADVISE_BIG_PCLUSTER_1 != 0,
                }
                .entry((place - start) / entry_bytes)
            }
        };
        match entry {
            Some(Entry::Head { into, .. }) if into >= self.block_bytes() => None,
            entry => entry,
        }
        .ok_or_else(|| self.damaged("its index has an invalid entry"))
    }
}

impl Window {
    /// Returns `length` bytes of the index at `offset`.
    fn read(
        &mut self,
        image: &Image,
        nid: u64,
        offset: u64,
        length: u64,
    ) -> Result<&[u8], ReadError> {
        let end = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length > end {
            let start = offset - offset % WINDOW_BYTES;
            let available = image.bytes.size_bytes().saturating_sub(start);
            let wanted = WINDOW_BYTES.max(offset - start + length);
            self.bytes.clear();
            self.bytes = image.read(nid, start, available.min(wanted))?;
            self.start = start;
        }
        let into = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let range = into..into.saturating_add(length);
        self.bytes.get(range).ok_or(ReadError::Damaged {
            nid,
            reason: "its index is cut off",
        })
    }
}

fn compact(start: u64, count: u64, advise: u16) -> Index {
    let first_count = (32 - start % 32) % 32 / 4;
    let short_count = match count.checked_sub(first_count) {
        Some(rest) if advise & ADVISE_COMPACTED_2B != 0 => rest - rest % 16,
        _ => 0,
    };
    Index::Compact {
        start,
        first_count,
        short_count,
    }
}

/// Two entries of 4 bytes, or sixteen of 2, share a pack.
const fn pack_bytes(entry_bytes: u64) -> u64 {
    match entry_bytes {
        4 => 8,
        _ => 32,
    }
}

fn full_entry(bytes: &[u8]) -> Option<Entry> {
    let advise = u16::from_le_bytes(get(bytes, 0)?);
    // Two bits of type, and whether the extent is the start of what is stored, which decoding finds out.
    if advise & !(PARTIAL_REFERENCE | 3) != 0 {
        return None;
    }
    if advise & 3 == 2 {
        let distance = u32::from(u16::from_le_bytes(get(bytes, 4)?));
        return Some(rest(distance));
    }
    Some(Entry::Head {
        kind: head(advise & 3)?,
        into: u16::from_le_bytes(get(bytes, 2)?).into(),
        block: u32::from_le_bytes(get(bytes, 4)?),
    })
}

/// Returns the entry that does not start an extent; one that says the number of blocks comes right after the head.
fn rest(distance: u32) -> Entry {
    match distance & BLOCK_COUNT {
        0 => Entry::Rest {
            back: distance.into(),
            block_count: None,
        },
        _ => Entry::Rest {
            back: 1,
            block_count: Some((distance & !BLOCK_COUNT).into()),
        },
    }
}

fn head(kind: u16) -> Option<Head> {
    match kind {
        0 => Some(Head::Plain),
        1 => Some(Head::First),
        3 => Some(Head::Second),
        _ => None,
    }
}

/// Entries of a few bits each, and after them the address from which those of their extents are counted.
struct Pack<'a> {
    bytes: &'a [u8],
    entry_bytes: u64,
    /// How many bits of an entry are its value; two of type follow.
    value_bits: u32,
    is_big: bool,
}

impl Pack<'_> {
    fn entry(&self, position: u64) -> Option<Entry> {
        let (kind, value) = self.value(position)?;
        if kind == 2 {
            let is_last = position + 1 == pack_bytes(self.entry_bytes) / self.entry_bytes;
            if value & BLOCK_COUNT != 0 || !is_last {
                return Some(rest(value));
            }
            // The last one of a pack says how far the next head is, so that the one before it has to be asked.
            let back = match self.value(position - 1)? {
                (2, before) if before & BLOCK_COUNT != 0 => 2,
                (2, before) => before + 1,
                _ => 1,
            };
            return Some(Entry::Rest {
                back: back.into(),
                block_count: None,
            });
        }
        let base = self.bytes.len().checked_sub(4)?;
        let base = u32::from_le_bytes(get(self.bytes, base)?);
        Some(Entry::Head {
            kind: head(kind)?,
            into: value.into(),
            block: base.checked_add(self.blocks_before(position)?)?,
        })
    }

    /// Returns type and value of an entry.
    fn value(&self, position: u64) -> Option<(u16, u32)> {
        // 16 bits for two entries in 4 bytes, 14 for sixteen in 28.
        let entry_bits = if self.entry_bytes == 4 { 16 } else { 14 };
        let bit = usize::try_from(position).ok()? * entry_bits;
        // The address behind the entries makes this never reach the end.
        let word = u32::from_le_bytes(get(self.bytes, bit / 8)?) >> (bit % 8);
        let value = word & ((1 << self.value_bits) - 1);
        let kind = u16::try_from(word >> self.value_bits & 3).ok()?;
        Some((kind, value))
    }

    /// Returns how far from the pack's address the extent is that starts in the entry at `position`.
    fn blocks_before(&self, position: u64) -> Option<u32> {
        let mut blocks: u32 = if self.is_big { 0 } else { 1 };
        for before in 0..position {
            let (kind, value) = self.value(before)?;
            let says_count = self.is_big && kind == 2 && value & BLOCK_COUNT != 0;
            if says_count {
                blocks = blocks.checked_add(value & !BLOCK_COUNT)?;
            } else if kind != 2 {
                let next = self.value(before + 1)?;
                let next_says = self.is_big && next.0 == 2 && next.1 & BLOCK_COUNT != 0;
                blocks += u32::from(!next_says);
            }
        }
        Some(blocks)
    }
}
