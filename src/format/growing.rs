//! The tree that a reader grows while it walks the directories of an image, which is untrusted.
//!
//! A path and the memory that all of it takes have limits, and a directory has one name. Further names of an inode are
//! copies of the first and become hard links at the end. The readers of all formats share these rules, and say in
//! their own words which inode breaks one.

use std::collections::HashMap;

use super::budget::{Budget, OverBudget};
use crate::tree::{
    Entry, EntryKind, FileTree, HardLinkGroup, InsertError, InvalidTreePath, TreePath,
};

/// `PATH_MAX`; without a limit, deep directories would take memory with the square of the image's size.
const PATH_LIMIT_BYTES: usize = 4096;

/// A tree whose inodes are known by numbers of the image's own.
#[derive(Debug)]
pub(super) struct GrowingTree {
    pub(super) budget: Budget,
    tree: FileTree,
    /// The names of each inode.
    names: HashMap<u64, Vec<TreePath>>,
}

/// Why a name cannot be in the tree.
#[derive(Debug)]
pub(super) enum Misfit {
    /// The inode that it stands for is damaged.
    Inode {
        reason: &'static str,
    },
    Name {
        source: InvalidTreePath,
    },
    Place {
        source: InsertError,
    },
    OverBudget,
}

impl From<OverBudget> for Misfit {
    fn from(OverBudget: OverBudget) -> Self {
        Self::OverBudget
    }
}

impl GrowingTree {
    /// Returns a tree of the root alone, which what follows may take `budget` beside.
    pub(super) fn new(budget: Budget, inode: u64, root: Entry) -> Result<Self, InsertError> {
        Ok(Self {
            budget,
            tree: FileTree::new(root)?,
            names: HashMap::from([(inode, vec![TreePath::root()])]),
        })
    }

    /// Returns the path of `name` in a directory, and takes what an entry there needs.
    pub(super) fn path(&mut self, directory: &TreePath, name: &[u8]) -> Result<TreePath, Misfit> {
        if directory.as_bytes().len() + name.len() >= PATH_LIMIT_BYTES {
            return Err(Misfit::Inode {
                reason: "its path is longer than 4096 bytes",
            });
        }
        let path = directory
            .join(name)
            .map_err(|source| Misfit::Name { source })?;
        self.budget.take_entry(path.as_bytes().len())?;
        Ok(path)
    }

    /// Returns a copy of the entry of an inode that has a name already, which a directory may not have.
    pub(super) fn known(
        &mut self,
        inode: u64,
        is_directory: bool,
    ) -> Result<Option<Entry>, Misfit> {
        let names = self.names.get(&inode);
        let Some(first) = names.and_then(|names| names.first()) else {
            return Ok(None);
        };
        if is_directory {
            return Err(Misfit::Inode {
                reason: "it is a directory with several names",
            });
        }
        let entry = self.tree.get(first).cloned();
        if let Some(entry) = &entry {
            self.budget.take(copied_bytes(entry))?;
        }
        Ok(entry)
    }

    /// Puts a name of an inode into the tree.
    pub(super) fn insert(
        &mut self,
        path: TreePath,
        inode: u64,
        entry: Entry,
    ) -> Result<(), Misfit> {
        self.tree
            .insert(path.clone(), entry)
            .map_err(|source| Misfit::Place { source })?;
        self.names.entry(inode).or_default().push(path);
        Ok(())
    }

    /// Returns the tree, in which inodes with several names have a [`HardLinkGroup`] of their number.
    pub(super) fn finish(mut self) -> FileTree {
        for (inode, names) in self.names.iter().filter(|(_, names)| names.len() > 1) {
            for name in names {
                if let Some(entry) = self.tree.get_mut(name) {
                    entry.hard_link = Some(HardLinkGroup(*inode));
                }
            }
        }
        self.tree
    }
}

/// Returns how much of an entry each of its names holds.
fn copied_bytes(entry: &Entry) -> u64 {
    let xattrs = entry.xattrs.iter();
    let xattr_bytes: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
    let target_bytes = match &entry.kind {
        EntryKind::Symlink(target) => target.len(),
        _ => 0,
    };
    (xattr_bytes + target_bytes) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Timestamp;

    fn growing() -> GrowingTree {
        let root = Entry::directory(Timestamp::default());
        GrowingTree::new(Budget::of(0), 1, root).unwrap()
    }

    fn entry(kind: EntryKind) -> Entry {
        Entry::new(kind, 0o644, Timestamp::default())
    }

    #[test]
    fn names_of_one_inode_become_hard_links() {
        let mut growing = growing();
        for name in ["a", "b"] {
            let path = growing.path(&TreePath::root(), name.as_bytes()).unwrap();
            let known = growing.known(7, false).unwrap();
            assert_eq!(known.is_some(), name == "b");
            let entry = known.unwrap_or_else(|| entry(EntryKind::Fifo));
            growing.insert(path, 7, entry).unwrap();
        }
        let path = growing.path(&TreePath::root(), b"c").unwrap();
        growing.insert(path, 8, entry(EntryKind::Fifo)).unwrap();
        let tree = growing.finish();
        let groups: Vec<_> = tree.iter().map(|(_, entry)| entry.hard_link).collect();
        let group = Some(HardLinkGroup(7));
        assert_eq!(groups, [None, group, group, None]);
    }

    #[test]
    fn root_is_the_name_of_its_inode() {
        let misfit = growing().known(1, true).unwrap_err();
        let expected = "it is a directory with several names";
        assert!(matches!(misfit, Misfit::Inode { reason } if reason == expected));
    }

    #[test]
    fn path_has_at_most_4096_bytes_with_its_nul() {
        let mut growing = growing();
        let mut directory = TreePath::root();
        for _ in 0..15 {
            directory = growing.path(&directory, &[b'd'; 255]).unwrap();
        }
        let path = growing.path(&directory, &[b'n'; 255]).unwrap();
        assert_eq!(path.as_bytes().len(), 4095);
        let deeper = growing.path(&path, b"n").unwrap_err();
        let expected = "its path is longer than 4096 bytes";
        assert!(matches!(deeper, Misfit::Inode { reason } if reason == expected));
    }

    #[test]
    fn copies_take_what_they_hold() {
        let mut growing = growing();
        let target = vec![b't'; 100 << 20];
        growing
            .insert(
                TreePath::new("link").unwrap(),
                7,
                entry(EntryKind::Symlink(target)),
            )
            .unwrap();
        assert!(growing.known(7, false).unwrap().is_some());
        assert!(growing.known(7, false).unwrap().is_some());
        assert!(matches!(growing.known(7, false), Err(Misfit::OverBudget)));
    }
}
