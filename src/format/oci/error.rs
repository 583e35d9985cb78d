//! Why an OCI image could not be written.

use std::path::PathBuf;

use crate::format::{compression, tar};
use crate::tree::{ContentError, InsertError, InvalidTreePath, TreePath};

/// An OCI image could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`/{path}` has a name that marks a deletion in a layer")]
    ReservedName { path: TreePath },
    #[error("naming what is deleted at `/{path}`")]
    DeletedName {
        path: TreePath,
        source: InvalidTreePath,
    },
    #[error("finding what a layer changes")]
    Compare(#[from] ContentError),
    #[error("choosing what a layer holds")]
    Choose(#[from] InsertError),
    #[error("making a layer")]
    Layer(#[from] tar::Error),
    #[error("compressing a layer")]
    Compress(#[from] compression::Error),
    #[error("creating `{path}`")]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("writing `{path}`")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the layer `{digest}` of the base")]
    ReadBase {
        digest: String,
        source: ContentError,
    },
    #[error("copying the layer `{digest}` of the base")]
    CopyBase {
        digest: String,
        source: std::io::Error,
    },
    #[error("the layer `{expected}` of the base has the digest `{found}`")]
    CorruptBase { expected: String, found: String },
    #[error("the layer `{digest}` of the base has a digest other than SHA-256")]
    UnknownDigest { digest: String },
}
