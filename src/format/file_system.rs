//! What is known of a file system in an image, of whatever format.
//!
//! A reader of a format gives a [`Description`] of its superblock and a [`FileTree`], whose
//! contents stay in the image until they are opened ([`StoredContents`](crate::tree::StoredContents)).

use std::fmt;
use std::sync::Arc;

use super::read_at::ReadAt;
use super::{erofs, squashfs};
use crate::tree::{FileTree, Timestamp};

/// What a superblock says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// The name by which mount(8) knows the format, such as `erofs`.
    pub file_system: &'static str,
    /// The length of the file system, of which an image may have more.
    pub size_bytes: u64,
    pub block_size_bytes: u32,
    /// The file system's identifier, `None` where the format has none.
    pub uuid: Option<uuid::Uuid>,
    pub label: String,
    pub created: Timestamp,
    pub inode_count: u64,
    /// How contents are compressed, none for an image that is not.
    pub compression: Vec<&'static str>,
    /// What of the format the image uses.
    pub features: Vec<Feature>,
}

/// Something in a format that not every kernel can read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Feature {
    pub name: &'static str,
    /// The first kernel that reads it.
    pub kernel: KernelVersion,
}

/// A release of Linux.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KernelVersion {
    pub major: u16,
    pub minor: u16,
}

impl KernelVersion {
    /// Returns the release `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Description {
    /// Returns the first kernel that reads all of it, `None` when no feature is known.
    pub fn oldest_kernel(&self) -> Option<KernelVersion> {
        self.features.iter().map(|feature| feature.kernel).max()
    }
}

/// A file system in an image, of whichever format it is.
#[derive(Clone, Debug)]
pub enum FileSystem {
    Erofs(Arc<erofs::reader::Image>),
    Squashfs(Arc<squashfs::reader::Image>),
}

/// A file system cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileSystemError {
    #[error(
        "there is no file system that can be read: it is {found}, and EROFS or squashfs was expected"
    )]
    Unknown { found: &'static str },
    #[error("reading the EROFS image")]
    Erofs { source: erofs::reader::ReadError },
    #[error("reading the squashfs image")]
    Squashfs { source: squashfs::reader::ReadError },
    #[error("reading the file system")]
    Read { source: std::io::Error },
}

/// What is found where no format is recognised.
pub const UNKNOWN: &str = "something else";

/// Where a format says what it is.
const MAGICS: [(u64, &[u8], &str); 8] = [
    (EROFS_MAGIC_OFFSET, b"\xe2\xe1\xf5\xe0", "erofs"),
    (0, b"hsqs", "squashfs"),
    (0x438, b"\x53\xef", "ext4"),
    (0x10040, b"_BHRfS_M", "btrfs"),
    (0, b"XFSB", "xfs"),
    (82, b"FAT32", "vfat"),
    (54, b"FAT", "vfat"),
    (0, b"LUKS\xba\xbe", "crypto_LUKS"),
];
const EROFS_MAGIC_OFFSET: u64 = 1024;

/// Returns the name by which mount(8) knows the file system in `bytes`.
///
/// # Errors
/// What reading failed with.
pub fn recognise(bytes: &dyn ReadAt) -> std::io::Result<Option<&'static str>> {
    for (offset, magic, name) in MAGICS {
        if offset + magic.len() as u64 > bytes.size_bytes() {
            continue;
        }
        if bytes.bytes_at(offset, magic.len())? == magic {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

impl FileSystem {
    /// Takes the file system in `bytes`.
    ///
    /// # Errors
    /// A [`FileSystemError`] when it is not known or its superblock is damaged.
    pub fn open(bytes: Arc<dyn ReadAt>) -> Result<Self, FileSystemError> {
        let found = recognise(&*bytes).map_err(|source| FileSystemError::Read { source })?;
        match found {
            Some("erofs") => erofs::reader::Image::open(bytes)
                .map(|image| Self::Erofs(Arc::new(image)))
                .map_err(|source| FileSystemError::Erofs { source }),
            Some("squashfs") => squashfs::reader::Image::open(bytes)
                .map(|image| Self::Squashfs(Arc::new(image)))
                .map_err(|source| FileSystemError::Squashfs { source }),
            found => Err(FileSystemError::Unknown {
                found: found.unwrap_or(UNKNOWN),
            }),
        }
    }

    /// Returns what the superblock says.
    pub fn description(&self) -> Description {
        match self {
            Self::Erofs(image) => image.description(),
            Self::Squashfs(image) => image.description(),
        }
    }

    /// Reads the tree; contents stay in the image.
    ///
    /// # Errors
    /// A [`FileSystemError`] that says what is damaged.
    pub fn tree(&self) -> Result<FileTree, FileSystemError> {
        match self {
            Self::Erofs(image) => image
                .tree()
                .map_err(|source| FileSystemError::Erofs { source }),
            Self::Squashfs(image) => image
                .tree()
                .map_err(|source| FileSystemError::Squashfs { source }),
        }
    }
}
