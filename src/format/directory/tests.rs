use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Error, write};
use crate::beneath::{Directory, Place};
use crate::capture::{LayerDirectory, merge};
use crate::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

const THEN: Timestamp = Timestamp {
    seconds: 1_700_000_000,
    nanoseconds: 123_456_789,
};
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

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

fn file(content: &[u8]) -> Entry {
    Entry::new(
        EntryKind::Regular(Content::from_bytes(content)),
        0o644,
        THEN,
    )
}

fn character(major: u32, minor: u32) -> Entry {
    let number = DeviceNumber { major, minor };
    Entry::new(EntryKind::CharacterDevice(number), 0o666, THEN)
}

fn with_attribute(mut entry: Entry, name: &str, value: &[u8]) -> Entry {
    entry.xattrs.insert(name.into(), value.into());
    entry
}

fn read_back(directory: &Path) -> FileTree {
    let layer = LayerDirectory {
        path: directory.into(),
        entry_owners: Vec::new(),
    };
    merge(&[layer]).unwrap()
}

fn assert_comes_back(tree: &FileTree) {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("out");
    write(tree, &destination).unwrap();
    assert_eq!(dump(&read_back(&destination)), dump(tree));
    open_up(&destination);
}

/// Lets an ordinary user remove what it was left without permission to.
fn open_up(directory: &Path) {
    fs_err::set_permissions(directory, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            open_up(&entry.path());
        }
    }
}

/// Everything a tree says, content and hard-link partition included, as text.
fn dump(tree: &FileTree) -> Vec<String> {
    let mut numbers = BTreeMap::new();
    let mut lines = Vec::new();
    for (path, entry) in tree.iter() {
        let kind = match &entry.kind {
            EntryKind::Regular(content) => format!("{:?}", content.read_all().unwrap()),
            other => format!("{other:?}"),
        };
        let group = entry.hard_link.map(|group| {
            let next = numbers.len();
            *numbers.entry(group).or_insert(next)
        });
        lines.push(format!(
            "{path:?} {kind} {:o} {}:{} {:?} {:?} {group:?}",
            entry.mode, entry.uid, entry.gid, entry.modified, entry.xattrs
        ));
    }
    lines
}

fn acl(mode: u16, id: u32) -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (1, mode >> 6 & 7, none),
        (2, 5, id),
        (4, 3, none),
        (8, 1, id),
        (16, mode >> 3 & 7, none),
        (32, mode & 7, none),
    ];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(u16::to_le_bytes(tag));
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

#[test]
fn every_kind_of_metadata_comes_back() {
    let mut linked = with_attribute(file(b"linked"), "user.x", b"\0\xff");
    linked.hard_link = Some(HardLinkGroup(9));
    (linked.uid, linked.gid, linked.mode) = (5, 6, 0o6750);
    let mut link = Entry::new(EntryKind::Symlink(b"../\xff".to_vec()), 0o777, THEN);
    (link.uid, link.gid) = (7, 4_000_000_000);
    link.hard_link = Some(HardLinkGroup(10));
    let mut fifo = Entry::new(EntryKind::Fifo, 0o620, THEN);
    fifo.gid = 5;
    let mut sticky = Entry::directory(Timestamp::from_seconds(5));
    (sticky.mode, sticky.gid) = (0o3770, 33);
    let acls = with_attribute(
        Entry::directory(THEN),
        "system.posix_acl_access",
        &acl(0o755, 33),
    );
    let acls = with_attribute(acls, "system.posix_acl_default", &acl(0o640, 0));
    let tree = tree_of(&[
        ("a", linked.clone()),
        ("acls", acls),
        ("acls/inherits-none", file(b"")),
        (
            "capable",
            with_attribute(file(b"x"), "security.capability", &CAPABILITY),
        ),
        ("d", sticky),
        ("d/link", link.clone()),
        ("d/z", linked),
        ("empty", Entry::directory(THEN)),
        ("fifo", fifo),
        ("link", link),
        ("null", character(1, 3)),
        (
            "odd",
            with_attribute(file(b""), "user.overlay.opaque", b"y"),
        ),
        ("socket", Entry::new(EntryKind::Socket, 0o755, THEN)),
    ]);
    assert_comes_back(&tree);
}

#[test]
fn contents_of_files_are_copied_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = tree_of(&[]);
    let root = Directory::open(directory.path()).unwrap();
    let root = Arc::new(root);
    for size in [0, 1, 4096, 300_001] {
        let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
        let name = size.to_string();
        fs_err::write(directory.path().join(&name), bytes).unwrap();
        let content = Content::from_file(root.clone(), path(&name), size as u64);
        let entry = Entry::new(EntryKind::Regular(content), 0o600, THEN);
        tree.insert(path(&name), entry).unwrap();
    }
    assert_comes_back(&tree);
}

#[test]
fn content_that_changed_its_length_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("f"), "12345").unwrap();
    let root = Arc::new(Directory::open(directory.path()).unwrap());
    for promised in [0, 4, 6] {
        let content = Content::from_file(root.clone(), path("f"), promised);
        let tree = tree_of(&[("f", Entry::new(EntryKind::Regular(content), 0o600, THEN))]);
        let destination = directory.path().join(format!("out{promised}"));
        let error = write(&tree, &destination).unwrap_err();
        let named = matches!(&error, Error::ReadContent { path, .. } if path.file_name() == b"f")
            || matches!(&error, Error::Copy { path, .. } if path.ends_with("f"));
        assert!(named, "{promised}: {error:?}");
    }
}

#[test]
fn nothing_is_inherited_from_the_parent_directory() {
    let directory = tempfile::tempdir().unwrap();
    let parent = directory.path();
    let value = acl(0o777, 0);
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(parent, "system.posix_acl_default", &value, none).unwrap();
    fs_err::set_permissions(parent, PermissionsExt::from_mode(0o2777)).unwrap();
    let tree = tree_of(&[("d", Entry::directory(THEN)), ("d/f", file(b"x"))]);
    write(&tree, &parent.join("out")).unwrap();
    assert_eq!(dump(&read_back(&parent.join("out"))), dump(&tree));
    let metadata = fs_err::metadata(parent.join("out/d")).unwrap();
    assert_eq!(metadata.mode(), 0o40755);
}

#[test]
fn destination_that_exists_or_is_a_link_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("inside");
    fs_err::create_dir(&inside).unwrap();
    fs_err::os::unix::fs::symlink("inside", directory.path().join("link")).unwrap();
    fs_err::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
    for name in ["inside", "link", "dangling"] {
        let error = write(&tree_of(&[("f", file(b""))]), &directory.path().join(name)).unwrap_err();
        let exists = matches!(&error, Error::Create { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists);
        assert!(exists, "{error:?}");
    }
    assert_eq!(fs_err::read_dir(&inside).unwrap().count(), 0);
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn what_a_directory_cannot_hold_is_refused_by_name() {
    let link = Entry::new(EntryKind::Symlink(b"x".to_vec()), 0o777, THEN);
    let fifo = Entry::new(EntryKind::Fifo, 0o600, THEN);
    let cases = [
        (
            with_attribute(file(b""), "user.overcoat.owner", b"12345678"),
            "user.overcoat.owner",
        ),
        (with_attribute(file(b""), "trusted.x", b""), "trusted.x"),
        (with_attribute(link, "user.x", b""), "user.x"),
        (with_attribute(fifo.clone(), "user.x", b""), "user.x"),
        (
            with_attribute(fifo, "system.posix_acl_access", &acl(0o600, 33)),
            "system.posix_acl_access",
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (number, (entry, expected)) in cases.into_iter().enumerate() {
        let destination = directory.path().join(number.to_string());
        match write(&tree_of(&[("f", entry)]), &destination).unwrap_err() {
            Error::UnsupportedAttribute { attribute, .. } => assert_eq!(attribute, expected),
            other => panic!("{other:?}"),
        }
    }
    let whiteout = tree_of(&[("f", character(0, 0))]);
    let error = write(&whiteout, &directory.path().join("whiteout")).unwrap_err();
    assert!(matches!(error, Error::WhiteoutDevice { .. }));
}

#[test]
fn access_acl_that_closes_a_file_does_not_stop_its_other_attributes() {
    let mut entry = with_attribute(file(b"x"), "system.posix_acl_access", &acl(0o540, 0));
    (entry.mode, entry.uid) = (0o540, 5);
    let entry = with_attribute(entry, "user.x", b"");
    assert_comes_back(&tree_of(&[("f", entry)]));
}

#[test]
fn paths_longer_than_one_call_takes_are_written() {
    let mut tree = tree_of(&[]);
    let mut deep = TreePath::root();
    for _ in 0..300 {
        deep = deep.join(&[b'n'; 40]).unwrap();
        tree.insert(deep.clone(), Entry::directory(THEN)).unwrap();
    }
    tree.insert(deep.join(b"leaf").unwrap(), file(b"deep"))
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("out");
    write(&tree, &destination).unwrap();
    assert_eq!(dump(&read_back(&destination)), dump(&tree));
}

#[derive(Clone, Debug)]
struct Sown {
    parent: prop::sample::Index,
    name: Vec<u8>,
    kind: u8,
    mode: u16,
    owner: (u32, u32),
    time: (i64, u32),
    content: Vec<u8>,
    attributes: [bool; 4],
    acl_id: u32,
}

fn sown() -> impl Strategy<Value = Sown> {
    let id = || prop::sample::select(vec![0, 0, 1, 101, 65534, u32::MAX - 1]);
    let name = prop_oneof!["[a-c.]{1,2}", "[x-z]{255}"]
        .prop_map(String::into_bytes)
        .prop_filter("a file name", |name| name != b"." && name != b"..");
    let place = (any::<prop::sample::Index>(), name, 0_u8..10);
    let numbers = (
        0_u16..0o10000,
        (id(), id()),
        (0..1_i64 << 33, 0_u32..1_000_000_000),
    );
    let rest = (
        prop::collection::vec(any::<u8>(), 0..100),
        any::<[bool; 4]>(),
        id(),
    );
    (place, numbers, rest).prop_map(|(place, numbers, rest)| Sown {
        parent: place.0,
        name: place.1,
        kind: place.2,
        mode: numbers.0,
        owner: numbers.1,
        time: numbers.2,
        content: rest.0,
        attributes: rest.1,
        acl_id: rest.2,
    })
}

fn grown(seeds: &[Sown]) -> FileTree {
    let mut tree = tree_of(&[]);
    for (number, seed) in seeds.iter().enumerate() {
        let wants_link = seed.kind == 9;
        let candidates = |directories: bool| -> Vec<TreePath> {
            let fits = tree
                .iter()
                .filter(|(_, entry)| entry.is_directory() == directories);
            fits.map(|(path, _)| path.clone()).collect()
        };
        let path = seed.parent.get(&candidates(true)).join(&seed.name).unwrap();
        if tree.get(&path).is_some() {
            continue;
        }
        let files = candidates(false);
        if wants_link && !files.is_empty() {
            let first = tree.get_mut(seed.parent.get(&files)).unwrap();
            first.hard_link.get_or_insert(HardLinkGroup(number as u64));
            let entry = first.clone();
            tree.insert(path, entry).unwrap();
        } else {
            tree.insert(path, entry_of(seed)).unwrap();
        }
    }
    tree
}

fn entry_of(seed: &Sown) -> Entry {
    let number = DeviceNumber {
        major: 1 + seed.owner.0 % 500,
        minor: seed.owner.1 % 1_000_000,
    };
    let kind = match seed.kind {
        0..3 | 9 => EntryKind::Regular(Content::from_bytes(seed.content.clone())),
        3..5 => EntryKind::Directory,
        5 => EntryKind::Symlink(
            [&b"t"[..], &seed.content]
                .concat()
                .into_iter()
                .filter(|byte| *byte != 0)
                .collect(),
        ),
        6 => EntryKind::CharacterDevice(number),
        7 => EntryKind::Fifo,
        _ => EntryKind::Socket,
    };
    let modified = Timestamp {
        seconds: seed.time.0,
        nanoseconds: seed.time.1,
    };
    let mut entry = Entry::new(kind, seed.mode, modified);
    (entry.uid, entry.gid) = seed.owner;
    // Without root, what may not be read cannot be captured.
    if !nix::unistd::geteuid().is_root() {
        entry.mode |= 0o500;
    }
    let mode = entry.mode;
    let mut put = |name: &str, value: Vec<u8>| entry.xattrs.insert(name.into(), value);
    let regular = matches!(seed.kind, 0..3 | 9);
    let directory = matches!(seed.kind, 3..5);
    if seed.attributes[0] && (regular || directory) {
        put("user.a", seed.content.clone());
        put("user.overlay.opaque", b"y".to_vec());
    }
    if seed.attributes[1] && regular {
        put("security.capability", CAPABILITY.to_vec());
    }
    if seed.attributes[2] && (regular || directory) {
        put("system.posix_acl_access", acl(mode, seed.acl_id));
    }
    if seed.attributes[3] && directory {
        put("system.posix_acl_default", acl(0o751, seed.acl_id));
    }
    if matches!(seed.kind, 5) {
        entry.mode = 0o777;
    }
    entry
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_from_its_directory(seeds in prop::collection::vec(sown(), 0..24)) {
        assert_comes_back(&grown(&seeds));
    }
}

#[test]
fn nobody_but_the_owner_gets_in_and_the_mode_comes_back() {
    use std::os::unix::fs::PermissionsExt;
    for mode in [0o755, 0o1777, 0o700] {
        let place = tempfile::tempdir().unwrap();
        let destination = place.path().join("out");
        let root = Entry::new(EntryKind::Directory, mode, Timestamp::from_seconds(1));
        write(&FileTree::new(root).unwrap(), &destination).unwrap();
        let on_disk = fs_err::metadata(&destination).unwrap().permissions().mode();
        assert_eq!(on_disk & 0o077, 0, "{mode:o}");
        let layer = LayerDirectory {
            path: destination.clone(),
            entry_owners: Vec::new(),
        };
        assert_eq!(merge(&[layer]).unwrap().root().mode, mode);
        let directory = Directory::open(place.path()).unwrap();
        fs_err::create_dir(place.path().join("other")).unwrap();
        fs_err::os::unix::fs::symlink("out", place.path().join("link")).unwrap();
        let is_output = |name: &str| super::is_output(&Place::new(&directory, name.as_ref()));
        assert_eq!(
            ["out", "other", "link", "none"].map(is_output),
            [true, false, false, false]
        );
    }
}
