//! Where the bytes of a regular file are, and how a writer gets at them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::TreePath;
use crate::beneath::{self, Directory};

/// How much of each file is held to compare two; changing it changes nothing but the number of reads.
const COMPARED_CHUNK_BYTES: usize = 128 * 1024;

/// The bytes of a regular file: held in memory, or read in place from a directory on disk or an image.
#[derive(Clone, Debug)]
pub struct Content {
    source: Source,
    size_bytes: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Arc<[u8]>),
    File {
        root: Arc<Directory>,
        path: TreePath,
    },
    Stored {
        image: Arc<dyn StoredContents>,
        inode: u64,
    },
}

/// An image out of which contents are read, each by the number of its inode.
pub trait StoredContents: fmt::Debug + Send + Sync {
    /// Opens the content of `inode` for reading from its start.
    ///
    /// What is given is untrusted as the image is: whoever reads checks the length.
    ///
    /// # Errors
    /// An error of the reader's, with what is damaged.
    fn open(&self, inode: u64) -> std::io::Result<Box<dyn Read + Send>>;

    /// Opens the content of `inode` for reading from `offset` on.
    ///
    /// # Errors
    /// As [`StoredContents::open`].
    fn open_at(&self, inode: u64, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
        let mut reader = self.open(inode)?;
        std::io::copy(&mut (&mut reader).take(offset), &mut std::io::sink())?;
        Ok(reader)
    }
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

impl From<beneath::Error> for ContentError {
    fn from(error: beneath::Error) -> Self {
        Self::Open {
            path: error.path().into(),
            source: error.into_cause(),
        }
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
    pub fn from_file(root: Arc<Directory>, path: TreePath, size_bytes: u64) -> Self {
        Self {
            source: Source::File { root, path },
            size_bytes,
        }
    }

    /// Returns the content of `inode` in `image`, which says that it is `size_bytes` long.
    pub fn from_image(image: Arc<dyn StoredContents>, inode: u64, size_bytes: u64) -> Self {
        Self {
            source: Source::Stored { image, inode },
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
            Source::File { root, path } => root.path_of(path.as_bytes()),
            Source::Stored { inode, .. } => PathBuf::from(format!("(inode {inode})")),
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
            Source::File { root, path } => Inner::File(root.file(path)?),
            Source::Stored { image, inode } => {
                Inner::Stored(image.open(*inode).map_err(|source| ContentError::Open {
                    path: self.location(),
                    source,
                })?)
            }
        };
        Ok(ContentReader {
            inner,
            remaining_bytes: self.size_bytes,
            content: self.clone(),
        })
    }

    /// Reads from `offset` on, until `room` is full or the content ends, and returns how many bytes that were.
    ///
    /// A writer with several threads reads the parts of a file so, each for itself. Room for a byte more than there is
    /// lets this notice a file that has grown.
    ///
    /// # Errors
    /// A [`ContentError`] when it cannot be opened or read, or has changed.
    pub fn read_part(&self, offset: u64, room: &mut [u8]) -> Result<usize, ContentError> {
        let rest = usize::try_from(self.size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let expected = rest.min(room.len());
        let count = match &self.source {
            Source::Memory(bytes) => {
                let start = bytes.len() - rest;
                room[..expected].copy_from_slice(&bytes[start..start + expected]);
                expected
            }
            _ => self
                .read_part_unchecked(offset, room)
                .map_err(|error| self.unread(error))?,
        };
        if count == expected {
            return Ok(count);
        }
        Err(ContentError::Changed {
            path: self.location(),
            expected_bytes: self.size_bytes,
            found_bytes: offset + count as u64,
        })
    }

    /// Tells whether the file system keeps nothing for `length` bytes at `offset`, which are zeros then.
    ///
    /// It may keep zeros too, so this is for skipping them and decides nothing.
    ///
    /// # Errors
    /// A [`ContentError`] when the content cannot be opened or has changed its length.
    pub fn is_hole(&self, offset: u64, length: usize) -> Result<bool, ContentError> {
        let Source::File { root, path } = &self.source else {
            return Ok(false);
        };
        let file = root.file(path)?;
        let found_bytes = rustix::fs::fstat(&file)
            .map(|status| u64::try_from(status.st_size).unwrap_or_default())
            .map_err(|errno| self.unread(errno.into()))?;
        if found_bytes != self.size_bytes {
            return Err(ContentError::Changed {
                path: self.location(),
                expected_bytes: self.size_bytes,
                found_bytes,
            });
        }
        Ok(match rustix::fs::seek(&file, SeekFrom::Data(offset)) {
            Ok(data) => data >= offset.saturating_add(length as u64),
            // There is no data up to the end.
            Err(Errno::NXIO) => true,
            // Some file systems do not know.
            Err(_) => false,
        })
    }

    /// Reads until `room` is full, the content is complete, or what holds it ends.
    fn read_part_unchecked(&self, offset: u64, room: &mut [u8]) -> std::io::Result<usize> {
        let mut reader = match &self.source {
            Source::Stored { image, inode } => Inner::Stored(image.open_at(*inode, offset)?),
            _ => self.open().map_err(std::io::Error::other)?.inner,
        };
        let mut filled = 0;
        // A regular file gives less than was asked for only at its end, so that mostly one call is enough.
        while filled < room.len() && offset + filled as u64 != self.size_bytes {
            let rest = &mut room[filled..];
            let read = match &mut reader {
                Inner::File(file) => file.read_at(rest, offset + filled as u64),
                Inner::Stored(content) => content.read(rest),
                Inner::Memory(cursor) => cursor.read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Says of which content reading failed.
    fn unread(&self, error: std::io::Error) -> ContentError {
        match error.downcast::<ContentError>() {
            Ok(known) => known,
            Err(source) => ContentError::Read {
                path: self.location(),
                source,
            },
        }
    }

    /// Tells whether `other` holds the same bytes; what is the same file is not read.
    ///
    /// # Errors
    /// A [`ContentError`] when one of them cannot be opened or read, or has changed.
    pub fn is_same_as(&self, other: &Self) -> Result<bool, ContentError> {
        if self.size_bytes != other.size_bytes {
            return Ok(false);
        }
        match (&self.source, &other.source) {
            (Source::Memory(mine), Source::Memory(others)) => return Ok(mine == others),
            (
                Source::File { root, path },
                Source::File {
                    root: other_root,
                    path: other_path,
                },
            ) if path == other_path && is_same_directory(root, other_root) => return Ok(true),
            (
                Source::Stored { image, inode },
                Source::Stored {
                    image: other_image,
                    inode: other_inode,
                },
            ) if Arc::ptr_eq(image, other_image) && inode == other_inode => return Ok(true),
            _ => {}
        }
        let (mut mine, mut others) = (self.open()?, other.open()?);
        let mut my_chunk = vec![0; COMPARED_CHUNK_BYTES];
        let mut other_chunk = vec![0; COMPARED_CHUNK_BYTES];
        loop {
            let my_count = fill(self, &mut mine, &mut my_chunk)?;
            let other_count = fill(other, &mut others, &mut other_chunk)?;
            if my_chunk[..my_count] != other_chunk[..other_count] {
                return Ok(false);
            }
            if my_count < COMPARED_CHUNK_BYTES {
                return Ok(true);
            }
        }
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

/// Tells whether both are handles of one directory; when the kernel does not say, they count as two.
fn is_same_directory(one: &Arc<Directory>, other: &Arc<Directory>) -> bool {
    let number = || one.number().ok();
    Arc::ptr_eq(one, other) || number().is_some_and(|number| other.number().ok() == Some(number))
}

/// Reads until `chunk` is full or the content ends.
fn fill(
    content: &Content,
    reader: &mut ContentReader,
    chunk: &mut [u8],
) -> Result<usize, ContentError> {
    let mut filled = 0;
    while filled < chunk.len() {
        match reader.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(ContentError::Read {
                    path: content.location(),
                    source,
                });
            }
        }
    }
    Ok(filled)
}

/// Reads a [`Content`] and fails when its length is not what was promised.
#[derive(Debug)]
pub struct ContentReader {
    inner: Inner,
    remaining_bytes: u64,
    content: Content,
}

enum Inner {
    Memory(std::io::Cursor<Arc<[u8]>>),
    File(File),
    Stored(Box<dyn Read + Send>),
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::File(_) => "File",
            Self::Stored(_) => "Stored",
        })
    }
}

impl ContentReader {
    /// Returns the file that is read, unless the content is held in memory or lies in an image.
    ///
    /// Whoever takes the bytes past this reader must see to it that there are [`Content::size_bytes`] of them.
    pub fn as_file(&self) -> Option<&File> {
        match &self.inner {
            Inner::Memory(_) | Inner::Stored(_) => None,
            Inner::File(file) => Some(file),
        }
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = match &mut self.inner {
            Inner::Memory(cursor) => cursor.read(buffer)?,
            Inner::File(file) => file.read(buffer)?,
            Inner::Stored(content) => content.read(buffer)?,
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
