use std::collections::BTreeMap;

use super::{Error, Lost, write};
use crate::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

const THEN: Timestamp = Timestamp::from_seconds(0x6000_0000);

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree_of(entries: &[(&str, Entry)]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for (name, entry) in entries {
        tree.insert(path(name), entry.clone()).unwrap();
    }
    tree
}

fn file(content: &str) -> Entry {
    let content = Content::from_bytes(content.as_bytes());
    Entry::new(EntryKind::Regular(content), 0o644, THEN)
}

fn archive(tree: &FileTree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(tree, &mut bytes).unwrap();
    bytes
}

/// A tree with every type of file.
fn every_type() -> FileTree {
    let number = DeviceNumber {
        major: 8,
        minor: 17,
    };
    let mut linked = file("linked");
    linked.hard_link = Some(HardLinkGroup(7));
    let mut owned = file("");
    (owned.mode, owned.uid, owned.gid) = (0o4755, 101, 65534);
    tree_of(&[
        ("a", linked.clone()),
        ("bin", Entry::directory(THEN)),
        ("bin/sh", owned),
        (
            "disk",
            Entry::new(EntryKind::BlockDevice(number), 0o660, THEN),
        ),
        ("fifo", Entry::new(EntryKind::Fifo, 0o600, THEN)),
        (
            "link",
            Entry::new(EntryKind::Symlink(b"bin/sh".to_vec()), 0o777, THEN),
        ),
        (
            "null",
            Entry::new(
                EntryKind::CharacterDevice(DeviceNumber { major: 1, minor: 3 }),
                0o666,
                THEN,
            ),
        ),
        ("socket", Entry::new(EntryKind::Socket, 0o700, THEN)),
        ("z", linked),
    ])
}

#[test]
fn small_tree_has_these_bytes() {
    let tree = tree_of(&[("d", Entry::directory(THEN)), ("d/f", file("hello"))]);
    let mut expected = String::new();
    expected += "070701";
    expected += &"00000001 000041ED 00000000 00000000 00000002 60000000 00000000".replace(' ', "");
    expected += &"00000000 00000000 00000000 00000000 00000002 00000000".replace(' ', "");
    expected += "d\0";
    expected += "070701";
    expected += &"00000002 000081A4 00000000 00000000 00000001 60000000 00000005".replace(' ', "");
    expected += &"00000000 00000000 00000000 00000000 00000004 00000000".replace(' ', "");
    expected += "d/f\0\0\0hello\0\0\0";
    expected += "070701";
    expected += &"00000000 00000000 00000000 00000000 00000001 00000000 00000000".replace(' ', "");
    expected += &"00000000 00000000 00000000 00000000 0000000B 00000000".replace(' ', "");
    expected += "TRAILER!!!\0";
    let padded = expected.len().next_multiple_of(512);
    expected += &"\0".repeat(padded - expected.len());
    assert_eq!(String::from_utf8(archive(&tree)).unwrap(), expected);
}

#[test]
fn digest_of_every_type_is_pinned() {
    // A change here changes the bytes, and so the identity, of every initrd built before.
    let digest = openssl::sha::sha256(&archive(&every_type()));
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        text,
        "87cc9c314698590af6fa34cd7709f224bca785bf1374be6073f86302402f5df0"
    );
}

#[test]
fn data_of_hard_links_is_with_the_last_name() {
    let bytes = archive(&every_type());
    let header = |name: &str| {
        let name = format!("{name}\0");
        let at = bytes
            .windows(name.len() + 110)
            .position(|window| window.starts_with(b"070701") && window.ends_with(name.as_bytes()))
            .unwrap();
        let field = |index: usize| {
            let text = &bytes[at + 6 + 8 * index..][..8];
            u32::from_str_radix(std::str::from_utf8(text).unwrap(), 16).unwrap()
        };
        // Inode, link count, size.
        (field(0), field(4), field(6))
    };
    assert_eq!(header("a"), (1, 2, 0));
    assert_eq!(header("z"), (1, 2, 6));
    assert_eq!(header("socket"), (8, 1, 0));
}

#[test]
fn root_is_a_member_only_when_the_kernels_own_differs() {
    let mut tree = tree_of(&[]);
    assert_eq!(archive(&tree).len(), 512);
    assert!(!archive(&tree).starts_with(b"07070100000001"));
    tree.get_mut(&TreePath::root()).unwrap().mode = 0o700;
    assert!(archive(&tree).starts_with(b"07070100000001000041C0"));
}

#[test]
fn times_are_clamped_to_32_bits() {
    for (time, expected) in [(-5, "00000000"), (i64::MAX, "FFFFFFFF")] {
        let mut entry = file("");
        entry.modified = Timestamp::from_seconds(time);
        let bytes = archive(&tree_of(&[("f", entry)]));
        assert_eq!(&bytes[46..54], expected.as_bytes());
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let sparse = fs_err::File::create(directory.path().join("f")).unwrap();
    sparse.set_len(1 << 32).unwrap();
    let root = std::sync::Arc::new(crate::beneath::Directory::open(directory.path()).unwrap());
    let huge = EntryKind::Regular(Content::from_file(root, path("f"), 1 << 32));
    let target = vec![b'x'; 4096];
    let cases = [
        ("huge", Entry::new(huge, 0o644, THEN)),
        ("link", Entry::new(EntryKind::Symlink(target), 0o777, THEN)),
        ("TRAILER!!!", file("")),
    ];
    let found = cases.map(|entry| write(&tree_of(&[entry]), &mut Vec::new()).unwrap_err());
    assert!(
        matches!(&found[0], Error::FileTooLarge { path, size_bytes: 0x1_0000_0000 } if path.file_name() == b"huge")
    );
    assert!(matches!(
        &found[1],
        Error::TargetTooLong {
            length_bytes: 4096,
            ..
        }
    ));
    assert!(matches!(&found[2], Error::ReservedName { .. }));
}

#[test]
fn path_the_kernel_would_skip_is_refused() {
    let mut tree = tree_of(&[]);
    let mut deep = TreePath::root();
    while deep.as_bytes().len() < 4095 {
        let length = (4095 - deep.as_bytes().len() - usize::from(!deep.is_root())).clamp(1, 200);
        deep = deep.join(&vec![b'n'; length]).unwrap();
        tree.insert(deep.clone(), Entry::directory(THEN)).unwrap();
    }
    assert_eq!(deep.as_bytes().len(), 4095);
    assert!(write(&tree, &mut Vec::new()).is_ok());
    tree.insert(deep.join(b"x").unwrap(), file("")).unwrap();
    let error = write(&tree, &mut Vec::new()).unwrap_err();
    assert!(matches!(
        error,
        Error::PathTooLong {
            length_bytes: 4097,
            ..
        }
    ));
}

#[test]
fn attributes_are_reported_as_lost() {
    let mut entry = file("");
    entry.xattrs = BTreeMap::from([
        (b"security.capability".to_vec(), Vec::new()),
        (b"system.posix_acl_access".to_vec(), Vec::new()),
        (b"user.x".to_vec(), Vec::new()),
    ]);
    let mut link = Entry::new(EntryKind::Symlink(b"x".to_vec()), 0o777, THEN);
    link.hard_link = Some(HardLinkGroup(1));
    let tree = tree_of(&[
        ("f", entry),
        ("g", file("")),
        ("l", link.clone()),
        ("m", link),
    ]);
    let lost = write(&tree, &mut Vec::new()).unwrap();
    let expected = Lost {
        capabilities: vec![path("f")],
        acls: vec![path("f")],
        attributes: vec![path("f")],
        symlink_hard_links: vec![path("l"), path("m")],
    };
    assert_eq!(lost, expected);
}

/// GNU cpio as the judge.
#[cfg(feature = "integration")]
mod foreign {
    use std::process::{Command, Stdio};

    use super::*;

    fn cpio(arguments: &[&str], directory: &std::path::Path, archive: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), archive).unwrap();
        let output = Command::new("cpio")
            .args(arguments)
            .env("TZ", "UTC")
            .current_dir(directory)
            .stdin(Stdio::from(file.reopen().unwrap()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn gnu_cpio_lists_every_type() {
        let directory = tempfile::tempdir().unwrap();
        let listing = cpio(
            &["-itv", "--quiet", "--numeric-uid-gid"],
            directory.path(),
            &archive(&every_type()),
        );
        let fields = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let listed: Vec<String> = listing.lines().map(fields).collect();
        let time = "Jan 14 2021";
        let expected = [
            format!("-rw-r--r-- 2 0 0 0 {time} a"),
            format!("drwxr-xr-x 2 0 0 0 {time} bin"),
            format!("-rwsr-xr-x 1 101 65534 0 {time} bin/sh"),
            format!("brw-rw---- 1 0 0 8, 17 {time} disk"),
            format!("prw------- 1 0 0 0 {time} fifo"),
            format!("lrwxrwxrwx 1 0 0 6 {time} link -> bin/sh"),
            format!("crw-rw-rw- 1 0 0 1, 3 {time} null"),
            format!("srwx------ 1 0 0 0 {time} socket"),
            format!("-rw-r--r-- 2 0 0 6 {time} z"),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn gnu_cpio_extracts_contents_links_and_times() {
        use std::os::unix::fs::MetadataExt;
        let tree = every_type().retain(|_, entry| {
            !matches!(
                entry.kind,
                EntryKind::BlockDevice(_) | EntryKind::CharacterDevice(_)
            )
        });
        let directory = tempfile::tempdir().unwrap();
        let flags = ["-idm", "--quiet", "--no-preserve-owner"];
        cpio(&flags, directory.path(), &archive(&tree));
        let at = |name: &str| directory.path().join(name);
        let metadata = |name: &str| fs_err::symlink_metadata(at(name)).unwrap();
        assert_eq!(fs_err::read_to_string(at("a")).unwrap(), "linked");
        assert_eq!(metadata("a").ino(), metadata("z").ino());
        assert_eq!(metadata("a").mtime(), THEN.seconds);
        assert_eq!(metadata("bin").mode(), 0o40755);
        let target = fs_err::read_link(at("link")).unwrap();
        assert_eq!(target, std::path::Path::new("bin/sh"));
    }
}
