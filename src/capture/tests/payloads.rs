use super::*;

fn deleted(payload: &Payload) -> Vec<String> {
    payload.deleted.iter().map(ToString::to_string).collect()
}

#[test]
fn what_equals_the_base_is_dropped_whatever_its_time() {
    let layers = Layers::new();
    layers
        .file("1/usr/same", "x")
        .file("2/usr/same", "x")
        .modified("2/usr/same", 1, 0)
        .symlink("1/usr/link", "same")
        .symlink("2/usr/link", "same")
        .node("1/usr/fifo", FileType::Fifo)
        .node("2/usr/fifo", FileType::Fifo)
        .file("2/usr/new", "x")
        .directory("1/etc")
        .directory("2/etc");
    let payload = layers.payload();
    assert_eq!(names(&payload.tree), ["usr", "usr/new"]);
    assert_eq!(payload.unchanged, 3);
    assert_eq!(deleted(&payload), Vec::<String>::new());
}

#[test]
fn any_difference_but_time_is_a_change() {
    let layers = Layers::new();
    for layer in ["1", "2"] {
        for name in ["mode", "owner", "attribute", "content", "size", "type"] {
            layers.file(&format!("{layer}/{name}"), "x");
        }
        layers.file(&format!("{layer}/device"), "");
    }
    layers
        .mode("2/mode", 0o600)
        .attribute("2/owner", "user.overcoat.owner", &[1, 0, 0, 0, 0, 0, 0, 0])
        .attribute("2/attribute", "user.x", b"")
        .file("2/content", "y")
        .file("2/size", "xx")
        .attribute("1/device", "user.overcoat.device", b"c 1:3")
        .attribute("2/device", "user.overcoat.device", b"c 1:4")
        .symlink("1/link", "a")
        .symlink("2/link", "b");
    fs_err::remove_file(layers.path("2/type")).unwrap();
    layers.symlink("2/type", "x");
    let payload = layers.payload();
    let expected = [
        "attribute",
        "content",
        "device",
        "link",
        "mode",
        "owner",
        "size",
        "type",
    ];
    assert_eq!(names(&payload.tree), expected);
    assert_eq!(payload.unchanged, 0);
}

#[test]
fn directory_of_the_base_keeps_its_time_and_one_that_changed_takes_the_uppers() {
    let layers = Layers::new();
    layers
        .directory("1/kept")
        .directory("1/changed")
        .file("2/kept/new", "x")
        .directory("2/changed")
        .mode("2/changed", 0o700)
        .modified("1/kept", 10, 0)
        .modified("2/kept", 20, 0)
        .modified("2/changed", 30, 0);
    let tree = layers.payload().tree;
    assert_eq!(names(&tree), ["changed", "kept", "kept/new"]);
    let time = |name: &str| tree.get(&path(name)).unwrap().modified;
    assert_eq!(time("kept"), Timestamp::from_seconds(10));
    assert_eq!(time("changed"), Timestamp::from_seconds(30));
}

#[test]
fn new_empty_directory_is_kept() {
    let layers = Layers::new();
    layers.directory("1/usr").directory("2/usr/lib/empty");
    let names = names(&layers.payload().tree);
    assert_eq!(names, ["usr", "usr/lib", "usr/lib/empty"]);
}

#[test]
fn deletions_are_returned_and_never_shipped() {
    let layers = Layers::new();
    layers
        .file("1/a", "x")
        .file("1/d/b", "x")
        .file("1/remade/old", "x")
        .file("1/remade/sub/deep", "x")
        .file("1/remade/both", "old")
        .file("1/remade/same", "x")
        .whiteout("2/a")
        .whiteout("2/d")
        .whiteout("2/never-there")
        .file("2/remade/both", "new")
        .file("2/remade/same", "x")
        .attribute("2/remade", "user.overlay.opaque", b"y")
        .file("2/new/file", "x")
        .attribute("2/new", "user.overlay.opaque", b"y");
    let payload = layers.payload();
    assert_eq!(deleted(&payload), ["a", "d", "remade/old", "remade/sub"]);
    let expected = ["new", "new/file", "remade", "remade/both"];
    assert_eq!(names(&payload.tree), expected);
    assert_eq!(payload.unchanged, 1);
}

#[test]
fn upper_layers_are_one_change_over_the_base() {
    let layers = Layers::new();
    layers
        .file("1/d/base", "x")
        .file("2/d/middle", "x")
        .whiteout("2/d/base")
        .whiteout("3/d")
        .file("4/d/top", "x");
    let payload = layers.payload();
    assert_eq!(names(&payload.tree), ["d", "d/top"]);
    assert_eq!(deleted(&payload), ["d/base"]);
}

#[test]
fn every_change_of_type_is_shipped() {
    let layers = Layers::new();
    layers
        .file("1/directory-to-file/inner", "x")
        .file("2/directory-to-file", "x")
        .file("1/file-to-directory", "x")
        .file("2/file-to-directory/inner", "x")
        .file("1/directory-to-link/inner", "x")
        .symlink("2/directory-to-link", "x")
        .symlink("1/link-to-directory", "x")
        .directory("2/link-to-directory");
    let payload = layers.payload();
    let expected = [
        "directory-to-file",
        "directory-to-link",
        "file-to-directory",
        "file-to-directory/inner",
        "link-to-directory",
    ];
    assert_eq!(names(&payload.tree), expected);
    assert_eq!(deleted(&payload), Vec::<String>::new());
}

#[test]
fn hard_links_of_which_one_name_is_unchanged_are_no_longer_links() {
    let layers = Layers::new();
    layers.file("1/a", "x").file("2/a", "x").file("2/c", "x");
    fs_err::hard_link(layers.path("2/a"), layers.path("2/b")).unwrap();
    fs_err::hard_link(layers.path("2/c"), layers.path("2/d")).unwrap();
    let tree = layers.payload().tree;
    assert_eq!(names(&tree), ["b", "c", "d"]);
    let group = |name: &str| tree.get(&path(name)).unwrap().hard_link;
    assert_eq!(group("b"), None);
    assert_eq!(group("c"), Some(HardLinkGroup(1)));
    assert_eq!(group("d"), Some(HardLinkGroup(1)));
}
