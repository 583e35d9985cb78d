use super::{
    Error, Release, extension_release, file_tree_with_release, read_os_release,
    read_shipped_release, release_path,
};
use crate::extension::{ExtensionKind, OsRelease, parse_os_release};
use crate::recipe::ExtensionSettings;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

const THEN: Timestamp = Timestamp::from_seconds(1000);
const BOOKWORM: &str =
    "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\nVERSION_CODENAME=bookworm\n";

const UNSET: ExtensionSettings = ExtensionSettings {
    id: None,
    level: None,
    scope: Vec::new(),
    reload_manager: None,
    restart_units: Vec::new(),
    reload_or_restart_units: Vec::new(),
};

fn release<'a>(kind: ExtensionKind, base: Option<&'a OsRelease>) -> Release<'a> {
    Release {
        kind,
        base,
        shipped: None,
        image_id: None,
        image_version: None,
        scope: None,
        architecture: "x86-64",
        settings: const { &UNSET },
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree_of(entries: &[(&str, Option<EntryKind>)]) -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    for (name, kind) in entries {
        let kind = kind.clone().unwrap_or(EntryKind::Directory);
        tree.insert(path(name), Entry::new(kind, 0o755, THEN))
            .unwrap();
    }
    tree
}

fn file(text: &str) -> Option<EntryKind> {
    Some(EntryKind::Regular(Content::from_bytes(text.as_bytes())))
}

fn link(target: &str) -> Option<EntryKind> {
    Some(EntryKind::Symlink(target.into()))
}

#[test]
fn keys_come_in_mkosis_order() {
    let base = parse_os_release(&format!("{BOOKWORM}SYSEXT_LEVEL=1.0\nCONFEXT_LEVEL=2\n"));
    let full = Release {
        image_id: Some("nginx"),
        image_version: Some("1.2"),
        ..release(ExtensionKind::Sysext, Some(&base))
    };
    assert_eq!(
        extension_release(&full).unwrap(),
        "ID=debian\nSYSEXT_LEVEL=1.0\nVERSION_ID=12\nSYSEXT_ID=nginx\nSYSEXT_VERSION_ID=1.2\n\
         SYSEXT_SCOPE=\"initrd system portable\"\nARCHITECTURE=x86-64\n"
    );
    let confext = Release {
        kind: ExtensionKind::Confext,
        scope: Some("system"),
        ..full
    };
    assert_eq!(
        extension_release(&confext).unwrap(),
        "ID=debian\nCONFEXT_LEVEL=2\nVERSION_ID=12\nCONFEXT_ID=nginx\nCONFEXT_VERSION_ID=1.2\n\
         CONFEXT_SCOPE=system\nARCHITECTURE=x86-64\n"
    );
}

#[test]
fn without_a_base_an_extension_fits_every_system() {
    assert_eq!(
        extension_release(&release(ExtensionKind::Sysext, None)).unwrap(),
        "ID=_any\nSYSEXT_SCOPE=\"initrd system portable\"\nARCHITECTURE=x86-64\n"
    );
}

#[test]
fn shipped_keys_come_first_and_win() {
    let base = parse_os_release(BOOKWORM);
    let shipped = parse_os_release("EXTENSION_RELOAD_MANAGER=1\nVERSION_ID=13\n");
    let full = Release {
        shipped: Some(&shipped),
        ..release(ExtensionKind::Sysext, Some(&base))
    };
    assert_eq!(
        extension_release(&full).unwrap(),
        "EXTENSION_RELOAD_MANAGER=1\nVERSION_ID=13\nID=debian\nSYSEXT_SCOPE=\"initrd system portable\"\n\
         ARCHITECTURE=x86-64\n"
    );
}

fn all_settings() -> ExtensionSettings {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ExtensionSettings {
        id: Some("fedora".to_owned()),
        level: Some("7".to_owned()),
        scope: words(&["system", "initrd"]),
        reload_manager: Some(true),
        restart_units: words(&["a.service", "b@1.socket"]),
        reload_or_restart_units: words(&["c.service"]),
    }
}

#[test]
fn what_settings_say_takes_the_place_of_the_bases_and_is_followed_by_what_mkosi_does_not_know() {
    let base = parse_os_release(&format!("{BOOKWORM}SYSEXT_LEVEL=1.0\n"));
    let settings = all_settings();
    let full = Release {
        image_id: Some("nginx"),
        // `SYSEXT_SCOPE` of `Environment=`, which is not meant for us alone.
        scope: Some("portable"),
        settings: &settings,
        ..release(ExtensionKind::Sysext, Some(&base))
    };
    assert_eq!(
        extension_release(&full).unwrap(),
        "ID=fedora\nSYSEXT_LEVEL=7\nVERSION_ID=12\nSYSEXT_ID=nginx\nSYSEXT_SCOPE=\"system initrd\"\n\
         ARCHITECTURE=x86-64\nEXTENSION_RELOAD_MANAGER=1\nEXTENSION_RESTART_UNITS=\"a.service b@1.socket\"\n\
         EXTENSION_RELOAD_OR_RESTART_UNITS=c.service\n"
    );
    let never = ExtensionSettings {
        reload_manager: Some(false),
        ..UNSET
    };
    let confext = Release {
        settings: &never,
        ..release(ExtensionKind::Confext, None)
    };
    assert_eq!(
        extension_release(&confext).unwrap(),
        "ID=_any\nCONFEXT_SCOPE=\"initrd system portable\"\nARCHITECTURE=x86-64\nEXTENSION_RELOAD_MANAGER=0\n"
    );
}

#[test]
fn an_extension_of_any_system_has_neither_level_nor_version_of_its_base() {
    let base = parse_os_release(&format!("{BOOKWORM}SYSEXT_LEVEL=1.0\n"));
    let any = ExtensionSettings {
        id: Some("_any".to_owned()),
        ..UNSET
    };
    let full = Release {
        settings: &any,
        ..release(ExtensionKind::Sysext, Some(&base))
    };
    assert_eq!(
        extension_release(&full).unwrap(),
        "ID=_any\nSYSEXT_SCOPE=\"initrd system portable\"\nARCHITECTURE=x86-64\n"
    );
}

#[test]
fn a_shipped_file_and_a_setting_must_not_disagree() {
    let settings = all_settings();
    let write = |shipped: &str| {
        let shipped = parse_os_release(shipped);
        extension_release(&Release {
            shipped: Some(&shipped),
            settings: &settings,
            ..release(ExtensionKind::Sysext, None)
        })
    };
    assert!(write("ID=fedora\nSYSEXT_LEVEL=7\nEXTENSION_RELOAD_MANAGER=1\n").is_ok());
    let contrary = [
        (
            "ID=debian",
            "`ExtensionId=` asks for `ID=fedora`",
            "`ID=debian`",
        ),
        (
            "SYSEXT_LEVEL=8",
            "`ExtensionLevel=` asks for `SYSEXT_LEVEL=7`",
            "`SYSEXT_LEVEL=8`",
        ),
        (
            "SYSEXT_SCOPE=system",
            "`ExtensionScope=` asks for `SYSEXT_SCOPE=system initrd`",
            "`SYSEXT_SCOPE=system`",
        ),
        (
            "EXTENSION_RELOAD_MANAGER=yes",
            "`ReloadManager=` asks for `EXTENSION_RELOAD_MANAGER=1`",
            "`EXTENSION_RELOAD_MANAGER=yes`",
        ),
        (
            "EXTENSION_RELOAD_OR_RESTART_UNITS=x.service",
            "`ReloadOrRestartUnits=` asks for `EXTENSION_RELOAD_OR_RESTART_UNITS=c.service`",
            "`EXTENSION_RELOAD_OR_RESTART_UNITS=x.service`",
        ),
    ];
    for (shipped, asked, found) in contrary {
        let expected =
            format!("{asked}, and the extension-release file that the extension ships has {found}");
        assert_eq!(write(shipped).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_value_cannot_smuggle_in_another_line() {
    let hostile = Release {
        image_id: Some("x\nID=_any"),
        ..release(ExtensionKind::Sysext, None)
    };
    match extension_release(&hostile).unwrap_err() {
        Error::InvalidValue { key, value } => {
            assert_eq!((&*key, &*value), ("SYSEXT_ID", "x\\nID=_any"))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_path_follows_the_kind_and_the_output() {
    let sysext = release_path(ExtensionKind::Sysext, "nginx_1.2").unwrap();
    assert_eq!(
        sysext,
        path("usr/lib/extension-release.d/extension-release.nginx_1.2")
    );
    let confext = release_path(ExtensionKind::Confext, "nginx").unwrap();
    assert_eq!(
        confext,
        path("etc/extension-release.d/extension-release.nginx")
    );
    assert!(matches!(
        release_path(ExtensionKind::Sysext, "../x"),
        Err(Error::InvalidName { .. })
    ));
}

#[test]
fn os_release_is_found_through_links_that_stay_inside() {
    let usr = [("etc", None), ("usr", None), ("usr/lib", None)];
    let cases: [&[(&str, Option<EntryKind>)]; 4] = [
        &[("usr/lib/os-release", file(BOOKWORM))],
        &[
            ("etc/os-release", link("../usr/lib/os-release")),
            ("usr/lib/os-release", file(BOOKWORM)),
        ],
        &[
            ("etc/os-release", link("/lib/os-release")),
            ("lib", link("usr/lib")),
            ("usr/lib/os-release", file(BOOKWORM)),
        ],
        &[
            ("usr/lib/os-release", link("../../../../usr/lib/real")),
            ("usr/lib/real", file(BOOKWORM)),
        ],
    ];
    for case in cases {
        let tree = tree_of(&[&usr[..], case].concat());
        assert_eq!(
            read_os_release(&tree).unwrap().get("VERSION_ID"),
            Some("12")
        );
    }
}

#[test]
fn a_base_without_os_release_is_an_error() {
    let cases: [&[(&str, Option<EntryKind>)]; 3] = [
        &[],
        &[("etc/os-release", link("os-release"))],
        &[("etc/os-release", link("../missing"))],
    ];
    for case in cases {
        let tree = tree_of(&[&[("etc", None)][..], case].concat());
        assert!(matches!(read_os_release(&tree), Err(Error::NoOsRelease)));
    }
    let device = tree_of(&[("etc", None), ("etc/os-release", Some(EntryKind::Fifo))]);
    assert!(matches!(
        read_os_release(&device),
        Err(Error::UnfitReleaseFile { .. })
    ));
    let binary = EntryKind::Regular(Content::from_bytes([0xff, 0xfe]));
    let binary = tree_of(&[("etc", None), ("etc/os-release", Some(binary))]);
    assert!(matches!(
        read_os_release(&binary),
        Err(Error::UnfitReleaseFile { .. })
    ));
}

#[test]
fn the_file_is_added_with_its_parent_directories() {
    let then = Timestamp::from_seconds(7);
    let tree = file_tree_with_release(
        tree_of(&[("usr", None)]),
        ExtensionKind::Sysext,
        "app",
        "ID=_any\n",
        then,
    )
    .unwrap();
    let added: Vec<_> = tree
        .iter()
        .filter(|(_, entry)| entry.modified == then)
        .map(|(path, entry)| (path.to_string(), entry.mode, entry.uid, entry.gid))
        .collect();
    let expected = [
        ("usr/lib", 0o755),
        ("usr/lib/extension-release.d", 0o755),
        ("usr/lib/extension-release.d/extension-release.app", 0o644),
    ];
    assert_eq!(
        added,
        expected.map(|(path, mode)| (path.into(), mode, 0, 0))
    );
    let read = read_shipped_release(&tree, ExtensionKind::Sysext, "app").unwrap();
    assert_eq!(read, Some(parse_os_release("ID=_any")));
}

#[test]
fn a_shipped_file_keeps_its_attributes_and_nothing_else() {
    let directory = "usr/lib/extension-release.d";
    let shipped = "usr/lib/extension-release.d/extension-release.app";
    let mut tree = tree_of(&[
        ("usr", None),
        ("usr/lib", None),
        (directory, None),
        (shipped, file("A=b\n")),
    ]);
    let strict = b"user.extension-release.strict".to_vec();
    let entry = tree.get_mut(&path(shipped)).unwrap();
    entry.xattrs.insert(strict.clone(), b"0".to_vec());
    entry.uid = 1000;
    let tree = file_tree_with_release(tree, ExtensionKind::Sysext, "app", "ID=x\n", THEN).unwrap();
    let entry = tree.get(&path(shipped)).unwrap();
    assert_eq!(entry.xattrs.get(&strict).unwrap(), b"0");
    assert_eq!((entry.uid, entry.mode, entry.size_bytes()), (0, 0o644, 5));
}

#[test]
fn a_file_in_a_directorys_place_is_an_error() {
    let tree = tree_of(&[("usr", None), ("usr/lib", file("not a directory"))]);
    let result = file_tree_with_release(tree, ExtensionKind::Sysext, "app", "", THEN);
    assert!(matches!(result, Err(Error::InsertRelease { .. })));
}
