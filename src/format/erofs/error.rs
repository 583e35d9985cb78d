//! What keeps a tree from becoming an EROFS image.

use crate::format::codec::{BlockFormat, CodecError};
use crate::format::file_system::KernelVersion;
use crate::format::inodes::EntryError;
use crate::tree::{ContentError, TreePath};

/// A tree could not be laid out or written as EROFS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the volume name `{name}` is {found_bytes} bytes long and EROFS holds {limit_bytes}")]
    VolumeNameTooLong {
        name: String,
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error("the build time has {nanoseconds} nanoseconds, which is not below one second")]
    InvalidBuildTime { nanoseconds: u32 },
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("EROFS cannot name the extended attribute `{name}` of `/{path}`")]
    UnsupportedXattr { path: TreePath, name: String },
    #[error(
        "the extended attribute `{name}` of `/{path}` is {found_bytes} bytes long and EROFS holds {limit_bytes}"
    )]
    XattrTooLarge {
        path: TreePath,
        name: String,
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error(
        "the extended attributes of `/{path}` need {found_bytes} bytes in its inode and EROFS holds {limit_bytes}"
    )]
    XattrsTooLarge {
        path: TreePath,
        found_bytes: u64,
        limit_bytes: u64,
    },
    #[error("the shared extended attributes are larger than 16 GiB")]
    SharedXattrsTooLarge,
    #[error("the tree has more than 4294967295 inodes")]
    TooManyInodes,
    #[error("`/{path}` makes the image larger than 16 TiB")]
    ImageTooLarge { path: TreePath },
    #[error("EROFS has no {format} compression")]
    UnsupportedCodec { format: BlockFormat },
    #[error(
        "EROFS with {format} compression needs Linux {needed}, and the image is to be read by {oldest}"
    )]
    KernelLacksCodec {
        format: BlockFormat,
        needed: KernelVersion,
        oldest: KernelVersion,
    },
    #[error(
        "compression works on blocks of {found_bytes} bytes, and a multiple of 4096 from 8192 to {limit_bytes} was expected"
    )]
    InvalidCompressionBlock {
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error("setting up the compression of the image")]
    Codec { source: CodecError },
    #[error("compressing the content of `/{path}`")]
    Compress { path: TreePath, source: CodecError },
    #[error("opening the content of `/{path}`")]
    OpenContent {
        path: TreePath,
        source: ContentError,
    },
    #[error("reading the content of `/{path}`")]
    ReadContent {
        path: TreePath,
        source: std::io::Error,
    },
    #[error("writing the EROFS image")]
    Write { source: std::io::Error },
}
