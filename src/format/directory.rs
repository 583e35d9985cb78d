//! The `directory` output: a tree on disk, owned by the ordinary user who builds.
//!
//! What that user may not store is recorded as the sandbox records it ([`overcoat_sandbox::ownership::attributes`]), so that
//! [`capture::merge`](crate::capture::merge) of the directory gives the same tree back. That is so for root too: one
//! way of writing, and the same directory for all. Times are kept as far as the file system does; a symbolic link's
//! mode is always 0777.
//!
//! Every name is made by `O_EXCL` or its like below a descriptor of its parent, which is reached without following a
//! link. The top directory lets in nobody but its owner, because set-user-id files below it are the owner's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use overcoat_sandbox::ownership::acl;
use overcoat_sandbox::ownership::attributes::{self as records, Device, DeviceKind, Owner};
use rustix::fs::{FileType, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::beneath::{self, Directory, Place};
use crate::tree::{
    ContentError, Delta, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp,
    TreePath,
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
    let (parent, name) = Place::split(destination).map_err(uncreated)?;
    let parent = Directory::open(parent).map_err(|error| Error::Create {
        path: destination.into(),
        source: error.into_cause(),
    })?;
    write_at(tree, &Place::new(&parent, name))
}

/// As [`write()`], at a place in an open directory.
///
/// # Errors
/// As [`write()`].
pub fn write_at(tree: &FileTree, destination: &Place<'_>) -> Result<(), Error> {
    write_as(Form::Recorded, tree, &BTreeSet::new(), destination)
}

/// As [`write_at()`], a layer for overlayfs (`userxattr`): what is deleted becomes a whiteout, which any user may make
/// (kernel 5.8).
///
/// # Errors
/// As [`write()`].
pub fn write_layer(delta: &Delta, destination: &Place<'_>) -> Result<(), Error> {
    write_as(Form::Recorded, &delta.tree, &delta.deleted, destination)
}

/// Writes `tree` into the new directory `destination`, with owners and ACLs for real, as only root of their ids may.
/// Devices are recorded all the same.
///
/// # Errors
/// As [`write()`], and [`Error::SetOwner`].
pub fn write_with_real_ids(tree: &FileTree, destination: &Place<'_>) -> Result<(), Error> {
    write_as(Form::Real, tree, &BTreeSet::new(), destination)
}

fn write_as(
    form: Form,
    tree: &FileTree,
    whiteouts: &BTreeSet<TreePath>,
    destination: &Place<'_>,
) -> Result<(), Error> {
    let root = create_root(destination).map_err(|error| Error::Create {
        path: destination.host_path(),
        source: error.into_cause(),
    })?;
    let mut writer = Writer {
        form,
        root,
        first_names: HashMap::new(),
        entry_owners: BTreeMap::new(),
    };
    let mut parent: Option<(TreePath, Directory)> = None;
    for (path, entry) in tree.iter() {
        let Some(directory) = path.parent() else {
            continue;
        };
        if parent.as_ref().is_none_or(|(open, _)| *open != directory) {
            let opened = writer.open_directory(&directory)?;
            parent = Some((directory, opened));
        }
        let (_, directory) = parent.as_ref().expect("it was opened above");
        writer.add(directory, path, entry)?;
    }
    for path in whiteouts {
        writer.add_whiteout(path)?;
    }
    // Backwards, so that nothing is added to a directory after its time is set, or below one closed by its mode.
    for (path, entry) in tree.iter().rev().filter(|(_, entry)| entry.is_directory()) {
        writer.finish_directory(path, entry)?;
    }
    Ok(())
}

/// Tells whether at `place` is a directory that [`write()`] made, and that a newer one may replace.
pub fn is_output(place: &Place<'_>) -> bool {
    let Ok(found) = place.directory().entry(place.name()) else {
        return false;
    };
    found.file_type() == FileType::Directory
        && found
            .attribute(records::MODE.to_bytes())
            .is_ok_and(|record| record.is_some())
}

/// How owners and ACLs are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Recorded,
    Real,
}

struct Writer {
    form: Form,
    root: Directory,
    first_names: HashMap<HardLinkGroup, TreePath>,
    /// Owners that the entries of a directory cannot record themselves.
    entry_owners: BTreeMap<TreePath, BTreeMap<Vec<u8>, Owner>>,
}

/// Makes the destination, with nothing inherited from the directory it lies in.
fn create_root(destination: &Place<'_>) -> Result<Directory, beneath::Error> {
    let name = destination.name();
    let parent = destination.directory();
    let directory = parent.make_directory(name, PRIVATE_DIRECTORY)?;
    // A set-group-id parent passes on its group and that bit, a default ACL itself, to everything made below it.
    directory.set_own_group(nix::unistd::getegid().as_raw())?;
    for acl in [acl::ACCESS, acl::DEFAULT] {
        directory.remove_own_attribute(acl.as_bytes())?;
    }
    directory.set_own_mode(PRIVATE_DIRECTORY)?;
    Ok(directory)
}

fn uncreated(error: beneath::Error) -> Error {
    Error::Create {
        path: error.path().into(),
        source: error.into_cause(),
    }
}

impl Writer {
    fn open_directory(&self, path: &TreePath) -> Result<Directory, Error> {
        self.root
            .directory(path)
            .map_err(|error| Error::OpenDirectory {
                path: error.path().into(),
                source: error.into(),
            })
    }

    fn host_path(&self, path: &TreePath) -> PathBuf {
        self.root.path_of(path.as_bytes())
    }

    fn add(&mut self, parent: &Directory, path: &TreePath, entry: &Entry) -> Result<(), Error> {
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
                let made = parent.make_directory(path.file_name(), PRIVATE_DIRECTORY);
                made.map(drop).map_err(uncreated)
            }
            EntryKind::Regular(content) => {
                let file = parent.create_file(path.file_name(), PRIVATE_FILE);
                let file = file.map_err(uncreated)?;
                copy::copy(path, content, &file, || self.host_path(path))?;
                self.finish_file(&file, path, entry, None)
            }
            EntryKind::CharacterDevice(number) if number.major == 0 && number.minor == 0 => {
                Err(Error::WhiteoutDevice { path: path.clone() })
            }
            EntryKind::CharacterDevice(number) => {
                let file = parent.create_file(path.file_name(), PRIVATE_FILE);
                let file = file.map_err(uncreated)?;
                self.finish_file(
                    &file,
                    path,
                    entry,
                    Some(device(DeviceKind::Character, *number)),
                )
            }
            EntryKind::BlockDevice(number) => {
                let file = parent.create_file(path.file_name(), PRIVATE_FILE);
                let file = file.map_err(uncreated)?;
                self.finish_file(&file, path, entry, Some(device(DeviceKind::Block, *number)))
            }
            EntryKind::Symlink(target) => {
                parent
                    .make_symlink(path.file_name(), target)
                    .map_err(uncreated)?;
                attributes::refuse_all(path, entry)?;
                if self.form == Form::Real {
                    let link = parent.entry(path.file_name()).map_err(uncreated)?;
                    self.set_real_owner(&link, path, entry)?;
                }
                set_time(parent, path, entry.modified)
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

    fn add_whiteout(&self, path: &TreePath) -> Result<(), Error> {
        let parent = path.parent().expect("nothing deletes the root");
        let made = self.open_directory(&parent)?.make_special(
            path.file_name(),
            FileType::CharacterDevice,
            Mode::empty(),
        );
        made.map(drop).map_err(uncreated)
    }

    fn link(&self, first: &TreePath, parent: &Directory, path: &TreePath) -> Result<(), Error> {
        let first_parent = first.parent().expect("the root is no hard link");
        let first_directory = self.open_directory(&first_parent)?;
        first_directory
            .link(first.file_name(), parent, path.file_name())
            .map_err(|error| Error::Link {
                path: self.host_path(path),
                first: self.host_path(first),
                source: error.into_cause(),
            })
    }

    fn add_special(
        &self,
        parent: &Directory,
        path: &TreePath,
        entry: &Entry,
        file_type: FileType,
    ) -> Result<(), Error> {
        let inode = parent
            .make_special(path.file_name(), file_type, PRIVATE_FILE)
            .map_err(uncreated)?;
        if self.form == Form::Real {
            self.set_real_owner(&inode, path, entry)?;
        }
        Attributes::of_special(path, entry)?
            .set(|name, value| inode.set_attribute(name, value))
            .map_err(|failed| failed.at(self.host_path(path)))?;
        inode
            .set_mode(Mode::from(u32::from(entry.mode)))
            .map_err(|errno| self.mode_error(path, entry, errno))?;
        set_time(parent, path, entry.modified)
    }

    fn set_real_owner(
        &self,
        inode: &beneath::Inode,
        path: &TreePath,
        entry: &Entry,
    ) -> Result<(), Error> {
        inode
            .set_owner(entry.uid, entry.gid)
            .map_err(|errno| self.owner_error(path, entry, errno))
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
        file: &File,
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
        fd: BorrowedFd<'_>,
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

fn set_time(parent: &Directory, path: &TreePath, modified: Timestamp) -> Result<(), Error> {
    parent
        .set_times(path.file_name(), &timestamps(modified))
        .map_err(|error| Error::SetTime {
            path: error.path().into(),
            source: error.into_cause(),
        })
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
