use std::path::PathBuf;

use crate::tree::ContentError;

/// A layer could not be read, or holds what no build of ours can have left there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("opening the layer `{path}`")]
    OpenLayer { path: PathBuf, source: ContentError },
    #[error("opening the directory `{path}`")]
    OpenDirectory { path: PathBuf, source: ContentError },
    #[error("listing the directory `{path}`")]
    ListDirectory {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("opening `{path}` to read its metadata")]
    OpenEntry {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` is a mount point, and a layer must lie in one file system")]
    MountPoint { path: PathBuf },
    #[error("reading the metadata of `{path}`")]
    ReadMetadata {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("listing the extended attributes of `{path}`")]
    ListAttributes {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the extended attribute `{attribute}` of `{path}`")]
    ReadAttribute {
        path: PathBuf,
        attribute: String,
        source: std::io::Error,
    },
    #[error("reading the target of the symbolic link `{path}`")]
    ReadLink {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the type of `{path}` is unknown: its mode is {mode:#o}")]
    UnknownType { path: PathBuf, mode: u16 },
    #[error(
        "`{path}` belongs to {uid}:{gid}, and only what belongs to the calling user or to root can be captured without root"
    )]
    ForeignOwner { path: PathBuf, uid: u32, gid: u32 },
    #[error(
        "`{attribute}` of `{path}` names the id {id}, which means nothing here: it is neither the calling user's nor root's"
    )]
    ForeignAttribute {
        path: PathBuf,
        attribute: String,
        id: u32,
    },
    #[error("`{attribute}` of `{path}` is corrupt: {reason}")]
    CorruptAttribute {
        path: PathBuf,
        attribute: String,
        reason: &'static str,
    },
    #[error("reading the id mapping of this process")]
    ReadIdMapping { source: std::io::Error },
    #[error("comparing `/{path}` with the base tree")]
    Compare {
        path: crate::tree::TreePath,
        source: ContentError,
    },
}
