//! How an output takes its place, and how it leaves it.

use std::path::Path;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::outputs::Kind;
use super::{Error, OutputDirectory};
use crate::beneath::{self, Directory, Place};
use crate::format::{directory, oci};
use crate::tree::TreePath;

/// Fails when a file must not take the place of what is at `path`.
///
/// # Errors
/// [`Error::Occupied`] when a directory is there.
pub fn check_file_place(path: &Path) -> Result<(), Error> {
    at(path, check_file).unwrap_or(Ok(()))
}

/// Fails when a directory must not take the place of what is at `path`: nothing but an output of an earlier build
/// gives way to one, since somebody's own files would be gone.
///
/// # Errors
/// [`Error::Occupied`] when anything else is there.
pub fn check_directory_place(path: &Path) -> Result<(), Error> {
    at(path, check_directory).unwrap_or(Ok(()))
}

/// Removes the output at `path`, a file or a directory that a build made, and tells whether there was one.
///
/// # Errors
/// [`Error::Occupied`] for a directory that no build made, [`Error::Remove`] when it cannot be removed.
pub fn remove_output(path: &Path) -> Result<bool, Error> {
    let removed = at(path, |place| -> Result<bool, Error> {
        match found_at(place).map_err(unremoved)? {
            None => return Ok(false),
            Some(FileType::Directory) => {
                check_directory(place)?;
                remove_directory(path)?;
            }
            Some(_) => remove_file(place)?,
        }
        Ok(true)
    });
    match removed {
        Err(error) if error.is_not_found() => Ok(false),
        removed => removed.map_err(unremoved)?,
    }
}

/// Removes the symbolic link at `path`, and tells whether there was one; anything else there is left alone.
///
/// # Errors
/// [`Error::Remove`] when it cannot be removed.
pub fn remove_link(path: &Path) -> Result<bool, Error> {
    let removed = at(path, |place| match found_at(place) {
        Ok(Some(FileType::Symlink)) => remove_file(place).map(|()| true),
        _ => Ok(false),
    });
    removed.unwrap_or(Ok(false))
}

/// Opens the directory that `path` lies in, which a person named or a recipe inside its own, and looks at its last name
/// there.
fn at<T>(path: &Path, look: impl FnOnce(&Place<'_>) -> T) -> Result<T, beneath::Error> {
    let (parent, name) = Place::split(path)?;
    let parent = Directory::open(parent)?;
    Ok(look(&Place::new(&parent, name)))
}

fn found_at(place: &Place<'_>) -> Result<Option<FileType>, beneath::Error> {
    place.directory().file_type(place.name())
}

fn check_file(place: &Place<'_>) -> Result<(), Error> {
    match found_at(place) {
        Ok(Some(FileType::Directory)) => Err(occupied(place)),
        _ => Ok(()),
    }
}

fn check_directory(place: &Place<'_>) -> Result<(), Error> {
    match found_at(place) {
        Ok(Some(_)) if !directory::is_output(place) && !oci::is_output(place) => {
            Err(occupied(place))
        }
        _ => Ok(()),
    }
}

fn occupied(place: &Place<'_>) -> Error {
    let path = place.host_path();
    Error::Occupied { path }
}

fn remove_file(place: &Place<'_>) -> Result<(), Error> {
    place
        .directory()
        .remove_file(place.name())
        .map_err(unremoved)
}

fn unremoved(error: beneath::Error) -> Error {
    Error::Remove {
        path: error.path().into(),
        source: error.into_cause(),
    }
}

/// Removes an output that is a directory by one rename, so that nobody ever sees a part of it.
fn remove_directory(path: &Path) -> Result<(), Error> {
    let (parent, name) = Place::split(path).map_err(unremoved)?;
    OutputDirectory::open(parent)?.remove(name)
}

/// Moves what is at `staged` to `place`.
pub(super) fn put(staged: &Place<'_>, kind: Kind, place: &Place<'_>) -> Result<(), Error> {
    let unplaced = |error: beneath::Error| Error::Place {
        path: place.host_path(),
        source: error.into(),
    };
    match kind {
        Kind::Unchanged => {}
        Kind::Link => match found_at(place).map_err(unplaced)? {
            None | Some(FileType::Symlink) => exchange(staged, place).map_err(unplaced)?,
            // mkosi makes the link only where nothing has its name.
            Some(_) => {}
        },
        Kind::Image { mode } => {
            match found_at(staged).map_err(unplaced)? {
                Some(FileType::Directory) => check_directory(place)?,
                _ => {
                    check_file(place)?;
                    set_mode(staged, mode).map_err(unplaced)?;
                }
            }
            exchange(staged, place).map_err(unplaced)?;
        }
    }
    Ok(())
}

fn set_mode(staged: &Place<'_>, mode: Option<u32>) -> Result<(), beneath::Error> {
    let Some(mode) = mode else {
        return Ok(());
    };
    let file = staged.directory().entry(staged.name())?;
    file.set_mode(Mode::from_raw_mode(mode))
        .map_err(|errno| file.failed("setting the mode of", errno))
}

fn exchange(staged: &Place<'_>, place: &Place<'_>) -> Result<(), beneath::Error> {
    let (from, to) = (staged.directory(), place.directory());
    if found_at(place)?.is_none() {
        return from.rename(staged.name(), to, place.name());
    }
    // A plain rename puts no directory over one that holds something.
    match from.exchange(staged.name(), to, place.name()) {
        Err(error) if matches!(error.errno(), Some(Errno::INVAL | Errno::NOSYS)) => {
            replace(staged, place)
        }
        done => done,
    }
}

/// Replaces what is at `place` where the file system cannot exchange two names: a directory is missing for a moment.
fn replace(staged: &Place<'_>, place: &Place<'_>) -> Result<(), beneath::Error> {
    let (from, to) = (staged.directory(), place.directory());
    let is_directory = |place| found_at(place).map(|found| found == Some(FileType::Directory));
    if !is_directory(staged)? && !is_directory(place)? {
        return from.rename(staged.name(), to, place.name());
    }
    let aside = [staged.name(), b".old"].concat();
    to.rename(place.name(), from, &aside)?;
    // The old output must not go with the staging directory when the new one cannot take its place.
    from.rename(staged.name(), to, place.name())
        .inspect_err(|_| drop(from.rename(&aside, to, place.name())))
}

/// Returns the size of a file; for a directory, of all files below it that can be reached.
pub(super) fn size_of(place: &Place<'_>) -> u64 {
    let Ok(Some(status)) = place.directory().status(place.name()) else {
        return 0;
    };
    let Ok(top) = place.directory().subdirectory(place.name()) else {
        return status.stx_size;
    };
    let mut size_bytes = 0;
    // Directories are opened from the top when their turn comes, so that neither stack nor descriptors grow with depth.
    let mut pending = vec![TreePath::root()];
    while let Some(path) = pending.pop() {
        let Ok(directory) = top.directory(&path) else {
            continue;
        };
        for name in directory.names().unwrap_or_default() {
            match directory.status(&name) {
                Ok(Some(status)) if is_directory(&status) => pending.extend(path.join(&name)),
                Ok(Some(status)) => size_bytes += status.stx_size,
                Ok(None) | Err(_) => {}
            }
        }
    }
    size_bytes
}

fn is_directory(status: &rustix::fs::Statx) -> bool {
    FileType::from_raw_mode(status.stx_mode.into()) == FileType::Directory
}
