//! The layers that make up an image's tree, from the bottom up.

use std::cell::OnceCell;
use std::path::PathBuf;

use overcoat_sandbox::{Overlay, Spec};

use crate::capture::{self, LayerDirectory};
use crate::plan::{Key, KeyBuilder};
use crate::store::Layer;
use crate::tree::FileTree;

use super::Error;

/// Layers stacked on each other, with what identifies them.
#[derive(Debug)]
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
#[derive(Debug)]
struct Base {
    layer_count: usize,
    tree: FileTree,
}

impl Stack {
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

    /// Mounts the stack read-only at `inside`.
    pub(super) fn mount_read_only(&self, spec: Spec, inside: &str) -> Spec {
        match self.layers.as_slice() {
            // overlayfs wants an upper directory or two lowers.
            [only] => spec.bind_read_only(&only.path, inside),
            _ => {
                let lowers = self.lowers().collect();
                spec.overlay(
                    inside,
                    &Overlay {
                        lowers,
                        upper: None,
                        work: None,
                    },
                )
            }
        }
    }

    /// Returns the tree that all layers together show.
    pub(super) fn capture(&self) -> Result<FileTree, Error> {
        Ok(capture::merge(&self.layers)?)
    }
}

fn layer_directory(layer: Layer) -> LayerDirectory {
    LayerDirectory {
        path: layer.tree,
        entry_owners: layer.metadata.entry_owners,
    }
}
