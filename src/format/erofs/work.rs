//! What each worker does: reads parts of files, compresses them, and lays the result out in blocks.

use super::compressed::Parameters;
use super::error::Error;
use super::extent::CLUSTER_LENGTH;
use super::layout::BLOCK_LENGTH;
use super::node::Node;
use super::selection::{Job, Part};
use crate::format::codec::{BlockCompressor, CodecError};
use crate::tree::{ContentError, EntryKind, TreePath};

/// What a worker keeps from job to job.
pub(super) struct Worker<'p, 'n, 'a> {
    nodes: &'n [Node<'a>],
    parameters: &'p Parameters,
    /// Made for the first job.
    compressor: Option<BlockCompressor>,
    input: Vec<u8>,
}

/// What has become of a job.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// The extents' blocks, one behind the other, and room for later jobs.
    buffer: Vec<u8>,
    filled: usize,
    pub(super) extents: Vec<PackedExtent>,
    pub(super) failure: Option<Error>,
}

/// An extent that has no place yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PackedExtent {
    /// `None` for the packed inode.
    pub(super) inode: Option<usize>,
    pub(super) clusters: u16,
    /// How many blocks it takes; none for a block of zeros, which has its place elsewhere.
    pub(super) blocks: u16,
}

impl Packed {
    pub(super) fn blocks(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Returns room for `blocks` more.
    fn room(&mut self, blocks: usize) -> &mut [u8] {
        let end = self.filled + blocks * BLOCK_LENGTH;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    fn push(&mut self, extent: PackedExtent) {
        self.filled += usize::from(extent.blocks) * BLOCK_LENGTH;
        self.extents.push(extent);
    }
}

impl<'p, 'n, 'a> Worker<'p, 'n, 'a> {
    pub(super) fn new(nodes: &'n [Node<'a>], parameters: &'p Parameters) -> Self {
        Self {
            nodes,
            parameters,
            compressor: None,
            // A byte more, for noticing that a file has grown.
            input: vec![0; parameters.piece_limit_length() + 1],
        }
    }

    /// Does `job`; what fails is left in the result.
    pub(super) fn work(&mut self, job: &Job, packed: &mut Packed) {
        packed.filled = 0;
        packed.extents.clear();
        packed.failure = match job {
            Job::Extents(parts) => self.pack_apart(parts, packed).err(),
            Job::Packed(parts) => self.pack_together(parts, packed).err(),
        };
    }

    fn pack_apart(&mut self, parts: &[Part], packed: &mut Packed) -> Result<(), Error> {
        for part in parts {
            if self.is_shared_zeros(part)? {
                packed.push(PackedExtent {
                    inode: Some(part.inode),
                    clusters: count(part.length.div_ceil(CLUSTER_LENGTH)),
                    blocks: 0,
                });
            } else {
                self.pack(part.length, Some(part.inode), part, packed)?;
            }
        }
        Ok(())
    }

    fn pack_together(&mut self, parts: &[Part], packed: &mut Packed) -> Result<(), Error> {
        let mut filled = 0;
        for part in parts {
            self.read(part, filled)?;
            filled += part.length;
        }
        // The next block of the packed inode starts at a cluster, so this one has to have all of its last.
        let end = filled.next_multiple_of(CLUSTER_LENGTH);
        self.input[filled..end].fill(0);
        filled = end;
        match parts.first() {
            Some(first) => self.pack(filled, None, first, packed),
            None => Ok(()),
        }
    }

    fn read(&mut self, part: &Part, place: usize) -> Result<(), Error> {
        let node = &self.nodes[part.inode];
        let EntryKind::Regular(content) = &node.tree.entry.kind else {
            return Ok(());
        };
        let is_end = part.offset + part.length as u64 == node.size_bytes;
        let room = &mut self.input[place..place + part.length + usize::from(is_end)];
        content
            .read_part(part.offset, room)
            .map(drop)
            .map_err(|source| read_error(node.tree.path, source))
    }

    /// Reads `part`, and tells whether it is a whole block of zeros, of which one is enough for all.
    fn is_shared_zeros(&mut self, part: &Part) -> Result<bool, Error> {
        if !self.parameters.shares_blocks || part.length != self.parameters.block_length {
            return self.read(part, 0).map(|()| false);
        }
        let tree = &self.nodes[part.inode].tree;
        if let EntryKind::Regular(content) = &tree.entry.kind
            && content
                .is_hole(part.offset, part.length)
                .map_err(|source| read_error(tree.path, source))?
        {
            return Ok(true);
        }
        self.read(part, 0)?;
        Ok(is_zero(&self.input[..part.length]))
    }

    /// Compresses the first `length` bytes of the input, if that saves a block.
    fn pack(
        &mut self,
        length: usize,
        inode: Option<usize>,
        first: &Part,
        packed: &mut Packed,
    ) -> Result<(), Error> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => {
                let made = self.parameters.compressor();
                none.insert(made.map_err(|source| Error::Codec { source })?)
            }
        };
        let clusters = length.div_ceil(CLUSTER_LENGTH);
        let blocks = compress(compressor, &self.input[..length], packed.room(clusters));
        let blocks = blocks.map_err(|source| Error::Compress {
            path: self.nodes[first.inode].tree.path.clone(),
            source,
        })?;
        packed.push(PackedExtent {
            inode,
            clusters: count(clusters),
            blocks: count(blocks),
        });
        Ok(())
    }
}

/// Puts `input` into `room`, compressed if that saves a block, and returns how many blocks it takes; the room has as
/// many as the input.
pub(super) fn compress(
    compressor: &mut BlockCompressor,
    input: &[u8],
    room: &mut [u8],
) -> Result<usize, CodecError> {
    let limit = room.len() - BLOCK_LENGTH;
    if limit > 0
        && let Some(length) = compressor.compress(input, &mut room[..limit])?
        // Compressed data stands at the end of its blocks, and the kernel takes all zeros before it for the gap.
        && room[0] != 0
    {
        let blocks = length.div_ceil(BLOCK_LENGTH);
        let gap = blocks * BLOCK_LENGTH - length;
        room.copy_within(..length, gap);
        room[..gap].fill(0);
        return Ok(blocks);
    }
    room[..input.len()].copy_from_slice(input);
    room[input.len()..].fill(0);
    Ok(room.len() / BLOCK_LENGTH)
}

/// Tells whether there are only zeros; most data shows within its first bytes that there are not.
fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(CLUSTER_LENGTH)
        .all(|chunk| chunk.iter().fold(0, |found, byte| found | byte) == 0)
}

/// Returns a count of clusters or blocks in a piece, whose length is limited.
fn count(number: usize) -> u16 {
    u16::try_from(number).expect("a piece has fewer than 256 clusters")
}

pub(super) fn read_error(path: &TreePath, source: ContentError) -> Error {
    Error::ReadContent {
        path: path.clone(),
        source: std::io::Error::other(source),
    }
}
