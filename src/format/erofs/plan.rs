//! The layout of an image: where each inode, tail and block goes, before any byte is written.

use super::directory::{self, Name};
use super::error::Error;
use super::layout::{
    BLOCK_BYTES, BLOCK_SIZE_BITS, COMPACT_INODE_LENGTH, EXTENDED_INODE_LENGTH,
    FEATURE_COMPAT_MTIME, FEATURE_COMPAT_SB_CHKSUM, FLAT_INLINE, FLAT_PLAIN, Inode, SLOT_BYTES,
    SUPER_LENGTH, SUPER_OFFSET, SuperBlock, VOLUME_NAME_LENGTH, align, file_type,
};
use super::placement::MetadataArea;
use super::xattr::{self, Body, SharedArea};
use crate::format::inodes::{self, TreeInode, encode_device, type_bits};
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
    pub(super) tree: TreeInode<'a>,
    pub(super) xattrs: Body<'a>,
    pub(super) size_bytes: u64,
    /// `None` for a compact inode.
    own_time: Option<Timestamp>,
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
        let inodes = inodes::collect(tree)?;
        u32::try_from(inodes.len()).map_err(|_| Error::TooManyInodes)?;
        let named: Vec<_> = inodes
            .iter()
            .map(|inode| (inode.path, inode.entry))
            .collect();
        let (bodies, shared_xattrs) = xattr::lay_out(&named)?;
        let mut inodes: Vec<_> = inodes
            .into_iter()
            .zip(bodies)
            .map(|(inode, xattrs)| PlannedInode::new(inode, xattrs, options.build_time))
            .collect();

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
        let entry = inode.tree.entry;
        let i_u = match entry.kind {
            EntryKind::CharacterDevice(number) | EntryKind::BlockDevice(number) => {
                encode_device(number)
            }
            _ => inode.first_block,
        };
        Inode {
            i_mtime: inode.own_time,
            data_layout: if inode.tail_bytes > 0 {
                FLAT_INLINE
            } else {
                FLAT_PLAIN
            },
            i_xattr_icount: inode.xattrs.icount(),
            i_mode: type_bits(&entry.kind) | entry.mode,
            i_nlink: inode.tree.link_count,
            i_size: inode.size_bytes,
            i_u,
            i_ino: u32::try_from(index + 1).expect("the number of inodes was checked"),
            i_uid: entry.uid,
            i_gid: entry.gid,
        }
    }

    /// Returns the contents of the directory `index`.
    pub(super) fn encode_directory(&self, index: usize) -> Vec<u8> {
        let directory = &self.inodes[index].tree;
        let named = |name, inode: usize| Name {
            name,
            nid: self.inodes[inode].nid(),
            file_type: file_type(type_bits(&self.inodes[inode].tree.entry.kind)),
        };
        let names: Vec<_> = names(directory, index)
            .map(|(name, inode)| named(name, inode))
            .collect();
        directory::encode(&names)
    }
}

impl<'a> PlannedInode<'a> {
    fn new(tree: TreeInode<'a>, xattrs: Body<'a>, build_time: Timestamp) -> Self {
        let entry = tree.entry;
        let size_bytes = match entry.kind {
            EntryKind::Directory => directory::size_bytes(names(&tree, 0).map(|(name, _)| name)),
            _ => entry.size_bytes(),
        };
        let is_compact = entry.modified == build_time
            && u16::try_from(entry.uid).is_ok()
            && u16::try_from(entry.gid).is_ok()
            && u16::try_from(tree.link_count).is_ok()
            && u32::try_from(size_bytes).is_ok();
        let mut inode = Self {
            own_time: (!is_compact).then_some(entry.modified),
            tree,
            xattrs,
            size_bytes,
            tail_bytes: 0,
            offset: 0,
            first_block: 0,
        };
        inode.tail_bytes = inode.inline_tail_bytes();
        inode
    }

    /// Returns the size of the inode without its tail.
    fn head_bytes(&self) -> u64 {
        let fixed = match self.own_time {
            Some(_) => EXTENDED_INODE_LENGTH,
            None => COMPACT_INODE_LENGTH,
        };
        fixed as u64 + self.xattrs.size_bytes()
    }

    /// Returns how much of the contents follows the inode: what does not fill a block, when it fits into a block
    /// together with the inode.
    fn inline_tail_bytes(&self) -> u64 {
        let tail_bytes = self.size_bytes % BLOCK_BYTES;
        let is_worthwhile = match self.tree.entry.kind {
            EntryKind::Regular(_) => self.size_bytes <= INLINE_TAIL_FILE_LIMIT_BYTES,
            // A target of 4096 bytes and more does not pass the checks, so there is only a tail.
            EntryKind::Directory | EntryKind::Symlink(_) => true,
            _ => false,
        };
        let fits = self.head_bytes() + tail_bytes <= BLOCK_BYTES;
        if is_worthwhile && fits { tail_bytes } else { 0 }
    }

    /// Returns the contents' length in blocks of their own.
    pub(super) fn block_bytes(&self) -> u64 {
        self.size_bytes - self.tail_bytes
    }

    /// Returns the number that directory entries have for this inode.
    fn nid(&self) -> u64 {
        self.offset / SLOT_BYTES
    }
}

/// Iterates over the names in a directory, the inode `index`, as they are sorted on disk.
fn names<'a, 'b: 'a>(
    directory: &'a TreeInode<'b>,
    index: usize,
) -> impl Iterator<Item = (&'b [u8], usize)> + 'a {
    let children = &directory.children;
    let after_dot = children.partition_point(|child| child.name < b".".as_slice());
    let after_dots = children.partition_point(|child| child.name < b"..".as_slice());
    let pairs =
        |range: &'a [inodes::Child<'b>]| range.iter().map(|child| (child.name, child.inode));
    pairs(&children[..after_dot])
        .chain([(b".".as_slice(), index)])
        .chain(pairs(&children[after_dot..after_dots]))
        .chain([(b"..".as_slice(), directory.parent)])
        .chain(pairs(&children[after_dots..]))
}

fn check(options: &Options) -> Result<[u8; VOLUME_NAME_LENGTH], Error> {
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
        inode.offset = area.place(inode.head_bytes() + inode.tail_bytes);
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
        .partition(|index| inodes[*index].tree.entry.is_directory());
    let order: Vec<_> = directories.into_iter().chain(files).collect();
    let mut next_block = first_block;
    let too_large = |path: &TreePath| Error::ImageTooLarge { path: path.clone() };
    for index in &order {
        let inode = &mut inodes[*index];
        inode.first_block = block_number(next_block).ok_or_else(|| too_large(inode.tree.path))?;
        next_block += inode.block_bytes().div_ceil(BLOCK_BYTES);
    }
    let last = order.last().copied().unwrap_or_default();
    let block_count = block_number(next_block).ok_or_else(|| too_large(inodes[last].tree.path))?;
    Ok((order, block_count))
}

/// Returns a block's number as inodes have it; the largest number stands for a hole.
fn block_number(number: u64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number < u32::MAX)
}
