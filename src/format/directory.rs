//! The `directory` output: a tree on disk, owned by the ordinary user who builds.
//!
//! What that user may not store is recorded as the sandbox records it ([`overcoat_sandbox::ownership::attributes`]), so that
//! [`capture::merge`](crate::capture::merge) of the directory gives the same tree back. That is so for root too: one
//! way of writing, and the same directory for all. Times are kept as far as the file system does; a symbolic link's
//! mode is always 0777.
//!
//! Every name is made by `O_EXCL` or its like below a descriptor of its parent, which is reached without following a
//! link. The top directory lets in nobody but its owner, because set-user-id files below it are the owner's own.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use overcoat_sandbox::ownership::acl;
use overcoat_sandbox::ownership::attributes::{self as records, Device, DeviceKind, Owner};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::tree::{
    ContentError, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
    TreeRoot,
};

use self::attributes::Attributes;

mod attributes;
mod copy;

/// What a file or directory has until its contents are complete.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

/// A tree cannot be written as a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("creating `{path}`")]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("opening the directory `{path}` to write in it")]
    OpenDirectory { path: PathBuf, source: ContentError },
    #[error("linking `{path}` to `{first}`")]
    Link {
        path: PathBuf,
        first: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the content of `/{path}`")]
    ReadContent {
        path: TreePath,
        source: ContentError,
    },
    #[error("copying into `{path}`")]
    Copy {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("giving `{path}` to {uid}:{gid}")]
    SetOwner {
        path: PathBuf,
        uid: u32,
        gid: u32,
        source: std::io::Error,
    },
    #[error("setting the mode of `{path}` to {mode:04o}")]
    SetMode {
        path: PathBuf,
        mode: u16,
        source: std::io::Error,
    },
    #[error("setting the time of `{path}`")]
    SetTime {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("setting the extended attribute `{attribute}` of {length_bytes} bytes on `{path}`")]
    SetAttribute {
        path: PathBuf,
        attribute: String,
        length_bytes: usize,
        source: std::io::Error,
    },
    #[error("`/{path}` has the extended attribute `{attribute}`, which a directory cannot hold")]
    UnsupportedAttribute { path: TreePath, attribute: String },
    #[error("`{attribute}` of `/{path}` is corrupt: {reason}")]
    CorruptAttribute {
        path: TreePath,
        attribute: String,
        reason: &'static str,
    },
    #[error("`/{path}` is the character device 0:0, which marks a deletion in a layer")]
    WhiteoutDevice { path: TreePath },
}

/// Writes `tree` into the new directory `destination`, whose parent exists.
///
/// A failure leaves what was written until then, for the caller to remove with the rest of its staging directory.
///
/// # Errors
/// An [`Error`] that names the path, when it cannot be written, its content cannot be read, or something of it cannot
/// be recorded.
pub fn write(tree: &FileTree, destination: &Path) -> Result<(), Error> {
    write_in(Form::Recorded, tree, destination)
}

/// Writes `tree` into the new directory `destination`, with owners and ACLs for real, as only root of their ids may.
/// Devices are recorded all the same.
///
/// # Errors
/// As [`write()`], and [`Error::SetOwner`].
pub fn write_with_real_ids(tree: &FileTree, destination: &Path) -> Result<(), Error> {
    write_in(Form::Real, tree, destination)
}

fn write_in(form: Form, tree: &FileTree, destination: &Path) -> Result<(), Error> {
    let root = create_root(destination)?;
    let mut writer = Writer {
        form,
        root,
        first_names: HashMap::new(),
        entry_owners: BTreeMap::new(),
    };
    let mut parent: Option<(TreePath, OwnedFd)> = None;
    for (path, entry) in tree.iter() {
        let Some(directory) = path.parent() else {
            continue;
        };
        if parent.as_ref().is_none_or(|(open, _)| *open != directory) {
            let fd = writer.open_directory(&directory)?;
            parent = Some((directory, fd));
        }
        let (_, fd) = parent.as_ref().expect("it was opened above");
        writer.add(fd, path, entry)?;
    }
    // Backwards, so that nothing is added to a directory after its time is set, or below one closed by its mode.
    for (path, entry) in tree.iter().rev().filter(|(_, entry)| entry.is_directory()) {
        writer.finish_directory(path, entry)?;
    }
    Ok(())
}

/// Tells whether `path` is a directory that [`write()`] made, and that a newer one may replace.
pub fn is_output(path: &Path) -> bool {
    let mut value = [0; 16];
    let name = records::MODE;
    fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
        && rustix::fs::lgetxattr(path, name, &mut value).is_ok()
}

/// How owners and ACLs are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Recorded,
    Real,
}

struct Writer {
    form: Form,
    root: TreeRoot,
    first_names: HashMap<HardLinkGroup, TreePath>,
    /// Owners that the entries of a directory cannot record themselves.
    entry_owners: BTreeMap<TreePath, BTreeMap<Vec<u8>, Owner>>,
}

/// Makes the destination, with nothing inherited from the directory it lies in.
fn create_root(destination: &Path) -> Result<TreeRoot, Error> {
    let created = |source: std::io::Error| Error::Create {
        path: destination.into(),
        source,
    };
    let name = destination
        .file_name()
        .ok_or_else(|| created(Errno::EXIST.into()))?;
    let parent = match destination.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // The parent is opened once, and the new directory without following a link that took its place.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent =
        rustix::fs::open(parent, flags, Mode::empty()).map_err(|errno| created(errno.into()))?;
    rustix::fs::mkdirat(&parent, name, PRIVATE_DIRECTORY).map_err(|errno| created(errno.into()))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&parent, name, flags, Mode::empty())
        .map_err(|errno| created(errno.into()))?;
    // A set-group-id parent passes on its group and that bit, a default ACL itself, to everything made below it.
    let group = Gid::from_raw(nix::unistd::getegid().as_raw());
    rustix::fs::fchown(&directory, None, Some(group)).map_err(|errno| created(errno.into()))?;
    for acl in [acl::ACCESS, acl::DEFAULT] {
        match rustix::fs::fremovexattr(&directory, acl) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(created(errno.into())),
        }
    }
    rustix::fs::fchmod(&directory, PRIVATE_DIRECTORY).map_err(|errno| created(errno.into()))?;
    Ok(TreeRoot::from_descriptor(directory, destination.into()))
}

fn open_directory(root: &TreeRoot, path: &TreePath) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    root.open_beneath(path, flags)
        .map_err(|source| Error::OpenDirectory {
            path: root.host_path().join(path.as_path()),
            source,
        })
}

impl Writer {
    fn open_directory(&self, path: &TreePath) -> Result<OwnedFd, Error> {
        open_directory(&self.root, path)
    }

    fn host_path(&self, path: &TreePath) -> PathBuf {
        self.root.host_path().join(path.as_path())
    }

    fn add(&mut self, parent: &OwnedFd, path: &TreePath, entry: &Entry) -> Result<(), Error> {
        match &entry.kind {
            EntryKind::Symlink(_) | EntryKind::Fifo | EntryKind::Socket => {
                self.note_owner(path, entry);
            }
            _ => {}
        }
        if let Some(group) = entry.hard_link {
            if let Some(first) = self.first_names.get(&group) {
                return self.link(first, parent, path);
            }
            self.first_names.insert(group, path.clone());
        }
        match &entry.kind {
            EntryKind::Directory => {
                rustix::fs::mkdirat(parent, path.file_name(), PRIVATE_DIRECTORY)
                    .map_err(|errno| self.create_error(path, errno))
            }
            EntryKind::Regular(content) => {
                let file = self.create_file(parent, path)?;
                copy::copy(path, content, &file, || self.host_path(path))?;
                self.finish_file(&file, path, entry, None)
            }
            EntryKind::CharacterDevice(number) if number.major == 0 && number.minor == 0 => {
                Err(Error::WhiteoutDevice { path: path.clone() })
            }
            EntryKind::CharacterDevice(number) => {
                let file = self.create_file(parent, path)?;
                self.finish_file(
                    &file,
                    path,
                    entry,
                    Some(device(DeviceKind::Character, *number)),
                )
            }
            EntryKind::BlockDevice(number) => {
                let file = self.create_file(parent, path)?;
                self.finish_file(&file, path, entry, Some(device(DeviceKind::Block, *number)))
            }
            EntryKind::Symlink(target) => {
                rustix::fs::symlinkat(target, parent, path.file_name())
                    .map_err(|errno| self.create_error(path, errno))?;
                attributes::refuse_all(path, entry)?;
                if self.form == Form::Real {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    let (user, group) = ids(entry);
                    rustix::fs::chownat(parent, path.file_name(), user, group, flags)
                        .map_err(|errno| self.owner_error(path, entry, errno))?;
                }
                self.set_time(parent, path, entry.modified)
            }
            EntryKind::Fifo => self.add_special(parent, path, entry, FileType::Fifo),
            EntryKind::Socket => self.add_special(parent, path, entry, FileType::Socket),
        }
    }

    fn note_owner(&mut self, path: &TreePath, entry: &Entry) {
        let owner = Owner {
            uid: entry.uid,
            gid: entry.gid,
        };
        if let Some(parent) = path.parent()
            && owner != Owner::ROOT
            && self.form == Form::Recorded
        {
            let owners = self.entry_owners.entry(parent).or_default();
            owners.insert(path.file_name().to_vec(), owner);
        }
    }

    fn link(&self, first: &TreePath, parent: &OwnedFd, path: &TreePath) -> Result<(), Error> {
        let first_parent = first.parent().expect("the root is no hard link");
        let first_directory = self.open_directory(&first_parent)?;
        // Without AT_SYMLINK_FOLLOW the last component is linked itself, also when it is a symbolic link.
        rustix::fs::linkat(
            &first_directory,
            first.file_name(),
            parent,
            path.file_name(),
            AtFlags::empty(),
        )
        .map_err(|errno| Error::Link {
            path: self.host_path(path),
            first: self.host_path(first),
            source: errno.into(),
        })
    }

    fn create_file(&self, parent: &OwnedFd, path: &TreePath) -> Result<OwnedFd, Error> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(parent, path.file_name(), flags, PRIVATE_FILE)
            .map_err(|errno| self.create_error(path, errno))
    }

    fn add_special(
        &self,
        parent: &OwnedFd,
        path: &TreePath,
        entry: &Entry,
        file_type: FileType,
    ) -> Result<(), Error> {
        let name = path.file_name();
        rustix::fs::mknodat(parent, name, file_type, PRIVATE_FILE, 0)
            .map_err(|errno| self.create_error(path, errno))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(|errno| self.create_error(path, errno))?;
        // fchmod(2) refuses O_PATH descriptors, and opening a FIFO in earnest waits for its other end.
        let reached = crate::capture::descriptor_path(&inode);
        if self.form == Form::Real {
            let (user, group) = ids(entry);
            rustix::fs::chownat(&inode, c"", user, group, AtFlags::EMPTY_PATH)
                .map_err(|errno| self.owner_error(path, entry, errno))?;
        }
        Attributes::of_special(path, entry)?
            .set(|name, value| {
                rustix::fs::setxattr(&reached, name, value, rustix::fs::XattrFlags::empty())
            })
            .map_err(|failed| failed.at(self.host_path(path)))?;
        rustix::fs::chmod(&reached, Mode::from(u32::from(entry.mode)))
            .map_err(|errno| self.mode_error(path, entry, errno))?;
        self.set_time(parent, path, entry.modified)
    }

    fn finish_directory(&mut self, path: &TreePath, entry: &Entry) -> Result<(), Error> {
        let directory = self.open_directory(path)?;
        let mut attributes = Attributes::of_entry(self.form, path, entry, None)?;
        if let Some(owners) = self.entry_owners.remove(path) {
            let value = records::entries_to_bytes(&owners)
                .expect("the names exist, so each has at most 255 bytes");
            attributes.record(records::ENTRIES, value);
        }
        if !path.is_root() || self.form == Form::Real {
            return self.finish(directory.as_fd(), path, entry, &attributes);
        }
        // Set-id programs of the image belong to the person who builds it, so nobody else may reach them.
        attributes.record(records::MODE, records::mode_to_bytes(entry.mode));
        let closed = Entry {
            mode: entry.mode & 0o7700,
            ..entry.clone()
        };
        self.finish(directory.as_fd(), path, &closed, &attributes)
    }

    fn finish_file(
        &self,
        file: &OwnedFd,
        path: &TreePath,
        entry: &Entry,
        device: Option<Device>,
    ) -> Result<(), Error> {
        let attributes = Attributes::of_entry(self.form, path, entry, device)?;
        self.finish(file.as_fd(), path, entry, &attributes)
    }

    /// Sets what must come after the contents: the owner, which clears file capabilities and set-id bits, attributes while
    /// the mode still allows it, the mode, the time.
    fn finish(
        &self,
        fd: std::os::fd::BorrowedFd<'_>,
        path: &TreePath,
        entry: &Entry,
        attributes: &Attributes,
    ) -> Result<(), Error> {
        if self.form == Form::Real {
            let (user, group) = ids(entry);
            rustix::fs::fchown(fd, user, group)
                .map_err(|errno| self.owner_error(path, entry, errno))?;
        }
        attributes
            .set(|name, value| {
                rustix::fs::fsetxattr(fd, name, value, rustix::fs::XattrFlags::empty())
            })
            .map_err(|failed| failed.at(self.host_path(path)))?;
        rustix::fs::fchmod(fd, Mode::from(u32::from(entry.mode)))
            .map_err(|errno| self.mode_error(path, entry, errno))?;
        rustix::fs::futimens(fd, &timestamps(entry.modified)).map_err(|errno| Error::SetTime {
            path: self.host_path(path),
            source: errno.into(),
        })
    }

    fn set_time(
        &self,
        parent: &OwnedFd,
        path: &TreePath,
        modified: Timestamp,
    ) -> Result<(), Error> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(parent, path.file_name(), &timestamps(modified), flags).map_err(
            |errno| Error::SetTime {
                path: self.host_path(path),
                source: errno.into(),
            },
        )
    }

    fn create_error(&self, path: &TreePath, errno: Errno) -> Error {
        Error::Create {
            path: self.host_path(path),
            source: errno.into(),
        }
    }

    fn owner_error(&self, path: &TreePath, entry: &Entry, errno: Errno) -> Error {
        Error::SetOwner {
            path: self.host_path(path),
            uid: entry.uid,
            gid: entry.gid,
            source: errno.into(),
        }
    }

    fn mode_error(&self, path: &TreePath, entry: &Entry, errno: Errno) -> Error {
        Error::SetMode {
            path: self.host_path(path),
            mode: entry.mode,
            source: errno.into(),
        }
    }
}

fn ids(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    )
}

fn device(kind: DeviceKind, number: DeviceNumber) -> Device {
    Device {
        kind,
        major: number.major,
        minor: number.minor,
    }
}

/// The time of access is set as well, so that nothing on disk tells when the directory was written.
fn timestamps(modified: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.seconds,
        tv_nsec: modified.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests;
