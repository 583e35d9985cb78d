//! Writes a compressed image in one pass.
//!
//! Contents go out as they are compressed, and what is known of them is kept packed; inodes and directories, which say
//! where contents are, come after them, and the superblock at last. The order in an image:
//!
//! ```text
//! superblock ─ packed files' blocks ─ other files' blocks ─ inodes, each with its map ─ shared xattrs ─ directory blocks
//! ```

use std::num::NonZeroUsize;

use super::compressed::{Compression, Parameters, Statistics, Summary};
use super::error::Error;
use super::extent::{self, Extent};
use super::layout::{BLOCK_BYTES, BLOCK_LENGTH};
use super::metadata::Metadata;
use super::node::{self, Node};
use super::plan::{Options, block_number, check};
use super::selection::{Selection, Storage};
use super::work::{self, Packed, PackedExtent, Worker, read_error};
use crate::format::output::ImageOutput;
use crate::format::{duplicates, pipeline};
use crate::tree::{Content, EntryKind, FileTree};

/// Writes the image of `tree` with compressed contents; what it becomes does not depend on the number of `workers`.
///
/// # Errors
/// An [`Error`] that names what cannot be expressed, read, compressed or written.
pub fn write_compressed(
    tree: &FileTree,
    options: &Options,
    compression: &Compression,
    workers: NonZeroUsize,
    out: &mut dyn ImageOutput,
) -> Result<Summary, Error> {
    check(options)?;
    let parameters = Parameters::new(compression)?;
    let (nodes, shared_xattrs) = node::nodes(tree, options.build_time)?;
    let originals = match parameters.shares_blocks {
        true => originals(&nodes, workers)?,
        false => Vec::new(),
    };
    let selection = Selection::new(&nodes, &originals, &parameters);

    out.write_all(&[0; BLOCK_LENGTH])
        .map_err(|source| Error::Write { source })?;
    let mut contents = Contents::new(&nodes, selection.storage.clone(), &parameters, out);
    pipeline::in_order(
        workers,
        selection.jobs(&nodes),
        || Worker::new(&nodes, &parameters),
        |worker, job, packed| worker.work(&job, packed),
        |packed: &mut Packed| contents.take(packed),
    )?;
    let stored = contents.stored;
    let statistics = stored.statistics(&nodes);

    let packed_bytes = selection.packed_bytes;
    let metadata = Metadata::new(nodes, shared_xattrs, stored, packed_bytes, &parameters)?;
    metadata.write(options, out)?;
    Ok(Summary {
        kernel: metadata.kernel(),
        size_bytes: metadata.size_bytes(),
        statistics,
    })
}

/// Returns for each of `nodes` the first that has the same contents, which may be itself.
fn originals(nodes: &[Node<'_>], workers: NonZeroUsize) -> Result<Vec<usize>, Error> {
    let files: Vec<(usize, &Content)> = nodes
        .iter()
        .enumerate()
        .filter_map(|(index, node)| match &node.tree.entry.kind {
            EntryKind::Regular(content) => Some((index, content)),
            _ => None,
        })
        .collect();
    let contents: Vec<&Content> = files.iter().map(|(_, content)| *content).collect();
    let found = duplicates::originals(&contents, workers)
        .map_err(|error| read_error(nodes[files[error.file].0].tree.path, error.source))?;
    let mut originals: Vec<usize> = (0..nodes.len()).collect();
    for ((index, _), original) in files.iter().zip(found) {
        originals[*index] = files[original].0;
    }
    Ok(originals)
}

/// Where all contents are.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) storage: Vec<Storage>,
    pub(super) extents: Vec<Extent>,
    pub(super) packed: Vec<Extent>,
    /// Where the next block goes.
    pub(super) end_block: u32,
    compressed_blocks: u64,
    plain_blocks: u64,
}

/// Gives extents their places and writes them.
struct Contents<'w, 'n, 'a> {
    out: &'w mut dyn ImageOutput,
    nodes: &'n [Node<'a>],
    parameters: &'n Parameters,
    stored: Stored,
    /// Where a block of zeros is, once there was one.
    zeros: Option<Extent>,
}

impl<'w, 'n, 'a> Contents<'w, 'n, 'a> {
    fn new(
        nodes: &'n [Node<'a>],
        storage: Vec<Storage>,
        parameters: &'n Parameters,
        out: &'w mut dyn ImageOutput,
    ) -> Self {
        Self {
            out,
            nodes,
            parameters,
            stored: Stored {
                storage,
                // The first block is the superblock's.
                end_block: 1,
                ..Stored::default()
            },
            zeros: None,
        }
    }

    /// Writes the blocks of a job and notes where its extents are.
    fn take(&mut self, packed: &mut Packed) -> Result<(), Error> {
        if let Some(failure) = packed.failure.take() {
            return Err(failure);
        }
        for found in &packed.extents {
            if found.blocks == 0 && self.zeros.is_none() {
                self.zeros = Some(self.write_zeros(found)?);
            }
        }
        for found in &packed.extents {
            let extent = match (found.blocks, self.zeros) {
                (0, Some(zeros)) => zeros,
                _ => self.place(found)?,
            };
            self.add(found.inode, extent);
        }
        self.write(packed.blocks())
    }

    /// Gives an extent the next place.
    fn place(&mut self, found: &PackedExtent) -> Result<Extent, Error> {
        let extent = Extent {
            first_block: self.stored.end_block,
            blocks: found.blocks,
            clusters: found.clusters,
            repetitions: 1,
        };
        let end = u64::from(extent.first_block) + u64::from(extent.blocks);
        self.stored.end_block = block_number(end).ok_or_else(|| Error::ImageTooLarge {
            path: self.nodes[found.inode.unwrap_or_default()]
                .tree
                .path
                .clone(),
        })?;
        match extent.is_compressed() {
            true => self.stored.compressed_blocks += 1,
            false => self.stored.plain_blocks += 1,
        }
        Ok(extent)
    }

    /// Adds an extent to its file, whose extents come one after the other.
    fn add(&mut self, inode: Option<usize>, extent: Extent) {
        let Some(inode) = inode else {
            self.stored.packed.push(extent);
            return;
        };
        let extents = &mut self.stored.extents;
        let first = match self.stored.storage[inode] {
            Storage::Extents { first, .. } => first,
            _ => extents.len(),
        };
        extent::push(extents, first, extent);
        self.stored.storage[inode] = Storage::Extents {
            first,
            count: extents.len() - first,
        };
    }

    /// Writes the block of zeros that `found` is the first of.
    fn write_zeros(&mut self, found: &PackedExtent) -> Result<Extent, Error> {
        let failed = |source| Error::Codec { source };
        let mut compressor = self.parameters.compressor().map_err(failed)?;
        let zeros = vec![0; self.parameters.block_length];
        let mut room = zeros.clone();
        let blocks = work::compress(&mut compressor, &zeros, &mut room).map_err(failed)?;
        let blocks = u16::try_from(blocks).expect("they are no more than clusters");
        self.write(&room[..usize::from(blocks) * BLOCK_LENGTH])?;
        self.place(&PackedExtent { blocks, ..*found })
    }

    fn write(&mut self, blocks: &[u8]) -> Result<(), Error> {
        self.out
            .write_all(blocks)
            .map_err(|source| Error::Write { source })
    }
}

impl Stored {
    /// Returns where the contents of an inode are, which may be another's.
    pub(super) fn of(&self, inode: usize) -> Storage {
        match self.storage[inode] {
            Storage::Same(original) => self.storage[original],
            storage => storage,
        }
    }

    fn statistics(&self, nodes: &[Node<'_>]) -> Statistics {
        let mut statistics = Statistics {
            stored_bytes: u64::from(self.end_block - 1) * BLOCK_BYTES,
            compressed_blocks: self.compressed_blocks,
            plain_blocks: self.plain_blocks,
            ..Statistics::default()
        };
        for (node, storage) in nodes.iter().zip(&self.storage) {
            if !matches!(node.tree.entry.kind, EntryKind::Regular(_)) {
                continue;
            }
            statistics.content_bytes += node.size_bytes;
            match storage {
                Storage::Same(_) => {
                    statistics.duplicate_files += 1;
                    statistics.duplicate_bytes += node.size_bytes;
                }
                Storage::Fragment(_) => statistics.fragments += 1,
                _ => {}
            }
        }
        statistics
    }
}
