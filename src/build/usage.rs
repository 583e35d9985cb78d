//! How much a tree has on disk, while untrusted programs change it.
//!
//! It is walked by descriptors, one directory at a time: no link is followed, and neither open descriptors nor the stack
//! grow with its depth. The way back up is checked, since a directory may be moved away below the walker.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// What a tree has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// Whether a part of it was moved away meanwhile, so that there may be more.
    pub(super) disturbed: bool,
}

impl Usage {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            files: self.files + other.files,
            disturbed: self.disturbed || other.disturbed,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
            ..self
        }
    }
}

/// `st_blocks` counts these, whatever the file system's blocks are (stat(3type)).
const BLOCK_BYTES: u64 = 512;

/// Returns what the file or directory at `path` has, nothing when it does not exist. Counting ends at `most_files`.
pub(super) fn of(path: &Path, most_files: u64) -> io::Result<Usage> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Usage::default()),
        opened => opened?,
    };
    let status = rustix::fs::fstat(&top)?;
    let mut walk = Walk {
        usage: Usage::default(),
        device: status.st_dev,
        linked: HashSet::new(),
    };
    walk.count(&status);
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        walk.tree(open(top.as_fd(), c".")?, most_files);
    }
    Ok(walk.usage)
}

struct Walk {
    usage: Usage,
    device: u64,
    /// Files with several names that were counted already.
    linked: HashSet<u64>,
}

/// A directory above the one that is being walked.
struct Above {
    inode: u64,
    /// Its directories that are still to be walked.
    pending: Vec<CString>,
}

impl Walk {
    fn count(&mut self, status: &Stat) {
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if !is_directory && status.st_nlink > 1 && !self.linked.insert(status.st_ino) {
            return;
        }
        self.usage.files += 1;
        self.usage.bytes += u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES;
    }

    fn tree(&mut self, top: OwnedFd, most_files: u64) {
        let mut current = top;
        let mut above = Vec::new();
        let mut pending = self.directory(current.as_fd());
        while self.usage.files <= most_files {
            if let Some(name) = pending.pop() {
                // What has gone, or became something else, takes no space here any more.
                let Ok(below) = self.enter(current.as_fd(), &name) else {
                    continue;
                };
                let Ok(status) = rustix::fs::fstat(&current) else {
                    break;
                };
                let found = self.directory(below.as_fd());
                above.push(Above {
                    inode: status.st_ino,
                    pending: std::mem::replace(&mut pending, found),
                });
                current = below;
                continue;
            }
            let Some(Above {
                inode,
                pending: rest,
            }) = above.pop()
            else {
                return;
            };
            match self.leave(current.as_fd(), inode) {
                Some(parent) => (current, pending) = (parent, rest),
                None => {
                    self.usage.disturbed = true;
                    return;
                }
            }
        }
    }

    /// Opens the directory `name` of `parent`, unless another file system is mounted there.
    fn enter(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        let below = open(parent, name)?;
        match rustix::fs::fstat(&below)?.st_dev == self.device {
            true => Ok(below),
            false => Err(Errno::XDEV),
        }
    }

    /// Opens the parent of `directory`, if that is still the directory that it was entered from.
    fn leave(&self, directory: BorrowedFd<'_>, inode: u64) -> Option<OwnedFd> {
        let parent = open(directory, c"..").ok()?;
        let status = rustix::fs::fstat(&parent).ok()?;
        (status.st_ino == inode && status.st_dev == self.device).then_some(parent)
    }

    /// Counts what is in a directory, and returns its directories.
    fn directory(&mut self, directory: BorrowedFd<'_>) -> Vec<CString> {
        let mut directories = Vec::new();
        // One that cannot be read any more was removed.
        let Ok(mut entries) = Dir::read_from(directory) else {
            return directories;
        };
        while let Some(Ok(entry)) = entries.read() {
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let Ok(status) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            self.count(&status);
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                directories.push(name.to_owned());
            }
        }
        directories
    }
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;

    use super::*;
    use crate::beneath::Directory;

    const MANY: u64 = 1 << 30;

    #[test]
    fn bytes_are_those_on_disk_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), vec![1; 256 << 10]).unwrap();
        fs::hard_link(tree.join("a/b/file"), tree.join("again")).unwrap();
        fs::File::create(tree.join("sparse"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        let usage = of(&tree, MANY).unwrap();
        // The tree, a, b, the file, the sparse one and the link.
        assert_eq!(usage.files, 6);
        assert!((256 << 10..512 << 10).contains(&usage.bytes), "{usage:?}");
        assert!(!usage.disturbed);
        assert_eq!(of(&tree.join("link"), MANY).unwrap().files, 1);
        assert_eq!(of(&tree.join("missing"), MANY).unwrap(), Usage::default());
    }

    #[test]
    fn deep_trees_take_no_descriptors() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut below = open(CWD, &CString::new(tree.to_str().unwrap()).unwrap()).unwrap();
        for _ in 0..6000 {
            rustix::fs::mkdirat(&below, c"d", Mode::RWXU).unwrap();
            below = open(below.as_fd(), c"d").unwrap();
        }
        let usage = of(&tree, MANY).unwrap();
        assert_eq!((usage.files, usage.disturbed), (6001, false));
        let parent = Directory::open(directory.path()).unwrap();
        parent.remove("tree").unwrap();
    }

    #[test]
    fn counting_ends_where_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs::create_dir_all(directory.path().join(format!("{number}/below"))).unwrap();
        }
        let usage = of(directory.path(), 110).unwrap();
        assert!((111..=201).contains(&usage.files), "{usage:?}");
    }
}
