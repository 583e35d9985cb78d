//! Why an output could not be written.

use std::io::ErrorKind;

use crate::Hint;
use crate::ddi;
use crate::format::{compression, cpio, directory, erofs, ext4, oci, squashfs, tar};
use crate::tree::ContentError;

use super::partition::ContentsError;

/// An output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("laying out the file system")]
    FileSystem(#[from] FileSystemError),
    #[error("assembling the disk image")]
    Ddi(#[from] ddi::AssembleError<FileSystemError>),
    #[error("making the cpio archive")]
    Cpio(#[from] cpio::Error),
    #[error("making the tar archive")]
    Tar(#[from] tar::Error),
    #[error("compressing the output")]
    Compression(#[from] compression::Error),
    #[error("making the directory")]
    Directory(#[from] directory::Error),
    #[error("making the OCI image")]
    Oci(#[from] oci::Error),
    #[error("reading the tree")]
    Content(#[from] ContentError),
    #[error("writing the file")]
    File(#[from] std::io::Error),
}

/// A file system could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileSystemError {
    #[error("making an EROFS file system")]
    Erofs(#[from] erofs::Error),
    #[error("making a squashfs file system")]
    Squashfs(#[from] squashfs::Error),
    #[error("making an ext4 file system")]
    Ext4(#[from] ext4::Error),
    #[error("choosing the files of a partition")]
    Contents(#[from] ContentsError),
}

impl Hint for WriteError {
    fn hint(&self) -> Option<String> {
        let causes =
            std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        let kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<std::io::Error>()?.kind()));
        let hint = match kinds.last()? {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free some space, or name another directory with `OutputDirectory=`"
            }
            ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`)",
            _ => return None,
        };
        Some(hint.into())
    }
}
