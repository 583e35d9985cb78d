//! What must hold of any image, and of an image of any tree.

use super::layout::{BLOCK_LENGTH, SUPER_OFFSET};
use super::reader::read_tree;
use super::{Options, Plan};
use crate::tree::fuzzing::{Bytes, described, tree};
use crate::tree::{FileTree, Timestamp};

/// Where the superblock says that it has a checksum.
const COMPATIBLE_FEATURES: usize = SUPER_OFFSET + 8;

/// A tree survives in an image, and a damaged image is an error or a tree that can be written.
pub fn erofs_damaged(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let Some(tree) = tree(&mut bytes) else { return };
    let Some(mut image) = image_of(&tree) else {
        return;
    };
    let read = read_tree(&image).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
    while !bytes.is_empty() {
        let place = bytes.number() as usize % image.len();
        image[place] = bytes.byte();
    }
    reads(&mut image);
}

/// An image without its first 1024 bytes, which mean nothing, and with zeros up to the end of its last block.
pub fn erofs_image(bytes: &[u8]) {
    let mut image = vec![0; SUPER_OFFSET];
    image.extend_from_slice(bytes);
    image.resize(image.len().next_multiple_of(BLOCK_LENGTH), 0);
    reads(&mut image);
}

fn reads(image: &mut [u8]) {
    // Without the checksum, of which no change would get past.
    image[COMPATIBLE_FEATURES] &= !1;
    let Ok(tree) = read_tree(image) else { return };
    let Some(again) = image_of(&tree) else { return };
    let read = read_tree(&again).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
}

fn image_of(tree: &FileTree) -> Option<Vec<u8>> {
    let options = Options {
        uuid: uuid::Uuid::nil(),
        build_time: Timestamp::from_seconds(1_700_000_000),
        volume_name: "fuzz".into(),
    };
    let plan = Plan::new(tree, &options).ok()?;
    let mut image = Vec::new();
    plan.write(&mut image).expect("memory can be written to");
    assert_eq!(image.len() as u64, plan.size_bytes());
    Some(image)
}
