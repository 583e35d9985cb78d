//! What is to be put on top of one tree so that another is seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{ContentError, Entry, FileTree, HardLinkGroup, TreePath};

/// What makes one tree of another: a layer for overlayfs, in memory.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The entries that are new or changed, with their parent directories.
    pub tree: FileTree,
    /// The topmost names that are gone. Where something else has a directory's name, nothing below it is listed.
    pub deleted: BTreeSet<TreePath>,
}

impl Delta {
    /// Tells whether both trees were the same.
    pub fn is_empty(&self) -> bool {
        self.tree.entry_count() == 1 && self.deleted.is_empty()
    }
}

impl FileTree {
    /// Returns what has to be put on top of `below` to get this tree.
    ///
    /// An entry that differs in its time alone is changed. Of hard links, all names are changed when one is, or when
    /// there are others than below. The root is always there, changed or not.
    ///
    /// # Errors
    /// A [`ContentError`] when a content cannot be read.
    pub fn delta_over(&self, below: &Self) -> Result<Delta, ContentError> {
        let mut changed = BTreeSet::new();
        for (path, entry) in self.iter() {
            let is_same = match below.get(path) {
                Some(found) => found.modified == entry.modified && entry.is_same_as(found)?,
                None => false,
            };
            if !is_same {
                changed.insert(path);
            }
        }
        let (links, links_below) = (linked_names(self), linked_names(below));
        for names in links.difference(&links_below) {
            changed.extend(names.iter().copied());
        }
        // What was linked below is not any more, and must not change with the others.
        for names in links_below.difference(&links) {
            changed.extend(
                names
                    .iter()
                    .filter_map(|name| Some(self.entries.get_key_value(*name)?.0)),
            );
        }
        for names in &links {
            if names.iter().any(|name| changed.contains(name)) {
                changed.extend(names.iter().copied());
            }
        }
        let mut kept = BTreeSet::new();
        for path in changed {
            kept.extend(std::iter::successors(Some(path.clone()), TreePath::parent));
        }
        let is_gone = |(path, _): &(&TreePath, &Entry)| {
            let parent = path.parent();
            let stays = parent.and_then(|parent| self.get(&parent));
            self.get(path).is_none() && stays.is_some_and(Entry::is_directory)
        };
        let deleted: BTreeSet<_> = below
            .iter()
            .filter(is_gone)
            .map(|(path, _)| path.clone())
            .collect();
        // What is deleted needs its directory in the layer.
        for path in &deleted {
            kept.extend(std::iter::successors(path.parent(), TreePath::parent));
        }
        Ok(Delta {
            tree: self.clone().retain(|path, _| kept.contains(path)),
            deleted,
        })
    }
}

/// Returns the names of each inode that has several.
fn linked_names(tree: &FileTree) -> BTreeSet<Vec<&TreePath>> {
    let mut names: BTreeMap<HardLinkGroup, Vec<_>> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if let Some(group) = entry.hard_link {
            names.entry(group).or_default().push(path);
        }
    }
    names
        .into_values()
        .filter(|names| names.len() > 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// Returns a tree of directories (`a/`) and of files with their contents (`a=text`).
    fn tree(names: &[&str]) -> FileTree {
        let mut tree = FileTree::new(Entry::directory(Timestamp::default())).unwrap();
        for name in names {
            let (name, entry) = match name.split_once('=') {
                Some((name, text)) => {
                    let kind = EntryKind::Regular(Content::from_bytes(text.as_bytes()));
                    (name, Entry::new(kind, 0o644, Timestamp::default()))
                }
                None => (
                    name.trim_end_matches('/'),
                    Entry::directory(Timestamp::default()),
                ),
            };
            tree.insert(path(name), entry).unwrap();
        }
        tree
    }

    fn delta(tree: &FileTree, below: &FileTree) -> (Vec<String>, Vec<String>) {
        let delta = tree.delta_over(below).unwrap();
        let kept = delta.tree.iter().skip(1).map(|(path, _)| path.to_string());
        let deleted = delta.deleted.iter().map(ToString::to_string);
        (kept.collect(), deleted.collect())
    }

    #[test]
    fn what_differs_is_kept_with_its_directories_and_what_is_gone_is_named_at_its_top() {
        let below = tree(&[
            "a/",
            "a/same=1",
            "a/other=1",
            "b/",
            "b/c/",
            "b/c/d=1",
            "e/",
            "e/f=1",
        ]);
        let above = tree(&["a/", "a/same=1", "a/other=2", "b/", "e=file", "new/"]);
        let (kept, deleted) = delta(&above, &below);
        assert_eq!(kept, ["a", "a/other", "b", "e", "new"]);
        assert_eq!(deleted, ["b/c"]);
        assert!(above.delta_over(&above).unwrap().is_empty());
    }

    #[test]
    fn a_time_alone_is_a_change() {
        let below = tree(&["a/", "a/b=1"]);
        let mut above = below.clone();
        above.get_mut(&path("a/b")).unwrap().modified = Timestamp::from_seconds(1);
        assert_eq!(delta(&above, &below).0, ["a", "a/b"]);
    }

    #[test]
    fn hard_links_stay_together() {
        let link = |tree: &mut FileTree, names: &[&str]| {
            for name in names {
                tree.get_mut(&path(name)).unwrap().hard_link = Some(HardLinkGroup(1));
            }
        };
        let plain = tree(&["a=1", "b=1", "c=1"]);
        let (mut two, mut three) = (plain.clone(), plain.clone());
        link(&mut two, &["a", "b"]);
        link(&mut three, &["a", "b", "c"]);
        assert_eq!(delta(&two, &two).0, [""; 0]);
        assert_eq!(delta(&two, &plain).0, ["a", "b"]);
        assert_eq!(delta(&three, &two).0, ["a", "b", "c"]);
        // The third name would stay a link of the others.
        assert_eq!(delta(&two, &three).0, ["a", "b", "c"]);
        assert_eq!(delta(&plain, &two).0, ["a", "b"]);
    }
}
