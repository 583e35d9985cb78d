//! Copying a file's content, sharing its blocks where the file system can.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use rustix::io::Errno;

use super::Error;
use crate::tree::{Content, ContentError, ContentReader, TreePath};

/// How much of a file is held where the kernel does not copy it itself.
const CHUNK_BYTES: usize = 128 * 1024;
/// The most that one call is asked to copy: below the kernel's 2 GiB (MAX_RW_COUNT), which it would shorten to.
const RANGE_BYTES: usize = 1 << 30;

/// Copies `content` into the new, empty `file`; `host_path` names it in errors.
pub(super) fn copy(
    path: &TreePath,
    content: &Content,
    file: &File,
    host_path: impl Fn() -> PathBuf,
) -> Result<(), Error> {
    let unreadable = |source| Error::ReadContent {
        path: path.clone(),
        source,
    };
    let failed = |source: std::io::Error| Error::Copy {
        path: host_path(),
        source,
    };
    let mut reader = content.open().map_err(unreadable)?;
    let Some(source) = reader.as_file() else {
        return stream(&mut reader, file).map_err(failed);
    };
    let shared = rustix::fs::ioctl_ficlone(file, source).is_ok();
    if !shared && !copy_range(source, file, content.size_bytes()).map_err(failed)? {
        return stream(&mut reader, file).map_err(failed);
    }
    // Neither of the two went through the reader, which counts.
    let status = rustix::fs::fstat(file).map_err(|errno| failed(errno.into()))?;
    let found_bytes = u64::try_from(status.st_size).unwrap_or(0);
    if found_bytes != content.size_bytes() {
        return Err(unreadable(ContentError::Changed {
            path: content.location(),
            expected_bytes: content.size_bytes(),
            found_bytes,
        }));
    }
    Ok(())
}

/// Copies by copy_file_range(2); false when these two file systems do not offer it and nothing was copied.
///
/// One byte more than expected is asked for, so that a file that grew is noticed and one that grows on ends.
fn copy_range(source: &File, file: &File, expected_bytes: u64) -> Result<bool, std::io::Error> {
    let mut copied_bytes = 0;
    while copied_bytes <= expected_bytes {
        let wanted = usize::try_from(expected_bytes - copied_bytes).unwrap_or(RANGE_BYTES);
        let wanted = wanted.saturating_add(1).min(RANGE_BYTES);
        match rustix::fs::copy_file_range(source, None, file, None, wanted) {
            Ok(0) => break,
            Ok(count) => copied_bytes += count as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
                if copied_bytes == 0 =>
            {
                return Ok(false);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    // Some file systems, of which procfs is one, end at once though there is something to read.
    Ok(copied_bytes > 0)
}

/// Copies by reading and writing; where a whole chunk is zero, the file gets a hole.
fn stream(reader: &mut ContentReader, file: &File) -> Result<(), std::io::Error> {
    let mut writer = file;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut copied_bytes = 0;
    let mut has_hole = false;
    loop {
        let count = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = &chunk[..count];
        has_hole = count == CHUNK_BYTES && bytes.iter().fold(0, |all, byte| all | byte) == 0;
        if has_hole {
            writer.seek(SeekFrom::Start(copied_bytes + count as u64))?;
        } else {
            writer.write_all(bytes)?;
        }
        copied_bytes += count as u64;
    }
    // A hole at the end is there only when the length says so.
    if has_hole {
        file.set_len(copied_bytes)?;
    }
    Ok(())
}
