//! The partition table: protective MBR, primary table in front, backup table at the end.
//!
//! UEFI specification 2.10, section 5.3. Field offsets below are the specification's.

use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::assemble::Partition;

/// Length of the sectors in which a partition table counts; one on a disk counts in the disk's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SectorSize {
    /// Systemd looks for the table at this sector size first.
    #[default]
    Bytes512,
    Bytes1024,
    Bytes2048,
    Bytes4096,
}

impl SectorSize {
    /// The sizes that `systemd-repart` takes.
    pub const ALL: [Self; 4] = [
        Self::Bytes512,
        Self::Bytes1024,
        Self::Bytes2048,
        Self::Bytes4096,
    ];

    /// Returns the length.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes1024 => 1024,
            Self::Bytes2048 => 2048,
            Self::Bytes4096 => 4096,
        }
    }

    /// Returns the size of this many bytes, if there is one.
    pub fn of_bytes(bytes: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == bytes)
    }

    fn entry_sectors(self) -> u64 {
        (u64::from(ENTRY_COUNT) * u64::from(ENTRY_BYTES)) / self.bytes()
    }

    /// Returns the length of the backup table: the sectors of entries and the header.
    pub(super) fn backup_bytes(self) -> u64 {
        (self.entry_sectors() + 1) * self.bytes()
    }

    /// Returns a sector with `bytes` at its start.
    fn fill(self, bytes: &[u8]) -> Vec<u8> {
        let mut sector = bytes.to_vec();
        let size = usize::try_from(self.bytes()).expect("a sector fits any address space");
        sector.resize(size, 0);
        sector
    }
}

/// Where the first partition starts: 1 MiB, as `systemd-repart` does, leaves room for the table at any sector size.
pub(super) const FIRST_PARTITION_BYTES: u64 = 1 << 20;

const ENTRY_COUNT: u32 = 128;
const ENTRY_BYTES: u32 = 128;
const ENTRIES_BYTES: usize = (ENTRY_COUNT * ENTRY_BYTES) as usize;
pub(super) const HEADER_BYTES: u32 = 92;
pub(super) const REVISION_1_0: u32 = 0x0001_0000;
/// The attribute that makes systemd map a partition read-only (bit 60).
const READ_ONLY: u64 = 1 << 60;

pub(super) const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A partition table for an image of a known size.
pub(super) struct Table<'a> {
    disk: Uuid,
    sector: SectorSize,
    last_lba: u64,
    partitions: &'a [Partition],
    /// Of each partition, in their order.
    attributes: Option<&'a [u64]>,
}

impl<'a> Table<'a> {
    /// Returns the table of an image of `size_bytes`, a multiple of the sector size with room for both tables.
    pub(super) fn new(
        disk: Uuid,
        sector: SectorSize,
        size_bytes: u64,
        partitions: &'a [Partition],
    ) -> Self {
        let last_lba = size_bytes / sector.bytes() - 1;
        Self {
            disk,
            sector,
            last_lba,
            partitions,
            attributes: None,
        }
    }

    /// Gives the partitions these attributes instead of the one that says they are only read.
    pub(super) fn with_attributes(self, attributes: &'a [u64]) -> Self {
        let attributes = Some(attributes);
        Self { attributes, ..self }
    }

    /// Returns the bytes from the image's start to its first partition.
    pub(super) fn primary(&self) -> Vec<u8> {
        let entries = self.entries();
        let mut bytes = self.sector.fill(&protective_mbr(self.last_lba));
        bytes.extend_from_slice(&self.header(1, self.last_lba, 2, &entries));
        bytes.extend_from_slice(&entries);
        let gap = usize::try_from(FIRST_PARTITION_BYTES).expect("1 MiB fits any address space");
        bytes.resize(gap, 0);
        bytes
    }

    /// Returns the last [`SectorSize::backup_bytes`] of the image.
    pub(super) fn backup(&self) -> Vec<u8> {
        let mut bytes = self.entries();
        let entries_lba = self.last_lba - self.sector.entry_sectors();
        let header = self.header(self.last_lba, 1, entries_lba, &bytes);
        bytes.extend_from_slice(&header);
        bytes
    }

    fn header(&self, my_lba: u64, alternate_lba: u64, entries_lba: u64, entries: &[u8]) -> Vec<u8> {
        let first_usable_lba = 2 + self.sector.entry_sectors();
        let last_usable_lba = self.last_lba - 1 - self.sector.entry_sectors();
        let mut header = [0; HEADER_BYTES as usize];
        let mut put = |offset: usize, bytes: &[u8]| {
            header[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, b"EFI PART");
        put(8, &REVISION_1_0.to_le_bytes());
        put(12, &HEADER_BYTES.to_le_bytes());
        put(24, &my_lba.to_le_bytes());
        put(32, &alternate_lba.to_le_bytes());
        put(40, &first_usable_lba.to_le_bytes());
        put(48, &last_usable_lba.to_le_bytes());
        put(56, &self.disk.to_bytes_le());
        put(72, &entries_lba.to_le_bytes());
        put(80, &ENTRY_COUNT.to_le_bytes());
        put(84, &ENTRY_BYTES.to_le_bytes());
        put(88, &CRC32.checksum(entries).to_le_bytes());
        // HeaderCRC32 covers the header with the field itself as zero, so it comes last.
        let checksum = CRC32.checksum(&header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        self.sector.fill(&header)
    }

    fn entries(&self) -> Vec<u8> {
        let mut entries = vec![0; ENTRIES_BYTES];
        for (index, (entry, partition)) in entries
            .chunks_exact_mut(ENTRY_BYTES as usize)
            .zip(self.partitions)
            .enumerate()
        {
            let given = self.attributes.and_then(|given| given.get(index));
            let attributes = given.copied().unwrap_or(READ_ONLY);
            let first_lba = partition.offset_bytes / self.sector.bytes();
            let last_lba = first_lba + partition.size_bytes / self.sector.bytes() - 1;
            // GUIDs are stored with their first three fields little-endian, unlike in a verity superblock.
            entry[0..16].copy_from_slice(&partition.partition_type.to_bytes_le());
            entry[16..32].copy_from_slice(&partition.uuid.as_uuid().to_bytes_le());
            entry[32..40].copy_from_slice(&first_lba.to_le_bytes());
            entry[40..48].copy_from_slice(&last_lba.to_le_bytes());
            entry[48..56].copy_from_slice(&attributes.to_le_bytes());
            for (unit, field) in partition
                .name
                .encode_utf16()
                .zip(entry[56..].chunks_exact_mut(2))
            {
                field.copy_from_slice(&unit.to_le_bytes());
            }
        }
        entries
    }
}

/// Covers a disk with one partition of type 0xEE, so that tools that know only MBR leave it alone.
///
/// A master boot record has 512 bytes, however long the sector is.
pub(super) fn protective_mbr(last_lba: u64) -> [u8; 512] {
    let mut mbr = [0; 512];
    // StartingCHS 0/0/2, OSType, EndingCHS of "too large", StartingLBA 1, SizeInLBA.
    let size = u32::try_from(last_lba).unwrap_or(u32::MAX);
    mbr[447..450].copy_from_slice(&[0x00, 0x02, 0x00]);
    mbr[450] = 0xee;
    mbr[451..454].copy_from_slice(&[0xff; 3]);
    mbr[454..458].copy_from_slice(&1u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&size.to_le_bytes());
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

#[cfg(test)]
mod tests;
