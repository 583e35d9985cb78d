//! What a tree holds, entry by entry, whoever read it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use openssl::sha::sha256;
use overcoat::tree::{DeviceNumber, Entry, EntryKind, FileTree, Timestamp};

/// Longer than any attribute, or the names of all of an entry, in the trees that are listed.
const XATTR_LIMIT_BYTES: usize = 4096;

/// The entries by path, the root's empty.
#[derive(Debug, Default)]
pub(crate) struct Listing(pub(crate) BTreeMap<Vec<u8>, Listed>);

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: Timestamp,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first of several names of its inode.
    pub(crate) linked: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Directory,
    Regular { size_bytes: u64, digest: String },
    Symlink(Vec<u8>),
    CharacterDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
    Socket,
}

/// What a reader of an image gives back of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) owners: bool,
    pub(crate) xattrs: Xattrs,
    pub(crate) nanoseconds: bool,
    pub(crate) hard_links: bool,
    pub(crate) sockets: bool,
    pub(crate) set_ids: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Xattrs {
    None,
    User,
    All,
}

impl Kept {
    pub(crate) const ALL: Self = Self {
        owners: true,
        xattrs: Xattrs::All,
        nanoseconds: true,
        hard_links: true,
        sockets: true,
        set_ids: true,
    };
}

impl Kind {
    /// Reads what is at a path of the host.
    pub(crate) fn of_path(path: &Path, metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        let device = || DeviceNumber {
            major: rustix::fs::major(metadata.rdev()),
            minor: rustix::fs::minor(metadata.rdev()),
        };
        if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            let bytes = fs_err::read(path).unwrap();
            Self::of_bytes(&bytes)
        } else if kind.is_symlink() {
            Self::Symlink(fs_err::read_link(path).unwrap().into_os_string().into_vec())
        } else if kind.is_char_device() {
            Self::CharacterDevice(device())
        } else if kind.is_block_device() {
            Self::BlockDevice(device())
        } else if kind.is_fifo() {
            Self::Fifo
        } else {
            Self::Socket
        }
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self::Regular {
            size_bytes: bytes.len() as u64,
            digest: sha256(bytes).map(|byte| format!("{byte:02x}")).concat(),
        }
    }

    fn of_entry(entry: &Entry) -> Self {
        match &entry.kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::Regular(content) => {
                let bytes = content.read_all().unwrap();
                assert_eq!(bytes.len() as u64, content.size_bytes());
                Self::of_bytes(&bytes)
            }
            EntryKind::Symlink(target) => Self::Symlink(target.clone()),
            EntryKind::CharacterDevice(number) => Self::CharacterDevice(*number),
            EntryKind::BlockDevice(number) => Self::BlockDevice(*number),
            EntryKind::Fifo => Self::Fifo,
            EntryKind::Socket => Self::Socket,
        }
    }
}

impl Listed {
    /// Returns the entry of a tree, whose kind is known.
    pub(crate) fn of_entry(entry: &Entry, kind: Kind) -> Self {
        Self {
            kind,
            mode: entry.mode.into(),
            owner: (entry.uid, entry.gid),
            modified: entry.modified,
            xattrs: entry.xattrs.clone(),
            linked: None,
        }
    }

    fn of_path(path: &Path, metadata: &Metadata) -> Self {
        Self {
            kind: Kind::of_path(path, metadata),
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            modified: modified(metadata),
            xattrs: xattrs(path),
            linked: None,
        }
    }

    fn keep(&mut self, kept: Kept) {
        if !kept.owners {
            self.owner = (0, 0);
        }
        if !kept.nanoseconds {
            self.modified.nanoseconds = 0;
        }
        if !kept.hard_links {
            self.linked = None;
        }
        if !kept.set_ids {
            self.mode &= 0o1777;
        }
        self.xattrs.retain(|name, _| match kept.xattrs {
            Xattrs::None => false,
            Xattrs::User => name.starts_with(b"user."),
            Xattrs::All => true,
        });
    }
}

pub(crate) fn modified(metadata: &Metadata) -> Timestamp {
    Timestamp {
        seconds: metadata.mtime(),
        nanoseconds: metadata.mtime_nsec().try_into().unwrap(),
    }
}

/// Reads the attributes that trees have; a host adds those of its security modules.
fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; XATTR_LIMIT_BYTES];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut xattrs = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        let mut value = vec![0; XATTR_LIMIT_BYTES];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        value.truncate(length);
        xattrs.insert(name.to_vec(), value);
    }
    xattrs
}

impl Listing {
    /// Lists a tree, with the contents of its files.
    pub(crate) fn of_tree(tree: &FileTree) -> Self {
        let mut listing = Self::default();
        let mut inodes: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            let path = path.as_bytes().to_vec();
            if let Some(group) = entry.hard_link {
                inodes.entry(group).or_default().push(path.clone());
            }
            let listed = Listed::of_entry(entry, Kind::of_entry(entry));
            listing.0.insert(path, listed);
        }
        listing.link(inodes.into_values());
        listing
    }

    /// Lists a directory of the host.
    pub(crate) fn of_directory(root: &Path) -> Self {
        let mut listing = Self::default();
        let mut inodes: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
        let mut pending = vec![(root.to_path_buf(), Vec::new())];
        while let Some((host, path)) = pending.pop() {
            let metadata = fs_err::symlink_metadata(&host).unwrap();
            if metadata.is_dir() {
                let names = fs_err::read_dir(&host).unwrap();
                let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
                // The first is taken up next: in their own order file systems are read much faster.
                for name in names.iter().rev() {
                    let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    let below = [&path, separator, name.as_bytes()].concat();
                    pending.push((host.join(name), below));
                }
            } else if metadata.nlink() > 1 {
                let inode = (metadata.dev(), metadata.ino());
                inodes.entry(inode).or_default().push(path.clone());
            }
            listing.0.insert(path, Listed::of_path(&host, &metadata));
        }
        listing.link(inodes.into_values());
        listing
    }

    /// Notes which names lead to one inode.
    pub(crate) fn link(&mut self, inodes: impl Iterator<Item = Vec<Vec<u8>>>) {
        for mut names in inodes.filter(|names| names.len() > 1) {
            names.sort();
            for name in &names {
                if let Some(listed) = self.0.get_mut(name) {
                    listed.linked = Some(names[0].clone());
                }
            }
        }
    }

    /// Asserts that `found` has the same entries, as far as its reader keeps them.
    #[track_caller]
    pub(crate) fn assert_same(&self, found: &Self, kept: Kept, reader: &str) {
        let is_kept =
            |(_, listed): &(&Vec<u8>, &Listed)| kept.sockets || listed.kind != Kind::Socket;
        let mut differing = Vec::new();
        for (path, expected) in self.0.iter().filter(is_kept) {
            let mut expected = expected.clone();
            expected.keep(kept);
            let found = found.0.get(path).cloned().map(|mut found| {
                found.keep(kept);
                found
            });
            if found.as_ref() != Some(&expected) {
                differing.push((String::from_utf8_lossy(path), expected, found));
            }
        }
        let count = differing.len();
        differing.truncate(3);
        assert!(count == 0, "{reader}: {count} differ: {differing:?}");
        let surplus = found.0.keys().find(|path| !self.0.contains_key(*path));
        assert_eq!(surplus, None, "{reader}");
    }
}
