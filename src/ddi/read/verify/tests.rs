use std::num::NonZeroUsize;
use std::ops::Range;

use super::{Finding, Required, Verification, verify};
use crate::ddi::read::fixture::{Verity, certificate, file_system, image_of, opened, signed, tree};
use crate::ddi::read::{Image, OpenError, TableError};
use crate::ddi::{RootHash, SectorSize};
use crate::format::read_at::ImageBytes;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// Where an image's first partition starts.
const START: usize = 1 << 20;

fn check(image: Vec<u8>) -> Verification {
    let certificate = certificate();
    let required = Required {
        certificate: Some(&certificate),
        root_hash: None,
        workers: ONE,
    };
    verify(&opened(image), &required)
}

fn check_without(image: Vec<u8>) -> Verification {
    let required = Required {
        certificate: None,
        root_hash: None,
        workers: ONE,
    };
    verify(&opened(image), &required)
}

#[test]
fn a_signed_image_is_good_and_nothing_of_it_is_unchecked() {
    for sector in SectorSize::ALL {
        let image = image_of(&file_system(&tree()), Verity::Signed, sector);
        let verification = check(image);
        assert!(verification.is_good(), "{:?}", verification.findings);
        assert_eq!(verification.unchecked, [""; 0]);
        assert!(verification.is_authentic);
        assert!(verification.root_hash.is_some());
    }
}

/// Asserts that a flipped bit is found at each of these places.
fn assert_found(image: &[u8], places: impl IntoIterator<Item = usize>) {
    let certificate = certificate();
    let required = Required {
        certificate: Some(&certificate),
        root_hash: None,
        workers: ONE,
    };
    for place in places {
        let mut changed = image.to_vec();
        changed[place] ^= 1 << (place % 8);
        let opened = Image::open(std::sync::Arc::new(ImageBytes::new(changed)));
        let is_found = opened.map_or(true, |opened| !verify(&opened, &required).is_good());
        assert!(is_found, "byte {place}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let image = signed();
    let table = opened(image.clone()).table().unwrap().clone();
    let part = |index: usize| -> Range<usize> {
        let partition = &table.partitions[index].partition;
        let start = usize::try_from(partition.offset_bytes).unwrap();
        start..start + usize::try_from(partition.size_bytes).unwrap()
    };
    let (data, hashes, signature) = (part(0), part(1), part(2));
    // The MBR, the header and the entries in use whole; what is empty or covered by hashes at a few places.
    let mut places: Vec<usize> = (0..1024 + 4 * 128).collect();
    places.extend((1024 + 4 * 128..START).step_by(4093));
    places.extend(data.step_by(509));
    places.extend(hashes.start..hashes.start + 512);
    places.extend((hashes.start + 512..hashes.end).step_by(61));
    let text = image[signature.clone()]
        .iter()
        .take_while(|byte| **byte != 0)
        .count();
    places.extend(signature.start..signature.start + text + 2);
    places.extend((signature.start + text + 2..signature.end).step_by(1021));
    places.extend((signature.end..image.len() - 512).step_by(331));
    places.extend(image.len() - 512..image.len());
    assert_found(&image, places);
}

#[test]
fn bytes_after_an_image_are_found() {
    for more in [1, 512, 4096] {
        let mut image = signed();
        image.resize(image.len() + more, 0);
        let findings = check(image).findings;
        assert!(
            matches!(findings.as_slice(), [Finding::Length { .. }]),
            "{more}: {findings:?}"
        );
    }
    let mut image = signed();
    image.truncate(image.len() - 512);
    let cut = Image::open(std::sync::Arc::new(ImageBytes::new(image))).unwrap_err();
    assert!(matches!(cut, OpenError::Table { .. }), "{cut}");
}

#[test]
fn what_is_not_checked_is_said() {
    let unsigned = |verity| image_of(&file_system(&tree()), verity, SectorSize::Bytes512);
    let cases = [
        (
            signed(),
            "authenticity: no certificate was given to check the signature with (`--certificate`)",
        ),
        (
            unsigned(Verity::Deferred),
            "authenticity: `root-x86-64` is not signed, and whoever changes it can change its hash tree too",
        ),
        (
            unsigned(Verity::Hash),
            "authenticity: `root-x86-64` is not signed, and whoever changes it can change its hash tree too",
        ),
        (
            unsigned(Verity::None),
            "`root-x86-64` has no hash tree: only what its file system itself can tell was checked",
        ),
        (
            file_system(&tree()),
            "`the image` has no hash tree: only what its file system itself can tell was checked",
        ),
    ];
    for (image, expected) in cases {
        let verification = check_without(image);
        assert!(verification.is_good(), "{:?}", verification.findings);
        assert_eq!(verification.unchecked, [expected]);
        assert!(!verification.is_authentic);
    }
}

#[test]
fn a_certificate_and_a_root_hash_demand_that_there_is_what_they_belong_to() {
    for verity in [Verity::None, Verity::Hash, Verity::Deferred] {
        let image = image_of(&file_system(&tree()), verity, SectorSize::Bytes512);
        let findings = check(image).findings;
        assert!(
            matches!(findings.as_slice(), [Finding::NotSigned { .. }]),
            "{findings:?}"
        );
    }
    let demand = |image: Vec<u8>| {
        let required = Required {
            certificate: None,
            root_hash: Some(RootHash::from_bytes([1; 32])),
            workers: ONE,
        };
        verify(&opened(image), &required).findings
    };
    let findings = demand(signed());
    assert!(
        matches!(findings.as_slice(), [Finding::RootHash { .. }]),
        "{findings:?}"
    );
    let findings = demand(file_system(&tree()));
    assert!(
        matches!(findings.as_slice(), [Finding::NoTree { .. }]),
        "{findings:?}"
    );
}

#[test]
fn each_kind_of_damage_has_its_name() {
    type Expected = fn(&Finding) -> bool;
    let last = signed().len();
    let cases: [(usize, Expected); 7] = [
        (100, |found| matches!(found, Finding::Mbr { offset: 100 })),
        (512 + 56, |found| {
            let is_checksum =
                |source: &TableError| matches!(source, TableError::HeaderChecksum { .. });
            matches!(found, Finding::Table { place: "start", source } if is_checksum(source))
        }),
        (last - 512 + 56, |found| {
            matches!(found, Finding::Table { place: "end", .. })
        }),
        (512 + 100, |found| {
            matches!(found, Finding::NotZero { offset: 612 })
        }),
        (500_000, |found| {
            matches!(found, Finding::NotZero { offset: 500_000 })
        }),
        (START + 8192, |found| {
            matches!(found, Finding::Blocks { .. })
        }),
        (last - 36_800, |found| {
            matches!(found, Finding::Signature { .. })
        }),
    ];
    for (place, expected) in cases {
        let mut image = signed();
        image[place] ^= 0x10;
        let findings = check(image).findings;
        assert!(
            findings.first().is_some_and(expected),
            "{place}: {findings:?}"
        );
    }
}

#[test]
fn a_file_system_that_cannot_be_read_is_found_behind_a_right_tree() {
    let mut payload = file_system(&tree());
    payload[1024 + 200] ^= 0xff;
    let findings = check(image_of(&payload, Verity::Signed, SectorSize::Bytes512)).findings;
    assert!(
        matches!(findings.as_slice(), [Finding::FileSystem { .. }]),
        "{findings:?}"
    );
}
