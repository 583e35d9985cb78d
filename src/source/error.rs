//! Why a source of a tree cannot be read.

use std::io;
use std::path::PathBuf;

use super::oci::OciError;
use crate::Hint;
use crate::capture;
use crate::ddi::read::{Finding, OpenError};
use crate::format::file_system::FileSystemError;
use crate::format::tar::unpack::UnpackError;
use crate::tree::{InsertError, TreePath};

/// A source of a tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("opening `{path}`")]
    Open { path: PathBuf, source: io::Error },
    #[error("reading `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` is no tree: neither an archive nor an image was found in it")]
    NoTree { path: PathBuf },
    #[error("`{path}` is compressed with {found}; gzip, xz and zstd are read")]
    UnknownCompression { path: PathBuf, found: &'static str },
    #[error("keeping what is in `{path}`")]
    Keep { path: PathBuf, source: io::Error },
    #[error("`{path}` holds more than {limit_bytes} bytes, which is the most that a build may use")]
    TooLarge { path: PathBuf, limit_bytes: u64 },
    #[error("reading the directory `{path}`")]
    Directory {
        path: PathBuf,
        source: capture::Error,
    },
    #[error("unpacking the archive `{path}`")]
    Archive { path: PathBuf, source: UnpackError },
    #[error("reading the image `{path}`")]
    Image { path: PathBuf, source: OpenError },
    #[error("the image `{path}` is damaged")]
    Damaged { path: PathBuf, source: Box<Finding> },
    #[error("reading the file system of `{path}`")]
    FileSystem {
        path: PathBuf,
        source: FileSystemError,
    },
    #[error("putting the partitions of `{path}` together")]
    Join { path: PathBuf, source: InsertError },
    #[error("reading the OCI image `{path}`")]
    Oci { path: PathBuf, source: OciError },
    #[error(
        "`/{entry}` in `{path}` has the attribute `{attribute}`, which stands for what a directory cannot hold"
    )]
    ReservedAttribute {
        path: PathBuf,
        entry: TreePath,
        attribute: String,
    },
}

impl Error {
    /// Tells whether a recipe names what can be no tree, rather than one that is damaged.
    pub fn is_bad_recipe(&self) -> bool {
        matches!(
            self,
            Self::Open { .. } | Self::NoTree { .. } | Self::UnknownCompression { .. }
        ) || matches!(
            self,
            Self::Oci {
                source: OciError::NoImage { .. },
                ..
            }
        )
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownCompression { .. } => "decompress it first".to_owned(),
            Self::TooLarge { limit_bytes, .. } => format!(
                "if you trust it, give it more, such as `--limit=disk={}`",
                limit_bytes.saturating_mul(2)
            ),
            Self::Oci {
                source: OciError::NoImage { .. },
                ..
            } => "choose one that it has with `Architecture=`".to_owned(),
            Self::ReservedAttribute { .. } => {
                "name the directory that the archive was made of, or make another one with `Format=tar`".to_owned()
            }
            _ => return None,
        })
    }
}
