//! Walks the caller's paths, in the caller's root.
//!
//! With openat2's `RESOLVE_IN_ROOT` a directory descriptor is root and starting point at once. That is how an absolute
//! path is walked. A relative one is walked with `RESOLVE_BENEATH`, which refuses to leave the directory, and so to
//! need the root. Both leave the process where it is. What they refuse, because of `..`, of an absolute link, or of a
//! rename at the same time, only a process resolves as the caller does that is chrooted to the caller's root and
//! stands in its directory. The supervisor is single-threaded and does nothing else, so it may change its own root and
//! directory; it returns to its own when it is done.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{chroot, fchdir};

use super::error::{Error, Refusal};
use super::inode::Inode;
use super::tracee::Tracee;

/// Where a call's target is.
#[derive(Debug)]
pub(super) enum Place<'a> {
    Known(Inode),
    Walk(Walk<'a>),
}

/// A path, and what it is relative to.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// Whose path it is. Its directory in /proc is open: it may be asked for its root after the call was confirmed.
    pub(super) tracee: &'a Tracee,
    pub(super) start: Start,
    pub(super) path: CString,
    /// Whether a symbolic link at the end is followed.
    pub(super) follow: bool,
    /// What the caller wants of the walk in addition.
    pub(super) resolve: ResolveFlag,
}

/// Where a walk starts.
#[derive(Debug)]
pub(super) enum Start {
    /// In the caller's root, because the path is absolute.
    Root(OwnedFd),
    Directory(OwnedFd),
}

/// The supervisor's own root, and the directory of its own descriptors in the host's /proc, in which it stands
/// whenever it does not walk.
///
/// [`Inode`] relies on the latter: a descriptor's number must be looked up there, and not in a directory of the program.
#[derive(Debug)]
pub(super) struct Home {
    root: OwnedFd,
    descriptors: OwnedFd,
    host_proc: Rc<OwnedFd>,
}

impl Home {
    /// Takes the present root for the supervisor's own.
    pub(super) fn new(host_proc: OwnedFd) -> Result<Self, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let failed = |step| move |source| Error::Prepare { step, source };
        Ok(Self {
            root: open("/", flags, Mode::empty()).map_err(failed("opening its own root"))?,
            descriptors: openat(&host_proc, "self/fd", flags, Mode::empty())
                .map_err(failed("opening the directory of its descriptors"))?,
            host_proc: Rc::new(host_proc),
        })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(super) fn host_proc(&self) -> &Rc<OwnedFd> {
        &self.host_proc
    }

    /// Resolves a place to its inode.
    pub(super) fn open(&self, place: Place<'_>) -> Result<Inode, Refusal> {
        let walk = match place {
            Place::Known(inode) => return Ok(inode),
            Place::Walk(walk) => walk,
        };
        if let Some(opened) = walk.perform_here() {
            return Ok(Inode::by_path(opened?));
        }
        let opened = walk.perform_in_root();
        self.stand_in_proc()?;
        Ok(Inode::by_path(opened?))
    }

    /// Makes the supervisor stand where it belongs, without which no attribute may be touched.
    pub(super) fn stand_in_proc(&self) -> Result<(), Error> {
        fchdir(&self.descriptors).map_err(|source| Error::Prepare {
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

impl Walk<'_> {
    /// Walks from the start's descriptor; `None` when that does not tell where the path leads.
    fn perform_here(&self) -> Option<Result<OwnedFd, Errno>> {
        // The caller may ask for bounds of its own, which mean its own root and directory.
        if !self.resolve.is_empty() {
            return None;
        }
        let (start, bounds) = match &self.start {
            Start::Root(root) => (root, ResolveFlag::RESOLVE_IN_ROOT),
            Start::Directory(base) => (base, ResolveFlag::RESOLVE_BENEATH),
        };
        match self.open(start.as_fd(), bounds) {
            Err(Errno::EXDEV | Errno::EAGAIN) => None,
            outcome => Some(outcome),
        }
    }

    /// Walks as the caller would. This changes the root and the working directory.
    fn perform_in_root(&self) -> Result<OwnedFd, Errno> {
        // The root is entered for each call: two roots may be the same directory in different mounts.
        match &self.start {
            Start::Root(root) => enter(root)?,
            Start::Directory(base) => {
                enter(&self.tracee.root()?)?;
                fchdir(base)?;
            }
        }
        self.open(AT_FDCWD.as_fd(), self.resolve)
    }

    fn open(&self, start: BorrowedFd<'_>, resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
        let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        if !self.follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | resolve);
        openat2(start, self.path.as_c_str(), how)
    }
}

fn enter(root: &OwnedFd) -> Result<(), Errno> {
    fchdir(root)?;
    chroot(".")
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
