//! Foreign programs judge OCI images, compressed images and signatures.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::World;
use crate::require::{Tool, tool};

fn world(settings: &str) -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nDistribution=debian\nRelease=trixie\n\
             [Content]\nBaseTrees=base\nSourceDateEpoch=1700000000\n[Output]\nOutput=out\n{settings}"
        ),
    );
    world.write("base/usr/lib/os-release", "ID=debian\n");
    world.write("base/usr/bin/tool", &"#!/bin/sh\n".repeat(100_000));
    fs_err::hard_link(
        world.path("base/usr/bin/tool"),
        world.path("base/usr/bin/twin"),
    )
    .unwrap();
    std::os::unix::fs::symlink("tool", world.path("base/usr/bin/link")).unwrap();
    world
}

#[track_caller]
fn build(world: &World, arguments: &[&str]) {
    let build = world.run(&[&["-f"], arguments].concat());
    assert_eq!(build.status, Some(0), "{}", build.stderr);
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// Returns the file of a blob that a document refers to.
fn blob(layout: &Path, descriptor: &serde_json::Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn digest(sha256sum: &Tool, path: &Path) -> String {
    let line = sha256sum.text(&[path.as_os_str()]);
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn every_digest_of_an_oci_image_is_that_of_what_it_names() {
    let (gzip, sha256sum) = (require!(tool("gzip")), require!(tool("sha256sum")));
    let world = world("Format=oci\n");
    build(&world, &[]);
    let layout = world.path("out");
    let manifest = blob(&layout, &json(&layout.join("index.json"))["manifests"][0]);
    let document = json(&manifest);
    let (configuration, layer) = (
        blob(&layout, &document["config"]),
        blob(&layout, &document["layers"][0]),
    );
    for path in [&manifest, &configuration, &layer] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(digest(&sha256sum, path), name);
    }
    let packed = world.path("layer.tar.gz");
    fs_err::copy(&layer, &packed).unwrap();
    gzip.output(&["-t".as_ref(), packed.as_os_str()]);
    let archive = world.path("layer.tar");
    let bytes = gzip.output(&["-d".as_ref(), "-c".as_ref(), packed.as_os_str()]);
    fs_err::write(&archive, bytes).unwrap();
    assert_eq!(
        json(&configuration)["rootfs"]["diff_ids"][0],
        format!("sha256:{}", digest(&sha256sum, &archive))
    );
}

#[test]
fn skopeo_copies_the_image_from_a_directory_and_from_an_archive() {
    let skopeo = require!(tool("skopeo"));
    let world = world("Format=oci\nImageId=system\nOciLabels=who=me\n");
    build(&world, &[]);
    build(&world, &["--oci-layout=archive"]);
    let mut copies = Vec::new();
    for (transport, name) in [("oci", "out:system"), ("oci-archive", "out.oci.tar:system")] {
        let from = format!("{transport}:{}", world.path(name).display());
        let inspected = skopeo.text(&["inspect", &from]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(inspected["Labels"]["who"], "me");
        assert_eq!(inspected["Created"], "2023-11-14T22:13:20Z");
        let to = world.path(transport);
        let to_name = format!("dir:{}", to.display());
        // What may be copied is the policy of a host, which need not have one.
        skopeo.text(&["--insecure-policy", "copy", &from, &to_name]);
        copies.push(fs_err::read(to.join("manifest.json")).unwrap());
    }
    assert!(copies[0] == copies[1]);
}

#[test]
fn umoci_unpacks_the_image() {
    let umoci = require!(tool("umoci"));
    let world = world("Format=oci\nImageId=system\n");
    build(&world, &[]);
    let image = format!("{}:system", world.path("out").display());
    let bundle = world.path("bundle");
    umoci.text(&[
        "unpack",
        "--rootless",
        "--image",
        &image,
        &bundle.display().to_string(),
    ]);
    let unpacked = bundle.join("rootfs/usr/bin");
    let expected = fs_err::read(world.path("base/usr/bin/tool")).unwrap();
    for name in ["tool", "twin", "link"] {
        assert!(
            fs_err::read(unpacked.join(name)).unwrap() == expected,
            "{name}"
        );
    }
    use std::os::unix::fs::MetadataExt;
    let inode = |name: &str| fs_err::metadata(unpacked.join(name)).unwrap().ino();
    assert_eq!(inode("tool"), inode("twin"));
}

#[test]
fn foreign_programs_decompress_disk_images() {
    let tools = [
        ("zstd", "zst", require!(tool("zstd"))),
        ("xz", "xz", require!(tool("xz"))),
        ("gz", "gz", require!(tool("gzip"))),
    ];
    let world = world("Format=disk\n");
    build(&world, &[]);
    let plain = fs_err::read(world.path("out.raw")).unwrap();
    for (compression, extension, tool) in &tools {
        build(&world, &[&format!("--compress-output={compression}")]);
        let path = world.path(format!("out.raw.{extension}"));
        tool.output(&["-t".as_ref(), path.as_os_str()]);
        let image = tool.output(&["-d".as_ref(), "-c".as_ref(), path.as_os_str()]);
        assert!(image == plain, "{compression}");
    }
}

/// A home of gpg's with a key, whose agent ends with the test.
struct Keys {
    home: PathBuf,
}

impl Keys {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("GNUPGHOME", &self.home)
            .stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = self
            .command("gpgconf")
            .args(["--kill", "gpg-agent"])
            .status();
    }
}

#[test]
fn gpg_verifies_what_it_has_signed() {
    require!(tool("gpg"));
    require!(tool("gpg-agent"));
    let world = world("Format=oci\nSplitArtifacts=tar\n");
    // The path of a socket, in which the agent listens, is short.
    let home = tempfile::Builder::new()
        .prefix("gpg")
        .tempdir_in("/tmp")
        .unwrap();
    let keys = Keys {
        home: home.path().to_owned(),
    };
    let made = keys
        .command("gpg")
        .args(["--batch", "--passphrase", "", "--quick-generate-key"])
        .args(["Tester <tester@example.org>", "ed25519", "sign", "never"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut command = world.command(&["-f", "--sign=yes", "--key=tester@example.org"]);
    command.env("GNUPGHOME", &keys.home);
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let verified = keys
        .command("gpg")
        .arg("--verify")
        .args([
            world.path("out.SHA256SUMS.gpg"),
            world.path("out.SHA256SUMS"),
        ])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let mut sums = String::new();
    fs_err::File::open(world.path("out.SHA256SUMS"))
        .unwrap()
        .read_to_string(&mut sums)
        .unwrap();
    assert_eq!(&sums[64..], " *out.tar.gz\n");
}
