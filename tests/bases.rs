//! Trees to build on, and to add, that are no directories.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use overcoat::format::tar;
use overcoat::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};
use overcoat_sandbox::ownership::attributes::{OWNER, Owner};
use rustix::fs::XattrFlags;

use crate::harness::World;

const OUTPUT: &str = "[Distribution]\nDistribution=debian\nRelease=bookworm\nArchitecture=x86-64\n\
                      [Build]\nEnvironment=SOURCE_DATE_EPOCH=1700000000\n";

/// Returns a world with a small system in the directory `base`.
fn world() -> World {
    let world = World::new();
    world.write("mkosi.conf", OUTPUT);
    world.write(
        "base/etc/passwd",
        "root:x:0:0::/:/bin/sh\nmail:x:8:8::/:/bin/sh\n",
    );
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=12\n");
    world.write("base/usr/bin/tool", "#!/bin/sh\n");
    let tool = world.path("base/usr/bin/tool");
    let owner = Owner { uid: 8, gid: 12 }.to_bytes();
    rustix::fs::setxattr(&tool, OWNER, &owner, XattrFlags::empty()).unwrap();
    fs::set_permissions(&tool, PermissionsExt::from_mode(0o4755)).unwrap();
    fs::hard_link(&tool, world.path("base/usr/bin/other")).unwrap();
    fs::os::unix::fs::symlink("usr/bin", world.path("base/bin")).unwrap();
    for name in ["usr/bin", "usr/lib", "usr", "etc"] {
        let directory = world.path(format!("base/{name}"));
        fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    }
    world
}

/// Builds an image, and returns what was said.
fn build(world: &World, options: &[&str]) -> String {
    let build = world.run(&[&["-f"], options].concat());
    assert_eq!(build.status, Some(0), "{options:?}: {}", build.stderr);
    build.stderr
}

/// Builds an archive on a base, and returns its bytes.
fn archive_of(world: &World, base: &str) -> Vec<u8> {
    let base = format!("--base-tree={base}");
    let options = [
        "--format=tar",
        "--compress-output=no",
        "--output=result",
        &base,
    ];
    build(world, &options);
    fs::read(world.path("result.tar")).unwrap()
}

fn archive(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut tree = FileTree::new(Entry::directory(Timestamp::default())).unwrap();
    for (name, entry) in entries {
        tree.insert(TreePath::new(name).unwrap(), entry.clone())
            .unwrap();
    }
    let mut bytes = Vec::new();
    tar::write(&tree, &mut bytes).unwrap();
    bytes
}

fn file(content: &str) -> Entry {
    let content = Content::from_bytes(content.as_bytes());
    Entry::new(EntryKind::Regular(content), 0o644, Timestamp::default())
}

#[test]
fn a_system_is_the_same_on_a_base_of_every_form() {
    let world = world();
    let expected = archive_of(&world, "base");
    for (number, (options, end)) in [
        (&["--format=tar", "--compress-output=no"][..], ".tar"),
        (&["--format=tar", "--compress-output=zstd"], ".tar.zst"),
        (&["--format=tar", "--compress-output=xz"], ".tar.xz"),
        (&["--format=tar", "--compress-output=gz"], ".tar.gz"),
        (&["--format=oci"], ""),
        (&["--format=disk"], ".raw"),
        (&["--format=disk", "--compress-output=zstd"], ".raw.zst"),
    ]
    .into_iter()
    .enumerate()
    {
        let output = format!("--output=form-{number}");
        build(&world, &[options, &[&output, "--base-tree=base"]].concat());
        let found = archive_of(&world, &format!("form-{number}{end}"));
        assert!(found == expected, "{options:?}");
    }
}

#[test]
fn a_base_is_unpacked_once() {
    let world = world();
    build(
        &world,
        &["--format=tar", "--output=form", "--base-tree=base"],
    );
    let layers = || {
        let found = fs::read_dir(world.home().join(".cache/overcoat/layers"));
        found.map_or(0, Iterator::count)
    };
    archive_of(&world, "form.tar.zst");
    assert_eq!(layers(), 1);
    archive_of(&world, "form.tar.zst");
    assert_eq!(layers(), 1);
}

#[test]
fn the_last_of_several_bases_wins_for_overlays_too() {
    let world = world();
    world.write("second/usr/bin/tool", "second");
    world.write("second/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    let third = archive(&[
        ("usr", Entry::directory(Timestamp::default())),
        ("usr/bin", Entry::directory(Timestamp::default())),
        ("usr/bin/tool", file("third")),
    ]);
    fs::write(world.path("third.tar"), third).unwrap();
    let bases = [
        "--base-tree=base",
        "--base-tree=second",
        "--base-tree=third.tar",
    ];
    let options = ["--format=directory", "--output=whole"];
    build(&world, &[&bases[..], &options].concat());
    let read = |name: &str| fs::read_to_string(world.path(name)).unwrap();
    assert_eq!(read("whole/usr/bin/tool"), "third");
    assert_eq!(read("whole/usr/bin/other"), "#!/bin/sh\n");
    assert!(read("whole/usr/lib/os-release").contains("VERSION_ID=13"));

    world.write("extra/usr/bin/added", "");
    let options = [
        "--format=sysext",
        "--overlay=yes",
        "--output=extension",
        "--extra-tree=extra",
        "--verity=disabled",
    ];
    build(&world, &[&bases[..], &options].concat());
    let image = world.path("extension.raw");
    let release = "usr/lib/extension-release.d/extension-release.extension";
    let extracted = world.path("extracted");
    let arguments = [
        "extract".as_ref(),
        image.as_os_str(),
        "--output".as_ref(),
        extracted.as_os_str(),
    ];
    assert_eq!(world.run(&arguments).status, Some(0));
    assert!(read(&format!("extracted/{release}")).contains("VERSION_ID=13"));
    assert!(world.path("extracted/usr/bin/added").is_file());
    assert!(!world.path("extracted/usr/bin/tool").exists());
}

#[test]
fn a_damaged_image_is_no_base() {
    let world = world();
    world.write("base/usr/lib/systemd/system/form.service", "[Service]\n");
    let options = [
        "--format=portable",
        "--verity=hash",
        "--output=form",
        "--base-tree=base",
    ];
    build(&world, &options);
    let path = world.path("form.raw");
    let mut image = fs::read(&path).unwrap();
    // The identifier in the superblock of the file system, in the first partition.
    image[(1 << 20) + 1024 + 48] ^= 1;
    fs::write(&path, image).unwrap();
    let failed = world.run(&[
        "-f",
        "--format=tar",
        "--output=result",
        "--base-tree=form.raw",
    ]);
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    let told = "caused by: the image `<world>/recipe/form.raw` is damaged\n";
    assert!(failed.stderr.contains(told), "{}", failed.stderr);
    assert!(!world.path("result.tar.zst").exists());
}

/// Returns the members of an archive without the root, which is the first, and the zeros at the end.
fn members(archive: &[u8]) -> &[u8] {
    let end = archive.iter().rposition(|byte| *byte != 0).unwrap();
    &archive[512..(end + 1).next_multiple_of(512)]
}

#[test]
fn archives_that_lead_out_of_the_tree_do_not() {
    let world = world();
    let canary = world.path("canary");
    fs::create_dir(&canary).unwrap();
    let outside = canary.to_string_lossy().into_owned();
    let mut bytes = Vec::new();
    for target in [outside.as_str(), "../../../../opt/in"] {
        let kind = EntryKind::Symlink(target.into());
        let link = archive(&[("a", Entry::new(kind, 0o777, Timestamp::default()))]);
        let directory = Entry::directory(Timestamp::default());
        let below = archive(&[("a", directory), ("a/x", file("x"))]);
        bytes.extend_from_slice(members(&link));
        bytes.extend_from_slice(&members(&below)[512..]);
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(world.path("trick.tar"), &bytes).unwrap();
    build(
        &world,
        &[
            "--format=directory",
            "--output=result",
            "--base-tree=trick.tar",
        ],
    );
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    assert!(!world.path("../opt").exists());
    assert!(world.path("result/opt/in/x").is_file());

    let mut climbing = archive(&[("aaaa", file("x"))]);
    let header = &mut climbing[512..1024];
    header[..5].copy_from_slice(b"../x\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    fs::write(world.path("climb.tar"), &climbing).unwrap();
    let failed = world.run(&["-f", "--format=tar", "--base-tree=climb.tar"]);
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    let told = "caused by: the name `../x` of the member at byte 512 cannot be in a tree: `..` is not allowed\n";
    assert!(failed.stderr.contains(told), "{}", failed.stderr);
    assert!(!Path::new("x").exists());
}

#[test]
fn a_bomb_takes_no_more_than_the_person_lets_it() {
    let world = world();
    let zeros = archive(&[("zeros", file(&"\0".repeat(32 << 20)))]);
    let bomb = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    assert!(bomb.len() < 64 << 10);
    fs::write(world.path("bomb.tar.zst"), bomb).unwrap();
    let options = [
        "-f",
        "--format=tar",
        "--limit=disk=16M",
        "--base-tree=bomb.tar.zst",
    ];
    let failed = world.run(&options);
    assert_eq!(failed.status, Some(1), "{}", failed.stderr);
    let told = "`<world>/recipe/bomb.tar.zst` holds more than 16777216 bytes, which is the most that a build may use";
    assert!(failed.stderr.contains(told), "{}", failed.stderr);
}

#[test]
fn extra_trees_are_files_and_archives_too() {
    let world = world();
    world.write("some.conf", "some");
    let mut owned = file("owned");
    (owned.uid, owned.gid, owned.mode) = (1000, 1000, 0o600);
    let directory = Entry::directory(Timestamp::default());
    let extra = archive(&[
        ("etc", directory.clone()),
        ("etc/owned", owned),
        ("run", directory),
        ("run/left-out", file("")),
    ]);
    // It is found by its name.
    fs::write(world.path("mkosi.extra.tar"), extra).unwrap();
    build(
        &world,
        &[
            "--format=directory",
            "--output=result",
            "--base-tree=base",
            "--extra-tree=some.conf:/etc/conf.d/other.conf",
        ],
    );
    let read = |name: &str| fs::read_to_string(world.path(format!("result/{name}"))).unwrap();
    assert_eq!(read("etc/conf.d/other.conf"), "some");
    assert_eq!(read("etc/owned"), "owned");
    let mut owner = vec![0; 64];
    let place = world.path("result/etc/owned");
    let length = rustix::fs::getxattr(&place, OWNER, &mut owner).unwrap();
    let expected = Owner {
        uid: 1000,
        gid: 1000,
    };
    assert_eq!(owner[..length], expected.to_bytes());
    assert!(!world.path("result/run/left-out").exists());
}

#[test]
fn a_key_is_no_tree_of_an_image() {
    let world = world();
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    for option in ["--extra-tree=mkosi.key:/etc/x", "--base-tree=mkosi.key"] {
        let refused = world.run(&["-f", "--format=tar", option]);
        assert_eq!(refused.status, Some(2), "{}", refused.stderr);
        let told = "the tree `<world>/recipe/mkosi.key` holds the signing key";
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
}
