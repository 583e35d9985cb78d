//! Foreign programs and the verbs that read images agree.

use std::path::Path;
use std::process::Command;

use crate::harness::World;
use crate::require::{Tool, building, tool};

/// What mkfs.erofs 1.5 and later can do with a tree.
const OPTIONS: [&[&str]; 7] = [
    &[],
    &["-Enoinline_data"],
    &["-zlz4"],
    &["-zlz4hc", "-C65536"],
    &["-zlz4", "-C65536", "-Eztailpacking"],
    &["-zlz4", "-Elegacy-compress"],
    &["-zlz4hc", "-Eforce-inode-extended"],
];

/// Makes a tree with files of all lengths that matter, some of which can be compressed.
fn make_tree(world: &World) {
    let words = "the same words again and again, which can be compressed\n";
    for length in [0, 1, 4095, 4096, 4097, 70_000, 1_500_000] {
        let text: String = words.chars().cycle().take(length).collect();
        world.write(&format!("tree/text/{length}"), &text);
        let mut state = 1_u32;
        let noise: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + u8::try_from(state >> 24 & 63).unwrap())
        })
        .take(length)
        .collect();
        world.write(&format!("tree/noise/{length}"), &noise);
        world.write(&format!("tree/mixed/{length}"), &(text + &noise));
    }
    std::os::unix::fs::symlink("text/1", world.path("tree/link")).unwrap();
    fs_err::hard_link(world.path("tree/text/1"), world.path("tree/linked")).unwrap();
}

fn run(program: &Tool, arguments: &[&str], directory: &Path) {
    let output = Command::new(program.path())
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn images_of_another_program_are_read_as_it_meant_them() {
    let mkfs = require!(tool("mkfs.erofs"));
    let world = World::new();
    make_tree(&world);
    for options in OPTIONS {
        let image = world.path("image");
        if image.exists() {
            fs_err::remove_file(&image).unwrap();
        }
        let arguments = [&["--all-root"], options, &["image", "tree"]].concat();
        run(&mkfs, &arguments, &world.path(""));
        let same = world.run(&["diff", "image", "tree"]);
        assert_eq!(
            (same.status, same.stdout.as_str()),
            (Some(0), ""),
            "{options:?}: {}",
            same.stderr
        );
        let verified = world.run(&["verify", "image"]);
        assert_eq!(verified.status, Some(0), "{options:?}: {}", verified.stdout);
    }
}

#[test]
fn squashfs_images_of_another_program_are_read_as_it_meant_them() {
    let mksquashfs = require!(tool("mksquashfs"));
    let world = World::new();
    make_tree(&world);
    for compression in ["gzip", "xz", "lz4", "zstd"] {
        let arguments = [
            "tree",
            "image",
            "-noappend",
            "-all-root",
            "-comp",
            compression,
        ];
        run(&mksquashfs, &arguments, &world.path(""));
        // Squashfs has whole seconds.
        let same = world.run(&["diff", "--ignore-times", "image", "tree"]);
        assert_eq!(
            (same.status, same.stdout.as_str()),
            (Some(0), ""),
            "{compression}: {}",
            same.stderr
        );
    }
}

#[test]
fn what_is_extracted_is_what_another_program_extracts() {
    let (mkfs, fsck) = (require!(tool("mkfs.erofs")), require!(tool("fsck.erofs")));
    let world = World::new();
    make_tree(&world);
    let arguments = ["--all-root", "-zlz4hc", "-C65536", "image", "tree"];
    run(&mkfs, &arguments, &world.path(""));
    let arguments = ["--extract=theirs", "--no-preserve-owner", "image"];
    run(&fsck, &arguments, &world.path(""));
    let extracted = world.run(&["extract", "--output=ours", "image"]);
    assert_eq!(extracted.status, Some(0), "{}", extracted.stderr);
    let same = world.run(&["diff", "--ignore-times", "ours", "theirs"]);
    // The program makes copies of hard links.
    let differences: Vec<_> = same.stdout.lines().collect();
    let expected = ["! /text/1: hard link to /linked / -"];
    assert!(
        differences.is_empty() || differences == expected,
        "{differences:?} {}",
        same.stderr
    );
}

#[test]
fn partitions_are_those_that_sfdisk_sees() {
    let sfdisk = require!(building().and_then(|()| tool("sfdisk")));
    let world = World::new();
    let recipe = "[Output]\nFormat=sysext\nOutput=tools\n[Content]\nExtraTrees=tree\n";
    world.write(
        "mkosi.conf",
        &format!("{recipe}[Validation]\nVerity=hash\n"),
    );
    world.write("tree/usr/bin/tool", "#!/bin/sh\n");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let inspected = world.run(&["inspect", "--json", "tools.raw"]);
    let ours: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    let output = Command::new(sfdisk.path())
        .arg("--json")
        .arg(world.path("tools.raw"))
        .output()
        .unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let theirs = &theirs["partitiontable"];
    let ours = &ours["partition_table"];
    let upper = |value: &serde_json::Value| value.as_str().unwrap().to_uppercase();
    assert_eq!(upper(&ours["disk"]), theirs["id"]);
    let partitions = theirs["partitions"].as_array().unwrap();
    assert_eq!(
        ours["partitions"].as_array().unwrap().len(),
        partitions.len()
    );
    for (ours, theirs) in ours["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(partitions)
    {
        assert_eq!(upper(&ours["type"]), theirs["type"]);
        assert_eq!(upper(&ours["uuid"]), theirs["uuid"]);
        assert_eq!(ours["name"], theirs["name"]);
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        assert_eq!(
            number(&ours["offset_bytes"]),
            number(&theirs["start"]) * 512
        );
        assert_eq!(number(&ours["size_bytes"]), number(&theirs["size"]) * 512);
    }
    let verified = world.run(&["verify", "tools.raw"]);
    assert_eq!(verified.status, Some(0), "{}", verified.stdout);
}
