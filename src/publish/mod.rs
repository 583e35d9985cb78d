//! Staged outputs move to the output directory; a failed build changes nothing there.
//!
//! Outputs are written below a hidden directory of the output directory, on the same file system, and take their
//! places by rename when the last image is done. A name is exchanged with what was there, so that at every moment it
//! is the old output or the new one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::Hint;
use crate::store::{self, Staging};

/// A directory for outputs, with those of this build that are not yet in place.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    staging: Staging,
    staged: Vec<Staged>,
    left_behind: Vec<store::Error>,
    // After `staging`, which is dropped first and lies in it.
    _hidden: HiddenDirectory,
}

/// The directory in which outputs are staged. It goes when this is dropped, unless another build uses it.
#[derive(Debug)]
struct HiddenDirectory {
    output: PathBuf,
    /// Whether the output directory did not exist before.
    made_output: bool,
}

/// An output that waits for its place.
#[derive(Debug)]
struct Staged {
    image: String,
    name: String,
    path: PathBuf,
    kind: Kind,
    elapsed: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Image {
        mode: Option<u32>,
    },
    /// What was there already is what this build would make.
    Unchanged,
    Link,
}

/// An output that is in its place.
#[derive(Clone, Debug)]
pub struct Published {
    pub image: String,
    pub path: PathBuf,
    /// The size of a file; for a directory, of all files below it.
    pub size_bytes: u64,
    /// How long the image took.
    pub elapsed: Duration,
}

/// Outputs could not be put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("preparing the output directory `{path}`")]
    Prepare {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("preparing the output directory `{path}`")]
    Stage { path: PathBuf, source: store::Error },
    #[error("`{path}` is not a directory")]
    NotDirectory { path: PathBuf },
    #[error("putting `{path}` in place")]
    Place {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("removing `{path}`")]
    Remove {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Prepare { .. } | Self::Stage { .. } => {
                Some("name a directory that you can write to with `OutputDirectory=`".into())
            }
            Self::NotDirectory { .. } => {
                Some("remove it; the build makes a directory there".into())
            }
            Self::Place { .. } | Self::Remove { .. } => None,
        }
    }
}

const HIDDEN: &str = ".overcoat";

impl OutputDirectory {
    /// Opens the directory at `path`, making it when it does not exist, and removes what killed builds left in it.
    ///
    /// # Errors
    /// [`Error::Prepare`] or [`Error::Stage`] when nothing can be written there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        loop {
            let hidden = HiddenDirectory::make(path)?;
            let left_behind = Staging::remove_abandoned(&path.join(HIDDEN));
            let staging = match Staging::create(&path.join(HIDDEN)) {
                Ok(staging) => staging,
                // Another build that ended has removed the directory that we did not use yet.
                Err(error) if is_gone(&error) => continue,
                Err(source) => {
                    return Err(Error::Stage {
                        path: path.into(),
                        source,
                    });
                }
            };
            return Ok(Self {
                path: path.into(),
                staging,
                staged: Vec::new(),
                left_behind,
                _hidden: hidden,
            });
        }
    }

    /// Returns why something that killed builds left behind could not be removed.
    pub fn left_behind(&self) -> &[store::Error] {
        &self.left_behind
    }

    /// Has `write` make the output `name` of `image` at the path that it is given, where nothing exists yet.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn add<T, E>(
        &mut self,
        image: &str,
        name: &str,
        mode: Option<u32>,
        started: Instant,
        write: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.staging.path().join(name);
        let written = write(&path)?;
        let kind = Kind::Image { mode };
        let (image, name, elapsed) = (image.into(), name.into(), started.elapsed());
        self.staged.push(Staged {
            image,
            name,
            path,
            kind,
            elapsed,
        });
        Ok(written)
    }

    /// Returns where the output `name` is or will be.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Leaves the output `name` of `image` as it is.
    pub fn keep(&mut self, image: &str, name: &str, started: Instant) {
        self.staged.push(Staged {
            image: image.into(),
            name: name.into(),
            path: self.path.join(name),
            kind: Kind::Unchanged,
            elapsed: started.elapsed(),
        });
    }

    /// Adds the symbolic link `name` to the output `target`.
    ///
    /// # Errors
    /// [`Error::Place`] when it cannot be made.
    pub fn add_link(&mut self, image: &str, name: &str, target: &str) -> Result<(), Error> {
        let path = self.staging.path().join(name);
        fs::os::unix::fs::symlink(target, &path).map_err(|source| Error::Place {
            path: path.clone(),
            source,
        })?;
        let (image, name) = (image.into(), name.into());
        self.staged.push(Staged {
            image,
            name,
            path,
            kind: Kind::Link,
            elapsed: Duration::ZERO,
        });
        Ok(())
    }

    /// Returns where the output that will be at `path` is now, `None` when this build makes none there.
    pub fn staged(&self, path: &Path) -> Option<PathBuf> {
        self.staged
            .iter()
            .find(|staged| self.path.join(&staged.name) == path)
            .map(|staged| staged.path.clone())
    }

    /// Puts everything in place.
    ///
    /// # Errors
    /// [`Error::Place`] for the first output that cannot be moved; those before it are in place then.
    pub fn publish(self) -> Result<Vec<Published>, Error> {
        let mut published = Vec::new();
        for staged in &self.staged {
            let path = self.path.join(&staged.name);
            let placed = match staged.kind {
                Kind::Unchanged => Ok(()),
                Kind::Image { .. } | Kind::Link => place(staged, &path),
            };
            placed.map_err(|source| Error::Place {
                path: path.clone(),
                source,
            })?;
            if staged.kind != Kind::Link {
                let size_bytes = size_of(&path);
                published.push(Published {
                    image: staged.image.clone(),
                    path,
                    size_bytes,
                    elapsed: staged.elapsed,
                });
            }
        }
        Ok(published)
    }
}

impl HiddenDirectory {
    fn make(output: &Path) -> Result<Self, Error> {
        let hidden = output.join(HIDDEN);
        let made_output = !output.exists();
        fs::create_dir_all(&hidden).map_err(|source| Error::Prepare {
            path: output.into(),
            source,
        })?;
        // A recipe that strangers wrote may come with a link there, and what lies behind it is no business of ours.
        match fs::symlink_metadata(&hidden) {
            Ok(metadata) if !metadata.is_dir() => Err(Error::NotDirectory { path: hidden }),
            _ => Ok(Self {
                output: output.into(),
                made_output,
            }),
        }
    }
}

impl Drop for HiddenDirectory {
    fn drop(&mut self) {
        // Only empty directories go. Another build may be staging beside us; then both stay.
        let _ = fs::remove_dir(self.output.join(HIDDEN));
        if self.made_output {
            let _ = fs::remove_dir(&self.output);
        }
    }
}

fn is_gone(error: &store::Error) -> bool {
    let (store::Error::Lock { source, .. } | store::Error::Stage { source, .. }) = error else {
        return false;
    };
    source.kind() == std::io::ErrorKind::NotFound
}

/// Removes the output at `path`, a file or a whole directory, and tells whether there was one.
///
/// # Errors
/// [`Error::Remove`] when it is there and cannot be removed.
pub fn remove_output(path: &Path) -> Result<bool, Error> {
    let failed = |source| Error::Remove {
        path: path.into(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Ok(metadata) if metadata.is_dir() => remove_directory(path)?,
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    Ok(true)
}

/// Removes an output that is a directory by one rename, so that nobody ever sees a part of it.
fn remove_directory(path: &Path) -> Result<(), Error> {
    let output = OutputDirectory::open(path.parent().unwrap_or(Path::new("")))?;
    fs::rename(path, output.staging.path().join("removed")).map_err(|source| Error::Remove {
        path: path.into(),
        source,
    })?;
    let OutputDirectory {
        staging, _hidden, ..
    } = output;
    staging.remove().map_err(|source| Error::Stage {
        path: path.into(),
        source,
    })
}

fn place(staged: &Staged, path: &Path) -> std::io::Result<()> {
    if let Kind::Image { mode: Some(mode) } = staged.kind
        && staged.path.is_file()
    {
        fs::set_permissions(&staged.path, PermissionsExt::from_mode(mode))?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::rename(&staged.path, path)
        }
        Err(error) => Err(error),
        // A plain rename puts neither a directory in the place of a file nor over one that holds something.
        Ok(_) => match renameat_with(CWD, &staged.path, CWD, path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => replace(&staged.path, path),
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
    fs::rename(staged, path)
}

fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Instant;

    use fs_err as fs;

    use super::{Error, OutputDirectory, remove_output};

    fn add(output: &mut OutputDirectory, name: &str, content: &str) {
        let write = |path: &std::path::Path| {
            fs::write(path, content).unwrap();
            Ok::<(), Infallible>(())
        };
        output
            .add("main", name, Some(0o640), Instant::now(), write)
            .unwrap();
    }

    #[test]
    fn nothing_is_in_place_before_publishing_and_nothing_else_after_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.raw"), "old").unwrap();
        let mut output = OutputDirectory::open(directory.path()).unwrap();
        add(&mut output, "a.raw", "new");
        output.add_link("main", "a", "a.raw").unwrap();
        assert_eq!(fs::read(directory.path().join("a.raw")).unwrap(), b"old");
        assert_eq!(
            fs::read(output.staged(&directory.path().join("a.raw")).unwrap()).unwrap(),
            b"new"
        );
        let published = output.publish().unwrap();
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].size_bytes, 3);
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"new");
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "a.raw"]);
    }

    #[test]
    fn a_directory_takes_the_place_of_a_directory_and_of_a_file() {
        for old_is_directory in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let place = directory.path().join("base");
            if old_is_directory {
                fs::create_dir(&place).unwrap();
                fs::write(place.join("old"), "x").unwrap();
            } else {
                fs::write(&place, "x").unwrap();
            }
            let mut output = OutputDirectory::open(directory.path()).unwrap();
            let write = |path: &std::path::Path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("new"), "12").unwrap();
                Ok::<(), Infallible>(())
            };
            output
                .add("base", "base", None, Instant::now(), write)
                .unwrap();
            assert_eq!(output.publish().unwrap()[0].size_bytes, 2);
            let names: Vec<_> = fs::read_dir(&place)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, ["new"]);
        }
    }

    #[test]
    fn a_kept_output_is_reported_and_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("base")).unwrap();
        fs::write(directory.path().join("base/file"), "123").unwrap();
        let mut output = OutputDirectory::open(directory.path()).unwrap();
        output.keep("base", "base", Instant::now());
        assert_eq!(
            output.staged(&directory.path().join("base")).unwrap(),
            directory.path().join("base")
        );
        assert_eq!(output.publish().unwrap()[0].size_bytes, 3);
        assert_eq!(
            fs::read(directory.path().join("base/file")).unwrap(),
            b"123"
        );
    }

    #[test]
    fn an_unpublished_build_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut output = OutputDirectory::open(directory.path()).unwrap();
        add(&mut output, "a.raw", "new");
        drop(output);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let made = directory.path().join("mkosi.output");
        drop(OutputDirectory::open(&made).unwrap());
        assert!(!made.exists());
    }

    #[test]
    fn builds_that_come_and_go_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mkosi.output");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        drop(OutputDirectory::open(&path).unwrap());
                    }
                });
            }
        });
        assert!(!path.join(super::HIDDEN).exists());
    }

    #[test]
    fn hidden_directory_is_never_a_link_to_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let path = directory.path().join("mkosi.output");
        fs::create_dir(&path).unwrap();
        fs::os::unix::fs::symlink(&outside, path.join(super::HIDDEN)).unwrap();
        assert!(matches!(
            OutputDirectory::open(&path),
            Err(Error::NotDirectory { .. })
        ));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn removed_outputs_are_gone_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("base/below")).unwrap();
        fs::write(directory.path().join("a.raw"), "x").unwrap();
        fs::os::unix::fs::symlink("a.raw", directory.path().join("a")).unwrap();
        for (name, found) in [("base", true), ("a", true), ("nothing", false)] {
            assert_eq!(remove_output(&directory.path().join(name)).unwrap(), found);
        }
        let left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["a.raw"]);
    }
}
