use std::cell::RefCell;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::{EntryOwner, Error, LayerDirectory, entry_owners, merge};
use crate::tree::{DeviceNumber, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

/// Layers in a temporary directory, lowest first, written as overlayfs and the sandbox leave them.
struct Layers {
    directory: tempfile::TempDir,
    entry_owners: RefCell<Vec<(String, EntryOwner)>>,
}

impl Layers {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            entry_owners: RefCell::default(),
        }
    }

    /// Names of layers sort as they lie: `1/usr/lib` is in the lowest.
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn directory(&self, name: &str) -> &Self {
        fs_err::create_dir_all(self.path(name)).unwrap();
        self
    }

    fn file(&self, name: &str, content: &str) -> &Self {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::write(self.path(name), content).unwrap();
        self.mode(name, 0o644)
    }

    fn symlink(&self, name: &str, target: &str) -> &Self {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::os::unix::fs::symlink(target, self.path(name)).unwrap();
        self
    }

    fn node(&self, name: &str, file_type: FileType) -> &Self {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        let mode = Mode::from(0o600);
        rustix::fs::mknodat(CWD, self.path(name), file_type, mode, 0).unwrap();
        self
    }

    /// A whiteout is made by an ordinary user as well, since Linux 5.8.
    fn whiteout(&self, name: &str) -> &Self {
        self.node(name, FileType::CharacterDevice)
    }

    fn attribute(&self, name: &str, attribute: &str, value: &[u8]) -> &Self {
        rustix::fs::setxattr(self.path(name), attribute, value, XattrFlags::empty()).unwrap();
        self
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        rustix::fs::chmod(self.path(name), Mode::from(mode)).unwrap();
        self
    }

    fn modified(&self, name: &str, seconds: i64, nanoseconds: u32) -> &Self {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(CWD, self.path(name), &times, flags).unwrap();
        self
    }

    /// Records beside a layer that `name`, which need not be there, belongs to `uid` and a group 10 above it.
    fn owner(&self, name: &str, uid: u32) -> &Self {
        let (layer, below) = name.split_once('/').unwrap();
        let owner = EntryOwner {
            path: path(below),
            uid,
            gid: uid + 10,
        };
        let mut owners = self.entry_owners.borrow_mut();
        owners.push((layer.to_owned(), owner));
        self
    }

    fn layers(&self) -> Vec<LayerDirectory> {
        let names = fs_err::read_dir(self.directory.path()).unwrap();
        let mut paths: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let layer = |path: std::path::PathBuf| {
            let of_layer = |(layer, owner): &(String, EntryOwner)| {
                path.ends_with(layer).then(|| owner.clone())
            };
            let owners = self.entry_owners.borrow();
            let entry_owners = owners.iter().filter_map(of_layer).collect();
            LayerDirectory { path, entry_owners }
        };
        paths.into_iter().map(layer).collect()
    }

    fn merge(&self) -> FileTree {
        merge(&self.layers()).unwrap()
    }

    fn merge_error(&self) -> Error {
        merge(&self.layers()).unwrap_err()
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn names(tree: &FileTree) -> Vec<String> {
    tree.iter()
        .skip(1)
        .map(|(path, _)| path.to_string())
        .collect()
}

fn content(tree: &FileTree, name: &str) -> String {
    match &tree.get(&path(name)).unwrap().kind {
        EntryKind::Regular(content) => String::from_utf8(content.read_all().unwrap()).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

fn owner(tree: &FileTree, name: &str) -> (u32, u32) {
    let entry = tree.get(&path(name)).unwrap();
    (entry.uid, entry.gid)
}

fn attributes(tree: &FileTree, name: &str) -> Vec<(String, Vec<u8>)> {
    let entry = tree.get(&path(name)).unwrap();
    let text = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        (String::from_utf8(name.clone()).unwrap(), value.clone())
    };
    entry.xattrs.iter().map(text).collect()
}

/// A POSIX ACL value of (tag, permissions, id).
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn corrupt_attribute(error: Error) -> (String, String) {
    match error {
        Error::CorruptAttribute {
            path, attribute, ..
        } => {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, attribute)
        }
        other => panic!("{other:?}"),
    }
}

mod attacks;
mod inherited;
mod merging;
mod recorded;
