//! EROFS: the read-only file system that images use by default.
//!
//! There are two ways to write one. [`Plan::new`] lays a [`FileTree`](crate::tree::FileTree) out without compression, so
//! that every offset and the size of the image are known before a byte is written; [`Plan::write`] then streams the
//! image front to back, reading contents in place through a buffer of fixed size. [`write_compressed`] streams contents
//! out as several threads compress them, and what says where they are after them. [`reader`] reads an image of either
//! back. The order in an image without compression, and in one with it:
//!
//! ```text
//! superblock (at 1024) ─ inodes, each with its xattrs and inline tail ─ shared xattrs ─ directory blocks ─ file blocks
//! superblock ─ packed small files ─ other files' blocks ─ inodes, each with its map ─ shared xattrs ─ directory blocks
//! ```
//!
//! What is written depends on the tree and the options alone: neither on the host, the time, the number of threads nor
//! the place contents are read from. No feature is newer than what an image needs, or was said to be read by:
//!
//! | feature | kernel |
//! |---|---|
//! | plain and inline data, compact and extended inodes, inline and shared xattrs | 5.4 |
//! | superblock checksum (`SB_CHKSUM`, a compatible feature: older kernels do not look at it) | 5.5 |
//! | extended inodes with a modification time (`MTIME`, a compatible feature: older kernels show it as ctime too) | 5.4 |
//! | LZ4 in clusters of several blocks (`BIG_PCLUSTER`) | 5.13 |
//! | small files in the packed inode, files that share clusters (`FRAGMENTS`, `DEDUPE`) | 6.1 |
//! | deflate | 6.6 |
//! | Zstandard | 6.10 |
//!
//! Layout: <https://docs.kernel.org/filesystems/erofs.html> and `fs/erofs/erofs_fs.h`, whose field names are kept.

mod compressed;
mod directory;
mod error;
mod extent;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod image;
mod index;
mod kernel;
mod layout;
mod metadata;
mod node;
mod placement;
mod plan;
pub mod reader;
mod selection;
mod sink;
mod stream;
mod work;
mod writer;
mod xattr;

pub use self::compressed::{Compression, Statistics, Summary};
pub use self::error::Error;
pub use self::plan::{Options, Plan};
pub use self::stream::write_compressed;

#[cfg(test)]
mod tests;
