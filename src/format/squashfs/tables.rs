//! The tables of inodes, directories and ids.
//!
//! An inode is known by its place, so those that a directory names are placed before it; a directory's entries are
//! placed before its inode, which says where they are.

use std::collections::HashMap;

use super::directory::Listing;
use super::error::Error;
use super::files::Files;
use super::layout::{DirectoryInode, Inode, InodeKind, Place};
use super::metadata::{MetadataCompressor, Table};
use super::sink::Sink;
use super::stored::Stored;
use super::xattr::Xattrs;
use crate::format::inodes::{TreeInode, encode_device};
use crate::tree::EntryKind;

/// The superblock counts ids in 16 bits.
const ID_LIMIT: usize = 65_535;
/// How much of the table of inodes is kept before it is written.
const KEPT_BYTES: usize = 64 * 1024;

/// The users and groups of a tree.
#[derive(Debug)]
pub(super) struct Ids {
    ids: Vec<u32>,
    indices: HashMap<u32, u16>,
}

impl Ids {
    pub(super) fn new(inodes: &[TreeInode<'_>]) -> Result<Self, Error> {
        let mut known = Self {
            ids: Vec::new(),
            indices: HashMap::new(),
        };
        for inode in inodes {
            for id in [inode.entry.uid, inode.entry.gid] {
                if known.indices.contains_key(&id) {
                    continue;
                }
                let index = u16::try_from(known.ids.len()).ok();
                let index = index.filter(|_| known.ids.len() < ID_LIMIT);
                let index = index.ok_or_else(|| Error::TooManyIds {
                    path: inode.path.clone(),
                    limit: ID_LIMIT,
                })?;
                known.ids.push(id);
                known.indices.insert(id, index);
            }
        }
        Ok(known)
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.ids.len()).expect("their number was checked")
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| id.to_le_bytes()).collect()
    }

    fn index_of(&self, id: u32) -> u16 {
        self.indices[&id]
    }
}

/// What the tables of inodes and directories are made of.
#[derive(Debug)]
pub(super) struct Nodes<'n, 'a> {
    pub(super) inodes: &'n [TreeInode<'a>],
    pub(super) ids: &'n Ids,
    pub(super) xattrs: &'n Xattrs<'a>,
    pub(super) files: &'n Files<'a>,
    pub(super) stored: &'n Stored,
}

/// Where the inodes are.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) root: Place,
    pub(super) directory_table_start: u64,
    /// The export table: a reference to each inode, by its number.
    pub(super) references: Vec<u8>,
}

/// An inode's number and place, as directories have them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named {
    pub(super) number: u32,
    pub(super) place: Place,
    /// The type of a basic inode.
    pub(super) kind: u16,
}

impl Nodes<'_, '_> {
    /// Writes both tables.
    pub(super) fn write(
        &self,
        compressor: &mut MetadataCompressor,
        sink: &mut Sink<'_>,
    ) -> Result<Placed, Error> {
        let order = self.order();
        let mut named = vec![Named::default(); self.inodes.len()];
        for (number, index) in (1..).zip(&order) {
            named[*index].number = number;
        }
        let (mut inodes, mut directories) = (Table::new(), Table::new());
        let mut references = Vec::with_capacity(8 * order.len());
        let (mut encoded, mut following) = (Vec::new(), Vec::new());
        for index in order {
            following.clear();
            let kind = self.kind(index, &named, &mut directories, &mut following, compressor)?;
            encoded.clear();
            self.inode(index, named[index].number, kind)
                .encode(&following, &mut encoded);
            named[index].place = inodes.place();
            named[index].kind = kind.basic_type();
            references.extend_from_slice(&inodes.place().reference().to_le_bytes());
            inodes.append(&encoded, compressor)?;
            if inodes.drainable_bytes() > KEPT_BYTES {
                inodes.drain(sink)?;
            }
        }
        inodes.end(compressor)?;
        inodes.drain(sink)?;
        let directory_table_start = sink.position();
        directories.end(compressor)?;
        directories.drain(sink)?;
        Ok(Placed {
            root: named[0].place,
            directory_table_start,
            references,
        })
    }

    /// Returns the inodes in the order of the table: those in a directory's directories, its others, and itself.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.inodes.len());
        let mut is_placed = vec![false; self.inodes.len()];
        // Directories with the number of their children that were looked at.
        let mut open = vec![(0, 0)];
        while let Some((directory, seen)) = open.last_mut() {
            let children = &self.inodes[*directory].children;
            let is_directory = |inode: usize| self.inodes[inode].entry.is_directory();
            let next = children[*seen..]
                .iter()
                .position(|child| is_directory(child.inode));
            if let Some(next) = next {
                *seen += next + 1;
                let child = children[*seen - 1].inode;
                open.push((child, 0));
                continue;
            }
            for child in children.iter().filter(|child| !is_directory(child.inode)) {
                // A hard link's inode is where its first name is.
                if !std::mem::replace(&mut is_placed[child.inode], true) {
                    order.push(child.inode);
                }
            }
            order.push(*directory);
            open.pop();
        }
        order
    }

    /// Returns what the inode `index` is, and puts what follows it into `following`.
    fn kind(
        &self,
        index: usize,
        named: &[Named],
        directories: &mut Table,
        following: &mut Vec<u8>,
        compressor: &mut MetadataCompressor,
    ) -> Result<InodeKind, Error> {
        let inode = &self.inodes[index];
        Ok(match &inode.entry.kind {
            EntryKind::Directory => {
                let parent_inode = match index {
                    // That of the root is the number after the last.
                    0 => u32::try_from(self.inodes.len() + 1).expect("their number was checked"),
                    _ => named[inode.parent].number,
                };
                let children = inode.children.iter();
                let names = children.map(|child| (child.name, named[child.inode]));
                let listing = Listing::write(inode.path, names, directories, compressor)?;
                following.extend_from_slice(&listing.index);
                InodeKind::Directory(DirectoryInode {
                    start_block: listing.start_block,
                    offset: listing.offset,
                    file_size: listing.file_size,
                    parent_inode,
                    i_count: listing.i_count,
                })
            }
            EntryKind::Regular(_) => {
                let (file, sizes) = self.files.inode(index, self.stored);
                following.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
                InodeKind::File(file)
            }
            EntryKind::Symlink(target) => {
                following.extend_from_slice(target);
                InodeKind::Symlink {
                    symlink_size: u32::try_from(target.len()).expect("its length was checked"),
                }
            }
            EntryKind::CharacterDevice(number) => InodeKind::CharacterDevice {
                rdev: encode_device(*number),
            },
            EntryKind::BlockDevice(number) => InodeKind::BlockDevice {
                rdev: encode_device(*number),
            },
            EntryKind::Fifo => InodeKind::Fifo,
            EntryKind::Socket => InodeKind::Socket,
        })
    }

    fn inode(&self, index: usize, inode_number: u32, kind: InodeKind) -> Inode {
        let TreeInode {
            entry, link_count, ..
        } = self.inodes[index];
        let mtime = u32::try_from(entry.modified.seconds).expect("it was checked");
        Inode {
            mode: entry.mode,
            uid: self.ids.index_of(entry.uid),
            gid: self.ids.index_of(entry.gid),
            mtime,
            inode_number,
            nlink: link_count,
            xattr: self.xattrs.number_of(index),
            kind,
        }
    }
}
