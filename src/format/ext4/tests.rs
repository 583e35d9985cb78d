use std::io::Cursor;
use std::process::Command;

use uuid::Uuid;

use super::{Options, Plan};
use crate::digest::hexadecimal;
use crate::format::output::SeekOutput;
use crate::tree::{Content, DeviceNumber, Entry, EntryKind, FileTree, Timestamp, TreePath};

fn options(least_bytes: u64) -> Options {
    Options {
        uuid: Uuid::from_u128(0x1234),
        hash_seed: Uuid::from_u128(0x5678),
        label: "root-x86-64".into(),
        build_time: Timestamp::from_seconds(1_700_000_000),
        least_bytes,
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn entry(kind: EntryKind, mode: u16) -> Entry {
    Entry::new(kind, mode, Timestamp::from_seconds(1_600_000_000))
}

/// Returns a tree with one of everything.
fn tree() -> FileTree {
    let time = Timestamp::from_seconds(1_600_000_000);
    let mut tree = FileTree::new(Entry::directory(time)).unwrap();
    let mut add = |name: &str, entry: Entry| tree.insert(path(name), entry).unwrap();
    add("dir", Entry::directory(time));
    add("lost+found", Entry::directory(time));
    let content = |size: usize| {
        let bytes: Vec<u8> = (0..size)
            .map(|index| u8::try_from(index % 251).unwrap())
            .collect();
        EntryKind::Regular(Content::from_bytes(bytes))
    };
    let mut owned = entry(content(5000), 0o4755);
    owned.uid = 70_000;
    owned.gid = 33;
    let capability = [&[1, 0, 0, 2, 0, 4][..], &[0; 14]].concat();
    owned
        .xattrs
        .insert(b"security.capability".to_vec(), capability);
    add("dir/owned", owned);
    let mut many = entry(content(1), 0o640);
    many.xattrs.insert(b"user.long".to_vec(), vec![7; 300]);
    many.xattrs.insert(
        b"security.selinux".to_vec(),
        b"system_u:object_r:bin_t:s0\0".to_vec(),
    );
    let acl = [
        &2u32.to_le_bytes()[..],
        &[1, 0, 6, 0, 255, 255, 255, 255],
        &[2, 0, 4, 0, 33, 0, 0, 0],
        &[4, 0, 4, 0, 255, 255, 255, 255],
        &[16, 0, 4, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ]
    .concat();
    many.xattrs.insert(b"system.posix_acl_access".to_vec(), acl);
    add("dir/many", many);
    add("empty", entry(content(0), 0o644));
    add("large", entry(content(3 << 20), 0o644));
    add(
        "link",
        entry(EntryKind::Symlink(b"dir/owned".to_vec()), 0o777),
    );
    add(
        "longlink",
        entry(EntryKind::Symlink(vec![b'x'; 200]), 0o777),
    );
    let number = |major, minor| DeviceNumber { major, minor };
    add(
        "null",
        entry(EntryKind::CharacterDevice(number(1, 3)), 0o666),
    );
    add(
        "disk",
        entry(EntryKind::BlockDevice(number(259, 70_000)), 0o660),
    );
    add("fifo", entry(EntryKind::Fifo, 0o600));
    add("socket", entry(EntryKind::Socket, 0o600));
    let mut hard = entry(content(10), 0o644);
    hard.hard_link = Some(crate::tree::HardLinkGroup(1));
    add("hard1", hard.clone());
    add("hard2", hard);
    for index in 0..400 {
        let name = format!("dir/a-file-with-a-rather-long-name-{index:04}");
        add(&name, entry(content(0), 0o644));
    }
    tree
}

fn written(tree: &FileTree, least_bytes: u64) -> Vec<u8> {
    let plan = Plan::new(tree, options(least_bytes)).unwrap();
    let mut output = SeekOutput::new(Cursor::new(Vec::new()));
    plan.write(&mut output).unwrap();
    let bytes = output.into_inner().into_inner();
    assert_eq!(bytes.len() as u64, plan.size_bytes());
    bytes
}

fn tool(program: &str, arguments: &[&str], image: &[u8]) -> Option<(bool, String)> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image");
    fs_err::write(&file, image).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .arg(&file)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn file_systems_of_every_size_are_in_order() {
    let tree = tree();
    // Without and with a journal, several groups, and last groups of all kinds.
    for least_bytes in [0, 10 << 20, 129 << 20, (128 << 20) + 8192, 400 << 20] {
        let image = written(&tree, least_bytes);
        let Some((success, text)) = tool("e2fsck", &["-f", "-n"], &image) else {
            println!("SKIP: there is no e2fsck");
            return;
        };
        assert!(success, "{least_bytes}: {text}");
    }
}

#[test]
fn owners_modes_devices_and_attributes_are_exact() {
    let image = written(&tree(), 0);
    for (request, expected) in [
        ("stat /dir/owned", "Mode:  04755"),
        ("stat /dir/owned", "User: 70000   Group:    33"),
        (
            "stat /dir/owned",
            "security.capability (20) = 01 00 00 02 00 04",
        ),
        ("stat /null", "Device major/minor number: 01:03"),
        ("stat /hard1", "Links: 2"),
        ("stat /link", "Fast link dest: \"dir/owned\""),
        (
            "ea_list /dir/many",
            "system.posix_acl_access (28) = 01 00 00 00 01 00 06 00 02 00 04 00 21 00 00 00",
        ),
        ("ea_list /dir/many", "user.long (300)"),
        ("ea_list /dir/many", "security.selinux (27)"),
    ] {
        let Some((_, text)) = tool("debugfs", &["-R", request], &image) else {
            println!("SKIP: there is no debugfs");
            return;
        };
        assert!(text.contains(expected), "{request}: {text}");
    }
}

#[test]
fn the_bytes_are_always_the_same() {
    // Another digest changes every image with such a partition.
    let digest = openssl::sha::sha256(&written(&tree(), 10 << 20));
    assert_eq!(
        hexadecimal(&digest),
        "75622fcd4eb5b005621169a76ff5f972d81402682aef9dbed461a59d330713e7"
    );
}

#[test]
fn a_file_system_is_as_large_as_it_is_meant_to_be_or_as_what_is_in_it() {
    let tree = tree();
    let size = |least_bytes| Plan::new(&tree, options(least_bytes)).unwrap().size_bytes();
    assert_eq!(size(64 << 20), 64 << 20);
    assert!((3 << 20..5 << 20).contains(&size(0)), "{}", size(0));
    // A last group that is too small for anything is left out.
    assert_eq!(size((128 << 20) + 4096), 128 << 20);
}
