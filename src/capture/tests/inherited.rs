//! Links of a lower layer in what a later step makes of them. The later layer is what overlayfs leaves (seen on Linux 6.18)
//! and the records are those of a sandbox that knows the owners below.

use super::*;

/// A layer with the links `a` and `d/b` of user 33.
fn layers() -> Layers {
    let layers = Layers::new();
    layers.symlink("1/a", "x").symlink("1/d/b", "x");
    for name in ["1/a", "1/d/b"] {
        layers.modified(name, 1000, 7).owner(name, 33);
    }
    layers.directory("2");
    layers
}

/// Returns the path and user of each owner in force, after comparing them with the merged tree's.
fn in_force(layers: &Layers) -> Vec<(String, u32)> {
    let tree = layers.merge();
    let owners = entry_owners(&merge(&layers.layers()).unwrap());
    let show = |found: &EntryOwner| {
        let expected = (found.uid, found.uid + 10);
        assert_eq!(owner(&tree, &found.path.to_string()), expected);
        (found.path.to_string(), found.uid)
    };
    let shown: Vec<_> = owners.iter().map(show).collect();
    let owned = tree.iter().filter(|(_, entry)| entry.uid != 0).count();
    assert_eq!(owned, shown.len());
    shown
}

fn expected(owners: &[(&str, u32)]) -> Vec<(String, u32)> {
    owners
        .iter()
        .map(|(name, uid)| ((*name).to_owned(), *uid))
        .collect()
}

#[test]
fn untouched_links_keep_their_owners() {
    let layers = layers();
    layers.file("2/d/new", "x");
    // The sandbox tells of all that it knows, also of what is not in the layer.
    layers.owner("2/a", 33);
    assert_eq!(in_force(&layers), expected(&[("a", 33), ("d/b", 33)]));
}

#[test]
fn touched_and_hard_linked_links_keep_their_owner_by_the_later_record() {
    let layers = layers();
    layers.symlink("2/a", "x").modified("2/a", 2000, 0);
    fs_err::hard_link(layers.path("2/a"), layers.path("2/linked")).unwrap();
    layers.owner("2/a", 33);
    let owners = [("a", 33), ("d/b", 33), ("linked", 33)];
    assert_eq!(in_force(&layers), expected(&owners));
}

#[test]
fn renamed_link_takes_its_owner_along() {
    let layers = layers();
    layers
        .whiteout("2/a")
        .symlink("2/renamed", "x")
        .modified("2/renamed", 1000, 7)
        .owner("2/renamed", 33);
    assert_eq!(in_force(&layers), expected(&[("d/b", 33), ("renamed", 33)]));
}

#[test]
fn link_that_root_made_anew_or_was_given_is_roots() {
    let layers = layers();
    layers
        .symlink("2/a", "x")
        .modified("2/a", 2000, 0)
        // chown changes no time, so that this one is on disk as it was below.
        .symlink("2/d/b", "x")
        .modified("2/d/b", 1000, 7);
    assert_eq!(in_force(&layers), expected(&[]));
}

#[test]
fn link_given_to_another_user_is_that_users() {
    let layers = layers();
    layers.symlink("2/a", "x").owner("2/a", 44);
    assert_eq!(in_force(&layers), expected(&[("a", 44), ("d/b", 33)]));
}

#[test]
fn links_of_a_directory_that_was_moved_by_copying_keep_their_owners() {
    let layers = layers();
    layers
        .whiteout("2/d")
        .symlink("2/moved/b", "x")
        .owner("2/moved/b", 33);
    assert_eq!(in_force(&layers), expected(&[("a", 33), ("moved/b", 33)]));
}

#[test]
fn whiteouts_opaque_directories_and_other_types_end_what_is_below() {
    let layers = layers();
    layers
        .file("2/a", "x")
        .directory("2/d")
        .attribute("2/d", "user.overlay.opaque", b"y")
        .whiteout("3/a")
        .symlink("4/a", "x")
        .symlink("4/d/b", "x");
    assert_eq!(in_force(&layers), expected(&[]));
    layers.owner("4/d/b", 55);
    assert_eq!(in_force(&layers), expected(&[("d/b", 55)]));
}

#[test]
fn fifos_sockets_and_what_directories_tell_count_and_other_types_do_not() {
    let layers = Layers::new();
    layers
        .node("1/fifo", FileType::Fifo)
        .node("1/socket", FileType::Socket)
        .symlink("1/d/link", "x")
        .attribute(
            "1/d",
            "user.overcoat.entries",
            b"\x07\0\0\0\x11\0\0\0\x04link",
        )
        .file("1/file", "x")
        .attribute("1/file", "user.overcoat.owner", &[1, 0, 0, 0, 11, 0, 0, 0]);
    layers.owner("1/fifo", 2);
    layers.owner("1/socket", 3);
    let owners = entry_owners(&merge(&layers.layers()).unwrap());
    let shown: Vec<_> = owners
        .iter()
        .map(|owner| (owner.path.to_string(), owner.uid, owner.gid))
        .collect();
    let expected = [("d/link", 7, 17), ("fifo", 2, 12), ("socket", 3, 13)];
    assert_eq!(
        shown,
        expected.map(|(name, uid, gid)| (name.to_owned(), uid, gid))
    );
}
