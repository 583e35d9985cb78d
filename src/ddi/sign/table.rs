//! Finds the partitions of an image by their types. The image may be anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::SignError;
use crate::ddi::identity::RootHash;
use crate::ddi::partition_types::Designator;
use crate::ddi::read::{FoundPartition, PartitionTable, TableError};
use crate::format::read_at::ReadAt;

/// Where a partition is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) offset_bytes: u64,
    pub(super) size_bytes: u64,
}

/// The partitions of an image that is to be signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) data: Extent,
    pub(super) tree: Extent,
    pub(super) signature: Extent,
    /// What the names of the first two say.
    pub(super) root_hash: RootHash,
}

/// An image that is open for being signed.
#[derive(Debug)]
struct Whole<'a> {
    file: &'a File,
    size_bytes: u64,
}

impl ReadAt for Whole<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

pub(super) fn find_partitions(file: &File) -> Result<Found, SignError> {
    let size_bytes = file
        .metadata()
        .map_err(|source| SignError::Read {
            part: "the length",
            source,
        })?
        .len();
    let table = PartitionTable::read(&Whole { file, size_bytes }).map_err(broken)?;
    // The other table would do for reading. But what is damaged is not to be vouched for.
    if let Some(damage) = table.primary_damage {
        return Err(broken(damage));
    }
    let of_type = |designator, part| {
        let kind = |found: &&FoundPartition| found.kind.is_some_and(|(kind, _)| kind == designator);
        let found = table.partitions.iter().find(kind);
        found.ok_or(SignError::NoPartition { part })
    };
    let data = of_type(Designator::Root, "root partition")?;
    let tree = of_type(Designator::RootVerity, "partition with a hash tree")?;
    let signature = of_type(Designator::RootVeritySig, "partition for a signature")?;
    let mut root_hash = [0; 32];
    root_hash[..16].copy_from_slice(data.partition.uuid.as_uuid().as_bytes());
    root_hash[16..].copy_from_slice(tree.partition.uuid.as_uuid().as_bytes());
    Ok(Found {
        data: extent(data),
        tree: extent(tree),
        signature: extent(signature),
        root_hash: RootHash::from_bytes(root_hash),
    })
}

fn extent(found: &FoundPartition) -> Extent {
    Extent {
        offset_bytes: found.partition.offset_bytes,
        size_bytes: found.partition.size_bytes,
    }
}

fn broken(error: TableError) -> SignError {
    match error {
        TableError::Missing => SignError::NoTable,
        source => SignError::BrokenTable { source },
    }
}
