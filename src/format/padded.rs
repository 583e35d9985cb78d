//! An archive in the making: members one after the other, each padded, as tar and cpio have them.

use std::io::{Read, Write};

use crate::tree::{Content, ContentError, TreePath};

/// How much of a file is held at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// An archive cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    #[error("writing the {format} archive")]
    Write {
        format: &'static str,
        source: std::io::Error,
    },
    #[error("adding `/{path}` to the {format} archive")]
    ReadContent {
        format: &'static str,
        path: TreePath,
        source: ContentError,
    },
    #[error("reading `/{path}` for the {format} archive")]
    CopyContent {
        format: &'static str,
        path: TreePath,
        source: std::io::Error,
    },
}

/// Writes an archive and knows how far it has come.
pub(super) struct PaddedArchive<'a> {
    out: &'a mut dyn Write,
    /// What errors call the archive.
    format: &'static str,
    offset_bytes: u64,
}

impl<'a> PaddedArchive<'a> {
    pub(super) fn new(out: &'a mut dyn Write, format: &'static str) -> Self {
        Self {
            out,
            format,
            offset_bytes: 0,
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.offset_bytes += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|source| ArchiveError::Write {
                format: self.format,
                source,
            })
    }

    /// Writes zeros up to the next multiple of `alignment`.
    pub(super) fn pad(&mut self, alignment: u64) -> Result<(), ArchiveError> {
        const ZEROS: [u8; 512] = [0; 512];
        let mut rest = self.offset_bytes.next_multiple_of(alignment) - self.offset_bytes;
        while rest > 0 {
            let length = rest.min(ZEROS.len() as u64);
            self.put(&ZEROS[..usize::try_from(length).unwrap_or(0)])?;
            rest -= length;
        }
        Ok(())
    }

    /// Writes the content of the file at `path`.
    pub(super) fn copy(&mut self, path: &TreePath, content: &Content) -> Result<(), ArchiveError> {
        let mut reader = content.open().map_err(|source| ArchiveError::ReadContent {
            format: self.format,
            path: path.clone(),
            source,
        })?;
        let size = usize::try_from(content.size_bytes()).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; size.clamp(1, CHUNK_BYTES)];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.put(&chunk[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(ArchiveError::CopyContent {
                        format: self.format,
                        path: path.clone(),
                        source,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn padding_ends_at_a_multiple_and_is_none_there() {
        let mut bytes = Vec::new();
        let mut archive = PaddedArchive::new(&mut bytes, "test");
        archive.put(b"abc").unwrap();
        archive.pad(4).unwrap();
        archive.pad(4).unwrap();
        archive.put(b"d").unwrap();
        archive.pad(1024).unwrap();
        let mut expected = b"abc\0d".to_vec();
        expected.resize(1024, 0);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn errors_name_the_format_and_the_entry() {
        let mut bytes = Vec::new();
        let mut archive = PaddedArchive::new(&mut bytes, "test");
        let directory = tempfile::tempdir().unwrap();
        let root = Arc::new(crate::beneath::Directory::open(directory.path()).unwrap());
        let absent = Content::from_file(root, TreePath::new("absent").unwrap(), 4);
        let path = TreePath::new("usr/file").unwrap();
        let error = archive.copy(&path, &absent).unwrap_err();
        assert_eq!(error.to_string(), "adding `/usr/file` to the test archive");
    }
}
