//! What the image says of itself.

use super::super::{Host, Protection, SignatureState, Subject, check};
use super::{NAME, PAYLOAD, base, names, tree};
use crate::ddi::{Designator, RootHash};
use crate::format::file_system::KernelVersion;

/// The rules that are tested here. That a signature is another's is tested where images are signed.
pub(super) const TESTED: &[&str] = &[
    "unsigned",
    "without-hash-tree",
    "usr-partition",
    "signature-damaged",
    "signature-empty",
    "root-hash-differs",
    "table-damaged",
    "certificate-unknown",
    "kernel-too-old",
    "partition-architecture",
];

fn good() -> Protection {
    Protection {
        designator: Some(Designator::Root),
        architecture: Some("x86-64"),
        table_damage: None,
        hash_tree_damage: None,
        root_hash: RootHash::from_hexadecimal(&"ab".repeat(32)),
        signature: SignatureState::Missing,
        oldest_kernel: Some(KernelVersion::new(6, 1)),
    }
}

#[test]
fn what_an_image_says_of_itself_is_judged() {
    type Change = fn(&mut Protection);
    let cases: [(&[&str], Change); 9] = [
        (&["unsigned"], |_| {}),
        (&["without-hash-tree"], |image| image.root_hash = None),
        (&["usr-partition", "unsigned"], |image| {
            image.designator = Some(Designator::Usr);
        }),
        (&["signature-damaged"], |image| {
            image.signature = SignatureState::Damaged {
                reason: "it is none".into(),
            };
        }),
        (&["signature-empty"], |image| {
            image.signature = SignatureState::Empty;
        }),
        (&["root-hash-differs"], |image| {
            image.root_hash = None;
            image.hash_tree_damage = Some("it is too short".into());
        }),
        (&["table-damaged", "unsigned"], |image| {
            image.table_damage = Some("its checksum is wrong".into());
        }),
        (&["kernel-too-old", "unsigned"], |image| {
            image.oldest_kernel = Some(KernelVersion::new(6, 10));
        }),
        (&["partition-architecture", "unsigned"], |image| {
            image.architecture = Some("arm64");
        }),
    ];
    let base = base(&[
        "usr/lib/modules/6.1.0-9-amd64/x=1",
        "usr/lib/modules/5.10.0/x=1",
    ]);
    let payload = tree(&PAYLOAD);
    let host = Host::of_tree(&base).unwrap();
    for (expected, change) in cases {
        let mut protection = good();
        change(&mut protection);
        let subject = Subject {
            name: NAME,
            tree: &payload,
            protection: Some(&protection),
            packages: &[],
        };
        assert_eq!(names(&check(&subject, &host).unwrap()), expected);
    }
}
