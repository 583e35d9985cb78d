//! Outputs that scripts of the recipe work on, or add to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode};

use super::{Kind, OutputDirectory, Staged};
use crate::beneath::{self, Directory};
use crate::publish::{Error, HIDDEN};

/// Where they are while scripts work on them, in the staging directory.
const HANDED_OUT: &str = ".handed-out";

impl OutputDirectory {
    /// Copies the files that scripts left in `added` to the outputs of `image`, and returns their names. `known` are the
    /// outputs of its last build, which may be replaced.
    ///
    /// # Errors
    /// [`Error::NotFile`] for anything but a file, [`Error::Occupied`] when something else is in its place.
    pub fn add_files(
        &mut self,
        image: &str,
        added: &Directory,
        known: &BTreeSet<String>,
        started: Instant,
    ) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for bytes in added.names().map_err(unplaced)? {
            let name = self.checked(bytes, known)?;
            let entry = added.entry(&name).map_err(unplaced)?;
            if entry.file_type() != FileType::RegularFile {
                return Err(Error::NotFile { name });
            }
            let is_taken = { self.staged.iter() }.any(|staged| staged.name == name);
            if is_taken {
                return Err(Error::Taken { name });
            }
            self.add(image, &name, None, started, |place| {
                let copy = || {
                    let mut from = entry.open_file()?;
                    let mut to = place.create_file(Mode::from_raw_mode(0o666))?;
                    std::io::copy(&mut from, &mut to)
                };
                copy().map_err(|source| Error::Place {
                    path: place.host_path(),
                    source,
                })
            })?;
            names.push(name);
        }
        names.sort();
        Ok(names)
    }

    /// Moves the outputs of `image` into a directory of their own, which scripts may change.
    ///
    /// # Errors
    /// [`Error::Place`] when they cannot be moved.
    pub fn hand_out(&mut self, image: &str) -> Result<Directory, Error> {
        let staging = self.staging.directory();
        let handed = staging
            .make_directory(HANDED_OUT, Mode::RWXU)
            .map_err(unplaced)?;
        for staged in self.staged.iter().filter(|staged| staged.image == image) {
            staging
                .rename(&staged.name, &handed, &staged.name)
                .map_err(unplaced)?;
        }
        Ok(handed)
    }

    /// Moves what was published under `names` into a directory of their own, with which they go when this is dropped.
    ///
    /// # Errors
    /// [`Error::Place`] when something cannot be moved.
    pub fn withdraw(&mut self, names: &BTreeSet<String>) -> Result<Directory, Error> {
        let handed = { self.staging.directory() }
            .make_directory(HANDED_OUT, Mode::RWXU)
            .map_err(unplaced)?;
        for name in names {
            match self.hidden.output().rename(name, &handed, name) {
                Err(error) if error.is_not_found() => {}
                done => done.map_err(unplaced)?,
            }
        }
        Ok(handed)
    }

    /// Puts back what was withdrawn and is still there; whatever else is there is removed.
    ///
    /// # Errors
    /// [`Error::Place`] when something cannot be moved.
    pub fn restore(&mut self, handed: Directory, names: &BTreeSet<String>) -> Result<(), Error> {
        for name in names {
            match handed.rename(name, self.hidden.output(), name) {
                Err(error) if error.is_not_found() => {}
                done => done.map_err(unplaced)?,
            }
        }
        drop(handed);
        self.staging
            .directory()
            .remove(HANDED_OUT)
            .map_err(unplaced)
    }

    /// Takes back what is in the directory that was handed out: what is there now are the outputs of `image`.
    ///
    /// # Errors
    /// [`Error::NotFile`] for what can be no output, [`Error::Occupied`] when something else is in the place of one.
    pub fn take_back(
        &mut self,
        image: &str,
        handed: &Directory,
        known: &BTreeSet<String>,
        started: Instant,
    ) -> Result<(), Error> {
        let (own, others): (Vec<_>, Vec<_>) =
            { self.staged.drain(..) }.partition(|staged| staged.image == image);
        self.staged = others;
        let names = handed.names().map_err(unplaced)?;
        for bytes in names {
            let before = own.iter().find(|staged| staged.name.as_bytes() == bytes);
            let name = match before {
                Some(before) => before.name.clone(),
                None => self.checked(bytes, known)?,
            };
            if { self.staged.iter() }.any(|staged| staged.name == name) {
                return Err(Error::Taken { name });
            }
            let entry = handed.entry(&name).map_err(unplaced)?;
            let kind = match (entry.file_type(), before.map(|before| before.kind)) {
                (FileType::RegularFile, before) => {
                    // Nobody who runs an output becomes whoever has built it.
                    let mode = Mode::from_raw_mode(u32::from(entry.mode() & 0o777));
                    let unset = |errno| entry.failed("changing the mode of", errno);
                    { entry.set_mode(mode) }.map_err(|errno| unplaced(unset(errno)))?;
                    match before {
                        Some(kind @ Kind::Image { .. }) => kind,
                        _ => Kind::Image { mode: None },
                    }
                }
                (FileType::Directory, Some(kind @ Kind::Image { .. })) => kind,
                (FileType::Symlink, Some(Kind::Link)) if is_beside(&entry, handed)? => Kind::Link,
                _ => return Err(Error::NotFile { name }),
            };
            handed
                .rename(&name, self.staging.directory(), &name)
                .map_err(unplaced)?;
            self.staged.push(Staged {
                image: image.into(),
                name,
                kind,
                elapsed: before.map_or(Duration::ZERO, |_| started.elapsed()),
            });
        }
        self.staged.sort_by_key(|staged| staged.image != image);
        self.staging
            .directory()
            .remove_directory(HANDED_OUT)
            .map_err(unplaced)
    }

    /// Returns the name of an output that no setting names, unless something is in its place that no build has made.
    fn checked(&self, bytes: Vec<u8>, known: &BTreeSet<String>) -> Result<String, Error> {
        let name = String::from_utf8(bytes)
            .map_err(|error| error.into_bytes().escape_ascii().to_string())
            .map_err(|name| Error::NotFile { name })?;
        let place = self.place_of(&name);
        let is_there = place.directory().file_type(&name).map_err(unplaced)?;
        if name == HIDDEN || (is_there.is_some() && !known.contains(&name)) {
            return Err(Error::Occupied {
                path: place.host_path(),
            });
        }
        Ok(name)
    }
}

/// Tells whether a link leads to something in its own directory.
fn is_beside(link: &beneath::Inode, directory: &Directory) -> Result<bool, Error> {
    let target = link.link_target().map_err(unplaced)?;
    if target.contains(&b'/') || target.starts_with(b".") {
        return Ok(false);
    }
    let found = directory.file_type(&target).map_err(unplaced)?;
    Ok(matches!(
        found,
        Some(FileType::RegularFile | FileType::Directory)
    ))
}

fn unplaced(error: beneath::Error) -> Error {
    Error::Place {
        path: error.path().into(),
        source: error.into_cause(),
    }
}
