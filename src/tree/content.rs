//! Where the bytes of a regular file are, and how a writer gets at them.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::TreePath;

/// The bytes of a regular file: held in memory, or read in place from a directory on disk.
#[derive(Clone, Debug)]
pub struct Content {
    source: Source,
    size_bytes: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Arc<[u8]>),
    File { root: Arc<TreeRoot>, path: TreePath },
}

/// A directory on the host that holds a tree, kept open so that its contents are reached by descriptor alone.
#[derive(Debug)]
pub struct TreeRoot {
    directory: OwnedFd,
    host_path: PathBuf,
}

/// A file's bytes could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    #[error("opening `{path}`")]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading `{path}`")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "`{path}` changed while it was read: {expected_bytes} bytes were expected and {found_bytes} found"
    )]
    Changed {
        path: PathBuf,
        expected_bytes: u64,
        found_bytes: u64,
    },
}

impl TreeRoot {
    /// Opens the directory `host_path`.
    ///
    /// # Errors
    /// [`ContentError::Open`] when it cannot be opened or is no directory.
    pub fn open(host_path: &Path) -> Result<Self, ContentError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(host_path, flags, Mode::empty()).map_err(|errno| {
            ContentError::Open {
                path: host_path.into(),
                source: errno.into(),
            }
        })?;
        Ok(Self {
            directory,
            host_path: host_path.into(),
        })
    }

    /// Returns where the tree is on the host, for messages.
    pub fn host_path(&self) -> &Path {
        &self.host_path
    }

    /// Opens `path` below this root with `flags`, following no symbolic link and never leaving the root.
    ///
    /// # Errors
    /// [`ContentError::Open`] with the kernel's error; `ELOOP` when a component is a symbolic link.
    pub fn open_beneath(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, ContentError> {
        // The tree was written by untrusted code: RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS keep a planted link or a
        // swapped directory from leading outside (openat2(2)).
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let relative = if path.is_root() {
            Path::new(".")
        } else {
            path.as_path()
        };
        rustix::fs::openat2(
            &self.directory,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
        .map_err(|errno| ContentError::Open {
            path: self.host_path.join(path.as_path()),
            source: errno.into(),
        })
    }
}

impl Content {
    /// Returns content held in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            size_bytes: bytes.len() as u64,
            source: Source::Memory(bytes),
        }
    }

    /// Returns the content of the file `path` below `root`, which was seen to be `size_bytes` long.
    pub fn from_file(root: Arc<TreeRoot>, path: TreePath, size_bytes: u64) -> Self {
        Self {
            source: Source::File { root, path },
            size_bytes,
        }
    }

    /// Returns the length in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns where the bytes are, for messages.
    pub fn location(&self) -> PathBuf {
        match &self.source {
            Source::Memory(_) => PathBuf::from("(generated)"),
            Source::File { root, path } => root.host_path.join(path.as_path()),
        }
    }

    /// Opens the content for reading from its start.
    ///
    /// The reader gives exactly [`Content::size_bytes`] bytes or fails, so that an offset a writer has already given
    /// out stays true when the file changes underneath.
    ///
    /// # Errors
    /// [`ContentError::Open`] when the file cannot be opened.
    pub fn open(&self) -> Result<ContentReader, ContentError> {
        let inner = match &self.source {
            Source::Memory(bytes) => Inner::Memory(std::io::Cursor::new(bytes.clone())),
            Source::File { root, path } => {
                // NONBLOCK: a file swapped for a FIFO must not stall the build.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                Inner::File(File::from(root.open_beneath(path, flags)?))
            }
        };
        Ok(ContentReader {
            inner,
            remaining_bytes: self.size_bytes,
            content: self.clone(),
        })
    }

    /// Reads the whole content into memory.
    ///
    /// # Errors
    /// A [`ContentError`] when it cannot be opened or read, or has changed.
    pub fn read_all(&self) -> Result<Vec<u8>, ContentError> {
        if let Source::Memory(bytes) = &self.source {
            return Ok(bytes.to_vec());
        }
        let mut bytes = Vec::new();
        let mut reader = self.open()?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|source| ContentError::Read {
                path: self.location(),
                source,
            })?;
        Ok(bytes)
    }
}

/// Reads a [`Content`] and fails when its length is not what was promised.
#[derive(Debug)]
pub struct ContentReader {
    inner: Inner,
    remaining_bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Inner {
    Memory(std::io::Cursor<Arc<[u8]>>),
    File(File),
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = match &mut self.inner {
            Inner::Memory(cursor) => cursor.read(buffer)?,
            Inner::File(file) => file.read(buffer)?,
        };
        let grew = count as u64 > self.remaining_bytes;
        let shrank = count == 0 && !buffer.is_empty() && self.remaining_bytes > 0;
        if grew || shrank {
            let expected_bytes = self.content.size_bytes;
            let found_bytes = expected_bytes - self.remaining_bytes + count as u64;
            let path = self.content.location();
            return Err(std::io::Error::other(ContentError::Changed {
                path,
                expected_bytes,
                found_bytes,
            }));
        }
        self.remaining_bytes -= count as u64;
        Ok(count)
    }
}
