use std::os::unix::fs::PermissionsExt;

use rustix::fs::{Mode, XattrFlags};
use tempfile::TempDir;

use super::*;

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns the fields of one entry, without the times and link counts of this host.
fn fields(tree: &Tree, path: &str) -> Vec<String> {
    let fields = tree[path].fields();
    let kept = fields
        .iter()
        .filter(|(name, _)| !["time", "links"].contains(name));
    kept.map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[test]
fn records_are_read_as_the_table_says() {
    let output = TempDir::new_in(crate::harness::directory()).unwrap();
    let at = |name: &str| output.path().join(name);
    set(output.path(), "user.overcoat.mode", b"1755");
    set(
        output.path(),
        "user.overcoat.owner",
        b"\x01\0\0\0\x02\0\0\0",
    );
    let entries = b"\x07\0\0\0\x08\0\0\0\x04fifo\x09\0\0\0\x0a\x01\0\0\x04link";
    set(output.path(), "user.overcoat.entries", entries);
    std::os::unix::fs::symlink("target", at("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RUSR).unwrap();
    fs_err::write(at("null"), "").unwrap();
    set(&at("null"), "user.overcoat.device", b"c 1:3");
    chmod(&at("null"), 0o666);
    fs_err::write(at("ping"), "ping").unwrap();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    set(&at("ping"), "user.overcoat.capability", capability);
    set(&at("ping"), "user.note", b"\x01\xff");
    chmod(&at("ping"), 0o4710);
    fs_err::create_dir(at("journal")).unwrap();
    let acl =
        b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x08\0\x05\0\x04\0\0\0\
                \x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    set(&at("journal"), "user.overcoat.acl.access", acl);
    set(&at("journal"), "user.overcoat.acl.default", acl);
    set(
        &at("journal"),
        "user.overcoat.owner",
        b"\0\0\0\0\xe7\x03\0\0",
    );
    chmod(&at("journal"), 0o2750);

    let tree = read(output.path());

    let paths: Vec<_> = tree.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/", "/fifo", "/journal", "/link", "/null", "/ping"]);
    assert_eq!(
        fields(&tree, "/"),
        ["gid=2", "mode=1755", "type=directory", "uid=1"]
    );
    assert_eq!(
        fields(&tree, "/fifo"),
        ["gid=8", "mode=0400", "type=FIFO", "uid=7"]
    );
    let acl = "u::rwx,g::r-x,g:4:r-x,m::r-x,o::---";
    assert_eq!(
        fields(&tree, "/journal"),
        [
            "gid=999".to_owned(),
            "mode=2750".to_owned(),
            format!("system.posix_acl_access={acl}"),
            format!("system.posix_acl_default={acl}"),
            "type=directory".to_owned(),
            "uid=0".to_owned(),
        ]
    );
    assert_eq!(
        fields(&tree, "/link"),
        [
            "gid=266",
            "mode=0777",
            "target=target",
            "type=symbolic link",
            "uid=9"
        ]
    );
    assert_eq!(
        fields(&tree, "/null"),
        [
            "device=1:3",
            "gid=0",
            "mode=0666",
            "type=character device",
            "uid=0"
        ]
    );
    assert_eq!(
        fields(&tree, "/ping"),
        [
            "content=4 bytes 758d61f26a44",
            "gid=0",
            "mode=4710",
            "security.capability=permitted 2000 inheritable 0 effective",
            "type=file",
            "uid=0",
            "user.note=01ff",
        ]
    );
}

#[test]
fn names_of_one_file_are_told_from_equal_files() {
    let output = TempDir::new_in(crate::harness::directory()).unwrap();
    let at = |name: &str| output.path().join(name);
    for name in ["a", "c"] {
        fs_err::write(at(name), "same").unwrap();
    }
    fs_err::hard_link(at("a"), at("b")).unwrap();

    let tree = read(output.path());

    let links: Vec<_> = ["/a", "/b", "/c"]
        .map(|path| tree[path].links.clone().unwrap())
        .into();
    let expected = [(2, "/a"), (2, "/a"), (1, "/c")];
    assert_eq!(
        links,
        expected.map(|(count, first)| (count, first.to_owned()))
    );
}

#[test]
fn the_builder_stands_for_root_in_attributes_of_the_kernel() {
    let bound = b"\x01\0\0\x03\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe8\x03\0\0";
    let cases = [
        (Some(1000), "permitted 2000 inheritable 0 effective"),
        (Some(1001), "permitted 2000 inheritable 0 effective of 1000"),
        (None, "permitted 2000 inheritable 0 effective of 1000"),
    ];
    for (builder, expected) in cases {
        assert_eq!(capability_of(bound, builder), expected);
    }
    let acl = b"\x02\0\0\0\x02\0\x04\0\xe8\x03\0\0";
    assert_eq!(acl_of(acl, Some(1000)), "u:0:r--");
    assert_eq!(acl_of(acl, None), "u:1000:r--");
}
