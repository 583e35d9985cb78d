//! How an output takes its place, and how it leaves it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::outputs::Kind;
use super::{Error, OutputDirectory};
use crate::format::directory;

/// Fails when a file must not take the place of what is at `path`.
///
/// # Errors
/// [`Error::Occupied`] when a directory is there.
pub fn check_file_place(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(Error::Occupied { path: path.into() }),
        _ => Ok(()),
    }
}

/// Fails when a directory must not take the place of what is at `path`: nothing but an output of an earlier build
/// gives way to one, since somebody's own files would be gone.
///
/// # Errors
/// [`Error::Occupied`] when anything else is there.
pub fn check_directory_place(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) if !directory::is_output(path) => Err(Error::Occupied { path: path.into() }),
        _ => Ok(()),
    }
}

/// Removes the output at `path`, a file or a directory that a build made, and tells whether there was one.
///
/// # Errors
/// [`Error::Occupied`] for a directory that no build made, [`Error::Remove`] when it cannot be removed.
pub fn remove_output(path: &Path) -> Result<bool, Error> {
    let failed = |source| Error::Remove {
        path: path.into(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Ok(metadata) if metadata.is_dir() => {
            check_directory_place(path)?;
            remove_directory(path)?;
        }
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    Ok(true)
}

/// Removes the symbolic link at `path`, and tells whether there was one; anything else there is left alone.
///
/// # Errors
/// [`Error::Remove`] when it cannot be removed.
pub fn remove_link(path: &Path) -> Result<bool, Error> {
    if !is_link(path) {
        return Ok(false);
    }
    fs::remove_file(path).map_err(|source| Error::Remove {
        path: path.into(),
        source,
    })?;
    Ok(true)
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Removes an output that is a directory by one rename, so that nobody ever sees a part of it.
fn remove_directory(path: &Path) -> Result<(), Error> {
    let output = OutputDirectory::open(path.parent().unwrap_or(Path::new("")))?;
    output.remove(path)
}

/// Moves what is at `staged` to `path`.
pub(super) fn place(staged: &Path, kind: Kind, path: &Path) -> Result<(), Error> {
    let placed = match kind {
        Kind::Unchanged => Ok(()),
        // mkosi makes the link only where nothing has its name.
        Kind::Link if !is_link(path) && path.exists() => Ok(()),
        Kind::Link => exchange(staged, path),
        Kind::Image { .. } if staged.is_dir() => {
            check_directory_place(path)?;
            exchange(staged, path)
        }
        Kind::Image { mode } => {
            check_file_place(path)?;
            set_mode(staged, mode).and_then(|()| exchange(staged, path))
        }
    };
    placed.map_err(|source| Error::Place {
        path: path.into(),
        source,
    })
}

fn set_mode(staged: &Path, mode: Option<u32>) -> std::io::Result<()> {
    match mode {
        Some(mode) => fs::set_permissions(staged, PermissionsExt::from_mode(mode)),
        None => Ok(()),
    }
}

fn exchange(staged: &Path, path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::rename(staged, path),
        Err(error) => Err(error),
        // A plain rename puts no directory over one that holds something.
        Ok(_) => match renameat_with(CWD, staged, CWD, path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => replace(staged, path),
            Err(errno) => Err(errno.into()),
        },
    }
}

/// Replaces `path` where the file system cannot exchange two names: a directory is missing for a moment.
fn replace(staged: &Path, path: &Path) -> std::io::Result<()> {
    let is_directory = |path| fs::symlink_metadata(path).map(|metadata| metadata.is_dir());
    if !is_directory(staged)? && !is_directory(path)? {
        return fs::rename(staged, path);
    }
    let mut aside = staged.as_os_str().to_owned();
    aside.push(".old");
    fs::rename(path, &aside)?;
    // The old output must not go with the staging directory when the new one cannot take its place.
    fs::rename(staged, path).inspect_err(|_| drop(fs::rename(&aside, path)))
}

/// Returns the size of a file; for a directory, of all files below it.
pub(super) fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}
