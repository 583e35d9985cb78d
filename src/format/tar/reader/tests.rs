use std::sync::Arc;

use super::super::fixture::{Raw, archive, joined, source, unpacked};
use super::super::unpack::UnpackError;
use super::{Members, ReadError, is_archive};
use crate::tree::{DeviceNumber, EntryKind, FileTree, Timestamp, TreePath};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn names(tree: &FileTree) -> Vec<String> {
    tree.iter()
        .skip(1)
        .map(|(path, _)| path.to_string())
        .collect()
}

fn text(tree: &FileTree, name: &str) -> Vec<u8> {
    match &tree.get(&path(name)).unwrap().kind {
        EntryKind::Regular(content) => content.read_all().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Returns what is wrong with an archive.
fn refused(bytes: Vec<u8>) -> String {
    match unpacked(bytes) {
        Err(UnpackError::Archive(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn old_archives_have_no_types_and_no_magic() {
    let old = |raw: Raw| raw.at(257, &[0; 8]);
    let tree = unpacked(archive(&[
        old(Raw::new("d/", 0)),
        old(Raw::new("d/f", 0).body(b"hello")).at(265, b"nobody"),
        old(Raw::link("d/l", b'1', "d/f")),
        old(Raw::link("d/s", b'2', "f")),
    ]))
    .unwrap();
    assert_eq!(names(&tree), ["d", "d/f", "d/l", "d/s"]);
    assert_eq!(text(&tree, "d/l"), b"hello");
    let file = tree.get(&path("d/f")).unwrap();
    assert!(file.hard_link.is_some());
    assert_eq!(file.hard_link, tree.get(&path("d/l")).unwrap().hard_link);
    assert_eq!(file.modified, Timestamp::from_seconds(5));
}

#[test]
fn names_are_longer_in_ustar_by_a_prefix_and_in_that_of_gnu_by_a_member() {
    let long = "n".repeat(150);
    let deep = format!("{}/f", "d".repeat(120));
    let tree = unpacked(archive(&[
        Raw::new("f", b'0').at(345, "d".repeat(120).as_bytes()),
        Raw::new("././@LongLink", b'L').body(format!("{long}\0").as_bytes()),
        Raw::new("nnn", b'0')
            .at(257, b"ustar  \0")
            .at(345, b"no prefix"),
        Raw::new("././@LongLink", b'K').body(format!("{long}\0").as_bytes()),
        Raw::link("link", b'2', "nnn"),
    ]))
    .unwrap();
    assert_eq!(names(&tree), [&deep[..120], &deep, "link", &long]);
    match &tree.get(&path("link")).unwrap().kind {
        EntryKind::Symlink(target) => assert_eq!(*target, long.as_bytes()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_pax_replace_what_the_header_says() {
    let tree = unpacked(archive(&[
        Raw::pax(b'g', &[("uid", b"7"), ("comment", b"none")]),
        Raw::pax(
            b'x',
            &[
                ("path", b"f\xff"),
                ("gid", b"4294967294"),
                ("mtime", b"-0.5"),
                ("size", b"3"),
                ("SCHILY.xattr.user.a%3Db", b"1\0\n2"),
                ("LIBARCHIVE.xattr.user.c", b"AAE"),
                ("SCHILY.acl.access", b"user::rwx,user:joe:r--:5"),
            ],
        ),
        Raw::new("other", b'0').silent_body(b"abc"),
        Raw::pax(b'x', &[("uid", b""), ("SCHILY.devmajor", b"300000")]),
        Raw::new("dev", b'3').at(337, b"0000007"),
        Raw::new("after", b'6'),
    ]))
    .unwrap();
    let name = TreePath::new(b"f\xff").unwrap();
    let file = tree.get(&name).unwrap();
    assert_eq!((file.uid, file.gid), (7, 4_294_967_294));
    let before = Timestamp {
        seconds: -1,
        nanoseconds: 500_000_000,
    };
    assert_eq!(file.modified, before);
    assert_eq!(file.size_bytes(), 3);
    let list = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x05\0\0\0";
    let expected: [(&[u8], &[u8]); 3] = [
        (b"system.posix_acl_access", list),
        (b"user.a=b", b"1\0\n2"),
        (b"user.c", b"\0\x01"),
    ];
    let found: Vec<(&[u8], &[u8])> = file
        .xattrs
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    assert_eq!(found, expected);
    let device = tree.get(&path("dev")).unwrap();
    // An empty value takes back the global one.
    assert_eq!(device.uid, 0);
    let EntryKind::CharacterDevice(number) = device.kind else {
        panic!("{device:?}")
    };
    let expected = DeviceNumber {
        major: 300_000,
        minor: 7,
    };
    assert_eq!(number, expected);
    assert_eq!(tree.get(&path("after")).unwrap().uid, 7);
}

#[test]
fn sparse_files_of_every_form_are_whole() {
    let expected: Vec<u8> = [&[0; 10][..], b"abc", &[0; 5], b"de", &[0; 4]].concat();
    let old = Raw::new("old", b'S')
        .at(257, b"ustar  \0")
        .at(386, b"00000000012\x0000000000003\0")
        .at(410, b"00000000022\x0000000000002\0")
        .at(434, b"00000000030\x0000000000000\0")
        .at(483, b"00000000030")
        .body(b"abcde");
    let sparse_0_0 = Raw::pax(
        b'x',
        &[
            ("GNU.sparse.size", b"24"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"10"),
            ("GNU.sparse.numbytes", b"3"),
            ("GNU.sparse.offset", b"18"),
            ("GNU.sparse.numbytes", b"2"),
        ],
    );
    let sparse_0_1 = Raw::pax(
        b'x',
        &[
            ("GNU.sparse.size", b"24"),
            ("GNU.sparse.map", b"10,3,18,2"),
            ("GNU.sparse.name", b"0.1"),
        ],
    );
    let sparse_1_0 = Raw::pax(
        b'x',
        &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"1.0"),
            ("GNU.sparse.realsize", b"24"),
        ],
    );
    let mut body = b"3\n10\n3\n18\n2\n24\n0\n".to_vec();
    body.resize(512, 0);
    body.extend_from_slice(b"abcde");
    let tree = unpacked(archive(&[
        old,
        sparse_0_0,
        Raw::file("0.0", "abcde"),
        sparse_0_1,
        Raw::file("GNUSparseFile.0/x", "abcde"),
        sparse_1_0,
        Raw::file("GNUSparseFile.0/x", "").body(&body),
        Raw::file("next", "next"),
    ]))
    .unwrap();
    assert_eq!(names(&tree), ["0.0", "0.1", "1.0", "next", "old"]);
    for name in ["old", "0.0", "0.1", "1.0"] {
        assert_eq!(text(&tree, name), expected, "{name}");
        let EntryKind::Regular(content) = &tree.get(&path(name)).unwrap().kind else {
            panic!("{name}")
        };
        for (offset, length) in [(0, 24), (9, 5), (12, 8), (20, 4)] {
            let mut room = vec![1; length];
            let count = content.read_part(offset, &mut room).unwrap();
            let start = usize::try_from(offset).unwrap();
            assert_eq!(room[..count], expected[start..start + count], "{name}");
            assert_eq!(count, length);
        }
    }
    assert_eq!(text(&tree, "next"), b"next");
}

#[test]
fn a_map_of_the_old_form_goes_on_in_blocks() {
    let mut more = vec![0; 512];
    more[..24].copy_from_slice(b"00000000004\x0000000000001\0");
    let mut body = more;
    body.extend_from_slice(b"ab");
    let sparse = Raw::new("f", b'S')
        .at(386, b"00000000000\x0000000000001\0")
        .at(482, b"\x01")
        .at(483, b"00000000006")
        .at(124, b"00000000002")
        .silent_body(&body);
    let tree = unpacked(archive(&[sparse])).unwrap();
    assert_eq!(text(&tree, "f"), b"a\0\0\0b\0");
}

#[test]
fn maps_that_are_not_in_order_are_refused() {
    for (map, size) in [
        ("0,3,2,2", "9"),
        ("5,2,0,1", "9"),
        ("0,6", "9"),
        ("0,5", "4"),
        ("0", "9"),
        ("18446744073709551615,1", "18446744073709551615"),
    ] {
        let records = [
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.map", map.as_bytes()),
        ];
        let bytes = archive(&[Raw::pax(b'x', &records), Raw::file("f", "abcde")]);
        let expected =
            "the archive is damaged at byte 1024: the map of a sparse file is not in order";
        assert_eq!(refused(bytes), expected, "{map}");
    }
    for map in [
        "",
        "9\n",
        "1\n0\n",
        "x\n",
        "99999999999999999999\n",
        "4611686018427387904\n",
    ] {
        let records: [(&str, &[u8]); 2] =
            [("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"9")];
        let mut body = map.as_bytes().to_vec();
        body.resize(512, 0);
        let bytes = archive(&[Raw::pax(b'x', &records), Raw::new("f", b'0').body(&body)]);
        let expected =
            "the archive is damaged at byte 1024: the map of a sparse file is not in order";
        assert_eq!(refused(bytes), expected, "{map}");
    }
}

#[test]
fn links_may_say_the_length_of_what_they_lead_to() {
    let tree = unpacked(archive(&[
        Raw::file("f", "hello"),
        Raw::link("without", b'1', "f").at(124, b"00000000005"),
        Raw::link("with", b'1', "f").body(b"hello"),
        Raw::link("dangling", b'2', "f").at(124, b"00000000005"),
        Raw::new("label", b'V'),
    ]))
    .unwrap();
    assert_eq!(names(&tree), ["dangling", "f", "with", "without"]);
}

#[test]
fn damaged_archives_are_told_with_the_place() {
    let file = Raw::file("f", "hello");
    let at = |offset: usize, bytes: &[u8]| archive(&[file.clone().at(offset, bytes)]);
    let mut flipped = archive(std::slice::from_ref(&file));
    flipped[0] ^= 1;
    let pax = |key: &str, value: &[u8]| archive(&[Raw::pax(b'x', &[(key, value)]), file.clone()]);
    let value = "the archive is damaged at byte 0: a record of an extended header has a value that it cannot \
                 have";
    let cases: [(Vec<u8>, &str); 15] = [
        (
            Vec::new(),
            "the archive ends at byte 0, before its end is marked",
        ),
        (
            vec![0; 100],
            "the archive ends at byte 100, before its end is marked",
        ),
        (
            joined(std::slice::from_ref(&file)),
            "the archive ends at byte 1024, before its end is marked",
        ),
        (
            joined(std::slice::from_ref(&file))[..514].to_vec(),
            "the archive ends at byte 514, before its end is marked",
        ),
        (
            flipped,
            "the archive is damaged at byte 0: there is no header, or its checksum is wrong",
        ),
        (
            at(124, b"x"),
            "the archive is damaged at byte 0: the length of a member is no number",
        ),
        (
            at(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
            "the archive ends at byte 2048, before its end is marked",
        ),
        (
            at(108, b"\x80\0\0\0\xff\xff\xff\xff"),
            "the archive is damaged at byte 0: the owner of a member is no id",
        ),
        (
            at(156, b"M"),
            "the member at byte 0 is of the type `M`, which cannot be read",
        ),
        (pax("uid", b"-1"), value),
        (pax("size", b"1e3"), value),
        (pax("mtime", b"now"), value),
        (
            pax("SCHILY.acl.access", b"user:joe:rwx"),
            "the archive is damaged at byte 0: an access control list is none, or names somebody who is not in \
             `etc/passwd` or `etc/group`",
        ),
        (
            archive(&[Raw::new("x", b'x').body(b"5 a=b\n"), file.clone()]),
            "the archive is damaged at byte 0: a record of an extended header is not in order",
        ),
        (
            archive(&[Raw::pax(b'x', &[("uid", b"5")])]),
            "the archive is damaged at byte 1536: an extended header is about a member that is not there",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(refused(bytes), expected);
    }
    let large = Raw::new("x", b'x').at(124, b"00100000001");
    assert_eq!(
        refused(archive(&[large])),
        "the archive is damaged at byte 0: an extended header has more than 16 MiB"
    );
}

#[test]
fn what_follows_the_end_is_not_read() {
    let mut bytes = archive(&[Raw::file("f", "hello")]);
    bytes.extend([0xff; 700]);
    assert_eq!(names(&unpacked(bytes).unwrap()), ["f"]);
}

#[test]
fn an_error_is_the_last_thing_that_is_said() {
    let mut members = Members::new(source(vec![1; 1024]), Arc::default());
    assert!(matches!(
        members.next(),
        Some(Err(ReadError::Damaged { offset: 0, .. }))
    ));
    assert!(members.next().is_none());
}

#[test]
fn archives_are_known_by_their_first_header() {
    for (bytes, expected) in [
        (archive(&[Raw::file("f", "hello")]), true),
        (vec![0; 1024], false),
        (vec![b' '; 512], false),
        (b"PK".to_vec(), false),
    ] {
        assert_eq!(is_archive(&*source(bytes)).unwrap(), expected);
    }
}

#[test]
fn lists_name_those_that_the_archive_knows() {
    let list: [(&str, &[u8]); 1] = [("SCHILY.acl.access", b"user::rw-,user:joe:r--")];
    let tree = unpacked(archive(&[
        Raw::pax(b'x', &list),
        Raw::file("f", ""),
        Raw::file("./etc/passwd", "joe:x:5:5::/:\n"),
    ]))
    .unwrap();
    let found = &tree.get(&path("f")).unwrap().xattrs[&b"system.posix_acl_access"[..]];
    let expected = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x05\0\0\0";
    assert_eq!(found[..], expected[..]);
}
