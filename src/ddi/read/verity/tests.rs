use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{TreeCheck, VerityError, VeritySuperblock};
use crate::ddi::SectorSize;
use crate::ddi::read::fixture::{Verity, image_of, opened};
use crate::format::read_at::{ImageBytes, ReadAt};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Returns data and hash partition of an image with this payload.
fn partitions(payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let image = opened(image_of(payload, Verity::Hash, SectorSize::Bytes512));
    let payloads = image.payloads();
    let hashes = image.partition_bytes(payloads[0].verity.unwrap());
    let whole = |bytes: &dyn ReadAt| {
        let length = usize::try_from(bytes.size_bytes()).unwrap();
        bytes.bytes_at(0, length).unwrap()
    };
    (whole(&*payloads[0].bytes), whole(&*hashes))
}

fn in_memory(bytes: Vec<u8>) -> Arc<dyn ReadAt> {
    Arc::new(ImageBytes::new(bytes))
}

fn check(data: Vec<u8>, hashes: Vec<u8>) -> TreeCheck {
    let (data, hashes) = (in_memory(data), in_memory(hashes));
    let superblock = VeritySuperblock::read(&*hashes).unwrap();
    let levels = superblock
        .levels(data.size_bytes(), hashes.size_bytes())
        .unwrap();
    superblock.check(&*data, &*hashes, &levels, TWO).unwrap()
}

/// More than 128 blocks, so that the tree has two levels.
fn payload() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_whole_tree_has_no_damage() {
    for length in [1, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 1_200_000] {
        let (data, hashes) = partitions(&payload()[..length]);
        assert_eq!(check(data, hashes), TreeCheck::default(), "{length}");
    }
}

#[test]
fn damaged_blocks_are_named() {
    let (mut data, hashes) = partitions(&payload());
    data[5 * 4096 + 17] ^= 0x40;
    data[200 * 4096] ^= 1;
    let found = check(data, hashes);
    assert_eq!(found.damaged_data, [5 * 4096, 200 * 4096]);
    assert_eq!((found.damaged_tree.len(), found.damaged_count), (0, 2));
}

#[test]
fn a_damaged_hash_is_seen_from_above_and_below() {
    let (data, mut hashes) = partitions(&payload());
    // Superblock, top, then the level over the data; its second block covers data from block 128.
    hashes[3 * 4096 + 32] ^= 1;
    let found = check(data, hashes);
    assert_eq!(found.damaged_tree, [3 * 4096]);
    assert_eq!(found.damaged_data, [129 * 4096]);
}

#[test]
fn only_the_first_damaged_blocks_are_named() {
    let (data, hashes) = partitions(&payload());
    let found = check(vec![0xff; data.len()], hashes);
    assert_eq!(found.damaged_data.len(), 8);
    assert_eq!(found.damaged_count, data.len() as u64 / 4096);
}

#[test]
fn a_superblock_that_is_not_known_is_refused() {
    let (_, hashes) = partitions(&payload());
    let fields: [(usize, u8, &str); 8] = [
        (8, 2, "version"),
        (12, 0, "hash type"),
        (32, b'S', "algorithm"),
        (64, 1, "data block size"),
        (69, 0, "hash block size"),
        (67, 1, "data block size"),
        (81, 2, "salt size"),
        (72, 0, "number of data blocks"),
    ];
    for (offset, value, expected) in fields {
        let mut hashes = hashes.clone();
        hashes[offset] = value;
        if offset == 72 {
            hashes[72..80].fill(0);
        }
        let refused = VeritySuperblock::read(&*in_memory(hashes)).unwrap_err();
        let VerityError::Superblock { field, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(field, expected);
    }
    for offset in [0, 7] {
        let mut hashes = hashes.clone();
        hashes[offset] ^= 1;
        let refused = VeritySuperblock::read(&*in_memory(hashes)).unwrap_err();
        assert!(matches!(refused, VerityError::Missing), "{refused}");
    }
    for offset in [40, 84, 130, 511] {
        let mut hashes = hashes.clone();
        hashes[offset] = 1;
        let refused = VeritySuperblock::read(&*in_memory(hashes)).unwrap_err();
        assert!(
            matches!(refused, VerityError::NotZero { offset: found } if found == offset as u64),
            "{refused}"
        );
    }
}

#[test]
fn a_tree_over_more_than_there_is_is_refused() {
    let (data, hashes) = partitions(&payload());
    for blocks in [u64::MAX, u64::MAX / 4096, data.len() as u64 / 4096 + 1] {
        let mut hashes = hashes.clone();
        hashes[72..80].copy_from_slice(&blocks.to_le_bytes());
        let superblock = VeritySuperblock::read(&*in_memory(hashes)).unwrap();
        let refused = superblock.levels(data.len() as u64, 1 << 30).unwrap_err();
        assert!(
            matches!(refused, VerityError::DataTooLong { .. }),
            "{refused}"
        );
    }
    let superblock = VeritySuperblock::read(&*in_memory(hashes.clone())).unwrap();
    let refused = superblock
        .levels(data.len() as u64, hashes.len() as u64 - 4096)
        .unwrap_err();
    assert!(
        matches!(refused, VerityError::TreeTooLong { .. }),
        "{refused}"
    );
}

#[test]
fn bytes_after_the_tree_must_be_zero() {
    let (data, mut hashes) = partitions(&payload());
    let end = hashes.len();
    hashes.resize(end + 8192, 0);
    hashes[end + 5000] = 1;
    let bytes = in_memory(hashes);
    let superblock = VeritySuperblock::read(&*bytes).unwrap();
    let levels = superblock
        .levels(data.len() as u64, bytes.size_bytes())
        .unwrap();
    let refused = superblock.check_unused(&*bytes, &levels).unwrap_err();
    assert!(
        matches!(refused, VerityError::NotZero { offset } if offset == end as u64 + 5000),
        "{refused}"
    );
}
