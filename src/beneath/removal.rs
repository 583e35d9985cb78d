//! Removal of trees that untrusted programs have made: of any depth and width, with directories that shut out their
//! own owner, and with links that lead outside.
//!
//! A directory that is met inside another is moved to the top of the tree first and emptied there. So neither open
//! descriptors nor the stack grow with the depth of the tree, and every path is one name below a descriptor: no link
//! is followed and no path is too long. A removal that is killed is continued by the next one.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::inode::{magic_link, status_of};
use super::resolution::{self, NO_LINKS_OR_MOUNTS};

/// Removes the file, link or directory `name` of `parent` with everything below it, if it exists.
///
/// # Errors
/// Why the first entry could not be removed, when no other one could either.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    match rustix::fs::unlinkat(parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let mut top = Top {
        directory: open_directory(parent, &name)?,
        moved: 0,
        progressed: false,
        failure: None,
    };
    top.empty()?;
    rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR)
}

/// The directory that is removed, to which the directories below it are moved.
#[derive(Debug)]
struct Top {
    directory: OwnedFd,
    /// How many names were used for moved directories.
    moved: u64,
    /// Whether anything has gone or moved in this pass.
    progressed: bool,
    /// The first thing that went wrong in this pass.
    failure: Option<Errno>,
}

impl Top {
    /// Removes all entries, in as many passes as it takes: moved directories appear behind the reader's position, a
    /// full disk lets a directory be moved only after files have gone, and a dying process may still add some.
    fn empty(&mut self) -> Result<(), Errno> {
        loop {
            (self.progressed, self.failure) = (false, None);
            let mut entries = Entries::of(self.directory.as_fd())?;
            while let Some(name) = entries.next()? {
                let removed = self.remove(&name);
                self.note(removed);
            }
            match self.failure {
                _ if self.progressed => {}
                Some(errno) => return Err(errno),
                None => return Ok(()),
            }
        }
    }

    fn note(&mut self, done: Result<(), Errno>) {
        match done {
            Ok(()) => self.progressed = true,
            Err(errno) => self.failure = self.failure.or(Some(errno)),
        }
    }

    /// Removes the entry `name` of the top directory.
    fn remove(&mut self, name: &CStr) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            done => return done,
        }
        let directory = open_directory(self.directory.as_fd(), name)?;
        let mut entries = Entries::of(directory.as_fd())?;
        while let Some(name) = entries.next()? {
            let removed = match rustix::fs::unlinkat(&directory, &name, AtFlags::empty()) {
                Err(Errno::ISDIR) => self.move_to_top(directory.as_fd(), &name),
                done => done,
            };
            self.note(removed);
        }
        rustix::fs::unlinkat(&self.directory, name, AtFlags::REMOVEDIR)
    }

    /// Removes the directory `name` of `parent` if it is empty, and moves it to the top otherwise.
    fn move_to_top(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            done => return done,
        }
        let mut opened = false;
        loop {
            let new_name = format!("removed-{}", self.moved);
            match rustix::fs::renameat(parent, name, &self.directory, new_name) {
                // What is being removed may have such a name itself.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => self.moved += 1,
                // A directory gets another parent only from someone who may write to it (rename(2)).
                Err(Errno::ACCESS) if !opened => {
                    open_directory(parent, name)?;
                    opened = true;
                }
                done => {
                    self.moved += 1;
                    return done;
                }
            }
        }
    }
}

/// Opens the directory `name` of `parent`, after giving its owner all rights to it. What is mounted there belongs to
/// somebody else, whatever is removed around it.
fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let way = NO_LINKS_OR_MOUNTS;
    let place = resolution::open(parent, name.to_bytes(), flags | OFlags::PATH, way)?;
    let mode = Mode::from_raw_mode(status_of(&place)?.stx_mode.into());
    if !mode.contains(Mode::RWXU) {
        // fchmod(2) takes no O_PATH descriptor, and opening otherwise is what the mode forbids.
        rustix::fs::chmodat(CWD, magic_link(&place), mode | Mode::RWXU, AtFlags::empty())?;
    }
    rustix::fs::openat(&place, c".", flags | OFlags::RDONLY, Mode::empty())
}

/// The names in a directory, without itself and its parent.
#[derive(Debug)]
struct Entries(Dir);

impl Entries {
    fn of(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        Ok(Self(Dir::read_from(directory)?))
    }

    fn next(&mut self) -> Result<Option<CString>, Errno> {
        loop {
            match self.0.read().transpose()? {
                Some(entry) if [c".", c".."].contains(&entry.file_name()) => {}
                entry => return Ok(entry.map(|entry| entry.file_name().to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use fs_err as fs;

    use super::*;
    use crate::beneath::{Directory, Error, Place};

    fn remove_tree(path: &Path) -> Result<(), Error> {
        let (parent, name) = Place::split(path)?;
        Directory::open(parent)?.remove(name.as_encoded_bytes())
    }

    /// Makes a chain of directories in `parent` that is longer than any path may be.
    fn make_chain(parent: &Path, depth: usize, mode: Mode) {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let mut directory = rustix::fs::open(parent, flags, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&directory, c"d", Mode::RWXU).unwrap();
            let next = rustix::fs::openat(&directory, c"d", flags, Mode::empty()).unwrap();
            rustix::fs::openat(
                &next,
                c"file",
                OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::RUSR,
            )
            .unwrap();
            let previous = std::mem::replace(&mut directory, next);
            let link = format!("/proc/self/fd/{}", previous.as_raw_fd());
            rustix::fs::chmodat(CWD, link, mode, AtFlags::empty()).unwrap();
        }
    }

    #[test]
    fn chain_deeper_than_descriptors_and_paths_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        make_chain(&tree, 6000, Mode::RWXU);
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn directories_that_shut_out_their_owner_are_removed() {
        for mode in [0o000, 0o100, 0o400, 0o500, 0o200] {
            let directory = tempfile::tempdir().unwrap();
            let tree = directory.path().join("tree");
            fs::create_dir(&tree).unwrap();
            make_chain(&tree, 5, Mode::from_raw_mode(mode));
            fs::set_permissions(&tree, PermissionsExt::from_mode(mode)).unwrap();
            remove_tree(&tree).unwrap();
            assert!(fs::symlink_metadata(&tree).is_err(), "{mode:o}");
        }
    }

    #[test]
    fn links_are_removed_and_what_they_lead_to_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        fs::set_permissions(&outside, PermissionsExt::from_mode(0o500)).unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("below/more")).unwrap();
        for place in ["a", "below/b", "below/more/c"] {
            symlink(&outside, tree.join(place)).unwrap();
            symlink(outside.join("kept"), tree.join(format!("{place}-file"))).unwrap();
        }
        let link = directory.path().join("link");
        symlink(&outside, &link).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&link).unwrap();
        assert!(!tree.exists());
        assert!(fs::symlink_metadata(&link).is_err());
        assert_eq!(fs::read(outside.join("kept")).unwrap(), b"x");
        assert_eq!(
            fs::metadata(&outside).unwrap().permissions().mode() & 0o7777,
            0o500
        );
    }

    #[test]
    fn names_of_moved_directories_may_be_taken() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for below in ["a/b/c", "removed-0/x/y", "removed-2", "z/removed-1/w"] {
            fs::create_dir_all(tree.join(below)).unwrap();
        }
        fs::write(tree.join("removed-1"), "x").unwrap();
        fs::write(tree.join("a/b/c/file"), "x").unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn ten_thousand_files_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for number in 0..10_000 {
            let below = tree.join(format!("{}/below", number / 10));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(format!("{number}")), "").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn what_does_not_exist_is_removed_already() {
        let directory = tempfile::tempdir().unwrap();
        remove_tree(&directory.path().join("nothing")).unwrap();
    }

    #[test]
    fn root_of_the_file_system_is_refused() {
        assert!(remove_tree(Path::new("/")).is_err());
    }
}
