//! Takes a disk image apart with `sfdisk`, which shares no code with the writer.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use crate::harness;
use crate::require::Tool;

/// The types of the partitions of an extension, by architecture (Discoverable Partitions Specification).
#[cfg(target_arch = "x86_64")]
pub(crate) const ROOT: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
#[cfg(target_arch = "x86_64")]
pub(crate) const ROOT_VERITY: &str = "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5";
#[cfg(target_arch = "x86_64")]
pub(crate) const ROOT_VERITY_SIG: &str = "41092B05-9FC8-4523-994F-2DEF0408B176";
#[cfg(target_arch = "aarch64")]
pub(crate) const ROOT: &str = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE";
#[cfg(target_arch = "aarch64")]
pub(crate) const ROOT_VERITY: &str = "DF3300CE-D69F-4C92-978C-9BFB0F38D820";
#[cfg(target_arch = "aarch64")]
pub(crate) const ROOT_VERITY_SIG: &str = "6DB69DE6-29F4-4758-A7A5-962190F00CE3";

/// A disk image and its partition table as `sfdisk` reads it.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    table: Table,
    extracted: TempDir,
}

#[derive(Debug, Deserialize)]
struct Dump {
    partitiontable: Table,
}

#[derive(Debug, Deserialize)]
struct Table {
    sectorsize: u64,
    partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Partition {
    start: u64,
    size: u64,
    #[serde(rename = "type")]
    pub(crate) partition_type: String,
    pub(crate) uuid: String,
}

impl Image {
    pub(crate) fn read(sfdisk: &Tool, path: PathBuf) -> Self {
        let dump = sfdisk.output(&["--json".as_ref(), path.as_os_str()]);
        let Dump { partitiontable } = serde_json::from_slice(&dump).unwrap();
        Self {
            path,
            table: partitiontable,
            extracted: TempDir::new_in(harness::directory()).unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn types(&self) -> Vec<&str> {
        self.table
            .partitions
            .iter()
            .map(|partition| &*partition.partition_type)
            .collect()
    }

    pub(crate) fn partition(&self, partition_type: &str) -> &Partition {
        self.table
            .partitions
            .iter()
            .find(|partition| partition.partition_type == partition_type)
            .unwrap_or_else(|| panic!("no partition of type {partition_type} in {:?}", self.table))
    }

    /// Returns where a partition's bytes are: offset and size.
    pub(crate) fn extent(&self, partition_type: &str) -> (u64, u64) {
        let partition = self.partition(partition_type);
        let bytes = |sectors| sectors * self.table.sectorsize;
        (bytes(partition.start), bytes(partition.size))
    }

    /// Copies a partition into a file of its own.
    pub(crate) fn extract(&self, partition_type: &str) -> PathBuf {
        let (offset_bytes, size_bytes) = self.extent(partition_type);
        let path = self.extracted.path().join(partition_type);
        let mut image = fs_err::File::open(&self.path).unwrap();
        image.seek(SeekFrom::Start(offset_bytes)).unwrap();
        let copied = std::io::copy(
            &mut image.take(size_bytes),
            &mut fs_err::File::create(&path).unwrap(),
        );
        assert_eq!(copied.unwrap(), size_bytes);
        path
    }
}

/// Returns the root hash that the partitions' UUIDs carry: its first half the data's, its last the hash tree's.
pub(crate) fn root_hash(image: &Image) -> String {
    let half = |partition_type| {
        image
            .partition(partition_type)
            .uuid
            .replace('-', "")
            .to_lowercase()
    };
    half(ROOT) + &half(ROOT_VERITY)
}
