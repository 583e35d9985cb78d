//! ext4: the file system of partitions that are written to.
//!
//! [`Plan::new`] lays a [`FileTree`](crate::tree::FileTree) out, so that every offset and the size are known before a
//! byte is written; [`Plan::write`] streams the image front to back. What is written depends on the tree and the
//! options alone: `mke2fs -d` takes times of change from the host's files and their order from the host's directories.
//!
//! ```text
//! superblock ─ group descriptors ─ bitmaps ─ inode tables ─ journal ─ directories, attributes, maps ─ files ─ free space
//! ```
//!
//! All groups' bitmaps and tables lie together (`flex_bg`), copies of the superblock where `sparse_super` has them.
//! Directories are lists; the kernel indexes those that grow (`dir_index`). There is a journal from 8 MiB on, as with
//! mke2fs. Features are those that Linux 4.4 mounts and writes, each block of metadata with its checksum.
//!
//! Layout: <https://docs.kernel.org/filesystems/ext4/>, whose field names are kept.

mod blocks;
mod directory;
mod error;
mod inode;
mod journal;
mod layout;
mod plan;
mod superblock;
mod writer;
mod xattr;

pub use self::error::Error;
pub use self::plan::{Options, Plan};

#[cfg(test)]
mod tests;
