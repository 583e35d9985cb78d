//! Layers that change while they are captured, or were made to be captured badly.

use std::path::Path;

use fs_err as fs;
use rustix::fs::{FileType, Mode};

use super::super::{Error, LayerDirectory, merge, merge_directory};
use crate::beneath::Directory;
use crate::beneath::flipping::Flipping;
use crate::beneath::tests::World;
use crate::tree::{EntryKind, FileTree, TreePath};

fn layer(path: &Path) -> LayerDirectory {
    LayerDirectory {
        path: path.into(),
        entry_owners: Vec::new(),
    }
}

/// Reads every file of a tree, and fails when one holds what lies outside.
fn assert_inside(tree: &FileTree) -> usize {
    let mut read = 0;
    for (path, entry) in tree.iter() {
        if let EntryKind::Regular(content) = &entry.kind
            && let Ok(bytes) = content.read_all()
        {
            assert_eq!(bytes, b"inside", "{path}");
            read += 1;
        }
    }
    read
}

#[test]
fn a_directory_that_becomes_a_link_brings_nothing_from_outside() {
    let world = World::new();
    fs::create_dir_all(world.path("d/below")).unwrap();
    for name in ["d/canary", "d/below/canary"] {
        fs::write(world.path(name), "inside").unwrap();
    }
    fs::os::unix::fs::symlink(world.outside(), world.path("link")).unwrap();
    let mut read = 0;
    Flipping::run(&world.path("d"), &world.path("link"), |_| {
        // A swap between listing and opening is an error, and no other entry.
        if let Ok(tree) = merge(&[layer(world.tree.host_path())]) {
            // The directory and the three below it may be met under both names.
            assert!(tree.entry_count() <= 9);
            read += assert_inside(&tree);
        }
    });
    assert!(read > 0);
    world.assert_canary();
}

#[test]
fn a_file_that_becomes_a_link_or_fifo_is_not_read() {
    let world = World::new();
    fs::write(world.path("file"), "inside").unwrap();
    for planted in ["link", "fifo", "socket"] {
        let tree = merge(&[layer(world.tree.host_path())]).unwrap();
        assert_eq!(assert_inside(&tree), 1);
        fs::remove_file(world.path("file")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        match planted {
            "link" => world.tree.make_symlink("file", "../outside/canary"),
            "fifo" => {
                let made = world.tree.make_special("file", FileType::Fifo, mode);
                made.map(drop)
            }
            _ => {
                let made = world.tree.make_special("file", FileType::Socket, mode);
                made.map(drop)
            }
        }
        .unwrap();
        assert_eq!(assert_inside(&tree), 0, "{planted}");
        fs::remove_file(world.path("file")).unwrap();
        fs::write(world.path("file"), "inside").unwrap();
    }
}

#[test]
fn a_layer_whose_root_is_replaced_is_the_one_that_was_opened() {
    let world = World::new();
    fs::write(world.path("file"), "inside").unwrap();
    let opened = Directory::open(world.tree.host_path()).unwrap();
    fs::rename(
        world.tree.host_path(),
        world.outside().with_file_name("moved"),
    )
    .unwrap();
    fs::os::unix::fs::symlink(world.outside(), world.tree.host_path()).unwrap();
    let tree = merge_directory(opened).unwrap();
    assert_eq!(tree.entry_count(), 2);
    assert_eq!(assert_inside(&tree), 1);
    // A base tree may be named by a link, which is followed.
    let named = merge(&[layer(world.tree.host_path())]).unwrap();
    assert!(named.get(&TreePath::new("canary").unwrap()).is_some());
}

#[test]
fn layers_deeper_than_descriptors_and_stack_are_captured() {
    const DEPTH: usize = 3000;
    let world = World::new();
    let mut directory = world.tree.try_clone().unwrap();
    for _ in 0..DEPTH {
        directory = directory.make_directory("d", Mode::RWXU).unwrap();
    }
    fs::write(world.path("file"), "inside").unwrap();
    let tree = merge(&[layer(world.tree.host_path())]).unwrap();
    assert_eq!(tree.entry_count(), DEPTH + 2);
    world.tree.remove("d").unwrap();
}

#[test]
fn a_directory_that_cannot_be_read_is_told() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let world = World::new();
    let closed = world.tree.make_directory("closed", Mode::empty());
    assert!(closed.is_err());
    let refused = merge(&[layer(world.tree.host_path())]).unwrap_err();
    assert!(
        matches!(&refused, Error::ReadAttribute { path, .. } if path.ends_with("closed")),
        "{refused:?}"
    );
    let entry = world.tree.entry("closed").unwrap();
    entry.set_mode(Mode::RWXU).unwrap();
    assert_eq!(
        merge(&[layer(world.tree.host_path())])
            .unwrap()
            .entry_count(),
        2
    );
}
