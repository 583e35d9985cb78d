//! Where paths really lead, for many files of few directories.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Remembers where directories really are, so that links are followed once for each, and not for each file in it.
///
/// What is remembered counts for one reading. Who opens a path follows no link in it, so that one which took the place
/// of a directory meanwhile is refused.
#[derive(Debug, Default)]
pub(crate) struct RealPaths(RefCell<HashMap<PathBuf, PathBuf>>);

impl RealPaths {
    /// Returns the real path of what is there.
    pub(crate) fn of(&self, path: &Path) -> io::Result<PathBuf> {
        match self.beside_others(path) {
            Some(real) => Ok(real),
            None => fs_err::canonicalize(path),
        }
    }

    /// Returns the real path of `path`, of which the end may not exist yet.
    pub(crate) fn of_future(&self, path: &Path) -> PathBuf {
        let mut missing = Vec::new();
        let mut present = path;
        loop {
            if let Ok(mut real) = self.of(present) {
                real.extend(missing.iter().rev());
                return real;
            }
            let (Some(parent), Some(name)) = (present.parent(), present.file_name()) else {
                return path.to_owned();
            };
            missing.push(name);
            present = parent;
        }
    }

    /// Returns the real path of what is no link itself, and is in a directory.
    fn beside_others(&self, path: &Path) -> Option<PathBuf> {
        let directory = path.parent().filter(|_| path.is_absolute())?;
        let mut known = self.0.borrow_mut();
        if !known.contains_key(directory) {
            known.insert(directory.to_owned(), fs_err::canonicalize(directory).ok()?);
        }
        let real = known[directory].join(path.file_name()?);
        let is_link = fs_err::symlink_metadata(&real).ok()?.is_symlink();
        (!is_link).then_some(real)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn real_paths_are_those_of_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs_err::create_dir_all(root.join("a/b")).unwrap();
        fs_err::write(root.join("a/b/file"), "").unwrap();
        symlink("a/b", root.join("link")).unwrap();
        symlink("../b/file", root.join("a/b/to-file")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let real = RealPaths::default();
        // Twice, for the second time is by what is remembered.
        for _ in 0..2 {
            for name in [
                "",
                "a",
                "a/b/file",
                "link",
                "link/file",
                "link/to-file",
                "a/../link/file",
                "a/b/..",
                "dangling",
                "absent",
                "a/b/file/x",
                "absent/x",
            ] {
                let path = root.join(name);
                let expected = fs_err::canonicalize(&path).ok();
                assert_eq!(real.of(&path).ok(), expected, "{name}");
            }
        }
        assert_eq!(
            real.of_future(&root.join("link/absent/x")),
            fs_err::canonicalize(root).unwrap().join("a/b/absent/x")
        );
        assert_eq!(real.of(Path::new(".")).ok(), fs_err::canonicalize(".").ok());
    }
}
