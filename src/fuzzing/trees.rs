//! Trees that strangers made, as directories and as images.

use std::collections::{BTreeMap, HashMap};

use super::Bytes;
use crate::extension::{
    Accounts, ExtensionKind, allocated_owners, read_os_release, read_shipped_release, select,
};
use crate::format::cpio;
use crate::format::erofs::{Options, Plan, reader::read_tree};
use crate::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

const BLOCK_BYTES: usize = 4096;
/// Where the superblock is, and in it the features of which a checksum is one.
const SUPERBLOCK: usize = 1024;
const COMPATIBLE_FEATURES: usize = SUPERBLOCK + 8;

/// Names that something is looked for by, and others.
const NAMES: [&[u8]; 16] = [
    b"etc",
    b"usr",
    b"lib",
    b"opt",
    b"os-release",
    b"passwd",
    b"group",
    b"sysusers.d",
    b"a.conf",
    b"extension-release.d",
    b"extension-release.x",
    b"a",
    b"TRAILER!!!",
    b".wh.a",
    b"\xff",
    b"-",
];
const TEXTS: [&[u8]; 5] = [
    b"root:x:0:0::/:/bin/sh\nmail:x:8:8:::\n",
    b"ID=debian\nVERSION_ID=\"13\"\n",
    b"u mail 8\ng \"tape\" 26:5\n",
    b"",
    b"ID='",
];
const TARGETS: [&[u8]; 6] = [b"..", b"/etc", b"../usr/lib/os-release", b"a", b".", b"/"];

/// What is read of a tree, and every archive of it: the walk ends, and nothing that is no file is read.
pub fn base_tree(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (Some(base), Some(payload)) = (tree(&mut bytes), tree(&mut bytes)) else {
        return;
    };
    let _ = read_os_release(&base);
    for kind in [ExtensionKind::Sysext, ExtensionKind::Confext] {
        let _ = read_shipped_release(&payload, kind, "x");
        if let Ok(accounts) = Accounts::read(&payload, Some(&base), kind) {
            allocated_owners(&payload, &accounts, &[0..=99]);
        }
        let selected = select(payload.clone(), kind);
        let roots = kind.hierarchies();
        for (path, _) in selected.tree.iter().skip(1) {
            let first = path.components().next().unwrap_or_default();
            assert!(roots.iter().any(|root| root.as_bytes() == first));
        }
    }
    let _ = cpio::write(&base, &mut Vec::new());
}

/// A tree survives in an image, and a damaged image is an error or a tree that can be written.
pub fn erofs_damaged(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let Some(tree) = tree(&mut bytes) else { return };
    let Some(mut image) = image_of(&tree) else {
        return;
    };
    let read = read_tree(&image).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
    while !bytes.is_empty() {
        let place = bytes.number() as usize % image.len();
        image[place] = bytes.byte();
    }
    reads(&mut image);
}

/// An image without its first 1024 bytes, which mean nothing, and with zeros up to the end of its last block.
pub fn erofs_image(bytes: &[u8]) {
    let mut image = vec![0; SUPERBLOCK];
    image.extend_from_slice(bytes);
    image.resize(image.len().next_multiple_of(BLOCK_BYTES), 0);
    reads(&mut image);
}

fn reads(image: &mut [u8]) {
    // Without the checksum, of which no change would get past.
    image[COMPATIBLE_FEATURES] &= !1;
    let Ok(tree) = read_tree(image) else { return };
    let Some(again) = image_of(&tree) else { return };
    let read = read_tree(&again).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
}

fn image_of(tree: &FileTree) -> Option<Vec<u8>> {
    let options = Options {
        uuid: uuid::Uuid::nil(),
        build_time: Timestamp::from_seconds(1_700_000_000),
        volume_name: "fuzz".into(),
    };
    let plan = Plan::new(tree, &options).ok()?;
    let mut image = Vec::new();
    plan.write(&mut image).expect("memory can be written to");
    assert_eq!(image.len() as u64, plan.size_bytes());
    Some(image)
}

/// Makes a tree; `None` for one whose root is no directory.
fn tree(bytes: &mut Bytes<'_>) -> Option<FileTree> {
    let count = bytes.byte() % 48;
    let mut tree = FileTree::new(entry(bytes)).ok()?;
    let mut paths = vec![TreePath::root()];
    for group in 0..count {
        let above = bytes.choose(&(0..paths.len()).collect::<Vec<_>>());
        let name = match bytes.byte() {
            choice @ 0..128 => NAMES[usize::from(choice) % NAMES.len()],
            _ => bytes.text(),
        };
        let Ok(path) = paths[above].join(name) else {
            continue;
        };
        let entry = match bytes.byte() {
            0..16 => linked(&mut tree, &paths[above], group),
            _ => entry(bytes),
        };
        if tree.insert(path.clone(), entry).is_ok() {
            paths.push(path);
        }
    }
    Some(tree)
}

/// Makes what is at `path` a hard link, and returns another name's entry for it.
fn linked(tree: &mut FileTree, path: &TreePath, group: u8) -> Entry {
    let entry = tree.get_mut(path).expect("it was inserted");
    if !entry.is_directory() {
        entry.hard_link.get_or_insert(HardLinkGroup(group.into()));
    }
    entry.clone()
}

fn entry(bytes: &mut Bytes<'_>) -> Entry {
    let number = |bytes: &mut Bytes<'_>| DeviceNumber {
        major: bytes.number(),
        minor: bytes.number(),
    };
    let kind = match bytes.byte() % 16 {
        0..6 => EntryKind::Directory,
        6..8 => EntryKind::Regular(Content::from_bytes(bytes.choose(&TEXTS))),
        8 => EntryKind::Regular(Content::from_bytes(bytes.text())),
        9 => EntryKind::Regular(Content::from_bytes(vec![7; bytes.number() as usize % 9000])),
        10 => EntryKind::Symlink(bytes.choose(&TARGETS).to_vec()),
        11 => EntryKind::Symlink(bytes.text().to_vec()),
        12 => EntryKind::CharacterDevice(number(bytes)),
        13 => EntryKind::BlockDevice(number(bytes)),
        14 => EntryKind::Fifo,
        _ => EntryKind::Socket,
    };
    let modified = match bytes.byte() % 4 {
        0..3 => Timestamp::from_seconds(1_700_000_000),
        _ => Timestamp {
            seconds: i64::from(bytes.number().cast_signed()) << 8,
            nanoseconds: bytes.number(),
        },
    };
    let mut entry = Entry::new(kind, 0o755, modified);
    let what = bytes.byte();
    if what & 1 != 0 {
        (entry.uid, entry.gid) = (bytes.number(), bytes.number());
        entry.mode = u16::from(bytes.byte()) << 4 | 0o7;
    }
    for _ in 0..what >> 6 {
        let prefix = bytes.choose(&["user.", "trusted.", "security.", "system.posix_acl_access"]);
        let name = [prefix.as_bytes(), bytes.text()].concat();
        entry.xattrs.insert(name, bytes.text().to_vec());
    }
    entry
}

/// Describes each entry in a line; which names are links of one inode is said by the first of them.
fn described(tree: &FileTree) -> Vec<String> {
    let mut firsts: HashMap<HardLinkGroup, (&TreePath, usize)> = HashMap::new();
    for (path, entry) in tree.iter() {
        if let Some(group) = entry.hard_link {
            firsts.entry(group).or_insert((path, 0)).1 += 1;
        }
    }
    let line = |(path, entry): (&TreePath, &Entry)| {
        let kind = match &entry.kind {
            EntryKind::Regular(content) => {
                format!("{:?}", content.read_all().expect("it is in memory"))
            }
            kind => format!("{kind:?}"),
        };
        let first = entry.hard_link.and_then(|group| firsts.get(&group));
        let first = first.filter(|(_, count)| *count > 1).map(|(path, _)| path);
        let xattrs: BTreeMap<_, _> = entry.xattrs.iter().collect();
        let Entry {
            mode,
            uid,
            gid,
            modified,
            ..
        } = entry;
        format!("{path:?} {mode:o} {uid}:{gid} {modified:?} {first:?} {xattrs:?} {kind}")
    };
    tree.iter().map(line).collect()
}
