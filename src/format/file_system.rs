//! What is known of a file system in an image, of whatever format.
//!
//! A reader of a format gives a [`Description`] of its superblock and a [`FileTree`](crate::tree::FileTree), whose
//! contents stay in the image until they are opened ([`StoredContents`](crate::tree::StoredContents)).

use std::fmt;

use crate::tree::Timestamp;

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
