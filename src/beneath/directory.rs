use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Statx,
    StatxFlags, Timestamps,
};
use rustix::io::Errno;

use super::inode::{self, Inode, InodeNumber};
use super::resolution::{self, AS_ROOT, NO_LINKS, NO_LINKS_OR_MOUNTS};
use super::{Error, removal};
use crate::tree::TreePath;

/// Room for a few hundred names at each getdents64(2); its size changes nothing but the number of calls.
const LISTING_BUFFER_BYTES: usize = 32 * 1024;

/// How often a file is looked for and made again when others make and remove it at the same time.
const ATTEMPTS: usize = 1000;

/// An open directory. Another one that takes its place on disk changes nothing for who holds it.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
    host_path: PathBuf,
}

impl Directory {
    /// Opens a directory that a person named, following links as the person would.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // O_PATH, because a person may be allowed to pass through a directory and not to list it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let named = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        match rustix::fs::openat(CWD, named, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Self::from_descriptor(descriptor, path.into())),
            Err(errno) => Err(Error::new("opening", path.into(), errno)),
        }
    }

    /// Takes an open directory, which messages call `host_path`.
    pub fn from_descriptor(descriptor: OwnedFd, host_path: PathBuf) -> Self {
        Self {
            descriptor,
            host_path,
        }
    }

    /// Returns a second handle of the same directory.
    ///
    /// # Errors
    /// The kernel's, when no more descriptors are to be had.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let cloned = self.descriptor.try_clone();
        let descriptor = cloned.map_err(|error| self.failed("opening", b"", error))?;
        Ok(Self::from_descriptor(descriptor, self.host_path.clone()))
    }

    /// Returns where the directory was when it was opened, for messages and for mounting it.
    pub fn host_path(&self) -> &Path {
        &self.host_path
    }

    /// Returns which directory it is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn number(&self) -> Result<InodeNumber, Error> {
        match inode::status_of(&self.descriptor) {
            Ok(status) => Ok(inode::number_of(&status)),
            Err(errno) => Err(self.failed("reading the metadata of", b"", errno)),
        }
    }

    /// Returns where `name` is, for messages and for mounting it.
    pub fn path_of(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.below(name.as_ref())
    }

    /// Opens the directory `path` below this one for reading.
    ///
    /// # Errors
    /// The kernel's; `ELOOP` or `ENOTDIR` when a name on the way is a symbolic link.
    pub fn directory(&self, path: &TreePath) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = resolution::open(self.as_fd(), path.as_bytes(), flags, NO_LINKS);
        self.opened(path.as_bytes(), opened)
    }

    /// Opens the directory `name` in this one for reading.
    ///
    /// # Errors
    /// The kernel's; `ELOOP` or `ENOTDIR` when it is a symbolic link.
    pub fn subdirectory(&self, name: impl AsRef<[u8]>) -> Result<Self, Error> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.opened(name, self.open_name(name, flags, NO_LINKS))
    }

    fn opened(&self, path: &[u8], opened: Result<OwnedFd, Errno>) -> Result<Self, Error> {
        match opened {
            Ok(descriptor) => Ok(Self::from_descriptor(descriptor, self.below(path))),
            Err(errno) => Err(self.failed("opening", path, errno)),
        }
    }

    /// Reaches `path` below this directory, whatever it is.
    ///
    /// # Errors
    /// The kernel's; `ELOOP` or `ENOTDIR` when a name on the way is a symbolic link.
    pub fn inode(&self, path: &TreePath) -> Result<Inode, Error> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let opened = resolution::open(self.as_fd(), path.as_bytes(), flags, NO_LINKS);
        self.reached(path.as_bytes(), opened)
    }

    /// Reaches `name` in this directory, whatever it is but a mount point.
    ///
    /// # Errors
    /// The kernel's; `EXDEV` when it is a mount point.
    pub fn entry(&self, name: impl AsRef<[u8]>) -> Result<Inode, Error> {
        let name = name.as_ref();
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        self.reached(name, self.open_name(name, flags, NO_LINKS_OR_MOUNTS))
    }

    /// Reaches what `path` would lead to in a system whose root this directory is, links followed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn inode_as_root(&self, path: &TreePath) -> Result<Inode, Error> {
        let opened = resolution::open(self.as_fd(), path.as_bytes(), OFlags::PATH, AS_ROOT);
        self.reached(path.as_bytes(), opened)
    }

    fn reached(&self, path: &[u8], opened: Result<OwnedFd, Errno>) -> Result<Inode, Error> {
        match opened {
            Ok(descriptor) => Inode::new(descriptor, self.below(path)),
            Err(errno) => Err(self.failed("opening", path, errno)),
        }
    }

    /// Opens `path` below this directory for reading, which was seen to be a regular file.
    ///
    /// Images are made of tens of thousands of files, so this is one call: what has taken the file's place is noticed
    /// after it is opened, for which a FIFO is not waited. A device could be put there by root alone.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidData`] when it is not a regular file.
    pub fn file(&self, path: &TreePath) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = resolution::open(self.as_fd(), path.as_bytes(), flags, NO_LINKS);
        let file = opened.map_err(|errno| self.failed("opening", path.as_bytes(), errno))?;
        match inode::status_of(&file) {
            Ok(status) if inode::file_type_of(&status) == FileType::RegularFile => Ok(file.into()),
            Ok(_) => Err(self.failed("opening", path.as_bytes(), inode::not_regular())),
            Err(errno) => Err(self.failed("opening", path.as_bytes(), errno)),
        }
    }

    /// Reads the regular file `name`, `None` when nothing has that name.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidData`] when it is not a regular file or longer than `limit_bytes`.
    pub fn read(&self, name: impl AsRef<[u8]>, limit_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let name = name.as_ref();
        match self.entry(name) {
            Err(error) if error.is_not_found() => Ok(None),
            entry => entry?.read(limit_bytes).map(Some),
        }
    }

    /// Returns the names in this directory, in no order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        let failed = |errno: Errno| self.failed("listing", b"", errno);
        // Another open directory: a second listing starts anew, and one opened with O_PATH cannot be listed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(&self.descriptor, c".", flags, Mode::empty());
        let listed = listed.map_err(failed)?;
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER_BYTES];
        let mut listing = RawDir::new(&listed, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = listing.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Returns the metadata of `name`, of a symbolic link its own; `None` when nothing has that name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn status(&self, name: impl AsRef<[u8]>) -> Result<Option<Statx>, Error> {
        let name = name.as_ref();
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let status = component(name).and_then(|name| {
            rustix::fs::statx(&self.descriptor, name, flags, StatxFlags::BASIC_STATS)
        });
        match status {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("reading the metadata of", name, errno)),
        }
    }

    /// Returns what `name` is, `None` when nothing has that name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn file_type(&self, name: impl AsRef<[u8]>) -> Result<Option<FileType>, Error> {
        let status = self.status(name)?;
        Ok(status.map(|status| inode::file_type_of(&status)))
    }

    /// Tells whether `name` is the open `file`.
    pub fn holds(&self, name: impl AsRef<[u8]>, file: impl AsFd) -> bool {
        let (Ok(Some(named)), Ok(open)) = (self.status(name), inode::status_of(file)) else {
            return false;
        };
        inode::number_of(&named) == inode::number_of(&open)
    }

    /// Tells whether `inode` is this directory.
    pub fn is(&self, inode: &Inode) -> bool {
        inode::status_of(&self.descriptor)
            .is_ok_and(|status| inode::number_of(&status) == inode.number())
    }

    /// Returns this directory's own metadata.
    ///
    /// # Errors
    /// The kernel's.
    pub fn own_status(&self) -> Result<Statx, Error> {
        inode::status_of(&self.descriptor)
            .map_err(|errno| self.failed("reading the metadata of", b"", errno))
    }

    /// Returns an extended attribute of this directory, `None` when there is none or can be none.
    ///
    /// # Errors
    /// The kernel's, which is `EBADF` for a directory that a person named.
    pub fn own_attribute(&self, name: &CStr) -> Result<Option<Vec<u8>>, Error> {
        inode::attribute_of(&self.descriptor, name)
            .map_err(|errno| self.failed("reading an attribute of", b"", errno))
    }

    /// Removes an extended attribute of this directory, if it has it.
    ///
    /// # Errors
    /// The kernel's, which is `EBADF` for a directory that a person named.
    pub fn remove_own_attribute(&self, name: &[u8]) -> Result<(), Error> {
        match rustix::fs::fremovexattr(&self.descriptor, name) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(self.failed("removing an attribute of", b"", errno)),
        }
    }

    /// Sets the permission bits of this directory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_own_mode(&self, mode: Mode) -> Result<(), Error> {
        // fchmod(2) takes no O_PATH descriptor.
        rustix::fs::chmodat(&self.descriptor, c".", mode, AtFlags::empty())
            .map_err(|errno| self.failed("setting the mode of", b"", errno))
    }

    /// Gives this directory to the group `gid`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_own_group(&self, gid: u32) -> Result<(), Error> {
        let group = Some(Gid::from_raw(gid));
        rustix::fs::chownat(&self.descriptor, c"", None, group, AtFlags::EMPTY_PATH)
            .map_err(|errno| self.failed("setting the group of", b"", errno))
    }

    /// Makes the directory `name`, and opens it.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when something has that name.
    pub fn make_directory(&self, name: impl AsRef<[u8]>, mode: Mode) -> Result<Self, Error> {
        let name = name.as_ref();
        self.create(name, |directory, name| {
            rustix::fs::mkdirat(directory, name, mode)
        })?;
        self.subdirectory(name)
    }

    /// Makes the file `name` and opens it for reading and writing.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when something has that name, be it a link that leads nowhere.
    pub fn create_file(&self, name: impl AsRef<[u8]>, mode: Mode) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = self.create(name.as_ref(), |directory, name| {
            rustix::fs::openat(directory, name, flags | OFlags::CLOEXEC, mode)
        });
        file.map(File::from)
    }

    /// Opens the regular file `name` for writing, making it when there is none.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidData`] when it is something else.
    pub fn open_or_create_file(&self, name: impl AsRef<[u8]>, mode: Mode) -> Result<File, Error> {
        let name = name.as_ref();
        for _ in 0..ATTEMPTS {
            match self.entry(name) {
                Ok(inode) => return inode.open_file_for(OFlags::WRONLY),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            match self.create_file(name, mode) {
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                done => return done,
            }
        }
        Err(self.failed("opening", name, Errno::EXIST))
    }

    /// Makes the symbolic link `name` to `target`.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when something has that name.
    pub fn make_symlink(
        &self,
        name: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        self.create(name.as_ref(), |directory, name| {
            rustix::fs::symlinkat(target.as_ref(), directory, name)
        })
    }

    /// Makes the FIFO, socket or whiteout (the character device 0:0) `name`, and reaches it.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when something has that name.
    pub fn make_special(
        &self,
        name: impl AsRef<[u8]>,
        file_type: FileType,
        mode: Mode,
    ) -> Result<Inode, Error> {
        let name = name.as_ref();
        self.create(name, |directory, name| {
            rustix::fs::mknodat(directory, name, file_type, mode, 0)
        })?;
        self.entry(name)
    }

    fn create<T>(
        &self,
        name: &[u8],
        create: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, Error> {
        component(name)
            .and_then(|name| create(self.as_fd(), name))
            .map_err(|errno| self.failed("creating", name, errno))
    }

    /// Gives `name` the second name `to_name` in `to`; a symbolic link is linked itself.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when something has that name.
    pub fn link(
        &self,
        name: impl AsRef<[u8]>,
        to: &Self,
        to_name: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        let (name, to_name) = (name.as_ref(), to_name.as_ref());
        components(name, to_name)
            // Without AT_SYMLINK_FOLLOW the last component is not followed.
            .and_then(|()| rustix::fs::linkat(self, name, to, to_name, AtFlags::empty()))
            .map_err(|errno| self.failed("linking", name, errno))
    }

    /// Moves `name` to `to_name` in `to`, in place of what has that name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rename(
        &self,
        name: impl AsRef<[u8]>,
        to: &Self,
        to_name: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        let (name, to_name) = (name.as_ref(), to_name.as_ref());
        components(name, to_name)
            .and_then(|()| rustix::fs::renameat(self, name, to, to_name))
            .map_err(|errno| self.failed("renaming", name, errno))
    }

    /// Lets `name` and `to_name` in `to` change places.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` where the file system cannot.
    pub fn exchange(
        &self,
        name: impl AsRef<[u8]>,
        to: &Self,
        to_name: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        let (name, to_name) = (name.as_ref(), to_name.as_ref());
        let flags = RenameFlags::EXCHANGE;
        components(name, to_name)
            .and_then(|()| rustix::fs::renameat_with(self, name, to, to_name, flags))
            .map_err(|errno| self.failed("renaming", name, errno))
    }

    /// Sets the times of `name`, of a symbolic link its own.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_times(&self, name: impl AsRef<[u8]>, times: &Timestamps) -> Result<(), Error> {
        let name = name.as_ref();
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        component(name)
            .and_then(|name| rustix::fs::utimensat(&self.descriptor, name, times, flags))
            .map_err(|errno| self.failed("setting the time of", name, errno))
    }

    /// Removes `name`, which is not a directory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_file(&self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        self.unlink(name.as_ref(), AtFlags::empty())
    }

    /// Removes the directory `name`, which is empty.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_directory(&self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        self.unlink(name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &[u8], flags: AtFlags) -> Result<(), Error> {
        component(name)
            .and_then(|name| rustix::fs::unlinkat(&self.descriptor, name, flags))
            .map_err(|errno| self.failed("removing", name, errno))
    }

    /// Removes `name` with everything below it, if it exists.
    ///
    /// # Errors
    /// Why the first entry could not be removed, when no other one could either.
    pub fn remove(&self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        let name = name.as_ref();
        component(name)
            .and_then(|name| removal::remove(self.as_fd(), name))
            .map_err(|errno| self.failed("removing", name, errno))
    }

    fn open_name(
        &self,
        name: &[u8],
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        component(name).and_then(|name| resolution::open(self.as_fd(), name, flags, resolve))
    }

    fn below(&self, path: &[u8]) -> PathBuf {
        match path {
            b"" => self.host_path.clone(),
            path => self.host_path.join(std::ffi::OsStr::from_bytes(path)),
        }
    }

    fn failed(&self, operation: &'static str, path: &[u8], source: impl Into<io::Error>) -> Error {
        Error::new(operation, self.below(path), source)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Fails for what is not the name of an entry: a path, or the directory or its parent.
fn component(name: &[u8]) -> Result<&[u8], Errno> {
    match name {
        b"" | b"." | b".." => Err(Errno::INVAL),
        name if name.contains(&b'/') || name.contains(&0) => Err(Errno::INVAL),
        name => Ok(name),
    }
}

fn components(first: &[u8], second: &[u8]) -> Result<(), Errno> {
    component(first).and(component(second)).map(drop)
}
