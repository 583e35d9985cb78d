//! Builds with a range of real ids: what packages see, and what stays on disk.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use overcoat::capture::{self, LayerDirectory};
use overcoat::format::erofs;
use overcoat::tree::{DeviceNumber, EntryKind, FileTree, TreePath};

use crate::features::run_on;
use crate::harness::World;
use crate::hostile::copy_tree;
use crate::repository::Repository;
use crate::reproducibility::contents;
use crate::require::{self, tool};
use crate::tutorial;

/// Makes one of everything that has an owner, and writes down what only real ids show. Its attributes are set by system
/// call, for which a minimal system has no program.
const POSTINST: &str = r#"#!/bin/sh -e
mkdir -p /usr/lib/real
cd /usr/lib/real
install -d -o 33 -g 34 -m 2770 directory
printf x > setuid && chown 33:34 setuid && chmod 6755 setuid && ln setuid twin
printf x > capable && chown 0:34 capable
printf x > shared && chown 0:0 shared
ln -s nowhere link && chown -h 33:34 link
mkfifo fifo && chown 33:34 fifo
mknod node c 1 3 && chown 0:6 node
perl -e '
    my $setxattr = `uname -m` =~ /aarch64/ ? 5 : 188;
    sub set {
        my ($file, $name, $value) = @_;
        syscall($setxattr, $file, $name, $value, length $value, 0) == 0 or die "$file: $!";
    }
    my $acl = pack "V", 2;
    $acl .= pack "vvV", @$_ for [1, 6, -1], [2, 6, 33], [4, 4, -1], [16, 6, -1], [32, 0, -1];
    set "shared", "system.posix_acl_access", $acl;
    set "capable", "security.capability", pack "V5", 0x02000001, 0x2000, 0, 0, 0;
'
perl -MPOSIX -e '
    $) = "34 35"; setgid(34); setuid(33);
    umask 077;
    open my $file, ">", "directory/by-user" or die "directory: $!";
    print $file join " ", $<, $(, (-r "/etc/shadow" ? "reads" : "is refused"), (stat "directory")[4, 5];
'
touch /var/mail/inherited
"#;

fn signed_copy() -> World {
    let world = tutorial::world_with("tutorial");
    for key in ["mkosi.key", "mkosi.crt"] {
        let original = tutorial::signed().certificate().with_file_name(key);
        fs_err::copy(original, world.path(key)).unwrap();
    }
    world
}

fn read(directory: &Path) -> FileTree {
    capture::merge(&[LayerDirectory {
        path: directory.into(),
        entry_owners: Vec::new(),
    }])
    .unwrap()
}

/// Asserts that everything below a directory is the caller's, so that it can be removed without any namespace.
#[track_caller]
fn assert_is_mine(directory: &Path) {
    let mine = (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    );
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let owner = (metadata.uid(), metadata.gid());
            assert_eq!(owner, mine, "{}", path.display());
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
}

#[test]
fn tutorial_has_the_bytes_of_a_single_build() {
    require!(require::building());
    if !require::has_range() {
        return;
    }
    let single = tutorial::signed();
    let world = signed_copy();
    let mut command = tutorial::build_command(&world);
    command.arg("--userns=range");
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);

    let (single, range) = (single.output(""), world.path("mkosi.output"));
    assert!(contents(&single) == contents(&range));
    let metadata = |output: &Path| -> BTreeMap<TreePath, _> {
        let tree = read(&output.join("base"));
        tree.iter()
            .map(|(path, entry)| {
                let owner = (entry.uid, entry.gid, entry.modified);
                (path.clone(), (owner, entry.mode, entry.xattrs.clone()))
            })
            .collect()
    };
    let (single, range) = (metadata(&single), metadata(&range));
    for (path, entry) in &single {
        assert_eq!(range.get(path), Some(entry), "/{path}");
    }
    assert_eq!(single.len(), range.len());
    assert_is_mine(&world.path(""));
    assert_is_mine(&world.home());
}

/// Returns a world in which a package is installed on the base image.
fn world_with_package(repository: &Repository) -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nLocalMirror={}\n\n\
             [Output]\nOutput=extension\nOutputDirectory=mkosi.output\nOverlay=yes\n\n\
             [Build]\nCacheDirectory=mkosi.cache\n\n\
             [Content]\nCleanPackageMetadata=no\nBaseTrees=base\nPackages=real\n",
            repository.url()
        ),
    );
    repository.name_in(&world, "local-mirror");
    copy_tree(&tutorial::signed().output("base"), &world.path("base"));
    world
}

#[test]
fn packages_see_real_ids_and_leave_the_callers_files() {
    require!(require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    if !require::has_range() {
        return;
    }
    let repository = Repository::of(&dpkg_deb, "real", Some(POSTINST));
    let world = world_with_package(&repository);
    for format in ["directory", "sysext"] {
        let build = world.run(&["-f", "--userns=range", &format!("--format={format}")]);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
    }
    let output = world.path("mkosi.output/extension");
    let directory = read(&output);
    let image = fs_err::read(world.path("mkosi.output/extension.raw")).unwrap();
    let image = erofs::reader::read_tree(payload(&image)).unwrap();

    for tree in [&directory, &image] {
        assert_eq!(described(tree), EXPECTED);
        let node = tree
            .get(&TreePath::new("usr/lib/real/node").unwrap())
            .unwrap();
        assert!(matches!(
            node.kind,
            EntryKind::CharacterDevice(DeviceNumber { major: 1, minor: 3 })
        ));
        let twins = ["setuid", "twin"].map(|name| {
            let path = TreePath::new(format!("usr/lib/real/{name}")).unwrap();
            tree.get(&path).unwrap().hard_link
        });
        assert!(twins[0].is_some() && twins[0] == twins[1]);
    }
    let written = fs_err::read_to_string(output.join("usr/lib/real/directory/by-user")).unwrap();
    assert_eq!(written, "33 34 35 is refused 33 34");
    // A directory of the base belongs to a group, which is the group of what is made in it.
    let mail = directory.get(&TreePath::new("var/mail/inherited").unwrap());
    assert_eq!(mail.map(|entry| (entry.uid, entry.gid)), Some((0, 8)));
    assert_is_mine(&world.path(""));
    // The layer of one mapping does not answer for the other's.
    let single = world.run(&["-f", "--format=directory"]);
    assert_eq!(single.status, Some(0), "{}", single.stderr);
    assert!(
        single.stderr.contains("main: install packages ...\n"),
        "{}",
        single.stderr
    );
    assert_eq!(described(&read(&output)), EXPECTED);
    assert_is_shut(&world.path(""), "setuid");
}

/// What the maintainer script made: mode, owner and attributes.
const EXPECTED: [&str; 10] = [
    "capable 0644 0:34 security.capability=0100000200200000000000000000000000000000",
    "directory 2770 33:34",
    "directory/by-user 0600 33:34",
    "fifo 0644 33:34",
    "link 0777 33:34",
    "node 0644 0:6",
    "setuid 6755 33:34",
    "shared 0660 0:0 system.posix_acl_access=0200000001000600ffffffff020006002100000004000400ffffffff10000600ffffffff\
     20000000ffffffff",
    "twin 6755 33:34",
    "",
];

fn described(tree: &FileTree) -> Vec<String> {
    let hexadecimal =
        |value: &[u8]| -> String { value.iter().map(|byte| format!("{byte:02x}")).collect() };
    let real = TreePath::new("usr/lib/real").unwrap();
    let mut lines: Vec<String> = tree
        .descendants(&real)
        .map(|(path, entry)| {
            let name = path.to_string();
            let name = name.strip_prefix("usr/lib/real/").unwrap();
            let owner = format!("{}:{}", entry.uid, entry.gid);
            let attributes: String = entry
                .xattrs
                .iter()
                .map(|(name, value)| {
                    format!(" {}={}", String::from_utf8_lossy(name), hexadecimal(value))
                })
                .collect();
            format!("{name} {:04o} {owner}{attributes}", entry.mode)
        })
        .collect();
    lines.push(String::new());
    lines
}

/// Returns the file system of a disk image's first partition.
fn payload(image: &[u8]) -> &[u8] {
    let last_sector: [u8; 8] = image[1024 + 40..1024 + 48].try_into().unwrap();
    let end = (u64::from_le_bytes(last_sector) + 1) * 512;
    &image[1 << 20..usize::try_from(end).unwrap()]
}

/// Asserts that nobody else reaches files of a name, which are set-user-id programs of the caller, and for root of the
/// host's users.
#[track_caller]
fn assert_is_shut(root: &Path, name: &str) {
    let (mut found, mut pending) = (0, vec![(root.to_owned(), false)]);
    while let Some((directory, shut)) = pending.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = fs_err::symlink_metadata(entry.path()).unwrap();
            if metadata.is_dir() {
                let closes = metadata.permissions().mode() & 0o077 == 0;
                pending.push((entry.path(), shut || closes));
            } else if entry.file_name() == name {
                assert!(shut, "{}", entry.path().display());
                found += 1;
            }
        }
    }
    // In both layers of the store and in the output.
    assert_eq!(found, 3);
}

#[test]
fn what_a_killed_build_left_is_cleaned() {
    let unshare = require!(tool("unshare"));
    if !require::has_range() {
        return;
    }
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    // The directory of a build of which nothing holds the lock any more.
    let name = "0123456789abcdef0123456789abcdef";
    let staging = world.home().join(".cache/overcoat/staging");
    fs_err::create_dir_all(&staging).unwrap();
    let script =
        "mkdir -p $0/tree/a/b && : > $0.lock && : > $0/tree/a/b/file && chown -R 33:34 $0/tree &&
        chmod 700 $0/tree/a";
    let mut left = match require::is_root() {
        true => Command::new("/bin/sh"),
        false => Command::new(unshare.path()),
    };
    if !require::is_root() {
        left.args(["--map-root-user", "--map-auto", "/bin/sh"]);
    }
    let left = left
        .args(["-c", script, name])
        .current_dir(&staging)
        .status();
    assert!(left.unwrap().success());

    if !require::is_root() {
        // Where newuidmap cannot work, it stays and is told.
        let refused = run_on(&world, &["--user", "--map-root-user"], "true", &["clean"]);
        refused.assert_failed(
            1,
            "error: emptying the store\n  \
             caused by: removing the abandoned staging directory \
             `<world>/home/.cache/overcoat/staging/0123456789abcdef0123456789abcdef`\n  \
             caused by: Permission denied (os error 13)\n\n\
             hint: a build with `--userns=range` that was killed leaves files of subordinate ids; `overcoat clean` \
             removes them where `overcoat doctor` finds that range\n",
        );
    }
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert_eq!(fs_err::read_dir(&staging).unwrap().count(), 0);
}
