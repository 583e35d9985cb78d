//! Finding and making files and directories below the sandbox's root, never through a symbolic link.
//!
//! The trees that are mounted there are untrusted: where a mount point is expected, they may hold a link to a file of
//! the host. So every link in a path is refused.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;

use crate::report::{At, Failure, Step};
use crate::spec::EntryKind;

/// What a mount point must be: a directory for a directory, a file for anything else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MountPoint {
    Directory,
    File,
}

/// Opens `path` below `root`, as a mere location.
pub(crate) fn find(root: impl AsFd, path: &Path) -> nix::Result<OwnedFd> {
    let below: PathBuf = names(path).collect();
    if below.as_os_str().is_empty() {
        return open_below(&root, OsStr::new("."));
    }
    open_below(&root, below.as_os_str())
}

/// Opens `path` below `root`, and makes what is missing of it: directories of mode 0755, and at the end what is asked.
pub(crate) fn find_or_make(
    root: impl AsFd,
    path: &Path,
    point: MountPoint,
) -> Result<OwnedFd, Failure> {
    let step = Step::FindMountPoint;
    match find(&root, path) {
        Err(Errno::ENOENT) => {}
        other => return other.at(step, path.display()),
    }
    let (directory, name) = parent(root, path, step)?;
    let Some(name) = name else {
        return Ok(directory);
    };
    match point {
        MountPoint::Directory => make_directory(&directory, name),
        MountPoint::File => make_file(&directory, name).map(drop),
    }
    .at(step, path.display())?;
    open_below(&directory, name).at(step, path.display())
}

/// Makes an entry, and the directories above it that are missing. It must not exist, unless it is a directory.
pub(crate) fn make_entry(root: impl AsFd, path: &Path, kind: &EntryKind) -> Result<(), Failure> {
    let step = Step::MakeEntry;
    if *kind == EntryKind::Directory {
        return find_or_make(root, path, MountPoint::Directory).map(drop);
    }
    let (directory, name) = parent(root, path, step)?;
    let name = name.ok_or_else(|| Failure::of(step, Errno::EEXIST).about(path.display()))?;
    match kind {
        EntryKind::Directory => Ok(()),
        EntryKind::Symlink { target } => {
            symlinkat(target, &directory, name).at(step, path.display())
        }
        EntryKind::File { contents } => {
            let file = make_file(&directory, name).at(step, path.display())?;
            let mut file = std::fs::File::from(file);
            file.write_all(contents.as_bytes()).at(step, path.display())
        }
    }
}

/// Opens the directory that holds `path`, making what is missing of it; the name is none for the root itself.
fn parent(root: impl AsFd, path: &Path, step: Step) -> Result<(OwnedFd, Option<&OsStr>), Failure> {
    let mut current = open_below(&root, OsStr::new(".")).at(step, path.display())?;
    let mut names = names(path).peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return Ok((current, Some(name)));
        }
        current = match open_below(&current, name) {
            Err(Errno::ENOENT) => {
                make_directory(&current, name).and_then(|()| open_below(&current, name))
            }
            other => other,
        }
        .at(step, path.display())?;
    }
    Ok((current, None))
}

fn open_below(directory: impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_IN_ROOT);
    openat2(directory, name, how)
}

fn make_directory(directory: impl AsFd, name: &OsStr) -> nix::Result<()> {
    mkdirat(directory, name, Mode::from_bits_truncate(0o755))
}

fn make_file(directory: impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::from_bits_truncate(0o644))
}

/// The names of a path that the specification has checked: absolute and without `..`.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}
