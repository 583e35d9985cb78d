use std::sync::Arc;

use proptest::prelude::*;

use super::image::Image;
use super::layout::{FLAT_INLINE, FLAT_PLAIN, SuperBlock};
use super::reader::{ReadError, read_tree};
use super::{Error, Options, Plan};
use crate::format::EntryError;
use crate::format::read_at::ImageBytes;
use crate::tree::arbitrary::{describe, file_tree};
use crate::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

mod compressed;
#[cfg(feature = "integration")]
mod oracle;

const BUILD_TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);
/// The slot after the superblock: (1024 + 128) / 32.
const ROOT_NID: u64 = 36;

fn options() -> Options {
    Options {
        uuid: uuid::Uuid::from_bytes([0x5a; 16]),
        build_time: BUILD_TIME,
        volume_name: "overcoat".into(),
    }
}

fn image_of(tree: &FileTree) -> Vec<u8> {
    let plan = Plan::new(tree, &options()).unwrap();
    let mut image = Vec::new();
    plan.write(&mut image).unwrap();
    assert_eq!(image.len() as u64, plan.size_bytes());
    assert_eq!(image.len() % 4096, 0);
    image
}

fn opened(image: &[u8]) -> Image {
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

fn assert_survives(tree: &FileTree) {
    let found = read_tree(&image_of(tree)).unwrap();
    assert_eq!(describe(&found), describe(tree));
}

fn error_of(tree: &FileTree) -> Error {
    Plan::new(tree, &options()).unwrap_err()
}

/// A tree with all types of files and one of everything that the format can do.
fn sample() -> FileTree {
    let later = Timestamp {
        seconds: BUILD_TIME.seconds + 5,
        nanoseconds: 123_456_789,
    };
    let device = |major, minor| DeviceNumber { major, minor };
    let entry = |kind| Entry::new(kind, 0o600, BUILD_TIME);
    let mut labelled = file(&[7; 5000]);
    labelled
        .xattrs
        .insert(b"security.selinux".into(), b"label".into());
    labelled.xattrs.insert(b"user.own".into(), b"1".into());
    let mut linked = file(b"linked");
    linked.hard_link = Some(HardLinkGroup(9));
    linked
        .xattrs
        .insert(b"security.selinux".into(), b"label".into());
    let mut owned = Entry::new(EntryKind::Fifo, 0o4755, later);
    (owned.uid, owned.gid) = (u32::MAX - 1, 70_000);
    tree_of([
        (path("dev"), Entry::directory(later)),
        (
            path("dev/block"),
            entry(EntryKind::BlockDevice(device(8, 300))),
        ),
        (
            path("dev/char"),
            entry(EntryKind::CharacterDevice(device(4095, 0xf_ffff))),
        ),
        (path("dev/socket"), entry(EntryKind::Socket)),
        (path("empty"), file(b"")),
        (path("fifo"), owned),
        (path("labelled"), labelled),
        (path("link"), entry(EntryKind::Symlink(b"../target".into()))),
        (path("one"), linked.clone()),
        (path("two"), linked),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives_a_round_trip(tree in file_tree()) {
        assert_survives(&tree);
    }

    #[test]
    fn a_damaged_image_is_an_error_or_a_tree(
        tree in file_tree(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut image = image_of(&tree);
        for (place, value) in damage {
            let place = place.index(image.len());
            image[place] = value;
        }
        // Without the checksum feature, damage to the first block gets past the superblock.
        image[1024 + 8] &= !1;
        let _ = read_tree(&image);
    }
}

#[test]
fn the_sample_survives_a_round_trip() {
    assert_survives(&sample());
}

#[test]
fn bytes_of_the_sample_do_not_change_between_versions() {
    // A build is reproducible only while the layout stays: whoever changes this digest on purpose changes the root
    // hash of every image, and the store must not mix old and new images.
    let digest = openssl::sha::sha256(&image_of(&sample()));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        "ad64dc7bea07647dc0ce51c988384296d62638bc4064ae051ddbf33ea7027abf"
    );
}

#[test]
fn the_superblock_says_what_was_planned() {
    let image = image_of(&sample());
    let found = SuperBlock::decode(&image[1024..1152]).unwrap();
    let mut volume_name = [0; 16];
    volume_name[..8].copy_from_slice(b"overcoat");
    let expected = SuperBlock {
        feature_compat: 3,
        blkszbits: 12,
        root_nid: 36,
        inos: 10,
        build_time: BUILD_TIME,
        blocks: 3,
        meta_blkaddr: 0,
        xattr_blkaddr: 1,
        uuid: [0x5a; 16],
        volume_name,
        feature_incompat: 0,
    };
    assert_eq!(found, expected);
    assert_eq!(image[1024..1028], [0xe2, 0xe1, 0xf5, 0xe0]);
    assert!(image[..1024].iter().all(|byte| *byte == 0));
}

#[test]
fn a_compact_inode_has_the_layout_of_the_kernel() {
    let mut entry = Entry::new(EntryKind::Directory, 0o1755, BUILD_TIME);
    (entry.uid, entry.gid) = (0x1234, 0xffff);
    let image = image_of(&FileTree::new(entry).unwrap());
    let mut expected = vec![
        4, 0, 0, 0, 0xed, 0x43, 2, 0, // format, xattr count, mode, links
        27, 0, 0, 0, 0, 0, 0, 0, // size: two entries and three dots
        0, 0, 0, 0, 1, 0, 0, 0, // block, number
        0x34, 0x12, 0xff, 0xff, 0, 0, 0, 0, // uid, gid
        36, 0, 0, 0, 0, 0, 0, 0, 24, 0, 2, 0, // `.`
        36, 0, 0, 0, 0, 0, 0, 0, 25, 0, 2, 0, // `..`
    ];
    expected.extend_from_slice(b"...");
    assert_eq!(image[1152..1152 + expected.len()], expected);
}

#[test]
fn an_extended_inode_has_the_layout_of_the_kernel() {
    let modified = Timestamp {
        seconds: -2,
        nanoseconds: 5,
    };
    let mut entry = Entry::new(EntryKind::Directory, 0o700, modified);
    (entry.uid, entry.gid) = (u32::MAX - 1, 70_000);
    let image = image_of(&FileTree::new(entry).unwrap());
    let expected = [
        5, 0, 0, 0, 0xc0, 0x41, 0, 0, // format, xattr count, mode
        27, 0, 0, 0, 0, 0, 0, 0, // size
        0, 0, 0, 0, 1, 0, 0, 0, // block, number
        0xfe, 0xff, 0xff, 0xff, 0x70, 0x11, 1, 0, // uid, gid
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // seconds
        5, 0, 0, 0, 2, 0, 0, 0, // nanoseconds, links
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(image[1152..1152 + 64], expected);
}

#[test]
fn contents_around_a_block_survive_a_round_trip() {
    for length in [
        0, 1, 4031, 4032, 4033, 4063, 4064, 4065, 4095, 4096, 4097, 8191, 65_536, 65_537, 300_001,
    ] {
        let bytes: Vec<u8> = (0..length)
            .map(|index: u32| index.to_le_bytes()[0] | 1)
            .collect();
        assert_survives(&tree_of([(path("f"), file(&bytes))]));
    }
}

#[test]
fn a_tail_is_inline_while_it_shares_a_block_with_its_inode() {
    for (length, layout) in [
        (0, FLAT_PLAIN),
        (1, FLAT_INLINE),
        (4064, FLAT_INLINE),
        (4065, FLAT_PLAIN),
        (4096, FLAT_PLAIN),
        (4097, FLAT_INLINE),
        (65_537, FLAT_PLAIN),
    ] {
        let tree = tree_of([(path("f"), file(&vec![1; length]))]);
        let plan = Plan::new(&tree, &options()).unwrap();
        assert_eq!(plan.on_disk(1).data_layout, layout, "{length}");
    }
}

#[test]
fn a_directory_of_70_000_names_survives_a_round_trip() {
    let names = (0..70_000).map(|index| (path(format!("d/entry {index}")), file(b"")));
    let directory = [(path("d"), Entry::directory(BUILD_TIME))];
    assert_survives(&tree_of(directory.into_iter().chain(names)));
}

#[test]
fn more_than_65_535_links_take_an_extended_inode() {
    let mut linked = file(b"x");
    linked.hard_link = Some(HardLinkGroup(1));
    let tree = tree_of((0..65_536).map(|index| (path(format!("{index}")), linked.clone())));
    let plan = Plan::new(&tree, &options()).unwrap();
    assert_eq!(plan.on_disk(1).i_nlink, 65_536);
    assert_eq!(plan.on_disk(1).length(), 64);
    assert_eq!(plan.superblock().inos, 2);
}

#[test]
fn a_file_of_4_gib_is_planned_without_reading_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = crate::beneath::Directory::open(directory.path()).unwrap();
    let content = Content::from_file(root.into(), path("absent"), 1 << 32);
    let entry = Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME);
    let tree = tree_of([(path("f"), entry)]);
    let plan = Plan::new(&tree, &options()).unwrap();
    assert_eq!(plan.on_disk(1).length(), 64);
    assert_eq!(plan.size_bytes(), (1 << 32) + 4096);
    let failed = plan.write(&mut std::io::sink()).unwrap_err();
    assert!(matches!(failed, Error::OpenContent { .. }), "{failed}");
}

#[test]
fn names_are_sorted_with_the_dots_among_them() {
    let names: [&[u8]; 6] = [b"!", b"-", b"...", b"..a", b".a", b"\xff\xfe"];
    let tree = tree_of(names.map(|name| (path(name), file(b""))));
    assert_survives(&tree);
    let image = image_of(&tree);
    let size = usize::try_from(opened(&image).inode(ROOT_NID).unwrap().i_size).unwrap();
    let names = &image[1152 + 32 + 8 * 12..1152 + 32 + size];
    assert_eq!(names, b"!-........a.a\xff\xfe");
}

#[test]
fn a_name_of_255_bytes_is_kept_and_256_are_refused() {
    assert_survives(&tree_of([(path([0xfe; 255]), file(b"x"))]));
    let refused = error_of(&tree_of([(path([0xfe; 256]), file(b"x"))]));
    assert!(
        matches!(
            refused,
            Error::Entry(EntryError::NameTooLong {
                found_bytes: 256,
                ..
            })
        ),
        "{refused}"
    );
}

#[test]
fn extended_attributes_are_kept_up_to_their_limits() {
    let with = |name: &str, length| {
        let mut entry = file(b"x");
        entry.xattrs.insert(name.into(), vec![b'v'; length]);
        tree_of([(path("f"), entry)])
    };
    assert_survives(&with("user.large", 65_535));
    let refused = error_of(&with("user.large", 65_536));
    assert_eq!(
        refused.to_string(),
        "the extended attribute `user.large` of `/f` is 65536 bytes long and EROFS holds 65535"
    );
    for name in [
        "user.",
        "system.nfs4_acl",
        "system.posix_acl_access.x",
        "other",
    ] {
        let refused = error_of(&with(name, 1));
        assert!(
            matches!(refused, Error::UnsupportedXattr { .. }),
            "{name}: {refused}"
        );
    }
}

#[test]
fn many_attributes_fill_an_inode_up_to_the_limit_of_old_kernels() {
    let with = |count: u32| {
        let mut entry = file(b"x");
        for index in 0..count {
            entry
                .xattrs
                .insert(format!("user.{index:03}").into(), vec![1; 993]);
        }
        tree_of([(path("f"), entry)])
    };
    // Each takes 1000 bytes, the header 12, and the limit is 65532.
    assert_survives(&with(65));
    let refused = error_of(&with(66));
    assert!(
        matches!(
            refused,
            Error::XattrsTooLarge {
                found_bytes: 66_012,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn more_than_255_shared_attributes_stay_inline() {
    let mut entry = file(b"x");
    for index in 0..300 {
        entry
            .xattrs
            .insert(format!("user.{index}").into(), b"v".into());
    }
    assert_survives(&tree_of([(path("a"), entry.clone()), (path("b"), entry)]));
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let entry = |kind| Entry::new(kind, 0o644, BUILD_TIME);
    let device = DeviceNumber {
        major: 4096,
        minor: 0,
    };
    let mut odd_mode = file(b"");
    odd_mode.mode = 0o100_644;
    let mut odd_time = file(b"");
    odd_time.modified.nanoseconds = 1_000_000_000;
    let cases = [
        (entry(EntryKind::Symlink(Vec::new())), "InvalidSymlink"),
        (
            entry(EntryKind::Symlink(vec![b'x'; 4096])),
            "InvalidSymlink",
        ),
        (
            entry(EntryKind::BlockDevice(device)),
            "DeviceNumberTooLarge",
        ),
        (odd_mode, "InvalidMode"),
        (odd_time, "InvalidTime"),
    ];
    for (entry, expected) in cases {
        let Error::Entry(refused) = error_of(&tree_of([(path("f"), entry)])) else {
            panic!("{expected} is about the entry");
        };
        let refused = format!("{refused:?}");
        assert_eq!(refused.split(' ').next(), Some(expected));
    }
}

#[test]
fn hard_links_that_differ_are_refused() {
    let mut one = file(b"one");
    one.hard_link = Some(HardLinkGroup(1));
    let mut two = one.clone();
    two.uid = 5;
    let refused = error_of(&tree_of([(path("a"), one), (path("b"), two)]));
    assert!(
        matches!(refused, Error::Entry(EntryError::HardLinksDiffer { .. })),
        "{refused}"
    );
}

#[test]
fn a_directory_that_became_a_file_is_refused() {
    let mut tree = sample();
    tree.get_mut(&path("dev")).unwrap().kind = EntryKind::Fifo;
    let refused = error_of(&tree);
    assert!(
        matches!(refused, Error::Entry(EntryError::ParentNotDirectory { .. })),
        "{refused}"
    );
}

#[test]
fn a_changed_superblock_fails_its_checksum() {
    let mut image = image_of(&sample());
    image[1024 + 48] ^= 1;
    let refused = read_tree(&image).unwrap_err();
    assert!(matches!(refused, ReadError::Checksum { .. }), "{refused}");
}
