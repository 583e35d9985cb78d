//! Where everything goes.

use std::collections::HashMap;

use uuid::Uuid;

use super::Error;
use super::blocks::{Blocks, Full, Run};
use super::directory::{self, Name};
use super::inode::{Body, Extent, Inode, check_extents, extents, map_blocks};
use super::journal;
use super::layout::{
    BLOCK, BLOCKS_PER_GROUP, BYTES_PER_INODE, FIRST_INODE, INODES_PER_BLOCK, LOST_AND_FOUND,
    LOST_AND_FOUND_BLOCKS, ROOT_INODE,
};
use super::xattr::Attributes;
use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

/// What does not come from the tree.
#[derive(Clone, Debug)]
pub struct Options {
    pub uuid: Uuid,
    /// What names are hashed with when a directory is indexed.
    pub hash_seed: Uuid,
    /// Cut at 16 bytes.
    pub label: String,
    pub build_time: Timestamp,
    /// How long the file system is at least.
    pub least_bytes: u64,
}

/// A file system that can be written.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) options: Options,
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) places: Places,
}

/// An inode of the tree.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) number: u32,
    pub(super) path: TreePath,
    pub(super) entry: &'a Entry,
    link_count: u32,
    /// Of a directory, but for `.` and `..`.
    pub(super) names: Vec<Name>,
    pub(super) parent: u32,
    attributes: Attributes,
    /// What is kept of a file: the first block and how many, holes left out.
    ranges: Vec<(u32, u32)>,
}

/// Where an inode's blocks are.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    pub(super) extents: Vec<Extent>,
    map: Vec<u32>,
    pub(super) attribute_block: Option<u32>,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) blocks: Blocks,
    pub(super) inodes_per_group: u32,
    pub(super) block_bitmaps: Vec<u32>,
    pub(super) inode_bitmaps: Vec<u32>,
    pub(super) tables: Vec<Run>,
    pub(super) journal: Vec<Run>,
    pub(super) lost_and_found: Vec<Run>,
    /// In the order of the nodes.
    pub(super) placed: Vec<Placed>,
}

/// Files from this size on are looked at for holes, in steps of as much.
const HOLE_BYTES: u64 = 1 << 20;
/// What a file system that is just large enough has free.
const SLACK_BLOCKS: u32 = 16;
/// A last group has no room for a copy of the superblock otherwise, or none for anything besides.
const LEAST_LAST_GROUP: u32 = 64;

impl<'a> Plan<'a> {
    /// Lays `tree` out.
    ///
    /// # Errors
    /// An [`Error`] that names what ext4 cannot hold.
    pub fn new(tree: &'a FileTree, options: Options) -> Result<Self, Error> {
        let nodes = nodes(tree)?;
        let wanted =
            u32::try_from(options.least_bytes.div_ceil(BLOCK)).map_err(|_| Error::TooLarge)?;
        let mut count = wanted.max(SLACK_BLOCKS);
        loop {
            let places = match with_whole_groups(count).and_then(|count| place(&nodes, count)) {
                Ok(places) => places,
                Err(Full { missing }) => {
                    count = count
                        .checked_add(missing.max(1))
                        .and_then(|count| count.checked_add(SLACK_BLOCKS))
                        .ok_or(Error::TooLarge)?;
                    continue;
                }
            };
            for (node, placed) in nodes.iter().zip(&places.placed) {
                check_extents(&node.path, node.entry.size_bytes(), placed.extents.len())?;
            }
            return Ok(Self {
                options,
                nodes,
                places,
            });
        }
    }

    /// Returns how long the file system is.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.places.blocks.count) * BLOCK
    }

    /// Returns the inode of a node.
    pub(super) fn inode(&self, node: &Node<'_>, placed: &Placed) -> Inode {
        let entry = node.entry;
        let size_bytes = match &entry.kind {
            EntryKind::Directory => {
                let blocks: u32 = placed.extents.iter().map(|extent| extent.run.count).sum();
                u64::from(blocks) * BLOCK
            }
            _ => entry.size_bytes(),
        };
        let body = match &entry.kind {
            EntryKind::Directory | EntryKind::Regular(_) => Body::Extents(placed.extents.clone()),
            EntryKind::Symlink(target) if is_inline(target) => Body::Inline(target.clone()),
            EntryKind::Symlink(_) => Body::Extents(placed.extents.clone()),
            EntryKind::CharacterDevice(number) | EntryKind::BlockDevice(number) => {
                Body::Device(*number)
            }
            EntryKind::Fifo | EntryKind::Socket => Body::Nothing,
        };
        let data: u64 = placed
            .extents
            .iter()
            .map(|extent| u64::from(extent.run.count))
            .sum();
        let others = placed.map.len() as u64 + u64::from(placed.attribute_block.is_some());
        Inode {
            mode: kind(entry).0 | entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            // Directories with more links than there can be are said to have one (`dir_nlink`).
            link_count: match u16::try_from(node.link_count) {
                Ok(count) if count < 65000 || !entry.is_directory() => count,
                _ => 1,
            },
            size_bytes,
            block_count: data + others,
            modified: entry.modified,
            created: self.options.build_time,
            body,
            map: placed.map.clone(),
            attributes: node.attributes.clone(),
            attribute_block: placed.attribute_block,
        }
    }

    /// Returns the blocks of attributes that are not in inodes.
    pub(super) fn attribute_blocks(&self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let pairs = self.nodes.iter().zip(&self.places.placed);
        pairs.filter_map(|(node, placed)| {
            let block = placed.attribute_block?;
            Some((block, node.attributes.block(self.options.uuid, block)))
        })
    }
}

/// Returns the bits of an entry's type in its mode, and the type in directories.
pub(super) fn kind(entry: &Entry) -> (u16, u8) {
    match entry.kind {
        EntryKind::Regular(_) => (0o100_000, 1),
        EntryKind::Directory => (0o040_000, 2),
        EntryKind::CharacterDevice(_) => (0o020_000, 3),
        EntryKind::BlockDevice(_) => (0o060_000, 4),
        EntryKind::Fifo => (0o010_000, 5),
        EntryKind::Socket => (0o140_000, 6),
        EntryKind::Symlink(_) => (0o120_000, 7),
    }
}

fn is_inline(target: &[u8]) -> bool {
    target.len() < 60
}

/// Numbers the inodes in the order of the tree. `lost+found` is the file system's own.
fn nodes(tree: &FileTree) -> Result<Vec<Node<'_>>, Error> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut directories: HashMap<TreePath, usize> = HashMap::new();
    let mut links: HashMap<HardLinkGroup, usize> = HashMap::new();
    let lost = TreePath::new(LOST_AND_FOUND).expect("it is a name");
    let mut next = FIRST_INODE + 1;
    for (path, entry) in tree.iter().filter(|(path, _)| !path.starts_with(&lost)) {
        let parent = path.parent().and_then(|parent| directories.get(&parent));
        let parent = parent.copied();
        let known = entry.hard_link.and_then(|group| links.get(&group)).copied();
        let index = match known {
            Some(index) => index,
            None => {
                let number = match parent {
                    None => ROOT_INODE,
                    Some(_) => {
                        next = next.checked_add(1).ok_or(Error::TooLarge)?;
                        next - 1
                    }
                };
                check(path, entry)?;
                nodes.push(Node {
                    number,
                    path: path.clone(),
                    entry,
                    link_count: if entry.is_directory() { 1 } else { 0 },
                    names: Vec::new(),
                    parent: parent.map_or(ROOT_INODE, |parent| nodes[parent].number),
                    attributes: Attributes::of(path, entry)?,
                    ranges: ranges(path, entry)?,
                });
                nodes.len() - 1
            }
        };
        nodes[index].link_count += 1;
        if entry.is_directory() {
            directories.insert(path.clone(), index);
        }
        if let Some(group) = entry.hard_link {
            links.insert(group, index);
        }
        if let Some(parent) = parent {
            let name = Name {
                inode: nodes[index].number,
                kind: kind(entry).1,
                name: path.file_name().to_vec(),
            };
            nodes[parent].names.push(name);
            nodes[parent].link_count += u32::from(entry.is_directory());
        }
    }
    if let Some(root) = nodes.first_mut() {
        let name = Name {
            inode: FIRST_INODE,
            kind: 2,
            name: LOST_AND_FOUND.to_vec(),
        };
        let place = root.names.partition_point(|other| other.name < name.name);
        root.names.insert(place, name);
        root.link_count += 1;
    }
    Ok(nodes)
}

fn check(path: &TreePath, entry: &Entry) -> Result<(), Error> {
    let found_bytes = path.file_name().len();
    if found_bytes > 255 {
        let path = path.clone();
        return Err(Error::NameTooLong { path, found_bytes });
    }
    if let EntryKind::Symlink(target) = &entry.kind
        && target.len() > 4095
    {
        return Err(Error::TargetTooLong {
            path: path.clone(),
            found_bytes: target.len(),
        });
    }
    let seconds = entry.modified.seconds;
    // 34 bits from 1901 on.
    if !(-(1 << 31)..(1 << 34) - (1 << 31)).contains(&seconds) {
        let path = path.clone();
        return Err(Error::TimeOutOfRange { path, seconds });
    }
    if entry.size_bytes().div_ceil(BLOCK) > u64::from(u32::MAX) {
        return Err(Error::TooLarge);
    }
    Ok(())
}

/// Returns which blocks of a file, or of a long link, are kept.
fn ranges(path: &TreePath, entry: &Entry) -> Result<Vec<(u32, u32)>, Error> {
    let count = |bytes: u64| u32::try_from(bytes.div_ceil(BLOCK)).map_err(|_| Error::TooLarge);
    match &entry.kind {
        EntryKind::Symlink(target) if !is_inline(target) => Ok(vec![(0, 1)]),
        EntryKind::Regular(content) if content.size_bytes() >= HOLE_BYTES => {
            data_ranges(path, content)
        }
        EntryKind::Regular(content) if content.size_bytes() > 0 => {
            Ok(vec![(0, count(content.size_bytes())?)])
        }
        _ => Ok(Vec::new()),
    }
}

fn data_ranges(path: &TreePath, content: &Content) -> Result<Vec<(u32, u32)>, Error> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut offset = 0;
    while offset < content.size_bytes() {
        let length = (content.size_bytes() - offset).min(HOLE_BYTES);
        let room = usize::try_from(length).unwrap_or(usize::MAX);
        let is_hole = content
            .is_hole(offset, room)
            .map_err(|source| Error::ReadContent {
                path: path.clone(),
                source,
            })?;
        if !is_hole {
            let first = u32::try_from(offset / BLOCK).map_err(|_| Error::TooLarge)?;
            let count = u32::try_from(length.div_ceil(BLOCK)).map_err(|_| Error::TooLarge)?;
            match ranges.last_mut() {
                Some((start, known)) if *start + *known == first => *known += count,
                _ => ranges.push((first, count)),
            }
        }
        offset += length;
    }
    Ok(ranges)
}

/// Returns a number of blocks of which the last group is none that is too small, if need be a lower one.
fn with_whole_groups(count: u32) -> Result<u32, Full> {
    let rest = count % BLOCKS_PER_GROUP;
    let groups = count / BLOCKS_PER_GROUP;
    let least = LEAST_LAST_GROUP + groups / 128 + 1;
    Ok(match groups > 0 && rest > 0 && rest < least {
        true => count - rest,
        false => count,
    })
}

/// Places everything in a file system of `count` blocks.
fn place(nodes: &[Node<'_>], count: u32) -> Result<Places, Full> {
    let mut blocks = Blocks::new(count);
    let groups = blocks.group_count;
    let needed = u64::from(FIRST_INODE) + nodes.len() as u64 + u64::from(INODES_PER_BLOCK);
    let inodes = needed.max(u64::from(count) * BLOCK / BYTES_PER_INODE);
    let per_group = inodes
        .div_ceil(u64::from(groups))
        .next_multiple_of(u64::from(INODES_PER_BLOCK));
    let inodes_per_group = u32::try_from(per_group)
        .ok()
        // As many as a bitmap of a block has bits.
        .filter(|count| *count <= BLOCKS_PER_GROUP)
        .ok_or(Full {
            missing: BLOCKS_PER_GROUP,
        })?;
    let block_bitmaps = numbers(&blocks.rows(groups)?);
    let inode_bitmaps = numbers(&blocks.rows(groups)?);
    let mut tables = Vec::new();
    for _ in 0..groups {
        tables.push(blocks.row(inodes_per_group / INODES_PER_BLOCK)?);
    }
    let journal = blocks.rows(journal::block_count(count))?;
    let lost_and_found = blocks.rows(LOST_AND_FOUND_BLOCKS)?;
    let mut placed = vec![Placed::default(); nodes.len()];
    for (node, placed) in nodes.iter().zip(&mut placed) {
        if node.attributes.need_block() {
            placed.attribute_block = numbers(&blocks.rows(1)?).pop();
        }
        if node.entry.is_directory() {
            let names = node.names.iter().map(|name| name.name.as_slice());
            let runs = blocks.rows(directory::block_count(names))?;
            placed.extents = extents(0, &runs);
            placed.map = numbers(&blocks.rows(map_blocks(placed.extents.len()))?);
        }
    }
    for (node, placed) in nodes.iter().zip(&mut placed) {
        for (first, count) in &node.ranges {
            placed
                .extents
                .extend(extents(*first, &blocks.rows(*count)?));
        }
        if !node.ranges.is_empty() {
            placed.map = numbers(&blocks.rows(map_blocks(placed.extents.len()))?);
        }
    }
    Ok(Places {
        blocks,
        inodes_per_group,
        block_bitmaps,
        inode_bitmaps,
        tables,
        journal,
        lost_and_found,
        placed,
    })
}

fn numbers(runs: &[Run]) -> Vec<u32> {
    runs.iter()
        .flat_map(|run| run.start..run.start + run.count)
        .collect()
}
