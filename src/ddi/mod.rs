//! A file system, its verity tree and its signature become a GPT image, in one streaming pass, and are read back.
//!
//! `format` writes a file system into [`assemble`], which hashes the bytes as they go by, appends the hash tree and the
//! signature of its root, and puts the partition table around them. What is kept in memory is the hash tree, 1/128 of
//! the payload. Invariants: the same layout and payload give the same bytes (with a key whose signatures are
//! reproducible), and every offset and size is a multiple of 4096.
//!
//! [`read`] takes images apart again, whoever made them, and checks all of their bytes.
//!
//! Specifications: UEFI 2.10 section 5.3 (GPT),
//! <https://uapi-group.org/specifications/specs/discoverable_disk_image/>.

mod assemble;
mod disk;
mod gpt;
mod identity;
mod partition_types;
pub mod read;
mod sign;
mod signature;
mod verity;

pub use self::assemble::{AssembleError, Ddi, Layout, Partition, VerityMode, assemble};
pub use self::disk::{Disk, DiskContent, DiskLayout, DiskPartition, assemble_disk, derive_uuid};
pub use self::gpt::SectorSize;
pub use self::identity::{PartitionUuid, RootHash};
pub use self::partition_types::{Designator, PartitionArchitecture, UnknownArchitecture};
pub use self::sign::{SignError, Signed, sign};
