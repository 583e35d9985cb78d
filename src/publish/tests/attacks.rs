//! Output directories that a stranger or another user prepared, or changes while outputs are put in place.

use std::path::Path;
use std::time::Instant;

use fs_err as fs;
use rustix::fs::{FileType, Mode};

use super::super::{Error, OutputDirectory, remove_link, remove_output};
use super::add;
use crate::beneath::Place;
use crate::beneath::flipping::Flipping;
use crate::beneath::tests::World;
use crate::format::directory;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

fn link(target: &Path, name: &Path) {
    fs::os::unix::fs::symlink(target, name).unwrap();
}

#[test]
fn an_output_takes_the_place_of_a_link_and_leaves_its_target() {
    let world = World::new();
    link(&world.outside().join("canary"), &world.path("a.raw"));
    link(&world.outside(), &world.path("a"));
    let mut output = OutputDirectory::open(world.tree.host_path()).unwrap();
    add(&mut output, "a.raw", "new");
    output.add_link("main", "a", "a.raw").unwrap();
    output.publish().unwrap();
    assert_eq!(fs::read(world.path("a.raw")).unwrap(), b"new");
    assert_eq!(fs::read(world.path("a")).unwrap(), b"new");
    world.assert_canary();
    link(&world.outside().join("canary"), &world.path("b.raw"));
    assert!(remove_output(&world.path("b.raw")).unwrap());
    assert!(remove_link(&world.path("a")).unwrap());
    world.assert_canary();
}

#[test]
fn names_that_lead_outside_make_and_remove_nothing() {
    let world = World::new();
    let mut output = OutputDirectory::open(world.tree.host_path()).unwrap();
    for name in ["../outside/canary", "..", "a/b", ""] {
        let write = |place: &Place<'_>| place.create_file(Mode::RUSR).map(drop);
        let made = output.add("main", name, None, Instant::now(), write);
        assert!(made.is_err(), "{name}");
        assert!(output.add_link("main", name, "x").is_err(), "{name}");
    }
    add(&mut output, "a.raw", "new");
    output.publish().unwrap();
    assert_eq!(world.tree.names().unwrap(), [b"a.raw"]);
    world.assert_canary();
}

#[test]
fn a_planted_fifo_or_link_stops_no_build_for_ever() {
    let world = World::new();
    let hidden = world.tree.make_directory(".overcoat", Mode::RWXU).unwrap();
    let name = "0123456789abcdef".repeat(2);
    for lock in ["fifo", "link"] {
        let lock_name = format!("{name}.lock");
        match lock {
            "fifo" => {
                let mode = Mode::RUSR | Mode::WUSR;
                let made = hidden.make_special(&lock_name, FileType::Fifo, mode);
                drop(made.unwrap());
            }
            _ => hidden
                .make_symlink(&lock_name, "../../outside/new")
                .unwrap(),
        }
        hidden.make_symlink(&name, "../../outside").unwrap();
        let output = OutputDirectory::open(world.tree.host_path()).unwrap();
        assert_eq!(output.left_behind().len(), 1, "{lock}");
        drop(output);
        hidden.remove(&lock_name).unwrap();
        hidden.remove(&name).unwrap();
        world.assert_canary();
    }
    // What a killed build left goes, but not what its name leads to.
    fs::write(hidden.path_of(format!("{name}.lock")), "").unwrap();
    hidden.make_symlink(&name, "../../outside").unwrap();
    let output = OutputDirectory::open(world.tree.host_path()).unwrap();
    assert!(output.left_behind().is_empty());
    assert_eq!(hidden.file_type(&name).unwrap(), None);
    world.assert_canary();
}

#[test]
fn outputs_go_into_the_directory_that_was_opened() {
    let world = World::new();
    let place = world.tree.make_directory("out", Mode::RWXU).unwrap();
    link(&world.outside(), &world.path("link"));
    let mut output = OutputDirectory::open(&world.path("out")).unwrap();
    Flipping::run_once(&world.path("out"), &world.path("link"), || {
        for number in 0..200 {
            add(&mut output, &format!("{number}.raw"), "new");
        }
        output.publish().unwrap();
    });
    assert_eq!(place.names().unwrap().len(), 200);
    world.assert_canary();
}

#[test]
fn an_output_that_becomes_a_link_is_not_followed_when_it_is_removed() {
    let world = World::new();
    let tree = FileTree::new(Entry::directory(Timestamp::from_seconds(1))).unwrap();
    directory::write(&tree, &world.path("base")).unwrap();
    link(&world.outside(), &world.path("link"));
    Flipping::run(&world.path("base"), &world.path("link"), |_| {
        if let Ok(true) = remove_output(&world.path("base")) {
            let _ = directory::write(&tree, &world.path("base"));
            let _ = fs::os::unix::fs::symlink(world.outside(), world.path("link"));
        }
    });
    world.assert_canary();
}

#[test]
fn size_of_a_directory_deeper_than_any_path_is_told() {
    let world = World::new();
    let time = Timestamp::from_seconds(1);
    let mut tree = FileTree::new(Entry::directory(time)).unwrap();
    let mut deep = TreePath::root();
    for _ in 0..3000 {
        deep = deep.join(b"d").unwrap();
        tree.insert(deep.clone(), Entry::directory(time)).unwrap();
    }
    let kind = EntryKind::Regular(Content::from_bytes(&b"1234"[..]));
    let file = deep.join(b"f").unwrap();
    tree.insert(file, Entry::new(kind, 0o644, time)).unwrap();
    let mut output = OutputDirectory::open(world.tree.host_path()).unwrap();
    let write = |place: &Place<'_>| directory::write_at(&tree, place);
    let added = output.add("base", "base", None, Instant::now(), write);
    added.unwrap();
    assert_eq!(output.publish().unwrap()[0].size_bytes, 4);
    assert!(remove_output(&world.path("base")).unwrap());
    let other = remove_output(&world.outside());
    assert!(matches!(other, Err(Error::Occupied { .. })));
}
