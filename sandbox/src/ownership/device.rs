//! Making device nodes.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat, umask};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::attributes::{self, Device};
use super::error::Refusal;
use super::inode::Inode;
use super::place::{Home, Place};
use super::tracee::Tracee;

/// A device to make, with all that the caller knows of it.
#[derive(Debug)]
pub(super) struct NewDevice {
    parent: Place,
    name: Name,
    mode: Mode,
    umask: Mode,
    device: Device,
}

/// The last component of a path.
#[derive(Debug, Eq, PartialEq)]
enum Name {
    Entry(CString),
    /// With slashes behind it: only a directory can have that, and mknod makes none.
    Directory(CString),
    /// `.`, `..` or `/`: it exists.
    Special,
}

impl NewDevice {
    pub(super) fn gather(
        tracee: &Tracee<'_>,
        directory: RawFd,
        path: u64,
        mode: u32,
        device: Device,
    ) -> Result<Self, Errno> {
        let path = tracee.read_path(path)?;
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let (parent, name) = split(path.to_bytes());
        Ok(Self {
            parent: tracee.locate_path(directory, parent, true)?,
            name,
            mode: Mode::from_bits_truncate(mode),
            umask: tracee.umask()?,
            device,
        })
    }

    /// Makes an empty file in the device's place and records the device on it.
    pub(super) fn make(self, home: &Home) -> Result<(), Refusal> {
        let parent = home.open(self.parent)?;
        let parent = parent.descriptor();
        let name = match &self.name {
            Name::Entry(name) => name,
            Name::Directory(name) => {
                let exists = stat_entry(parent, name).is_ok();
                return Err(if exists { Errno::EEXIST } else { Errno::ENOENT }.into());
            }
            Name::Special => return Err(Errno::EEXIST.into()),
        };
        // Under the caller's mask and not with it applied: a default ACL of the directory takes the mask's place.
        let previous = umask(self.umask);
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let created = openat(parent, name.as_c_str(), flags, self.mode);
        umask(previous);
        let placeholder = Inode::by_open_file(created?);
        let value = self.device.to_bytes();
        if let Err(errno) = placeholder.set_attribute(attributes::DEVICE, &value, 0) {
            // A plain file must not stay where a device was asked for. If another thread has put something else there
            // meanwhile, it loses what it could have removed itself.
            let _ = unlinkat(parent, name.as_c_str(), UnlinkatFlags::NoRemoveDir);
            return Err(match errno {
                // Without user attributes it is as without this recorder.
                Errno::EOPNOTSUPP => Errno::EPERM,
                other => other,
            }
            .into());
        }
        Ok(())
    }
}

fn stat_entry(parent: &impl std::os::fd::AsFd, name: &CStr) -> Result<FileStat, Errno> {
    fstatat(parent, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Splits a path into that of the directory and the last component.
fn split(path: &[u8]) -> (CString, Name) {
    let owned = |bytes: &[u8]| CString::new(bytes).expect("parts of a C string hold no NUL");
    let trimmed = without_slashes(path);
    if trimmed.is_empty() {
        return (c"/".to_owned(), Name::Special);
    }
    let (parent, name) = match trimmed.iter().rposition(|&byte| byte == b'/') {
        None => (&b"."[..], trimmed),
        Some(slash) => {
            let parent = without_slashes(&trimmed[..slash]);
            let parent = if parent.is_empty() { b"/" } else { parent };
            (parent, &trimmed[slash + 1..])
        }
    };
    let name = match name {
        b"." | b".." => Name::Special,
        _ if trimmed.len() < path.len() => Name::Directory(owned(name)),
        _ => Name::Entry(owned(name)),
    };
    (owned(parent), name)
}

/// Returns a path without the slashes at its end.
fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/');
    &path[..end.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_as_by_the_kernel() {
        let entry = |name: &CStr| Name::Entry(name.to_owned());
        for (path, parent, name) in [
            ("null", c".", entry(c"null")),
            ("/null", c"/", entry(c"null")),
            ("//null", c"/", entry(c"null")),
            ("dev/null", c"dev", entry(c"null")),
            ("dev//null", c"dev", entry(c"null")),
            ("/a/b/null", c"/a/b", entry(c"null")),
            ("dev/null/", c"dev", Name::Directory(c"null".to_owned())),
            ("/", c"/", Name::Special),
            ("//", c"/", Name::Special),
            ("dev/..", c"dev", Name::Special),
            ("dev/./", c"dev", Name::Special),
            (".", c".", Name::Special),
        ] {
            assert_eq!(split(path.as_bytes()), (parent.to_owned(), name), "{path}");
        }
    }
}
