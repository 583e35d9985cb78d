mod cases;
mod protection;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Finding, Host, RULES, Report, Subject, Verdict, check};
use crate::extension::Severity;
use crate::extension::fixture::{entry, put};
use crate::format::elf::fixture::{X86_64, linkage, object};
use crate::format::elf::{Linkage, Machine, RequiredVersion};
use crate::tree::{Content, DeviceNumber, Entry, EntryKind, FileTree, Timestamp};

const NAME: &str = "x.raw";
const RELEASE: &str = "usr/lib/extension-release.d/extension-release.x=ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n\
                       EXTENSION_RELOAD_MANAGER=1\n";
/// An extension that has nothing to be told of.
const PAYLOAD: [&str; 2] = [RELEASE, "usr/share/x/data=1"];
/// What every base has.
const BASE: [&str; 9] = [
    "etc/passwd=root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n",
    "etc/group=root:x:0:\ndaemon:x:1:\n",
    "bin -> usr/bin",
    "lib64 -> usr/lib64",
    "usr/bin/sh=ELF interpreter=/lib64/ld.so.2 needed=libc.so.6",
    "usr/bin/env=ELF",
    "usr/lib/os-release=ID=debian\nVERSION_ID=13\n",
    "usr/lib/systemd/system/multi-user.target=[Unit]\n",
    "usr/lib64/ld.so.2=ELF soname=ld.so.2",
];
const LIBC: &str = "usr/lib64/libc.so.6=ELF soname=libc.so.6 defines=C_1 defines=C_2";

/// Returns a tree of lines as [`put`] takes them. A content may be `ELF` with what it says, and ` !KEY=VALUE` at the end
/// of a line changes the entry.
fn tree(lines: &[&str]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(Timestamp::default())).unwrap();
    for line in lines {
        let mut parts = line.split(" !");
        let plain = parts.next().unwrap();
        put(&mut tree, plain);
        let name = plain.split(" -> ").next().unwrap();
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let found = entry(&mut tree, name.trim_end_matches('/'));
        if let Some((_, content)) = plain.split_once("=ELF") {
            let bytes = object(&described(content));
            found.kind = EntryKind::Regular(Content::from_bytes(bytes));
        }
        for part in parts {
            let (key, value) = part.split_once('=').unwrap();
            match key {
                "mode" => found.mode = u16::from_str_radix(value, 8).unwrap(),
                "uid" => found.uid = value.parse().unwrap(),
                "xattr" => {
                    let (name, value) = value.split_once('=').unwrap();
                    let value = match value {
                        "ACL" => acl(),
                        value => value.as_bytes().to_vec(),
                    };
                    found.xattrs.insert(name.into(), value);
                }
                "device" => {
                    let minor = value.parse().unwrap();
                    let major = u32::from(minor != 0);
                    found.kind = EntryKind::CharacterDevice(DeviceNumber { major, minor });
                }
                _ => panic!("{part}"),
            }
        }
    }
    tree
}

/// Returns an ACL by which the user 999 may read (acl(5)).
fn acl() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, rights, id) in [
        (0x01_u16, 7_u16, nobody),
        (0x02, 4, 999),
        (0x04, 4, nobody),
        (0x10, 4, nobody),
        (0x20, 4, nobody),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Returns what `needed=x version=x:V defines=V soname=x interpreter=x runpath=x machine=arm64` says.
fn described(text: &str) -> Linkage {
    let mut linkage = linkage(X86_64);
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "needed" => linkage.needed.push(value.into()),
            "version" => {
                let (library, version) = value.split_once(':').unwrap();
                linkage.required.push(RequiredVersion {
                    library: library.into(),
                    version: version.into(),
                    is_weak: false,
                });
            }
            "defines" => drop(linkage.defined.insert(value.into())),
            "soname" => linkage.soname = Some(value.into()),
            "interpreter" => linkage.interpreter = Some(value.into()),
            "runpath" => linkage.runpath = Some(value.into()),
            "machine" => {
                linkage.machine = Machine {
                    number: 183,
                    ..X86_64
                }
            }
            _ => panic!("{word}"),
        }
    }
    linkage
}

fn report_of(name: &str, payload: &FileTree, base: Option<&FileTree>) -> Report {
    let host = base.map_or_else(Host::default, |base| Host::of_tree(base).unwrap());
    let subject = Subject {
        name,
        tree: payload,
        protection: None,
        packages: &[],
    };
    check(&subject, &host).unwrap()
}

fn base(lines: &[&str]) -> FileTree {
    tree(&[&BASE, [LIBC].as_slice(), lines].concat())
}

fn names(report: &Report) -> Vec<&'static str> {
    report
        .findings
        .iter()
        .map(|found| found.rule.name)
        .collect()
}

fn found<'a>(report: &'a Report, name: &str) -> &'a Finding {
    let mut findings = report.findings.iter();
    let found = findings.find(|found| found.rule.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in {:#?}", report.findings))
}

#[test]
fn a_good_extension_has_nothing_to_be_told_of() {
    let report = report_of(NAME, &tree(&PAYLOAD), Some(&base(&[])));
    assert_eq!(report.findings, []);
    assert_eq!(report.kind, "sysext");
    let fields: Vec<_> = report
        .comparison
        .iter()
        .map(|row| (row.field, row.verdict))
        .collect();
    let expected = [
        ("SYSEXT_SCOPE", Verdict::Fits),
        ("ARCHITECTURE", Verdict::Fits),
        ("ID", Verdict::Fits),
        ("SYSEXT_LEVEL", Verdict::Ignored),
        ("VERSION_ID", Verdict::Fits),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn each_rule_finds_what_is_bad_and_not_what_is_good() {
    for case in cases::CASES {
        let base = base(case.base);
        for (lines, is_bad) in [(case.bad, true), (case.good, false)] {
            // An extension-release file of its own comes in place of the usual one.
            let has_own = lines
                .iter()
                .any(|line| line.contains("extension-release.d/"));
            let usual = if has_own { &PAYLOAD[1..] } else { &PAYLOAD };
            let usual = if case.is_bare { &[] } else { usual };
            let payload = tree(&[usual, lines].concat());
            let of = if case.without_base { None } else { Some(&base) };
            let report = report_of(NAME, &payload, of);
            let is_found = names(&report).contains(&case.rule);
            assert_eq!(
                is_found, is_bad,
                "{}: {lines:?}: {:#?}",
                case.rule, report.findings
            );
        }
    }
}

#[test]
fn every_rule_has_a_test() {
    let cases = cases::CASES.iter().map(|case| case.rule);
    let tested: BTreeSet<_> = cases.chain(protection::TESTED.iter().copied()).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(tested, rules);
}

#[test]
fn names_of_images_are_those_that_systemd_takes() {
    let payload = tree(&PAYLOAD);
    for name in ["x", "x.raw", "x.sysext.raw", "x.confext.raw"] {
        let report = report_of(name, &payload, None);
        assert_eq!(names(&report), ["host-unknown"], "{name}");
    }
    let report = report_of("x_1.2.raw", &payload, None);
    assert_eq!(names(&report), ["release-name", "host-unknown"]);
    for name in ["y.raw", "x-1.raw", "x.sysext"] {
        let report = report_of(name, &payload, None);
        assert_eq!(names(&report), ["release-missing"], "{name}");
    }
}

#[test]
fn a_confext_is_one_by_its_release_file() {
    let lines = [
        "etc/extension-release.d/extension-release.x=ID=debian\nVERSION_ID=13\n",
        "etc/x.conf=1",
    ];
    let report = report_of(NAME, &tree(&lines), Some(&base(&[])));
    assert_eq!((report.kind, names(&report)), ("confext", vec![]));
}

#[test]
fn what_is_missing_is_said_with_who_needs_it() {
    let payload = tree(&[
        RELEASE,
        "usr/bin/one=ELF needed=libx.so.1 needed=libc.so.6 version=libc.so.6:C_2 version=libc.so.6:C_3 version=libc.so.6:C_4",
        "usr/bin/two=ELF needed=libx.so.1",
    ]);
    let report = report_of(NAME, &payload, Some(&base(&[])));
    let missing = found(&report, "library-missing");
    let text = "`libx.so.1` is needed, and neither the extension nor its base has it";
    assert_eq!(
        (missing.reason.as_str(), missing.severity),
        (text, Severity::Error)
    );
    let places: Vec<_> = missing
        .items
        .iter()
        .map(|item| item.path.as_str())
        .collect();
    assert_eq!(places, ["/usr/bin/one", "/usr/bin/two"]);
    let version = found(&report, "library-version");
    assert_eq!(
        version.reason,
        "`/usr/lib64/libc.so.6` of the base lacks versions that are needed, so that these do not start"
    );
    assert_eq!(version.items[0].reason.as_deref(), Some("needs C_3, C_4"));
    // The worst come first.
    assert!(
        report
            .findings
            .is_sorted_by(|one, other| one.severity >= other.severity)
    );
}

#[test]
fn without_a_base_what_it_must_have_is_said() {
    let payload = tree(&[
        RELEASE,
        "usr/bin/one=ELF needed=libc.so.6 version=libc.so.6:C_2.9 version=libc.so.6:C_2.38",
        "usr/bin/two=ELF needed=libc.so.6 needed=libz.so.1 version=libc.so.6:C_2.4",
    ]);
    let report = report_of(NAME, &payload, None);
    let needed = &found(&report, "base-needed").reason;
    assert_eq!(
        needed,
        "its base must have `libc.so.6` with C_2.38, `libz.so.1`"
    );
}

#[test]
fn what_differs_from_the_base_is_said() {
    let bad = tree(&[
        RELEASE,
        "usr/share/a=longer",
        "usr/share/b=same !mode=755",
        "usr/share/c -> new",
        "usr/share/d=two",
    ]);
    let of_base = base(&[
        "usr/share/a=text",
        "usr/share/b=same",
        "usr/share/c -> old",
        "usr/share/d=one",
    ]);
    let report = report_of(NAME, &bad, Some(&of_base));
    let reasons = |name| -> Vec<_> {
        let items = found(&report, name).items.iter();
        items.map(|item| item.reason.clone().unwrap()).collect()
    };
    assert_eq!(
        reasons("shadowing"),
        [
            "6 bytes for 4",
            "a link to `new` for `old`",
            "other bytes of the same length"
        ]
    );
    assert_eq!(reasons("metadata-changed"), ["mode 0755 for 0644"]);
}

#[test]
fn the_largest_parts_come_first() {
    let payload = tree(&[
        "usr/share/x/a=12",
        "usr/bin/b=12345",
        "usr/share/x/y/c=1234",
    ]);
    let sizes = super::size::of(&payload, &[]);
    let parts: Vec<_> = sizes
        .directories
        .iter()
        .map(|part| (part.name.as_str(), part.size_bytes))
        .collect();
    assert_eq!(parts, [("/usr/share/x", 6), ("/usr/bin", 5)]);
    assert_eq!(sizes.total_bytes, 11);
}

proptest! {
    #[test]
    fn any_extension_on_any_base_is_checked(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        super::fuzzing::checked_extension(&bytes);
    }
}
