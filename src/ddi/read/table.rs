//! The partition table of an image, from its start or, when that is damaged, from its end.

use std::io;

use uuid::Uuid;

use crate::ddi::gpt::{CRC32, HEADER_BYTES, REVISION_1_0, SectorSize};
use crate::ddi::{Designator, Partition, PartitionArchitecture, PartitionUuid};
use crate::format::read_at::ReadAt;

const SIGNATURE: &[u8] = b"EFI PART";
/// A table of more would be a table of something else: the specification's has 16 KiB.
const ENTRIES_LIMIT_BYTES: u64 = 1 << 20;
/// The size of an entry is 128 times a power of two.
const ENTRY_BYTES: u32 = 128;
const ENTRY_LIMIT_BYTES: u32 = 4096;

/// What a partition table says.
#[derive(Clone, Debug)]
pub struct PartitionTable {
    pub sector: SectorSize,
    pub disk: Uuid,
    /// In the order of the table.
    pub partitions: Vec<FoundPartition>,
    /// Which of the two tables this is.
    pub copy: TableCopy,
    /// Why the table at the start could not be used, when this is the one at the end.
    pub primary_damage: Option<TableError>,
    /// The sector of the other table's header.
    pub(super) alternate_lba: u64,
    /// Where the header and the entries are, each with its length.
    pub(super) extents: [(u64, u64); 2],
}

/// A partition and what says what it is.
#[derive(Clone, Debug)]
pub struct FoundPartition {
    /// Its number in the table, from 1.
    pub number: u32,
    pub partition: Partition,
    pub attributes: u64,
    /// What its type means, if it is one for images.
    pub kind: Option<(Designator, PartitionArchitecture)>,
}

/// One of the two tables of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TableCopy {
    Primary,
    Backup,
}

/// An image has no partition table that could be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    #[error("there is no GPT partition table")]
    Missing,
    #[error("the header's checksum is {expected:#010x} and {found:#010x} was computed")]
    HeaderChecksum { expected: u32, found: u32 },
    #[error("the checksum of the entries is {expected:#010x} and {found:#010x} was computed")]
    EntriesChecksum { expected: u32, found: u32 },
    #[error("the header's {field} is {found}, and {expected} was expected")]
    Header {
        field: &'static str,
        found: u64,
        expected: String,
    },
    #[error(
        "partition {number} is from sector {first_lba} to {last_lba}, and {first_usable} to {last_usable} are for partitions"
    )]
    OutOfRange {
        number: u32,
        first_lba: u64,
        last_lba: u64,
        first_usable: u64,
        last_usable: u64,
    },
    #[error("the partitions {number} and {other} overlap")]
    Overlap { number: u32, other: u32 },
    #[error("reading the partition table: {reason}")]
    Read { reason: String },
}

impl PartitionTable {
    /// Reads the table at the start of `image`, and the one at its end when that cannot be used.
    ///
    /// # Errors
    /// The [`TableError`] of the table at the start, when neither can be used.
    pub fn read(image: &dyn ReadAt) -> Result<Self, TableError> {
        let primary = Self::read_first_of(image, TableCopy::Primary);
        let damage = match primary {
            Ok(table) => return Ok(table),
            Err(damage) => damage,
        };
        match Self::read_first_of(image, TableCopy::Backup) {
            Ok(mut table) => {
                table.primary_damage = Some(damage);
                Ok(table)
            }
            Err(_) => Err(damage),
        }
    }

    /// Reads one of the two tables, of whatever sector size there is a header.
    fn read_first_of(image: &dyn ReadAt, copy: TableCopy) -> Result<Self, TableError> {
        let mut first_error = TableError::Missing;
        for sector in SectorSize::ALL {
            let sector_count = image.size_bytes() / sector.bytes();
            let lba = match copy {
                TableCopy::Primary => 1,
                TableCopy::Backup => sector_count.saturating_sub(1),
            };
            match Self::read_copy(image, sector, copy, lba) {
                Ok(table) => return Ok(table),
                Err(TableError::Missing) => {}
                Err(error) => {
                    if matches!(first_error, TableError::Missing) {
                        first_error = error;
                    }
                }
            }
        }
        Err(first_error)
    }

    /// Reads the table of `copy`, whose header is in the sector `lba` of this size.
    ///
    /// # Errors
    /// [`TableError::Missing`] when there is no header.
    pub(super) fn read_copy(
        image: &dyn ReadAt,
        sector: SectorSize,
        copy: TableCopy,
        lba: u64,
    ) -> Result<Self, TableError> {
        let sector_count = image.size_bytes() / sector.bytes();
        if sector_count < 3 || lba >= sector_count {
            return Err(TableError::Missing);
        }
        let length = usize::try_from(sector.bytes()).unwrap_or(0);
        let bytes = image.bytes_at(lba * sector.bytes(), length).map_err(read)?;
        let header = Header::decode(&bytes, lba)?;
        header.check(sector, sector_count, copy)?;
        let entries_offset = header.entries_lba * sector.bytes();
        let entries_bytes = header.entries_bytes();
        let entries_length = usize::try_from(entries_bytes).unwrap_or(usize::MAX);
        let entries = image
            .bytes_at(entries_offset, entries_length)
            .map_err(read)?;
        let found = CRC32.checksum(&entries);
        if found != header.entries_checksum {
            return Err(TableError::EntriesChecksum {
                expected: header.entries_checksum,
                found,
            });
        }
        let partitions = header.partitions(sector, &entries)?;
        Ok(Self {
            sector,
            disk: header.disk,
            partitions,
            copy,
            primary_damage: None,
            alternate_lba: header.alternate_lba,
            extents: [
                (lba * sector.bytes(), u64::from(header.header_bytes)),
                (entries_offset, entries_bytes),
            ],
        })
    }

    /// Returns the partition that is `designator`, of whatever architecture; the first, if there are several.
    pub fn find(&self, designator: Designator) -> Option<&FoundPartition> {
        self.partitions
            .iter()
            .find(|found| found.kind.is_some_and(|(found, _)| found == designator))
    }

    /// Tells whether both say the same of the disk.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.disk == other.disk
            && self.partitions.len() == other.partitions.len()
            && self
                .partitions
                .iter()
                .zip(&other.partitions)
                .all(|(one, other)| {
                    one.number == other.number
                        && one.partition == other.partition
                        && one.attributes == other.attributes
                })
    }
}

fn read(error: io::Error) -> TableError {
    TableError::Read {
        reason: error.to_string(),
    }
}

/// The header of a table, with the specification's names.
struct Header {
    header_bytes: u32,
    my_lba: u64,
    alternate_lba: u64,
    first_usable: u64,
    last_usable: u64,
    disk: Uuid,
    entries_lba: u64,
    entry_count: u32,
    entry_bytes: u32,
    entries_checksum: u32,
    lba: u64,
}

impl Header {
    /// Decodes a header whose checksum is right.
    fn decode(sector: &[u8], lba: u64) -> Result<Self, TableError> {
        if !sector.starts_with(SIGNATURE) {
            return Err(TableError::Missing);
        }
        let word = |offset| get(sector, offset).map_or(0, u32::from_le_bytes);
        let long = |offset| get(sector, offset).map_or(0, u64::from_le_bytes);
        let header_bytes = word(12);
        let mut covered = usize::try_from(header_bytes)
            .ok()
            .filter(|_| header_bytes >= HEADER_BYTES)
            .and_then(|length| sector.get(..length))
            .ok_or_else(|| header("length", header_bytes.into(), "92 to a sector's length"))?
            .to_vec();
        covered[16..20].fill(0);
        let (expected, found) = (word(16), CRC32.checksum(&covered));
        if expected != found {
            return Err(TableError::HeaderChecksum { expected, found });
        }
        if word(8) != REVISION_1_0 {
            return Err(header("revision", word(8).into(), "65536"));
        }
        Ok(Self {
            header_bytes,
            my_lba: long(24),
            alternate_lba: long(32),
            first_usable: long(40),
            last_usable: long(48),
            disk: Uuid::from_bytes_le(get(sector, 56).unwrap_or_default()),
            entries_lba: long(72),
            entry_count: word(80),
            entry_bytes: word(84),
            entries_checksum: word(88),
            lba,
        })
    }

    fn entries_bytes(&self) -> u64 {
        u64::from(self.entry_count) * u64::from(self.entry_bytes)
    }

    fn check(
        &self,
        sector: SectorSize,
        sector_count: u64,
        copy: TableCopy,
    ) -> Result<(), TableError> {
        let last = sector_count - 1;
        if self.my_lba != self.lba {
            return Err(header("own sector", self.my_lba, &self.lba.to_string()));
        }
        if self.first_usable < 2 || self.last_usable >= last {
            let expected = format!("before {last}");
            return Err(header(
                "last sector for partitions",
                self.last_usable,
                &expected,
            ));
        }
        // A copy of an image may be longer than the image, so that the table at the end is not quite there.
        let alternate = match copy {
            TableCopy::Primary => self.last_usable.saturating_add(1)..=last,
            TableCopy::Backup => 1..=1,
        };
        if !alternate.contains(&self.alternate_lba) {
            let found = self.alternate_lba;
            let expected = format!("{} to {}", alternate.start(), alternate.end());
            return Err(header("other table's sector", found, &expected));
        }
        let size = self.entry_bytes;
        let is_known = size.is_multiple_of(ENTRY_BYTES)
            && (size / ENTRY_BYTES).is_power_of_two()
            && size <= ENTRY_LIMIT_BYTES;
        if !is_known {
            return Err(header(
                "size of entries",
                size.into(),
                "128, 256, 512 to 4096",
            ));
        }
        if self.entry_count == 0 || self.entries_bytes() > ENTRIES_LIMIT_BYTES {
            let found = self.entry_count.into();
            return Err(header(
                "number of entries",
                found,
                "1 to as many as 1 MiB holds",
            ));
        }
        // Entries lie between the header and the partitions, on their header's side.
        let entry_sectors = self.entries_bytes().div_ceil(sector.bytes());
        let end = self.entries_lba.saturating_add(entry_sectors);
        let (first, limit) = match copy {
            TableCopy::Primary => (2, self.first_usable),
            TableCopy::Backup => (self.last_usable.saturating_add(1), self.lba),
        };
        if self.entries_lba < first || end > limit {
            let expected = format!("{first} to {limit}, with room for {entry_sectors} sectors");
            return Err(header(
                "first sector of entries",
                self.entries_lba,
                &expected,
            ));
        }
        Ok(())
    }

    fn partitions(
        &self,
        sector: SectorSize,
        entries: &[u8],
    ) -> Result<Vec<FoundPartition>, TableError> {
        let entry_bytes = usize::try_from(self.entry_bytes).unwrap_or(usize::MAX);
        let mut partitions = Vec::new();
        for (number, entry) in (1..).zip(entries.chunks_exact(entry_bytes)) {
            let uuid = |offset| Uuid::from_bytes_le(get(entry, offset).unwrap_or_default());
            let long = |offset| get(entry, offset).map_or(0, u64::from_le_bytes);
            let partition_type = uuid(0);
            if partition_type.is_nil() {
                continue;
            }
            let (first_lba, last_lba) = (long(32), long(40));
            let usable = self.first_usable..=self.last_usable;
            if first_lba > last_lba || !usable.contains(&first_lba) || !usable.contains(&last_lba) {
                return Err(TableError::OutOfRange {
                    number,
                    first_lba,
                    last_lba,
                    first_usable: self.first_usable,
                    last_usable: self.last_usable,
                });
            }
            let units: Vec<u16> = entry
                .get(56..128)
                .unwrap_or_default()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|unit| u16::from_le_bytes(*unit))
                .take_while(|unit| *unit != 0)
                .collect();
            partitions.push(FoundPartition {
                number,
                partition: Partition {
                    name: String::from_utf16_lossy(&units),
                    partition_type,
                    uuid: PartitionUuid::new(uuid(16)),
                    // Both are within the image, so that neither overflows.
                    offset_bytes: first_lba * sector.bytes(),
                    size_bytes: (last_lba - first_lba + 1) * sector.bytes(),
                },
                attributes: long(48),
                kind: PartitionArchitecture::of_type(partition_type),
            });
        }
        check_overlap(&partitions)?;
        Ok(partitions)
    }
}

fn check_overlap(partitions: &[FoundPartition]) -> Result<(), TableError> {
    let mut sorted: Vec<&FoundPartition> = partitions.iter().collect();
    sorted.sort_by_key(|found| found.partition.offset_bytes);
    for pair in sorted.windows(2) {
        let [one, other] = pair else { continue };
        if one.partition.offset_bytes + one.partition.size_bytes > other.partition.offset_bytes {
            return Err(TableError::Overlap {
                number: one.number.min(other.number),
                other: one.number.max(other.number),
            });
        }
    }
    Ok(())
}

fn header(field: &'static str, found: u64, expected: &str) -> TableError {
    TableError::Header {
        field,
        found,
        expected: expected.to_owned(),
    }
}

fn get<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
