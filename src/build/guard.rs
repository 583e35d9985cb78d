//! What lies above an image's layers while a program works on it.

use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::Error;
use super::finish::BUILD_MACHINE_ID;
use crate::beneath::Directory;
use crate::store::Staging;

/// A directory that keeps maintainer scripts from starting services and from making up a machine id, and that has the
/// places where things are mounted. It is the topmost lower, so nothing of it gets into the captured layer.
pub(super) struct Guard {
    directory: Directory,
    has_machine_id: bool,
}

/// Where things are mounted that are no part of an image.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "tmp", "work"];

impl Guard {
    /// Returns what guards an image from the scripts of packages.
    pub(super) fn for_packages(staging: &Staging) -> Result<Self, Error> {
        let directory = staging.subdirectory("guard")?;
        let machine_id = format!("{BUILD_MACHINE_ID}\n");
        let usr = Self::make_directory(&directory, "usr")?;
        let programs = Self::make_directory(&usr, "sbin")?;
        let etc = Self::make_directory(&directory, "etc")?;
        // Status 101 forbids the action (Debian Policy 9.3.3, invoke-rc.d(8)).
        Self::make_file(&programs, "policy-rc.d", 0o755, "#!/bin/sh\nexit 101\n")?;
        Self::make_file(&etc, "machine-id", 0o444, &machine_id)?;
        Ok(Self {
            directory,
            has_machine_id: true,
        })
    }

    /// Returns the places for what programs need, for those that may change anything of the image.
    pub(super) fn for_programs(staging: &Staging) -> Result<Self, Error> {
        let directory = staging.subdirectory("guard")?;
        for name in MOUNT_POINTS {
            Self::make_directory(&directory, name)?;
        }
        Ok(Self {
            directory,
            has_machine_id: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.host_path()
    }

    /// Returns the machine id that programs see instead of the image's.
    pub(super) fn machine_id(&self) -> Option<PathBuf> {
        self.has_machine_id
            .then(|| self.directory.path_of("etc/machine-id"))
    }

    /// Makes a directory. Copied up, it gives its mode to the layer, so the caller's umask must not show in it.
    fn make_directory(parent: &Directory, name: &str) -> Result<Directory, Error> {
        let made = parent.make_directory(name, Mode::RWXU).and_then(|made| {
            made.set_own_mode(Mode::from_raw_mode(0o755))?;
            Ok(made)
        });
        made.map_err(|error| Error::Prepare {
            path: parent.path_of(name),
            source: error.into(),
        })
    }

    fn make_file(parent: &Directory, name: &str, mode: u32, content: &str) -> Result<(), Error> {
        let make = || -> std::io::Result<()> {
            let mut file = parent.create_file(name, Mode::RUSR | Mode::WUSR)?;
            file.write_all(content.as_bytes())?;
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
        };
        make().map_err(|source| Error::Prepare {
            path: parent.path_of(name),
            source,
        })
    }
}
