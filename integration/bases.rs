//! Foreign programs make what we build on: GNU tar its archives, umoci and skopeo their layouts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::World;
use crate::require::tool;

/// Returns a world with files that archives have several forms for.
fn world() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=tar\nCompressOutput=no\nOutput=out\n\n[Content]\nSourceDateEpoch=1700000000\n",
    );
    let long = format!("tree/usr/{}/{}", "d".repeat(120), "f".repeat(120));
    world.write(&long, "long names");
    world.write("tree/usr/bin/tool", &"#!/bin/sh\n".repeat(20_000));
    let (tool, twin) = (
        world.path("tree/usr/bin/tool"),
        world.path("tree/usr/bin/twin"),
    );
    fs_err::hard_link(tool, twin).unwrap();
    let target = format!("../{}", "t".repeat(120));
    std::os::unix::fs::symlink(target, world.path("tree/usr/bin/link")).unwrap();
    let sparse = world.path("tree/usr/sparse");
    world.write("tree/usr/sparse", "start");
    let file = fs_err::OpenOptions::new().write(true).open(sparse).unwrap();
    file.set_len(3 << 20).unwrap();
    world
}

/// Builds on `base`, and returns what GNU tar says is in the image.
fn built_on(world: &World, base: &str) -> BTreeSet<String> {
    let tar = tool("tar").expect("the caller has asked for it");
    let option = format!("--base-tree={base}");
    let build = world.run(&["-f", &option]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let archive = world.path("out.tar");
    let unpacked = world.path("unpacked");
    let _ = fs_err::remove_dir_all(&unpacked);
    fs_err::create_dir(&unpacked).unwrap();
    tar.output(&[
        "--directory".as_ref(),
        unpacked.as_os_str(),
        "--no-same-owner".as_ref(),
        "-xf".as_ref(),
        archive.as_os_str(),
    ]);
    for name in ["usr/bin/tool", "usr/bin/twin", "usr/sparse"] {
        let read = |tree: &str| fs_err::read(world.path(tree).join(name)).unwrap();
        assert!(read("unpacked") == read("tree"), "{base}: {name}");
    }
    let options = ["--numeric-owner", "--utc", "-tvf"].map(AsRef::as_ref);
    let listed = tar.text(&[&options[..], &[archive.as_os_str()]].concat());
    listed
        .lines()
        .filter(|line| line.contains(" usr/"))
        .map(str::to_owned)
        .collect()
}

fn archive(world: &World, name: &str, options: &[&str]) {
    let tar = tool("tar").expect("the caller has asked for it");
    let (tree, place) = (world.path("tree"), world.path(name));
    let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(AsRef::as_ref).collect();
    arguments.extend([
        "--directory".as_ref(),
        tree.as_os_str(),
        "-cf".as_ref(),
        place.as_os_str(),
        ".".as_ref(),
    ]);
    tar.output(&arguments);
}

#[test]
fn archives_of_gnu_tar_in_every_form_make_the_same_image() {
    require!(tool("tar"));
    let world = world();
    let common = [
        "--numeric-owner",
        "--owner=70000",
        "--group=80000",
        "--mtime=@1500000000",
    ];
    archive(
        &world,
        "gnu.tar",
        &[&common[..], &["--format=gnu"]].concat(),
    );
    let expected = built_on(&world, "gnu.tar");
    let tool = expected.iter().find(|line| line.contains(" usr/bin/tool"));
    let tool = tool.unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(tool[1..3], ["70000/80000", "200000"]);
    for (name, options) in [
        ("pax.tar", &["--format=posix"][..]),
        ("sparse.tar", &["--format=gnu", "--sparse"]),
        (
            "sparse-0.0.tar",
            &["--format=posix", "--sparse", "--sparse-version=0.0"],
        ),
        (
            "sparse-0.1.tar",
            &["--format=posix", "--sparse", "--sparse-version=0.1"],
        ),
        (
            "sparse-1.0.tar",
            &["--format=posix", "--sparse", "--sparse-version=1.0"],
        ),
        ("gnu.tar.gz", &["--format=gnu", "--gzip"]),
        ("gnu.tar.xz", &["--format=gnu", "--xz"]),
        ("gnu.tar.zst", &["--format=gnu", "--zstd"]),
    ] {
        archive(&world, name, &[&common[..], options].concat());
        assert_eq!(built_on(&world, name), expected, "{name}");
    }
}

#[test]
fn layouts_of_umoci_and_skopeo_make_the_same_image() {
    let umoci = require!(tool("umoci"));
    let skopeo = require!(tool("skopeo"));
    require!(tool("tar"));
    let world = world();
    let layout = world.path("layout");
    let image = format!("{}:it", layout.display());
    umoci.output(&["init", "--layout", &layout.to_string_lossy()]);
    umoci.output(&["new", "--image", &image]);
    let bundle = world.path("bundle");
    let unpack = |bundle: &Path| {
        let bundle = bundle.to_string_lossy();
        umoci.output(&["unpack", "--rootless", "--image", &image, &bundle]);
    };
    unpack(&bundle);
    let root = bundle.join("rootfs");
    let copy = |name: &str| {
        let from = world.path(format!("tree/{name}"));
        fs_err::copy(from, root.join(name)).unwrap();
    };
    for name in ["usr", "usr/bin", "etc"] {
        fs_err::create_dir(root.join(name)).unwrap();
    }
    for name in ["usr/bin/tool", "usr/bin/twin", "usr/sparse"] {
        copy(name);
    }
    fs_err::write(root.join("usr/gone"), "").unwrap();
    fs_err::write(root.join("etc/gone"), "").unwrap();
    let repack = || {
        let bundle = bundle.to_string_lossy();
        umoci.output(&["repack", "--refresh-bundle", "--image", &image, &bundle]);
    };
    repack();
    fs_err::remove_file(root.join("usr/gone")).unwrap();
    fs_err::remove_dir_all(root.join("etc")).unwrap();
    fs_err::write(root.join("usr/new"), "new").unwrap();
    repack();

    let expected = built_on(&world, "layout");
    let names: BTreeSet<&str> = expected
        .iter()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    let found = [
        "usr/",
        "usr/bin/",
        "usr/bin/tool",
        "usr/bin/twin",
        "usr/new",
        "usr/sparse",
    ];
    assert_eq!(names, BTreeSet::from(found));
    let archive = world.path("archive.tar");
    let from = format!("oci:{image}");
    let to = format!("oci-archive:{}:it", archive.display());
    skopeo.output(&["copy", "--quiet", &from, &to]);
    assert_eq!(built_on(&world, "archive.tar"), expected);
    let zstd = world.path("zstd");
    let to = format!("oci:{}:it", zstd.display());
    let options = ["copy", "--quiet", "--dest-compress-format", "zstd"];
    skopeo.output(
        &[
            &options[..],
            &["--dest-oci-accept-uncompressed-layers", &from, &to],
        ]
        .concat(),
    );
    assert_eq!(built_on(&world, "zstd"), expected);
}
