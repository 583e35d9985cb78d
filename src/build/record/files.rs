//! What the files below a directory were the last time, as git's index has it: whose status is the same is not read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use openssl::sha::Sha256;
use rustix::fs::{FileType, Statx};
use serde::{Deserialize, Serialize};

use super::change::FileChange;
use crate::beneath::{self, Directory, Inode};
use crate::digest::{hexadecimal, sha256_of_file};
use crate::tree::TreePath;

/// A file, link, directory or special file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct File {
    /// Type and permissions.
    mode: u16,
    /// In seconds since 1970.
    modified: i64,
    /// A digest of what is in it, or where it leads.
    content: String,
    /// A digest of its owner and attributes.
    metadata: String,
    status: Status,
}

/// What changes when anything else does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Status {
    inode: u64,
    size_bytes: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

/// Files by where they are below what was named; that itself has the empty name.
pub(super) type Files = BTreeMap<String, File>;

/// Which of the files below a directory count.
pub(super) trait Choice {
    /// Tells whether a path, below what was named, is left out with all that is in it.
    fn is_left_out(&self, path: &TreePath) -> bool;
    /// Tells whether what is in a file matters, and not only that it is there.
    fn counts(&self, path: &TreePath) -> bool;
}

/// All files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Everything;

impl Choice for Everything {
    fn is_left_out(&self, _: &TreePath) -> bool {
        false
    }

    fn counts(&self, _: &TreePath) -> bool {
        true
    }
}

impl File {
    /// Tells whether an image that is no newer than `build_time` is made the same of both.
    fn is_same(&self, other: &Self, build_time: i64) -> bool {
        // Nothing in an image is newer than that.
        let modified = self.modified.min(build_time) == other.modified.min(build_time);
        let content = self.content == other.content && self.metadata == other.metadata;
        self.mode == other.mode && modified && content
    }
}

/// Looks at what is at `path`, by whatever links; nothing when nothing is there.
///
/// `before` is what was found the last time, and `now` the time at which looking began, in seconds since 1970.
pub(super) fn look(
    path: &Path,
    choice: &dyn Choice,
    before: Option<&Files>,
    now: i64,
) -> io::Result<Files> {
    let mut look = Look {
        choice,
        before,
        now,
        found: Files::new(),
    };
    let real = match fs_err::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(look.found),
        Err(error) => return Err(error),
    };
    let inode = Inode::open_real(&real)?;
    let directory = match inode.file_type() {
        FileType::Directory => Some(Directory::open(&real)?),
        _ => None,
    };
    look.inode(&inode, directory, TreePath::root())?;
    Ok(look.found)
}

/// Returns what differs between two looks at a path.
pub(super) fn changed<'a>(
    before: Option<&'a Files>,
    after: Option<&'a Files>,
    build_time: i64,
) -> impl Iterator<Item = (&'a str, FileChange)> {
    let of = |files: Option<&'a Files>, name: &str| files.and_then(|files| files.get(name));
    let names: BTreeSet<&String> = before
        .into_iter()
        .chain(after)
        .flat_map(BTreeMap::keys)
        .collect();
    names.into_iter().filter_map(move |name| {
        let change = match (of(before, name), of(after, name)) {
            (None, _) => FileChange::Added,
            (_, None) => FileChange::Removed,
            (Some(before), Some(after)) if before.is_same(after, build_time) => return None,
            _ => FileChange::Changed,
        };
        Some((name.as_str(), change))
    })
}

struct Look<'a> {
    choice: &'a dyn Choice,
    before: Option<&'a Files>,
    now: i64,
    found: Files,
}

impl Look<'_> {
    fn inode(
        &mut self,
        inode: &Inode,
        directory: Option<Directory>,
        path: TreePath,
    ) -> io::Result<()> {
        if self.choice.counts(&path) {
            let name = text(path.as_bytes());
            let file = self.file(inode, &name)?;
            self.found.insert(name, file);
        }
        let Some(directory) = directory else {
            return Ok(());
        };
        for name in directory.names()? {
            let path = path.join(&name).expect("a name in a directory is one");
            if self.choice.is_left_out(&path) {
                continue;
            }
            let inode = match directory.entry(&name) {
                Err(error) if error.is_not_found() => continue,
                inode => inode?,
            };
            let below = match inode.file_type() {
                FileType::Directory => readable(directory.subdirectory(&name))?,
                _ => None,
            };
            self.inode(&inode, below, path)?;
        }
        Ok(())
    }

    fn file(&self, inode: &Inode, name: &str) -> io::Result<File> {
        let status = status_of(inode.status());
        let mode = inode.status().stx_mode;
        let before = self.before.and_then(|before| before.get(name));
        if let Some(before) = before.filter(|file| file.mode == mode && file.status == status) {
            return Ok(before.clone());
        }
        let content = match inode.file_type() {
            FileType::RegularFile => match readable(inode.open_file())? {
                Some(file) => sha256_of_file(file)?,
                None => "closed".to_owned(),
            },
            FileType::Symlink => hexadecimal(&inode.link_target()?),
            _ => String::new(),
        };
        Ok(File {
            mode,
            modified: status.modified.0,
            content,
            metadata: metadata_of(inode)?,
            // Clocks of file systems are coarse: what changed a moment ago can change again without a trace.
            status: match status.changed.0 >= self.now - 1 {
                true => Status { inode: 0, ..status },
                false => status,
            },
        })
    }
}

/// What the person cannot read is not read by the build either.
fn readable<T>(opened: Result<T, beneath::Error>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.errno() == Some(rustix::io::Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn status_of(status: &Statx) -> Status {
    let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
    Status {
        inode: status.stx_ino,
        // Of a directory it says how its file system keeps it.
        size_bytes: status.stx_size,
        modified: time(status.stx_mtime),
        changed: time(status.stx_ctime),
    }
}

fn metadata_of(inode: &Inode) -> io::Result<String> {
    let mut digest = Sha256::new();
    let status = inode.status();
    digest.update(&status.stx_uid.to_le_bytes());
    digest.update(&status.stx_gid.to_le_bytes());
    let mut names = inode.attribute_names()?;
    names.sort();
    for name in names {
        let value = inode.attribute(&name)?.unwrap_or_default();
        for bytes in [name, value] {
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(&bytes);
        }
    }
    Ok(hexadecimal(&digest.finish()))
}

/// Returns a path as text, another for each.
pub(super) fn text(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains('\\') => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use fs_err as fs;

    use super::{Everything, Files, look};

    /// Long after everything that tests make.
    const LATER: i64 = 1 << 40;

    fn at(directory: &std::path::Path, before: Option<&Files>) -> Files {
        look(directory, &Everything, before, LATER).unwrap()
    }

    fn changed(before: &Files, after: &Files) -> Vec<String> {
        super::changed(Some(before), Some(after), 0)
            .map(|(name, change)| format!("{name} {change:?}"))
            .collect()
    }

    #[test]
    fn content_mode_links_and_names_count_and_times_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::create_dir(place("below")).unwrap();
        for name in ["below/a", "b", "c"] {
            fs::write(place(name), name).unwrap();
        }
        fs::os::unix::fs::symlink("b", place("link")).unwrap();
        let first = at(directory.path(), None);
        let names: Vec<_> = first.keys().map(String::as_str).collect();
        assert_eq!(names, ["", "b", "below", "below/a", "c", "link"]);
        fs::write(place("b"), "b").unwrap();
        assert_eq!(
            changed(&first, &at(directory.path(), Some(&first))).len(),
            0
        );
        fs::write(place("below/a"), "x").unwrap();
        fs::set_permissions(place("c"), std::fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(place("link")).unwrap();
        fs::os::unix::fs::symlink("c", place("link")).unwrap();
        fs::write(place("new"), "").unwrap();
        fs::remove_file(place("b")).unwrap();
        let second = at(directory.path(), Some(&first));
        assert_eq!(
            changed(&first, &second),
            [
                "b Removed",
                "below/a Changed",
                "c Changed",
                "link Changed",
                "new Added"
            ]
        );
    }

    #[test]
    fn what_changed_just_now_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "one").unwrap();
        let now = look(directory.path(), &Everything, None, 0).unwrap();
        assert_eq!(now["file"].status.inode, 0);
        assert_ne!(at(directory.path(), None)["file"].status.inode, 0);
    }

    #[test]
    fn times_before_the_build_are_in_the_image() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "one").unwrap();
        let before = at(directory.path(), None);
        let times = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        let opened = fs::File::options().write(true).open(&file).unwrap();
        opened.into_file().set_times(times).unwrap();
        let after = at(directory.path(), Some(&before));
        assert!(before["file"].is_same(&after["file"], 0));
        assert!(!before["file"].is_same(&after["file"], 1000));
    }

    #[test]
    fn a_file_of_its_own_and_nothing_at_all_can_be_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        assert!(at(&file, None).is_empty());
        fs::write(&file, "one").unwrap();
        assert_eq!(at(&file, None).keys().collect::<Vec<_>>(), [""]);
    }
}
