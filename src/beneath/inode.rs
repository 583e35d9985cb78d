use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Statx, StatxFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::resolution::{self, NO_LINKS};
use super::{Directory, Error};

/// Largest attribute value and list of names that Linux passes (XATTR_SIZE_MAX and XATTR_LIST_MAX, linux/limits.h).
const XATTR_MAX_BYTES: usize = 65536;

/// An inode, held by an `O_PATH` descriptor so that whatever is read or changed is of that one inode.
#[derive(Debug)]
pub struct Inode {
    descriptor: OwnedFd,
    host_path: PathBuf,
    status: Statx,
}

/// What tells one inode from another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct InodeNumber {
    device: (u32, u32),
    inode: u64,
}

impl Inode {
    /// Takes a descriptor of any kind; `host_path` is for messages.
    pub(super) fn new(descriptor: OwnedFd, host_path: PathBuf) -> Result<Self, Error> {
        match status_of(&descriptor) {
            Ok(status) => Ok(Self {
                descriptor,
                host_path,
                status,
            }),
            Err(errno) => Err(Error::new("reading the metadata of", host_path, errno)),
        }
    }

    /// Reaches what a person named, following links as the person would.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(descriptor) => Self::new(descriptor, path.into()),
            Err(errno) => Err(Error::new("opening", path.into(), errno)),
        }
    }

    /// Reaches the absolute path `path` on which no link was found before: one that was put there since is refused.
    ///
    /// # Errors
    /// The kernel's, which is `ELOOP` or `ENOTDIR` for a symbolic link.
    pub fn open_real(path: &Path) -> Result<Self, Error> {
        let root = Directory::open(Path::new("/"))?;
        let names = path.as_os_str().as_bytes();
        let names = &names[names.iter().take_while(|byte| **byte == b'/').count()..];
        match resolution::open(root.as_fd(), names, OFlags::PATH, NO_LINKS) {
            Ok(descriptor) => Self::new(descriptor, path.into()),
            Err(errno) => Err(Error::new("opening", path.into(), errno)),
        }
    }

    /// Returns where it was reached, for messages.
    pub fn host_path(&self) -> &Path {
        &self.host_path
    }

    /// Returns its metadata as it was when it was reached.
    pub fn status(&self) -> &Statx {
        &self.status
    }

    /// Returns what tells it from all others.
    pub fn number(&self) -> InodeNumber {
        number_of(&self.status)
    }

    /// Returns what it is.
    pub fn file_type(&self) -> FileType {
        file_type_of(&self.status)
    }

    /// Returns its permission bits, with set-id and sticky.
    pub fn mode(&self) -> u16 {
        self.status.stx_mode & 0o7777
    }

    /// Opens it for reading, if it is a regular file: opening a device does something, and a FIFO waits.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidData`] when it is anything else.
    pub fn open_file(&self) -> Result<File, Error> {
        self.open_file_for(OFlags::RDONLY)
    }

    pub(super) fn open_file_for(&self, access: OFlags) -> Result<File, Error> {
        if self.file_type() != FileType::RegularFile {
            return Err(self.failed("opening", not_regular()));
        }
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(self.magic_link(), flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.failed("opening", errno))
    }

    /// Reads it to its end, if it is a regular file.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidData`] when it is not a regular file or longer than `limit_bytes`.
    pub fn read(&self, limit_bytes: u64) -> Result<Vec<u8>, Error> {
        read_limited(self.open_file()?, limit_bytes).map_err(|error| self.failed("reading", error))
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn link_target(&self) -> Result<Vec<u8>, Error> {
        rustix::fs::readlinkat(&self.descriptor, c"", Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| self.failed("reading the target of the symbolic link", errno))
    }

    /// Returns the value of an extended attribute, `None` when there is none or can be none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attribute(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let link = self.magic_link();
        read_value(|buffer| rustix::fs::getxattr(&link, name, buffer))
            .map_err(|errno| self.failed("reading an attribute of", errno))
    }

    /// Returns the names of the extended attributes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attribute_names(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = Vec::with_capacity(XATTR_MAX_BYTES);
        match rustix::fs::listxattr(self.magic_link(), spare_capacity(&mut names)) {
            Ok(_) | Err(Errno::NOTSUP) => {}
            Err(errno) => return Err(self.failed("listing the attributes of", errno)),
        }
        let names = names.split(|byte| *byte == 0);
        Ok(names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_attribute(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        rustix::fs::setxattr(self.magic_link(), name, value, XattrFlags::empty())
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_attribute(&self, name: &[u8]) -> Result<(), Error> {
        rustix::fs::removexattr(self.magic_link(), name)
            .map_err(|errno| self.failed("removing an attribute of", errno))
    }

    /// Gives it to `uid` and `gid`; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), Errno> {
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&self.descriptor, c"", user, group, AtFlags::EMPTY_PATH)
    }

    /// Sets the permission bits; a symbolic link has none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_mode(&self, mode: Mode) -> Result<(), Errno> {
        // fchmod(2) takes no O_PATH descriptor, fchmodat2(2) is younger than the kernels that this runs on, and opening
        // is what a mode may forbid.
        rustix::fs::chmod(self.magic_link(), mode)
    }

    /// Returns a path that reaches this inode, on whose `O_PATH` descriptor fgetxattr(2) and fchmod(2) are refused with
    /// `EBADF`.
    ///
    /// The kernel jumps to the inode and resolves no name, also when that inode is a symbolic link.
    fn magic_link(&self) -> String {
        magic_link(&self.descriptor)
    }

    /// Returns the error that `operation` could not be done on it.
    pub fn failed(&self, operation: &'static str, source: impl Into<io::Error>) -> Error {
        Error::new(operation, self.host_path.clone(), source)
    }
}

impl AsFd for Inode {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

pub(super) fn magic_link(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

pub(super) fn status_of(descriptor: impl AsFd) -> Result<Statx, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(descriptor, c"", flags, StatxFlags::BASIC_STATS)
}

pub(super) fn file_type_of(status: &Statx) -> FileType {
    FileType::from_raw_mode(status.stx_mode.into())
}

pub(super) fn number_of(status: &Statx) -> InodeNumber {
    InodeNumber {
        device: (status.stx_dev_major, status.stx_dev_minor),
        inode: status.stx_ino,
    }
}

pub(super) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file")
}

/// Reads an attribute of an open file or directory.
pub(super) fn attribute_of(descriptor: impl AsFd, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    read_value(|buffer| rustix::fs::fgetxattr(&descriptor, name, buffer))
}

fn read_value(
    read: impl FnOnce(rustix::buffer::SpareCapacity<'_, u8>) -> Result<usize, Errno>,
) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = Vec::with_capacity(XATTR_MAX_BYTES);
    match read(spare_capacity(&mut value)) {
        Ok(_) => {
            value.shrink_to_fit();
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Reads a file to its end.
///
/// # Errors
/// The kernel's, or [`io::ErrorKind::InvalidData`] when it is longer than `limit_bytes`.
fn read_limited(file: File, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let too_long = || {
        let reason = format!("it is longer than {limit_bytes} bytes");
        io::Error::new(io::ErrorKind::InvalidData, reason)
    };
    if file.metadata()?.len() > limit_bytes {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(limit_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit_bytes {
        true => Err(too_long()),
        false => Ok(bytes),
    }
}
