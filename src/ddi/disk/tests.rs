use std::io::{Cursor, Error as IoError};
use std::sync::Arc;

use uuid::{Uuid, uuid};

use super::{Disk, DiskContent, DiskLayout, DiskPartition, assemble_disk, derive_uuid};
use crate::ddi::read::{Image, Required, verify};
use crate::ddi::{AssembleError, SectorSize};
use crate::format::output::ImageOutput;
use crate::format::read_at::ImageBytes;

const SEED: Uuid = uuid!("12345678-1234-1234-1234-123456789abc");
const USR: Uuid = uuid!("8484680c-9521-48c6-9c11-b0720656f69e");
const USR_VERITY: Uuid = uuid!("77ff5f63-e7b6-4633-acf4-1565b864c0e6");
const USR_SIGNATURE: Uuid = uuid!("e7bb33fb-06cf-4e81-8273-e543b413e2e2");
const GENERIC: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

fn partition(label: &str, partition_type: Uuid, content: DiskContent) -> DiskPartition {
    DiskPartition {
        label: label.into(),
        partition_type,
        uuid: None,
        attributes: 1 << 59,
        least_bytes: 0,
        most_bytes: None,
        padding_bytes: 0,
        content,
    }
}

fn image(partitions: &[DiskPartition]) -> Result<(Vec<u8>, Disk), AssembleError<IoError>> {
    let layout = DiskLayout {
        seed: SEED,
        sector: SectorSize::Bytes512,
        partitions,
        signer: None,
    };
    let mut file = Cursor::new(Vec::new());
    let write = |_, output: &mut dyn ImageOutput| -> Result<(), IoError> {
        output.write_all(&[0; 4096])?;
        output.write_all(&[7; 300_000])?;
        output.replace_first_block(&[9; 4096])
    };
    let disk = assemble_disk(&mut file, &layout, tempfile::tempfile, write)?;
    Ok((file.into_inner(), disk))
}

#[test]
fn identifiers_are_those_of_systemd_repart() {
    // From `systemd-repart --seed=12345678-…` of systemd 252.
    assert_eq!(
        derive_uuid(SEED, b"disk-uuid"),
        uuid!("fe157e57-73e4-47f7-9a10-106edf21e008")
    );
    let generic = partition("linux-generic", GENERIC, DiskContent::Zeros);
    let (_, disk) = image(&[generic.clone(), generic]).unwrap();
    let found: Vec<_> = disk
        .partitions
        .iter()
        .map(|partition| (partition.name.clone(), partition.uuid.as_uuid()))
        .collect();
    assert_eq!(
        found,
        [
            (
                "linux-generic".to_owned(),
                uuid!("36f79aaa-8e74-4124-a4df-f912d3a74b0a")
            ),
            (
                "linux-generic-2".to_owned(),
                uuid!("95ec989a-697b-4e01-9934-eb7c1e74266c")
            ),
        ]
    );
}

#[test]
fn partitions_follow_each_other_with_their_sizes_and_paddings() {
    let mut first = partition("a", GENERIC, DiskContent::Zeros);
    first.least_bytes = 10 << 20;
    first.padding_bytes = 8192;
    let second = partition("b", GENERIC, DiskContent::FileSystem);
    let (bytes, disk) = image(&[first, second]).unwrap();
    let found: Vec<_> = disk
        .partitions
        .iter()
        .map(|partition| (partition.offset_bytes, partition.size_bytes))
        .collect();
    assert_eq!(found, [(1 << 20, 10 << 20), ((11 << 20) + 8192, 307_200)]);
    // The backup table takes 33 sectors.
    assert_eq!(bytes.len() as u64, (11 << 20) + 8192 + 307_200 + 20480);
}

#[test]
fn a_partition_that_has_no_room_for_its_file_system_is_refused() {
    let mut small = partition("small", GENERIC, DiskContent::FileSystem);
    small.most_bytes = Some(4096);
    assert_eq!(
        image(&[small]).unwrap_err().to_string(),
        "what is in the partition `small` takes 307200 bytes, and at most 4096 are allowed"
    );
}

#[test]
fn hash_trees_are_the_same_before_and_after_their_data() {
    let mut data = partition("usr", USR, DiskContent::ProtectedFileSystem);
    // More than the file system takes: the tree is over all of the partition.
    data.least_bytes = 1 << 20;
    let hash = |of| partition("usr-verity", USR_VERITY, DiskContent::HashTree { of });
    let signature = |of| partition("usr-sig", USR_SIGNATURE, DiskContent::Signature { of });
    let (bytes, after) = image(&[data.clone(), hash(0), signature(0)]).unwrap();
    let (_, before) = image(&[signature(2), hash(2), data]).unwrap();
    let root_hash = after.root_hashes[0].unwrap();
    assert_eq!(before.root_hashes, [None, None, Some(root_hash)]);
    let sizes = |disk: &Disk| {
        let mut sizes: Vec<u64> = disk
            .partitions
            .iter()
            .map(|found| found.size_bytes)
            .collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&after), [16384, 16384, 1 << 20]);
    assert_eq!(sizes(&before), sizes(&after));
    assert_eq!(after.partitions[0].uuid, root_hash.data_partition_uuid());
    assert_eq!(after.partitions[1].uuid, root_hash.verity_partition_uuid());
    let image = Image::open(Arc::new(ImageBytes::new(bytes))).unwrap();
    let required = Required {
        certificate: None,
        root_hash: Some(root_hash),
        workers: std::num::NonZeroUsize::MIN,
    };
    let found = verify(&image, &required);
    let findings: Vec<_> = found.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
}
