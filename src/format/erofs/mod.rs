//! EROFS: the read-only file system that images use by default.
//!
//! [`Plan::new`] lays a [`FileTree`](crate::tree::FileTree) out, so that every offset and the size of the image are
//! known before a byte is written; [`Plan::write`] then streams the image front to back, reading contents in place
//! through a buffer of fixed size. [`reader`] reads an image back. The order in an image:
//!
//! ```text
//! superblock (at 1024) ─ inodes, each with its xattrs and inline tail ─ shared xattrs ─ directory blocks ─ file blocks
//! ```
//!
//! What [`Plan::write`] gives depends on the tree and the [`Options`] alone: neither on the host, the time nor the
//! place contents are read from. Images are uncompressed, and no feature is newer than what they need:
//!
//! | feature | kernel |
//! |---|---|
//! | plain and inline data, compact and extended inodes, inline and shared xattrs | 5.4 |
//! | superblock checksum (`SB_CHKSUM`, a compatible feature: older kernels do not look at it) | 5.5 |
//! | extended inodes with a modification time (`MTIME`, a compatible feature: older kernels show it as ctime too) | 5.4 |
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
