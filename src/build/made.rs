//! An image in the making: layers on disk, and edits of the tree that they show.
//!
//! Stages edit the tree in memory, where nothing is copied. Only when a program must see what they did are the edits
//! laid down, as one more layer of this run.

use std::sync::atomic::{AtomicU32, Ordering};

use super::stack::Stack;
use super::{Builder, Error};
use crate::beneath::Place;
use crate::capture;
use crate::format::directory;
use crate::plan::KeyBuilder;
use crate::store::{Layer, LayerMetadata};
use crate::tree::FileTree;

/// What an image is made of so far.
#[derive(Debug)]
pub(super) struct Made {
    stack: Stack,
    /// What the layers show, once that was asked for.
    captured: Option<FileTree>,
    edited: Option<FileTree>,
}

impl Made {
    /// Returns what these layers show.
    pub(super) fn of_stack(stack: Stack) -> Self {
        Self {
            stack,
            captured: None,
            edited: None,
        }
    }

    /// Returns a tree of which nothing is laid down yet. `epoch_seconds` is the newest build time of anything in it.
    pub(super) fn of_tree(tree: FileTree, epoch_seconds: u64) -> Self {
        Self {
            stack: Stack::empty(epoch_seconds),
            captured: None,
            edited: Some(tree),
        }
    }

    /// Returns the newest build time of anything in the image, in seconds since 1970.
    pub(super) fn epoch_seconds(&self) -> u64 {
        self.stack.epoch_seconds
    }

    /// Returns the tree as it is.
    pub(super) fn tree(&mut self) -> Result<&FileTree, Error> {
        if self.edited.is_none() && self.captured.is_none() {
            self.captured = Some(self.stack.capture()?);
        }
        let tree = self.edited.as_ref().or(self.captured.as_ref());
        Ok(tree.expect("it was captured above"))
    }

    /// Returns the tree for good.
    pub(super) fn into_tree(mut self) -> Result<FileTree, Error> {
        self.tree()?;
        let tree = self.edited.or(self.captured);
        Ok(tree.expect("it was captured above"))
    }

    /// Returns the base trees, if there are any.
    pub(super) fn base(&self) -> Option<&FileTree> {
        self.stack.base()
    }

    /// Changes the tree in memory.
    pub(super) fn edit(
        &mut self,
        edit: impl FnOnce(FileTree) -> Result<FileTree, Error>,
    ) -> Result<(), Error> {
        let tree = match self.edited.take() {
            Some(tree) => tree,
            None => self.tree()?.clone(),
        };
        self.edited = Some(edit(tree)?);
        Ok(())
    }

    /// Returns the layers, with every edit laid down.
    pub(super) fn stack(&mut self, builder: &Builder<'_>) -> Result<&Stack, Error> {
        if let Some(edited) = self.edited.take() {
            let captured = match self.captured.take() {
                Some(captured) => captured,
                None => self.stack.capture()?,
            };
            self.lay_down(builder, &edited, &captured)?;
            // What is on disk is what was edited, but it is to be read from there.
            self.captured = None;
        }
        Ok(&self.stack)
    }

    fn lay_down(
        &mut self,
        builder: &Builder<'_>,
        edited: &FileTree,
        captured: &FileTree,
    ) -> Result<(), Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let delta = edited.delta_over(captured)?;
        if delta.is_empty() && edited.root().is_same_as(captured.root())? {
            return Ok(());
        }
        let deleted = delta.deleted.iter().map(|path| path.as_bytes());
        let key = KeyBuilder::new("edits")
            .field("below", self.stack.key()?.as_str())
            .list("deleted", deleted)
            .tree("tree", &delta.tree)?
            .finish();
        let name = format!("edits-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let place = Place::new(builder.staging.directory(), name.as_ref());
        directory::write_layer(&delta, &place).map_err(|source| Error::LayDown { source })?;
        let layer = Layer {
            tree: place.host_path(),
            metadata: LayerMetadata {
                entry_owners: capture::entry_owners(&delta.tree),
                ..LayerMetadata::default()
            },
        };
        self.stack = self.stack.clone().with_layer(layer, key);
        Ok(())
    }

    /// Replaces the layers by what a step made of them.
    pub(super) fn replace(&mut self, stack: Stack) {
        *self = Self::of_stack(stack);
    }
}
