use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::{Directory, Error};

/// A name in an open directory, where something is or will be.
#[derive(Debug)]
pub struct Place<'a> {
    directory: &'a Directory,
    name: &'a OsStr,
}

impl<'a> Place<'a> {
    /// Returns the place `name` in `directory`.
    pub fn new(directory: &'a Directory, name: &'a OsStr) -> Self {
        Self { directory, name }
    }

    /// Splits a path that a person named: its parent is to be opened as such, and the rest is a name.
    ///
    /// # Errors
    /// [`Error`] when it does not end in a name.
    pub fn split(path: &Path) -> Result<(&Path, &OsStr), Error> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((parent, name)),
            _ => Err(Error::new("reaching", path.into(), Errno::INVAL)),
        }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &'a Directory {
        self.directory
    }

    /// Returns the name.
    pub fn name(&self) -> &'a [u8] {
        self.name.as_bytes()
    }

    /// Returns where it is, for messages.
    pub fn host_path(&self) -> PathBuf {
        self.directory.path_of(self.name())
    }

    /// Makes a file there, as [`Directory::create_file`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn create_file(&self, mode: Mode) -> Result<File, Error> {
        self.directory.create_file(self.name(), mode)
    }
}
