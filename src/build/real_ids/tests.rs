//! Only root gives files away, so that for others these tests have nothing to look at.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use fs_err as fs;

use super::Error;
use crate::beneath::{Directory, Place};
use crate::build::fixture::{TIME, path};
use crate::capture::{EntryOwner, LayerDirectory, merge};
use crate::tree::arbitrary::describe;
use crate::tree::{Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, TreePath};

const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

fn make_real(tree: FileTree, path: &Path) -> Result<(), Error> {
    let parent = Directory::open(path.parent().unwrap()).unwrap();
    super::make_real(tree, &Place::new(&parent, path.file_name().unwrap()))
}

fn record(path: &Path) -> Result<Vec<EntryOwner>, Error> {
    super::record(&Directory::open(path).unwrap())
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIP: only root gives files away");
    }
    is_root
}

/// Returns an ACL that lets the user `id` read and write, with the mask `mask`.
fn acl(id: u32, mask: u16) -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (0x01_u16, 6_u16, none),
        (0x02, 6, id),
        (0x04, 4, none),
        (0x10, mask, none),
        (0x20, 0, none),
    ];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn entry(kind: EntryKind, mode: u16, uid: u32, gid: u32) -> Entry {
    let mut entry = Entry::new(kind, mode, TIME);
    (entry.uid, entry.gid) = (uid, gid);
    entry
}

fn file(text: &str, mode: u16, uid: u32, gid: u32) -> Entry {
    entry(
        EntryKind::Regular(Content::from_bytes(text.as_bytes())),
        mode,
        uid,
        gid,
    )
}

fn with(mut entry: Entry, name: &str, value: &[u8]) -> Entry {
    entry.xattrs.insert(name.into(), value.into());
    entry
}

/// Returns a tree with everything that has an owner, an ACL or a capability, and what has none.
fn tree() -> FileTree {
    let number = DeviceNumber { major: 8, minor: 1 };
    let link = |target: &str| EntryKind::Symlink(target.as_bytes().to_vec());
    let mut tree = FileTree::new(Entry::directory(TIME)).unwrap();
    let mut twin = file("twin", 0o4755, 7, 8);
    twin.hard_link = Some(HardLinkGroup(1));
    let entries = [
        ("plain", file("plain", 0o644, 0, 0)),
        ("plain-directory", Entry::directory(TIME)),
        ("plain-directory/below", file("", 0o600, 0, 0)),
        ("plain-link", entry(link("plain"), 0o777, 0, 0)),
        ("a", entry(EntryKind::Directory, 0o755, 0, 0)),
        ("a/b", entry(EntryKind::Directory, 0o2750, 33, 44)),
        ("a/b/plain", file("below", 0o644, 0, 0)),
        ("a/b/setuid", file("setuid", 0o6755, 33, 44)),
        ("a/b/twin", twin.clone()),
        ("a/twin", twin),
        ("acl", with(file("acl", 0o660, 0, 0), ACCESS, &acl(44, 6))),
        (
            "acls",
            with(
                with(Entry::directory(TIME), ACCESS, &acl(44, 5)),
                DEFAULT,
                &acl(45, 7),
            ),
        ),
        (
            "capable",
            with(file("x", 0o755, 0, 44), "security.capability", &CAPABILITY),
        ),
        ("device", entry(EntryKind::BlockDevice(number), 0o660, 0, 6)),
        ("fifo", entry(EntryKind::Fifo, 0o660, 5, 6)),
        ("link", entry(link("nowhere"), 0o777, 65535, 1)),
        ("socket", entry(EntryKind::Socket, 0o666, 0, 9)),
        ("user", with(file("", 0o600, 1, 0), "user.x", b"y")),
    ];
    for (name, mut entry) in entries {
        if name == "acls" {
            entry.mode = 0o650;
        }
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

fn read_back(directory: &Path, entry_owners: Vec<EntryOwner>) -> FileTree {
    merge(&[LayerDirectory {
        path: directory.into(),
        entry_owners,
    }])
    .unwrap()
}

#[track_caller]
fn assert_all_is_roots(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (0, 0),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            assert_all_is_roots(&path);
        }
    }
}

#[test]
fn what_is_made_real_and_recorded_again_is_the_same() {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("ids");
    make_real(tree(), &directory).unwrap();
    for (name, owner, mode) in [
        ("a", (0, 0), 0o755),
        ("a/b", (33, 44), 0o2750),
        ("a/b/setuid", (33, 44), 0o6755),
        ("device", (0, 6), 0o660),
        ("fifo", (5, 6), 0o660),
        ("link", (65535, 1), 0o777),
        ("socket", (0, 9), 0o666),
    ] {
        let found = fs::symlink_metadata(directory.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), owner, "{name}");
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
    }
    // Nothing is copied that says the same without it.
    let owners = record(&directory).unwrap();
    assert_all_is_roots(&directory);
    let is_copied = |path: &TreePath, _: &Entry| {
        let name = path.to_string();
        !name.starts_with("plain") && name != "a/b/plain"
    };
    assert_eq!(
        describe(&read_back(&directory, owners)),
        describe(&tree().retain(is_copied))
    );
}

#[test]
fn recording_is_repeatable() {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("layer");
    make_real(tree(), &directory).unwrap();
    let first = record(&directory).unwrap();
    let links: Vec<_> = first.iter().map(|owner| owner.path.as_bytes()).collect();
    assert_eq!(links, [&b"fifo"[..], b"link", b"socket"]);
    // A step that was recorded has no real owner left, and what looks like a record is the step's own.
    assert_eq!(record(&directory).unwrap(), []);
    let again = read_back(&directory, Vec::new());
    assert!(
        again
            .iter()
            .all(|(_, entry)| (entry.uid, entry.gid) == (0, 0))
    );
}

#[test]
fn records_that_a_step_forged_are_gone_and_devices_stay() {
    if !is_root() {
        return;
    }
    let layer = tempfile::tempdir().unwrap();
    let forged = layer.path().join("forged");
    fs::write(&forged, "").unwrap();
    chown(&forged, Some(33), Some(33)).unwrap();
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(&forged, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set("user.overcoat.owner", &[0; 8]);
    set("user.overcoat.capability", &CAPABILITY);
    set("user.overcoat.nonsense", b"x");
    set("user.overcoat.device", b"c 1:3");
    record(layer.path()).unwrap();
    let tree = read_back(layer.path(), Vec::new());
    let entry = tree.get(&path("forged")).unwrap();
    assert_eq!((entry.uid, entry.gid), (33, 33));
    assert!(matches!(
        entry.kind,
        EntryKind::CharacterDevice(DeviceNumber { major: 1, minor: 3 })
    ));
    assert_eq!(entry.xattrs.len(), 0);
}

#[test]
fn links_lead_nowhere_and_whiteouts_stay() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "").unwrap();
    chown(outside.path().join("kept"), Some(7), Some(7)).unwrap();
    let layer = tempfile::tempdir().unwrap();
    symlink(outside.path(), layer.path().join("directory")).unwrap();
    symlink(outside.path().join("kept"), layer.path().join("file")).unwrap();
    lchown(layer.path().join("file"), Some(9), Some(9)).unwrap();
    let whiteout = layer.path().join("whiteout");
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    nix::sys::stat::mknod(&whiteout, kind, nix::sys::stat::Mode::empty(), 0).unwrap();
    chown(&whiteout, Some(3), Some(3)).unwrap();
    let owners = record(layer.path()).unwrap();
    assert_eq!(
        owners,
        [EntryOwner {
            path: path("file"),
            uid: 9,
            gid: 9
        }]
    );
    assert_eq!(fs::metadata(outside.path().join("kept")).unwrap().uid(), 7);
    assert_all_is_roots(layer.path());
    assert_eq!(fs::symlink_metadata(whiteout).unwrap().rdev(), 0);
}

#[test]
fn an_acl_that_cannot_be_recorded_is_refused() {
    if !is_root() {
        return;
    }
    let layer = tempfile::tempdir().unwrap();
    let fifo = layer.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&fifo, ACCESS, &acl(44, 6), flags).unwrap();
    match record(layer.path()) {
        Err(Error::AclWithoutRecord { path }) => assert_eq!(path, fifo),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_that_the_place_passed_on_is_not_kept() {
    if !is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    chown(place.path(), None, Some(44)).unwrap();
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o2755)).unwrap();
    let made = place.path().join("tree");
    fs::create_dir(&made).unwrap();
    assert_eq!(fs::metadata(&made).unwrap().gid(), 44);
    super::own(&Directory::open(&made).unwrap()).unwrap();
    assert_eq!(fs::metadata(&made).unwrap().gid(), 0);
}
