use proptest::prelude::*;

use super::super::fixture::{Raw, archive, empty, numeric, source, unpacked};
use super::super::write;
use super::{Rules, UnpackError, unpack};
use crate::tree::arbitrary::{describe, file_tree};
use crate::tree::{EntryKind, FileTree, TreePath};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// Returns the names with `/` after those of directories and ` -> ` and the target after those of links.
fn names(tree: &FileTree) -> Vec<String> {
    let name = |(path, entry): (&TreePath, &crate::tree::Entry)| match &entry.kind {
        EntryKind::Directory => format!("{path}/"),
        EntryKind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
        _ => path.to_string(),
    };
    tree.iter().skip(1).map(name).collect()
}

fn text(tree: &FileTree, name: &str) -> String {
    match &tree.get(&path(name)).unwrap().kind {
        EntryKind::Regular(content) => String::from_utf8(content.read_all().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn refused(members: &[Raw]) -> String {
    unpacked(archive(members)).unwrap_err().to_string()
}

fn layers(layers: &[&[Raw]]) -> FileTree {
    let mut tree = empty();
    for members in layers {
        unpack(&mut tree, &source(archive(members)), Rules::Layer, &numeric).unwrap();
    }
    tree
}

#[test]
fn names_that_climb_are_refused() {
    for name in ["..", "../f", "a/../../f", "/..", "a/.."] {
        let expected = format!(
            "the name `{name}` of the member at byte 0 cannot be in a tree: `..` is not allowed"
        );
        assert_eq!(refused(&[Raw::file(name, "x")]), expected);
    }
    assert_eq!(
        refused(&[
            Raw::file("f", "x"),
            Raw::link("l", b'1', "../../etc/shadow")
        ]),
        "the name `../../etc/shadow` of the member at byte 1024 cannot be in a tree: `..` is not allowed"
    );
}

#[test]
fn absolute_names_and_dots_start_at_the_root() {
    let tree = unpacked(archive(&[
        Raw::new("./", b'5').at(100, b"0000711"),
        Raw::file("/etc/passwd", "x"),
        Raw::file(".//usr/./f", "x"),
    ]))
    .unwrap();
    assert_eq!(names(&tree), ["etc/", "etc/passwd", "usr/", "usr/f"]);
    assert_eq!(tree.root().mode, 0o711);
}

#[test]
fn links_are_followed_inside_the_tree() {
    let tree = unpacked(archive(&[
        Raw::link("a", b'2', "/etc"),
        Raw::file("a/x", "1"),
        Raw::link("b", b'2', "../../../../../out"),
        Raw::file("b/deep/x", "2"),
        Raw::link("hard", b'1', "a/x"),
        Raw::link("self", b'2', "/"),
        Raw::file("self/self/y", "3"),
    ]))
    .unwrap();
    let expected = [
        "a -> /etc",
        "b -> ../../../../../out",
        "etc/",
        "etc/x",
        "hard",
        "out/",
        "out/deep/",
        "out/deep/x",
        "self -> /",
        "y",
    ];
    assert_eq!(names(&tree), expected);
    assert_eq!(text(&tree, "hard"), "1");
}

#[test]
fn links_that_lead_nowhere_are_told() {
    let cases: [(&[Raw], &str); 6] = [
        (
            &[Raw::link("l", b'2', "l"), Raw::file("l/x", "")],
            "finding where the member at byte 512 belongs",
        ),
        (
            &[Raw::file("f", ""), Raw::file("f/x", "")],
            "the member at byte 512 is below `/f`, which is not a directory",
        ),
        (
            &[Raw::link("l", b'1', "none")],
            "the hard link `/l` at byte 0 leads to `/none`, which is not there",
        ),
        (
            &[Raw::new("d", b'5'), Raw::link("l", b'1', "d")],
            "the hard link `/l` at byte 512 leads to `/d`, which is a directory",
        ),
        (
            &[Raw::file("f", ""), Raw::link("f", b'1', "f")],
            "the hard link `/f` at byte 512 leads to `/f`, which is itself",
        ),
        (
            &[Raw::link("l", b'2', "")],
            "the name `` of the member at byte 0 cannot be in a tree: a link leads nowhere",
        ),
    ];
    for (members, expected) in cases {
        assert_eq!(refused(members), expected);
    }
    assert_eq!(
        refused(&[Raw::link(".", b'2', "etc")]),
        "placing the member at byte 0"
    );
}

#[test]
fn names_that_no_file_system_has_are_refused() {
    let long = "n".repeat(256);
    let deep = "d/".repeat(2048);
    for (name, reason) in [
        (long.as_bytes(), "a part of it has more than 255 bytes"),
        (deep.as_bytes(), "it has 4096 bytes or more"),
    ] {
        let members = [Raw::pax(b'x', &[("path", name)]), Raw::file("f", "")];
        assert!(refused(&members).ends_with(reason), "{reason}");
        let members = [
            Raw::pax(b'x', &[("linkpath", &name.repeat(16))]),
            Raw::new("f", b'2'),
        ];
        let expected = "cannot be in a tree: it has 4096 bytes or more";
        assert!(refused(&members).ends_with(expected));
    }
}

#[test]
fn what_comes_later_counts() {
    let tree = unpacked(archive(&[
        Raw::file("f", "1"),
        Raw::file("f", "2"),
        Raw::new("d", b'5'),
        Raw::file("d/x", "3"),
        Raw::link("d", b'2', "usr"),
        Raw::new("usr", b'5'),
        Raw::new("d", b'5'),
        Raw::file("d/y", "4"),
    ]))
    .unwrap();
    assert_eq!(names(&tree), ["d -> usr", "f", "usr/", "usr/y"]);
    assert_eq!(text(&tree, "f"), "2");
}

#[test]
fn directories_that_nobody_speaks_of_are_made() {
    let tree = unpacked(archive(&[Raw::file("a/b/f", "1")])).unwrap();
    assert_eq!(names(&tree), ["a/", "a/b/", "a/b/f"]);
    let made = tree.get(&path("a/b")).unwrap();
    assert_eq!((made.mode, made.uid, made.modified.seconds), (0o755, 0, 5));
}

#[test]
fn an_archive_of_few_bytes_does_not_become_a_tree_without_end() {
    // A link takes 1 KiB there, and what it leads to has attributes of 15 MiB.
    let large = vec![0; 15 << 20];
    let mut members = vec![
        Raw::pax(b'x', &[("SCHILY.xattr.user.large", &large)]),
        Raw::file("f", ""),
    ];
    members.extend((0..40).map(|number| Raw::link(&number.to_string(), b'1', "f")));
    let failed = unpacked(archive(&members)).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "the names and attributes in the archive take too much memory"
    );
}

#[test]
fn whiteouts_delete_what_lower_layers_have() {
    let lower: &[Raw] = &[
        Raw::file("etc/gone", "1"),
        Raw::file("etc/kept", "1"),
        Raw::file("dir/a", "1"),
        Raw::file("dir/sub/b", "1"),
        Raw::file("tree/c", "1"),
        Raw::link("lib", b'2', "usr/lib"),
        Raw::file("usr/lib/x", "1"),
    ];
    let upper: &[Raw] = &[
        Raw::file("dir/new", "2"),
        Raw::new("etc/.wh.gone", b'0'),
        // Where it stands does not matter, and what the layer itself has stays.
        Raw::new("dir/.wh..wh..opq", b'0'),
        Raw::new(".wh.tree", b'0'),
        Raw::new("lib/.wh.x", b'0'),
        Raw::file("lib/y", "2"),
        Raw::new("none/.wh.x", b'0'),
        Raw::new(".wh..wh.plnk", b'5'),
    ];
    let expected = [
        "dir/",
        "dir/new",
        "etc/",
        "etc/kept",
        "lib -> usr/lib",
        "usr/",
        "usr/lib/",
        "usr/lib/y",
    ];
    assert_eq!(names(&layers(&[lower, upper])), expected);
}

#[test]
fn layers_replace_links_by_directories_and_keep_those_that_are_there() {
    let lower: &[Raw] = &[
        Raw::file("d/x", "1"),
        Raw::link("l", b'2', "d"),
        Raw::file("f", "1"),
        Raw::link("g", b'1', "f"),
    ];
    let upper: &[Raw] = &[
        Raw::new("d/", b'5').at(100, b"0000700"),
        Raw::new("l/", b'5'),
        Raw::link("h", b'1', "f"),
        Raw::file("g", "2"),
    ];
    let tree = layers(&[lower, upper]);
    assert_eq!(names(&tree), ["d/", "d/x", "f", "g", "h", "l/"]);
    assert_eq!(tree.get(&path("d")).unwrap().mode, 0o700);
    let link = |name| tree.get(&path(name)).unwrap().hard_link;
    assert_eq!(link("f"), link("h"));
    assert_eq!(link("g"), None);
}

#[test]
fn whiteouts_of_no_name_are_refused() {
    for name in [".wh.", ".wh..", "a/.wh..."] {
        let mut tree = empty();
        let lower = archive(&[Raw::file("a/b", "")]);
        unpack(&mut tree, &source(lower), Rules::Layer, &numeric).unwrap();
        let upper = archive(&[Raw::new(name, b'0')]);
        let failed = unpack(&mut tree, &source(upper), Rules::Layer, &numeric);
        assert!(matches!(failed, Err(UnpackError::Name { .. })), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_our_writer_writes_is_read_again(tree in file_tree()) {
        let tree = tree.retain(|_, entry| !matches!(entry.kind, EntryKind::Socket));
        let mut bytes = Vec::new();
        write(&tree, &mut bytes).unwrap();
        prop_assert_eq!(describe(&unpacked(bytes).unwrap()), describe(&tree));
    }
}
