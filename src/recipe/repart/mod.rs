//! Partition definitions: the files of `mkosi.repart/` and `RepartDirectories=`, as repart.d(5) describes them.
//!
//! They are read with the recipe, so that mistakes in them are reported with all others. A setting that is known and
//! not supported is an error with its place, never dropped; what cannot matter when an image is made from nothing, as
//! it always is here, is accepted: nothing is left to be distributed by weight or taken away by priority.

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod load;
mod parse;
#[cfg(test)]
mod tests;
mod text;
mod types;
mod verity;

use uuid::Uuid;

use super::file_system::Payload;
use super::origin::Origin;
use crate::tree::TreePath;

pub(super) use self::load::load;
pub(super) use self::parse::Context;
pub use self::types::PartitionType;

/// The smallest partition, and what sizes are multiples of.
pub const GRAIN_BYTES: u64 = 4096;
/// The size of a partition of which nothing else is said.
const DEFAULT_SIZE_BYTES: u64 = 10 << 20;
/// More is a mistake, and verity would hash it for hours.
const MOST_BYTES: u64 = 1 << 40;
/// A partition table has room for this many.
const MOST_DEFINITIONS: usize = 128;
/// GPT attributes of the Discoverable Partitions Specification.
const NO_AUTO: u64 = 1 << 63;
const READ_ONLY: u64 = 1 << 60;
const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// One partition to make.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The name of the file, for messages and copies.
    pub file_name: String,
    pub origin: Origin,
    pub kind: PartitionType,
    /// As it is written; `None` for the type's name.
    pub label: Option<String>,
    /// `None` for one that is derived.
    pub uuid: Option<Uuid>,
    /// `None` for a partition of zeros.
    pub format: Option<PartitionFormat>,
    pub copied: Vec<CopiedFiles>,
    pub excluded: Vec<Excluded>,
    pub excluded_targets: Vec<Excluded>,
    pub directories: Vec<TreePath>,
    /// Each link with what it leads to.
    pub symlinks: Vec<(TreePath, String)>,
    pub minimize: bool,
    pub size_min_bytes: Option<u64>,
    pub size_max_bytes: Option<u64>,
    pub padding_min_bytes: u64,
    pub verity: VerityPart,
    pub split_name: Option<String>,
    pub attributes: u64,
    /// The text of the file and its drop-ins, joined.
    pub text: String,
}

/// A file system in a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PartitionFormat {
    /// One that is written once.
    Packed(Payload),
    Ext4,
}

/// Files of the image that go into a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopiedFiles {
    pub source: TreePath,
    pub target: TreePath,
}

/// What does not go into a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excluded {
    pub path: TreePath,
    /// Whether the directory itself stays.
    pub contents_only: bool,
}

/// What a partition is of a set that dm-verity protects. The number is that of the data partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VerityPart {
    None,
    Data,
    Hash { of: usize },
    Signature { of: usize },
}

impl Definition {
    /// Returns the size that the partition has at least.
    pub fn least_bytes(&self) -> u64 {
        let default = match self.minimize {
            true => GRAIN_BYTES,
            false => DEFAULT_SIZE_BYTES,
        };
        self.size_min_bytes.unwrap_or(default)
    }
}
