//! What follows the contents of a compressed image: inodes with their maps, shared attributes, directories.

use super::compressed::Parameters;
use super::error::Error;
use super::extent::{Extent, are_plain};
use super::index::{self, Encoding, Map};
use super::layout::{
    BLOCK_BYTES, BLOCK_LENGTH, BLOCK_SIZE_BITS, FEATURE_COMPAT_MTIME, FEATURE_COMPAT_SB_CHKSUM,
    FLAT_INLINE, FLAT_PLAIN, Inode, SLOT_BYTES, SUPER_LENGTH, SUPER_OFFSET, SuperBlock,
    XATTR_IBODY_HEADER_LENGTH, align, seal_first_block,
};
use super::node::{self, Node};
use super::placement::MetadataArea;
use super::plan::{Options, block_number, check};
use super::selection::Storage;
use super::sink::Sink;
use super::stream::Stored;
use super::work::read_error;
use super::xattr::SharedArea;
use crate::format::file_system::KernelVersion;
use crate::format::inodes::S_IFREG;
use crate::format::output::ImageOutput;
use crate::tree::{EntryKind, Timestamp};

/// `EROFS_FEATURE_INCOMPAT_*`: compressed data stands at the end of its blocks.
const FEATURE_ZERO_PADDING: u32 = 0x01;
/// `COMPR_CFGS` and `BIG_PCLUSTER`: the algorithms are configured, and clusters have several blocks.
const FEATURE_BIG_PCLUSTER: u32 = 0x02;
/// `FRAGMENTS` and `DEDUPE`.
const FEATURE_FRAGMENTS: u32 = 0x20;
/// Places in the superblock of what uncompressed images lack.
const AVAILABLE_ALGORITHMS_OFFSET: usize = SUPER_OFFSET + 84;
const PACKED_NID_OFFSET: usize = SUPER_OFFSET + 96;
/// Configurations follow the superblock, each after its length of two bytes.
const CONFIGURATION_OFFSET: usize = SUPER_OFFSET + SUPER_LENGTH;

/// The metadata of an image whose contents are written.
#[derive(Debug)]
pub(super) struct Metadata<'a, 'p> {
    nodes: Vec<Node<'a>>,
    stored: Stored,
    packed_bytes: u64,
    parameters: &'p Parameters,
    shared_xattrs: SharedArea<'a>,
    /// Where each inode is in the area of metadata, and then the packed inode if there is one.
    offsets: Vec<u64>,
    /// The first block of each directory or symbolic link that has blocks of its own.
    blocks: Vec<(usize, u32)>,
    /// How long the area of inodes is, and what of it is used.
    inodes_bytes: u64,
    used_bytes: u64,
    end_block: u32,
}

/// What follows the fixed part and the attributes of an inode, and how its fixed part refers to contents.
enum Body<'m> {
    /// Contents in blocks of their own, or none.
    Blocks(u32),
    /// All or the last of the contents; the rest is in blocks.
    Tail {
        size_bytes: u64,
        first_block: u32,
    },
    WholeFragment(u64),
    Map(Map<'m>),
}

impl<'a, 'p> Metadata<'a, 'p> {
    /// Gives all inodes and directories their places.
    pub(super) fn new(
        nodes: Vec<Node<'a>>,
        shared_xattrs: SharedArea<'a>,
        stored: Stored,
        packed_bytes: u64,
        parameters: &'p Parameters,
    ) -> Result<Self, Error> {
        let mut metadata = Self {
            offsets: Vec::with_capacity(nodes.len() + 1),
            blocks: Vec::new(),
            inodes_bytes: 0,
            used_bytes: 0,
            end_block: stored.end_block,
            nodes,
            stored,
            packed_bytes,
            parameters,
            shared_xattrs,
        };
        metadata.place_inodes();
        metadata.place_blocks()?;
        Ok(metadata)
    }

    fn place_inodes(&mut self) {
        // Nothing has the number 0, which programs take for an unused entry of a directory.
        let mut area = MetadataArea::new(SLOT_BYTES);
        let mut used_bytes = 0;
        let mut place = |offsets: &mut Vec<u64>, size_bytes: u64| {
            let offset = area.place(size_bytes);
            used_bytes = used_bytes.max(offset + size_bytes);
            offsets.push(offset);
        };
        let mut offsets = std::mem::take(&mut self.offsets);
        for (index, node) in self.nodes.iter().enumerate() {
            let head_bytes = node.head_bytes();
            let body_bytes = self.body(index).size_bytes(head_bytes);
            place(&mut offsets, head_bytes + body_bytes);
        }
        if let Some((inode, map)) = self.packed_inode() {
            let head_bytes = inode.length() as u64;
            let size_bytes = head_bytes + map.encoded_bytes(head_bytes);
            place(&mut offsets, size_bytes);
        }
        self.offsets = offsets;
        self.inodes_bytes = area.end();
        self.used_bytes = used_bytes;
    }

    /// Gives directories, and links that do not fit behind their inodes, blocks at the end of the image.
    fn place_blocks(&mut self) -> Result<(), Error> {
        let start = self.start_bytes() + self.inodes_bytes + self.shared_xattrs.size_bytes();
        let mut next_block = start.div_ceil(BLOCK_BYTES);
        let number = |block, index: usize| {
            block_number(block).ok_or_else(|| Error::ImageTooLarge {
                path: self.nodes[index].tree.path.clone(),
            })
        };
        let mut blocks = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let bytes = block_bytes(node);
            if bytes > 0 {
                blocks.push((index, number(next_block, index)?));
                next_block += bytes.div_ceil(BLOCK_BYTES);
            }
        }
        // fsck.erofs reads attributes behind an inode that has none, and fails where the image ends there.
        let read_bytes = self.start_bytes() + self.used_bytes + XATTR_IBODY_HEADER_LENGTH as u64;
        next_block = next_block.max(read_bytes.div_ceil(BLOCK_BYTES));
        self.end_block = number(next_block, 0)?;
        self.blocks = blocks;
        Ok(())
    }

    /// Returns the size of the image, a multiple of 4096.
    pub(super) fn size_bytes(&self) -> u64 {
        u64::from(self.end_block) * BLOCK_BYTES
    }

    /// Returns the oldest kernel that reads the image.
    pub(super) fn kernel(&self) -> KernelVersion {
        self.parameters.kernel(self.uses_fragments())
    }

    /// Writes what is left of the image.
    pub(super) fn write(&self, options: &Options, out: &mut dyn ImageOutput) -> Result<(), Error> {
        let mut sink = Sink::after(&mut *out, self.start_bytes());
        self.write_inodes(&mut sink)?;
        self.write_shared_xattrs(&mut sink)?;
        self.write_blocks(&mut sink)?;
        sink.zero_to(self.size_bytes())?;
        sink.finish()?;
        out.replace_first_block(&self.first_block(options)?)
            .map_err(|source| Error::Write { source })
    }

    fn write_inodes(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let mut order: Vec<_> = (0..self.offsets.len()).collect();
        order.sort_unstable_by_key(|index| self.offsets[*index]);
        let mut encoded = Vec::new();
        for index in order {
            sink.zero_to(self.start_bytes() + self.offsets[index])?;
            encoded.clear();
            match self.nodes.get(index) {
                Some(node) => self.encode_inode(index, node, &mut encoded)?,
                None => self.encode_packed_inode(&mut encoded),
            }
            sink.put(&encoded)?;
        }
        Ok(())
    }

    fn encode_inode(
        &self,
        index: usize,
        node: &Node<'_>,
        encoded: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let body = self.body(index);
        let on_disk = node.on_disk(index, body.data_layout(), body.reference());
        encoded.extend_from_slice(&on_disk.encode()[..on_disk.length()]);
        node.xattrs.encode(encoded);
        let head_bytes = node.head_bytes();
        match body {
            Body::Blocks(_) => {}
            Body::Tail { size_bytes, .. } => {
                let contents = self.inline_contents(index, node)?;
                let tail = usize::try_from(size_bytes).expect("it is below 4096");
                encoded.extend_from_slice(&contents[contents.len() - tail..]);
            }
            Body::WholeFragment(offset) => {
                index::encode_whole_fragment(offset, head_bytes, encoded);
            }
            Body::Map(map) => map.encode(head_bytes, encoded),
        }
        Ok(())
    }

    /// Returns all contents of an inode that are not compressed.
    fn inline_contents(&self, index: usize, node: &Node<'_>) -> Result<Vec<u8>, Error> {
        match &node.tree.entry.kind {
            EntryKind::Directory => Ok(self.encode_directory(index)),
            EntryKind::Symlink(target) => Ok(target.clone()),
            EntryKind::Regular(content) => content
                .read_all()
                .map_err(|source| read_error(node.tree.path, source)),
            _ => Ok(Vec::new()),
        }
    }

    fn encode_packed_inode(&self, encoded: &mut Vec<u8>) {
        if let Some((inode, map)) = self.packed_inode() {
            encoded.extend_from_slice(&inode.encode()[..inode.length()]);
            map.encode(inode.length() as u64, encoded);
        }
    }

    fn write_shared_xattrs(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.zero_to(self.start_bytes() + self.inodes_bytes)?;
        for entry in self.shared_xattrs.encoded_entries() {
            sink.put(&entry)?;
        }
        Ok(())
    }

    fn write_blocks(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        for (index, first_block) in &self.blocks {
            sink.zero_to(u64::from(*first_block) * BLOCK_BYTES)?;
            let node = &self.nodes[*index];
            let contents = self.inline_contents(*index, node)?;
            let length = usize::try_from(block_bytes(node)).unwrap_or(contents.len());
            sink.put(&contents[..length])?;
        }
        Ok(())
    }

    fn encode_directory(&self, index: usize) -> Vec<u8> {
        node::encode_directory(|inode| &self.nodes[inode], index, |inode| self.nid(inode))
    }

    fn first_block(&self, options: &Options) -> Result<[u8; BLOCK_LENGTH], Error> {
        let xattr_blkaddr = match self.shared_xattrs.size_bytes() {
            0 => 0,
            _ => self.block_after(self.inodes_bytes),
        };
        let fragments = match self.uses_fragments() {
            true => FEATURE_FRAGMENTS,
            false => 0,
        };
        let superblock = SuperBlock {
            feature_compat: FEATURE_COMPAT_SB_CHKSUM | FEATURE_COMPAT_MTIME,
            blkszbits: BLOCK_SIZE_BITS,
            root_nid: u16::try_from(self.nid(0))
                .expect("the root is placed first, so it is in the first two blocks"),
            inos: self.offsets.len() as u64,
            build_time: options.build_time,
            blocks: self.end_block,
            meta_blkaddr: self.stored.end_block,
            xattr_blkaddr,
            uuid: options.uuid.into_bytes(),
            volume_name: check(options)?,
            feature_incompat: FEATURE_ZERO_PADDING | FEATURE_BIG_PCLUSTER | fragments,
        };
        let mut block = [0; BLOCK_LENGTH];
        let mut put = |offset: usize, bytes: &[u8]| {
            block[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(SUPER_OFFSET, &superblock.encode());
        put(
            AVAILABLE_ALGORITHMS_OFFSET,
            &(1_u16 << self.parameters.algorithm).to_le_bytes(),
        );
        if self.packed_bytes > 0 {
            put(PACKED_NID_OFFSET, &self.nid(self.nodes.len()).to_le_bytes());
        }
        put(CONFIGURATION_OFFSET, &self.parameters.configuration());
        seal_first_block(&mut block);
        Ok(block)
    }

    /// Returns where the contents of an inode are.
    fn body(&self, index: usize) -> Body<'_> {
        let node = &self.nodes[index];
        if !matches!(node.tree.entry.kind, EntryKind::Regular(_)) {
            let placed = self.blocks.binary_search_by_key(&index, |found| found.0);
            let first_block = placed.map_or(0, |found| self.blocks[found].1);
            return match node.inline_tail_bytes() {
                0 => Body::Blocks(first_block),
                size_bytes => Body::Tail {
                    size_bytes,
                    first_block,
                },
            };
        }
        match self.stored.of(index) {
            Storage::None | Storage::Same(_) => Body::Blocks(0),
            Storage::Inline => Body::Tail {
                size_bytes: node.size_bytes,
                first_block: 0,
            },
            Storage::Fragment(offset) => Body::WholeFragment(offset),
            Storage::Extents { first, count } => {
                let extents = &self.stored.extents[first..first + count];
                match are_plain(extents) {
                    true => Body::Blocks(extents[0].first_block),
                    false => Body::Map(self.map(node.size_bytes, extents)),
                }
            }
        }
    }

    fn map<'m>(&self, size_bytes: u64, extents: &'m [Extent]) -> Map<'m> {
        Map {
            size_bytes,
            extents,
            tail: None,
            algorithm: self.parameters.algorithm,
        }
    }

    /// Returns the inode that holds fragments, if there are any.
    fn packed_inode(&self) -> Option<(Inode, Map<'_>)> {
        if self.packed_bytes == 0 {
            return None;
        }
        let map = self.map(self.packed_bytes, &self.stored.packed);
        let inode = Inode {
            i_mtime: Some(Timestamp::default()),
            data_layout: map.encoding().data_layout(),
            i_xattr_icount: 0,
            i_mode: S_IFREG,
            i_nlink: 1,
            i_size: self.packed_bytes,
            i_u: map.blocks(),
            i_ino: u32::try_from(self.nodes.len())
                .map_or(u32::MAX, |count| count.saturating_add(1)),
            i_uid: 0,
            i_gid: 0,
        };
        Some((inode, map))
    }

    fn uses_fragments(&self) -> bool {
        self.packed_bytes > 0 || self.parameters.shares_blocks
    }

    fn nid(&self, inode: usize) -> u64 {
        self.offsets[inode] / SLOT_BYTES
    }

    fn start_bytes(&self) -> u64 {
        u64::from(self.stored.end_block) * BLOCK_BYTES
    }

    /// Returns the block that starts `bytes`, a multiple of a block's length, after the contents.
    fn block_after(&self, bytes: u64) -> u32 {
        block_number(u64::from(self.stored.end_block) + align(bytes, BLOCK_BYTES) / BLOCK_BYTES)
            .expect("it is below the number of blocks, which was checked")
    }
}

/// Returns how much of a directory or symbolic link is in blocks.
fn block_bytes(node: &Node<'_>) -> u64 {
    match node.tree.entry.kind {
        EntryKind::Directory | EntryKind::Symlink(_) => node.size_bytes - node.inline_tail_bytes(),
        _ => 0,
    }
}

impl Body<'_> {
    fn data_layout(&self) -> u16 {
        match self {
            Self::Blocks(_) => FLAT_PLAIN,
            Self::Tail { .. } => FLAT_INLINE,
            Self::WholeFragment(_) => Encoding::Full.data_layout(),
            Self::Map(map) => map.encoding().data_layout(),
        }
    }

    /// Returns `i_u`: the first block, or how many there are.
    fn reference(&self) -> u32 {
        match self {
            Self::Blocks(first_block) | Self::Tail { first_block, .. } => *first_block,
            Self::WholeFragment(_) => 0,
            Self::Map(map) => map.blocks(),
        }
    }

    fn size_bytes(&self, head_bytes: u64) -> u64 {
        match self {
            Self::Blocks(_) => 0,
            Self::Tail { size_bytes, .. } => *size_bytes,
            Self::WholeFragment(_) => index::whole_fragment_bytes(head_bytes),
            Self::Map(map) => map.encoded_bytes(head_bytes),
        }
    }
}
