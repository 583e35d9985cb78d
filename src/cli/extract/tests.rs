use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;

use super::{extract, make_plain};
use crate::beneath::Directory;
use crate::capture;
use crate::cli::diff::difference::{Ignored, trees};
use crate::format::codec::BlockCodec;
use crate::format::file_system::FileSystem;
use crate::format::output::SeekOutput;
use crate::format::read_at::ImageBytes;
use crate::format::{erofs, squashfs};
use crate::tree::arbitrary::file_tree;
use crate::tree::{FileTree, Timestamp};

const THEN: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn erofs_image(tree: &FileTree) -> Vec<u8> {
    let options = erofs::Options {
        uuid: uuid::Uuid::nil(),
        build_time: THEN,
        volume_name: String::new(),
    };
    let mut image = Vec::new();
    let plan = erofs::Plan::new(tree, &options).unwrap();
    plan.write(&mut image).unwrap();
    image
}

fn squashfs_image(tree: &FileTree) -> Vec<u8> {
    let options = squashfs::Options::new(BlockCodec::Zstd { level: 3 }, THEN);
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    let plan = squashfs::Plan::new(tree, &options).unwrap();
    plan.write(std::num::NonZeroUsize::MIN, &mut output)
        .unwrap();
    output.into_inner().into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_extracted_of_any_image_is_the_tree_it_was_made_of(tree in file_tree()) {
        let mut tree = tree;
        make_plain(&mut tree);
        for (_, entry) in tree.iter_mut() {
            // Else only root could read it again, and another time is beyond what some file systems hold.
            entry.mode |= 0o700;
            entry.modified = THEN;
        }
        let ignored = Ignored { times: false, owners: false };
        for image in [erofs_image(&tree), squashfs_image(&tree)] {
            let file_system = FileSystem::open(Arc::new(ImageBytes::new(image))).unwrap();
            let read = file_system.tree().unwrap();
            let found = trees(&tree, &read, ignored).unwrap();
            prop_assert!(found.is_empty(), "{found:?}");
            let directory = tempfile::tempdir().unwrap();
            let destination = directory.path().join("out");
            extract(&read, &destination, false).unwrap();
            let extracted = Directory::open(&destination).unwrap();
            let extracted = capture::merge_directory(extracted).unwrap();
            let found = trees(&tree, &extracted, ignored).unwrap();
            prop_assert!(found.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn an_extraction_that_fails_leaves_nothing() {
    let mut tree = FileTree::new(crate::tree::Entry::directory(THEN)).unwrap();
    let mut file = crate::tree::Entry::directory(THEN);
    file.xattrs.insert(b"trusted.x".to_vec(), b"x".to_vec());
    let path = crate::tree::TreePath::new("a").unwrap();
    tree.insert(path, file).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let refused = extract(&tree, &directory.path().join("out"), false).unwrap_err();
    assert!(matches!(refused, super::Error::Write { .. }), "{refused}");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
}
