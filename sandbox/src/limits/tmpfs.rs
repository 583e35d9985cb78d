//! The one tmpfs behind all writable temporary file systems of a sandbox: what is mounted is a directory of it each, so
//! that one size bounds them together.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::fstatfs;
use serde::{Deserialize, Serialize};

use crate::mounts::file_system;
use crate::report::{At, Failure, Step};
use crate::sys::mount::{self as raw, Recursion};

/// How much the temporary file systems of a sandbox hold together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TmpfsLimits {
    pub size_bytes: u64,
    pub inodes: u64,
}

/// The kernel keeps about a kilobyte for an inode, which is not counted as part of the size.
const BYTES_PER_INODE: u64 = 16 << 10;
/// Few enough that they do not matter, and more than a program makes by mistake.
const FEWEST_INODES: u64 = 1024;

impl TmpfsLimits {
    /// Returns the share of a sandbox's memory that its temporary file systems may have: half, as of the host's.
    pub(crate) fn of_memory(memory_bytes: u64) -> Self {
        let size_bytes = memory_bytes / 2;
        Self {
            size_bytes,
            inodes: (size_bytes / BYTES_PER_INODE).max(FEWEST_INODES),
        }
    }
}

/// The tmpfs, attached where nobody gets to see it.
#[derive(Debug)]
pub(crate) struct SharedTmpfs {
    mount: OwnedFd,
    directories: Cell<u32>,
}

impl SharedTmpfs {
    /// Makes it. The kernel copies only mounts that are attached, so the caller attaches it somewhere.
    pub(crate) fn make(limits: Option<TmpfsLimits>) -> Result<Self, Failure> {
        let options = limits.map(|limits| {
            [
                format!("size={}", limits.size_bytes),
                format!("nr_inodes={}", limits.inodes),
            ]
        });
        let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
        Ok(Self {
            mount: file_system("tmpfs", &options, 0)?,
            directories: Cell::new(0),
        })
    }

    /// Tells whether a mount with these options needs no tmpfs of its own.
    pub(crate) fn serves(options: &[&str]) -> bool {
        options.iter().all(|option| option.starts_with("mode="))
    }

    /// Returns a mount of a new directory, attached nowhere.
    pub(crate) fn directory(&self, options: &[&str], attributes: u64) -> Result<OwnedFd, Failure> {
        let step = Step::MountFileSystem;
        let mode = options
            .iter()
            .find_map(|option| option.strip_prefix("mode="))
            .map_or(Ok(0o1777), |mode| u32::from_str_radix(mode, 8))
            .map_err(|_| Failure::of(step, Errno::EINVAL))?;
        let name = self.directories.get().to_string();
        self.directories.set(self.directories.get() + 1);
        mkdirat(&self.mount, name.as_str(), Mode::from_bits_truncate(mode)).during(step)?;
        let tree = raw::clone_tree(Some(self.mount.as_fd()), Path::new(&name)).during(step)?;
        raw::set_attributes(tree.as_fd(), attributes, Recursion::One).during(step)?;
        Ok(tree)
    }
}

impl AsFd for SharedTmpfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

/// What is in a tmpfs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TmpfsUsage {
    pub(crate) bytes: u64,
    pub(crate) full: bool,
}

/// Returns what is in the tmpfs that `descriptor` is open on.
pub(crate) fn usage(descriptor: BorrowedFd<'_>) -> nix::Result<TmpfsUsage> {
    let status = fstatfs(descriptor)?;
    let page = u64::try_from(status.block_size()).unwrap_or(0);
    let blocks = status.blocks().saturating_sub(status.blocks_free());
    // A bound of 0 is none.
    let out_of = |total: u64, free: u64| total > 0 && free == 0;
    Ok(TmpfsUsage {
        bytes: blocks * page,
        full: out_of(status.blocks(), status.blocks_free())
            || out_of(status.files(), status.files_free()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_get_half_of_the_memory() {
        let limits = TmpfsLimits::of_memory(8 << 30);
        assert_eq!(limits.size_bytes, 4 << 30);
        assert_eq!(limits.inodes, 262_144);
        assert_eq!(TmpfsLimits::of_memory(1 << 20).inodes, FEWEST_INODES);
    }

    #[test]
    fn a_tmpfs_with_bounds_of_its_own_is_not_shared() {
        assert!(SharedTmpfs::serves(&["mode=0755"]));
        assert!(SharedTmpfs::serves(&[]));
        assert!(!SharedTmpfs::serves(&["mode=0755", "size=64m"]));
    }
}
