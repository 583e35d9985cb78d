//! The cpio archive of an initrd, in the "new ASCII" form without checksums (magic 070701) that the kernel unpacks.
//!
//! Names are relative and sorted, inodes are numbered from 1, and each member and its data are padded to 4 bytes, the
//! archive to 512. Of hard links each name has a member and only the last has the data, as the kernel expects. There
//! is no member for the root, like in what mkosi writes, unless its owner or mode differ from the `root:root` 0755 of
//! the kernel's own root file system; then it is `.` and comes first.
//!
//! The format: <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>; what of it the kernel takes:
//! init/initramfs.c.

use std::collections::HashMap;
use std::io::Write;

use super::padded::{ArchiveError, PaddedArchive};
use crate::tree::{DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

/// PATH_MAX with the final NUL (linux/limits.h): the kernel silently skips members with longer names or link targets.
const PATH_MAX: usize = 4096;
/// The name that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// What the archive is padded to: the record size of GNU cpio.
const ARCHIVE_ALIGNMENT: u64 = 512;
/// Members and data start at multiples of this.
const MEMBER_ALIGNMENT: u64 = 4;
/// The mode of the root directory that the kernel makes before it unpacks anything.
const KERNEL_ROOT_MODE: u16 = 0o755;

const S_IFSOCK: u32 = 0o140_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFIFO: u32 = 0o010_000;

/// What of a tree the format cannot express, so that a caller can warn.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    pub capabilities: Vec<TreePath>,
    pub acls: Vec<TreePath>,
    /// Entries with any other extended attributes.
    pub attributes: Vec<TreePath>,
    /// Symbolic links that were hard links of one another, and are separate now.
    pub symlink_hard_links: Vec<TreePath>,
}

/// A tree cannot be written as a cpio archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("`/{path}` has {size_bytes} bytes, and a cpio archive holds files below 4 GiB")]
    FileTooLarge { path: TreePath, size_bytes: u64 },
    #[error("the path of `/{path}` has {length_bytes} bytes, and the kernel unpacks at most 4095")]
    PathTooLong { path: TreePath, length_bytes: usize },
    #[error(
        "the target of `/{path}` has {length_bytes} bytes, and the kernel unpacks at most 4095"
    )]
    TargetTooLong { path: TreePath, length_bytes: usize },
    #[error("`/{path}` has the name that ends a cpio archive")]
    ReservedName { path: TreePath },
    #[error("the tree has more than 4294967295 inodes")]
    TooManyInodes,
}

/// Writes `tree` to `out` and returns what the format could not express.
///
/// # Errors
/// An [`Error`] that names the entry that does not fit the format or cannot be read, or [`Error::Archive`].
pub fn write(tree: &FileTree, out: &mut dyn Write) -> Result<Lost, Error> {
    let mut archive = Archive {
        members: PaddedArchive::new(out, "cpio"),
        next_inode: 1,
    };
    let mut links = Links::count(tree);
    for (path, entry) in tree.iter() {
        let unremarkable = entry.mode == KERNEL_ROOT_MODE && entry.uid == 0 && entry.gid == 0;
        if path.is_root() && unremarkable {
            continue;
        }
        archive.add(path, entry, &mut links)?;
    }
    archive.finish()?;
    Ok(lost(tree))
}

/// The fields of a member's header, in their order.
#[derive(Debug, Default)]
struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    filesize: u32,
    rdevmajor: u32,
    rdevminor: u32,
}

struct Archive<'a> {
    members: PaddedArchive<'a>,
    next_inode: u32,
}

/// How many names each inode has, and how many of them were written.
struct Links {
    groups: HashMap<HardLinkGroup, Group>,
}

#[derive(Default)]
struct Group {
    inode: Option<u32>,
    name_count: u32,
    written_count: u32,
}

impl Links {
    fn count(tree: &FileTree) -> Self {
        let mut groups: HashMap<_, Group> = HashMap::new();
        for (_, entry) in tree.iter() {
            if let Some(group) = linkable(entry) {
                groups.entry(group).or_default().name_count += 1;
            }
        }
        Self { groups }
    }
}

/// Returns the group of a name that the kernel would link: it makes each symbolic link anew (`do_symlink`).
fn linkable(entry: &Entry) -> Option<HardLinkGroup> {
    match entry.kind {
        EntryKind::Symlink(_) | EntryKind::Directory => None,
        _ => entry.hard_link,
    }
}

impl Archive<'_> {
    fn add(&mut self, path: &TreePath, entry: &Entry, links: &mut Links) -> Result<(), Error> {
        let name = member_name(path)?;
        let (type_bits, device) = type_and_device(&entry.kind);
        let mut header = Header {
            mode: type_bits | u32::from(entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            mtime: seconds(entry.modified),
            rdevmajor: device.major,
            rdevminor: device.minor,
            ..Header::default()
        };
        let mut has_data = true;
        match linkable(entry).and_then(|group| links.groups.get_mut(&group)) {
            Some(group) => {
                header.ino = match group.inode {
                    Some(inode) => inode,
                    None => *group.inode.insert(self.take_inode()?),
                };
                header.nlink = group.name_count;
                group.written_count += 1;
                has_data = group.written_count == group.name_count;
            }
            None => {
                header.ino = self.take_inode()?;
                // As gen_init_cpio of the kernel writes it; nothing reads a directory's.
                header.nlink = if entry.is_directory() { 2 } else { 1 };
            }
        }
        match &entry.kind {
            EntryKind::Symlink(target) => {
                let too_long = || Error::TargetTooLong {
                    path: path.clone(),
                    length_bytes: target.len(),
                };
                let length = u32::try_from(target.len()).map_err(|_| too_long())?;
                if target.len() >= PATH_MAX {
                    return Err(too_long());
                }
                header.filesize = length;
                self.member(&header, name)?;
                self.members.put(target)?;
            }
            EntryKind::Regular(content) => {
                let size_bytes = content.size_bytes();
                let length = u32::try_from(size_bytes).map_err(|_| Error::FileTooLarge {
                    path: path.clone(),
                    size_bytes,
                })?;
                header.filesize = if has_data { length } else { 0 };
                self.member(&header, name)?;
                if has_data {
                    self.members.copy(path, content)?;
                }
            }
            _ => self.member(&header, name)?,
        }
        Ok(self.members.pad(MEMBER_ALIGNMENT)?)
    }

    fn take_inode(&mut self) -> Result<u32, Error> {
        let inode = self.next_inode;
        self.next_inode = inode.checked_add(1).ok_or(Error::TooManyInodes)?;
        Ok(inode)
    }

    fn member(&mut self, header: &Header, name: &[u8]) -> Result<(), Error> {
        let name_size = u32::try_from(name.len() + 1).expect("names are below PATH_MAX");
        let fields = [
            header.ino,
            header.mode,
            header.uid,
            header.gid,
            header.nlink,
            header.mtime,
            header.filesize,
            // The device the file was on: 0, as every inode number is of this archive.
            0,
            0,
            header.rdevmajor,
            header.rdevminor,
            name_size,
            // The checksum, which this form of the format does not have.
            0,
        ];
        let mut text = String::from("070701");
        for field in fields {
            text.push_str(&format!("{field:08X}"));
        }
        self.members.put(text.as_bytes())?;
        self.members.put(name)?;
        self.members.put(b"\0")?;
        Ok(self.members.pad(MEMBER_ALIGNMENT)?)
    }

    fn finish(&mut self) -> Result<(), Error> {
        let header = Header {
            nlink: 1,
            ..Header::default()
        };
        self.member(&header, TRAILER)?;
        Ok(self.members.pad(ARCHIVE_ALIGNMENT)?)
    }
}

fn member_name(path: &TreePath) -> Result<&[u8], Error> {
    if path.is_root() {
        return Ok(b".");
    }
    let name = path.as_bytes();
    if name.len() >= PATH_MAX {
        return Err(Error::PathTooLong {
            path: path.clone(),
            length_bytes: name.len(),
        });
    }
    if name == TRAILER {
        return Err(Error::ReservedName { path: path.clone() });
    }
    Ok(name)
}

fn type_and_device(kind: &EntryKind) -> (u32, DeviceNumber) {
    let none = DeviceNumber { major: 0, minor: 0 };
    match kind {
        EntryKind::Directory => (S_IFDIR, none),
        EntryKind::Regular(_) => (S_IFREG, none),
        EntryKind::Symlink(_) => (S_IFLNK, none),
        EntryKind::CharacterDevice(number) => (S_IFCHR, *number),
        EntryKind::BlockDevice(number) => (S_IFBLK, *number),
        EntryKind::Fifo => (S_IFIFO, none),
        EntryKind::Socket => (S_IFSOCK, none),
    }
}

/// Returns whole seconds as far as 32 bits go: from 1970 to 2106.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.seconds.max(0)).unwrap_or(u32::MAX)
}

fn lost(tree: &FileTree) -> Lost {
    let mut lost = Lost::default();
    for (path, entry) in tree.iter() {
        let has = |wanted: fn(&[u8]) -> bool| entry.xattrs.keys().any(|name| wanted(name));
        let is_capability = |name: &[u8]| name == b"security.capability";
        let is_acl = |name: &[u8]| name.starts_with(b"system.posix_acl_");
        if has(is_capability) {
            lost.capabilities.push(path.clone());
        }
        if has(is_acl) {
            lost.acls.push(path.clone());
        }
        if has(|name| name != b"security.capability" && !name.starts_with(b"system.posix_acl_")) {
            lost.attributes.push(path.clone());
        }
        if matches!(entry.kind, EntryKind::Symlink(_)) && entry.hard_link.is_some() {
            lost.symlink_hard_links.push(path.clone());
        }
    }
    lost
}

#[cfg(test)]
mod tests;
