//! squashfs 4.0: the read-only file system that every kernel of the last years can mount.
//!
//! [`Plan::new`] checks that a [`FileTree`](crate::tree::FileTree) can be held, and [`Plan::write`] streams the image:
//! contents are read in place and compressed by several threads, written in the order of the tree, and the tables
//! follow. Only the superblock is written once more at the end.
//!
//! ```text
//! superblock ─ compressor options ─ blocks and fragment blocks of files
//!            ─ inodes ─ directories ─ fragments ─ export table ─ ids ─ xattrs ─ padding to 4 KiB
//! ```
//!
//! What is written depends on the tree and the [`Options`] alone, not on the number of threads, the host, or the place
//! contents are read from. The format has no fractions of seconds, no times before 1970 or after 2106, and no ACLs: the
//! first are cut off, the others are errors that name the path.
//!
//! | compression | kernel |
//! |---|---|
//! | gzip (zlib) | 2.6.29 |
//! | xz | 2.6.38 |
//! | lz4 | 3.19 |
//! | zstd | 4.14 |
//!
//! Layout: `fs/squashfs/squashfs_fs.h` of the kernel, whose field names are kept, and
//! <https://docs.kernel.org/filesystems/squashfs.html>.

mod contents;
mod directory;
mod entries;
mod error;
mod files;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod image;
mod inode;
mod layout;
mod metadata;
mod options;
pub mod reader;
mod sink;
mod stored;
mod tables;
mod writer;
mod xattr;

pub use self::error::Error;
pub use self::options::Options;
pub use self::writer::{Plan, Statistics, Summary};

#[cfg(test)]
mod tests;
