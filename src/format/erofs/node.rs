//! What both writers need of an inode, whatever becomes of its contents.

use super::directory::{self, Name};
use super::error::Error;
use super::layout::{BLOCK_BYTES, COMPACT_INODE_LENGTH, EXTENDED_INODE_LENGTH, Inode, file_type};
use super::xattr::{self, Body, SharedArea};
use crate::format::inodes::{Child, TreeInode, collect, encode_device, type_bits};
use crate::tree::{EntryKind, FileTree, Timestamp};

/// An inode of the tree with its attributes and the form that its fixed part takes.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) tree: TreeInode<'a>,
    pub(super) xattrs: Body<'a>,
    /// The length of the contents: of a directory, of its blocks.
    pub(super) size_bytes: u64,
    /// `None` for a compact inode.
    own_time: Option<Timestamp>,
}

/// Returns the inodes of `tree`, the root first, and the attributes that they share.
///
/// # Errors
/// An [`Error`] that names the entry that EROFS cannot express.
pub(super) fn nodes(
    tree: &FileTree,
    build_time: Timestamp,
) -> Result<(Vec<Node<'_>>, SharedArea<'_>), Error> {
    let inodes = collect(tree)?;
    u32::try_from(inodes.len()).map_err(|_| Error::TooManyInodes)?;
    let named: Vec<_> = inodes
        .iter()
        .map(|inode| (inode.path, inode.entry))
        .collect();
    let (bodies, shared_xattrs) = xattr::lay_out(&named)?;
    let nodes = inodes
        .into_iter()
        .zip(bodies)
        .map(|(inode, xattrs)| Node::new(inode, xattrs, build_time))
        .collect();
    Ok((nodes, shared_xattrs))
}

impl<'a> Node<'a> {
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
        Self {
            own_time: (!is_compact).then_some(entry.modified),
            tree,
            xattrs,
            size_bytes,
        }
    }

    /// Returns the size of the fixed part and the attributes.
    pub(super) fn head_bytes(&self) -> u64 {
        let fixed = match self.own_time {
            Some(_) => EXTENDED_INODE_LENGTH,
            None => COMPACT_INODE_LENGTH,
        };
        fixed as u64 + self.xattrs.size_bytes()
    }

    /// Returns how much of the contents can follow the inode: what does not fill a block, when it fits into a block
    /// together with the inode.
    pub(super) fn inline_tail_bytes(&self) -> u64 {
        let tail_bytes = self.size_bytes % BLOCK_BYTES;
        match self.head_bytes() + tail_bytes <= BLOCK_BYTES {
            true => tail_bytes,
            false => 0,
        }
    }

    /// Returns the fixed part of the inode number `index`; `i_u` is taken unless the inode is a device.
    pub(super) fn on_disk(&self, index: usize, data_layout: u16, i_u: u32) -> Inode {
        let entry = self.tree.entry;
        let i_u = match entry.kind {
            EntryKind::CharacterDevice(number) | EntryKind::BlockDevice(number) => {
                encode_device(number)
            }
            _ => i_u,
        };
        Inode {
            i_mtime: self.own_time,
            data_layout,
            i_xattr_icount: self.xattrs.icount(),
            i_mode: type_bits(&entry.kind) | entry.mode,
            i_nlink: self.tree.link_count,
            i_size: self.size_bytes,
            i_u,
            i_ino: u32::try_from(index + 1).expect("the number of inodes was checked"),
            i_uid: entry.uid,
            i_gid: entry.gid,
        }
    }

    /// Returns the type that directories have for this inode.
    fn file_type(&self) -> u8 {
        file_type(type_bits(&self.tree.entry.kind))
    }
}

/// Returns the contents of the directory `index` of `nodes`; `nid` gives the number of an inode.
pub(super) fn encode_directory<'n, 'a: 'n>(
    node: impl Fn(usize) -> &'n Node<'a>,
    index: usize,
    nid: impl Fn(usize) -> u64,
) -> Vec<u8> {
    let names: Vec<_> = names(&node(index).tree, index)
        .map(|(name, inode)| Name {
            name,
            nid: nid(inode),
            file_type: node(inode).file_type(),
        })
        .collect();
    directory::encode(&names)
}

/// Iterates over the names in a directory, the inode `index`, as they are sorted on disk.
fn names<'a, 'b: 'a>(
    directory: &'a TreeInode<'b>,
    index: usize,
) -> impl Iterator<Item = (&'b [u8], usize)> + 'a {
    let children = &directory.children;
    let after_dot = children.partition_point(|child| child.name < b".".as_slice());
    let after_dots = children.partition_point(|child| child.name < b"..".as_slice());
    let pairs = |range: &'a [Child<'b>]| range.iter().map(|child| (child.name, child.inode));
    pairs(&children[..after_dot])
        .chain([(b".".as_slice(), index)])
        .chain(pairs(&children[after_dot..after_dots]))
        .chain([(b"..".as_slice(), directory.parent)])
        .chain(pairs(&children[after_dots..]))
}
