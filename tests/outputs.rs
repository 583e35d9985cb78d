//! What is written besides the plain formats: compressed images, OCI images, parts, and signed checksums.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::World;

/// Returns a world whose recipe makes an image of a small system, without a package manager.
fn world(settings: &str) -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        &format!(
            "[Distribution]\nDistribution=debian\nRelease=trixie\nArchitecture=x86-64\n\
             [Content]\nBaseTrees=base\nSourceDateEpoch=1700000000\n[Output]\nOutput=out\n{settings}"
        ),
    );
    world.write("base/usr/lib/os-release", "ID=debian\n");
    world.write("base/sbin/init", "init");
    world
}

#[track_caller]
fn build(world: &World, arguments: &[&str]) {
    let build = world.run(&[&["-f"], arguments].concat());
    assert_eq!(build.status, Some(0), "{}", build.stderr);
}

/// Returns the names that a file of checksums has, after it has checked their order.
fn summed(world: &World) -> Vec<String> {
    let sums = fs_err::read_to_string(world.path("out.SHA256SUMS")).unwrap();
    let names: Vec<String> = sums.lines().map(|line| line[66..].to_owned()).collect();
    assert!(names.is_sorted());
    names
}

#[test]
fn compressed_image_holds_what_is_there_without_compression() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nOutput=out\nSplitArtifacts=partitions\n[Content]\nExtraTrees=tree\n\
         [Validation]\nVerity=hash\nChecksum=yes\n",
    );
    world.write("tree/usr/bin/tool", &"tool\n".repeat(100_000));
    let options = ["--architecture=x86-64"];
    build(&world, &options);
    let plain = [
        "out.raw",
        "out.root-x86-64-verity.raw",
        "out.root-x86-64.raw",
    ];
    let read = |name: &str| fs_err::read(world.path(name)).unwrap();
    let expected = plain.map(read);
    build(
        &world,
        &[&options[..], &["--compress-output=zstd"]].concat(),
    );
    for (name, expected) in plain.iter().zip(&expected) {
        let packed = read(&format!("{name}.zst"));
        assert!(
            zstd::decode_all(packed.as_slice()).unwrap() == *expected,
            "{name}"
        );
    }
    assert_eq!(summed(&world), plain.map(|name| format!("{name}.zst")));
    let link = fs_err::read_link(world.path("out")).unwrap();
    assert_eq!(link.to_str(), Some("out.raw.zst"));
    assert!(!world.path(".image").exists());
}

#[test]
fn oci_image_takes_the_place_of_an_earlier_one_and_of_nothing_else() {
    let world = world("Format=oci\nImageId=system\n");
    build(&world, &[]);
    let index = || fs_err::read(world.path("out/index.json")).unwrap();
    let first = index();
    build(&world, &[]);
    assert!(index() == first);
    build(&world, &["--oci-labels=a=b"]);
    assert!(index() != first);
    build(&world, &["--oci-layout=archive"]);
    assert!(world.path("out.oci.tar").is_file());
    fs_err::write(world.path("out/mine"), "").unwrap();
    world.run(&["-f"]).assert_failed(
        2,
        "error: publishing the outputs\n  caused by: `<world>/recipe/out` is there, and no build has made it\n\n\
         hint: move it away, or choose another place with `Output=` or `OutputDirectory=`\n",
    );
    fs_err::remove_file(world.path("out/mine")).unwrap();
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(!world.path("out").exists());
}

#[test]
fn oci_image_on_another_one_has_its_layers_and_one_more() {
    let world = world("Format=oci\n");
    world.write("base/usr/share/old/file", "old");
    build(&world, &["--output=below"]);
    world.write("tree/usr/share/new", "new");
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs_err::read(world.path(path)).unwrap()).unwrap()
    };
    let blob = |layout: &str, descriptor: &serde_json::Value| {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        format!("{layout}/blobs/{digest}")
    };
    let manifest = |layout: &str| {
        let index = json(&format!("{layout}/index.json"));
        json(&blob(layout, &index["manifests"][0]))
    };
    let below = manifest("below");
    for (overlay, base) in [("no", "below"), ("yes", "below"), ("yes", "below.oci.tar")] {
        if base == "below.oci.tar" {
            build(&world, &["--output=below", "--oci-layout=archive"]);
        }
        world.write(
            "mkosi.conf",
            &format!(
                "[Distribution]\nDistribution=debian\nRelease=trixie\nArchitecture=x86-64\n\
                 [Content]\nBaseTrees={base}\nExtraTrees=tree\nRemoveFiles=/usr/share/old\n\
                 SourceDateEpoch=1700000000\n[Output]\nOutput=out\nFormat=oci\nCompressOutput=no\n\
                 Overlay={overlay}\n"
            ),
        );
        build(&world, &[]);
        let above = manifest("out");
        let layers = above["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        assert_eq!(layers[0], below["layers"][0]);
        assert_eq!(
            fs_err::read(world.path(blob("out", &layers[0]))).unwrap(),
            fs_err::read(world.path(blob("below", &layers[0]))).unwrap()
        );
        let layer = fs_err::read(world.path(blob("out", &layers[1]))).unwrap();
        let holds = |name: &str| {
            layer
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        };
        assert!(holds("usr/share/new"), "{overlay}");
        assert!(holds("usr/share/.wh.old"), "{overlay}");
        assert!(!holds("usr/lib/os-release"), "{overlay}");
        fs_err::write(world.path("mkosi.conf"), BELOW).unwrap();
    }
}

/// The recipe of an image that others are built on.
const BELOW: &str = "[Distribution]\nDistribution=debian\nRelease=trixie\nArchitecture=x86-64\n\
                     [Content]\nBaseTrees=base\nSourceDateEpoch=1700000000\n[Output]\nFormat=oci\n";

#[test]
fn oci_image_is_the_same_elsewhere() {
    let digest = |umask: &str, arguments: &str| {
        let world = world("Format=oci\nOciAnnotations=a=b c=d e=f\nOciLabels=a=b c=d e=f\n");
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_overcoat");
        command
            .args([
                "-c",
                &format!("umask {umask}; exec {program} -f {arguments}"),
            ])
            .current_dir(world.path(""))
            .env_clear()
            .env("HOME", world.home())
            .env("TZ", "Asia/Tokyo")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let build = world.finish(command);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        fs_err::read(world.path("out/index.json")).unwrap()
    };
    assert!(digest("077", "") == digest("000", "--debug"));
    assert!(digest("022", "") != digest("022", "--compress-output=zstd"));
}

#[test]
fn parts_of_the_tree_are_split_off_and_summed_beside_a_directory() {
    let world = world(
        "Format=directory\nSplitArtifacts=tar,os-release,kernel,initrd\nCompressOutput=gz\n\
         ManifestFormat=changelog\n[Validation]\nChecksum=yes\n",
    );
    world.write("base/usr/lib/modules/6.12.1/vmlinuz", "kernel");
    world.write("base/boot/initrd.img-6.12.1", "initrd");
    world.write("base/boot/initrd.img-6.1", "old");
    build(&world, &[]);
    let parts = [
        "out.changelog",
        "out.initrd",
        "out.osrelease",
        "out.tar.gz",
        "out.vmlinuz",
    ];
    assert_eq!(summed(&world), parts);
    let read = |name: &str| fs_err::read_to_string(world.path(name)).unwrap();
    assert_eq!(read("out.changelog"), "Packages: 0\nSize:     0\n");
    assert_eq!(read("out.initrd"), "initrd");
    assert_eq!(read("out.osrelease"), "ID=debian\n");
    assert_eq!(read("out.vmlinuz"), "kernel");
    // The directory is as it was; what is beside it is made all the same.
    fs_err::remove_file(world.path("out.vmlinuz")).unwrap();
    build(&world, &["--output-mode=600"]);
    assert_eq!(summed(&world), parts);
    for name in parts.iter().chain(&["out.SHA256SUMS"]) {
        let mode = fs_err::metadata(world.path(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o7777, 0o600, "{name}");
    }
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    for name in parts {
        assert!(!world.path(name).exists(), "{name}");
    }
}

/// Returns a command of the program that finds a `gpg` of this text first.
fn with_gpg(world: &World, script: &str, arguments: &[&str]) -> Command {
    world.write("../programs/gpg", &format!("#!/bin/sh\n{script}"));
    let path = world.path("../programs/gpg");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command(arguments);
    let programs = world.path("../programs");
    let programs = fs_err::canonicalize(programs).unwrap();
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    command
}

/// Has a key, and signs by saying how it was called.
const GPG: &str = "case $* in\n*list-secret-keys*) echo sec:u:;;\n*) echo \"$*\"; cat;;\nesac\n";

#[test]
fn checksums_are_signed_when_a_person_lets_it() {
    let world = world("Format=tar\nCompressOutput=no\n[Validation]\nSign=yes\nKey=me\n");
    let refused = world.finish(with_gpg(&world, GPG, &["-f"]));
    refused.assert_failed(
        2,
        "error: mkosi.conf:13:6: `Sign=yes` is about signing with your own key\n  13 | Sign=yes\n     |      ^^^\n\n\
         hint: to permit it, pass `--allow=sign`\n\n\
         error: mkosi.conf:14:5: `Key=me` is about signing with your own key\n  14 | Key=me\n     |     ^^\n",
    );
    let named = ["-f", "--sign=yes", "--key=you"];
    for (arguments, key) in [(&["-f", "--allow=sign"][..], "me"), (&named, "you")] {
        let signed = world.finish(with_gpg(&world, GPG, arguments));
        assert_eq!(signed.status, Some(0), "{}", signed.stderr);
        let read = |name: &str| fs_err::read_to_string(world.path(name)).unwrap();
        let expected = format!(
            "--batch --quiet --no-armor --local-user={key} --detach-sign\n{}",
            read("out.SHA256SUMS")
        );
        assert_eq!(read("out.SHA256SUMS.gpg"), expected);
    }
    assert_eq!(summed(&world), ["out.tar"]);
}

#[test]
fn no_recipe_chooses_the_program_that_signs() {
    let world = world("Format=tar\n[Validation]\nSign=yes\nOpenPGPTool=bash\n");
    world.run(&["-f", "--allow=sign"]).assert_failed(
        2,
        "error: mkosi.conf:13:13: `OpenPGPTool=bash` names a program to run with your own key\n  \
         13 | OpenPGPTool=bash\n     |             ^^^^\n\n\
         hint: no recipe chooses it; to use it, pass `--openpgp-tool=bash`\n",
    );
}

#[test]
fn key_that_is_missing_is_told_before_anything_is_built() {
    let world = world("Format=tar\n");
    let command = with_gpg(&world, "exit 2\n", &["-f", "--sign=yes"]);
    world.finish(command).assert_failed(
        2,
        "error: `gpg` has no secret key\n\n\
         hint: make one with `gpg --quick-generate-key`, or remove `Sign=`\n",
    );
    let mut command = world.command(&["-f", "--sign=yes"]);
    command.env("PATH", "/nowhere");
    world.finish(command).assert_failed(
        3,
        "error: `gpg` is not installed on this machine\n\nhint: install the package `gpg`\n",
    );
    assert!(!world.path("out.tar.zst").exists());
}

#[test]
fn signature_that_fails_leaves_the_outputs_as_they_were() {
    let world = world("Format=tar\n");
    let script = GPG.replace("echo \"$*\"; cat", "echo no secret >&2; exit 2");
    let command = with_gpg(&world, &script, &["-f", "--sign=yes"]);
    world.finish(command).assert_failed(
        1,
        "main: write out.tar.zst ...\nmain: write out.tar.zst: <time>\n\
         error: signing the checksums of `main`\n  \
         caused by: `gpg` has made no signature (exit status: 2)\n        no secret\n",
    );
    assert!(!world.path("out.tar.zst").exists());
}
