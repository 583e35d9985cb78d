use std::os::unix::fs::PermissionsExt;

use overcoat::tree::{EntryKind, FileTree, TreePath};
use overcoat_sandbox::ownership::attributes::{OWNER, Owner};
use rustix::fs::XattrFlags;

use crate::harness::World;

#[test]
fn wrong_recipe_is_told_with_file_and_line_before_anything_is_built() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nOutputDirectory=mkosi.output\nFormat=cpioo\n\n[Content]\nMakeInitrd=perhaps\n",
    );
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(2));
    assert_eq!(build.stdout, "");
    for place in ["mkosi.conf:3", "mkosi.conf:6"] {
        assert_eq!(build.stderr.matches(place).count(), 1, "{}", build.stderr);
    }
    assert!(!world.path("mkosi.output").exists());
}

#[test]
fn output_directory_that_cannot_be_written_is_told_before_anything_is_built() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    world
        .run(&["-f", "--output-directory=/proc/self"])
        .assert_failed(
            1,
            "error: publishing the outputs\n  \
             caused by: preparing the output directory `/proc/self`\n  \
             caused by: No such file or directory (os error 2)\n\n\
             hint: name a directory that you can write to with `OutputDirectory=`\n",
        );
}

/// Returns a world whose recipe makes an extension of one tree; no package manager and no network are needed.
fn extension() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nOutput=tools\n\n[Content]\nExtraTrees=tree\n",
    );
    world.write("tree/usr/bin/tool", "#!/bin/sh\n");
    world.write("tree/etc/tool.conf", "");
    world
}

/// Returns the tree in the file system of a disk image's first partition.
fn tree(image: &[u8]) -> FileTree {
    let payload = partition(image, 512, 0);
    overcoat::format::erofs::reader::read_tree(payload).unwrap()
}

fn names(image: &[u8]) -> Vec<String> {
    let tree = tree(image);
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn skeleton_trees_are_below_extra_trees() {
    let world = extension();
    world.write("mkosi.skeleton/usr/bin/tool", "below");
    world.write("mkosi.skeleton/usr/share/tool/below", "kept");
    assert_eq!(world.run(&["-f"]).status, Some(0));
    let tree = tree(&fs_err::read(world.path("tools.raw")).unwrap());
    let content = |path: &str| {
        let entry = tree.get(&TreePath::new(path).unwrap()).unwrap();
        let EntryKind::Regular(content) = &entry.kind else {
            panic!("{path}: {entry:?}");
        };
        content.read_all().unwrap()
    };
    assert_eq!(content("usr/bin/tool"), b"#!/bin/sh\n");
    assert_eq!(content("usr/share/tool/below"), b"kept");
}

#[test]
fn extension_of_a_tree_holds_its_hierarchies_and_its_release() {
    let world = extension();
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let left_out = "`/etc/tool.conf` is configuration, which a sysext does not bring; ship it in a confext, or below \
                    `/usr/share/factory` with `C /etc/tool.conf - - - -` in a file of `/usr/lib/tmpfiles.d`";
    let told = format!("warning: main: {left_out}");
    assert!(
        build.stderr.lines().any(|line| line == told),
        "{}",
        build.stderr
    );
    let image = fs_err::read(world.path("tools.raw")).unwrap();
    assert_eq!(
        names(&image),
        [
            "",
            "usr",
            "usr/bin",
            "usr/bin/tool",
            "usr/lib",
            "usr/lib/extension-release.d",
            "usr/lib/extension-release.d/extension-release.tools",
        ]
    );
    let link = fs_err::read_link(world.path("tools")).unwrap();
    assert_eq!(link.to_str(), Some("tools.raw"));
    let again = world.run(&["-f"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert!(fs_err::read(world.path("tools.raw")).unwrap() == image);
}

#[test]
fn files_are_labelled_by_a_file_of_contexts_without_root_or_policy() {
    let world = extension();
    let recipe = fs_err::read_to_string(world.path("mkosi.conf")).unwrap();
    world.write(
        "mkosi.conf",
        &format!("{recipe}[Overcoat]\nFileContexts=contexts\n"),
    );
    world.write(
        "contexts",
        "/usr(/.*)? system_u:object_r:usr_t:s0\n/usr/bin/.* -- system_u:object_r:bin_t:s0\n/usr/lib <<none>>\n",
    );
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let tree = tree(&fs_err::read(world.path("tools.raw")).unwrap());
    let label = |name: &str| {
        let entry = tree.get(&TreePath::new(name).unwrap()).unwrap();
        let value = entry.xattrs.get(b"security.selinux".as_slice());
        value.map(|value| String::from_utf8(value.clone()).unwrap())
    };
    for (name, expected) in [
        ("", None),
        ("usr", Some("system_u:object_r:usr_t:s0\0")),
        ("usr/bin", Some("system_u:object_r:usr_t:s0\0")),
        ("usr/bin/tool", Some("system_u:object_r:bin_t:s0\0")),
        ("usr/lib", None),
    ] {
        assert_eq!(label(name).as_deref(), expected, "{name}");
    }
    world.write("contexts", "/usr usr_t\n");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    let told = "caused by: line 1: `usr_t` is no context, such as `system_u:object_r:usr_t:s0`, nor `<<none>>`";
    assert!(build.stderr.contains(told), "{}", build.stderr);
}

#[test]
fn a_policy_that_is_asked_for_has_to_be_there() {
    let world = extension();
    let build = world.run(&["-f", "--selinux-relabel=yes"]);
    assert_eq!(build.status, Some(1), "{}", build.stderr);
    let told = "error: building the image `main`\n  caused by: image `main` is to be labelled for SELinux, and neither \
                it nor its base has a policy\n\nhint: install one, such as";
    assert!(build.stderr.contains(told), "{}", build.stderr);
}

#[test]
fn confext_of_a_tree_holds_etc_and_its_release() {
    let world = extension();
    let build = world.run(&[
        "-f",
        "--format=confext",
        "--environment=CONFEXT_SCOPE=system",
    ]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let left_out = "`/usr/bin/tool` is outside of `/etc` and not in the extension; `Format=sysext` makes an extension of \
                    `/usr` and `/opt`";
    let told = format!("warning: main: {left_out}");
    assert!(
        build.stderr.lines().any(|line| line == told),
        "{}",
        build.stderr
    );
    let image = fs_err::read(world.path("tools.raw")).unwrap();
    assert_eq!(
        names(&image),
        [
            "",
            "etc",
            "etc/extension-release.d",
            "etc/extension-release.d/extension-release.tools",
            "etc/tool.conf",
        ]
    );
    let release = tree(&image)
        .get(&TreePath::new("etc/extension-release.d/extension-release.tools").unwrap())
        .and_then(|entry| match &entry.kind {
            EntryKind::Regular(content) => content.read_all().ok(),
            _ => None,
        });
    let architecture = overcoat::recipe::Architecture::of_machine(std::env::consts::ARCH).unwrap();
    assert_eq!(
        String::from_utf8(release.unwrap()).unwrap(),
        format!("ID=_any\nCONFEXT_SCOPE=system\nARCHITECTURE={architecture}\n")
    );
}

#[test]
fn portable_service_of_a_tree_has_an_os_release_and_mount_points() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=portable\nOutput=web\n\n[Content]\nBaseTrees=base\nExtraTrees=tree\n",
    );
    world.write("base/usr/lib/os-release", "ID=debian\n");
    world.write("tree/usr/lib/systemd/system/web.service", "");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let image = fs_err::read(world.path("web.raw")).unwrap();
    let names = names(&image);
    for name in [
        "proc",
        "etc/machine-id",
        "usr/lib/systemd/system/web.service",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
    fs_err::remove_file(world.path("base/usr/lib/os-release")).unwrap();
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(2), "{}", build.stderr);
    let told = "caused by: `main` is no portable service\n  \
                caused by: the tree has neither `usr/lib/os-release` nor `etc/os-release`\n";
    assert!(build.stderr.contains(told), "{}", build.stderr);
    assert!(fs_err::read(world.path("web.raw")).unwrap() == image);
}

/// Returns the bytes of a partition, the first of which is 0.
fn partition(image: &[u8], sector: usize, number: usize) -> &[u8] {
    let entry = 2 * sector + 128 * number;
    let lba = |offset: usize| {
        let bytes: [u8; 8] = image[entry + offset..entry + offset + 8]
            .try_into()
            .unwrap();
        usize::try_from(u64::from_le_bytes(bytes)).unwrap() * sector
    };
    &image[lba(32)..lba(40) + sector]
}

#[test]
fn parts_of_an_image_are_files_of_their_own_and_in_the_checksums() {
    let world = extension();
    let build = world.run(&[
        "-f",
        "--verity=defer",
        "--split-artifacts=partitions",
        "--checksum",
        "--architecture=x86-64",
    ]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert_eq!(
        build.stderr.matches("SIGNED").count(),
        0,
        "{}",
        build.stderr
    );
    let read = |name: &str| fs_err::read(world.path(name)).unwrap();
    let image = read("tools.raw");
    let parts = [
        "tools.root-x86-64.raw",
        "tools.root-x86-64-verity.raw",
        "tools.root-x86-64-verity-sig.raw",
    ];
    for (number, name) in parts.into_iter().enumerate() {
        assert!(read(name) == partition(&image, 512, number), "{name}");
    }
    assert_eq!(read(parts[2]), vec![0; 16384]);
    let root_hash = String::from_utf8(read("tools.roothash")).unwrap();
    // The partition's UUID, whose first three numbers are little-endian on disk.
    let uuid = &image[1024 + 16..1024 + 32];
    let first: Vec<u8> = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        .map(|index: usize| uuid[index])
        .to_vec();
    let first: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(root_hash.len(), 64);
    assert_eq!(&root_hash[..32], first);
    let sums = String::from_utf8(read("tools.SHA256SUMS")).unwrap();
    let names: Vec<_> = sums.lines().map(|line| &line[66..]).collect();
    assert_eq!(
        names,
        [
            "tools.raw",
            "tools.root-x86-64-verity-sig.raw",
            "tools.root-x86-64-verity.raw",
            "tools.root-x86-64.raw",
            "tools.roothash",
        ]
    );
    let clean = world.run(&[
        "clean",
        "--verity=defer",
        "--split-artifacts=partitions",
        "--architecture=x86-64",
    ]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    for name in names {
        assert!(!world.path(name).exists(), "{name}");
    }
}

#[test]
fn partition_table_counts_in_the_sectors_of_the_recipe() {
    let world = extension();
    for sector in [512_usize, 1024, 2048, 4096] {
        let option = format!("--sector-size={sector}");
        let build = world.run(&["-f", "--verity=disabled", &option]);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        let image = fs_err::read(world.path("tools.raw")).unwrap();
        assert_eq!(&image[sector..sector + 8], b"EFI PART");
        // The magic of EROFS, 1 KiB into the file system.
        let payload = partition(&image, sector, 0);
        assert_eq!(payload[1024..1028], [0xe2, 0xe1, 0xf5, 0xe0]);
    }
    world.run(&["-f", "--sector-size=100"]).assert_failed(
        2,
        "error: --sector-size: `SectorSize=` is `100`, expected 512, 1024, 2048 or 4096\n",
    );
}

#[test]
fn image_without_a_signature_is_told_unless_that_is_meant() {
    let world = extension();
    let told = "the image is NOT SIGNED and nothing guards it against changes, because there is no key \
                (`VerityKey=`); make both with `overcoat genkey`, or say with `Verity=disabled` that it is meant";
    let warning = format!("warning: main: {told}");
    let warnings = |arguments: &[&str]| {
        let build = world.run(arguments);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        build.stderr.lines().filter(|line| *line == warning).count()
    };
    assert_eq!(warnings(&["-f"]), 1);
    for meant in ["disabled", "hash", "defer"] {
        assert_eq!(warnings(&["-f", &format!("--verity={meant}")]), 0);
    }
    let build = world.run(&["-f", "--json"]);
    let event = serde_json::json!({ "event": "warning", "image": "main", "text": told });
    let events = build.stdout.lines();
    let events = events.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(events.filter(|found| *found == event).count(), 1);
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    assert_eq!(warnings(&["-f"]), 0);
}

#[test]
fn owner_that_was_given_out_during_a_build_is_told() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Distribution]\nDistribution=debian\nRelease=bookworm\n\n\
         [Output]\nFormat=sysext\n\n[Content]\nBaseTrees=tree\n",
    );
    world.write("tree/etc/passwd", "to\x1b[2Jol:x:998:998:::\n");
    world.write("tree/usr/lib/os-release", "ID=debian\n");
    for (name, uid) in [("games", 5), ("a", 998), ("b", 998), ("c", 998)] {
        world.write(&format!("tree/usr/bin/{name}"), "");
        let path = world.path(format!("tree/usr/bin/{name}"));
        let owner = Owner { uid, gid: 0 }.to_bytes();
        rustix::fs::setxattr(&path, OWNER, &owner, XattrFlags::empty()).unwrap();
        let mode = if name == "b" { 0o4755 } else { 0o755 };
        fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let told: Vec<_> = build
        .stderr
        .lines()
        .filter(|line| line.contains("/usr/bin"))
        .collect();
    let remedy = "fix the number in a `sysusers.d` file of the extension, use a static id, or leave it to root";
    let elsewhere = "machines that are not made from this very base";
    assert_eq!(
        told,
        [
            format!(
                "warning: main: `/usr/bin/b` is set-user-id to `to^[[2Jol` (998): it runs with the rights of whoever \
                 has that number on {elsewhere}; {remedy} without the set-id bit"
            ),
            format!(
                "warning: main: `/usr/bin/a` and 1 more belong to the user `to^[[2Jol` (998), whose number is another \
                 user's or nobody's on {elsewhere}; {remedy} and make what needs the owner at boot with `tmpfiles.d`"
            ),
        ]
    );
}

#[test]
fn what_no_build_made_stays_where_it_is() {
    let world = extension();
    world.write("tools/mine", "kept");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert!(world.path("tools.raw").is_file());
    let refused = world.run(&["-f", "--format=directory"]);
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(!world.path("tools.raw").exists());
    assert_eq!(fs_err::read(world.path("tools/mine")).unwrap(), b"kept");
}

#[test]
fn signing_key_does_not_get_into_an_image() {
    let world = extension();
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    let refused = world.run(&["-f", "--extra-tree=."]);
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("holds the signing key"),
        "{}",
        refused.stderr
    );
    assert!(!world.path("tools.raw").exists());
}

#[test]
fn range_that_the_host_does_not_give_is_told_before_anything_is_built() {
    let world = extension();
    let report = world.run(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let range = &report["id_mappings"][1];
    let build = world.run(&["-f", "--userns=range"]);
    if range["status"] == "available" {
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        return;
    }
    let text = |field: &str| range[field].as_str().unwrap();
    build.assert_failed(
        3,
        &format!("error: {}\n\nhint: {}\n", text("cause"), text("remedy")),
    );
    assert!(!world.path("tools.raw").exists());
}
