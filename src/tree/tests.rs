use super::{Content, Entry, EntryKind, FileTree, InsertError, Timestamp, TreePath};

const THEN: Timestamp = Timestamp::from_seconds(1000);

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree_of(directories: &[&str], files: &[&str]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for directory in directories {
        tree.insert(path(directory), Entry::directory(THEN))
            .unwrap();
    }
    for file in files {
        let content = Content::from_bytes(file.as_bytes());
        tree.insert(
            path(file),
            Entry::new(EntryKind::Regular(content), 0o644, THEN),
        )
        .unwrap();
    }
    tree
}

fn names(tree: &FileTree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn a_directory_is_followed_by_its_contents_even_beside_names_below_slash() {
    let tree = tree_of(&["a", "a/b", "a-b"], &["a/b/c", "a.x"]);
    assert_eq!(names(&tree), ["", "a", "a/b", "a/b/c", "a-b", "a.x"]);
}

#[test]
fn tree_paths_refuse_what_could_leave_the_tree() {
    for bad in ["..", "a/../b", "./a", "a/\0"] {
        assert!(TreePath::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(TreePath::new("//usr//lib/").unwrap(), path("usr/lib"));
}

#[test]
fn inserting_below_a_file_or_nothing_is_refused() {
    let mut tree = tree_of(&[], &["file"]);
    let below_file = tree.insert(path("file/x"), Entry::directory(THEN));
    assert!(matches!(
        below_file,
        Err(InsertError::ParentNotDirectory { .. })
    ));
    let orphan = tree.insert(path("none/x"), Entry::directory(THEN));
    assert!(matches!(orphan, Err(InsertError::MissingParent { .. })));
}

#[test]
fn dropping_a_directory_drops_everything_below_it_only() {
    let tree = tree_of(&["usr", "usr/lib", "usr-x"], &["usr/lib/a", "usr-x/b"]);
    let kept = tree.retain(|candidate, _| candidate != &path("usr"));
    assert_eq!(names(&kept), ["", "usr-x", "usr-x/b"]);
}

#[test]
fn removing_a_directory_takes_what_is_below_and_nothing_beside_it() {
    let mut tree = tree_of(&["usr", "usr/lib", "usr-x"], &["usr/lib/a", "usr-x/b"]);
    tree.remove(&path("usr"));
    assert_eq!(names(&tree), ["", "usr-x", "usr-x/b"]);
    tree.remove(&TreePath::root());
    assert_eq!(names(&tree), [""]);
}

#[test]
fn times_are_clamped_and_never_raised() {
    let mut tree = tree_of(&["new"], &["old"]);
    tree.get_mut(&path("new")).unwrap().modified = Timestamp {
        seconds: 5000,
        nanoseconds: 7,
    };
    tree.get_mut(&path("old")).unwrap().modified = Timestamp::from_seconds(10);
    let clamped = tree.clamp_times(Timestamp::from_seconds(2000));
    assert_eq!(
        clamped.get(&path("new")).unwrap().modified,
        Timestamp::from_seconds(2000)
    );
    assert_eq!(
        clamped.get(&path("old")).unwrap().modified,
        Timestamp::from_seconds(10)
    );
}

#[test]
fn a_file_that_changed_its_length_is_an_error() {
    use std::io::Read;
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("f"), "12345").unwrap();
    let root = std::sync::Arc::new(crate::beneath::Directory::open(directory.path()).unwrap());
    for promised in [4, 6] {
        let content = Content::from_file(root.clone(), path("f"), promised);
        assert!(
            content
                .open()
                .unwrap()
                .read_to_end(&mut Vec::new())
                .is_err(),
            "{promised}"
        );
    }
    assert_eq!(
        Content::from_file(root, path("f"), 5).read_all().unwrap(),
        b"12345"
    );
}

#[test]
fn a_symbolic_link_in_the_way_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("secret"), "x").unwrap();
    fs_err::create_dir(directory.path().join("tree")).unwrap();
    fs_err::os::unix::fs::symlink("..", directory.path().join("tree/up")).unwrap();
    fs_err::os::unix::fs::symlink("../secret", directory.path().join("tree/link")).unwrap();
    let root = std::sync::Arc::new(
        crate::beneath::Directory::open(&directory.path().join("tree")).unwrap(),
    );
    for planted in ["up/secret", "link"] {
        let content = Content::from_file(root.clone(), path(planted), 1);
        assert!(content.open().is_err(), "{planted}");
    }
}

#[test]
fn paths_are_ordered_by_their_components() {
    let names = [
        "", "a", "a!", "a!/b", "a/b", "a/b/c", "a/b!", "a/\u{1}", "ab", "b/a", "\u{1}/a",
    ];
    for one in names.map(path) {
        for other in names.map(path) {
            let expected = one.components().cmp(other.components());
            assert_eq!(one.cmp(&other), expected, "{one:?} {other:?}");
        }
    }
}
