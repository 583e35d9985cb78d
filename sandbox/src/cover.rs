//! Covering what the mounts show when all are done: paths that are to be empty or read-only, and of each proc what is the
//! kernel's.
//!
//! A proc has dozens of entries of the kernel, and each takes a mount of its own. So these are covered by name, with one
//! call each: the names are the kernel's, there is no link among them, and nothing else runs in the namespace yet.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::fchdir;
use oci_spec::runtime as oci;

use crate::mount_point;
use crate::mounts::{file_system, is_directory};
use crate::report::{At, Failure, Step};
use crate::spec::Spec;
use crate::sys::mount::{self as raw, Recursion};

const STEP: Step = Step::ProtectProc;

/// Hides and protects the paths that the specification lists; those that this kernel lacks are passed over. What a caller
/// who is root owns of a proc is protected too. Changes the working directory.
pub(crate) fn cover(top: BorrowedFd<'_>, spec: &Spec) -> Result<(), Failure> {
    let Some(linux) = spec.oci.linux() else {
        return Ok(());
    };
    let mut lists = Lists {
        read_only: paths(linux.readonly_paths().as_deref()),
        masked: paths(linux.masked_paths().as_deref()),
    };
    for mount in spec.oci.mounts().iter().flatten() {
        let inside = mount.destination();
        if mount.typ().as_deref() == Some("proc") {
            let proc = mount_point::find(top, inside).at(STEP, inside.display())?;
            // Another mount may lie over it.
            if fstatfs(&proc).at(STEP, inside.display())?.filesystem_type() == PROC_SUPER_MAGIC {
                cover_proc(&proc, mount, &lists.split_off(inside))?;
            }
        }
    }
    for path in lists.read_only {
        if let Some(target) = find(top, path)? {
            cover_read_only(&target, path)?;
        }
    }
    for path in lists.masked {
        if let Some(target) = find(top, path)? {
            let is_directory = is_directory(&target).at(STEP, path.display())?;
            raw::attach(mask(is_directory, path)?, target).at(STEP, path.display())?;
        }
    }
    Ok(())
}

/// Paths that are to be covered.
struct Lists<'a> {
    read_only: Vec<&'a Path>,
    masked: Vec<&'a Path>,
}

impl Lists<'_> {
    /// Takes what lies directly in a directory.
    fn split_off(&mut self, directory: &Path) -> Self {
        let take = |paths: &mut Vec<_>| {
            let is_in = |path: &mut &Path| path.parent() == Some(directory);
            paths.extract_if(.., is_in).collect()
        };
        Self {
            read_only: take(&mut self.read_only),
            masked: take(&mut self.masked),
        }
    }
}

fn paths(texts: Option<&[String]>) -> Vec<&Path> {
    let texts = texts.unwrap_or_default();
    texts.iter().map(Path::new).collect()
}

fn find(top: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Failure> {
    match mount_point::find(top, path) {
        Err(Errno::ENOENT) => Ok(None),
        other => other.map(Some).at(STEP, path.display()),
    }
}

fn cover_read_only(target: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let itself = raw::clone_tree(Some(target.as_fd()), Path::new("")).at(STEP, path.display())?;
    let attributes = raw::READ_ONLY | raw::NO_SUID | raw::NO_DEVICES | raw::NO_EXECUTE;
    raw::set_attributes(itself.as_fd(), attributes, Recursion::Tree).at(STEP, path.display())?;
    raw::attach(itself, target).at(STEP, path.display())
}

/// Returns something empty that nobody can write to, attached nowhere.
fn mask(is_directory: bool, path: &Path) -> Result<OwnedFd, Failure> {
    if is_directory {
        let attributes = raw::READ_ONLY | raw::NO_DEVICES;
        return file_system("tmpfs", &["mode=0555"], attributes)
            .map_err(|failure| failure.about(path.display()));
    }
    let null = raw::clone_tree(None, Path::new("/dev/null")).at(STEP, path.display())?;
    raw::set_attributes(null.as_fd(), raw::READ_ONLY, Recursion::One).at(STEP, path.display())?;
    Ok(null)
}

/// Covers the kernel's entries of a proc: all procs of the host share their modes, and root's program could change them.
/// Those of processes have modes that nobody can change.
fn cover_proc(proc: &OwnedFd, mount: &oci::Mount, lists: &Lists<'_>) -> Result<(), Failure> {
    let inside = mount.destination();
    let about = || inside.display();
    // The top directory and all that is the kernel's belong to the host's root: mostly nobody here.
    let is_own = fstat(proc).at(STEP, about())?.st_uid == 0;
    let has = |paths: &[&Path], entry: &Entry| {
        let name = Some(OsStr::from_bytes(entry.name.as_bytes()));
        paths.iter().any(|path| path.file_name() == name)
    };
    fchdir(proc).at(STEP, about())?;
    let (masked, shown): (Vec<Entry>, Vec<Entry>) = entries_of_kernel()
        .at(STEP, about())?
        .into_iter()
        .partition(|entry| has(&lists.masked, entry));
    // A mount that is made of another has its attributes.
    raw::set_attributes(proc.as_fd(), raw::READ_ONLY, Recursion::One).at(STEP, about())?;
    for entry in shown {
        if is_own || has(&lists.read_only, &entry) {
            entry.show(&entry, inside)?;
        }
    }
    if !mount
        .options()
        .iter()
        .flatten()
        .any(|option| option == "ro")
    {
        raw::clear_attributes(proc.as_fd(), raw::READ_ONLY).at(STEP, about())?;
    }
    for is_directory in [false, true] {
        let mut alike = masked
            .iter()
            .filter(|entry| entry.is_directory == is_directory);
        let Some(first) = alike.next() else {
            continue;
        };
        let path = first.path(inside);
        let target = mount_point::find(proc, path.strip_prefix(inside).unwrap_or(&path))
            .at(STEP, path.display())?;
        raw::attach(mask(is_directory, &path)?, target).at(STEP, path.display())?;
        alike.try_for_each(|entry| first.show(entry, inside))?;
    }
    Ok(())
}

/// An entry of the working directory, which is a proc.
#[derive(Debug)]
struct Entry {
    name: CString,
    is_directory: bool,
}

impl Entry {
    fn path(&self, directory: &Path) -> std::path::PathBuf {
        directory.join(OsStr::from_bytes(self.name.as_bytes()))
    }

    /// Mounts this entry, as it is seen now, on another.
    fn show(&self, on: &Self, directory: &Path) -> Result<(), Failure> {
        let none = None::<&str>;
        let (from, to) = (self.name.as_c_str(), on.name.as_c_str());
        mount(Some(from), to, none, MsFlags::MS_BIND, none)
            .map_err(|errno| Failure::of(STEP, errno).about(on.path(directory).display()))
    }
}

/// Lists the entries of the working directory, a proc, but for those of processes and links.
fn entries_of_kernel() -> nix::Result<Vec<Entry>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::from_fd(open(".", flags, Mode::empty())?)?;
    let mut entries = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = entry.file_name();
        let first = name.to_bytes().first();
        let is_of_process = first.is_some_and(|first| *first == b'.' || first.is_ascii_digit());
        if is_of_process || entry.file_type() == Some(Type::Symlink) {
            continue;
        }
        entries.push(Entry {
            name: name.to_owned(),
            is_directory: entry.file_type() == Some(Type::Directory),
        });
    }
    Ok(entries)
}
