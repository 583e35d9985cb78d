use std::io::Cursor;
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::{BUILD_TIME, file, options, path, sample, tree_of};
use crate::format::codec::BlockCodec;
use crate::format::erofs::reader::read_tree;
use crate::format::erofs::{Compression, Error, Summary, write_compressed};
use crate::format::file_system::KernelVersion;
use crate::format::output::SeekOutput;
use crate::tree::arbitrary::{describe, file_tree};
use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup};

const ONE: NonZeroUsize = NonZeroUsize::MIN;
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const EIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

const CODECS: [BlockCodec; 4] = [
    BlockCodec::Zstd { level: 3 },
    BlockCodec::Lz4,
    BlockCodec::Lz4Hc { level: 9 },
    BlockCodec::Deflate { level: 6 },
];

pub(super) fn with(codec: BlockCodec) -> Compression {
    Compression {
        codec,
        block_bytes: None,
        fragments: true,
        deduplicate: true,
        oldest_kernel: KernelVersion::new(6, 12),
    }
}

fn written(
    tree: &FileTree,
    compression: &Compression,
    workers: NonZeroUsize,
) -> (Vec<u8>, Summary) {
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    let summary = write_compressed(tree, &options(), compression, workers, &mut output).unwrap();
    let image = output.into_inner().into_inner();
    assert_eq!(image.len() as u64, summary.size_bytes);
    (image, summary)
}

pub(super) fn image_of(tree: &FileTree, compression: &Compression) -> Vec<u8> {
    written(tree, compression, TWO).0
}

fn assert_survives(tree: &FileTree, compression: &Compression) -> Summary {
    let (image, summary) = written(tree, compression, TWO);
    assert_eq!(describe(&read_tree(&image).unwrap()), describe(tree));
    summary
}

fn refused(compression: &Compression) -> Error {
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    write_compressed(&sample(), &options(), compression, ONE, &mut output).unwrap_err()
}

/// Gives bytes that compress about by half.
fn text(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnop"[state as usize >> 28]
    })
    .take(length)
    .collect()
}

/// Gives bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

/// A tree of files around the lengths at which something changes in blocks of 16 KiB.
pub(super) fn files() -> FileTree {
    let mut entries = Vec::new();
    for length in [
        0, 1, 31, 4031, 4095, 4096, 4097, 8191, 8192, 8193, 16_383, 16_384, 16_385, 24_575, 24_576,
        24_577, 40_960, 100_000,
    ] {
        entries.push((path(format!("text {length}")), file(&text(length, 7))));
        entries.push((path(format!("noise {length}")), file(&noise(length))));
        entries.push((path(format!("zeros {length}")), file(&vec![0; length])));
        let mut mixed = text(length / 2, 3);
        mixed.extend(noise(length - length / 2));
        entries.push((path(format!("mixed {length}")), file(&mixed)));
    }
    tree_of(entries)
}

fn variants() -> impl Iterator<Item = Compression> {
    CODECS.into_iter().flat_map(|codec| {
        let oldest = match codec {
            BlockCodec::Lz4 | BlockCodec::Lz4Hc { .. } => KernelVersion::new(5, 13),
            _ => KernelVersion::new(6, 12),
        };
        [(true, true), (true, false), (false, true), (false, false)]
            .into_iter()
            .map(move |(fragments, deduplicate)| Compression {
                block_bytes: Some(16 * 1024),
                fragments,
                deduplicate,
                oldest_kernel: match fragments || deduplicate {
                    true => KernelVersion::new(6, 12),
                    false => oldest,
                },
                ..with(codec)
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_survives_compression(tree in file_tree(), codec in 0..CODECS.len()) {
        assert_survives(&tree, &with(CODECS[codec]));
        let small = Compression {
            block_bytes: Some(8192),
            fragments: false,
            ..with(CODECS[codec])
        };
        assert_survives(&tree, &small);
    }
}

#[test]
fn files_of_all_lengths_survive_each_variant() {
    let tree = files();
    for compression in variants() {
        assert_survives(&tree, &compression);
    }
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let tree = files();
    for compression in variants() {
        let one = written(&tree, &compression, ONE);
        assert!(
            one == written(&tree, &compression, EIGHT),
            "{compression:?}"
        );
    }
}

#[test]
fn the_sample_survives_and_says_which_kernel_it_needs() {
    for (codec, kernel) in CODECS.into_iter().zip([(6, 10), (6, 1), (6, 1), (6, 6)]) {
        let summary = assert_survives(&sample(), &with(codec));
        assert_eq!(summary.kernel, KernelVersion::new(kernel.0, kernel.1));
    }
    let old = Compression {
        oldest_kernel: KernelVersion::new(6, 0),
        ..with(BlockCodec::Lz4)
    };
    let summary = assert_survives(&sample(), &old);
    assert_eq!(summary.kernel, KernelVersion::new(5, 13));
}

#[test]
fn what_the_kernel_lacks_is_refused() {
    let old = Compression {
        oldest_kernel: KernelVersion::new(6, 9),
        ..with(BlockCodec::Zstd { level: 3 })
    };
    assert_eq!(
        refused(&old).to_string(),
        "EROFS with zstd compression needs Linux 6.10, and the image is to be read by 6.9"
    );
    let unknown = with(BlockCodec::Xz { level: 6 });
    assert_eq!(refused(&unknown).to_string(), "EROFS has no xz compression");
    let odd = Compression {
        block_bytes: Some(5000),
        ..with(BlockCodec::Lz4)
    };
    assert!(matches!(
        refused(&odd),
        Error::InvalidCompressionBlock {
            found_bytes: 5000,
            ..
        }
    ));
    let level = with(BlockCodec::Zstd { level: 99 });
    assert!(matches!(refused(&level), Error::Codec { .. }));
}

#[test]
fn files_of_equal_contents_are_stored_once() {
    let large = text(300_000, 1);
    let mut odd = large.clone();
    odd[299_999] ^= 1;
    let tree = tree_of([
        (path("a"), file(&large)),
        (path("b"), file(&large)),
        (path("c"), file(&odd)),
        (path("s"), file(b"small")),
        (path("t"), file(b"small")),
        (path("u"), file(b"smaII")),
    ]);
    let summary = assert_survives(&tree, &with(BlockCodec::Zstd { level: 3 }));
    assert_eq!(summary.statistics.duplicate_files, 2);
    assert_eq!(summary.statistics.duplicate_bytes, 300_005);
    assert_eq!(summary.statistics.content_bytes, 900_015);
    assert_eq!(summary.statistics.fragments, 2);
}

#[test]
fn a_link_that_does_not_fit_behind_its_inode_has_a_block() {
    let mut link = Entry::new(EntryKind::Symlink(vec![b'x'; 4095]), 0o777, BUILD_TIME);
    link.xattrs.insert(b"user.a".into(), vec![1; 100]);
    assert_survives(&tree_of([(path("l"), link)]), &with(BlockCodec::Lz4));
}

#[test]
fn hard_links_are_one_inode_with_compressed_contents() {
    let mut linked = file(&text(50_000, 2));
    linked.hard_link = Some(HardLinkGroup(1));
    let tree = tree_of([(path("one"), linked.clone()), (path("two"), linked)]);
    let summary = assert_survives(&tree, &with(BlockCodec::Lz4));
    assert_eq!(summary.statistics.content_bytes, 50_000);
}

#[test]
fn a_file_of_holes_takes_one_block_of_zeros() {
    // More than 4 GiB, of which the middle and the end are data.
    let size_bytes: u64 = (4 << 30) + (1 << 20) + 77;
    let directory = tempfile::tempdir().unwrap();
    let sparse = fs_err::File::create(directory.path().join("sparse")).unwrap();
    sparse.set_len(size_bytes).unwrap();
    let data = text(5000, 9);
    for place in [3 << 30, size_bytes - 5000] {
        std::os::unix::fs::FileExt::write_all_at(sparse.file(), &data, place).unwrap();
    }
    let root = crate::beneath::Directory::open(directory.path()).unwrap();
    let content = Content::from_file(root.into(), path("sparse"), size_bytes);
    let entry = Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME);
    let tree = tree_of([(path("f"), entry)]);
    let (image, summary) = written(&tree, &with(BlockCodec::Zstd { level: 3 }), TWO);
    // A block of zeros and two with data; one more for the superblock, one for the root, and 8 bytes for each 4096.
    assert_eq!(summary.statistics.compressed_blocks, 3);
    assert_eq!(summary.statistics.stored_bytes, 3 * 4096);
    let inode_bytes = 64 + 16 + size_bytes.div_ceil(4096) * 8;
    assert_eq!(
        summary.size_bytes,
        5 * 4096 + inode_bytes.next_multiple_of(4096)
    );

    let found = read_tree(&image).unwrap();
    let EntryKind::Regular(content) = &found.get(&path("f")).unwrap().kind else {
        panic!("it is a regular file");
    };
    assert_eq!(content.size_bytes(), size_bytes);
}

#[test]
fn a_file_that_changes_its_length_is_an_error() {
    for (is, was) in [
        (5_usize, 6_u64),
        (7, 6),
        (300_000, 300_001),
        (300_002, 300_001),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("f"), vec![b'x'; is]).unwrap();
        let root = crate::beneath::Directory::open(directory.path()).unwrap();
        let content = Content::from_file(root.into(), path("f"), was);
        let entry = Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME);
        let tree = tree_of([(path("f"), entry)]);
        let mut output = SeekOutput::new(Cursor::new(Vec::new()));
        let compression = with(BlockCodec::Lz4);
        let failed = write_compressed(&tree, &options(), &compression, ONE, &mut output);
        assert!(
            matches!(failed, Err(Error::ReadContent { .. })),
            "{is} {was}: {failed:?}"
        );
    }
}
