use std::sync::Arc;

use crate::ddi::SectorSize;
use crate::ddi::gpt::CRC32;
use crate::ddi::read::fixture::{Verity, image_of};
use crate::ddi::read::{PartitionTable, TableCopy, TableError};
use crate::ddi::{Designator, PartitionArchitecture};
use crate::format::read_at::{ImageBytes, ReadAt};

/// Where the table of images with sectors of 512 bytes is.
const HEADER: usize = 512;
const ENTRIES: usize = 1024;

fn image(sector: SectorSize) -> Vec<u8> {
    image_of(&[7; 10_000], Verity::Deferred, sector)
}

fn read(image: &[u8]) -> Result<PartitionTable, TableError> {
    let image: Arc<dyn ReadAt> = Arc::new(ImageBytes::new(image));
    PartitionTable::read(&*image)
}

/// Makes the checksums of the primary table right again.
fn seal(image: &mut [u8]) {
    let entries = CRC32.checksum(&image[ENTRIES..ENTRIES + 128 * 128]);
    image[HEADER + 88..HEADER + 92].copy_from_slice(&entries.to_le_bytes());
    image[HEADER + 16..HEADER + 20].fill(0);
    let header = CRC32.checksum(&image[HEADER..HEADER + 92]);
    image[HEADER + 16..HEADER + 20].copy_from_slice(&header.to_le_bytes());
}

/// Returns why the primary table cannot be used after `change`, which has right checksums.
fn refused(change: impl FnOnce(&mut [u8])) -> TableError {
    let mut image = image(SectorSize::Bytes512);
    change(&mut image);
    seal(&mut image);
    read(&image).unwrap().primary_damage.unwrap()
}

#[test]
fn partitions_are_read_at_any_sector_size() {
    for sector in SectorSize::ALL {
        let table = read(&image(sector)).unwrap();
        assert_eq!(table.sector, sector);
        assert_eq!(table.copy, TableCopy::Primary);
        let found: Vec<_> = table
            .partitions
            .iter()
            .map(|found| {
                let partition = &found.partition;
                let place = (partition.offset_bytes, partition.size_bytes);
                (found.number, partition.name.as_str(), place, found.kind)
            })
            .collect();
        let mib = 1 << 20;
        let x86 = PartitionArchitecture::named("x86-64").unwrap();
        let expected = [
            (1, "root-x86-64", (mib, 12288), Designator::Root),
            (
                2,
                "root-x86-64-verity",
                (mib + 12288, 8192),
                Designator::RootVerity,
            ),
            (
                3,
                "root-x86-64-verity-sig",
                (mib + 20480, 16384),
                Designator::RootVeritySig,
            ),
        ]
        .map(|(number, name, place, designator)| (number, name, place, Some((designator, x86))));
        assert_eq!(found, expected);
    }
}

#[test]
fn a_damaged_table_at_the_start_is_replaced_by_the_one_at_the_end() {
    for sector in SectorSize::ALL {
        let mut image = image(sector);
        let header = usize::try_from(sector.bytes()).unwrap();
        image[header + 56] ^= 1;
        let table = read(&image).unwrap();
        assert_eq!(table.copy, TableCopy::Backup);
        assert_eq!(table.partitions.len(), 3);
        let damage = table.primary_damage.unwrap();
        assert!(
            matches!(damage, TableError::HeaderChecksum { .. }),
            "{damage}"
        );
    }
    let mut image = image(SectorSize::Bytes512);
    image[ENTRIES] ^= 1;
    let damage = read(&image).unwrap().primary_damage.unwrap();
    assert!(
        matches!(damage, TableError::EntriesChecksum { .. }),
        "{damage}"
    );
}

#[test]
fn without_a_table_at_either_end_the_first_is_named() {
    let mut image = image(SectorSize::Bytes512);
    image[HEADER + 56] ^= 1;
    let last = image.len() - 512;
    image[last + 56] ^= 1;
    let refused = read(&image).unwrap_err();
    assert!(
        matches!(refused, TableError::HeaderChecksum { .. }),
        "{refused}"
    );
    for length in [0, 512, 1024, 5000] {
        let refused = read(&vec![0; length]).unwrap_err();
        assert!(matches!(refused, TableError::Missing), "{refused}");
    }
}

#[test]
fn what_a_header_may_not_say_is_refused() {
    let fields: [(usize, u64, &str); 8] = [
        (8, 0x0002_0000, "revision"),
        (24, 2, "own sector"),
        (32, 5, "other table's sector"),
        (48, u64::MAX - 1, "last sector for partitions"),
        (72, 1, "first sector of entries"),
        (72, 100, "first sector of entries"),
        (80, 0, "number of entries"),
        (84, 100, "size of entries"),
    ];
    for (offset, value, expected) in fields {
        let refused = refused(|image| {
            let width = if matches!(offset, 8 | 80 | 84) { 4 } else { 8 };
            let place = HEADER + offset;
            image[place..place + width].copy_from_slice(&value.to_le_bytes()[..width]);
        });
        let TableError::Header { field, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(field, expected);
    }
}

#[test]
fn partitions_that_overlap_or_leave_the_image_are_refused() {
    let lba = |image: &mut [u8], number: usize, field: usize, value: u64| {
        let place = ENTRIES + (number - 1) * 128 + field;
        image[place..place + 8].copy_from_slice(&value.to_le_bytes());
    };
    let overlap = refused(|image| lba(image, 3, 32, 2060));
    assert!(
        matches!(
            overlap,
            TableError::Overlap {
                number: 1 | 2,
                other: 2 | 3
            }
        ),
        "{overlap}"
    );
    for (field, value) in [(32, 2), (32, u64::MAX), (40, 1), (40, u64::MAX), (40, 4000)] {
        let outside = refused(|image| lba(image, 3, field, value));
        assert!(
            matches!(outside, TableError::OutOfRange { number: 3, .. }),
            "{outside}"
        );
    }
}
