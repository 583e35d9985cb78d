//! What goes into a partition: the files of the image that its definition names, and directories and links besides.

use crate::ddi::Designator;
use crate::recipe::{CopiedFiles, Definition, Excluded};
use crate::tree::{
    self, Entry, EntryKind, FileTree, InsertError, InvalidTreePath, Timestamp, TreePath,
    UnresolvablePath,
};

/// A partition's files cannot be brought together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    #[error("following the links of a path in `{definition}`")]
    FollowLinks {
        definition: String,
        source: UnresolvablePath,
    },
    #[error("putting files together as `{definition}` says")]
    Insert {
        definition: String,
        source: InsertError,
    },
    #[error("joining a path as `{definition}` says")]
    Path {
        definition: String,
        source: InvalidTreePath,
    },
}

/// Directories of a system that never hold files of an image.
const KERNEL: [&str; 4] = ["dev", "proc", "run", "sys"];

/// The files of one partition.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tree: FileTree,
    /// What was named and is not in the image.
    pub(super) missing: Vec<TreePath>,
}

/// Returns what `definition`, one of `all`, says of `image`. What it makes itself is root's and has the time `time`.
pub(super) fn contents(
    definition: &Definition,
    all: &[Definition],
    image: &FileTree,
    time: Timestamp,
) -> Result<Contents, ContentsError> {
    let mut filling = Filling {
        definition,
        image,
        time,
        tree: FileTree::new(Entry::directory(time)).map_err(|source| ContentsError::Insert {
            definition: definition.file_name.clone(),
            source,
        })?,
        missing: Vec::new(),
    };
    for copied in &definition.copied {
        filling.copy(copied, &mount_points(definition, all, copied))?;
    }
    for path in &definition.directories {
        filling.make_directory(path)?;
    }
    for (link, target) in &definition.symlinks {
        let parent = link.parent().unwrap_or_else(TreePath::root);
        let parent = filling.make_directory(&parent)?;
        let path = filling.join(&parent, link.file_name())?;
        let link = EntryKind::Symlink(target.as_bytes().to_vec());
        filling.insert(path, Entry::new(link, 0o777, time))?;
    }
    Ok(Contents {
        tree: filling.tree,
        missing: filling.missing,
    })
}

/// Returns the directories that stay empty in a root file system, because other partitions or the kernel's file systems
/// are mounted there.
fn mount_points(
    definition: &Definition,
    all: &[Definition],
    copied: &CopiedFiles,
) -> Vec<Excluded> {
    if definition.kind.designator != Some(Designator::Root) || !copied.target.is_root() {
        return Vec::new();
    }
    let others = all
        .iter()
        .filter(|other| other.kind.designator != Some(Designator::Root));
    let mounted = others.flat_map(|other| other.kind.mount_points);
    let names = KERNEL.iter().chain(mounted);
    names
        .filter_map(|name| {
            let path = TreePath::new(name).ok()?;
            let path = path
                .components()
                .try_fold(copied.source.clone(), |path, name| path.join(name));
            Some(Excluded {
                path: path.ok()?,
                contents_only: true,
            })
        })
        .collect()
}

fn is_excluded(path: &TreePath, excluded: &[Excluded]) -> bool {
    excluded
        .iter()
        .any(|found| path.starts_with(&found.path) && !(found.contents_only && *path == found.path))
}

struct Filling<'a> {
    definition: &'a Definition,
    image: &'a FileTree,
    time: Timestamp,
    tree: FileTree,
    missing: Vec<TreePath>,
}

impl Filling<'_> {
    fn copy(&mut self, copied: &CopiedFiles, more: &[Excluded]) -> Result<(), ContentsError> {
        let image = self.image;
        let source = image.resolve(&copied.source);
        let Some((source, entry)) = source
            .and_then(|path| Some((image.get(&path)?, path)))
            .map(|(entry, path)| (path, entry))
        else {
            self.missing.push(copied.source.clone());
            return Ok(());
        };
        let is_left_out = |path: &TreePath, target: &TreePath| {
            is_excluded(path, &self.definition.excluded)
                || is_excluded(path, more)
                || is_excluded(target, &self.definition.excluded_targets)
        };
        if !entry.is_directory() {
            if !is_left_out(&source, &copied.target) {
                let parent = copied.target.parent().unwrap_or_else(TreePath::root);
                let parent = self.make_directory(&parent)?;
                let path = self.join(&parent, copied.target.file_name())?;
                self.insert(path, entry.clone())?;
            }
            return Ok(());
        }
        let mut inserted = vec![(copied.target.clone(), entry)];
        let depth = source.components().count();
        for (path, entry) in image.descendants(&source) {
            let mut target = copied.target.clone();
            for name in path.components().skip(depth) {
                target = self.join(&target, name)?;
            }
            if !is_left_out(path, &target) {
                inserted.push((target, entry));
            }
        }
        let parent = copied.target.parent().unwrap_or_else(TreePath::root);
        self.make_directory(&parent)?;
        for (path, entry) in inserted {
            self.insert(path, entry.clone())?;
        }
        Ok(())
    }

    fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), ContentsError> {
        // A directory that is there keeps its contents and gets what the later one has.
        if let Some(found) = self.tree.get_mut(&path)
            && found.is_directory()
            && entry.is_directory()
        {
            *found = entry;
            return Ok(());
        }
        self.tree
            .insert(path, entry)
            .map_err(|source| ContentsError::Insert {
                definition: self.definition.file_name.clone(),
                source,
            })
    }

    fn join(&self, path: &TreePath, name: &[u8]) -> Result<TreePath, ContentsError> {
        path.join(name).map_err(|source| ContentsError::Path {
            definition: self.definition.file_name.clone(),
            source,
        })
    }

    /// Makes a directory and those above it where they are not there, and returns where its links lead.
    fn make_directory(&mut self, path: &TreePath) -> Result<TreePath, ContentsError> {
        let resolved = tree::resolve(path, |path| self.tree.get(path)).map_err(|source| {
            ContentsError::FollowLinks {
                definition: self.definition.file_name.clone(),
                source,
            }
        })?;
        let mut reached = TreePath::root();
        for name in resolved.path.components() {
            reached = self.join(&reached, name)?;
            if self
                .tree
                .get(&reached)
                .is_none_or(|found| !found.is_directory())
            {
                self.insert(reached.clone(), Entry::directory(self.time))?;
            }
        }
        Ok(reached)
    }
}
