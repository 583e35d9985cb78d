use super::*;

const V2_EFFECTIVE: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// A recorded value of uid 101 and gid 65535.
const OWNER_101: [u8; 8] = [101, 0, 0, 0, 0xff, 0xff, 0, 0];

#[test]
fn recorded_owner_is_decoded_and_stripped() {
    let layers = Layers::new();
    layers
        .file("1/f", "x")
        .directory("1/d")
        .attribute("1/f", "user.overcoat.owner", &OWNER_101)
        .attribute("1/d", "user.overcoat.owner", &OWNER_101)
        .attribute("1", "user.overcoat.owner", &OWNER_101);
    let tree = layers.merge();
    for name in ["", "f", "d"] {
        assert_eq!(owner(&tree, name), (101, 65535), "{name}");
        assert_eq!(attributes(&tree, name), [], "{name}");
    }
}

#[test]
fn owners_beside_the_layer_reach_symlinks_fifos_and_their_hard_links() {
    let layers = Layers::new();
    layers
        .symlink("1/a", "x")
        .symlink("1/d/link", "x")
        .node("1/fifo", FileType::Fifo)
        .file("1/file", "x");
    fs_err::hard_link(layers.path("1/d/link"), layers.path("1/b")).unwrap();
    for (name, uid) in [("d/link", 1), ("fifo", 2), ("file", 3), ("gone/x", 4)] {
        layers.owner(&format!("1/{name}"), uid);
    }
    let tree = layers.merge();
    assert_eq!(owner(&tree, "a"), (0, 0));
    assert_eq!(owner(&tree, "d/link"), (1, 11));
    assert_eq!(owner(&tree, "b"), (1, 11));
    assert_eq!(owner(&tree, "fifo"), (2, 12));
    assert_eq!(owner(&tree, "file"), (0, 0));
}

#[test]
fn owners_of_entries_come_from_their_directory_unless_it_was_copied_up() {
    let entries = b"\x07\0\0\0\x08\0\0\0\x01a\x09\0\0\0\x0a\0\0\0\x02bc";
    let layers = Layers::new();
    layers
        .symlink("1/d/a", "x")
        .symlink("1/d/bc", "x")
        .attribute("1/d", "user.overcoat.entries", entries)
        .symlink("2/d/bc", "new")
        .attribute("2/d", "user.overcoat.entries", entries)
        .attribute("2/d", "user.overlay.origin", b"");
    let tree = layers.merge();
    assert_eq!(owner(&tree, "d/a"), (7, 8));
    assert_eq!(owner(&tree, "d/bc"), (0, 0));
    assert_eq!(attributes(&tree, "d"), []);
}

#[test]
fn device_record_makes_an_empty_file_a_device() {
    let layers = Layers::new();
    layers
        .file("1/null", "")
        .attribute("1/null", "user.overcoat.device", b"c 1:3")
        .attribute("1/null", "user.overcoat.owner", &OWNER_101)
        .file("1/disk", "")
        .attribute("1/disk", "user.overcoat.device", b"b 259:1048575")
        .mode("1/null", 0o666);
    let tree = layers.merge();
    let null = tree.get(&path("null")).unwrap();
    let number = DeviceNumber { major: 1, minor: 3 };
    assert!(matches!(null.kind, EntryKind::CharacterDevice(found) if found == number));
    assert_eq!((null.mode, null.uid, null.xattrs.len()), (0o666, 101, 0));
    let number = DeviceNumber {
        major: 259,
        minor: 1_048_575,
    };
    let disk = tree.get(&path("disk")).unwrap();
    assert!(matches!(disk.kind, EntryKind::BlockDevice(found) if found == number));
}

#[test]
fn recorded_acl_replaces_the_real_one_and_follows_a_later_chmod() {
    let none = u32::MAX;
    let recorded = acl(&[
        (1, 6, none),
        (2, 7, 33),
        (4, 5, none),
        (8, 4, 4242),
        (16, 7, none),
        (32, 0, none),
    ]);
    let expected = acl(&[
        (1, 7, none),
        (2, 7, 33),
        (4, 5, none),
        (8, 4, 4242),
        (16, 1, none),
        (32, 4, none),
    ]);
    let layers = Layers::new();
    layers
        .directory("1/d")
        .attribute("1/d", "user.overcoat.acl.access", &recorded)
        .attribute("1/d", "user.overcoat.acl.default", &recorded)
        .mode("1/d", 0o714);
    let tree = layers.merge();
    let found = attributes(&tree, "d");
    assert_eq!(
        found,
        [
            ("system.posix_acl_access".to_owned(), expected),
            ("system.posix_acl_default".to_owned(), recorded),
        ]
    );
}

#[test]
fn real_acl_naming_us_names_root_in_the_image() {
    let us = nix::unistd::geteuid().as_raw();
    let none = u32::MAX;
    let entries = |id| {
        acl(&[
            (1, 6, none),
            (2, 4, id),
            (4, 4, none),
            (16, 4, none),
            (32, 0, none),
        ])
    };
    let layers = Layers::new();
    layers
        .file("1/f", "x")
        .attribute("1/f", "system.posix_acl_access", &entries(us));
    let found = attributes(&layers.merge(), "f");
    assert_eq!(found, [("system.posix_acl_access".to_owned(), entries(0))]);
}

#[test]
fn of_other_attributes_only_those_of_users_are_kept() {
    let layers = Layers::new();
    layers
        .file("1/f", "x")
        .attribute("1/f", "user.extension-release.strict", b"0")
        .attribute("1/f", "user.overlay.origin", b"x")
        .attribute("1/f", "user.overlay.overlay.opaque", b"y")
        .attribute("1/f", "user.overlay.overlay.overlay.deep", b"z");
    // Only root of the initial user namespace may set these.
    for host_attribute in ["trusted.overlay.opaque", "security.selinux"] {
        let none = XattrFlags::empty();
        let set = rustix::fs::setxattr(layers.path("1/f"), host_attribute, b"y", none);
        assert!(matches!(set, Ok(()) | Err(rustix::io::Errno::PERM)));
    }
    let expected = [
        ("user.extension-release.strict", b"0"),
        ("user.overlay.opaque", b"y"),
        ("user.overlay.overlay.deep", b"z"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_vec()));
    assert_eq!(attributes(&layers.merge(), "f"), expected);
}

#[test]
fn recorded_capability_is_the_files() {
    let layers = Layers::new();
    layers
        .file("1/f", "x")
        .attribute("1/f", "user.overcoat.capability", &V2_EFFECTIVE);
    assert_eq!(
        attributes(&layers.merge(), "f"),
        [("security.capability".to_owned(), V2_EFFECTIVE.to_vec())]
    );
}

#[test]
fn namespaced_capability_loses_its_root_and_keeps_the_rest() {
    let mut bound = V2_EFFECTIVE.to_vec();
    bound[3] = 3;
    bound.extend(1001_u32.to_le_bytes());
    let decoded = super::super::capability::Capability::decode(&bound).unwrap();
    assert_eq!(decoded.value, V2_EFFECTIVE);
    assert_eq!(decoded.root_id, Some(1001));
    for length in [0, 3, 12, 20, 23] {
        assert!(super::super::capability::Capability::decode(&bound[..length]).is_err());
    }
}

#[test]
fn corrupt_records_are_named() {
    let cases: [(&str, &[u8]); 16] = [
        ("user.overcoat.owner", b""),
        ("user.overcoat.owner", b"123456789"),
        ("user.overcoat.device", b"c 1:3"),
        ("user.overcoat.device", b"c 0:0"),
        ("user.overcoat.device", b"c +1:3"),
        ("user.overcoat.device", b"c 1:4294967296"),
        ("user.overcoat.device", b"p 1:3"),
        ("user.overcoat.device", b"\xff"),
        ("user.overcoat.acl.access", b"\x02\0\0"),
        ("user.overcoat.acl.access", b"\x01\0\0\0"),
        ("user.overcoat.acl.access", b"\x02\0\0\0\x01\0\x06\0\0\0\0"),
        (
            "user.overcoat.acl.access",
            b"\x02\0\0\0\x03\0\x06\0\0\0\0\0",
        ),
        ("user.overcoat.acl.default", b"\x02\0\0\0"),
        ("user.overcoat.capability", b"\x01\0\0\x02"),
        ("user.overcoat.entries", b""),
        ("user.overcoat.unheard-of", b"1"),
    ];
    for (attribute, value) in cases {
        let layers = Layers::new();
        let content = if value.starts_with(b"c 1:3") { "x" } else { "" };
        layers
            .file("1/f", content)
            .attribute("1/f", attribute, value);
        let found = corrupt_attribute(layers.merge_error());
        assert_eq!(found, ("f".to_owned(), attribute.to_owned()), "{value:?}");
    }
}

#[test]
fn corrupt_entry_owners_are_named() {
    let cases: [&[u8]; 5] = [
        b"\0",
        b"\0\0\0\0\0\0\0\0\x02a",
        b"\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\x01/",
        b"\0\0\0\0\0\0\0\0\x01b\0\0\0\0\0\0\0\0\x01a",
    ];
    for value in cases {
        let layers = Layers::new();
        layers
            .directory("1/d")
            .attribute("1/d", "user.overcoat.entries", value);
        let found = corrupt_attribute(layers.merge_error());
        let expected = ("d".to_owned(), "user.overcoat.entries".to_owned());
        assert_eq!(found, expected, "{value:?}");
    }
}
