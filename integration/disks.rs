//! Disks of several partitions, judged by `sfdisk`, `veritysetup`, `e2fsck`, `debugfs` and `systemd-repart`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::World;
use crate::require::{self, Tool, building, tool};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/recipes/disk");

/// Copies the recipe, and makes the tree that it is built on.
fn world() -> World {
    let world = World::new();
    for name in ["mkosi.conf"]
        .map(str::to_owned)
        .into_iter()
        .chain(definitions())
    {
        let text = fs_err::read_to_string(Path::new(RECIPE).join(&name)).unwrap();
        world.write(&name, &text);
    }
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    world.write("base/usr/bin/tool", &"a tool".repeat(10_000));
    world.write("base/etc/tool.conf", "a = b\n");
    world.write("base/boot/kernel", "x");
    let mode = std::fs::Permissions::from_mode(0o4755);
    fs_err::set_permissions(world.path("base/etc/tool.conf"), mode).unwrap();
    world
}

fn definitions() -> Vec<String> {
    let directory = fs_err::read_dir(Path::new(RECIPE).join("mkosi.repart")).unwrap();
    let names = directory.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("mkosi.repart/{name}")).collect()
}

fn build(world: &World) {
    for arguments in [&["genkey"][..], &["build"]] {
        let done = world.run(arguments);
        assert_eq!(done.status, Some(0), "{}", done.stderr);
    }
}

/// Returns each partition as `sfdisk` reads it, with what does not depend on contents.
fn table(sfdisk: &Tool, image: &Path) -> Vec<[String; 5]> {
    let json = sfdisk.output(&["--json".as_ref(), image.as_os_str()]);
    let json: Value = serde_json::from_slice(&json).unwrap();
    let partitions = json["partitiontable"]["partitions"].as_array().unwrap();
    let fields = ["start", "size", "type", "name", "attrs"];
    partitions
        .iter()
        .map(|partition| fields.map(|field| partition[field].to_string()))
        .collect()
}

#[test]
fn partitions_are_what_their_definitions_say() {
    require!(building());
    let sfdisk = require!(tool("sfdisk"));
    let veritysetup = require!(tool("veritysetup"));
    let e2fsck = require!(tool("e2fsck"));
    let debugfs = require!(tool("debugfs"));
    let world = world();
    build(&world);
    let out = |name: &str| world.path(format!("out/{name}"));
    let image = out("os.raw");
    sfdisk.output(&["--verify".as_ref(), image.as_os_str()]);
    let found: Vec<_> = table(&sfdisk, &image)
        .into_iter()
        .map(|[_, _, _, name, attributes]| format!("{name} {attributes}"))
        .collect();
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        found,
        [
            r#""usr-x86-64-verity-sig" null"#,
            r#""usr-x86-64-verity" "GUID:60""#,
            r#""os_1.2" "GUID:60""#,
            r#""root-x86-64" "GUID:59""#,
            r#""home" "GUID:59""#,
        ]
    );
    assert_eq!(found.len(), 5);

    let architecture = found[3]
        .trim_start_matches("\"root-")
        .split('"')
        .next()
        .unwrap();
    let root_hash = fs_err::read_to_string(out("os.roothash")).unwrap();
    let split = |name: &str| out(&format!("os.{name}.raw"));
    veritysetup.output(&[
        "verify".as_ref(),
        split("usr_1.2").as_os_str(),
        split(&format!("usr-{architecture}-verity")).as_os_str(),
        root_hash.as_ref(),
    ]);
    let signature = fs_err::read(split(&format!("usr-{architecture}-verity-sig"))).unwrap();
    let text = signature.split(|byte| *byte == 0).next().unwrap();
    let signature: Value = serde_json::from_slice(text).unwrap();
    assert_eq!(signature["rootHash"], root_hash);

    let root = split(&format!("root-{architecture}"));
    e2fsck.output(&["-f".as_ref(), "-n".as_ref(), root.as_os_str()]);
    for (request, expected) in [
        ("stat /etc/tool.conf", "Mode:  04755"),
        ("stat /etc/tool.conf", "User:     0   Group:     0"),
        ("stat /mnt/data", "Type: directory"),
        ("stat /var/run", "Fast link dest: \"../run\""),
        ("ls /usr", " ..  "),
    ] {
        let text = debugfs.text(&["-R".as_ref(), request.as_ref(), root.as_os_str()]);
        assert!(text.contains(expected), "{request}: {text}");
        assert!(
            !text.contains("tool ") && !text.contains("kernel"),
            "{request}: {text}"
        );
    }
    let mut kept = crate::harness::names(&out("os.repart.d"));
    kept.sort();
    let mut expected: Vec<_> = definitions()
        .iter()
        .map(|name| name.trim_start_matches("mkosi.repart/").to_owned())
        .collect();
    expected.sort();
    assert_eq!(kept, expected);

    let verified = world.run(&["verify", "--certificate=mkosi.crt", "out/os.raw"]);
    // The root file system is not signed.
    assert_eq!(verified.status, Some(1), "{}", verified.stdout);
    for verb in [&["verify", "out/os.raw"][..], &["inspect", "out/os.raw"]] {
        let done = world.run(verb);
        assert_eq!(
            done.status,
            Some(0),
            "{verb:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }

    let first = fs_err::read(&image).unwrap();
    let again = world.run(&["-f", "build"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert!(
        fs_err::read(&image).unwrap() == first,
        "a second build differs"
    );
}

#[test]
fn a_disk_is_laid_out_as_systemd_repart_does_it() {
    require!(building());
    let sfdisk = require!(tool("sfdisk"));
    let repart = require!(tool("systemd-repart"));
    if !require::is_root() {
        return require::say_skipped("systemd-repart of Debian 12 needs loop devices");
    }
    let world = world();
    // What systemd 252 does not know yet, and a signature, for which it needs a key.
    fs_err::remove_file(world.path("mkosi.repart/10-usr-verity-sig.conf")).unwrap();
    for name in definitions().iter().filter(|name| !name.contains("sig")) {
        let text = fs_err::read_to_string(world.path(name)).unwrap();
        let later = ["Minimize", "MakeSymlinks", "ExcludeFiles", "Label"];
        let known = text
            .lines()
            .filter(|line| !later.iter().any(|name| line.starts_with(name)));
        let text: Vec<_> = known
            .map(|line| line.replace("erofs", "squashfs"))
            .collect();
        world.write(name, &(text.join("\n") + "\n"));
    }
    build(&world);
    let theirs = world.path("theirs.raw");
    let output = Command::new(repart.path())
        .args([
            "--empty=create",
            "--size=auto",
            "--dry-run=no",
            "--no-pager",
        ])
        .arg("--seed=12345678-1234-1234-1234-123456789abc")
        .arg(format!("--root={}", world.path("base").display()))
        .arg(format!(
            "--definitions={}",
            world.path("mkosi.repart").display()
        ))
        .arg(&theirs)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let ours = world.path("out/os.raw");
    let sizes = [&ours, &theirs].map(|path| fs_err::metadata(path).unwrap().len());
    assert_eq!(sizes[0], sizes[1]);
    let mut expected = table(&sfdisk, &theirs);
    for partition in &mut expected {
        // Since 253 the data are read-only as well.
        if partition[3].contains("usr") {
            partition[4] = "\"GUID:60\"".to_owned();
        }
    }
    assert_eq!(table(&sfdisk, &ours), expected);
}
