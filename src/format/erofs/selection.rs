//! Which files are compressed how, and the jobs that follow from it.
//!
//! Jobs depend on the tree and the parameters alone. They are made one by one, as there may be very many of them.

use super::compressed::Parameters;
use super::extent::CLUSTER_BYTES;
use super::node::Node;
use crate::tree::EntryKind;

/// Files shorter than a block divided by this are put together into the packed inode. Changes images.
///
/// Larger ones gain nothing by it, and small ones are read faster while the packed inode is small.
const FRAGMENT_DIVISOR: u64 = 2;
/// How many files are given to a worker at once when they are small, so that handing them over costs nothing.
const FILES_LIMIT: usize = 64;

/// What becomes of an inode's contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Storage {
    /// Nothing, or what is stored with directories and links.
    None,
    /// As it is, behind the inode.
    Inline,
    /// As another inode's, which comes before.
    Same(usize),
    /// At an offset of the packed inode.
    Fragment(u64),
    /// In extents: the first one's number, and how many there are.
    Extents { first: usize, count: usize },
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) inode: usize,
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// What a worker reads and compresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Job {
    /// Each part becomes an extent of its file.
    Extents(Vec<Part>),
    /// All become one extent of the packed inode.
    Packed(Vec<Part>),
}

/// The files of an image by what becomes of them.
#[derive(Debug)]
pub(super) struct Selection {
    /// What is known of each inode's contents before they are compressed.
    pub(super) storage: Vec<Storage>,
    /// The files in the packed inode, in its order, and where each block of them ends.
    packed: Vec<usize>,
    packed_ends: Vec<usize>,
    pub(super) packed_bytes: u64,
    /// The files with extents.
    extensive: Vec<usize>,
    block_bytes: u64,
}

impl Selection {
    /// Decides for each of `nodes`; `originals` has the first inode with the same contents.
    pub(super) fn new(nodes: &[Node<'_>], originals: &[usize], parameters: &Parameters) -> Self {
        let block_bytes = parameters.block_length as u64;
        let mut selection = Self {
            storage: vec![Storage::None; nodes.len()],
            packed: Vec::new(),
            packed_ends: Vec::new(),
            packed_bytes: 0,
            extensive: Vec::new(),
            block_bytes,
        };
        for (index, node) in nodes.iter().enumerate() {
            let EntryKind::Regular(_) = node.tree.entry.kind else {
                continue;
            };
            let original = originals.get(index).copied().unwrap_or(index);
            if node.size_bytes == 0 {
                continue;
            } else if !parameters.uses_fragments && fits_inline(node) {
                selection.storage[index] = Storage::Inline;
            } else if original != index {
                selection.storage[index] = Storage::Same(original);
            } else if parameters.uses_fragments && node.size_bytes < block_bytes / FRAGMENT_DIVISOR
            {
                selection.packed.push(index);
            } else {
                selection.extensive.push(index);
            }
        }
        selection.order_packed(nodes);
        selection.place_packed(nodes);
        selection
    }

    /// Puts files next to each other whose names end alike, and then those of one name, such as translations: what is
    /// alike compresses together.
    fn order_packed(&mut self, nodes: &[Node<'_>]) {
        self.packed.sort_by_key(|index| {
            let name = nodes[*index].tree.path.file_name();
            (extension(name), name)
        });
    }

    /// Gives the packed files their offsets; each block is whole files and starts at a cluster.
    fn place_packed(&mut self, nodes: &[Node<'_>]) {
        let mut offset: u64 = 0;
        let mut block_start = 0;
        for (position, index) in self.packed.iter().enumerate() {
            let size_bytes = nodes[*index].size_bytes;
            if offset > block_start && offset + size_bytes - block_start > self.block_bytes {
                self.packed_ends.push(position);
                offset = offset.next_multiple_of(CLUSTER_BYTES);
                block_start = offset;
            }
            self.storage[*index] = Storage::Fragment(offset);
            offset += size_bytes;
        }
        if !self.packed.is_empty() {
            self.packed_ends.push(self.packed.len());
        }
        self.packed_bytes = offset.next_multiple_of(CLUSTER_BYTES);
    }

    /// Iterates over all jobs: the packed inode's, then those of the other files, in the order of the image.
    pub(super) fn jobs<'s>(&'s self, nodes: &'s [Node<'_>]) -> impl Iterator<Item = Job> + 's {
        let size = |inode: usize| nodes[inode].size_bytes;
        let starts = std::iter::once(0).chain(self.packed_ends.iter().copied());
        let packed = starts.zip(&self.packed_ends).map(move |(start, end)| {
            let parts = self.packed[start..*end].iter().map(|inode| Part {
                inode: *inode,
                offset: 0,
                length: in_memory(size(*inode)),
            });
            Job::Packed(parts.collect())
        });
        let parts = self
            .extensive
            .iter()
            .flat_map(move |inode| parts(*inode, size(*inode), self.block_bytes));
        packed.chain(Batches {
            parts: parts.peekable(),
            limit_length: in_memory(self.block_bytes),
        })
    }
}

/// Puts small parts together into jobs.
struct Batches<I: Iterator<Item = Part>> {
    parts: std::iter::Peekable<I>,
    limit_length: usize,
}

impl<I: Iterator<Item = Part>> Iterator for Batches<I> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let mut length = 0;
        let mut batch = Vec::new();
        while let Some(part) = self.parts.next_if(|part| {
            batch.is_empty()
                || (length + part.length <= self.limit_length && batch.len() < FILES_LIMIT)
        }) {
            length += part.length;
            batch.push(part);
        }
        (!batch.is_empty()).then_some(Job::Extents(batch))
    }
}

/// Cuts a file into blocks; the last has between half and one and a half of a block's length, unless it is the only one.
fn parts(inode: usize, size_bytes: u64, block_bytes: u64) -> impl Iterator<Item = Part> {
    let count = ((size_bytes + block_bytes / 2 - 1) / block_bytes).max(1);
    (0..count).map(move |number| {
        let offset = number * block_bytes;
        let length = match number + 1 == count {
            true => size_bytes - offset,
            false => block_bytes,
        };
        Part {
            inode,
            offset,
            length: in_memory(length),
        }
    })
}

/// Tells whether a file can follow its inode.
fn fits_inline(node: &Node<'_>) -> bool {
    node.size_bytes < CLUSTER_BYTES && node.head_bytes() + node.size_bytes <= CLUSTER_BYTES
}

/// Returns what follows the last dot of a name.
fn extension(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 => &name[dot + 1..],
        _ => b"",
    }
}

/// Returns a length that is no more than one and a half blocks.
fn in_memory(length: u64) -> usize {
    usize::try_from(length).expect("a block fits into memory")
}
