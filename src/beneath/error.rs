use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Something below a directory could not be reached, read or changed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} `{path}`")]
pub struct Error {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Error {
    pub(super) fn new(
        operation: &'static str,
        path: PathBuf,
        source: impl Into<io::Error>,
    ) -> Self {
        Self {
            operation,
            path,
            source: source.into(),
        }
    }

    /// Returns what it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the kernel answered, `None` when the program itself refused.
    pub fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.source)
    }

    /// Tells whether nothing has that name.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Tells whether a symbolic link, or something else that is no directory, is where a directory should be.
    pub fn is_not_directory(&self) -> bool {
        // With O_PATH, O_DIRECTORY and O_NOFOLLOW together, a symbolic link gives ENOTDIR.
        matches!(self.errno(), Some(Errno::LOOP | Errno::NOTDIR))
    }

    /// Returns the cause alone, for an error that says operation and path itself.
    pub fn into_cause(self) -> io::Error {
        self.source
    }
}

/// Keeps operation and path, and the kind, by which a hint is chosen.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.source.kind(), error)
    }
}
