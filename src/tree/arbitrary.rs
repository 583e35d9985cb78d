//! Random trees and a way to compare trees, for the tests of all formats.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};
use crate::digest::hexadecimal;

/// Gives trees of all types of files, with hard links, attributes, odd names and lengths around a block's.
pub(crate) fn file_tree() -> impl Strategy<Value = FileTree> {
    let names = vec((any::<Index>(), name(), entry(), link()), 0..40);
    (entry(), names).prop_map(|(mut root, names)| {
        root.kind = EntryKind::Directory;
        let mut tree = FileTree::new(root).expect("the root is a directory");
        let mut directories = vec![TreePath::root()];
        let mut others: Vec<TreePath> = Vec::new();
        for (group, (place, name, mut entry, link)) in names.into_iter().enumerate() {
            let path = place.get(&directories).join(&name);
            let Some(path) = path.ok().filter(|path| tree.get(path).is_none()) else {
                continue;
            };
            if let Some(first) = link.filter(|_| !others.is_empty()) {
                let first = tree.get_mut(first.get(&others)).expect("it was inserted");
                first
                    .hard_link
                    .get_or_insert(HardLinkGroup(group as u64 * 3));
                entry = first.clone();
            }
            let list = if entry.is_directory() {
                &mut directories
            } else {
                &mut others
            };
            list.push(path.clone());
            tree.insert(path, entry)
                .expect("its parent is a directory and the place is free");
        }
        tree
    })
}

/// Describes each entry in a line. Equal trees, and only they, have equal lines; the numbers of hard-link groups and
/// groups of one name do not matter.
pub(crate) fn describe(tree: &FileTree) -> Vec<String> {
    let mut groups: HashMap<HardLinkGroup, Vec<&TreePath>> = HashMap::new();
    for (path, entry) in tree.iter() {
        if let Some(group) = entry.hard_link {
            groups.entry(group).or_default().push(path);
        }
    }
    let describe_entry = |path: &TreePath, entry: &Entry| {
        let kind = match &entry.kind {
            EntryKind::Regular(content) => {
                let bytes = content.read_all().expect("contents of tests can be read");
                let digest = openssl::sha::sha256(&bytes);
                format!("Regular({} bytes, {})", bytes.len(), hexadecimal(&digest))
            }
            EntryKind::Symlink(target) => format!("Symlink({})", hexadecimal(target)),
            kind => format!("{kind:?}"),
        };
        let links = entry.hard_link.and_then(|group| groups.get(&group));
        let first = links.filter(|links| links.len() > 1).map(|links| links[0]);
        let xattrs: BTreeMap<_, _> = entry
            .xattrs
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name), hexadecimal(value)))
            .collect();
        format!(
            "{} {kind} {:o} {}:{} {}.{:09} {xattrs:?} {first:?}",
            hexadecimal(path.as_bytes()),
            entry.mode,
            entry.uid,
            entry.gid,
            entry.modified.seconds,
            entry.modified.nanoseconds,
        )
    };
    tree.iter()
        .map(|(path, entry)| describe_entry(path, entry))
        .collect()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'.' } else { byte });
    prop_oneof![
        6 => vec(byte.clone(), 1..8),
        1 => vec(byte, 250..=255),
        3 => "[a-c.!-]{1,3}".prop_map(String::into_bytes),
    ]
}

fn link() -> impl Strategy<Value = Option<Index>> {
    proptest::option::weighted(0.15, any::<Index>())
}

fn entry() -> impl Strategy<Value = Entry> {
    let id = || prop_oneof![Just(0), 1..70_000_u32, Just(u32::MAX - 1)];
    let metadata = (0..=0o7777_u16, id(), id(), time(), xattrs());
    (kind(), metadata).prop_map(|(kind, (mode, uid, gid, modified, xattrs))| Entry {
        kind,
        mode,
        uid,
        gid,
        modified,
        xattrs,
        hard_link: None,
    })
}

fn kind() -> impl Strategy<Value = EntryKind> {
    let device = (0..4096_u32, 0..1_048_576_u32);
    let device = device.prop_map(|(major, minor)| DeviceNumber { major, minor });
    prop_oneof![
        6 => Just(EntryKind::Directory),
        8 => contents().prop_map(|bytes| EntryKind::Regular(Content::from_bytes(bytes))),
        3 => vec(1..=255_u8, 1..4096).prop_map(EntryKind::Symlink),
        1 => device.clone().prop_map(EntryKind::CharacterDevice),
        1 => device.prop_map(EntryKind::BlockDevice),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::Socket),
    ]
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        4 => 0..200_usize,
        2 => 4000..4200_usize,
        1 => 0..20_000_usize,
    ];
    (length, any::<u8>()).prop_map(|(length, first)| {
        let cycle = (first..=255).chain(1..=250).cycle();
        cycle.take(length).collect()
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![Just(1_700_000_000), -10_i64..10, 0..1_i64 << 34];
    let nanoseconds = prop_oneof![Just(0), 0..1_000_000_000_u32];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Timestamp {
        seconds,
        nanoseconds,
    })
}

fn xattrs() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
    let name = prop_oneof![
        Just("security.selinux".to_owned()),
        Just("system.posix_acl_access".to_owned()),
        "user\\.[a-z]{1,3}",
        "trusted\\.[a-z]{1,60}",
    ];
    let value = prop_oneof![
        Just(b"shared".to_vec()),
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 900..2000)
    ];
    prop_oneof![
        3 => Just(BTreeMap::new()),
        1 => btree_map(name.prop_map(String::into_bytes), value, 1..4),
    ]
}
