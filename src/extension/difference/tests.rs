use proptest::prelude::*;

use super::super::fixture::{THEN, entry, names, path, put, tree};
use super::{Change, Payload, difference};
use crate::tree::arbitrary::{describe, file_tree};
use crate::tree::{DeviceNumber, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

fn texts(paths: &[TreePath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn shadowing(payload: &Payload) -> Vec<String> {
    let text = |shadowed: &super::Shadowed| format!("{} {}", shadowed.path, shadowed.change);
    payload.shadowing.iter().map(text).collect()
}

#[test]
fn what_changed_decides_and_not_what_is_there() {
    struct Case {
        what: &'static str,
        base: &'static [&'static str],
        image: &'static [&'static str],
        kept: &'static [&'static str],
        shadowing: &'static [&'static str],
        deleted: &'static [&'static str],
        equal: usize,
    }
    const NONE: &[&str] = &[];
    let cases = [
        Case {
            what: "nothing changed",
            base: &["etc/", "usr/lib/a=x", "usr/l -> a"],
            image: &["etc/", "usr/lib/a=x", "usr/l -> a"],
            kept: NONE,
            shadowing: NONE,
            deleted: NONE,
            equal: 2,
        },
        Case {
            what: "files beside, between and below those of the base",
            base: &["usr/b=x", "usr/d/x"],
            image: &[
                "usr/a", "usr/b=x", "usr/b.x", "usr/d/x", "usr/d/y", "usr/new/",
            ],
            kept: &["usr", "usr/a", "usr/b.x", "usr/d", "usr/d/y", "usr/new"],
            shadowing: NONE,
            deleted: NONE,
            equal: 2,
        },
        Case {
            what: "contents and targets, of the same length and of another",
            base: &["usr/a=x", "usr/b=x", "usr/c -> x", "usr/d=x"],
            image: &["usr/a=y", "usr/b=xx", "usr/c -> y", "usr/d -> x"],
            kept: &["usr", "usr/a", "usr/b", "usr/c", "usr/d"],
            shadowing: &[
                "usr/a content",
                "usr/b content",
                "usr/c content",
                "usr/d content",
            ],
            deleted: NONE,
            equal: 0,
        },
        Case {
            what: "deletions are told by their topmost names",
            base: &["usr/a", "usr/d/sub/deep", "usr/d/x", "usr/e/f", "var/z"],
            image: &["usr/d/x", "usr/e/"],
            kept: NONE,
            shadowing: NONE,
            deleted: &["usr/a", "usr/d/sub", "usr/e/f", "var"],
            equal: 1,
        },
        Case {
            what: "a directory becomes a file or a link",
            base: &["usr/d/sub/deep", "usr/e/f", "usr/f"],
            image: &["usr/d=x", "usr/e -> f", "usr/f"],
            kept: &["usr", "usr/d", "usr/e"],
            shadowing: &["usr/d directory-gone", "usr/e directory-gone"],
            deleted: NONE,
            equal: 1,
        },
        Case {
            what: "a file or a link becomes a directory",
            base: &["usr/d=x", "usr/e -> f", "usr/f/a"],
            image: &["usr/d/sub/deep", "usr/e/", "usr/f/a"],
            kept: &["usr", "usr/d", "usr/d/sub", "usr/d/sub/deep", "usr/e"],
            shadowing: &["usr/d directory-made", "usr/e directory-made"],
            deleted: NONE,
            equal: 1,
        },
        Case {
            what: "the last names of the base are gone",
            base: &["usr/a", "usr/y", "usr/z/z"],
            image: &["usr/a"],
            kept: NONE,
            shadowing: NONE,
            deleted: &["usr/y", "usr/z"],
            equal: 1,
        },
    ];
    for case in cases {
        let found = difference(&tree(case.base), &tree(case.image)).unwrap();
        assert_eq!(names(&found.tree), case.kept, "{}", case.what);
        assert_eq!(shadowing(&found), case.shadowing, "{}", case.what);
        assert_eq!(texts(&found.deleted), case.deleted, "{}", case.what);
        assert_eq!(found.equal_count, case.equal, "{}", case.what);
    }
}

#[test]
fn metadata_is_a_change_and_times_are_none() {
    type Edit = fn(&mut FileTree);
    let cases: [(&str, Edit, &[&str]); 8] = [
        (
            "time",
            |tree| entry(tree, "usr/a").modified = Timestamp::from_seconds(5),
            &[],
        ),
        (
            "time of a directory",
            |tree| entry(tree, "usr").modified = Timestamp::from_seconds(5),
            &[],
        ),
        (
            "hard link",
            |tree| {
                entry(tree, "usr/a").hard_link = Some(HardLinkGroup(7));
                entry(tree, "usr/b").hard_link = Some(HardLinkGroup(7));
            },
            &[],
        ),
        (
            "mode",
            |tree| entry(tree, "usr/a").mode = 0o4755,
            &["usr/a metadata"],
        ),
        (
            "user",
            |tree| entry(tree, "usr/a").uid = 1,
            &["usr/a metadata"],
        ),
        (
            "group of a link",
            |tree| entry(tree, "usr/l").gid = 1,
            &["usr/l metadata"],
        ),
        (
            "attribute of a directory",
            |tree| {
                let attributes = &mut entry(tree, "usr").xattrs;
                attributes.insert(b"user.x".to_vec(), Vec::new());
            },
            &["usr metadata"],
        ),
        (
            "device",
            |tree| {
                let device = DeviceNumber { major: 1, minor: 3 };
                entry(tree, "usr/a").kind = EntryKind::CharacterDevice(device);
            },
            &["usr/a content"],
        ),
    ];
    for (what, edit, expected) in cases {
        let base = tree(&["usr/a=x", "usr/b=x", "usr/l -> a"]);
        let mut image = base.clone();
        edit(&mut image);
        let found = difference(&base, &image).unwrap();
        assert_eq!(shadowing(&found), expected, "{what}");
        assert_eq!(names(&found.tree).is_empty(), expected.is_empty(), "{what}");
    }
}

#[test]
fn parent_directories_are_as_the_base_has_them() {
    let mut base = tree(&["usr/lib/a"]);
    entry(&mut base, "usr/lib").mode = 0o750;
    entry(&mut base, "usr/lib")
        .xattrs
        .insert(b"user.x".to_vec(), b"1".to_vec());
    let mut image = base.clone();
    put(&mut image, "usr/lib/b");
    let later = Timestamp::from_seconds(2000);
    for name in ["", "usr", "usr/lib"] {
        entry(&mut image, name).modified = later;
    }
    let found = difference(&base, &image).unwrap();
    assert_eq!(names(&found.tree), ["usr", "usr/lib", "usr/lib/b"]);
    for name in ["", "usr", "usr/lib"] {
        assert_eq!(
            found.tree.get(&path(name)).unwrap().modified,
            THEN,
            "{name}"
        );
    }
    assert_eq!(found.tree.get(&path("usr/lib")).unwrap().mode, 0o750);
    assert_eq!(found.shadowing, []);
}

#[test]
fn a_directory_that_changed_is_kept_as_it_is_now() {
    let base = tree(&["usr/lib/a"]);
    let mut image = base.clone();
    entry(&mut image, "usr/lib").mode = 0o700;
    let found = difference(&base, &image).unwrap();
    assert_eq!(names(&found.tree), ["usr", "usr/lib"]);
    assert_eq!(found.tree.get(&path("usr/lib")).unwrap().mode, 0o700);
    assert_eq!(found.shadowing[0].change, Change::Metadata);
}

#[test]
fn hard_links_to_what_is_dropped_are_files_of_their_own() {
    let base = tree(&["usr/a=x"]);
    let mut image = tree(&["usr/a=x", "usr/b=x", "usr/c=y", "usr/d=y", "usr/e=x"]);
    for (name, group) in [("a", 5), ("b", 5), ("c", 3), ("d", 3)] {
        entry(&mut image, &format!("usr/{name}")).hard_link = Some(HardLinkGroup(group));
    }
    let found = difference(&base, &image).unwrap();
    let groups: Vec<_> = found
        .tree
        .iter()
        .map(|(_, entry)| entry.hard_link)
        .collect();
    assert_eq!(
        names(&found.tree),
        ["usr", "usr/b", "usr/c", "usr/d", "usr/e"]
    );
    let group = Some(HardLinkGroup(1));
    assert_eq!(groups, [None, None, None, group, group, None]);
}

/// Puts `upper` on `lower` as overlayfs does for systemd-sysext.
fn merged(lower: &FileTree, upper: &FileTree) -> FileTree {
    let mut merged = lower.clone();
    for (path, entry) in upper.iter() {
        let found = merged.get(path);
        if found.is_some_and(|found| found.is_directory() != entry.is_directory()) {
            merged.remove(path);
        }
        merged.insert(path.clone(), entry.clone()).unwrap();
    }
    merged
}

/// Names with everything that a merge has to bring back, which times and links are not.
fn state(tree: &FileTree) -> Vec<String> {
    let mut tree = tree.clone();
    for (_, entry) in tree.iter_mut() {
        entry.modified = THEN;
        entry.hard_link = None;
    }
    describe(&tree)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_the_difference_gives_the_image_but_for_deletions(base in file_tree(), image in file_tree()) {
        let found = difference(&base, &image).unwrap();
        let mut merged = merged(&base, &found.tree);
        for path in &found.deleted {
            prop_assert!(merged.get(path).is_some());
            merged.remove(path);
        }
        prop_assert_eq!(state(&merged), state(&image));
    }

    #[test]
    fn an_image_that_is_its_base_adds_nothing(base in file_tree()) {
        let found = difference(&base, &base.clone()).unwrap();
        prop_assert_eq!(found.tree.entry_count(), 1);
        prop_assert_eq!(found.shadowing, []);
        prop_assert_eq!(found.deleted, []);
    }
}
