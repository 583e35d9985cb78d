//! What must hold of any partition table, hash tree and signature.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{Image, PartitionTable, Required, SignaturePartition, VeritySuperblock, verify};
use crate::ddi::RootHash;
use crate::ddi::gpt::CRC32;
use crate::format::read_at::{ImageBytes, ReadAt};
use crate::tree::fuzzing::Bytes;

const SECTOR: usize = 512;
/// Where the header is, and the entries that it may be of.
const HEADER: std::ops::Range<usize> = SECTOR..SECTOR + 92;
const ENTRIES: usize = 2 * SECTOR;

/// A header and entries with right checksums: every partition lies in the image and none in another.
pub fn image_table(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let count = bytes.byte() % 9;
    let mut image = vec![0; 64 * SECTOR];
    let last = (image.len() / SECTOR - 1) as u64;
    let header = bytes.take(HEADER.len());
    image[HEADER][..header.len()].copy_from_slice(header);
    image[512..524].copy_from_slice(b"EFI PART\0\0\x01\0");
    image[524..528].copy_from_slice(&92_u32.to_le_bytes());
    image[536..544].copy_from_slice(&1_u64.to_le_bytes());
    image[544..552].copy_from_slice(&last.to_le_bytes());
    image[584..592].copy_from_slice(&2_u64.to_le_bytes());
    image[592..596].copy_from_slice(&u32::from(count).to_le_bytes());
    image[596..600].copy_from_slice(&128_u32.to_le_bytes());
    let entries = bytes.take(usize::from(count) * 128);
    image[ENTRIES..ENTRIES + entries.len()].copy_from_slice(entries);
    let checksum = CRC32.checksum(&image[ENTRIES..ENTRIES + usize::from(count) * 128]);
    image[600..604].copy_from_slice(&checksum.to_le_bytes());
    image[528..532].fill(0);
    let checksum = CRC32.checksum(&image[HEADER]);
    image[528..532].copy_from_slice(&checksum.to_le_bytes());
    let image: Arc<dyn ReadAt> = Arc::new(ImageBytes::new(image));
    let Ok(table) = PartitionTable::read(&*image) else {
        return;
    };
    let mut sorted: Vec<_> = table.partitions.iter().collect();
    sorted.sort_by_key(|found| found.partition.offset_bytes);
    let mut end = 0;
    for found in sorted {
        assert!(found.partition.offset_bytes >= end && found.partition.size_bytes > 0);
        end = found.partition.offset_bytes + found.partition.size_bytes;
    }
    assert!(end <= image.size_bytes());
    if let Ok(image) = Image::open(image) {
        verify(
            &image,
            &Required {
                certificate: None,
                root_hash: None,
                workers: NonZeroUsize::MIN,
            },
        );
    }
}

/// A superblock over data, and a signature's text: both are in order or an error, and take no more than there is.
pub fn image_protection(bytes: &[u8]) {
    if let Ok(signature) = SignaturePartition::parse(bytes) {
        let _ = signature.signer();
        let _ = signature.certificates();
        let _ = signature.check_root_hash(RootHash::from_bytes([0; 32]));
    }
    let hashes: Arc<dyn ReadAt> = Arc::new(ImageBytes::new([bytes, &[0; 4096]].concat()));
    let Ok(superblock) = VeritySuperblock::read(&*hashes) else {
        return;
    };
    let data: Arc<dyn ReadAt> = Arc::new(ImageBytes::new(bytes));
    let Ok(levels) = superblock.levels(data.size_bytes(), hashes.size_bytes()) else {
        return;
    };
    superblock
        .root_hash(&*data, &*hashes, &levels)
        .expect("the tree lies in its partition");
    superblock
        .check(&*data, &*hashes, &levels, NonZeroUsize::MIN)
        .expect("data and tree lie in their partitions");
    let _ = superblock.check_unused(&*hashes, &levels);
}
