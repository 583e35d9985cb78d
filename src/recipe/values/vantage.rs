//! Where a value is written, and what may be looked at to read it.

use std::fmt;
use std::path::{Path, PathBuf};

/// What may be looked at besides the text of a value.
pub(in crate::recipe) trait Outlook: fmt::Debug {
    /// Returns a variable of the caller's environment, `None` when it is not set.
    ///
    /// # Errors
    /// [`Denied`] when nobody granted it.
    fn variable(&self, name: &str) -> Result<Option<String>, Denied>;

    /// Returns whether it may be asked what is at a path.
    fn permits(&self, path: &Path) -> bool;

    /// Reads a file that [`Self::permits`].
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn read(&self, path: &Path) -> std::io::Result<String>;

    /// Takes entries of directories into account that are looked at; false when these are too many.
    fn may_list(&self, entries: usize) -> bool;
}

/// A variable that nobody granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::recipe) struct Denied;

/// Where a value is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::recipe) struct Vantage<'a> {
    /// Where relative paths start.
    pub(in crate::recipe) directory: &'a Path,
    /// `None` looks at the text only, and takes every path for one that is there.
    pub(in crate::recipe) outlook: Option<&'a dyn Outlook>,
}

impl<'a> Vantage<'a> {
    /// A place from where nothing is seen.
    pub(in crate::recipe) fn blind(directory: &'a Path) -> Self {
        Self {
            directory,
            outlook: None,
        }
    }

    /// Returns whether something is known to be missing.
    pub(super) fn lacks(&self, path: &Path) -> bool {
        self.sees(path) && !path.exists()
    }

    /// Returns whether it may be asked what is at a path.
    pub(super) fn sees(&self, path: &Path) -> bool {
        self.outlook.is_some_and(|outlook| outlook.permits(path))
    }
}

/// Text that is not a value of its setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::recipe) enum Refused {
    /// It is another kind of text.
    Value { value: String, expected: String },
    /// A path takes a variable of the caller's environment, which nobody granted.
    Variable { value: String, name: String },
    /// What a path leads to has to be read, and lies where the recipe may not reach.
    Outside { path: PathBuf },
}

impl Refused {
    pub(super) fn new(value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Value {
            value: value.into(),
            expected: expected.into(),
        }
    }
}
