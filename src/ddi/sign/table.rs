//! Finds the partitions of an image by their types. The image may be anything.

use std::fs::File;

use uuid::Uuid;

use super::{SignError, read};
use crate::ddi::gpt::{CRC32, HEADER_BYTES, SectorSize};
use crate::ddi::identity::RootHash;
use crate::ddi::partition_types::{Designator, PartitionArchitecture};

/// What a table has at most here: the number that every table has at least.
const ENTRY_COUNT: u32 = 128;
const ENTRY_BYTES: u32 = 128;

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

/// An entry of the table.
struct Entry {
    partition_type: Uuid,
    uuid: Uuid,
    extent: Extent,
}

pub(super) fn find_partitions(file: &File) -> Result<Found, SignError> {
    let size_bytes = file
        .metadata()
        .map_err(|source| SignError::Read {
            part: "the length",
            source,
        })?
        .len();
    let entries = entries(file, size_bytes)?;
    let (architecture, data) = PartitionArchitecture::all()
        .find_map(|architecture| {
            let root = architecture.partition_type(Designator::Root);
            let data = entries.iter().find(|entry| entry.partition_type == root)?;
            Some((architecture, data))
        })
        .ok_or(SignError::NoPartition {
            part: "root partition",
        })?;
    let of_type = |designator, part| {
        let wanted = architecture.partition_type(designator);
        entries
            .iter()
            .find(|entry| entry.partition_type == wanted)
            .ok_or(SignError::NoPartition { part })
    };
    let tree = of_type(Designator::RootVerity, "partition with a hash tree")?;
    let signature = of_type(Designator::RootVeritySig, "partition for a signature")?;
    let mut root_hash = [0; 32];
    root_hash[..16].copy_from_slice(data.uuid.as_bytes());
    root_hash[16..].copy_from_slice(tree.uuid.as_bytes());
    Ok(Found {
        data: data.extent,
        tree: tree.extent,
        signature: signature.extent,
        root_hash: RootHash::from_bytes(root_hash),
    })
}

/// Reads the primary table, whatever sectors it counts in.
fn entries(file: &File, size_bytes: u64) -> Result<Vec<Entry>, SignError> {
    let broken = |reason| SignError::BrokenTable { reason };
    for sector in SectorSize::ALL {
        let mut header = [0; HEADER_BYTES as usize];
        if size_bytes < sector.bytes() + header.len() as u64 {
            break;
        }
        read(file, "the partition table", &mut header, sector.bytes())?;
        if &header[..8] != b"EFI PART" {
            continue;
        }
        let checksum = number32(&header, 16);
        header[16..20].fill(0);
        if CRC32.checksum(&header) != checksum {
            return Err(broken("the checksum of its header is wrong"));
        }
        if (number32(&header, 80), number32(&header, 84)) != (ENTRY_COUNT, ENTRY_BYTES) {
            return Err(broken("it has an unusual number of entries"));
        }
        let mut bytes = vec![0; (ENTRY_COUNT * ENTRY_BYTES) as usize];
        let offset = number64(&header, 72).checked_mul(sector.bytes());
        let offset = offset.ok_or(broken("its entries lie behind the end"))?;
        read(file, "the partition table", &mut bytes, offset)?;
        if CRC32.checksum(&bytes) != number32(&header, 88) {
            return Err(broken("the checksum of its entries is wrong"));
        }
        return bytes
            .chunks_exact(ENTRY_BYTES as usize)
            .filter(|entry| entry[..16].iter().any(|byte| *byte != 0))
            .map(|entry| {
                self::entry(entry, sector, size_bytes)
                    .ok_or(broken("a partition lies behind the end"))
            })
            .collect();
    }
    Err(SignError::NoTable)
}

fn entry(bytes: &[u8], sector: SectorSize, size_bytes: u64) -> Option<Entry> {
    let uuid = |offset: usize| {
        let bytes = bytes[offset..offset + 16].try_into();
        Uuid::from_bytes_le(bytes.expect("16 bytes are 16 bytes"))
    };
    let offset_bytes = number64(bytes, 32).checked_mul(sector.bytes())?;
    let end_bytes = number64(bytes, 40)
        .checked_add(1)?
        .checked_mul(sector.bytes())?;
    let extent = Extent {
        offset_bytes,
        size_bytes: end_bytes.checked_sub(offset_bytes)?,
    };
    (end_bytes <= size_bytes).then(|| Entry {
        partition_type: uuid(0),
        uuid: uuid(16),
        extent,
    })
}

fn number32(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..offset + 4].try_into();
    u32::from_le_bytes(bytes.expect("4 bytes are 4 bytes"))
}

fn number64(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes[offset..offset + 8].try_into();
    u64::from_le_bytes(bytes.expect("8 bytes are 8 bytes"))
}
