//! Makes trees of a fuzzer's input, and describes trees so that they can be compared.

use std::collections::{BTreeMap, HashMap};

use super::{
    Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
};

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

/// The rest of an input, out of which values are taken, so that every input stands for something. What is taken past its end is zero or empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(crate) fn number(&mut self) -> u32 {
        let mut number = [0; 4];
        let taken = self.take(4);
        number[..taken.len()].copy_from_slice(taken);
        u32::from_le_bytes(number)
    }

    /// Takes a length of one byte, and as many bytes.
    pub(crate) fn text(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    /// Takes one of `choices`.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// Makes a tree; `None` for one whose root is no directory.
pub(crate) fn tree(bytes: &mut Bytes<'_>) -> Option<FileTree> {
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
pub(crate) fn described(tree: &FileTree) -> Vec<String> {
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
