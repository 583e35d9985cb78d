use std::io::{Cursor, Error as IoError};

use uuid::{Uuid, uuid};

use super::{AssembleError, Ddi, Layout, VerityMode, assemble};
use crate::ddi::{PartitionArchitecture, SectorSize};
use crate::signing::{KeyOptions, Overwrite, Signer, generate, write_key_pair};

const MIB: u64 = 1 << 20;
const SEED: Uuid = uuid!("6b7e8a4c-0d4e-4c39-9a55-4a0e8b0c5d11");

fn layout(verity: VerityMode<'_>) -> Layout<'_> {
    Layout {
        architecture: PartitionArchitecture::named("x86-64").unwrap(),
        name: "nginx_1.2",
        seed: None,
        payload_size_bytes: None,
        sector: SectorSize::Bytes512,
        verity,
    }
}

fn image(layout: &Layout<'_>, payload: &[u8]) -> Result<(Vec<u8>, Ddi), AssembleError<IoError>> {
    let mut file = Cursor::new(Vec::new());
    let ddi = assemble(&mut file, layout, |output| output.write_all(payload))?;
    Ok((file.into_inner(), ddi))
}

fn payload(size_bytes: usize) -> Vec<u8> {
    (0..size_bytes)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect()
}

fn signer() -> (Signer, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let pair = generate(&KeyOptions::new("overcoat of a test")).unwrap();
    write_key_pair(directory.path(), &pair, Overwrite::Refuse).unwrap();
    let signer = Signer::from_files(
        &directory.path().join("mkosi.key"),
        &directory.path().join("mkosi.crt"),
    );
    (signer.unwrap(), directory)
}

#[test]
fn partitions_follow_each_other_aligned() {
    let (signer, _directory) = signer();
    let (bytes, ddi) = image(&layout(VerityMode::Signed(&signer)), &payload(10_000)).unwrap();
    let found: Vec<_> = ddi
        .partitions
        .iter()
        .map(|partition| {
            (
                partition.name.as_str(),
                partition.offset_bytes,
                partition.size_bytes,
            )
        })
        .collect();
    let expected = [
        ("root-x86-64", MIB, 12288),
        ("root-x86-64-verity", MIB + 12288, 8192),
        ("root-x86-64-verity-sig", MIB + 20480, 16384),
    ];
    assert_eq!(found, expected);
    assert_eq!(ddi.size_bytes, MIB + 20480 + 16384 + 20480);
    assert_eq!(bytes.len() as u64, ddi.size_bytes);
}

#[test]
fn data_and_verity_partitions_are_named_by_the_root_hash() {
    let (_, ddi) = image(&layout(VerityMode::Hash), &payload(10_000)).unwrap();
    let root_hash = ddi.root_hash.unwrap();
    assert_eq!(ddi.partitions[0].uuid, root_hash.data_partition_uuid());
    assert_eq!(ddi.partitions[1].uuid, root_hash.verity_partition_uuid());
    assert_eq!(ddi.partitions.len(), 2);
}

#[test]
fn the_payload_and_its_padding_fill_the_root_partition() {
    let payload = payload(5000);
    let (bytes, ddi) = image(&layout(VerityMode::None), &payload).unwrap();
    let start = usize::try_from(MIB).unwrap();
    assert_eq!(bytes[start..start + 5000], payload);
    assert!(
        bytes[start + 5000..start + 8192]
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(ddi.partitions.len(), 1);
    assert_eq!(ddi.root_hash, None);
}

#[test]
fn the_signature_partition_holds_json_and_then_nothing() {
    let (signer, _directory) = signer();
    let (bytes, ddi) = image(&layout(VerityMode::Signed(&signer)), &payload(10_000)).unwrap();
    let start = usize::try_from(ddi.partitions[2].offset_bytes).unwrap();
    let partition = &bytes[start..start + 16384];
    let end = partition.iter().position(|byte| *byte == 0).unwrap();
    assert!(partition[end..].iter().all(|byte| *byte == 0));
    let json: serde_json::Value = serde_json::from_slice(&partition[..end]).unwrap();
    let root_hash = ddi.root_hash.unwrap().to_string();
    assert_eq!(json["rootHash"], root_hash);
    let signature = openssl::base64::decode_block(json["signature"].as_str().unwrap()).unwrap();
    assert_eq!(signature, signer.sign(root_hash.as_bytes()).unwrap());
    let fingerprint = crate::digest::hexadecimal(&signer.certificate_fingerprint());
    assert_eq!(json["certificateFingerprint"], fingerprint);
}

#[test]
fn a_deferred_signature_leaves_its_partition_empty() {
    let (bytes, ddi) = image(&layout(VerityMode::Deferred), &payload(10_000)).unwrap();
    let start = usize::try_from(ddi.partitions[2].offset_bytes).unwrap();
    assert!(bytes[start..start + 16384].iter().all(|byte| *byte == 0));
}

#[test]
fn the_same_recipe_gives_the_same_bytes_however_the_payload_is_cut() {
    let (signer, _directory) = signer();
    let payload = payload(300_000);
    for verity in [
        VerityMode::None,
        VerityMode::Hash,
        VerityMode::Signed(&signer),
    ] {
        let whole = image(&layout(verity), &payload).unwrap().0;
        let mut file = Cursor::new(Vec::new());
        assemble(&mut file, &layout(verity), |output| {
            payload
                .chunks(977)
                .try_for_each(|piece| output.write_all(piece))
        })
        .unwrap();
        assert!(whole == file.into_inner(), "{verity:?}");
    }
}

#[test]
fn a_seed_fixes_the_identifiers_that_do_not_come_from_the_root_hash() {
    let seeded = Layout {
        seed: Some(SEED),
        ..layout(VerityMode::None)
    };
    let (first, one) = image(&seeded, &payload(4096)).unwrap();
    let (second, two) = image(&seeded, &payload(4097)).unwrap();
    assert_eq!(one.partitions[0].uuid, two.partitions[0].uuid);
    assert_eq!(first[568..584], second[568..584], "disk GUID");
}

#[test]
fn another_payload_length_than_announced_is_an_error() {
    let announced = Layout {
        payload_size_bytes: Some(4096),
        ..layout(VerityMode::Hash)
    };
    assert!(image(&announced, &payload(4096)).is_ok());
    assert!(matches!(
        image(&announced, &payload(4097)),
        Err(AssembleError::PayloadSize {
            expected_bytes: 4096,
            found_bytes: 4097
        })
    ));
}

#[test]
fn an_empty_payload_is_an_error() {
    for verity in [VerityMode::None, VerityMode::Hash] {
        assert!(matches!(
            image(&layout(verity), &[]),
            Err(AssembleError::EmptyPayload)
        ));
    }
}

#[test]
fn the_payload_writers_error_comes_back() {
    let mut file = Cursor::new(Vec::new());
    let result = assemble(&mut file, &layout(VerityMode::Hash), |_| {
        Err(IoError::other("no inode"))
    });
    match result.unwrap_err() {
        AssembleError::Payload { source } => assert_eq!(source.to_string(), "no inode"),
        other => panic!("{other}"),
    }
}

/// Pins every byte of a small image. A change here changes all users' images and root hashes: it needs a new
/// `DERIVATION`, a new store format version and a release note.
#[test]
fn the_bytes_of_an_image_are_pinned() {
    for (seed, verity, expected) in [
        (
            None,
            VerityMode::Hash,
            "bb792901ffd80f361fd9b41096cdc5b61a0a31a63d4bcf895e10dbf325add248",
        ),
        (
            Some(SEED),
            VerityMode::Hash,
            "6943ef371a2c6cc9ad42b801a9114599872d7df135657116a63cf6914ce17440",
        ),
        (
            None,
            VerityMode::None,
            "6cd6ec51968a2c43ce3cc79f2288ae62c12b834a47a07a040b3a52b464c6bc44",
        ),
    ] {
        let pinned = Layout {
            seed,
            ..layout(verity)
        };
        let digest = openssl::sha::sha256(&image(&pinned, &payload(10_000)).unwrap().0);
        assert_eq!(
            crate::digest::hexadecimal(&digest),
            expected,
            "{seed:?} {verity:?}"
        );
    }
}

/// Tools that read images judge ours.
#[cfg(feature = "integration")]
mod oracle {
    use std::path::Path;
    use std::process::{Command, Output};

    use super::{Ddi, Layout, SEED, VerityMode, image, layout, payload, signer};
    use crate::ddi::PartitionArchitecture;

    fn run(directory: &Path, program: &str, arguments: &[&str]) -> Output {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        output
    }

    fn write_image(directory: &Path, layout: &Layout<'_>, payload: &[u8]) -> Ddi {
        let (bytes, ddi) = image(layout, payload).unwrap();
        fs_err::write(directory.join("image.raw"), bytes).unwrap();
        ddi
    }

    #[test]
    fn sfdisk_finds_the_table_valid_and_reads_what_was_written() {
        let (signer, directory) = signer();
        for architecture in PartitionArchitecture::all() {
            let layout = Layout {
                architecture,
                seed: Some(SEED),
                ..layout(VerityMode::Signed(&signer))
            };
            let ddi = write_image(directory.path(), &layout, &payload(20_000));
            let verified = run(directory.path(), "sfdisk", &["--verify", "image.raw"]);
            let verified = String::from_utf8(verified.stdout).unwrap();
            assert!(verified.contains("No errors detected."), "{verified}");
            let dump = run(directory.path(), "sfdisk", &["-J", "image.raw"]).stdout;
            let dump: serde_json::Value = serde_json::from_slice(&dump).unwrap();
            let table = &dump["partitiontable"];
            assert_eq!(table["label"], "gpt");
            for (partition, found) in ddi
                .partitions
                .iter()
                .zip(table["partitions"].as_array().unwrap())
            {
                let upper = |uuid: uuid::Uuid| uuid.to_string().to_uppercase();
                assert_eq!(found["start"], partition.offset_bytes / 512);
                assert_eq!(found["size"], partition.size_bytes / 512);
                assert_eq!(found["type"], upper(partition.partition_type));
                assert_eq!(found["uuid"], upper(partition.uuid.as_uuid()));
                assert_eq!(found["name"], partition.name);
                assert_eq!(found["attrs"], "GUID:60");
            }
        }
    }

    #[test]
    fn veritysetup_verifies_the_partitions_and_notices_a_changed_bit() {
        let directory = tempfile::tempdir().unwrap();
        for size_bytes in [1, 4096, 4097, 129 * 4096, 3_000_000] {
            let ddi = write_image(
                directory.path(),
                &layout(VerityMode::Hash),
                &payload(size_bytes),
            );
            let mut bytes = fs_err::read(directory.path().join("image.raw")).unwrap();
            let part = |index: usize, bytes: &[u8]| {
                let start = usize::try_from(ddi.partitions[index].offset_bytes).unwrap();
                bytes[start..][..usize::try_from(ddi.partitions[index].size_bytes).unwrap()]
                    .to_vec()
            };
            let root_hash = ddi.root_hash.unwrap().to_string();
            let arguments = ["verify", "data", "hash", &root_hash];
            fs_err::write(directory.path().join("hash"), part(1, &bytes)).unwrap();
            fs_err::write(directory.path().join("data"), part(0, &bytes)).unwrap();
            run(directory.path(), "veritysetup", &arguments);
            bytes[(1 << 20) + size_bytes / 2] ^= 1;
            fs_err::write(directory.path().join("data"), part(0, &bytes)).unwrap();
            let changed = Command::new("veritysetup")
                .args(arguments)
                .current_dir(directory.path())
                .output()
                .unwrap();
            assert!(!changed.status.success(), "{size_bytes}");
        }
    }
}

#[test]
fn a_first_block_given_again_counts_as_if_it_had_been_given_at_once() {
    let expected_payload = payload(10_000);
    let expected = image(&layout(VerityMode::Hash), &expected_payload).unwrap();
    let mut file = Cursor::new(Vec::new());
    let found = assemble(&mut file, &layout(VerityMode::Hash), |output| {
        output.write_all(&[0; 4096])?;
        output.write_all(&expected_payload[4096..9000])?;
        output.replace_first_block(expected_payload[..4096].try_into().unwrap())?;
        output.write_all(&expected_payload[9000..])
    });
    let found: Result<Ddi, AssembleError<IoError>> = found;
    assert_eq!(found.unwrap().root_hash, expected.1.root_hash);
    assert!(file.into_inner() == expected.0);
}

#[test]
fn without_verity_identifiers_depend_on_a_first_block_given_again() {
    let disk_of = |first: u8| {
        let mut file = Cursor::new(Vec::new());
        let outcome: Result<Ddi, AssembleError<IoError>> =
            assemble(&mut file, &layout(VerityMode::None), |output| {
                output.write_all(&[0; 8192])?;
                output.replace_first_block(&[first; 4096])
            });
        outcome.unwrap().partitions[0].uuid
    };
    assert_eq!(disk_of(1), disk_of(1));
    assert_ne!(disk_of(1), disk_of(2));
}

#[test]
fn a_first_block_is_not_given_again_before_there_is_one() {
    let mut file = Cursor::new(Vec::new());
    let outcome: Result<Ddi, AssembleError<IoError>> =
        assemble(&mut file, &layout(VerityMode::Hash), |output| {
            output.write_all(&[0; 4095])?;
            output.replace_first_block(&[1; 4096])
        });
    assert!(matches!(outcome, Err(AssembleError::Payload { .. })));
}
