//! Reading at positions: what every reader of images stands on, whether the image is a file, memory, or a partition.
//!
//! An image is untrusted and may change while it is read. A reader asks for exact lengths, holds no more than it asked
//! for, and takes bytes that are not there for an error.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom};

/// Bytes of a known length that are read at any position, by several threads at once.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// Returns the length.
    fn size_bytes(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// What reading failed with; [`io::ErrorKind::UnexpectedEof`] when the bytes end before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl dyn ReadAt + '_ {
    /// Returns `length` bytes at `offset`, for which memory is taken only when they are there.
    ///
    /// # Errors
    /// As [`ReadAt::read_exact_at`].
    pub fn bytes_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        check_range(self.size_bytes(), offset, length)?;
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// An image in a file, or on a block device.
pub struct ImageFile {
    file: File,
    path: PathBuf,
    size_bytes: u64,
}

impl ImageFile {
    /// Opens the image that a person named.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::InvalidInput`] for what is neither a regular file nor a block device.
    pub fn open(path: &Path) -> io::Result<Self> {
        // NONBLOCK: a FIFO in the place of an image is not waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let status = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile | FileType::BlockDevice => {}
            _ => {
                let reason = "it is neither a regular file nor a block device";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
        }
        // A block device has no length in its metadata.
        let size_bytes = rustix::fs::seek(&file, SeekFrom::End(0))?;
        Ok(Self {
            file,
            path: path.into(),
            size_bytes,
        })
    }

    /// Returns the path under which it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for ImageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageFile({:?})", self.path)
    }
}

impl ReadAt for ImageFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.size_bytes, offset, buffer.len())?;
        self.file.read_exact_at(buffer, offset)
    }
}

/// An image in memory.
#[derive(Clone)]
pub struct ImageBytes(Arc<[u8]>);

impl ImageBytes {
    /// Takes the bytes of an image.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for ImageBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageBytes({} bytes)", self.0.len())
    }
}

impl ReadAt for ImageBytes {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = check_range(self.size_bytes(), offset, buffer.len())?;
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
}

/// A part of other bytes, such as a partition: what lies outside of it cannot be reached.
#[derive(Clone, Debug)]
pub struct Window {
    outer: Arc<dyn ReadAt>,
    start: u64,
    size_bytes: u64,
}

impl Window {
    /// Returns the `size_bytes` bytes at `start` of `outer`; `None` when it has not as many.
    pub fn new(outer: Arc<dyn ReadAt>, start: u64, size_bytes: u64) -> Option<Self> {
        let end = start.checked_add(size_bytes)?;
        (end <= outer.size_bytes()).then_some(Self {
            outer,
            start,
            size_bytes,
        })
    }
}

impl ReadAt for Window {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.size_bytes, offset, buffer.len())?;
        self.outer.read_exact_at(buffer, self.start + offset)
    }
}

/// Fails for a range that is not within `size_bytes`; returns its start as an index.
fn check_range(size_bytes: u64, offset: u64, length: usize) -> io::Result<usize> {
    let end = offset.checked_add(length as u64);
    match (end, usize::try_from(offset)) {
        (Some(end), Ok(start)) if end <= size_bytes => Ok(start),
        _ => {
            let reason =
                format!("{length} bytes at {offset} are outside of the {size_bytes} there are");
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use super::{ImageBytes, ImageFile, ReadAt, Window};

    fn counting() -> Arc<dyn ReadAt> {
        Arc::new(ImageBytes::new((0..=255).collect::<Vec<u8>>()))
    }

    #[test]
    fn a_window_shows_its_part_and_nothing_else() {
        let window: Arc<dyn ReadAt> = Arc::new(Window::new(counting(), 16, 4).unwrap());
        assert_eq!(window.size_bytes(), 4);
        assert_eq!(window.bytes_at(0, 4).unwrap(), [16, 17, 18, 19]);
        assert_eq!(window.bytes_at(4, 0).unwrap(), [0_u8; 0]);
        for (offset, length) in [(0, 5), (4, 1), (u64::MAX, 1), (u64::MAX - 16, 17)] {
            let refused = window.bytes_at(offset, length).unwrap_err();
            assert_eq!(
                refused.kind(),
                ErrorKind::UnexpectedEof,
                "{offset} {length}"
            );
        }
    }

    #[test]
    fn a_window_is_within_what_it_is_a_part_of() {
        assert!(Window::new(counting(), 0, 256).is_some());
        for (start, size_bytes) in [(0, 257), (257, 0), (u64::MAX, 2)] {
            assert!(Window::new(counting(), start, size_bytes).is_none());
        }
    }

    #[test]
    fn a_length_that_is_not_there_takes_no_memory() {
        let refused = counting().bytes_at(0, usize::MAX).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        fs_err::write(&path, [7; 100]).unwrap();
        let image = ImageFile::open(&path).unwrap();
        assert_eq!(image.size_bytes(), 100);
        fs_err::write(&path, [7; 50]).unwrap();
        let refused = image.read_exact_at(&mut [0; 10], 60).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [directory.path(), &fifo, "/dev/null".as_ref()] {
            let refused = ImageFile::open(path).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{path:?}");
        }
    }
}
