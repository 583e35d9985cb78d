//! Programs of ours that scripts find first.

use std::io::Write;

use rustix::fs::Mode;

use super::super::Error;
use crate::beneath::Directory;

/// Where they are, inside the sandbox.
pub(super) const DIRECTORY: &str = "/scripts";
/// Where scripts find other programs.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What says why packages do not come and go here: which ones there are is resolved before a script runs, from what was
/// signed, and no script has the network for them.
const NO_PACKAGES: &str = "#!/bin/sh\n\
     echo \"${0##*/}: packages are named by Packages=, BuildPackages=, VolatilePackages= or RemovePackages=\" >&2\n\
     exit 1\n";

/// Each program: its name and its text.
const HELPERS: [(&str, &str); 8] = [
    (
        "mkosi-chroot",
        "#!/bin/sh\n\
         # Runs a command with the image as its root.\n\
         [ $# -gt 0 ] || set -- /bin/sh\n\
         exec env container=mkosi HOME=/ PATH=/usr/bin:/usr/sbin BUILDROOT=/ /usr/sbin/chroot /buildroot \"$@\"\n",
    ),
    (
        "useradd",
        "#!/bin/sh\nexec /usr/sbin/useradd --root /buildroot \"$@\"\n",
    ),
    (
        "mkosi-as-caller",
        // Who builds is root here, and files of the image that are somebody else's are so by a record.
        "#!/bin/sh\nexec \"$@\"\n",
    ),
    ("mkosi-install", NO_PACKAGES),
    ("mkosi-reinstall", NO_PACKAGES),
    ("mkosi-remove", NO_PACKAGES),
    ("mkosi-upgrade", NO_PACKAGES),
    (
        "groupadd",
        "#!/bin/sh\nexec /usr/sbin/groupadd --root /buildroot \"$@\"\n",
    ),
];

/// Writes the programs into the empty `directory`.
pub(super) fn write(directory: &Directory) -> Result<(), Error> {
    for (name, text) in HELPERS {
        write_program(directory, name, text.as_bytes())?;
    }
    Ok(())
}

/// Writes one program, which everybody may run.
pub(super) fn write_program(directory: &Directory, name: &str, text: &[u8]) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut file = directory.create_file(name, Mode::RUSR | Mode::WUSR)?;
        file.write_all(text)?;
        Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o755))?)
    };
    write().map_err(|source| Error::Prepare {
        path: directory.path_of(name),
        source,
    })
}
