//! How much a recipe may make of its files.
//!
//! A few lines and links can stand for more text and more files than any machine has room and time for, so both are
//! counted over all images of a project.

use std::cell::Cell;
use std::io;
use std::path::Path;

use super::discovery::MAX_FILE_BYTES;
use crate::beneath::Inode;

/// How often a file or directory may be read as configuration. The largest recipes have some hundred files.
pub(super) const MOST_FILES: usize = 4096;

/// How many bytes of files may be read, counted each time: values need many times the room of their text.
pub(super) const MOST_READ_BYTES: usize = 16 << 20;

/// How many entries of directories may be looked at for patterns of paths.
pub(super) const MOST_LISTED: usize = 1 << 17;

/// How many values may be assigned: each takes some hundred bytes of memory. The largest recipes have some thousand.
pub(super) const MOST_VALUES: usize = 1 << 17;

/// How many bytes specifiers may add up to.
pub(super) const MOST_EXPANDED_BYTES: usize = 16 << 20;

/// What is left of each.
#[derive(Debug)]
pub(super) struct Bounds {
    files: Cell<usize>,
    read_bytes: Cell<usize>,
    listed: Cell<usize>,
    values: Cell<usize>,
    expanded_bytes: Cell<usize>,
}

/// Whether another file may be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NextFile {
    Permitted,
    /// It is the first too many.
    TooMany,
    /// Reading has ended with an error before.
    Ended,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            files: Cell::new(MOST_FILES + 1),
            read_bytes: Cell::new(MOST_READ_BYTES),
            listed: Cell::new(MOST_LISTED),
            values: Cell::new(MOST_VALUES),
            expanded_bytes: Cell::new(MOST_EXPANDED_BYTES),
        }
    }
}

impl Bounds {
    pub(super) fn next_file(&self) -> NextFile {
        let left = self.files.get();
        self.files.set(left.saturating_sub(1));
        match left {
            0 => NextFile::Ended,
            1 => NextFile::TooMany,
            _ => NextFile::Permitted,
        }
    }

    /// Reads a file at a real path, of which no part is followed if it has become a link.
    ///
    /// # Errors
    /// Whatever keeps it from being read, or that too much has been read before.
    pub(super) fn read(&self, real: &Path) -> io::Result<Vec<u8>> {
        let too_much = || {
            let limit = MOST_READ_BYTES >> 20;
            io::Error::other(format!("more than {limit} MiB of configuration are read"))
        };
        if self.read_bytes.get() == 0 {
            return Err(too_much());
        }
        let bytes = Inode::open_real(real)?.read(MAX_FILE_BYTES)?;
        take(&self.read_bytes, bytes.len())
            .then_some(bytes)
            .ok_or_else(too_much)
    }

    /// Takes entries of directories into account that are looked at; false when these are too many, and from then on.
    pub(super) fn list(&self, entries: usize) -> bool {
        take(&self.listed, entries)
    }

    /// Takes assigned values into account; false when these are too many, and from then on.
    pub(super) fn assign(&self, values: usize) -> bool {
        take(&self.values, values)
    }

    /// Has no further file read.
    pub(super) fn end(&self) {
        self.files.set(0);
    }

    /// Takes what a specifier stands for into account; false when that is too much, and from then on.
    pub(super) fn expand(&self, bytes: usize) -> bool {
        take(&self.expanded_bytes, bytes)
    }

    /// Tells whether specifiers may stand for anything yet.
    pub(super) fn may_expand(&self) -> bool {
        self.expanded_bytes.get() > 0
    }
}

/// Takes `amount` of what is left; false when that is less, of which nothing remains.
fn take(left: &Cell<usize>, amount: usize) -> bool {
    let rest = left.get().checked_sub(amount);
    left.set(rest.unwrap_or(0));
    rest.is_some()
}
