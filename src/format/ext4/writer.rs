//! Writes a planned file system from front to back.

use std::io::{Read, Write};

use super::Error;
use super::blocks::has_superblock;
use super::directory::{self, Name};
use super::inode::{Body, Inode, extents};
use super::journal;
use super::layout::{
    BLOCK, BLOCK_BYTES, BLOCKS_PER_GROUP, FIRST_INODE, INODE_BYTES, JOURNAL_INODE, PlacedBlock,
    ROOT_INODE,
};
use super::plan::Plan;
use super::superblock::{SUPERBLOCK_BYTES, Usage, descriptors, journal_inode, superblock};
use super::xattr::Attributes;
use crate::format::output::ImageOutput;
use crate::tree::{Content, ContentError, ContentReader, EntryKind};

/// What lies somewhere.
enum Piece {
    Bytes(Vec<u8>),
    /// Bytes of the content of the node with this index.
    Content {
        node: usize,
        offset: u64,
        length: u64,
    },
}

const CHUNK_BYTES: usize = 256 << 10;

impl Plan<'_> {
    /// Writes the file system.
    ///
    /// # Errors
    /// [`Error::ReadContent`] or [`Error::Write`].
    pub fn write(&self, out: &mut dyn ImageOutput) -> Result<(), Error> {
        let mut pieces = self.metadata();
        for (index, (node, placed)) in self.nodes.iter().zip(&self.places.placed).enumerate() {
            let EntryKind::Regular(content) = &node.entry.kind else {
                continue;
            };
            for extent in &placed.extents {
                let offset = u64::from(extent.logical) * BLOCK;
                let room = u64::from(extent.run.count) * BLOCK;
                pieces.push((
                    extent.run.start,
                    Piece::Content {
                        node: index,
                        offset,
                        length: room.min(content.size_bytes() - offset),
                    },
                ));
            }
        }
        pieces.sort_by_key(|(block, _)| *block);
        let mut contents = Contents::default();
        let mut at = 0;
        let writing = |source| Error::Write { source };
        for (block, piece) in pieces {
            let start = u64::from(block) * BLOCK;
            out.write_zeros(start - at).map_err(writing)?;
            at = start;
            at += match piece {
                Piece::Bytes(bytes) => {
                    out.write_all(&bytes).map_err(writing)?;
                    bytes.len() as u64
                }
                Piece::Content {
                    node,
                    offset,
                    length,
                } => {
                    if let EntryKind::Regular(content) = &self.nodes[node].entry.kind {
                        contents
                            .copy(node, content, offset, length, out)
                            .map_err(|failed| failed.of(&self.nodes[node].path))?;
                    }
                    length
                }
            };
        }
        out.write_zeros(self.size_bytes() - at).map_err(writing)
    }

    /// Returns everything that is no content of a file, each with its first block.
    fn metadata(&self) -> Vec<(u32, Piece)> {
        let (uuid, places) = (self.options.uuid, &self.places);
        let mut pieces: Vec<PlacedBlock> = self.attribute_blocks().collect();
        let mut inodes: Vec<(u32, Inode)> = vec![(FIRST_INODE, self.lost_and_found())];
        if !places.journal.is_empty() {
            let inode = journal_inode(&places.journal, self.options.build_time);
            inodes.push((JOURNAL_INODE, inode));
            let length: u32 = places.journal.iter().map(|run| run.count).sum();
            pieces.extend(
                places
                    .journal
                    .first()
                    .map(|run| (run.start, journal::superblock(length))),
            );
        }
        let dots = |own: u32, parent: u32| {
            [(own, &b"."[..]), (parent, b"..")].map(|(inode, name)| Name {
                inode,
                kind: 2,
                name: name.to_vec(),
            })
        };
        let mut directory_blocks = |runs: &[super::blocks::Run], blocks: Vec<Vec<u8>>| {
            let numbers = runs.iter().flat_map(|run| run.start..run.start + run.count);
            pieces.extend(numbers.zip(blocks));
        };
        let names = dots(FIRST_INODE, ROOT_INODE);
        let least: u32 = places.lost_and_found.iter().map(|run| run.count).sum();
        let least = usize::try_from(least).unwrap_or_default();
        let blocks = directory::blocks(uuid, FIRST_INODE, &names, least);
        directory_blocks(&places.lost_and_found, blocks);
        for (node, placed) in self.nodes.iter().zip(&places.placed) {
            let runs: Vec<_> = placed.extents.iter().map(|extent| extent.run).collect();
            match &node.entry.kind {
                EntryKind::Directory => {
                    let mut names = dots(node.number, node.parent).to_vec();
                    names.extend(node.names.iter().cloned());
                    let blocks = directory::blocks(uuid, node.number, &names, 1);
                    directory_blocks(&runs, blocks);
                }
                EntryKind::Symlink(target) if !runs.is_empty() => {
                    let mut block = target.clone();
                    block.resize(BLOCK_BYTES, 0);
                    directory_blocks(&runs, vec![block]);
                }
                _ => {}
            }
            inodes.push((node.number, self.inode(node, placed)));
        }
        inodes.sort_by_key(|(number, _)| *number);
        let (tables, usage, nodes) = self.tables(&inodes);
        pieces.extend(nodes);
        let bitmaps: Vec<[Vec<u8>; 2]> = (0..places.blocks.group_count)
            .map(|group| {
                [
                    places.blocks.bitmap(group),
                    self.inode_bitmap(group, &inodes),
                ]
            })
            .collect();
        self.add_groups(&mut pieces, &usage, &bitmaps);
        for (table, run) in tables.into_iter().zip(&places.tables) {
            pieces.push((run.start, table));
        }
        for (index, [blocks, inodes]) in bitmaps.into_iter().enumerate() {
            pieces.push((places.block_bitmaps[index], blocks));
            pieces.push((places.inode_bitmaps[index], inodes));
        }
        let pieces = pieces.into_iter();
        pieces
            .map(|(block, bytes)| (block, Piece::Bytes(bytes)))
            .collect()
    }

    /// Adds the superblocks with the descriptors behind each.
    fn add_groups(&self, pieces: &mut Vec<PlacedBlock>, usage: &[Usage], bitmaps: &[[Vec<u8>; 2]]) {
        let descriptors = descriptors(self, usage, bitmaps);
        for group in (0..self.places.blocks.group_count).filter(|group| has_superblock(*group)) {
            let mut block = vec![0; BLOCK_BYTES];
            // The first one leaves room for a boot sector.
            let offset = if group == 0 { SUPERBLOCK_BYTES } else { 0 };
            let bytes = superblock(self, usage, group);
            block[offset..offset + SUPERBLOCK_BYTES].copy_from_slice(&bytes);
            block.extend_from_slice(&descriptors);
            pieces.push((group * BLOCKS_PER_GROUP, block));
        }
    }

    /// Returns the inode tables as far as they are used, what is used of them, and the blocks of maps.
    fn tables(&self, inodes: &[(u32, Inode)]) -> (Vec<Vec<u8>>, Vec<Usage>, Vec<PlacedBlock>) {
        let per_group = self.places.inodes_per_group;
        let groups = usize::try_from(self.places.blocks.group_count).unwrap_or_default();
        let mut tables = vec![Vec::new(); groups];
        let mut usage = vec![Usage::default(); groups];
        let mut nodes = Vec::new();
        // Those below the first are in use, whether there is anything in them or not.
        usage[0].inodes = FIRST_INODE - 1;
        usage[0].last_inode = FIRST_INODE - 1;
        for (number, inode) in inodes {
            let group = usize::try_from((number - 1) / per_group).unwrap_or_default();
            let index = (number - 1) % per_group;
            let offset = usize::try_from(index).unwrap_or_default() * INODE_BYTES;
            let (bytes, map) = inode.encode(self.options.uuid, *number);
            nodes.extend(map);
            tables[group].resize(offset, 0);
            tables[group].extend_from_slice(&bytes);
            let usage = &mut usage[group];
            usage.inodes += u32::from(*number >= FIRST_INODE || *number == 0);
            usage.last_inode = usage.last_inode.max(index + 1);
            usage.directories += u32::from(inode.mode & 0o170_000 == 0o040_000);
        }
        (tables, usage, nodes)
    }

    fn inode_bitmap(&self, group: u32, inodes: &[(u32, Inode)]) -> Vec<u8> {
        let per_group = self.places.inodes_per_group;
        let mut bitmap = vec![0u8; BLOCK_BYTES];
        let mut set = |index: u32| {
            bitmap[usize::try_from(index / 8).unwrap_or_default()] |= 1 << (index % 8);
        };
        let first = group * per_group + 1;
        let from = inodes.partition_point(|(number, _)| *number < first);
        let of_group = inodes[from..].iter().map(|(number, _)| number - first);
        of_group
            .take_while(|index| *index < per_group)
            .for_each(&mut set);
        if group == 0 {
            (0..FIRST_INODE - 1).for_each(&mut set);
        }
        // What is no inode counts as used.
        (per_group..BLOCKS_PER_GROUP).for_each(&mut set);
        bitmap
    }

    fn lost_and_found(&self) -> Inode {
        let runs = &self.places.lost_and_found;
        let blocks: u32 = runs.iter().map(|run| run.count).sum();
        Inode {
            mode: 0o040_700,
            uid: 0,
            gid: 0,
            link_count: 2,
            size_bytes: u64::from(blocks) * BLOCK,
            block_count: u64::from(blocks),
            modified: self.options.build_time,
            created: self.options.build_time,
            body: Body::Extents(extents(0, runs)),
            map: Vec::new(),
            attributes: Attributes::default(),
            attribute_block: None,
        }
    }
}

/// The content that is being read: pieces of one follow each other.
#[derive(Default)]
struct Contents {
    open: Option<(usize, u64, ContentReader)>,
}

/// Why a content was not copied.
enum Failed {
    Read(ContentError),
    Write(std::io::Error),
}

impl Failed {
    fn of(self, path: &crate::tree::TreePath) -> Error {
        match self {
            Self::Read(source) => Error::ReadContent {
                path: path.clone(),
                source,
            },
            Self::Write(source) => Error::Write { source },
        }
    }
}

impl Contents {
    fn copy(
        &mut self,
        node: usize,
        content: &Content,
        offset: u64,
        length: u64,
        out: &mut dyn Write,
    ) -> Result<(), Failed> {
        let at_place = self
            .open
            .as_ref()
            .is_some_and(|(open, at, _)| *open == node && *at == offset);
        let mut chunk = vec![0; CHUNK_BYTES];
        let end = offset + length;
        let mut at = offset;
        // What comes after a hole is read by itself.
        let mut reader = match (at_place, offset) {
            (true, _) => self.open.take().map(|(_, _, reader)| reader),
            (false, 0) => Some(content.open().map_err(Failed::Read)?),
            (false, _) => None,
        };
        while at < end {
            let room = usize::try_from(end - at)
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES);
            let room = &mut chunk[..room];
            match &mut reader {
                Some(reader) => reader.read_exact(room).map_err(|source| {
                    Failed::Read(match source.downcast::<ContentError>() {
                        Ok(known) => known,
                        Err(source) => ContentError::Read {
                            path: content.location(),
                            source,
                        },
                    })
                })?,
                None => content
                    .read_part(at, room)
                    .map(drop)
                    .map_err(Failed::Read)?,
            }
            out.write_all(room).map_err(Failed::Write)?;
            at += room.len() as u64;
        }
        self.open = reader.map(|reader| (node, end, reader));
        Ok(())
    }
}
