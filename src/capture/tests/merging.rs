use super::*;

#[test]
fn the_upper_file_shows_and_directories_merge() {
    let layers = Layers::new();
    layers
        .file("1/usr/a", "low")
        .file("1/usr/b", "low")
        .file("2/usr/b", "middle")
        .file("3/usr/c", "high");
    let tree = layers.merge();
    assert_eq!(names(&tree), ["usr", "usr/a", "usr/b", "usr/c"]);
    assert_eq!(content(&tree, "usr/a"), "low");
    assert_eq!(content(&tree, "usr/b"), "middle");
    assert_eq!(content(&tree, "usr/c"), "high");
}

#[test]
fn whiteout_hides_a_file_and_a_directory_and_is_not_shown_itself() {
    let layers = Layers::new();
    layers
        .file("1/file", "x")
        .file("1/directory/inner", "x")
        .file("1/stays", "x")
        .whiteout("2/file")
        .whiteout("2/directory")
        .whiteout("2/nothing-below");
    assert_eq!(names(&layers.merge()), ["stays"]);
}

#[test]
fn directory_over_a_whiteout_does_not_bring_back_what_was_deleted() {
    let layers = Layers::new();
    layers
        .file("1/d/old", "x")
        .whiteout("2/d")
        .file("3/d/new", "x");
    assert_eq!(names(&layers.merge()), ["d", "d/new"]);
}

#[test]
fn opaque_directory_hides_lower_files() {
    let layers = Layers::new();
    layers
        .file("1/d/old", "x")
        .file("2/d/middle", "x")
        .attribute("2/d", "user.overlay.opaque", b"y")
        .file("3/d/new", "x");
    let tree = layers.merge();
    assert_eq!(names(&tree), ["d", "d/middle", "d/new"]);
    assert_eq!(attributes(&tree, "d"), []);
}

#[test]
fn opaque_mark_of_a_layers_root_is_not_heeded() {
    let layers = Layers::new();
    layers
        .file("1/old", "x")
        .file("2/new", "x")
        .attribute("2", "user.overlay.opaque", b"y");
    assert_eq!(names(&layers.merge()), ["new", "old"]);
}

#[test]
fn marked_empty_file_is_a_whiteout_only_in_a_directory_marked_x() {
    let layers = Layers::new();
    layers
        .file("1/marked/a", "x")
        .file("2/marked/a", "")
        .attribute("2/marked/a", "user.overlay.whiteout", b"")
        .attribute("2/marked", "user.overlay.opaque", b"x")
        .file("1/plain/a", "x")
        .file("2/plain/a", "")
        .attribute("2/plain/a", "user.overlay.whiteout", b"");
    let tree = layers.merge();
    assert_eq!(names(&tree), ["marked", "plain", "plain/a"]);
    assert_eq!(content(&tree, "plain/a"), "");
    assert_eq!(attributes(&tree, "plain/a"), []);
}

#[test]
fn any_type_over_any_other_shows_the_upper_one_alone() {
    let layers = Layers::new();
    layers
        .file("1/directory-to-file/inner", "x")
        .file("2/directory-to-file", "new")
        .file("1/file-to-directory", "x")
        .file("2/file-to-directory/inner", "new")
        .symlink("1/link-to-directory", "file-to-directory")
        .file("2/link-to-directory/inner", "new")
        .file("1/directory-to-link/inner", "x")
        .symlink("2/directory-to-link", "..")
        .file("1/file-to-fifo", "x")
        .node("2/file-to-fifo", FileType::Fifo);
    let tree = layers.merge();
    assert_eq!(
        names(&tree),
        [
            "directory-to-file",
            "directory-to-link",
            "file-to-directory",
            "file-to-directory/inner",
            "file-to-fifo",
            "link-to-directory",
            "link-to-directory/inner",
        ]
    );
    let link = tree.get(&path("directory-to-link")).unwrap();
    assert!(matches!(&link.kind, EntryKind::Symlink(target) if target == b".."));
    let fifo = tree.get(&path("file-to-fifo")).unwrap();
    assert!(matches!(fifo.kind, EntryKind::Fifo));
}

#[test]
fn file_between_two_directories_ends_the_merge() {
    let layers = Layers::new();
    layers
        .file("1/d/old", "x")
        .file("2/d", "x")
        .file("3/d/new", "x");
    assert_eq!(names(&layers.merge()), ["d", "d/new"]);
}

#[test]
fn symlink_in_a_lower_layer_is_never_a_way_to_elsewhere() {
    let layers = Layers::new();
    let outside = tempfile::tempdir().unwrap();
    fs_err::write(outside.path().join("secret"), "x").unwrap();
    layers
        .symlink("1/d", outside.path().to_str().unwrap())
        .file("2/d/new", "x");
    assert_eq!(names(&layers.merge()), ["d", "d/new"]);
}

#[test]
fn metadata_of_a_merged_directory_is_the_upper_ones() {
    let layers = Layers::new();
    layers
        .directory("1/d")
        .directory("2/d")
        .mode("1/d", 0o755)
        .mode("2/d", 0o1770)
        .modified("1/d", 5, 6)
        .modified("2/d", 1_700_000_000, 123_456_789);
    let tree = layers.merge();
    let entry = tree.get(&path("d")).unwrap();
    assert_eq!(entry.mode, 0o1770);
    let expected = Timestamp {
        seconds: 1_700_000_000,
        nanoseconds: 123_456_789,
    };
    assert_eq!(entry.modified, expected);
    assert_eq!((entry.uid, entry.gid), (0, 0));
}

#[test]
fn hard_links_are_grouped_within_one_layer() {
    let layers = Layers::new();
    layers
        .file("1/b", "x")
        .file("1/alone", "x")
        .file("1/z", "z");
    let link =
        |from: &str, to: &str| fs_err::hard_link(layers.path(from), layers.path(to)).unwrap();
    link("1/b", "1/a");
    layers.directory("2");
    // Shares an inode with the lower layer, as a store that links equal files would make it.
    link("1/alone", "2/other");
    link("1/z", "1/y");
    layers.whiteout("2/y");
    let tree = layers.merge();
    let group = |name: &str| tree.get(&path(name)).unwrap().hard_link;
    assert_eq!(group("a"), Some(HardLinkGroup(1)));
    assert_eq!(group("b"), Some(HardLinkGroup(1)));
    for single in ["alone", "other", "z"] {
        assert_eq!(group(single), None, "{single}");
    }
}

#[test]
fn deep_and_long_paths_are_walked_and_read() {
    let layers = Layers::new();
    layers.directory("1");
    let long = "n".repeat(100);
    let mut at = rustix::fs::open(
        layers.path("1"),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
        Mode::empty(),
    )
    .unwrap();
    for _ in 0..300 {
        rustix::fs::mkdirat(&at, long.as_str(), Mode::from(0o755)).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, long.as_str(), flags, Mode::empty()).unwrap();
    }
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
    let file = rustix::fs::openat(&at, "leaf", flags, Mode::from(0o644)).unwrap();
    std::io::Write::write_all(&mut std::fs::File::from(file), b"deep").unwrap();
    let tree = layers.merge();
    assert_eq!(tree.entry_count(), 302);
    let leaf = format!("{}/leaf", vec![long.as_str(); 300].join("/"));
    assert_eq!(content(&tree, &leaf), "deep");
}

#[test]
fn unusual_names_and_types_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let layers = Layers::new();
    layers
        .node("1/fifo", FileType::Fifo)
        .node("1/socket", FileType::Socket);
    let name = std::ffi::OsStr::from_bytes(b"\xff\n%");
    fs_err::write(layers.path("1").join(Path::new(name)), "x").unwrap();
    let tree = layers.merge();
    let listed: Vec<_> = tree.iter().map(|(path, _)| path.as_bytes()).collect();
    assert_eq!(listed, [&b""[..], b"fifo", b"socket", b"\xff\n%"]);
    let socket = tree.get(&path("socket")).unwrap();
    assert!(matches!(socket.kind, EntryKind::Socket));
}

#[test]
fn no_layers_give_an_empty_root() {
    let tree = merge(&[]).unwrap();
    assert_eq!((tree.entry_count(), tree.root().mode), (1, 0o755));
}

#[test]
fn missing_layer_is_named() {
    let layer = LayerDirectory {
        path: "/nonexistent/layer".into(),
        entry_owners: Vec::new(),
    };
    let error = merge(&[layer]).unwrap_err();
    assert_eq!(error.to_string(), "opening the layer `/nonexistent/layer`");
}
