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
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(AT_FDCWD.as_fd(), self.path.as_c_str(), how)
    }
}
