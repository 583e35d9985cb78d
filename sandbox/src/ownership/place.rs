//! Walks the caller's paths, in the caller's root.
//!
//! Only a process that is chrooted to the caller's root and stands in its directory resolves a path as the caller
//! does: with openat2's `RESOLVE_IN_ROOT` a directory descriptor is root and starting point at once, so that `..` and
//! absolute links below a subdirectory would stay in it. The supervisor is single-threaded and does nothing else, so
//! it may change its own root and directory; it returns to its own when it is done.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{chroot, fchdir};

use super::error::{Error, Refusal};
use super::inode::Inode;

/// Where a call's target is.
#[derive(Debug)]
pub(super) enum Place {
    Known(Inode),
    Walk(Walk),
}

/// A path, and what it is relative to.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) root: OwnedFd,
    /// The directory of a relative path.
    pub(super) base: Option<OwnedFd>,
    pub(super) path: CString,
    /// Whether a symbolic link at the end is followed.
    pub(super) follow: bool,
    /// What the caller wants of the walk in addition.
    pub(super) resolve: ResolveFlag,
}

/// The supervisor's own root, and the host's /proc, in which it stands whenever it does not walk.
///
/// [`Inode`] relies on the latter: `self/fd/N` must be looked up there, and not in a directory of the program.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) root: OwnedFd,
    pub(super) host_proc: OwnedFd,
}

impl Home {
    /// Resolves a place to its inode.
    pub(super) fn open(&self, place: Place) -> Result<Inode, Refusal> {
        match place {
            Place::Known(inode) => Ok(inode),
            Place::Walk(walk) => {
                let opened = walk.perform();
                self.stand_in_proc()?;
                Ok(Inode::by_path(opened?))
            }
        }
    }

    /// Makes the host's /proc the working directory, without which no attribute may be touched.
    pub(super) fn stand_in_proc(&self) -> Result<(), Error> {
        fchdir(&self.host_proc).map_err(|source| Error::Prepare {
            step: "entering the host's `/proc`",
            source,
        })
    }

    /// Makes the root what it was before the first walk.
    pub(super) fn leave(&self) -> Result<(), Error> {
        fchdir(&self.root)
            .and_then(|()| chroot("."))
            .map_err(|source| Error::Prepare {
                step: "returning to its own root",
                source,
            })
    }
}

impl Walk {
    fn perform(&self) -> Result<OwnedFd, Errno> {
        // The root is entered for each call: two roots may be the same directory in different mounts.
        fchdir(&self.root)?;
        chroot(".")?;
        if let Some(base) = &self.base {
            fchdir(base)?;
        }
        let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        if !self.follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | self.resolve);
        openat2(AT_FDCWD.as_fd(), self.path.as_c_str(), how)
    }
}

/// The last component of a path, which a call makes.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Name {
    Entry(CString),
    /// With slashes behind it: only a directory can have that.
    Directory(CString),
    /// `.`, `..` or `/`: it exists.
    Special,
}

/// Splits a path that is not empty into that of the directory and the last component.
pub(super) fn split(path: &[u8]) -> (CString, Name) {
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
    use std::ffi::CStr;

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
