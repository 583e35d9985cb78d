//! What must hold of any image, and of an image of any tree.

use super::layout::{BLOCK_LENGTH, SUPER_OFFSET};
use super::reader::read_tree;
use super::{Options, Plan};
use crate::tree::fuzzing::{Bytes, described, tree};
use crate::tree::{EntryKind, FileTree, Timestamp};

/// Where the superblock says that it has a checksum.
const COMPATIBLE_FEATURES: usize = SUPER_OFFSET + 8;
/// How much of an image's contents is read.
const CONTENTS_LIMIT_BYTES: u64 = 32 << 20;

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
    if !can_be_read(&tree) {
        return;
    }
    let Some(again) = image_of(&tree) else { return };
    let read = read_tree(&again).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
}

/// Contents are looked at when they are opened, and may say that they are of any length.
fn can_be_read(tree: &FileTree) -> bool {
    let contents = || {
        tree.iter().filter_map(|(_, entry)| match &entry.kind {
            EntryKind::Regular(content) => Some(content),
            _ => None,
        })
    };
    let total_bytes = contents().try_fold(0, |total: u64, content| {
        total.checked_add(content.size_bytes())
    });
    total_bytes.is_some_and(|total| total <= CONTENTS_LIMIT_BYTES)
        && contents().all(|content| content.read_all().is_ok())
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
