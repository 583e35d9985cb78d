mod attacks;

use std::convert::Infallible;
use std::io::Write;
use std::time::Instant;

use fs_err as fs;
use rustix::fs::Mode;

use super::{
    Error, OutputDirectory, check_directory_place, check_file_place, remove_link, remove_output,
};
use crate::beneath::Place;
use crate::format::directory;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

fn add(output: &mut OutputDirectory, name: &str, content: &str) {
    let write = |place: &Place<'_>| {
        let mut file = place.create_file(Mode::RUSR | Mode::WUSR).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Ok::<(), Infallible>(())
    };
    output
        .add("main", name, Some(0o640), Instant::now(), write)
        .unwrap();
}

#[test]
fn nothing_is_in_place_before_publishing_and_nothing_else_after_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.raw"), "old").unwrap();
    let mut output = OutputDirectory::open(directory.path()).unwrap();
    add(&mut output, "a.raw", "new");
    output.add_link("main", "a", "a.raw").unwrap();
    assert_eq!(fs::read(directory.path().join("a.raw")).unwrap(), b"old");
    assert_eq!(
        fs::read(output.staged(&directory.path().join("a.raw")).unwrap()).unwrap(),
        b"new"
    );
    let published = output.publish().unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].size_bytes, 3);
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"new");
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "a.raw"]);
}

fn tree_with(name: &str) -> FileTree {
    let time = Timestamp::from_seconds(1);
    let mut tree = FileTree::new(Entry::directory(time)).unwrap();
    let kind = EntryKind::Regular(Content::from_bytes(&b"12"[..]));
    let entry = Entry::new(kind, 0o644, time);
    tree.insert(TreePath::new(name).unwrap(), entry).unwrap();
    tree
}

#[test]
fn a_directory_takes_the_place_of_an_older_output_only() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("base");
    for name in ["old", "new"] {
        let mut output = OutputDirectory::open(directory.path()).unwrap();
        let write = |place: &Place<'_>| directory::write_at(&tree_with(name), place);
        output
            .add("base", "base", None, Instant::now(), write)
            .unwrap();
        assert_eq!(output.publish().unwrap()[0].size_bytes, 2);
        assert!(place.join(name).exists());
    }
    assert!(!place.join("old").exists());

    for own in ["documents", "notes"] {
        let place = directory.path().join(own);
        if own == "documents" {
            fs::create_dir(&place).unwrap();
        } else {
            fs::write(&place, "mine").unwrap();
        }
        assert!(matches!(
            check_directory_place(&place),
            Err(Error::Occupied { .. })
        ));
        let mut output = OutputDirectory::open(directory.path()).unwrap();
        let write = |place: &Place<'_>| directory::write_at(&tree_with("new"), place);
        output.add("x", own, None, Instant::now(), write).unwrap();
        assert!(matches!(output.publish(), Err(Error::Occupied { .. })));
        assert!(!place.join("new").exists());
    }
}

#[test]
fn a_file_or_link_takes_no_directorys_place() {
    let directory = tempfile::tempdir().unwrap();
    for own in ["a", "a.raw"] {
        fs::create_dir(directory.path().join(own)).unwrap();
        fs::write(directory.path().join(own).join("mine"), "").unwrap();
    }
    assert!(matches!(
        check_file_place(&directory.path().join("a.raw")),
        Err(Error::Occupied { .. })
    ));
    let mut output = OutputDirectory::open(directory.path()).unwrap();
    add(&mut output, "b.raw", "new");
    output.add_link("main", "a", "b.raw").unwrap();
    output.publish().unwrap();
    assert!(directory.path().join("a/mine").exists());
    assert!(!remove_link(&directory.path().join("a")).unwrap());
}

#[test]
fn a_kept_output_is_reported_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("base")).unwrap();
    fs::write(directory.path().join("base/file"), "123").unwrap();
    let mut output = OutputDirectory::open(directory.path()).unwrap();
    output.keep("base", "base", Instant::now());
    assert_eq!(
        output.staged(&directory.path().join("base")).unwrap(),
        directory.path().join("base")
    );
    assert_eq!(output.publish().unwrap()[0].size_bytes, 3);
    assert_eq!(
        fs::read(directory.path().join("base/file")).unwrap(),
        b"123"
    );
}

#[test]
fn an_unpublished_build_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut output = OutputDirectory::open(directory.path()).unwrap();
    add(&mut output, "a.raw", "new");
    drop(output);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let made = directory.path().join("mkosi.output");
    drop(OutputDirectory::open(&made).unwrap());
    assert!(!made.exists());
}

#[test]
fn builds_that_come_and_go_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mkosi.output");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    drop(OutputDirectory::open(&path).unwrap());
                }
            });
        }
    });
    assert!(!path.join(".overcoat").exists());
}

#[test]
fn hidden_directory_is_never_a_link_to_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let path = directory.path().join("mkosi.output");
    fs::create_dir(&path).unwrap();
    fs::os::unix::fs::symlink(&outside, path.join(".overcoat")).unwrap();
    assert!(matches!(
        OutputDirectory::open(&path),
        Err(Error::NotDirectory { .. })
    ));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn removed_outputs_are_gone_and_links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    directory::write(&tree_with("below"), &directory.path().join("base")).unwrap();
    fs::write(directory.path().join("a.raw"), "x").unwrap();
    fs::os::unix::fs::symlink("a.raw", directory.path().join("a")).unwrap();
    for (name, found) in [("base", true), ("a", true), ("nothing", false)] {
        assert_eq!(remove_output(&directory.path().join(name)).unwrap(), found);
    }
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["a.raw"]);
}
