//! What keeps a tree from becoming an ext4 file system.

use crate::tree::{ContentError, TreePath};

/// A tree could not be written as ext4.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("ext4 cannot store the extended attribute `{name}` of `/{path}`")]
    UnsupportedXattr { path: TreePath, name: String },
    #[error("the extended attributes of `/{path}` are more than a block of 4096 bytes holds")]
    XattrsTooLarge { path: TreePath },
    #[error("`/{path}` is {size_bytes} bytes long, and ext4 holds what {limit} extents do")]
    FileTooLarge {
        path: TreePath,
        size_bytes: u64,
        limit: usize,
    },
    #[error("the name of `/{path}` is {found_bytes} bytes long and ext4 holds 255")]
    NameTooLong { path: TreePath, found_bytes: usize },
    #[error("the target of the link `/{path}` is {found_bytes} bytes long and ext4 holds 4095")]
    TargetTooLong { path: TreePath, found_bytes: usize },
    #[error(
        "the time of `/{path}` is {seconds} seconds after 1970, and ext4 holds -2147483648 to 15032385535"
    )]
    TimeOutOfRange { path: TreePath, seconds: i64 },
    #[error("the tree needs more than the 16 TiB that a file system of 32-bit block numbers has")]
    TooLarge,
    #[error("reading the content of `/{path}`")]
    ReadContent {
        path: TreePath,
        source: ContentError,
    },
    #[error("writing the ext4 file system")]
    Write { source: std::io::Error },
}
