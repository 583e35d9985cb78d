//! Opening a path below a directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// What of a path is resolved at once: PATH_MAX of linux/limits.h is 4096 with the final NUL.
const LONGEST_PATH_BYTES: usize = 4095;
/// How often a path is tried again that the kernel could not resolve because of a rename elsewhere (openat2(2), EAGAIN).
const ATTEMPTS: usize = 128;

/// A way below a directory that follows no link and stays in the directory.
pub(super) const NO_LINKS: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);
/// The same that crosses no mount point either.
pub(super) const NO_LINKS_OR_MOUNTS: ResolveFlags = NO_LINKS.union(ResolveFlags::NO_XDEV);
/// A way on which links lead where they would in a system whose root the directory is.
pub(super) const AS_ROOT: ResolveFlags = ResolveFlags::IN_ROOT
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Opens `path`, which is relative and may be longer than one system call takes; empty, it is the directory itself.
///
/// The last name is never followed unless `resolve` is [`AS_ROOT`].
pub(super) fn open(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut passed: Option<OwnedFd> = None;
    let mut rest = if path.is_empty() { b"." } else { path };
    while rest.len() > LONGEST_PATH_BYTES {
        let slash = rest[..LONGEST_PATH_BYTES].iter().rposition(|b| *b == b'/');
        // A single name this long is left to the kernel to refuse.
        let Some(slash) = slash else { break };
        let from = passed.as_ref().map_or(directory, AsFd::as_fd);
        let step = OFlags::PATH | OFlags::DIRECTORY;
        passed = Some(open_short(from, &rest[..slash], step, resolve)?);
        rest = &rest[slash + 1..];
    }
    let from = passed.as_ref().map_or(directory, AsFd::as_fd);
    open_short(from, rest, flags, resolve)
}

fn open_short(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut flags = flags | OFlags::CLOEXEC;
    if resolve.contains(ResolveFlags::NO_SYMLINKS) {
        // NO_SYMLINKS still opens a link itself when O_PATH and O_NOFOLLOW are given (openat2(2)).
        flags |= OFlags::NOFOLLOW;
    }
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Seccomp profiles of containers that are older than the call refuse it with either.
            Err(Errno::NOSYS | Errno::PERM) => {
                return open_by_names(directory, path, flags, resolve);
            }
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// Does without openat2(2): opens one name after the other and follows none of them, whatever `resolve` would allow.
pub(super) fn open_by_names(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let within_mount = resolve.contains(ResolveFlags::NO_XDEV);
    let mount = match within_mount {
        true => Some(mount_of(directory)?),
        false => None,
    };
    let mut reached: Option<OwnedFd> = None;
    let mut names = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .peekable();
    while let Some(name) = names.next() {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let from = reached.as_ref().map_or(directory, AsFd::as_fd);
        let is_last = names.peek().is_none();
        let step = match is_last {
            true => flags,
            false => OFlags::PATH | OFlags::DIRECTORY,
        };
        let step = step | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match rustix::fs::openat(from, name, step, Mode::empty()) {
            Err(Errno::NOTDIR) if is_link(from, name) => return Err(Errno::LOOP),
            opened => opened?,
        };
        if let Some(mount) = mount
            && mount_of(next.as_fd())? != mount
        {
            return Err(Errno::XDEV);
        }
        reached = Some(next);
    }
    match reached {
        Some(reached) => Ok(reached),
        None => Err(Errno::NOENT),
    }
}

fn is_link(directory: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Symlink)
}

/// Returns the mount that a descriptor lies in; two of one file system have the same device.
fn mount_of(descriptor: BorrowedFd<'_>) -> Result<u64, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let status = rustix::fs::statx(descriptor, c"", flags, StatxFlags::MNT_ID)?;
    match status.stx_mask & StatxFlags::MNT_ID.bits() {
        // Before Linux 5.8: nothing is opened rather than something of another mount.
        0 => Err(Errno::NOSYS),
        _ => Ok(status.stx_mnt_id),
    }
}
