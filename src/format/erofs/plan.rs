//! The layout of an image: where each inode, tail and block goes, before any byte is written.

use super::error::Error;
use super::layout::{
    BLOCK_BYTES, BLOCK_SIZE_BITS, FEATURE_COMPAT_MTIME, FEATURE_COMPAT_SB_CHKSUM, FLAT_INLINE,
    FLAT_PLAIN, Inode, SLOT_BYTES, SUPER_LENGTH, SUPER_OFFSET, SuperBlock, VOLUME_NAME_LENGTH,
    align,
};
use super::node::{self, Node};
use super::placement::MetadataArea;
use super::xattr::SharedArea;
use crate::tree::{EntryKind, FileTree, Timestamp, TreePath};

/// A file larger than this keeps its tail in a block of its own. Changes images.
///
/// Tails are written with the inodes and before the blocks, so a file with both is read twice; for larger files that
/// costs more than the 2 KiB that a tail saves on average are worth.
const INLINE_TAIL_FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// What an image says of itself.
#[derive(Clone, Debug)]
pub struct Options {
    pub uuid: uuid::Uuid,
    /// The superblock's time. An inode modified at this very time takes half the room (32 bytes less).
    pub build_time: Timestamp,
    /// The volume's label, at most 16 bytes; empty for none.
    pub volume_name: String,
}

/// A tree laid out as an EROFS image.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) inodes: Vec<PlannedInode<'a>>,
    /// The inodes by offset.
    pub(super) metadata_order: Vec<usize>,
    pub(super) shared_xattrs: SharedArea<'a>,
    pub(super) shared_xattrs_offset: u64,
    /// The inodes with blocks, by their first block: directories, then files.
    pub(super) data_order: Vec<usize>,
    superblock: SuperBlock,
}

/// An inode with its place.
#[derive(Debug)]
pub(super) struct PlannedInode<'a> {
    pub(super) node: Node<'a>,
    /// How many of the last bytes follow the inode.
    pub(super) tail_bytes: u64,
    pub(super) offset: u64,
    pub(super) first_block: u32,
}

impl<'a> Plan<'a> {
    /// Lays out `tree`.
    ///
    /// # Errors
    /// An [`Error`] that names the entry that EROFS cannot express; contents are not read.
    pub fn new(tree: &'a FileTree, options: &Options) -> Result<Self, Error> {
        let volume_name = check(options)?;
        let (nodes, shared_xattrs) = node::nodes(tree, options.build_time)?;
        let mut inodes: Vec<_> = nodes.into_iter().map(PlannedInode::new).collect();

        let (metadata_order, metadata_end) = place_inodes(&mut inodes);
        let data_start = align(metadata_end + shared_xattrs.size_bytes(), BLOCK_BYTES);
        let (data_order, block_count) = place_blocks(&mut inodes, data_start / BLOCK_BYTES)?;
        let xattr_blkaddr = if shared_xattrs.size_bytes() > 0 {
            block_number(metadata_end / BLOCK_BYTES)
                .expect("it is below the number of blocks, which was checked")
        } else {
            0
        };
        let superblock = SuperBlock {
            feature_compat: FEATURE_COMPAT_SB_CHKSUM | FEATURE_COMPAT_MTIME,
            blkszbits: BLOCK_SIZE_BITS,
            root_nid: u16::try_from(inodes[0].nid())
                .expect("the root is placed first, so it is in the first two blocks"),
            inos: inodes.len() as u64,
            build_time: options.build_time,
            blocks: block_count,
            meta_blkaddr: 0,
            xattr_blkaddr,
            uuid: options.uuid.into_bytes(),
            volume_name,
            feature_incompat: 0,
        };
        Ok(Self {
            inodes,
            metadata_order,
            shared_xattrs,
            shared_xattrs_offset: metadata_end,
            data_order,
            superblock,
        })
    }

    /// Returns the size of the image, a multiple of 4096.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.superblock.blocks) * BLOCK_BYTES
    }

    pub(super) fn superblock(&self) -> &SuperBlock {
        &self.superblock
    }

    /// Returns the on-disk form of the inode number `index`.
    pub(super) fn on_disk(&self, index: usize) -> Inode {
        let inode = &self.inodes[index];
        let data_layout = match inode.tail_bytes {
            0 => FLAT_PLAIN,
            _ => FLAT_INLINE,
        };
        inode.node.on_disk(index, data_layout, inode.first_block)
    }

    /// Returns the contents of the directory `index`.
    pub(super) fn encode_directory(&self, index: usize) -> Vec<u8> {
        let node = |inode: usize| &self.inodes[inode].node;
        node::encode_directory(node, index, |inode| self.inodes[inode].nid())
    }
}

impl<'a> PlannedInode<'a> {
    fn new(node: Node<'a>) -> Self {
        Self {
            tail_bytes: inline_tail_bytes(&node),
            node,
            offset: 0,
            first_block: 0,
        }
    }

    /// Returns the contents' length in blocks of their own.
    pub(super) fn block_bytes(&self) -> u64 {
        self.node.size_bytes - self.tail_bytes
    }

    /// Returns the number that directory entries have for this inode.
    fn nid(&self) -> u64 {
        self.offset / SLOT_BYTES
    }
}

/// Returns how much of the contents follows the inode.
fn inline_tail_bytes(node: &Node<'_>) -> u64 {
    let is_worthwhile = match node.tree.entry.kind {
        EntryKind::Regular(_) => node.size_bytes <= INLINE_TAIL_FILE_LIMIT_BYTES,
        // A target of 4096 bytes and more does not pass the checks, so there is only a tail.
        EntryKind::Directory | EntryKind::Symlink(_) => true,
        _ => false,
    };
    match is_worthwhile {
        true => node.inline_tail_bytes(),
        false => 0,
    }
}

pub(super) fn check(options: &Options) -> Result<[u8; VOLUME_NAME_LENGTH], Error> {
    let nanoseconds = options.build_time.nanoseconds;
    if nanoseconds >= 1_000_000_000 {
        return Err(Error::InvalidBuildTime { nanoseconds });
    }
    let name = options.volume_name.as_bytes();
    let mut volume_name = [0; VOLUME_NAME_LENGTH];
    volume_name
        .get_mut(..name.len())
        .ok_or_else(|| Error::VolumeNameTooLong {
            name: options.volume_name.clone(),
            found_bytes: name.len(),
            limit_bytes: VOLUME_NAME_LENGTH,
        })?
        .copy_from_slice(name);
    Ok(volume_name)
}

/// Gives each inode its offset; returns them in the order of offsets, and where their area ends.
fn place_inodes(inodes: &mut [PlannedInode<'_>]) -> (Vec<usize>, u64) {
    let mut area = MetadataArea::new((SUPER_OFFSET + SUPER_LENGTH) as u64);
    for inode in inodes.iter_mut() {
        inode.offset = area.place(inode.node.head_bytes() + inode.tail_bytes);
    }
    let mut order: Vec<_> = (0..inodes.len()).collect();
    order.sort_unstable_by_key(|index| inodes[*index].offset);
    (order, area.end())
}

/// Gives the contents blocks from `first_block` on; returns the inodes that have some, and where the image ends.
fn place_blocks(
    inodes: &mut [PlannedInode<'_>],
    first_block: u64,
) -> Result<(Vec<usize>, u32), Error> {
    // Directories are next to the inodes, so that a walk of the tree reads one region.
    let (directories, files): (Vec<usize>, Vec<usize>) = (0..inodes.len())
        .filter(|index| inodes[*index].block_bytes() > 0)
        .partition(|index| inodes[*index].node.tree.entry.is_directory());
    let order: Vec<_> = directories.into_iter().chain(files).collect();
    let mut next_block = first_block;
    let too_large = |path: &TreePath| Error::ImageTooLarge { path: path.clone() };
    for index in &order {
        let inode = &mut inodes[*index];
        inode.first_block =
            block_number(next_block).ok_or_else(|| too_large(inode.node.tree.path))?;
        next_block += inode.block_bytes().div_ceil(BLOCK_BYTES);
    }
    let last = order.last().copied().unwrap_or_default();
    let block_count =
        block_number(next_block).ok_or_else(|| too_large(inodes[last].node.tree.path))?;
    Ok((order, block_count))
}

/// Returns a block's number as inodes have it; the largest number stands for a hole.
pub(super) fn block_number(number: u64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number < u32::MAX)
}
