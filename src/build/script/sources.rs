//! What scripts see of the recipe's sources, and a digest of it.
//!
//! A script never writes to the directories of who builds: each is the lower of an overlay whose changes are thrown away.
//! What is private (keys, outputs, caches) and lies in them is deleted in a lower above, so that it is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::super::policy::SourcePlace;
use super::super::{Builder, Error};
use crate::beneath::{self, Directory, Place};
use crate::digest::sha256_of_file;
use crate::format::directory;
use crate::plan::{Key, KeyBuilder};
use crate::recipe::{Recipe, TreeSource};
use crate::store::Staging;
use crate::tree::{Delta, Entry, FileTree, Timestamp, TreePath};

/// The sources of one image, as they were looked at.
#[derive(Debug)]
pub(super) struct Sources {
    trees: Vec<Source>,
    digest: Key,
}

#[derive(Debug)]
struct Source {
    /// Real, without links.
    path: PathBuf,
    /// What scripts have written to it, the topmost first.
    above: Vec<PathBuf>,
    below: PathBuf,
    hiding: Delta,
}

impl Sources {
    /// Looks at the sources of `recipe`.
    pub(super) fn look(builder: &Builder<'_>, recipe: &Recipe) -> Result<Self, Error> {
        let paths = recipe.scripts.hidden.iter().chain(&builder.private);
        let hidden: BTreeSet<PathBuf> = paths
            .filter_map(|path| fs_err::canonicalize(path).ok())
            .collect();
        let mut key = KeyBuilder::new("sources");
        let mut trees = Vec::new();
        for TreeSource { source, target } in &recipe.scripts.sources {
            let unread = |source: std::io::Error| Error::ReadSources { source };
            let path = fs_err::canonicalize(source).map_err(unread)?;
            let directory = Directory::open(&path).map_err(|error| unread(error.into()))?;
            let below = target.as_deref().unwrap_or(Path::new(""));
            let below = below.strip_prefix("/").unwrap_or(below).to_owned();
            let mut walk = Walk::new(&path, &hidden);
            walk.directory(&directory, &TreePath::root())?;
            key = key
                .field("below", below.as_os_str().as_bytes())
                .field("tree", walk.key.finish().as_str());
            let mut above = Vec::new();
            for (layer, digest) in builder.synced.above(&path) {
                key = key.field("above", digest.as_str());
                above.push(layer.to_owned());
            }
            trees.push(Source {
                hiding: hiding(&directory, walk.found)?,
                above,
                path,
                below,
            });
        }
        Ok(Self {
            trees,
            digest: key.finish(),
        })
    }

    pub(super) fn digest(&self) -> &Key {
        &self.digest
    }

    /// Makes what the overlays of one step need in a directory of `staging`.
    pub(super) fn places(&self, staging: &Staging) -> Result<Vec<SourcePlace>, Error> {
        let mut places = Vec::new();
        let is_root = |source: &Source| source.below.as_os_str().is_empty();
        if !self.trees.iter().any(is_root) {
            places.push(SourcePlace {
                lowers: vec![staging.subdirectory("no-sources")?.host_path().into()],
                changes: staging.subdirectory("source-changes")?.host_path().into(),
                work: staging.subdirectory("source-work")?.host_path().into(),
                below: PathBuf::new(),
            });
        }
        for (number, source) in self.trees.iter().enumerate() {
            let name = |what: &str| format!("source-{number}-{what}");
            let mut lowers = source.above.clone();
            lowers.push(source.path.clone());
            if !source.hiding.is_empty() {
                let name = name("hiding");
                let place = Place::new(staging.directory(), name.as_ref());
                directory::write_layer(&source.hiding, &place)
                    .map_err(|source| Error::LayDown { source })?;
                lowers.insert(0, place.host_path());
            }
            places.push(SourcePlace {
                lowers,
                changes: staging.subdirectory(&name("changes"))?.host_path().into(),
                work: staging.subdirectory(&name("work"))?.host_path().into(),
                below: source.below.clone(),
            });
        }
        Ok(places)
    }
}

/// Returns a digest of everything in a directory, but times and owners.
pub(super) fn digest_of(directory: &Directory) -> Result<Key, Error> {
    let nothing = BTreeSet::new();
    let mut walk = Walk::new(directory.host_path(), &nothing);
    walk.directory(directory, &TreePath::root())?;
    Ok(walk.key.finish())
}

/// Returns what deletes `paths` of the directory `root`. The directories above keep what they have: theirs is what a
/// merged directory shows.
fn hiding(root: &Directory, paths: BTreeSet<TreePath>) -> Result<Delta, Error> {
    let mut above = BTreeMap::new();
    for path in &paths {
        let mut parent = path.parent();
        while let Some(path) = parent {
            parent = path.parent();
            above.insert(path, ());
        }
    }
    let entry = |path: &TreePath| -> Result<Entry, Error> {
        let status = root
            .directory(path)
            .and_then(|directory| directory.own_status())
            .map_err(unread)?;
        let time = Timestamp::from_seconds(status.stx_mtime.tv_sec);
        let mut entry = Entry::directory(time);
        entry.mode = status.stx_mode & 0o7777;
        Ok(entry)
    };
    let mut tree = FileTree::new(entry(&TreePath::root())?)?;
    for path in above.keys().filter(|path| !path.is_root()) {
        tree.insert(path.clone(), entry(path)?)?;
    }
    Ok(Delta {
        tree,
        deleted: paths,
    })
}

/// Looks at everything below a directory.
struct Walk<'a> {
    root: &'a Path,
    hidden: &'a BTreeSet<PathBuf>,
    key: KeyBuilder,
    /// What is there and hidden.
    found: BTreeSet<TreePath>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, hidden: &'a BTreeSet<PathBuf>) -> Self {
        Self {
            root,
            hidden,
            key: KeyBuilder::new("tree"),
            found: BTreeSet::new(),
        }
    }

    fn directory(&mut self, directory: &Directory, path: &TreePath) -> Result<(), Error> {
        let mut names = directory.names().map_err(unread)?;
        names.sort();
        for name in names {
            let path = path.join(&name).expect("a name in a directory is one");
            if self.is_hidden(&path) {
                self.found.insert(path);
                continue;
            }
            let Some(status) = directory.status(&name).map_err(unread)? else {
                continue;
            };
            self.entry(directory, &name, path, status.stx_mode)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &Directory,
        name: &[u8],
        path: TreePath,
        mode: u16,
    ) -> Result<(), Error> {
        let kind = FileType::from_raw_mode(mode.into());
        let counts = decides(&path);
        if counts {
            self.add(path.as_bytes());
            self.add(&mode.to_le_bytes());
        }
        match kind {
            FileType::Directory => match directory.subdirectory(name) {
                Ok(below) => self.directory(&below, &path)?,
                // Scripts cannot look into it either.
                Err(error) if is_denied(&error) => self.add(b"closed"),
                Err(error) => return Err(unread(error)),
            },
            FileType::RegularFile if counts => {
                let digest = directory
                    .entry(name)
                    .and_then(|inode| inode.open_file())
                    .map(sha256_of_file);
                match digest {
                    Ok(Ok(digest)) => self.add(digest.to_string().as_bytes()),
                    Ok(Err(source)) => return Err(Error::ReadSources { source }),
                    Err(error) if is_denied(&error) => self.add(b"closed"),
                    Err(error) => return Err(unread(error)),
                }
            }
            FileType::Symlink if counts => {
                let target = directory.entry(name).and_then(|inode| inode.link_target());
                self.add(&target.map_err(unread)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) {
        let key = std::mem::replace(&mut self.key, KeyBuilder::new(""));
        self.key = key.field("", bytes);
    }

    /// Tells whether something is private, or the recipe says so.
    fn is_hidden(&self, path: &TreePath) -> bool {
        is_private(path) || self.hidden.contains(&self.root.join(path.as_path()))
    }
}

/// Tells whether a file below the sources is where git keeps addresses with passwords, or what others may run.
pub(in crate::build) fn is_private(path: &TreePath) -> bool {
    below_git(path).is_some_and(|rest| {
        let last = rest.last().is_some_and(|name| name.starts_with(b"config"));
        last || *rest == [b"hooks".as_slice()] || *rest == [b"FETCH_HEAD".as_slice()]
    })
}

/// Returns the names below the directory of git that a path is in.
fn below_git(path: &TreePath) -> Option<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path.components().collect();
    let place = names.iter().position(|name| *name == b".git")?;
    Some(names[place + 1..].to_vec())
}

/// Tells whether a file of the sources decides what scripts do. Of what git keeps beside them only what a commit is
/// called: its index changes whenever somebody asks for the status.
pub(in crate::build) fn decides(path: &TreePath) -> bool {
    match below_git(path).as_deref() {
        None | Some([]) => true,
        Some([b"HEAD" | b"packed-refs"] | [b"refs", ..]) => true,
        Some(_) => false,
    }
}

fn is_denied(error: &beneath::Error) -> bool {
    error.errno() == Some(rustix::io::Errno::ACCESS)
}

fn unread(error: beneath::Error) -> Error {
    Error::ReadSources {
        source: error.into(),
    }
}
