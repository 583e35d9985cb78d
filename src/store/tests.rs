use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Contents, Error, LayerMetadata, Lock, Staging, Store, TrustedStore, copy_if_it_is};
use crate::beneath::Directory;
use crate::capture::EntryOwner;
use crate::plan::{Key, KeyBuilder};
use crate::tree::TreePath;

fn key(text: &str) -> Key {
    KeyBuilder::new("test").field("text", text).finish()
}

fn open(path: &Path) -> Directory {
    Directory::open(path).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

#[test]
fn an_added_layer_is_found_under_its_key_only() {
    let (_directory, store) = store();
    let metadata = LayerMetadata {
        epoch_seconds: 7,
        ..LayerMetadata::default()
    };
    let staging = store.stage().unwrap();
    fs::write(staging.subdirectory("tree").unwrap().path_of("file"), "x").unwrap();
    store.add_layer(&key("a"), staging, &metadata).unwrap();
    let found = store.layer(&key("a")).unwrap().unwrap();
    assert_eq!(found.metadata, metadata);
    assert_eq!(fs::read(found.tree.join("file")).unwrap(), b"x");
    assert!(store.layer(&key("b")).unwrap().is_none());
    assert_eq!(
        fs::read_dir(store.root().join("staging")).unwrap().count(),
        0
    );
}

#[test]
fn entry_owners_are_kept_whatever_their_names_are() {
    let (_directory, store) = store();
    let owner = |path: &[u8], uid| EntryOwner {
        path: TreePath::new(path).unwrap(),
        uid,
        gid: u32::MAX - 1,
    };
    let metadata = LayerMetadata {
        entry_owners: vec![owner(b"usr/link", 0), owner(b"\xff\n\"", 33)],
        ..LayerMetadata::default()
    };
    let staging = store.stage().unwrap();
    staging.subdirectory("tree").unwrap();
    store.add_layer(&key("a"), staging, &metadata).unwrap();
    let found = store.layer(&key("a")).unwrap().unwrap();
    assert_eq!(found.metadata, metadata);
}

#[test]
fn an_entry_owner_with_a_path_outside_of_the_tree_makes_the_layer_damaged() {
    let (_directory, store) = store();
    let staging = store.stage().unwrap();
    staging.subdirectory("tree").unwrap();
    let added = store.add_layer(&key("a"), staging, &LayerMetadata::default());
    let layer = added.unwrap().tree.parent().unwrap().to_owned();
    // `../x`
    let text = r#"{"symlink_owners":[{"path":[46,46,47,120],"uid":1,"gid":1}],"packages":[],"epoch_seconds":0}"#;
    fs::write(layer.join("layer.json"), text).unwrap();
    let Err(Error::ParseLayer { path, source }) = store.layer(&key("a")) else {
        panic!("the layer was read");
    };
    assert_eq!(path, layer);
    let reason = "`../x` is not a path inside a tree: `.` and `..` are not allowed";
    assert!(source.to_string().starts_with(reason), "{source}");
}

#[test]
fn adding_a_layer_twice_keeps_the_first() {
    let (_directory, store) = store();
    for content in ["first", "second"] {
        let staging = store.stage().unwrap();
        fs::write(
            staging.subdirectory("tree").unwrap().path_of("file"),
            content,
        )
        .unwrap();
        store
            .add_layer(&key("a"), staging, &LayerMetadata::default())
            .unwrap();
    }
    let found = store.layer(&key("a")).unwrap().unwrap();
    assert_eq!(fs::read(found.tree.join("file")).unwrap(), b"first");
}

#[test]
fn opening_removes_abandoned_staging_and_spares_what_is_in_use() {
    let (directory, store) = store();
    let in_use = store.stage().unwrap();
    let abandoned = abandon(directory.path());
    let opened = Store::open(directory.path()).unwrap();
    assert!(opened.left_behind().is_empty());
    assert!(!abandoned.exists());
    assert!(in_use.path().exists());
}

/// Makes what a killed build leaves in the store, and returns its directory.
fn abandon(store: &Path) -> PathBuf {
    let directory = store.join("staging").join("0123456789abcdef".repeat(2));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("left"), "x").unwrap();
    fs::write(directory.with_extension("lock"), "").unwrap();
    directory
}

#[test]
fn what_cannot_be_removed_is_reported_and_stops_nobody() {
    let (directory, store) = store();
    let abandoned = abandon(directory.path());
    // A lock that is no plain file stands for whatever goes wrong.
    fs::remove_file(abandoned.with_extension("lock")).unwrap();
    fs::create_dir(abandoned.with_extension("lock")).unwrap();
    let other = Store::open(directory.path()).unwrap();
    assert!(matches!(other.left_behind(), [Error::Lock { .. }]));
    drop(other);
    assert!(matches!(
        store.clear(Contents::LayersAndMetadata),
        Err(Error::Lock { .. })
    ));
}

#[test]
fn names_that_no_build_has_given_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["Cargo.lock", "0123.lock"] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    fs::create_dir(directory.path().join("Cargo")).unwrap();
    assert!(Staging::remove_abandoned(&open(directory.path())).is_empty());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[test]
fn a_lock_follows_no_link() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = directory.path().join("elsewhere");
    let link = directory.path().join("link");
    fs::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    assert!(matches!(
        Lock::acquire(&open(directory.path()), "link"),
        Err(Error::Lock { .. })
    ));
    assert!(!elsewhere.exists());
}

#[test]
fn a_held_lock_is_not_taken_again() {
    let (directory, _store) = store();
    let locks = open(&directory.path().join("locks"));
    let held = Lock::acquire(&locks, "x").unwrap();
    assert!(Lock::try_acquire(&locks, "x").unwrap().is_none());
    drop(held);
    assert!(Lock::try_acquire(&locks, "x").unwrap().is_some());
}

#[test]
fn a_store_in_use_is_not_emptied() {
    let (directory, store) = store();
    let other = Store::open(directory.path()).unwrap();
    assert!(matches!(
        other.clear(Contents::Everything),
        Err(Error::InUse { .. })
    ));
    assert!(store.root().join("packages").exists());
    store.clear(Contents::LayersAndMetadata).unwrap();
    assert!(directory.path().join("packages").exists());
    assert!(!directory.path().join("layers").exists());
}

#[test]
fn planted_links_are_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("yarn")).unwrap();
    fs::write(elsewhere.path().join("yarn.lock"), "").unwrap();
    let planted = tempfile::tempdir().unwrap();
    fs::os::unix::fs::symlink(elsewhere.path(), planted.path().join("staging")).unwrap();
    let refused = Store::open(planted.path());
    assert!(
        matches!(refused, Err(Error::NotDirectory { .. })),
        "{refused:?}"
    );
    assert!(elsewhere.path().join("yarn").exists());

    let (_directory, store) = store();
    let layer = store.root().join("layers").join(key("a").as_str());
    fs::create_dir(&layer).unwrap();
    let metadata = serde_json::to_vec(&LayerMetadata::default()).unwrap();
    fs::write(layer.join("layer.json"), metadata).unwrap();
    fs::os::unix::fs::symlink(elsewhere.path(), layer.join("tree")).unwrap();
    assert!(matches!(
        store.layer(&key("a")),
        Err(Error::NotDirectory { .. })
    ));
}

#[test]
fn planted_pipes_and_long_files_are_neither_waited_for_nor_read() {
    let (_directory, store) = store();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let resolutions = open(&store.root().join("resolutions"));
    let name = format!("{}.json", key("a"));
    let fifo = rustix::fs::FileType::Fifo;
    resolutions.make_special(&name, fifo, mode).unwrap();
    assert_eq!(store.resolution(&key("a")), None);
    // What is kept takes the pipe's place.
    let staging = store.stage().unwrap();
    store.keep_resolution(&key("a"), &[], &staging).unwrap();
    assert_eq!(store.resolution(&key("a")), Some(Vec::new()));

    let layers = open(&store.root().join("layers"));
    let layer = layers.make_directory(key("a").as_str(), rustix::fs::Mode::RWXU);
    let layer = layer.unwrap();
    layer.make_special("layer.json", fifo, mode).unwrap();
    let unread = store.layer(&key("a"));
    assert!(matches!(unread, Err(Error::ReadLayer { .. })), "{unread:?}");
    let locks = open(&store.root().join("locks"));
    locks.make_special("x", fifo, mode).unwrap();
    assert!(matches!(
        Lock::try_acquire(&locks, "x"),
        Err(Error::Lock { .. })
    ));
}

#[test]
fn a_layer_that_is_a_link_is_not_used() {
    let (_directory, store) = store();
    let staging = store.stage().unwrap();
    staging.subdirectory("tree").unwrap();
    let added = store.add_layer(&key("a"), staging, &LayerMetadata::default());
    added.unwrap();
    let layers = open(&store.root().join("layers"));
    layers
        .make_symlink(key("b").as_str(), key("a").as_str())
        .unwrap();
    assert!(matches!(
        store.layer(&key("b")),
        Err(Error::NotDirectory { .. })
    ));
    assert!(store.layer(&key("a")).unwrap().is_some());
}

#[test]
fn what_is_staged_is_gone_from_the_directory_that_was_opened() {
    let world = crate::beneath::tests::World::new();
    let staging = Staging::create(&world.tree).unwrap();
    fs::write(staging.path().join("file"), "x").unwrap();
    let moved = world.outside().with_file_name("moved");
    fs::rename(world.tree.host_path(), &moved).unwrap();
    fs::os::unix::fs::symlink(world.outside(), world.tree.host_path()).unwrap();
    drop(staging);
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
    world.assert_canary();
}

/// Returns every path below `directory` with its size and times, which tell whether anything was written.
fn state(directory: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        found.push((
            path,
            metadata.len(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ));
    }
    found.sort();
    found
}

#[test]
fn a_trusted_store_is_read_and_not_changed() {
    let (directory, store) = store();
    let staging = store.stage().unwrap();
    fs::write(staging.subdirectory("tree").unwrap().path_of("file"), "x").unwrap();
    store
        .add_layer(&key("a"), staging, &LayerMetadata::default())
        .unwrap();
    drop(store);
    let before = state(directory.path());
    let trusted = TrustedStore::open(directory.path()).unwrap().unwrap();
    let found = trusted.layer(&key("a")).unwrap().unwrap();
    assert_eq!(fs::read(found.tree.join("file")).unwrap(), b"x");
    assert!(trusted.layer(&key("b")).unwrap().is_none());
    assert_eq!(state(directory.path()), before);
    // It cannot be emptied as long as it is read.
    let cleared = Store::open(directory.path())
        .unwrap()
        .clear(Contents::Everything);
    assert!(matches!(cleared, Err(Error::InUse { .. })));
    drop(trusted);
    Store::open(directory.path())
        .unwrap()
        .clear(Contents::Everything)
        .unwrap();
}

#[test]
fn a_trusted_store_that_does_not_exist_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    assert!(TrustedStore::open(directory.path()).unwrap().is_none());
    assert!(
        TrustedStore::open(&directory.path().join("none"))
            .unwrap()
            .is_none()
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn packages_are_taken_for_their_content_and_not_their_name() {
    const DIGEST: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("right"), "x").unwrap();
    fs::write(path("wrong"), "y").unwrap();
    fs::write(path("long"), "xx").unwrap();
    fs::os::unix::fs::symlink(path("right"), path("link")).unwrap();
    let directory = Directory::open(place.path()).unwrap();
    let copy = |name| copy_if_it_is((&directory, name), (&directory, "to"), 1, DIGEST).unwrap();
    for name in ["wrong", "long", "link", "none", ""] {
        assert!(!copy(name), "{name}");
        assert!(!path("to").exists(), "{name}");
    }
    assert!(copy("right"));
    // A copy: what is written to it later does not get into the other.
    fs::write(path("to"), "changed").unwrap();
    assert_eq!(fs::read(path("right")).unwrap(), b"x");
}
