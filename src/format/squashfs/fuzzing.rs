//! What must hold of any image, and of an image of any tree.

use std::io::Cursor;
use std::num::NonZeroUsize;

use super::reader::read_tree;
use super::{Options, Plan};
use crate::format::codec::BlockCodec;
use crate::format::output::SeekOutput;
use crate::tree::fuzzing::{Bytes, described, tree};
use crate::tree::{EntryKind, FileTree, Timestamp};

const CODECS: [BlockCodec; 5] = [
    BlockCodec::Lz4,
    BlockCodec::Lz4Hc { level: 3 },
    BlockCodec::Zstd { level: 1 },
    BlockCodec::Zlib { level: 1 },
    BlockCodec::Xz { level: 0 },
];
/// Contents that are longer are not read: an image of a few bytes may say that it has terabytes of zeros.
const READ_LIMIT_BYTES: u64 = 1 << 20;

/// A tree survives in an image, and a damaged image is an error or a tree that can be read.
pub fn squashfs_damaged(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let codec = bytes.choose(&CODECS);
    let Some(mut tree) = tree(&mut bytes) else {
        return;
    };
    for (_, entry) in tree.iter_mut() {
        // The format has no fractions of seconds.
        entry.modified.nanoseconds = 0;
    }
    let Some(mut image) = image_of(&tree, codec) else {
        return;
    };
    let read = read_tree(&image).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
    while !bytes.is_empty() {
        let place = bytes.number() as usize % image.len();
        image[place] = bytes.byte();
    }
    squashfs_image(&image);
}

/// Any bytes are an error or a tree, whose contents are errors or have the length that was told.
pub fn squashfs_image(image: &[u8]) {
    let Ok(tree) = read_tree(image) else { return };
    let mut total_bytes = 0;
    let mut is_whole = true;
    for (_, entry) in tree.iter() {
        let EntryKind::Regular(content) = &entry.kind else {
            continue;
        };
        total_bytes += content.size_bytes().min(READ_LIMIT_BYTES);
        if total_bytes >= READ_LIMIT_BYTES {
            return;
        }
        match content.read_all() {
            Ok(bytes) => assert_eq!(bytes.len() as u64, content.size_bytes()),
            Err(_) => is_whole = false,
        }
    }
    if !is_whole {
        return;
    }
    let Some(again) = image_of(&tree, BlockCodec::Lz4) else {
        return;
    };
    let read = read_tree(&again).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
}

fn image_of(tree: &FileTree, codec: BlockCodec) -> Option<Vec<u8>> {
    let mut options = Options::new(codec, Timestamp::from_seconds(1_700_000_000));
    options.block_bytes = 4096;
    let plan = Plan::new(tree, &options).ok()?;
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    let summary = plan
        .write(NonZeroUsize::MIN, &mut output)
        .expect("memory can be written to");
    let image = output.into_inner().into_inner();
    assert_eq!(image.len() as u64, summary.size_bytes);
    Some(image)
}
