//! Finding a policy in a tree, and labelling a tree by it.

use std::path::{Path, PathBuf};

use super::ATTRIBUTE;
use super::contexts::{FileContexts, InvalidContexts};
use crate::beneath::{self, Inode};
use crate::tree::{self, ContentError, EntryKind, FileTree, TreePath};

/// The largest policies have some hundred thousand bytes; the file is read into memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

const CONFIGURATION: &str = "etc/selinux/config";

/// Labels cannot be taken from a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("opening the file contexts `{path}`")]
    Open {
        path: PathBuf,
        source: beneath::Error,
    },
    #[error("reading the file contexts `{path}`")]
    Read { path: PathBuf, source: ContentError },
    #[error("reading the file contexts `{path}`")]
    ReadFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the file contexts `{path}` as text")]
    Invalid {
        path: PathBuf,
        source: InvalidContexts,
    },
}

/// Returns the contexts of the policy that `tree`, on `base` if it has one, says it uses; `None` when there is no such
/// thing.
///
/// # Errors
/// An [`Error`] when there is one that cannot be read.
pub fn read_policy(
    tree: &FileTree,
    base: Option<&FileTree>,
) -> Result<Option<FileContexts>, Error> {
    let trees = Trees(tree, base);
    let Some(configuration) = trees.read(CONFIGURATION)? else {
        return Ok(None);
    };
    let Some(policy) = policy_name(&configuration) else {
        return Ok(None);
    };
    let file = |end: &str| format!("etc/selinux/{policy}/contexts/files/file_contexts{end}");
    let Some(text) = trees.read(&file(""))? else {
        return Ok(None);
    };
    let mut contexts = FileContexts::default();
    add(&mut contexts, &file(""), &text)?;
    for end in [".homedirs", ".local"] {
        if let Some(text) = trees.read(&file(end))? {
            add(&mut contexts, &file(end), &text)?;
        }
    }
    if let Some(text) = trees.read(&file(".subs_dist"))? {
        contexts.add_distribution_substitutions(&text);
    }
    if let Some(text) = trees.read(&file(".subs"))? {
        contexts.add_substitutions(&text);
    }
    Ok(Some(contexts))
}

/// Returns the contexts of a file on disk.
///
/// # Errors
/// An [`Error`] when it cannot be read.
pub fn read_file(path: &Path) -> Result<FileContexts, Error> {
    let inode = Inode::open(path).map_err(|source| Error::Open {
        path: path.into(),
        source,
    })?;
    let bytes = inode
        .read(MAX_FILE_BYTES)
        .map_err(|error| Error::ReadFile {
            path: path.into(),
            source: error.into(),
        })?;
    let mut contexts = FileContexts::default();
    let text = String::from_utf8_lossy(&bytes);
    contexts.add(&text).map_err(|source| Error::Invalid {
        path: path.into(),
        source,
    })?;
    Ok(contexts)
}

/// Gives every entry of `tree` the label of its path; what is to have none loses one that it has.
#[must_use]
pub fn label(mut tree: FileTree, contexts: &FileContexts) -> FileTree {
    for (path, entry) in tree.iter_mut() {
        let absolute = [b"/", path.as_bytes()].concat();
        match contexts.label(&absolute, &entry.kind) {
            Some(label) => {
                let value = [label.as_bytes(), b"\0"].concat();
                entry.xattrs.insert(ATTRIBUTE.to_vec(), value);
            }
            None => {
                entry.xattrs.remove(ATTRIBUTE);
            }
        }
    }
    share_links(&mut tree);
    tree
}

/// Gives all names of an inode the label of the first one: an inode has one label.
fn share_links(tree: &mut FileTree) {
    let mut labels = std::collections::HashMap::new();
    for (_, entry) in tree.iter_mut() {
        let Some(group) = entry.hard_link else {
            continue;
        };
        let label = labels
            .entry(group)
            .or_insert_with(|| entry.xattrs.get(ATTRIBUTE).cloned());
        match label {
            Some(label) => {
                entry.xattrs.insert(ATTRIBUTE.to_vec(), label.clone());
            }
            None => {
                entry.xattrs.remove(ATTRIBUTE);
            }
        }
    }
}

fn add(contexts: &mut FileContexts, path: &str, text: &str) -> Result<(), Error> {
    contexts.add(text).map_err(|source| Error::Invalid {
        path: path.into(),
        source,
    })
}

/// Returns the value of `SELINUXTYPE=`, when it can be a directory's name.
fn policy_name(configuration: &str) -> Option<&str> {
    let mut values = configuration
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SELINUXTYPE="));
    let name = values.next_back()?.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}

/// A tree on its base.
struct Trees<'a>(&'a FileTree, Option<&'a FileTree>);

impl Trees<'_> {
    /// Returns the text of a regular file behind whatever links, `None` when there is none.
    fn read(&self, path: &str) -> Result<Option<String>, Error> {
        let path = TreePath::new(path).expect("the path was made of plain names");
        let find = |path: &TreePath| {
            let upper = self.0.get(path);
            upper.or_else(|| self.1?.get(path))
        };
        let Ok(found) = tree::resolve(&path, find) else {
            return Ok(None);
        };
        let content = match find(&found.path).map(|entry| &entry.kind) {
            Some(EntryKind::Regular(content)) if content.size_bytes() <= MAX_FILE_BYTES => content,
            _ => return Ok(None),
        };
        let bytes = content.read_all().map_err(|source| Error::Read {
            path: content.location(),
            source,
        })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{label, read_policy};
    use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

    const THEN: Timestamp = Timestamp::from_seconds(0);

    /// Returns a tree of files with contents, and the directories above them.
    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
        for (name, content) in files {
            let path = TreePath::new(name).unwrap();
            let mut parents: Vec<_> = std::iter::successors(path.parent(), TreePath::parent)
                .take_while(|parent| tree.get(parent).is_none())
                .collect();
            while let Some(parent) = parents.pop() {
                tree.insert(parent, Entry::directory(THEN)).unwrap();
            }
            let kind = EntryKind::Regular(Content::from_bytes(content.as_bytes()));
            tree.insert(path, Entry::new(kind, 0o644, THEN)).unwrap();
        }
        tree
    }

    fn labels(tree: &FileTree) -> Vec<String> {
        let label = |(path, entry): (&TreePath, &Entry)| {
            let value = entry.xattrs.get(super::ATTRIBUTE)?;
            Some(format!("/{path} {}", String::from_utf8_lossy(value)))
        };
        tree.iter().filter_map(label).collect()
    }

    const FILES: &str = "etc/selinux/mine/contexts/files/file_contexts";

    #[test]
    fn policy_is_found_in_tree_and_base_with_its_additions() {
        let base = tree(&[
            (
                "etc/selinux/config",
                "SELINUX=enforcing\nSELINUXTYPE=mine\n",
            ),
            (FILES, "/usr(/.*)? u:r:usr_t\n/srv(/.*)? u:r:srv_t\n"),
            (&format!("{FILES}.subs_dist"), "/opt /usr\n"),
        ]);
        let added = tree(&[
            (&format!("{FILES}.local"), "/usr/app u:r:app_t\n"),
            ("opt/x", ""),
            ("usr/app", ""),
        ]);
        let contexts = read_policy(&added, Some(&base)).unwrap().unwrap();
        assert_eq!(
            labels(&label(added, &contexts)),
            [
                "/opt u:r:usr_t\0",
                "/opt/x u:r:usr_t\0",
                "/usr u:r:usr_t\0",
                "/usr/app u:r:app_t\0"
            ]
        );
    }

    #[test]
    fn tree_without_a_policy_has_none() {
        for files in [
            &[][..],
            &[("etc/selinux/config", "SELINUX=disabled\n")],
            &[("etc/selinux/config", "SELINUXTYPE=none\n")],
            &[
                ("etc/selinux/config", "SELINUXTYPE=../../../x\n"),
                (FILES, ""),
            ],
        ] {
            assert!(
                read_policy(&tree(files), None).unwrap().is_none(),
                "{files:?}"
            );
        }
    }

    #[test]
    fn line_that_is_wrong_is_told_with_its_file() {
        let tree = tree(&[
            ("etc/selinux/config", "SELINUXTYPE=mine\n"),
            (FILES, "/usr x\n"),
        ]);
        let error = read_policy(&tree, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("reading the file contexts `{FILES}` as text")
        );
    }

    #[test]
    fn names_of_one_inode_have_one_label_and_stale_labels_go() {
        let mut tree = tree(&[("a", ""), ("b", ""), ("c", "")]);
        for name in ["a", "b"] {
            tree.get_mut(&TreePath::new(name).unwrap())
                .unwrap()
                .hard_link = Some(HardLinkGroup(1));
        }
        let stale = tree.get_mut(&TreePath::new("c").unwrap()).unwrap();
        stale
            .xattrs
            .insert(super::ATTRIBUTE.to_vec(), b"old".to_vec());
        let mut contexts = super::FileContexts::default();
        contexts
            .add("/a u:r:a_t\n/b u:r:b_t\n/c <<none>>\n")
            .unwrap();
        let labelled = label(tree, &contexts);
        assert_eq!(labels(&labelled), ["/a u:r:a_t\0", "/b u:r:a_t\0"]);
        let groups: BTreeSet<_> = labelled.iter().map(|(_, entry)| entry.hard_link).collect();
        assert_eq!(groups.len(), 2);
    }
}
