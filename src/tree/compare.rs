//! Comparing entries and trees; contents are read last, and only as far as they are equal.

use std::collections::HashMap;

use super::{ContentError, Entry, EntryKind, FileTree};

impl Entry {
    /// Tells whether type, mode, owner, attributes, and content, target or device are those of `other`. Times and hard
    /// links may differ.
    ///
    /// # Errors
    /// A [`ContentError`] when a content cannot be read.
    pub fn is_same_as(&self, other: &Self) -> Result<bool, ContentError> {
        Ok(self.has_metadata_of(other) && self.has_content_of(other)?)
    }

    /// Compares everything but the bytes of files, times and hard links.
    fn has_metadata_of(&self, other: &Self) -> bool {
        let kind_is_same = match (&self.kind, &other.kind) {
            (EntryKind::Directory, EntryKind::Directory)
            | (EntryKind::Fifo, EntryKind::Fifo)
            | (EntryKind::Socket, EntryKind::Socket) => true,
            (EntryKind::Symlink(mine), EntryKind::Symlink(others)) => mine == others,
            (EntryKind::CharacterDevice(mine), EntryKind::CharacterDevice(others))
            | (EntryKind::BlockDevice(mine), EntryKind::BlockDevice(others)) => mine == others,
            (EntryKind::Regular(mine), EntryKind::Regular(others)) => {
                mine.size_bytes() == others.size_bytes()
            }
            _ => false,
        };
        kind_is_same
            && self.mode == other.mode
            && self.uid == other.uid
            && self.gid == other.gid
            && self.xattrs == other.xattrs
    }

    fn has_content_of(&self, other: &Self) -> Result<bool, ContentError> {
        match (&self.kind, &other.kind) {
            (EntryKind::Regular(mine), EntryKind::Regular(others)) => mine.is_same_as(others),
            _ => Ok(true),
        }
    }
}

impl FileTree {
    /// Tells whether `other` has the same names with the same metadata, times, hard links and contents.
    ///
    /// # Errors
    /// A [`ContentError`] when a content cannot be read.
    pub fn is_same_as(&self, other: &Self) -> Result<bool, ContentError> {
        let metadata_is_same = self.entry_count() == other.entry_count()
            && self
                .iter()
                .zip(other.iter())
                .all(|((path, entry), (other_path, other_entry))| {
                    path == other_path
                        && entry.modified == other_entry.modified
                        && entry.has_metadata_of(other_entry)
                })
            && self.groups() == other.groups();
        if !metadata_is_same {
            return Ok(false);
        }
        for ((_, entry), (_, other_entry)) in self.iter().zip(other.iter()) {
            if !entry.has_content_of(other_entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns for each entry the first one that it shares its inode with: how groups are numbered has no meaning.
    fn groups(&self) -> Vec<Option<usize>> {
        let mut first = HashMap::new();
        self.iter()
            .enumerate()
            .map(|(index, (_, entry))| Some(*first.entry(entry.hard_link?).or_insert(index)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::beneath::Directory;
    use crate::tree::{
        Content, DeviceNumber, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath,
    };

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn tree() -> FileTree {
        let then = Timestamp::from_seconds(1000);
        let mut tree = FileTree::new(Entry::directory(then)).unwrap();
        let device = DeviceNumber { major: 1, minor: 3 };
        let kinds = [
            ("device", EntryKind::CharacterDevice(device)),
            ("directory", EntryKind::Directory),
            ("fifo", EntryKind::Fifo),
            ("file", EntryKind::Regular(Content::from_bytes(*b"x"))),
            ("link", EntryKind::Symlink(b"file".to_vec())),
            ("twin", EntryKind::Regular(Content::from_bytes(*b"x"))),
        ];
        for (name, kind) in kinds {
            tree.insert(path(name), Entry::new(kind, 0o755, then))
                .unwrap();
        }
        tree
    }

    fn link(tree: &mut FileTree, group: u64) {
        for name in ["file", "twin"] {
            tree.get_mut(&path(name)).unwrap().hard_link = Some(HardLinkGroup(group));
        }
    }

    #[test]
    fn equal_trees_are_the_same_however_their_hard_links_are_numbered() {
        assert!(tree().is_same_as(&tree()).unwrap());
        let (mut one, mut other) = (tree(), tree());
        link(&mut one, 1);
        link(&mut other, 7);
        assert!(one.is_same_as(&other).unwrap());
        assert!(!one.is_same_as(&tree()).unwrap());
    }

    #[test]
    fn a_file_reached_twice_through_one_directory_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let content = |directory: &std::path::Path, name| {
            let root = Directory::open(directory).unwrap();
            Content::from_file(root.into(), path(name), 1)
        };
        // Neither is there: only reading them would tell.
        let one = content(directory.path(), "a");
        assert!(one.is_same_as(&content(directory.path(), "a")).unwrap());
        assert!(one.is_same_as(&content(directory.path(), "b")).is_err());
        assert!(one.is_same_as(&content(other.path(), "a")).is_err());
    }

    #[test]
    fn every_difference_is_seen() {
        type Change = fn(&mut FileTree);
        fn entry<'a>(tree: &'a mut FileTree, name: &str) -> &'a mut Entry {
            tree.get_mut(&path(name)).unwrap()
        }
        let changes: [(&str, bool, Change); 10] = [
            ("mode", false, |tree| entry(tree, "file").mode = 0o644),
            ("uid", false, |tree| entry(tree, "link").uid = 1),
            ("gid", false, |tree| entry(tree, "directory").gid = 1),
            ("attributes", false, |tree| {
                entry(tree, "file").xattrs = BTreeMap::from([(b"user.x".to_vec(), Vec::new())]);
            }),
            ("size", false, |tree| {
                entry(tree, "file").kind = EntryKind::Regular(Content::from_bytes(*b"xx"));
            }),
            ("content", false, |tree| {
                entry(tree, "file").kind = EntryKind::Regular(Content::from_bytes(*b"y"));
            }),
            ("target", false, |tree| {
                entry(tree, "link").kind = EntryKind::Symlink(b"x".to_vec());
            }),
            ("device", false, |tree| {
                let device = DeviceNumber { major: 1, minor: 3 };
                entry(tree, "device").kind = EntryKind::BlockDevice(device);
            }),
            ("type", false, |tree| {
                entry(tree, "fifo").kind = EntryKind::Socket
            }),
            ("time", true, |tree| {
                entry(tree, "file").modified = Timestamp::from_seconds(1001);
            }),
        ];
        for (what, entries_are_same, change) in changes {
            let mut changed = tree();
            change(&mut changed);
            assert!(!changed.is_same_as(&tree()).unwrap(), "{what}");
            let original = tree();
            let mut entries = changed.iter().zip(original.iter());
            let same = entries.all(|((_, one), (_, other))| one.is_same_as(other).unwrap());
            assert_eq!(same, entries_are_same, "{what}");
        }
        let mut fewer = tree();
        fewer.remove(&path("twin"));
        assert!(!fewer.is_same_as(&tree()).unwrap());
    }
}
