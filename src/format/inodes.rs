//! From names to inodes, for the writers of file systems: hard links become one inode, directories know their names,
//! and what Linux cannot express is refused.

use std::collections::HashMap;

use crate::tree::{DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, TreePath};

pub(super) const S_IFMT: u16 = 0o170_000;
pub(super) const S_IFIFO: u16 = 0o010_000;
pub(super) const S_IFCHR: u16 = 0o020_000;
pub(super) const S_IFDIR: u16 = 0o040_000;
pub(super) const S_IFBLK: u16 = 0o060_000;
pub(super) const S_IFREG: u16 = 0o100_000;
pub(super) const S_IFLNK: u16 = 0o120_000;
pub(super) const S_IFSOCK: u16 = 0o140_000;

/// `NAME_MAX`: `EROFS_NAME_LEN` and `SQUASHFS_NAME_LEN` say the same.
const NAME_LIMIT_BYTES: usize = 255;
/// `PATH_MAX` without its NUL, and what the kernel reads of a target (`page_get_link`).
const SYMLINK_LIMIT_BYTES: usize = 4095;
/// `new_encode_dev` has 12 bits for the major and 20 for the minor number.
const MAJOR_LIMIT: u32 = 0xfff;
const MINOR_LIMIT: u32 = 0xf_ffff;

/// An entry of a tree is nothing that a file system of Linux can hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    #[error(
        "the name of `/{path}` is {found_bytes} bytes long and a file name holds {limit_bytes}"
    )]
    NameTooLong {
        path: TreePath,
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error("`/{path}` lies in something that is not a directory of the tree")]
    ParentNotDirectory { path: TreePath },
    #[error("the mode {mode:#o} of `/{path}` has bits beyond the permissions (0o7777)")]
    InvalidMode { path: TreePath, mode: u16 },
    #[error(
        "the modification time of `/{path}` has {nanoseconds} nanoseconds, which is not below one second"
    )]
    InvalidTime { path: TreePath, nanoseconds: u32 },
    #[error(
        "the target of the symbolic link `/{path}` is {found_bytes} bytes long, and 1 to {limit_bytes} without NUL can be stored"
    )]
    InvalidSymlink {
        path: TreePath,
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error("the device number {major}:{minor} of `/{path}` is above 4095:1048575")]
    DeviceNumberTooLarge {
        path: TreePath,
        major: u32,
        minor: u32,
    },
    #[error("`/{path}` and `/{first}` are hard links of one inode but differ")]
    HardLinksDiffer { path: TreePath, first: TreePath },
}

/// An inode with what the tree says of it.
#[derive(Debug)]
pub(super) struct TreeInode<'a> {
    /// The first of its names.
    pub(super) path: &'a TreePath,
    pub(super) entry: &'a Entry,
    pub(super) link_count: u32,
    /// The inode of the directory it lies in; the root's is the root.
    pub(super) parent: usize,
    /// What a directory holds, sorted by name; empty for other types.
    pub(super) children: Vec<Child<'a>>,
}

/// A name in a directory and the inode it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: usize,
}

/// Returns the inodes of `tree` in the order of their first names, the root first.
///
/// # Errors
/// An [`EntryError`] that names the entry that cannot be expressed.
pub(super) fn collect(tree: &FileTree) -> Result<Vec<TreeInode<'_>>, EntryError> {
    let mut inodes: Vec<TreeInode<'_>> = Vec::with_capacity(tree.entry_count());
    let mut first_links: HashMap<HardLinkGroup, usize> = HashMap::new();
    // The directories from the root to the current one.
    let mut ancestors: Vec<usize> = Vec::new();
    for (path, entry) in tree.iter() {
        check(path, entry)?;
        let parent = enter_parent(path, &inodes, &mut ancestors)?;
        let group = entry.hard_link.filter(|_| !entry.is_directory());
        let first = group.and_then(|group| first_links.get(&group).copied());
        let inode = match first {
            Some(first) => {
                let known = &mut inodes[first];
                if !is_same_inode(known.entry, entry) {
                    return Err(EntryError::HardLinksDiffer {
                        path: path.clone(),
                        first: known.path.clone(),
                    });
                }
                known.link_count += 1;
                first
            }
            None => {
                inodes.push(TreeInode {
                    path,
                    entry,
                    // A directory is named by its parent and by its own `.`.
                    link_count: if entry.is_directory() { 2 } else { 1 },
                    parent,
                    children: Vec::new(),
                });
                inodes.len() - 1
            }
        };
        if let Some(group) = group {
            first_links.entry(group).or_insert(inode);
        }
        if !path.is_root() {
            let directory = &mut inodes[parent];
            directory.children.push(Child {
                name: path.file_name(),
                inode,
            });
            directory.link_count += u32::from(entry.is_directory());
        }
        if entry.is_directory() {
            ancestors.push(inode);
        }
    }
    Ok(inodes)
}

/// Leaves the directories that `path` is not in and returns its parent, 0 for the root itself.
fn enter_parent(
    path: &TreePath,
    inodes: &[TreeInode<'_>],
    ancestors: &mut Vec<usize>,
) -> Result<usize, EntryError> {
    while ancestors
        .last()
        .is_some_and(|last| !path.starts_with(inodes[*last].path))
    {
        ancestors.pop();
    }
    let parent = ancestors.last().copied().unwrap_or_default();
    // The type of an entry can be changed in place, so a tree may hold a file with something below it.
    let is_in_parent = match ancestors.last() {
        None => path.is_root() && inodes.is_empty(),
        Some(last) => {
            let above = inodes[*last].path.as_bytes().len();
            let separator = usize::from(above > 0);
            path.as_bytes().len() == above + separator + path.file_name().len()
        }
    };
    if !is_in_parent {
        return Err(EntryError::ParentNotDirectory { path: path.clone() });
    }
    Ok(parent)
}

fn check(path: &TreePath, entry: &Entry) -> Result<(), EntryError> {
    let found_bytes = path.file_name().len();
    if found_bytes > NAME_LIMIT_BYTES {
        return Err(EntryError::NameTooLong {
            path: path.clone(),
            found_bytes,
            limit_bytes: NAME_LIMIT_BYTES,
        });
    }
    if path.is_root() && !entry.is_directory() {
        return Err(EntryError::ParentNotDirectory { path: path.clone() });
    }
    if entry.mode > 0o7777 {
        return Err(EntryError::InvalidMode {
            path: path.clone(),
            mode: entry.mode,
        });
    }
    if entry.modified.nanoseconds >= 1_000_000_000 {
        return Err(EntryError::InvalidTime {
            path: path.clone(),
            nanoseconds: entry.modified.nanoseconds,
        });
    }
    match &entry.kind {
        EntryKind::Symlink(target)
            if target.is_empty() || target.len() > SYMLINK_LIMIT_BYTES || target.contains(&0) =>
        {
            Err(EntryError::InvalidSymlink {
                path: path.clone(),
                found_bytes: target.len(),
                limit_bytes: SYMLINK_LIMIT_BYTES,
            })
        }
        EntryKind::CharacterDevice(DeviceNumber { major, minor })
        | EntryKind::BlockDevice(DeviceNumber { major, minor })
            if *major > MAJOR_LIMIT || *minor > MINOR_LIMIT =>
        {
            Err(EntryError::DeviceNumberTooLarge {
                path: path.clone(),
                major: *major,
                minor: *minor,
            })
        }
        _ => Ok(()),
    }
}

/// Tells whether two names of a hard-link group agree, as far as that shows without reading contents.
fn is_same_inode(one: &Entry, other: &Entry) -> bool {
    let same_kind = match (&one.kind, &other.kind) {
        (EntryKind::Symlink(one), EntryKind::Symlink(other)) => one == other,
        (EntryKind::CharacterDevice(one), EntryKind::CharacterDevice(other))
        | (EntryKind::BlockDevice(one), EntryKind::BlockDevice(other)) => one == other,
        (one, other) => type_bits(one) == type_bits(other),
    };
    same_kind
        && one.size_bytes() == other.size_bytes()
        && one.mode == other.mode
        && one.uid == other.uid
        && one.gid == other.gid
        && one.modified == other.modified
        && one.xattrs == other.xattrs
}

/// Returns the file type bits of `i_mode`.
pub(super) const fn type_bits(kind: &EntryKind) -> u16 {
    match kind {
        EntryKind::Directory => S_IFDIR,
        EntryKind::Regular(_) => S_IFREG,
        EntryKind::Symlink(_) => S_IFLNK,
        EntryKind::CharacterDevice(_) => S_IFCHR,
        EntryKind::BlockDevice(_) => S_IFBLK,
        EntryKind::Fifo => S_IFIFO,
        EntryKind::Socket => S_IFSOCK,
    }
}

/// Returns a device number as the kernel's `new_encode_dev` does; [`collect`] checked its range.
pub(super) const fn encode_device(number: DeviceNumber) -> u32 {
    (number.minor & 0xff) | number.major << 8 | (number.minor & !0xff) << 12
}

/// Returns the device number that [`encode_device`] gave.
pub(super) const fn decode_device(encoded: u32) -> DeviceNumber {
    DeviceNumber {
        major: (encoded & 0xf_ff00) >> 8,
        minor: (encoded & 0xff) | (encoded >> 12 & 0xf_ff00),
    }
}
