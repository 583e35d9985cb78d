use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;

use super::layout::{DirectoryInode, FileInode, InodeKind, Place};
use super::reader::{Image, ReadError, read_tree};
use super::{Error, Options, Plan, Summary};
use crate::beneath::Directory;
use crate::format::codec::BlockCodec;
use crate::format::file_system::KernelVersion;
use crate::format::output::SeekOutput;
use crate::format::read_at::ImageBytes;
use crate::tree::arbitrary::{describe, file_tree};
use crate::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

mod limits;
#[cfg(feature = "integration")]
mod oracle;

const BUILD_TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);
const ZSTD: BlockCodec = BlockCodec::Zstd { level: 3 };
const CODECS: [BlockCodec; 5] = [
    ZSTD,
    BlockCodec::Lz4,
    BlockCodec::Lz4Hc { level: 9 },
    BlockCodec::Xz { level: 1 },
    BlockCodec::Zlib { level: 6 },
];

fn options(codec: BlockCodec, block_bytes: u32) -> Options {
    Options {
        block_bytes,
        ..Options::new(codec, BUILD_TIME)
    }
}

fn written(tree: &FileTree, options: &Options, workers: usize) -> (Vec<u8>, Summary) {
    let plan = Plan::new(tree, options).unwrap();
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    let workers = NonZeroUsize::new(workers).unwrap();
    let summary = plan.write(workers, &mut output).unwrap();
    let image = output.into_inner().into_inner();
    assert_eq!(image.len() as u64, summary.size_bytes);
    assert_eq!(image.len() % 4096, 0);
    (image, summary)
}

fn image_of(tree: &FileTree) -> Vec<u8> {
    written(tree, &options(ZSTD, 128 << 10), 2).0
}

fn open(image: &[u8]) -> Image {
    Image::open(Arc::new(ImageBytes::new(image))).unwrap()
}

fn path(name: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(name).unwrap()
}

fn file(bytes: &[u8]) -> Entry {
    Entry::new(
        EntryKind::Regular(Content::from_bytes(bytes)),
        0o644,
        BUILD_TIME,
    )
}

fn tree_of(entries: impl IntoIterator<Item = (TreePath, Entry)>) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(BUILD_TIME)).unwrap();
    for (path, entry) in entries {
        tree.insert(path, entry).unwrap();
    }
    tree
}

fn assert_survives(tree: &FileTree, options: &Options) {
    let (image, _) = written(tree, options, 2);
    let found = read_tree(&image).unwrap();
    assert_eq!(describe(&found), describe(tree));
}

/// Bytes that compress a little.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 & 0x3f
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Takes out of a random tree what squashfs has not: ACLs, fractions of seconds and times before 1970 or after 2106.
fn expressible(mut tree: FileTree) -> FileTree {
    for (_, entry) in tree.iter_mut() {
        entry.xattrs.retain(|name, _| !name.starts_with(b"system."));
        let seconds = entry.modified.seconds.clamp(0, u32::MAX.into());
        entry.modified = Timestamp::from_seconds(seconds);
    }
    tree
}

/// A tree with all types of files and one of everything that the format can do.
fn sample() -> FileTree {
    let device = |major, minor| DeviceNumber { major, minor };
    let entry = |kind| Entry::new(kind, 0o600, BUILD_TIME);
    let labels = |entry: &mut Entry, labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        entry.xattrs.extend(labels);
    };
    let contents = [vec![0; 4096], bytes(5000)].concat();
    let mut large = file(&contents);
    labels(
        &mut large,
        &[("security.selinux", "label"), ("user.own", "1")],
    );
    let mut linked = file(b"linked");
    linked.hard_link = Some(HardLinkGroup(9));
    labels(&mut linked, &[("security.selinux", "label")]);
    let mut owned = Entry::new(EntryKind::Fifo, 0o4755, Timestamp::from_seconds(5));
    (owned.uid, owned.gid) = (u32::MAX - 1, 70_000);
    labels(&mut owned, &[("trusted.a", "")]);
    let mut link = entry(EntryKind::Symlink(b"../target".into()));
    labels(&mut link, &[("security.selinux", "label")]);
    let mut char_device = entry(EntryKind::CharacterDevice(device(4095, 0xf_ffff)));
    labels(&mut char_device, &[("security.selinux", "label")]);
    tree_of([
        (
            path("dev"),
            Entry::directory(Timestamp::from_seconds(u32::MAX.into())),
        ),
        (
            path("dev/block"),
            entry(EntryKind::BlockDevice(device(8, 300))),
        ),
        (path("dev/char"), char_device),
        (path("dev/socket"), entry(EntryKind::Socket)),
        (path("empty"), file(b"")),
        (path("fifo"), owned),
        (path("large"), large),
        (path("large again"), file(&contents)),
        (path("link"), link),
        (path("one"), linked.clone()),
        (path("two"), linked),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives_a_round_trip_with_any_number_of_threads(
        tree in file_tree().prop_map(expressible),
        codec in proptest::sample::select(&CODECS[..]),
        block_log in 12..=20_u32,
    ) {
        let options = options(codec, 1 << block_log);
        let (image, summary) = written(&tree, &options, 1);
        prop_assert_eq!(&written(&tree, &options, 8), &(image.clone(), summary));
        let found = read_tree(&image).unwrap();
        prop_assert_eq!(describe(&found), describe(&tree));
    }

    #[test]
    fn a_damaged_image_is_an_error_or_a_tree(
        tree in file_tree().prop_map(expressible),
        codec in proptest::sample::select(&CODECS[..]),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let (mut image, _) = written(&tree, &options(codec, 4096), 1);
        for (place, value) in damage {
            let place = place.index(image.len());
            image[place] = value;
        }
        super::fuzzing::squashfs_image(&image);
    }
}

#[test]
fn the_sample_survives_a_round_trip_in_every_codec() {
    for codec in CODECS {
        assert_survives(&sample(), &options(codec, 4096));
    }
}

#[test]
fn bytes_of_the_sample_do_not_change_between_versions() {
    // A build is reproducible only while the layout stays: whoever changes this digest on purpose changes the root
    // hash of every image, and the store must not mix old and new images.
    let digest = openssl::sha::sha256(&image_of(&sample()));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        "192b5aeb18bcfbf7d990eb823bbb6c775bb098f3cf8f8a2775f8b7cd6c9f3ac9"
    );
}

#[test]
fn the_superblock_says_what_was_written() {
    let (image, summary) = written(&sample(), &options(ZSTD, 4096), 2);
    let description = open(&image).description();
    assert_eq!(description.file_system, "squashfs");
    assert_eq!(description.block_size_bytes, 4096);
    assert_eq!(description.created, BUILD_TIME);
    assert_eq!(description.inode_count, 11);
    assert_eq!(description.compression, ["zstd"]);
    assert_eq!(
        description.size_bytes.next_multiple_of(4096),
        summary.size_bytes
    );
    assert_eq!(description.oldest_kernel(), Some(KernelVersion::new(4, 14)));
    assert_eq!(image[..4], *b"hsqs");
    // The options of the compressor follow, stored as they are: its level.
    assert_eq!(image[96..102], [4, 0x80, 3, 0, 0, 0]);
}

#[test]
fn each_codec_names_its_kernel() {
    let kernels = CODECS.map(|codec| options(codec, 4096).kernel().unwrap());
    let expected = [(4, 14), (3, 19), (3, 19), (2, 6), (2, 6)];
    assert_eq!(
        kernels,
        expected.map(|(major, minor)| KernelVersion::new(major, minor))
    );
}

#[test]
fn files_around_a_block_survive_a_round_trip() {
    for block_bytes in [4096, 128 << 10] {
        let lengths = [
            0,
            1,
            block_bytes - 1,
            block_bytes,
            block_bytes + 1,
            3 * block_bytes + 7,
        ];
        let entries = lengths.map(|length| {
            let name = format!("{length}");
            (path(name), file(&bytes(length)))
        });
        for codec in CODECS {
            let block_bytes = u32::try_from(block_bytes).unwrap();
            assert_survives(&tree_of(entries.clone()), &options(codec, block_bytes));
        }
    }
}

#[test]
fn files_that_do_not_compress_are_stored() {
    let mut random = vec![0; 300_000];
    openssl::rand::rand_bytes(&mut random).unwrap();
    let tree = tree_of([
        (path("f"), file(&random)),
        (path("g"), file(&random[..1000])),
    ]);
    for codec in CODECS {
        assert_survives(&tree, &options(codec, 4096));
        let (_, summary) = written(&tree, &options(codec, 4096), 2);
        assert_eq!(summary.statistics.stored_bytes, 301_000);
    }
}

#[test]
fn equal_files_are_stored_once() {
    let large = bytes(10_000);
    let tree = tree_of([
        (path("a"), file(&large)),
        (path("b"), file(b"small")),
        (path("c"), file(&large)),
        (path("d"), file(b"small")),
        (path("e"), file(b"other")),
    ]);
    let (image, summary) = written(&tree, &options(ZSTD, 4096), 2);
    assert_eq!(describe(&read_tree(&image).unwrap()), describe(&tree));
    assert_eq!(summary.statistics.content_bytes, 20_015);
    assert_eq!(summary.statistics.duplicate_files, 2);
    assert_eq!(summary.statistics.duplicate_bytes, 10_005);
    assert_eq!(summary.statistics.fragments, 1);
}

#[test]
fn a_directory_of_70_000_names_survives_a_round_trip_and_has_an_index() {
    let names = (0..70_000).map(|index| (path(format!("d/entry {index}")), file(b"")));
    let directory = [(path("d"), Entry::directory(BUILD_TIME))];
    let tree = tree_of(directory.into_iter().chain(names));
    // Reading checks that each entry of the index is right.
    assert_survives(&tree, &options(ZSTD, 128 << 10));
    let found = inode_of(&image_of(&tree), 1);
    let InodeKind::Directory(DirectoryInode {
        i_count, file_size, ..
    }) = found.kind
    else {
        panic!("{found:?}");
    };
    assert_eq!(i_count, u16::try_from(file_size / 8192).unwrap());
}

/// Returns an inode by its place in the export table, counted from the end: 0 is the root.
fn inode_of(image: &[u8], from_end: u32) -> super::layout::Inode {
    let image = open(image);
    let number = image.superblock.inodes - 1 - from_end;
    let starts = image.exported().unwrap();
    let reference = image.record::<8>(&starts, number).unwrap();
    let place = Place::of_reference(u64::from_le_bytes(reference));
    image.inode(place).unwrap().0
}

#[test]
fn the_export_table_leads_to_every_inode() {
    let image = image_of(&sample());
    let numbers: Vec<_> = (0..11)
        .map(|from_end| inode_of(&image, from_end).inode_number)
        .collect();
    assert_eq!(numbers, (1..=11).rev().collect::<Vec<_>>());
}

#[test]
fn directories_as_deep_as_a_path_survive_a_round_trip() {
    let mut entries = Vec::new();
    let mut name = String::new();
    for _ in 0..2047 {
        name.push_str("/d");
        entries.push((path(&name), Entry::directory(BUILD_TIME)));
    }
    assert_survives(&tree_of(entries), &options(ZSTD, 4096));
}

#[test]
fn odd_names_survive_a_round_trip() {
    let names: [&[u8]; 7] = [
        b"!",
        b"-",
        b"...",
        b".a",
        b"\xff\xfe",
        b"new\nline",
        &[0xfe; 255],
    ];
    let tree = tree_of(names.map(|name| (path(name), file(name))));
    assert_survives(&tree, &options(ZSTD, 4096));
}

#[test]
fn blocks_of_zeros_take_no_room() {
    let mut holes = vec![0; 3 * 4096];
    holes.extend(bytes(4096));
    holes.extend([0; 100]);
    let tree = tree_of([(path("f"), file(&holes)), (path("g"), file(&[0; 5000]))]);
    let (image, summary) = written(&tree, &options(BlockCodec::Lz4, 4096), 2);
    assert_eq!(describe(&read_tree(&image).unwrap()), describe(&tree));
    assert!(summary.statistics.stored_bytes <= 4096);
    let sparse = [1, 2].map(|from_end| match inode_of(&image, from_end).kind {
        InodeKind::File(FileInode { sparse, .. }) => sparse,
        other => panic!("{other:?}"),
    });
    assert_eq!(sparse, [5000, 3 * 4096 + 100]);
}

#[test]
fn contents_can_be_read_from_the_image_of_an_image() {
    let tree = tree_of([(path("f"), file(&bytes(500_000)))]);
    let first = image_of(&tree);
    let again = image_of(&read_tree(&first).unwrap());
    assert_eq!(first, again);
}

#[test]
fn a_file_of_more_than_4_gib_is_sparse_and_has_its_last_byte() {
    let directory = tempfile::tempdir().unwrap();
    let size_bytes = (4 << 30) + 1;
    let mut sparse = fs_err::File::create(directory.path().join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(size_bytes - 1)).unwrap();
    sparse.write_all(b"x").unwrap();
    let root = Arc::new(Directory::open(directory.path()).unwrap());
    let content = Content::from_file(root, path("sparse"), size_bytes);
    let tree = tree_of([(
        path("f"),
        Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME),
    )]);
    let (image, summary) = written(&tree, &options(BlockCodec::Lz4, 1 << 20), 2);
    assert_eq!(summary.size_bytes, 4096);
    let read = read_tree(&image).unwrap();
    let EntryKind::Regular(content) = &read.get(&path("f")).unwrap().kind else {
        panic!("it was a file");
    };
    assert_eq!(content.size_bytes(), size_bytes);
    let mut end = Vec::new();
    let mut reader = content.open().unwrap();
    let skipped = std::io::copy(
        &mut reader.by_ref().take(size_bytes - 1),
        &mut std::io::sink(),
    );
    assert_eq!(skipped.unwrap(), size_bytes - 1);
    reader.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"x");
}
