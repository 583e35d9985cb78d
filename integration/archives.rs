//! Foreign programs judge archives and what is around them.

use std::path::{Path, PathBuf};

use overcoat_sandbox::ownership::attributes::{OWNER, Owner};
use rustix::fs::{XattrFlags, setxattr};

use crate::harness::World;
use crate::require::{Tool, tool};

/// Returns a world whose recipe makes an archive of one tree; no package manager and no network are needed.
fn world(format: &str) -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        &format!(
            "[Output]\nFormat={format}\nOutput=out\n\n[Content]\nBaseTrees=base\nSourceDateEpoch=1700000000\n"
        ),
    );
    let long = format!("base/usr/{}/{}", "d".repeat(120), "f".repeat(120));
    world.write(&long, "long names");
    world.write("base/usr/bin/tool", &"#!/bin/sh\n".repeat(200_000));
    fs_err::hard_link(
        world.path("base/usr/bin/tool"),
        world.path("base/usr/bin/twin"),
    )
    .unwrap();
    std::os::unix::fs::symlink("tool", world.path("base/usr/bin/link")).unwrap();
    let owner = Owner {
        uid: 70_000,
        gid: 3_000_000,
    };
    let tool = world.path("base/usr/bin/tool");
    setxattr(&tool, OWNER, &owner.to_bytes(), XattrFlags::empty()).unwrap();
    setxattr(&tool, "user.note", b"a=b%\n", XattrFlags::empty()).unwrap();
    world
}

/// Builds, and returns where the output is.
fn built(world: &World, compression: &str, name: &str) -> PathBuf {
    let option = format!("--compress-output={compression}");
    let build = world.run(&["-f", &option, "--compress-level=1"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    world.path(name)
}

/// Decompresses with a foreign program, which checks the checksums.
fn decompressed(tool: &Tool, path: &Path) -> Vec<u8> {
    tool.output(&["-t".as_ref(), path.as_os_str()]);
    tool.output(&["-d".as_ref(), "-c".as_ref(), path.as_os_str()])
}

#[test]
fn gnu_tar_lists_and_unpacks_the_archive() {
    let tar = require!(tool("tar"));
    let world = world("tar");
    let archive = built(&world, "none", "out.tar");
    let listed = tar.text(&[
        "--xattrs".as_ref(),
        "--numeric-owner".as_ref(),
        "--utc".as_ref(),
        "-tvf".as_ref(),
        archive.as_os_str(),
    ]);
    let words: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let find = |name: &str| {
        let index = words
            .iter()
            .position(|words| words.contains(&name))
            .unwrap();
        (index, words[index][..3].join(" "))
    };
    assert_eq!(find("./").0, 0);
    // The star tells of extended attributes.
    let (_, tool) = find("usr/bin/tool");
    assert_eq!(tool, "-rw-r--r--* 70000/3000000 2000000");
    let (index, _) = find("usr/bin/twin");
    assert_eq!(
        words[index][5..].join(" "),
        "usr/bin/twin link to usr/bin/tool"
    );
    let (_, link) = find("usr/bin/link");
    assert_eq!(link, "lrwxrwxrwx 0/0 0");

    let unpacked = world.path("unpacked");
    fs_err::create_dir(&unpacked).unwrap();
    tar.output(&[
        "--xattrs".as_ref(),
        "--no-same-owner".as_ref(),
        "-C".as_ref(),
        unpacked.as_os_str(),
        "-xf".as_ref(),
        archive.as_os_str(),
    ]);
    let long = format!("usr/{}/{}", "d".repeat(120), "f".repeat(120));
    let read = |name: &str| fs_err::read(unpacked.join(name)).unwrap();
    assert_eq!(read(&long), b"long names");
    assert!(read("usr/bin/twin") == fs_err::read(world.path("base/usr/bin/tool")).unwrap());
    let mut note = [0; 16];
    let length =
        rustix::fs::getxattr(unpacked.join("usr/bin/twin"), "user.note", &mut note[..]).unwrap();
    assert_eq!(note[..length], *b"a=b%\n");
}

#[test]
fn foreign_programs_decompress_what_is_compressed() {
    let tools = [
        ("zstd", "zst", require!(tool("zstd"))),
        ("xz", "xz", require!(tool("xz"))),
        ("gz", "gz", require!(tool("gzip"))),
    ];
    for format in ["tar", "cpio"] {
        let world = world(format);
        let plain = fs_err::read(built(&world, "none", &format!("out.{format}"))).unwrap();
        for (compression, extension, tool) in &tools {
            let path = built(&world, compression, &format!("out.{format}.{extension}"));
            assert!(decompressed(tool, &path) == plain, "{format}.{extension}");
        }
    }
}

#[test]
fn cpio_lists_what_xz_and_gzip_give_back() {
    let (cpio, xz, gzip) = (
        require!(tool("cpio")),
        require!(tool("xz")),
        require!(tool("gzip")),
    );
    let world = world("cpio");
    for (compression, extension, tool) in [("xz", "xz", xz), ("gz", "gz", gzip)] {
        let path = built(&world, compression, &format!("out.cpio.{extension}"));
        let archive = world.path("archive");
        fs_err::write(&archive, decompressed(&tool, &path)).unwrap();
        let listed = cpio.text(&[
            "--list".as_ref(),
            "--quiet".as_ref(),
            "--file".as_ref(),
            archive.as_os_str(),
        ]);
        let found: Vec<_> = listed.lines().filter(|name| name.contains("bin")).collect();
        assert_eq!(
            found,
            ["usr/bin", "usr/bin/link", "usr/bin/tool", "usr/bin/twin"]
        );
    }
}

#[test]
fn xz_of_an_initrd_has_the_check_that_the_kernel_knows() {
    let xz = require!(tool("xz"));
    let world = world("cpio");
    let path = built(&world, "xz", "out.cpio.xz");
    let listed = xz.text(&["--list".as_ref(), "--robot".as_ref(), path.as_os_str()]);
    let file = listed
        .lines()
        .find_map(|line| line.strip_prefix("file\t"))
        .unwrap();
    assert_eq!(file.split('\t').nth(5), Some("CRC32"), "{listed}");
}
