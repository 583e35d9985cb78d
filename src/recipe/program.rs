//! Executable configuration files: what they print is a value. They are untrusted, so somebody else runs them, confined.
//!
//! A program must not see keys, outputs and caches that lie in the recipe's directory, but which these are is known for
//! certain only when the whole recipe has been read, of which the program's value is a part. So the recipe is read again
//! with all of them hidden, until no program has seen one; what came of seeing one is thrown away.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use super::image::{Image, Surroundings};
use super::magic::Names;
use super::settings;
use super::values::Value;

/// Runs the programs of a recipe that print a value.
pub trait ConfigurationPrograms: fmt::Debug {
    /// Runs one, and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be confined, fails or prints too much.
    fn output(
        &self,
        program: &ConfigurationProgram<'_>,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}

/// A program of a recipe. All paths are real, without links.
#[derive(Clone, Copy, Debug)]
pub struct ConfigurationProgram<'a> {
    /// The directory that it may read, with the program somewhere below.
    pub directory: &'a Path,
    pub path: &'a Path,
    /// What it must not see of the directory.
    pub hidden: &'a BTreeSet<PathBuf>,
}

/// Names in a directory of configuration, or the one that programs see, that no program may look into, whatever the settings say. `.git/config` may
/// hold the token that a continuous integration has fetched the sources with.
const PRIVATE_NAMES: [&str; 12] = [
    "mkosi.key",
    "mkosi.passphrase",
    "mkosi.rootpw",
    "mkosi.credentials",
    "mkosi.output",
    "mkosi.cache",
    "mkosi.pkgcache",
    "mkosi.builddir",
    ".git/config",
    ".git/config.worktree",
    ".git/hooks",
    ".git/modules",
];

/// Settings whose paths no program may look into.
const PRIVATE_SETTINGS: [&str; 11] = [
    "VerityKey",
    "SecureBootKey",
    "SignExpectedPcrKey",
    "Passphrase",
    "SshKey",
    "ProxyClientKey",
    "OutputDirectory",
    "CacheDirectory",
    "PackageCacheDirectory",
    "BuildDirectory",
    "WorkspaceDirectory",
];

/// The programs of a recipe while it is read once.
#[derive(Debug)]
pub(super) struct Programs<'a> {
    runner: &'a dyn ConfigurationPrograms,
    /// What is known to be private, as real paths.
    private: BTreeSet<PathBuf>,
    /// The paths that were looked at for it, as they were written.
    noted: BTreeSet<PathBuf>,
    /// What was hidden from every program that has run; `None` when none has.
    hidden_from_all: Option<BTreeSet<PathBuf>>,
}

impl<'a> Programs<'a> {
    pub(super) fn new(runner: &'a dyn ConfigurationPrograms, private: BTreeSet<PathBuf>) -> Self {
        Self {
            runner,
            private,
            noted: BTreeSet::new(),
            hidden_from_all: None,
        }
    }

    /// Notes what is private in a directory of configuration.
    pub(super) fn note_directory(&mut self, directory: &Path, names: &Names) {
        for name in PRIVATE_NAMES {
            let (first, _) = name.split_once('/').unwrap_or((name, ""));
            if names.may_have(first) {
                self.note(&directory.join(name));
            }
        }
    }

    /// Notes what the settings of an image say is private.
    pub(super) fn note_image(&mut self, image: &Image, around: &Surroundings) {
        for name in PRIVATE_SETTINGS {
            for sourced in image.get(settings::known(name), around).unwrap_or_default() {
                if let Value::Path(path) = &sourced.value {
                    self.note(path);
                }
            }
        }
    }

    fn note(&mut self, path: &Path) {
        // Every directory is read with the same values.
        if !self.noted.insert(path.to_owned()) {
            return;
        }
        if let Ok(real) = fs_err::canonicalize(path) {
            self.private.insert(real);
        }
    }

    /// Returns every path that is private if there is something, as it was written.
    pub(super) fn noted(&self) -> &BTreeSet<PathBuf> {
        &self.noted
    }

    /// Runs a program, both paths real.
    pub(super) fn output(
        &mut self,
        path: &Path,
        directory: &Path,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        self.hidden_from_all = Some(match self.hidden_from_all.take() {
            Some(hidden) => hidden.intersection(&self.private).cloned().collect(),
            None => self.private.clone(),
        });
        self.runner.output(&ConfigurationProgram {
            directory,
            path,
            hidden: &self.private,
        })
    }

    /// Returns everything private if a program has seen some of it, and `None` when all is well.
    pub(super) fn seen(self) -> Option<BTreeSet<PathBuf>> {
        let hidden = self.hidden_from_all?;
        (!self.private.is_subset(&hidden)).then_some(self.private)
    }
}
