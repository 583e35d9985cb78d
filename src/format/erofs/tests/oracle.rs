//! What `fsck.erofs` of erofs-utils makes of our images. The program must be there: a missing one fails the tests.

use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::compressed::{self, files, with};
use super::{Entry, EntryKind, FileTree, image_of, sample};
use crate::format::codec::BlockCodec;
use crate::format::erofs::Compression;
use crate::format::file_system::KernelVersion;
use crate::tree::arbitrary::file_tree;

/// Compressions that all versions of the program know.
fn old_compressions() -> impl Iterator<Item = Compression> {
    let codecs = [BlockCodec::Lz4, BlockCodec::Lz4Hc { level: 9 }];
    codecs.into_iter().flat_map(|codec| {
        [None, Some(8192)].map(|block_bytes| Compression {
            block_bytes,
            oldest_kernel: KernelVersion::new(5, 15),
            ..with(codec)
        })
    })
}

/// Checks `tree`'s images and compares names, types and contents of what comes out of them.
fn assert_accepted(tree: &FileTree) {
    assert_image_accepted(tree, &image_of(tree));
    for compression in old_compressions() {
        assert_image_accepted(tree, &compressed::image_of(tree, &compression));
    }
}

fn assert_image_accepted(tree: &FileTree, bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let extracted = directory.path().join("extracted");
    fs_err::write(&image, bytes).unwrap();
    let output = Command::new("fsck.erofs")
        .arg(format!("--extract={}", extracted.display()))
        .args(["--no-preserve", "--force"])
        .arg(&image)
        .output()
        .expect("fsck.erofs of erofs-utils is installed");
    assert!(output.status.success(), "{output:?}");
    for (path, entry) in tree.iter() {
        assert_extracted(&extracted.join(path.as_path()), entry);
    }
}

fn assert_extracted(extracted: &Path, entry: &Entry) {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::FileTypeExt;
    match &entry.kind {
        EntryKind::Directory => assert!(extracted.is_dir(), "{extracted:?}"),
        EntryKind::Regular(content) => {
            let found = fs_err::read(extracted).unwrap();
            assert!(found == content.read_all().unwrap(), "{extracted:?}");
        }
        EntryKind::Symlink(target) => {
            let found = fs_err::read_link(extracted).unwrap();
            assert_eq!(&found.into_os_string().into_vec(), target);
        }
        EntryKind::Fifo => {
            let found = fs_err::symlink_metadata(extracted).unwrap().file_type();
            assert!(found.is_fifo(), "{extracted:?}");
        }
        // Devices need root, and fsck.erofs 1.5 makes no sockets.
        _ => {}
    }
}

/// Takes out what only root can extract.
fn for_anyone(tree: FileTree) -> FileTree {
    tree.retain(|_, entry| {
        !matches!(
            entry.kind,
            EntryKind::CharacterDevice(_) | EntryKind::BlockDevice(_) | EntryKind::Socket
        )
    })
}

#[test]
fn fsck_accepts_the_sample() {
    assert_accepted(&for_anyone(sample()));
}

#[test]
fn fsck_accepts_files_of_all_lengths() {
    assert_accepted(&files());
}

#[test]
fn fsck_accepts_any_tree() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..32 {
        let mut tree = file_tree().new_tree(&mut runner).unwrap().current();
        for (_, entry) in tree.iter_mut() {
            // Without the write and search bits of directories, only root can extract into them.
            entry.mode |= 0o700;
        }
        assert_accepted(&for_anyone(tree));
    }
}
