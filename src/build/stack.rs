//! The layers that make up an image's tree, from the bottom up.

use std::path::PathBuf;

use overcoat_sandbox::{Overlay, Spec};

use crate::capture::{self, LayerDirectory};
use crate::plan::{Key, KeyBuilder};
use crate::store::Layer;
use crate::tree::FileTree;

use super::Error;

/// Layers stacked on each other, with what identifies them.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    /// From the bottom up.
    layers: Vec<LayerDirectory>,
    /// What the stack is made of.
    pub(super) key: Key,
    /// The newest build time among everything in it, in seconds since 1970.
    pub(super) epoch_seconds: u64,
}

impl Stack {
    /// Returns the stack of one layer of the store.
    pub(super) fn of_layer(layer: Layer, key: Key) -> Self {
        let epoch_seconds = layer.metadata.epoch_seconds;
        Self {
            layers: vec![layer_directory(layer)],
            key,
            epoch_seconds,
        }
    }

    /// Returns the stack of directories that are used in place, from the bottom up, and the tree they show.
    ///
    /// Nothing is known of how they were made, so the key is a digest of everything in them.
    pub(super) fn of_directories(directories: Vec<PathBuf>) -> Result<(Self, FileTree), Error> {
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
        let key = KeyBuilder::new("directories").tree("tree", &tree)?.finish();
        Ok((
            Self {
                layers,
                key,
                epoch_seconds: u64::try_from(newest).unwrap_or(0),
            },
            tree,
        ))
    }

    /// Puts `layer` on top.
    pub(super) fn with_layer(mut self, layer: Layer, key: Key) -> Self {
        self.epoch_seconds = self.epoch_seconds.max(layer.metadata.epoch_seconds);
        self.layers.push(layer_directory(layer));
        self.key = key;
        self
    }

    /// Returns the layers above the lowest `count`.
    pub(super) fn above(&self, count: usize) -> &[LayerDirectory] {
        &self.layers[count..]
    }

    /// Returns the number of layers.
    pub(super) fn len(&self) -> usize {
        self.layers.len()
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
