//! Trees to write: a part of this host's `/usr`, and one with very many entries.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use overcoat::beneath::Directory;
use overcoat::tree::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

use super::listing::{Kind, Listed, Listing, modified};
use crate::require;

/// How long the files in each directory of `/usr` may be together: it keeps a test within seconds on any host.
const SHARE_BYTES: u64 = 32 << 20;
const OWNERS: [(u32, u32); 5] = [
    (0, 0),
    (1000, 100),
    (65_534, 65_534),
    (70_000, 3_000_000),
    (4_294_967_294, 65_536),
];

/// Returns a part of a directory of the host, and what it holds as the host itself tells it. Owners, parts of seconds
/// and some attributes are made up, so that there is something to get wrong.
pub(crate) fn host(root: &Path) -> (FileTree, Listing) {
    let directory = Arc::new(Directory::open(root).unwrap());
    let mut tree = FileTree::new(Entry::directory(Timestamp::default())).unwrap();
    let mut listing = Listing::default();
    let mut inodes: BTreeMap<_, (Listed, Entry, Vec<Vec<u8>>)> = BTreeMap::new();
    let mut taken: HashMap<Vec<u8>, u64> = HashMap::new();
    let device = fs_err::symlink_metadata(root).unwrap().dev();
    let mut pending = vec![TreePath::root()];
    while let Some(path) = pending.pop() {
        let host = root.join(path.as_path());
        let metadata = fs_err::symlink_metadata(&host).unwrap();
        let top = path.components().next().unwrap_or_default().to_vec();
        let share = taken.entry(top).or_default();
        let is_left_out = metadata.dev() != device
            || metadata.is_dir() && fs_err::read_dir(&host).is_err()
            || metadata.is_file() && *share + metadata.len() > SHARE_BYTES
            || metadata.is_file() && fs_err::File::open(&host).is_err();
        if is_left_out {
            continue;
        }
        let inode = (metadata.dev(), metadata.ino());
        let (listed, entry) = match inodes.get_mut(&inode) {
            Some((listed, entry, names)) => {
                names.push(path.as_bytes().to_vec());
                (listed.clone(), entry.clone())
            }
            None => {
                let kind = Kind::of_path(&host, &metadata);
                let entry_kind = match &kind {
                    Kind::Directory => EntryKind::Directory,
                    Kind::Regular { size_bytes, .. } => {
                        *share += size_bytes;
                        let (directory, path) = (directory.clone(), path.clone());
                        EntryKind::Regular(Content::from_file(directory, path, *size_bytes))
                    }
                    Kind::Symlink(target) => EntryKind::Symlink(target.clone()),
                    _ => continue,
                };
                let mode = u16::try_from(metadata.mode() & 0o7777).unwrap();
                let mut entry = Entry::new(entry_kind, mode, modified(&metadata));
                decorate(&mut entry, &path, inodes.len());
                if metadata.nlink() > 1 && !metadata.is_dir() {
                    entry.hard_link = Some(HardLinkGroup(metadata.ino()));
                }
                let listed = Listed::of_entry(&entry, kind);
                let names = vec![path.as_bytes().to_vec()];
                inodes.insert(inode, (listed.clone(), entry.clone(), names));
                (listed, entry)
            }
        };
        listing.0.insert(path.as_bytes().to_vec(), listed);
        tree.insert(path.clone(), entry).unwrap();
        if metadata.is_dir() {
            let names = fs_err::read_dir(&host).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name());
            pending.extend(names.map(|name| path.join(name.as_bytes()).unwrap()));
        }
    }
    listing.link(inodes.into_values().map(|(_, _, names)| names));
    (tree, listing)
}

/// Gives an entry an owner, nanoseconds and attributes that depend on its number.
fn decorate(entry: &mut Entry, path: &TreePath, number: usize) {
    (entry.uid, entry.gid) = OWNERS[number % OWNERS.len()];
    entry.modified.nanoseconds = u32::try_from(number as u64 * 7_777_777 % 1_000_000_000).unwrap();
    let holds_attributes = matches!(entry.kind, EntryKind::Directory | EntryKind::Regular(_));
    if holds_attributes && number.is_multiple_of(3) {
        let value = path.as_bytes().to_vec();
        entry.xattrs.insert(b"user.path".to_vec(), value);
        entry
            .xattrs
            .insert(b"user.shared".to_vec(), b"by all".to_vec());
    }
    if matches!(entry.kind, EntryKind::Regular(_)) && number.is_multiple_of(50) {
        // cap_net_raw=ep, in the second version of the format (linux/capability.h).
        let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
        let value = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        entry.xattrs.insert(b"security.capability".to_vec(), value);
    }
}

/// How many entries [`many`] has.
pub(crate) const MANY: usize = 100_000;
/// How many of them are in one directory, without hard links.
const CROWD: usize = 16_000;
/// How many files have three names, of which one is there, too.
const LINKED: u64 = 5000;

/// Returns a tree of [`MANY`] entries: a crowded directory of long names, directories of directories, deep paths, files
/// of many lengths, some of them equal, hard links and symbolic links.
pub(crate) fn many() -> FileTree {
    let mut many = Many {
        tree: FileTree::new(Entry::directory(Timestamp::from_seconds(1))).unwrap(),
    };
    let crowd = many.directory(&TreePath::root(), b"crowd");
    for number in 0..CROWD {
        let name = format!("{number:x}-{}", "n".repeat(number % 240));
        many.file(&crowd, name.as_bytes());
    }
    let linked = many.directory(&TreePath::root(), b"linked");
    for number in 0..LINKED {
        let first = many.file(&linked, format!("{number}").as_bytes());
        let mut entry = many.tree.get(&first).unwrap().clone();
        entry.hard_link = Some(HardLinkGroup(number));
        many.tree.insert(first, entry.clone()).unwrap();
        for other in 0..2 {
            let name = format!("{number}-{other}");
            let path = many.tree_path(if other == 0 { &linked } else { &crowd }, name.as_bytes());
            many.tree.insert(path, entry.clone()).unwrap();
        }
    }
    let mut deep = many.directory(&TreePath::root(), b"deep");
    for _ in 0..12 {
        deep = many.directory(&deep, &[b'd'; 255]);
        many.file(&deep, b"file");
    }
    let special = many.directory(&TreePath::root(), b"special");
    many.add(&special, b"fifo", EntryKind::Fifo);
    many.add(&special, b"socket", EntryKind::Socket);
    // Nobody but root can make them.
    if require::is_root() {
        let (major, minor) = (4095, 1_048_575);
        let number = DeviceNumber { major, minor };
        many.add(&special, b"character", EntryKind::CharacterDevice(number));
        many.add(&special, b"block", EntryKind::BlockDevice(number));
    }
    let mut outer = TreePath::root();
    while many.tree.entry_count() < MANY {
        let number = many.tree.entry_count();
        if number.is_multiple_of(10) {
            let parent = if number.is_multiple_of(700) {
                TreePath::root()
            } else {
                outer
            };
            outer = many.directory(&parent, format!("d{number}").as_bytes());
        } else if number.is_multiple_of(11) {
            let target = vec![b'/'; number % 300 + 1];
            let name = format!("l{number}");
            many.add(&outer, name.as_bytes(), EntryKind::Symlink(target));
        } else {
            many.file(&outer, format!("f{number}").as_bytes());
        }
    }
    many.tree
}

struct Many {
    tree: FileTree,
}

impl Many {
    fn tree_path(&self, directory: &TreePath, name: &[u8]) -> TreePath {
        directory.join(name).unwrap()
    }

    fn add(&mut self, directory: &TreePath, name: &[u8], kind: EntryKind) -> TreePath {
        let number = self.tree.entry_count();
        let path = self.tree_path(directory, name);
        let mode = if matches!(kind, EntryKind::Symlink(_)) {
            0o777
        } else {
            0o600 + u16::try_from(number % 0o200).unwrap()
        };
        let seconds = i64::try_from(number * 40_000).unwrap();
        let mut entry = Entry::new(kind, mode, Timestamp::from_seconds(seconds));
        if entry.is_directory() {
            // Whoever extracts the tree removes it again.
            entry.mode = 0o755;
        }
        decorate(&mut entry, &path, number);
        self.tree.insert(path.clone(), entry).unwrap();
        path
    }

    fn directory(&mut self, parent: &TreePath, name: &[u8]) -> TreePath {
        self.add(parent, name, EntryKind::Directory)
    }

    fn file(&mut self, directory: &TreePath, name: &[u8]) -> TreePath {
        let number = self.tree.entry_count();
        let content = Content::from_bytes(content(number));
        self.add(directory, name, EntryKind::Regular(content))
    }
}

/// Returns contents of many lengths, some of which occur again; half of each is easy to compress.
fn content(number: usize) -> Vec<u8> {
    let length = match number % 1000 {
        0 => 200_000,
        1..20 => 4096 * (number % 5),
        _ => number % 1500,
    };
    let mut state = u32::try_from(number % 40_000).unwrap();
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let mut bytes: Vec<u8> = noise.take(length / 2).collect();
    bytes.resize(length, b'.');
    bytes
}
