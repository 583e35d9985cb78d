use proptest::collection::vec;
use proptest::prelude::*;

use super::{Encoding, Map, TailFragment, encode_whole_fragment, whole_fragment_bytes};
use crate::format::erofs::extent::Extent;

/// What the kernel finds for a place in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Found {
    /// Where the extent starts in the file.
    start: u64,
    is_plain: bool,
    first_block: u32,
    blocks: u32,
}

/// An entry as it is looked up, the way `fs/erofs/zmap.c` goes about it.
#[derive(Clone, Copy, Debug)]
struct Raw {
    kind: u16,
    /// The offset in a head's cluster, or the distance to the head.
    offset: u16,
    blocks: Option<u32>,
    block: u32,
}

struct Encoded<'m> {
    bytes: &'m [u8],
    encoding: Encoding,
    clusters: usize,
    /// Where entries start, counted from the start of the inode.
    start: usize,
}

impl Encoded<'_> {
    fn entry(&self, cluster: usize) -> Raw {
        match self.encoding {
            Encoding::Full => self.full_entry(cluster),
            Encoding::Compact => self.compact_entry(cluster),
        }
    }

    fn full_entry(&self, cluster: usize) -> Raw {
        let entry = &self.bytes[16 + 8 * cluster..][..8];
        let half = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let kind = half(0);
        let count = (kind == 2 && half(4) & 0x800 != 0).then(|| u32::from(half(4) & 0x7ff));
        Raw {
            kind,
            offset: match (kind, count) {
                (2, Some(_)) => 1,
                (2, None) => half(4),
                _ => half(2),
            },
            blocks: count,
            block: u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
        }
    }

    fn compact_entry(&self, cluster: usize) -> Raw {
        let leading = (32 - self.start % 32) / 4 % 8;
        let dense = match self.clusters.checked_sub(leading) {
            Some(rest) if rest > 0 => rest / 16 * 16,
            _ => 0,
        };
        let (place, step) = if cluster < leading {
            (4 * cluster, 4)
        } else if cluster - leading < dense {
            (4 * leading + 2 * (cluster - leading), 2)
        } else {
            let rest = cluster - leading - dense;
            (4 * leading + 2 * dense + 4 * rest, 4)
        };
        let count = if step == 4 { 2 } else { 16 };
        let absolute = self.start + place;
        let pack_start = absolute / (count * step) * (count * step);
        let pack = &self.bytes[8 + pack_start - self.start..][..count * step];
        let bits = (count * step - 4) * 8 / count;
        let value = |index: usize| {
            let at = index * bits;
            let mut word = [0; 4];
            for (byte, found) in word.iter_mut().zip(&pack[at / 8..]) {
                *byte = *found;
            }
            let word = u32::from_le_bytes(word) >> (at % 8);
            (word >> 12 & 3, word & 0xfff)
        };
        let index = (absolute - pack_start) / step;
        let (kind, low) = value(index);
        let base = u32::from_le_bytes(*pack.last_chunk().unwrap());
        let to_head = |index: usize| match value(index) {
            (2, low) if low & 0x800 != 0 => 1,
            (2, low) => low,
            _ => 0,
        };
        if kind == 2 {
            let has_count = low & 0x800 != 0;
            let offset = match (has_count, index + 1 == count) {
                (true, _) => 1,
                (false, true) => to_head(index - 1) + 1,
                (false, false) => low,
            };
            return Raw {
                kind: 2,
                offset: offset.try_into().unwrap(),
                blocks: has_count.then_some(low & 0x7ff),
                block: 0,
            };
        }
        let mut passed = 0;
        let mut at = i64::try_from(index).unwrap();
        while at > 0 {
            at -= 1;
            match value(usize::try_from(at).unwrap()) {
                (2, low) if low & 0x800 != 0 => {
                    at -= 1;
                    passed += low & 0x7ff;
                }
                (2, low) => {
                    assert!(low > 1, "the kernel takes a distance of {low} for damage");
                    at -= i64::from(low) - 2;
                }
                _ => passed += 1,
            }
        }
        Raw {
            kind: kind.try_into().unwrap(),
            offset: low.try_into().unwrap(),
            blocks: None,
            block: base.wrapping_add(passed),
        }
    }

    fn find(&self, place: u64) -> Found {
        let mut cluster = usize::try_from(place / 4096).unwrap();
        let mut entry = self.entry(cluster);
        if entry.kind != 2 && place % 4096 < u64::from(entry.offset) {
            cluster -= 1;
            entry = self.entry(cluster);
        }
        while entry.kind == 2 {
            assert_ne!(entry.offset, 0);
            cluster -= usize::from(entry.offset);
            entry = self.entry(cluster);
        }
        let next = (cluster + 1 < self.clusters).then(|| self.entry(cluster + 1));
        let blocks = match next {
            Some(next) if next.kind == 2 => next.blocks.expect("the second entry has the count"),
            _ => 1,
        };
        Found {
            start: cluster as u64 * 4096 + u64::from(entry.offset),
            is_plain: entry.kind == 0,
            first_block: entry.block,
            blocks,
        }
    }
}

/// Checks what is found at all places of a file against its extents.
fn assert_found(map: &Map<'_>, head_bytes: u64) {
    let mut bytes = Vec::new();
    map.encode(head_bytes, &mut bytes);
    assert_eq!(bytes.len() as u64, map.encoded_bytes(head_bytes));
    let padding = usize::try_from(head_bytes.next_multiple_of(8) - head_bytes).unwrap();
    let encoded = Encoded {
        bytes: &bytes[padding..],
        encoding: map.encoding(),
        clusters: usize::try_from(map.size_bytes.div_ceil(4096)).unwrap(),
        start: usize::try_from(head_bytes.next_multiple_of(8) + 8).unwrap(),
    };
    let mut start = 0;
    for extent in map.extents {
        for _ in 0..extent.repetitions {
            for cluster in 0..extent.clusters {
                let offset = u64::from(cluster) * 4096;
                let expected = match extent.is_compressed() {
                    true => Found {
                        start,
                        is_plain: false,
                        first_block: extent.first_block,
                        blocks: extent.blocks.into(),
                    },
                    false => Found {
                        start: start + offset,
                        is_plain: true,
                        first_block: extent.first_block + u32::from(cluster),
                        blocks: 1,
                    },
                };
                let last = (start + offset + 4095).min(map.size_bytes - 1);
                for place in [start + offset, last] {
                    assert_eq!(encoded.find(place), expected, "{place} of {map:?}");
                }
            }
            start += u64::from(extent.clusters) * 4096;
        }
    }
}

/// Gives extents one behind the other, of which the third number says how often each is repeated.
fn extents(counts: &[(u16, u16, u32)], first_block: u32) -> Vec<Extent> {
    let mut next = first_block;
    let place = |(clusters, saved, repetitions): &(u16, u16, u32)| {
        let blocks = clusters - saved % clusters;
        let extent = Extent {
            first_block: next,
            blocks,
            clusters: *clusters,
            repetitions: *repetitions,
        };
        next += u32::from(blocks);
        extent
    };
    counts.iter().map(place).collect()
}

fn map(extents: &[Extent], cut: u64) -> Map<'_> {
    let clusters: u64 = extents
        .iter()
        .map(|extent| u64::from(extent.clusters) * u64::from(extent.repetitions))
        .sum();
    Map {
        size_bytes: clusters * 4096 - cut,
        extents,
        tail: None,
        algorithm: 3,
    }
}

fn counts(repetitions: u32) -> impl Strategy<Value = Vec<(u16, u16, u32)>> {
    let extent = prop_oneof![
        3 => (1..4_u16, 0..4_u16),
        2 => (1..100_u16, 0..100_u16),
        1 => (2..=192_u16, Just(1)),
    ];
    vec((extent, 1..=repetitions), 1..60).prop_map(|extents| {
        extents
            .into_iter()
            .map(|((clusters, saved), repetitions)| (clusters, saved, repetitions))
            .collect()
    })
}

proptest! {
    #[test]
    fn each_place_is_found_in_a_compact_map(
        counts in counts(1),
        cut in prop_oneof![Just(0), 1..4096_u64],
        slots in 1..40_u64,
    ) {
        let extents = extents(&counts, 1000);
        let map = map(&extents, cut);
        prop_assert_eq!(map.encoding(), Encoding::Compact);
        assert_found(&map, 32 + slots * 4);
    }

    #[test]
    fn each_place_is_found_in_a_full_map(
        counts in counts(4),
        cut in prop_oneof![Just(0), 1..4096_u64],
        slots in 1..40_u64,
    ) {
        let mut extents = extents(&counts, 1000);
        extents[0].repetitions = 2;
        let map = map(&extents, cut);
        prop_assert_eq!(map.encoding(), Encoding::Full);
        assert_found(&map, 32 + slots * 4);
    }
}

#[test]
fn a_full_map_has_the_layout_of_the_kernel() {
    let extents = extents(&[(4, 2, 2)], 7);
    let mut encoded = Vec::new();
    map(&extents, 4000).encode(32, &mut encoded);
    let expected = [
        [0, 0, 0, 0, 2, 0, 3, 0], // advice, algorithm
        [0; 8],
        [1, 0, 0, 0, 7, 0, 0, 0],
        [2, 0, 0, 0, 2, 8, 3, 0], // two blocks
        [2, 0, 0, 0, 2, 0, 2, 0],
        [2, 0, 0, 0, 3, 0, 1, 0],
        [1, 0, 0, 0, 7, 0, 0, 0],
        [2, 0, 0, 0, 2, 8, 2, 0],
        [2, 0, 0, 0, 2, 0, 1, 0],
        [0, 0, 96, 0, 0, 0, 0, 0], // the end
    ];
    assert_eq!(encoded, expected.concat());
}

#[test]
fn a_compact_map_has_the_layout_of_the_kernel() {
    let extents = extents(&[(3, 2, 1), (1, 0, 1)], 7);
    let mut encoded = Vec::new();
    map(&extents, 0).encode(36, &mut encoded);
    let expected = [
        &[0, 0, 0, 0][..],
        &[0, 0, 0, 0, 7, 0, 3, 0],
        &[0, 0x10, 1, 0x28, 7, 0, 0, 0], // a head, one block
        &[2, 0x20, 0, 0, 8, 0, 0, 0],    // two from the head, a plain cluster
    ];
    assert_eq!(encoded, expected.concat());
}

#[test]
fn a_tail_in_the_packed_inode_ends_a_map() {
    let extents = extents(&[(3, 2, 1)], 7);
    let map = Map {
        size_bytes: 4 * 4096 + 5,
        tail: Some(TailFragment {
            offset: 0x1_0000_0002,
            clusters: 2,
        }),
        ..map(&extents, 0)
    };
    let mut encoded = Vec::new();
    map.encode(32, &mut encoded);
    let expected = [
        [2, 0, 0, 0, 0x22, 0, 3, 0],
        [0; 8],
        [1, 0, 0, 0, 7, 0, 0, 0],
        [2, 0, 0, 0, 1, 8, 2, 0],
        [2, 0, 0, 0, 2, 0, 1, 0],
        [1, 0, 0, 0, 1, 0, 0, 0], // the upper half of the offset
        [0, 0, 5, 0, 0, 0, 0, 0],
    ];
    assert_eq!(encoded, expected.concat());
}

#[test]
fn a_file_in_the_packed_inode_has_its_offset_alone() {
    let mut encoded = Vec::new();
    encode_whole_fragment(0x0123_4567, 68, &mut encoded);
    assert_eq!(encoded.len() as u64, whole_fragment_bytes(68));
    assert_eq!(encoded, [0, 0, 0, 0, 0x67, 0x45, 0x23, 0x01, 0, 0, 0, 0x80]);
}
