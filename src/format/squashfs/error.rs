//! What keeps a tree from becoming a squashfs image.

use crate::format::EntryError;
use crate::format::codec::CodecError;
use crate::tree::{ContentError, TreePath};

/// A tree could not be written as squashfs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "the block size is {found_bytes} bytes, and a power of two from 4096 to 1048576 was expected"
    )]
    BlockSize { found_bytes: u32 },
    #[error("squashfs has no blocks of {format}")]
    UnsupportedCodec { format: &'static str },
    #[error("the build time is {seconds} seconds after 1970, and squashfs holds 0 to 4294967295")]
    BuildTimeOutOfRange { seconds: i64 },
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(
        "the modification time of `/{path}` is {seconds} seconds after 1970, and squashfs holds 0 to 4294967295"
    )]
    TimeOutOfRange { path: TreePath, seconds: i64 },
    #[error("squashfs cannot store the extended attribute `{name}` of `/{path}`")]
    UnsupportedXattr { path: TreePath, name: String },
    #[error(
        "the extended attribute `{name}` of `/{path}` is {found_bytes} bytes long and Linux holds {limit_bytes}"
    )]
    XattrTooLarge {
        path: TreePath,
        name: String,
        found_bytes: usize,
        limit_bytes: usize,
    },
    #[error("the extended attributes of `/{path}` are larger than 4 GiB")]
    XattrsTooLarge { path: TreePath },
    #[error(
        "`/{path}` has one of more than {limit} different users and groups, and squashfs holds no more"
    )]
    TooManyIds { path: TreePath, limit: usize },
    #[error("the tree has more than 4294967294 inodes")]
    TooManyInodes,
    #[error("the names in `/{path}` need more than 4 GiB")]
    DirectoryTooLarge { path: TreePath },
    #[error("the {table} is larger than 4 GiB")]
    TableTooLarge { table: &'static str },
    #[error("reading the content of `/{path}`")]
    ReadContent {
        path: TreePath,
        source: ContentError,
    },
    #[error("compressing the squashfs image")]
    Compress {
        #[source]
        source: CodecError,
    },
    #[error("writing the squashfs image")]
    Write { source: std::io::Error },
}
