//! How much a recipe may make of its files.
//!
//! A few lines and links can stand for more text and more files than any machine has room and time for, so both are
//! counted over all images of a project.

use std::cell::Cell;

/// How often a file or directory may be read as configuration. The largest recipes have some hundred files.
pub(super) const MOST_FILES: usize = 4096;

/// How many bytes specifiers may add up to.
pub(super) const MOST_EXPANDED_BYTES: usize = 16 << 20;

/// What is left of each.
#[derive(Debug)]
pub(super) struct Bounds {
    files: Cell<usize>,
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

    /// Has no further file read.
    pub(super) fn end(&self) {
        self.files.set(0);
    }

    /// Takes what a specifier stands for into account; false when that is too much, and from then on.
    pub(super) fn expand(&self, bytes: usize) -> bool {
        let left = self.expanded_bytes.get().checked_sub(bytes);
        self.expanded_bytes.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Tells whether specifiers may stand for anything yet.
    pub(super) fn may_expand(&self) -> bool {
        self.expanded_bytes.get() > 0
    }
}
