//! A store that a build reads and never changes.

use std::io::{Read, Write};
use std::path::Path;

use openssl::sha::Sha256;
use rustix::fs::Mode;

use super::directory::unprepared;
use super::{Error, IN_USE, Layer, Lock, layer};
use crate::beneath::Directory;
use crate::digest::hexadecimal;
use crate::plan::Key;
use crate::tree::TreePath;

/// The trusted builds' store, for a build that is not trusted.
///
/// What is taken out of it is known by digest: layers by the key of all that they were made of, packages by the digest
/// that repository metadata gives.
#[derive(Debug)]
pub struct TrustedStore {
    root: Directory,
    /// Keeps it from being emptied.
    _in_use: Lock,
}

impl TrustedStore {
    /// Opens the store at `root`, `None` when no build has made one.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::NotDirectory`] when it cannot be opened, [`Error::Lock`] when it cannot be locked.
    pub fn open(root: &Path) -> Result<Option<Self>, Error> {
        // Absolute, because overlay directories are opened by the launcher, whose working directory is another one.
        let Ok(root) = fs_err::canonicalize(root) else {
            return Ok(None);
        };
        let root = Directory::open(&root).map_err(unprepared)?;
        let locks = match root.subdirectory("locks") {
            Err(error) if error.is_not_found() => return Ok(None),
            opened => opened.map_err(unprepared)?,
        };
        let in_use = Lock::share_existing(&locks, IN_USE)?;
        Ok(in_use.map(|in_use| Self {
            root,
            _in_use: in_use,
        }))
    }

    /// Returns the layer of `key`, `None` when no build has made it.
    ///
    /// # Errors
    /// [`Error::ReadLayer`] or [`Error::ParseLayer`] when it is there but unreadable.
    pub fn layer(&self, key: &Key) -> Result<Option<Layer>, Error> {
        match self.root.subdirectory("layers") {
            Err(error) if error.is_not_found() => Ok(None),
            layers => layer::read(&layers.map_err(unprepared)?, key),
        }
    }

    /// Returns the directory with downloaded packages of `target`, `None` when there is none.
    pub fn package_directory(&self, target: &str) -> Option<Directory> {
        let packages = self.root.subdirectory("packages").ok()?;
        packages
            .subdirectory(target)
            .ok()?
            .subdirectory("archives")
            .ok()
    }
}

/// Copies the file `name` in `from`, which others may replace, to `to_name` in `to` if its content has the digest
/// `sha256`; tells whether it has. A link would let whoever may write the one change the other.
///
/// # Errors
/// The kernel's error about what is written. What cannot be read is no such file.
pub(crate) fn copy_if_it_is(
    (from, name): (&Directory, &str),
    (to, to_name): (&Directory, &str),
    size_bytes: u64,
    sha256: &str,
) -> std::io::Result<bool> {
    let Ok(path) = TreePath::new(name.as_bytes()) else {
        return Ok(false);
    };
    let Ok(source) = from.file(&path) else {
        return Ok(false);
    };
    if !source
        .metadata()
        .is_ok_and(|metadata| metadata.len() == size_bytes)
    {
        return Ok(false);
    }
    let mut target = to.create_file(to_name, Mode::from_raw_mode(0o666))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    // A file that grows while it is read is not what it was.
    let mut source = source.take(size_bytes + 1);
    while let Ok(count @ 1..) = source.read(&mut buffer) {
        digest.update(&buffer[..count]);
        target.write_all(&buffer[..count])?;
    }
    // What could not be read to its end has another digest.
    let is_it = hexadecimal(&digest.finish()) == sha256;
    if !is_it {
        to.remove_file(to_name)?;
    }
    Ok(is_it)
}
