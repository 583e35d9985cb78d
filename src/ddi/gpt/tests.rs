use uuid::uuid;

use super::{FIRST_PARTITION_BYTES, SectorSize, Table};
use crate::ddi::{Partition, PartitionUuid};
use crate::digest::hexadecimal;

const SIZE_BYTES: u64 = FIRST_PARTITION_BYTES + 8192 + 20480;

fn partition() -> Partition {
    Partition {
        name: "root-x86-64".into(),
        partition_type: uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        uuid: PartitionUuid::new(uuid!("00112233-4455-6677-8899-aabbccddeeff")),
        offset_bytes: FIRST_PARTITION_BYTES,
        size_bytes: 8192,
    }
}

#[test]
fn an_entry_has_mixed_endian_guids_and_the_read_only_bit() {
    let partitions = [partition()];
    let primary = Table::new(
        uuid!("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"),
        SectorSize::Bytes512,
        SIZE_BYTES,
        &partitions,
    )
    .primary();
    let expected = [
        "e3bc684fcde8b14d96e7fbcaf984b709",
        "33221100554477668899aabbccddeeff",
        "0008000000000000",
        "0f08000000000000",
        "0000000000000010",
        "72006f006f0074002d007800380036002d0036003400",
    ]
    .concat();
    assert_eq!(hexadecimal(&primary[1024..1024 + 78]), expected);
    assert!(primary[1024 + 78..].iter().all(|byte| *byte == 0));
}

#[test]
fn both_headers_say_where_they_and_their_entries_are() {
    let partitions = [partition()];
    let table = Table::new(
        uuid!("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"),
        SectorSize::Bytes512,
        SIZE_BYTES,
        &partitions,
    );
    let (primary, backup) = (table.primary(), table.backup());
    assert_eq!(backup.len(), 33 * 512);
    let last_lba = SIZE_BYTES / 512 - 1;
    let field = |header: &[u8], offset: usize| {
        u64::from_le_bytes(header[offset..offset + 8].try_into().unwrap())
    };
    for (header, my_lba, alternate_lba, entries_lba) in [
        (&primary[512..1024], 1, last_lba, 2),
        (&backup[32 * 512..], last_lba, 1, last_lba - 32),
    ] {
        assert_eq!(&header[..16], b"EFI PART\0\0\x01\0\x5c\0\0\0");
        assert_eq!(field(header, 24), my_lba);
        assert_eq!(field(header, 32), alternate_lba);
        assert_eq!(field(header, 40), 34);
        assert_eq!(field(header, 48), last_lba - 33);
        assert_eq!(
            hexadecimal(&header[56..72]),
            "a3a2a1a0a5a4a7a6a8a9aaabacadaeaf"
        );
        assert_eq!(field(header, 72), entries_lba);
        assert_eq!(hexadecimal(&header[80..88]), "8000000080000000");
    }
    assert_eq!(primary[1024..17408], backup[..16384]);
}

#[test]
fn the_protective_mbr_covers_the_disk() {
    let mbr =
        &Table::new(uuid::Uuid::nil(), SectorSize::Bytes512, SIZE_BYTES, &[]).primary()[..512];
    let size = u32::try_from(SIZE_BYTES / 512 - 1).unwrap();
    let expected = format!(
        "00000200eeffffff01000000{}",
        hexadecimal(&size.to_le_bytes())
    );
    assert_eq!(hexadecimal(&mbr[446..462]), expected);
    assert_eq!(mbr[510..], [0x55, 0xaa]);
}

#[test]
fn a_disk_beyond_two_tebibytes_has_the_largest_protective_size() {
    let mbr = &Table::new(uuid::Uuid::nil(), SectorSize::Bytes512, 3 << 40, &[]).primary()[..512];
    assert_eq!(mbr[458..462], [0xff; 4]);
}

#[test]
fn tables_count_in_the_sectors_they_are_made_for() {
    let partitions = [partition()];
    for sector in SectorSize::ALL {
        let bytes = usize::try_from(sector.bytes()).unwrap();
        let table = Table::new(uuid::Uuid::nil(), sector, SIZE_BYTES, &partitions);
        let (primary, backup) = (table.primary(), table.backup());
        let last_lba = SIZE_BYTES / sector.bytes() - 1;
        let entry_sectors = 16384 / sector.bytes();
        assert_eq!(primary.len() as u64, FIRST_PARTITION_BYTES);
        assert_eq!(backup.len() as u64, sector.backup_bytes());
        assert_eq!(primary[510..512], [0x55, 0xaa]);
        let field =
            |offset: usize| u64::from_le_bytes(primary[offset..offset + 8].try_into().unwrap());
        assert_eq!(&primary[bytes..bytes + 8], b"EFI PART", "{sector:?}");
        let header = [24, 32, 40, 48].map(|offset| field(bytes + offset));
        assert_eq!(
            header,
            [1, last_lba, 2 + entry_sectors, last_lba - 1 - entry_sectors]
        );
        let first_lba = FIRST_PARTITION_BYTES / sector.bytes();
        assert_eq!(field(2 * bytes + 32), first_lba);
        assert_eq!(field(2 * bytes + 40), first_lba + 8192 / sector.bytes() - 1);
        assert_eq!(&backup[16384..16392], b"EFI PART");
    }
}
