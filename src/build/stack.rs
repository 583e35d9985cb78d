//! The layers that make up an image's tree, from the bottom up.

use std::cell::OnceCell;
use std::path::PathBuf;

use crate::capture::{self, EntryOwner, LayerDirectory};
use crate::plan::{Key, KeyBuilder};
use crate::store::Layer;
use crate::tree::FileTree;

use super::Error;

/// Layers stacked on each other, with what identifies them.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// From the bottom up.
    layers: Vec<LayerDirectory>,
    base: Option<Base>,
    /// What the stack is made of, once that is known.
    key: OnceCell<Key>,
    /// The newest build time among everything in it, in seconds since 1970.
    pub(super) epoch_seconds: u64,
}

/// The directories at the bottom of a stack that are used in place.
#[derive(Clone, Debug)]
struct Base {
    layer_count: usize,
    tree: FileTree,
}

impl Stack {
    /// Returns a stack of nothing.
    pub(super) fn empty(epoch_seconds: u64) -> Self {
        Self {
            layers: Vec::new(),
            base: None,
            key: KeyBuilder::new("nothing").finish().into(),
            epoch_seconds,
        }
    }

    /// Returns the stack of one layer of the store.
    pub(super) fn of_layer(layer: Layer, key: Key) -> Self {
        let epoch_seconds = layer.metadata.epoch_seconds;
        Self {
            layers: vec![layer_directory(layer)],
            base: None,
            key: key.into(),
            epoch_seconds,
        }
    }

    /// Returns the stack of directories that are used in place, from the bottom up.
    pub(super) fn of_directories(directories: Vec<PathBuf>) -> Result<Self, Error> {
        let layers: Vec<_> = directories
            .into_iter()
            .map(|path| LayerDirectory {
                path,
                entry_owners: Vec::new(),
            })
            .collect();
        let tree = capture::merge(&layers)?;
        let newest = tree
            .iter()
            .map(|(_, entry)| entry.modified.seconds)
            .max()
            .unwrap_or(0);
        Ok(Self {
            base: Some(Base {
                layer_count: layers.len(),
                tree,
            }),
            layers,
            key: OnceCell::new(),
            epoch_seconds: u64::try_from(newest).unwrap_or(0),
        })
    }

    /// Takes `key` for what the stack is made of, where that is known without reading it.
    pub(super) fn known_as(mut self, key: Key) -> Self {
        self.key = key.into();
        self
    }

    /// Puts `layer` on top.
    pub(super) fn with_layer(mut self, layer: Layer, key: Key) -> Self {
        self.epoch_seconds = self.epoch_seconds.max(layer.metadata.epoch_seconds);
        self.layers.push(layer_directory(layer));
        self.key = key.into();
        self
    }

    /// Returns what the stack is made of.
    ///
    /// Nothing is known of how directories that are used in place were made, so their key is a digest of everything in
    /// them; it is taken when it is first asked for, because it takes reading them all.
    pub(super) fn key(&self) -> Result<&Key, Error> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let base = self
            .base
            .as_ref()
            .expect("only directories that are used in place have no key yet");
        let key = KeyBuilder::new("directories")
            .tree("tree", &base.tree)?
            .finish();
        Ok(self.key.get_or_init(|| key))
    }

    /// Returns the tree of the directories that are used in place, if there are any.
    pub(super) fn base(&self) -> Option<&FileTree> {
        self.base.as_ref().map(|base| &base.tree)
    }

    /// Returns the layers above those directories.
    pub(super) fn above_base(&self) -> &[LayerDirectory] {
        let count = self.base.as_ref().map_or(0, |base| base.layer_count);
        &self.layers[count..]
    }

    /// Returns the lower directories for an overlay mount, the topmost first.
    pub(super) fn lowers(&self) -> impl Iterator<Item = PathBuf> {
        self.layers.iter().rev().map(|layer| layer.path.clone())
    }

    /// Returns who owns the links, FIFOs and sockets of the stack, which a step on top of it cannot read from them.
    pub(super) fn entry_owners(&self) -> Result<Vec<EntryOwner>, Error> {
        // Directories that are used in place may hold records of their own.
        let is_recorded = |layer: &LayerDirectory| !layer.entry_owners.is_empty();
        if self.base.is_none() && !self.layers.iter().any(is_recorded) {
            return Ok(Vec::new());
        }
        Ok(capture::entry_owners(&self.capture()?))
    }

    /// Returns the tree that all layers together show.
    pub(super) fn capture(&self) -> Result<FileTree, Error> {
        match &self.base {
            Some(base) if self.above_base().is_empty() => Ok(base.tree.clone()),
            _ => Ok(capture::merge(&self.layers)?),
        }
    }
}

fn layer_directory(layer: Layer) -> LayerDirectory {
    LayerDirectory {
        path: layer.tree,
        entry_owners: layer.metadata.entry_owners,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use super::super::fixture::path;
    use super::{EntryOwner, Key, KeyBuilder, Layer, Stack};
    use crate::store::LayerMetadata;

    fn key(text: &str) -> Key {
        KeyBuilder::new("test").field("text", text).finish()
    }

    fn owner(name: &str, uid: u32) -> EntryOwner {
        EntryOwner {
            path: path(name),
            uid,
            gid: uid,
        }
    }

    /// Returns a layer in which each of `links` is a link, with these owners recorded beside it.
    fn layer(directory: &Path, links: &[&str], entry_owners: Vec<EntryOwner>) -> Layer {
        fs::create_dir(directory).unwrap();
        for link in links {
            fs::os::unix::fs::symlink("x", directory.join(link)).unwrap();
        }
        let metadata = LayerMetadata {
            entry_owners,
            ..LayerMetadata::default()
        };
        Layer {
            tree: directory.into(),
            metadata,
        }
    }

    #[test]
    fn owners_in_force_are_those_of_the_topmost_links() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let lower = layer(
            &place("1"),
            &["a", "b", "c"],
            vec![owner("a", 1), owner("b", 2)],
        );
        let stack = Stack::of_layer(lower, key("1"));
        assert_eq!(
            stack.entry_owners().unwrap(),
            [owner("a", 1), owner("b", 2)]
        );
        let upper = layer(&place("2"), &["b", "c"], vec![owner("c", 3)]);
        let stack = stack.with_layer(upper, key("2"));
        assert_eq!(
            stack.entry_owners().unwrap(),
            [owner("a", 1), owner("c", 3)]
        );
    }

    #[test]
    fn owners_that_a_base_directory_holds_are_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let base = layer(&place("base"), &["a", "b"], Vec::new()).tree;
        let entries = b"\x07\0\0\0\x07\0\0\0\x01a\x08\0\0\0\x08\0\0\0\x01b";
        let none = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&base, "user.overcoat.entries", entries, none).unwrap();
        let upper = layer(&place("upper"), &["a"], Vec::new());
        let stack = Stack::of_directories(vec![base])
            .unwrap()
            .with_layer(upper, key("upper"));
        assert_eq!(stack.entry_owners().unwrap(), [owner("b", 8)]);
        assert_eq!(stack.base().unwrap().entry_count(), 3);
        assert_eq!(stack.above_base().len(), 1);
    }

    #[test]
    fn base_directories_have_the_key_of_what_is_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let key_of = |name: &str, links: &[&str]| {
            let tree = layer(&place(name), links, Vec::new()).tree;
            for below in links
                .iter()
                .map(|link| tree.join(link))
                .chain([tree.clone()])
            {
                let second = rustix::fs::Timespec {
                    tv_sec: 1,
                    tv_nsec: 0,
                };
                let times = rustix::fs::Timestamps {
                    last_access: second,
                    last_modification: second,
                };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(rustix::fs::CWD, below, &times, flags).unwrap();
            }
            let stack = Stack::of_directories(vec![tree]).unwrap();
            assert_eq!(stack.epoch_seconds, 1);
            stack.key().unwrap().clone()
        };
        let key = key_of("one", &["a"]);
        assert_eq!(key_of("same", &["a"]), key);
        assert_ne!(key_of("other", &["b"]), key);
    }
}
