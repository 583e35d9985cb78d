//! What must hold of any compressed file.

use std::sync::Arc;

use super::{Contents, Image};
use crate::format::erofs::layout::{SUPER_MAGIC, SUPER_OFFSET};
use crate::format::read_at::ImageBytes;
use crate::tree::fuzzing::Bytes;

const BLOCK_LENGTH: usize = 4096;
/// The inodes that an input starts with, and that has fragments.
const NID: u64 = 128;
const PACKED_NID: u64 = 136;
/// How much of a file is read.
const READ_LIMIT_BYTES: usize = 1 << 20;

/// An inode with its index and data, behind a superblock that allows everything: what is read of it in one go is what is
/// read of it anywhere.
pub fn erofs_compressed(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let places: Vec<u32> = (0..4).map(|_| bytes.number()).collect();
    let mut rest = Vec::new();
    while !bytes.is_empty() {
        rest.extend_from_slice(bytes.take(BLOCK_LENGTH));
    }
    let image = image(&rest);
    let Ok(inode) = image.inode(NID) else { return };
    let Ok(mut contents) = Contents::of(&image, NID, &inode) else {
        return;
    };
    let mut whole = vec![0; READ_LIMIT_BYTES];
    let mut length = 0;
    while length < whole.len() {
        match contents.read(&image, length as u64, &mut whole[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(_) => break,
        }
    }
    whole.truncate(length);
    assert!(length as u64 <= inode.i_size);
    for place in places {
        let place = place as usize % whole.len().max(1);
        let mut part = vec![0; 100];
        let Ok(mut contents) = Contents::of(&image, NID, &inode) else {
            panic!("it was opened before");
        };
        if let Ok(count) = contents.read(&image, place as u64, &mut part) {
            let end = (place + count).min(whole.len());
            assert_eq!(part[..end - place.min(end)], whole[place.min(end)..end]);
        }
    }
}

/// Returns an image in which `rest` starts with an inode.
fn image(rest: &[u8]) -> Image {
    let mut bytes = vec![0; BLOCK_LENGTH];
    let mut put = |offset: usize, value: &[u8]| {
        let place = SUPER_OFFSET + offset;
        bytes[place..place + value.len()].copy_from_slice(value);
    };
    put(0, &SUPER_MAGIC.to_le_bytes());
    put(12, &[12]);
    // Every feature that is known, and every algorithm.
    put(80, &0x7f_u32.to_le_bytes());
    put(84, &0xf_u16.to_le_bytes());
    put(96, &PACKED_NID.to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes.resize(bytes.len().next_multiple_of(BLOCK_LENGTH), 0);
    Image::open(Arc::new(ImageBytes::new(bytes))).expect("its superblock is in order")
}
