//! What the format cannot hold, and what is just within.

use super::*;
use crate::format::EntryError;
use crate::format::codec::CodecError;

fn error_of(tree: &FileTree) -> Error {
    Plan::new(tree, &options(ZSTD, 4096)).unwrap_err()
}

#[test]
fn an_acl_is_refused_with_the_path() {
    let mut entry = file(b"x");
    entry
        .xattrs
        .insert(b"system.posix_acl_access".into(), vec![2, 0, 0, 0]);
    assert_eq!(
        error_of(&tree_of([(path("f"), entry)])).to_string(),
        "squashfs cannot store the extended attribute `system.posix_acl_access` of `/f`"
    );
}

#[test]
fn extended_attributes_are_kept_up_to_their_limits() {
    let with = |name: String, length| {
        let mut entry = file(b"x");
        entry.xattrs.insert(name.into(), vec![b'v'; length]);
        tree_of([(path("f"), entry)])
    };
    assert_survives(&with("user.large".into(), 65_536), &options(ZSTD, 4096));
    assert_survives(&with(format!("user.{:0>250}", 1), 0), &options(ZSTD, 4096));
    assert_eq!(
        error_of(&with("user.large".into(), 65_537)).to_string(),
        "the extended attribute `user.large` of `/f` is 65537 bytes long and Linux holds 65536"
    );
    for name in ["user.", "other", "system.nfs4_acl", "user.a\0b"] {
        let refused = error_of(&with(name.into(), 1));
        assert!(
            matches!(refused, Error::UnsupportedXattr { .. }),
            "{name}: {refused}"
        );
    }
    let refused = error_of(&with(format!("user.{:0>251}", 1), 0));
    assert!(
        matches!(refused, Error::UnsupportedXattr { .. }),
        "{refused}"
    );
}

#[test]
fn many_attributes_survive_a_round_trip() {
    let many = (0..1000).map(|index| {
        let mut entry = file(b"");
        for number in 0..=index % 7 {
            let value = format!("{}", index / 3).into_bytes();
            entry.xattrs.insert(format!("user.{number}").into(), value);
        }
        (path(format!("{index}")), entry)
    });
    assert_survives(&tree_of(many), &options(ZSTD, 4096));
}

#[test]
fn times_outside_of_32_bits_are_refused_with_the_path() {
    for seconds in [-1, 1 << 32] {
        let mut entry = file(b"");
        entry.modified = Timestamp::from_seconds(seconds);
        assert_eq!(
            error_of(&tree_of([(path("f"), entry)])).to_string(),
            format!(
                "the modification time of `/f` is {seconds} seconds after 1970, and squashfs holds 0 to 4294967295"
            )
        );
        let options = Options::new(ZSTD, Timestamp::from_seconds(seconds));
        let refused = Plan::new(&tree_of([]), &options).unwrap_err();
        assert!(
            matches!(refused, Error::BuildTimeOutOfRange { .. }),
            "{refused}"
        );
    }
}

#[test]
fn fractions_of_seconds_are_cut_off() {
    let mut entry = file(b"");
    entry.modified.nanoseconds = 999_999_999;
    let tree = tree_of([(path("f"), entry)]);
    let read = read_tree(&image_of(&tree)).unwrap();
    assert_eq!(read.get(&path("f")).unwrap().modified, BUILD_TIME);
}

#[test]
fn as_many_ids_as_the_superblock_counts_are_kept_and_one_more_is_refused() {
    let with = |count: u32| {
        // The root's ids are 0 as well.
        let owned = (1..count).map(|uid| {
            let mut entry = file(b"");
            entry.uid = uid;
            (path(format!("{uid:05}")), entry)
        });
        tree_of(owned)
    };
    assert_survives(&with(65_535), &options(ZSTD, 4096));
    assert_eq!(
        error_of(&with(65_536)).to_string(),
        "`/65535` has one of more than 65535 different users and groups, and squashfs holds no more"
    );
}

#[test]
fn block_sizes_are_powers_of_two_within_the_limits() {
    for block_bytes in [0, 2048, 4095, 5000, 2 << 20] {
        let refused = Plan::new(&tree_of([]), &options(ZSTD, block_bytes)).unwrap_err();
        assert!(matches!(refused, Error::BlockSize { .. }), "{refused}");
    }
}

#[test]
fn codecs_and_levels_that_there_are_not_are_refused() {
    let of = |codec| Plan::new(&tree_of([]), &options(codec, 4096)).unwrap_err();
    let refused = of(BlockCodec::Deflate { level: 6 });
    assert_eq!(refused.to_string(), "squashfs has no blocks of deflate");
    let refused = of(BlockCodec::Zstd { level: 23 });
    assert!(
        matches!(
            refused,
            Error::Compress {
                source: CodecError::Level { level: 23, .. }
            }
        ),
        "{refused}"
    );
}

#[test]
fn what_no_file_system_holds_is_refused() {
    let refused = error_of(&tree_of([(path([0xfe; 256]), file(b"x"))]));
    assert!(
        matches!(refused, Error::Entry(EntryError::NameTooLong { .. })),
        "{refused}"
    );
}

#[test]
fn a_file_that_is_not_there_or_changed_its_length_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("five"), b"12345").unwrap();
    let root = Arc::new(Directory::open(directory.path()).unwrap());
    let outcome = |name: &str, size_bytes| {
        let content = Content::from_file(root.clone(), path(name), size_bytes);
        let entry = Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME);
        let tree = tree_of([(path("f"), entry)]);
        let mut output = SeekOutput::new(Cursor::new(Vec::new()));
        let plan = Plan::new(&tree, &options(ZSTD, 4096)).unwrap();
        plan.write(NonZeroUsize::MIN, &mut output)
    };
    assert!(outcome("five", 5).is_ok());
    for (name, size_bytes) in [("absent", 5), ("five", 4), ("five", 6)] {
        let refused = outcome(name, size_bytes).unwrap_err();
        assert_eq!(refused.to_string(), "reading the content of `/f`");
    }
}

#[test]
fn an_image_that_is_cut_off_is_refused() {
    let image = image_of(&sample());
    let refused = read_tree(&image[..image.len() - 4096]).unwrap_err();
    assert!(
        matches!(refused, ReadError::NotSquashfs | ReadError::CutOff { .. }),
        "{refused}"
    );
    assert!(matches!(
        read_tree(b"hsqs").unwrap_err(),
        ReadError::NotSquashfs
    ));
}
