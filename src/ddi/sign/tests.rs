use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::{SignError, Signed, sign};
use crate::ddi::{Layout, PartitionArchitecture, RootHash, SectorSize, VerityMode, assemble};
use crate::signing::{KeyOptions, Overwrite, Signer, generate, write_key_pair};

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

/// Returns an image of 600 blocks, whose tree has two levels.
fn image(verity: VerityMode<'_>, sector: SectorSize) -> (File, Option<RootHash>) {
    let mut file = tempfile::tempfile().unwrap();
    let layout = Layout {
        architecture: PartitionArchitecture::named("arm64").unwrap(),
        name: "nginx_1.2",
        seed: None,
        payload_size_bytes: None,
        sector,
        verity,
    };
    let payload: Vec<u8> = (0..600_u32 * 4096)
        .map(|index| (index % 251).to_le_bytes()[0])
        .collect();
    let ddi = assemble(&mut file, &layout, |output| output.write_all(&payload)).unwrap();
    (file, ddi.root_hash)
}

fn bytes(file: &File) -> Vec<u8> {
    let size = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn an_image_that_is_signed_later_is_that_which_is_signed_at_once() {
    let (signer, _directory) = signer();
    for sector in SectorSize::ALL {
        let (later, root_hash) = image(VerityMode::Deferred, sector);
        let (at_once, _) = image(VerityMode::Signed(&signer), sector);
        assert_eq!(sign(&later, &signer, Signed::Refuse).ok(), root_hash);
        assert!(bytes(&later) == bytes(&at_once), "{sector:?}");
    }
}

#[test]
fn an_image_is_signed_again_only_when_that_is_asked_for() {
    let (signer, _directory) = signer();
    let (file, _) = image(VerityMode::Signed(&signer), SectorSize::Bytes512);
    let before = bytes(&file);
    assert!(matches!(
        sign(&file, &signer, Signed::Refuse),
        Err(SignError::AlreadySigned)
    ));
    assert!(bytes(&file) == before);
    assert!(sign(&file, &signer, Signed::Replace).is_ok());
    assert!(bytes(&file) == before);
}

#[test]
fn an_image_that_has_changed_is_not_signed() {
    const MIB: u64 = 1 << 20;
    let (signer, _directory) = signer();
    let data_end = MIB + 600 * 4096;
    for (offset_bytes, expected) in [
        (512 + 56, "its partition table is damaged"),
        (1024 + 16, "its partition table is damaged"),
        (512, "there is no partition table in it"),
        (MIB, "its data have the root hash"),
        (data_end - 1, "its data have the root hash"),
        (
            data_end,
            "its hash tree cannot be checked: it is not of SHA-256",
        ),
        // The salt.
        (data_end + 88, "its data have the root hash"),
        (data_end + 4096, "its hash tree is not that of its data"),
        (
            data_end + 6 * 4096 + 4095,
            "its hash tree is not that of its data",
        ),
    ] {
        let (file, _) = image(VerityMode::Deferred, SectorSize::Bytes512);
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset_bytes).unwrap();
        file.write_all_at(&[byte[0] ^ 1], offset_bytes).unwrap();
        let before = bytes(&file);
        let error = sign(&file, &signer, Signed::Refuse)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{offset_bytes}: {error}");
        assert!(bytes(&file) == before, "{offset_bytes}");
    }
}

#[test]
fn an_image_without_room_for_a_signature_says_what_it_lacks() {
    let (signer, _directory) = signer();
    for (verity, part) in [
        (VerityMode::None, "partition with a hash tree"),
        (VerityMode::Hash, "partition for a signature"),
    ] {
        let (file, _) = image(verity, SectorSize::Bytes512);
        let error = sign(&file, &signer, Signed::Refuse).unwrap_err();
        assert_eq!(error.to_string(), format!("it has no {part}"));
    }
    let mut empty = tempfile::tempfile().unwrap();
    assert!(matches!(
        sign(&empty, &signer, Signed::Refuse),
        Err(SignError::NoTable)
    ));
    empty.write_all(&[0; 10_000]).unwrap();
    assert!(matches!(
        sign(&empty, &signer, Signed::Refuse),
        Err(SignError::NoTable)
    ));
}
