//! The verbs that read images: `inspect`, `verify`, `extract` and `diff`.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;

use overcoat::ddi::{Layout, PartitionArchitecture, SectorSize, VerityMode, assemble};
use overcoat::format::erofs;
use overcoat::signing::Signer;
use overcoat::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

use crate::harness::{Transcript, World};

const THEN: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn entry(kind: EntryKind, mode: u16) -> Entry {
    Entry::new(kind, mode, THEN)
}

fn file(content: &str) -> Entry {
    entry(
        EntryKind::Regular(Content::from_bytes(content.as_bytes())),
        0o644,
    )
}

/// Returns the tree of a small extension.
pub(crate) fn tree() -> FileTree {
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    let release = "usr/lib/extension-release.d/extension-release.tools";
    let mut linked = file("linked\n");
    linked.hard_link = Some(HardLinkGroup(1));
    let mut owned = file("#!/bin/sh\n");
    (owned.mode, owned.uid, owned.gid) = (0o4755, 5, 70_000);
    owned.xattrs.insert(b"user.note".to_vec(), b"x".to_vec());
    let entries = [
        ("usr", Entry::directory(THEN)),
        ("usr/bin", Entry::directory(THEN)),
        ("usr/bin/tool", owned),
        ("usr/lib", Entry::directory(THEN)),
        ("usr/lib/extension-release.d", Entry::directory(THEN)),
        (release, file("ID=debian\nVERSION_ID=\"13\"\n")),
        ("usr/lib/large", file(&"0123456789abcdef".repeat(20_000))),
        (
            "usr/lib/link",
            entry(EntryKind::Symlink(b"large".to_vec()), 0o777),
        ),
        ("usr/lib/one", linked.clone()),
        ("usr/lib/two", linked),
    ];
    for (path, entry) in entries {
        tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
    }
    tree
}

fn file_system(tree: &FileTree) -> Vec<u8> {
    let options = erofs::Options {
        uuid: uuid::Uuid::from_u128(7),
        build_time: THEN,
        volume_name: "tools".into(),
    };
    let mut image = Vec::new();
    let plan = erofs::Plan::new(tree, &options).unwrap();
    plan.write(&mut image).unwrap();
    image
}

pub(crate) fn image(tree: &FileTree, verity: VerityMode<'_>) -> Vec<u8> {
    let layout = Layout {
        architecture: PartitionArchitecture::named("x86-64").unwrap(),
        name: "tools",
        seed: None,
        payload_size_bytes: None,
        sector: SectorSize::Bytes512,
        verity,
    };
    let mut file = Cursor::new(Vec::new());
    let payload = file_system(tree);
    assemble(&mut file, &layout, |output| output.write_all(&payload)).unwrap();
    file.into_inner()
}

/// Returns a world with `tools.raw`, signed, and the key and certificate that signed it.
fn signed() -> World {
    let world = World::new();
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    let (key, certificate) = (world.path("mkosi.key"), world.path("mkosi.crt"));
    let signer = Signer::from_files(&key, &certificate).unwrap();
    let image = image(&tree(), VerityMode::Signed(&signer));
    fs_err::write(world.path("tools.raw"), image).unwrap();
    world
}

fn json(transcript: &Transcript) -> serde_json::Value {
    serde_json::from_str(&transcript.stdout).unwrap()
}

#[test]
fn inspection_says_what_an_image_is() {
    let world = signed();
    let inspected = world.run(&["inspect", "tools.raw"]);
    assert_eq!(inspected.status, Some(0), "{}", inspected.stderr);
    assert_eq!(inspected.stderr, "");
    let lines: Vec<String> = inspected
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "image tools.raw, <size>",
        "file system erofs, uncompressed, 4096-byte blocks",
        "kernel 5.4 or later (erofs 5.4)",
        "UUID 00000000-0000-0000-0000-000000000007",
        "label tools",
        "created 2023-11-14 22:13:20",
        "release /usr/lib/extension-release.d/extension-release.tools",
        "ID=debian",
        "VERSION_ID=13",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}: {lines:#?}"
        );
    }
    let partitions = lines
        .iter()
        .filter(|line| line.contains("root-verity-sig x86-64"));
    assert_eq!(partitions.count(), 1);
}

#[test]
fn paths_list_entries_as_ls_does() {
    let world = signed();
    let listed = world.run(&[
        "inspect",
        "tools.raw",
        "/usr/bin",
        "usr/lib/link",
        "usr/lib/two",
    ]);
    assert_eq!(listed.status, Some(0), "{}", listed.stderr);
    assert_eq!(
        listed.stdout,
        "drwxr-xr-x   1  0      0   0  2023-11-14 22:13:20  /usr/bin\n\
         -rwsr-xr-x+  1  5  70000  10  2023-11-14 22:13:20  /usr/bin/tool\n\
         lrwxrwxrwx   1  0      0   5  2023-11-14 22:13:20  /usr/lib/link -> large\n\
         -rw-r--r--   1  0      0   7  2023-11-14 22:13:20  /usr/lib/two\n"
    );
    let tree = world.run(&["inspect", "--tree", "tools.raw"]);
    assert_eq!(tree.stdout.matches("(link to /usr/lib/one)").count(), 1);
    world
        .run(&["inspect", "tools.raw", "absent"])
        .assert_failed(1, "error: `/absent` is not in the image\n");
    world.run(&["inspect", "tools.raw", "../x"]).assert_failed(
        2,
        "error: the path `../x` cannot be in an image\n  \
         caused by: `../x` is not a path inside a tree: `.` and `..` are not allowed\n",
    );
}

#[test]
fn json_has_everything() {
    let world = signed();
    let inspected =
        json(&world.run(&["inspect", "--json", "--certificate=mkosi.crt", "tools.raw"]));
    let partitions = inspected["partition_table"]["partitions"]
        .as_array()
        .unwrap();
    let designators: Vec<_> = partitions
        .iter()
        .map(|found| &found["designator"])
        .collect();
    assert_eq!(designators, ["root", "root-verity", "root-verity-sig"]);
    let verity = &inspected["verity"];
    assert_eq!(verity["root_hash_is_that_of_partitions"], true);
    assert_eq!(verity["signature"]["state"], "present");
    let certificate = &verity["signature"]["certificates"][0];
    assert_eq!(certificate["signed"], true);
    assert_eq!(
        certificate["fingerprint"],
        verity["signature"]["certificate_fingerprint"]
    );
    assert_eq!(inspected["releases"][0]["fields"]["ID"], "debian");
    let entries = inspected["entries"].as_array().unwrap();
    assert_eq!(entries.len(), tree().entry_count());
    let tool = entries
        .iter()
        .find(|entry| entry["path"] == "/usr/bin/tool")
        .unwrap();
    assert_eq!(tool["mode"], "4755");
    assert_eq!(tool["xattrs"]["user.note"], "78");
    assert_eq!(tool["modified_seconds"], 1_700_000_000);
}

#[test]
fn a_good_image_is_told_from_a_bad_one() {
    let world = signed();
    let good = world.run(&["verify", "--certificate=mkosi.crt", "tools.raw"]);
    assert_eq!(good.status, Some(0), "{}{}", good.stdout, good.stderr);
    let last = good.stdout.lines().last();
    assert_eq!(
        last,
        Some("tools.raw is good, and signed by the certificate's key")
    );
    assert!(!good.stdout.contains("not checked"), "{}", good.stdout);

    let unsure = world.run(&["verify", "tools.raw"]);
    assert_eq!(unsure.status, Some(0), "{}", unsure.stdout);
    assert_eq!(
        unsure.stdout.lines().next(),
        Some(
            "not checked: authenticity: no certificate was given to check the signature with (`--certificate`)"
        )
    );
    let root_hash = json(&world.run(&["verify", "--json", "tools.raw"]));
    let root_hash = root_hash["root_hash"].as_str().unwrap().to_owned();
    let right = world.run(&["verify", &format!("--root-hash={root_hash}"), "tools.raw"]);
    assert_eq!(right.status, Some(0), "{}", right.stdout);
    let wrong = "0".repeat(64);
    let wrong = world.run(&["verify", &format!("--root-hash={wrong}"), "tools.raw"]);
    assert_eq!(wrong.status, Some(1), "{}", wrong.stdout);

    let mut bytes = fs_err::read(world.path("tools.raw")).unwrap();
    bytes[(1 << 20) + 8192] ^= 1;
    fs_err::write(world.path("tools.raw"), bytes).unwrap();
    let bad = world.run(&["verify", "--certificate=mkosi.crt", "tools.raw"]);
    assert_eq!(
        (bad.status, bad.stdout.lines().next()),
        (
            Some(1),
            Some("bad: damaged blocks of the data at 8192 of `root-x86-64`")
        )
    );
    let bad = json(&world.run(&["verify", "--json", "tools.raw"]));
    assert_eq!(bad["good"], false);
}

#[test]
fn another_certificate_is_refused() {
    let world = signed();
    assert_eq!(world.run(&["genkey", "-f"]).status, Some(0));
    let bad = world.run(&["verify", "--certificate=mkosi.crt", "tools.raw"]);
    assert_eq!(bad.status, Some(1), "{}", bad.stdout);
    assert_eq!(
        bad.stdout
            .matches("was not made of this root hash by the certificate's key")
            .count(),
        1
    );
}

#[test]
fn what_is_extracted_is_what_was_in_the_image() {
    let world = signed();
    let extracted = world.run(&["extract", "tools.raw"]);
    assert_eq!(extracted.status, Some(0), "{}", extracted.stderr);
    assert_eq!(
        extracted.stderr,
        "extracted 11 entries into tools: <size>\n"
    );
    assert_eq!(
        fs_err::read_to_string(world.path("tools/usr/bin/tool")).unwrap(),
        "#!/bin/sh\n"
    );
    let same = world.run(&["diff", "tools.raw", "tools"]);
    assert_eq!(
        (same.status, same.stdout.as_str()),
        (Some(0), ""),
        "{}",
        same.stderr
    );

    fs_err::write(world.path("tools/usr/lib/two"), "linkeD\n").unwrap();
    fs_err::remove_file(world.path("tools/usr/lib/link")).unwrap();
    fs_err::write(world.path("tools/usr/bin/new"), "").unwrap();
    let differs = world.run(&["diff", "--ignore-times", "tools.raw", "tools"]);
    assert_eq!(
        (differs.status, differs.stdout.as_str()),
        (
            Some(1),
            "> /usr/bin/new\n\
             < /usr/lib/link\n\
             ! /usr/lib/one: content differs from byte 5 on\n\
             ! /usr/lib/two: content differs from byte 5 on\n"
        ),
        "{}",
        differs.stderr
    );
}

#[test]
fn a_directory_with_something_in_it_is_not_extracted_into() {
    let world = signed();
    world.write("tools/mine", "mine");
    let refused = "error: the directory `tools` exists and is not empty\n\n\
                   hint: `--output` names another one; `--force` replaces one that was extracted or built\n";
    world
        .run(&["extract", "tools.raw"])
        .assert_failed(2, refused);
    world
        .run(&["extract", "--force", "tools.raw"])
        .assert_failed(2, refused);
    assert_eq!(
        fs_err::read_to_string(world.path("tools/mine")).unwrap(),
        "mine"
    );

    fs_err::create_dir(world.path("empty")).unwrap();
    let extracted = world.run(&["extract", "--output=empty", "tools.raw", "usr/bin"]);
    assert_eq!(extracted.status, Some(0), "{}", extracted.stderr);
    assert!(world.path("empty/usr/bin/tool").exists());
    assert!(!world.path("empty/usr/lib").exists());
    let again = world.run(&["extract", "--output=empty", "tools.raw"]);
    assert_eq!(again.status, Some(2), "{}", again.stderr);
    let forced = world.run(&["extract", "--force", "--output=empty", "tools.raw"]);
    assert_eq!(forced.status, Some(0), "{}", forced.stderr);
    assert!(world.path("empty/usr/lib").exists());
    let left = crate::harness::names(&world.path(""));
    assert!(
        !left.iter().any(|name| name.contains("partial")),
        "{left:?}"
    );
}

#[test]
fn a_plain_extraction_records_nothing_and_says_so() {
    let world = signed();
    let extracted = world.run(&["extract", "--plain", "--output=plain", "tools.raw"]);
    assert_eq!(extracted.status, Some(0), "{}", extracted.stderr);
    assert_eq!(
        extracted.stderr,
        "warning: left out: the extended attributes of 1 entries\n\
         warning: left out: the owners of 1 entries\n\
         warning: left out: the set-id bits of 1 entries\n\
         extracted 11 entries into plain: <size>\n"
    );
    let mode = fs_err::metadata(world.path("plain/usr/bin/tool"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o7777, 0o755);
}

#[test]
fn two_images_are_compared_to_the_partition() {
    let world = signed();
    let mut changed = tree();
    let tool = changed
        .get_mut(&TreePath::new("usr/bin/tool").unwrap())
        .unwrap();
    (tool.mode, tool.gid) = (0o755, 0);
    tool.xattrs.clear();
    fs_err::write(world.path("other.raw"), image(&changed, VerityMode::Hash)).unwrap();
    let differs = world.run(&["diff", "tools.raw", "other.raw"]);
    assert_eq!(differs.status, Some(1), "{}", differs.stderr);
    let entries = differs.stdout.lines().filter(|line| line.starts_with('!'));
    assert_eq!(
        entries.collect::<Vec<_>>(),
        ["! /usr/bin/tool: mode 4755 / 0755; owner 5:70000 / 5:0; attribute user.note 78 / -"]
    );
    let missing = "partition 3 root-x86-64-verity-sig / -";
    assert!(
        differs.stdout.lines().any(|line| line == missing),
        "{}",
        differs.stdout
    );
    let report = json(&world.run(&["diff", "--json", "tools.raw", "other.raw"]));
    assert_eq!(report["same"], false);
    assert_eq!(report["entries"][0]["path"], "/usr/bin/tool");
    let same = world.run(&["diff", "tools.raw", "tools.raw"]);
    assert_eq!((same.status, same.stdout.as_str()), (Some(0), ""));
}

#[test]
fn a_damaged_table_at_the_start_is_said() {
    let world = signed();
    let mut bytes = fs_err::read(world.path("tools.raw")).unwrap();
    bytes[600] ^= 1;
    bytes[520] ^= 1;
    fs_err::write(world.path("tools.raw"), bytes).unwrap();
    let inspected = world.run(&["inspect", "tools.raw"]);
    assert_eq!(inspected.status, Some(0), "{}", inspected.stderr);
    let told = "warning: the partition table at the start of the image is damaged, so the one at its end is shown: ";
    assert!(inspected.stderr.starts_with(told), "{}", inspected.stderr);
    assert_eq!(world.run(&["verify", "tools.raw"]).status, Some(1));
}

#[test]
fn names_in_an_image_do_not_drive_the_terminal() {
    let world = World::new();
    let mut tree = FileTree::new(Entry::directory(THEN)).unwrap();
    let name = TreePath::new(b"a\x1b[2J\n::error::x\xff").unwrap();
    let link = entry(EntryKind::Symlink(b"\x07\x9b".to_vec()), 0o777);
    tree.insert(name, link).unwrap();
    fs_err::write(world.path("a.raw"), file_system(&tree)).unwrap();
    fs_err::write(
        world.path("b.raw"),
        file_system(&FileTree::new(Entry::directory(THEN)).unwrap()),
    )
    .unwrap();
    for arguments in [
        &["inspect", "--tree", "a.raw"][..],
        &["inspect", "--json", "a.raw"],
        &["diff", "a.raw", "b.raw"],
        &["diff", "--json", "a.raw", "b.raw"],
        &["verify", "a.raw"],
    ] {
        let shown = world.run(arguments);
        assert!(
            shown.status.is_some_and(|status| status < 2),
            "{}",
            shown.stderr
        );
        let is_active = |c: char| c != '\n' && c.is_control();
        assert!(!shown.stdout.contains(is_active), "{}", shown.stdout);
        assert!(
            !shown.stdout.lines().any(|line| line.starts_with("::")),
            "{}",
            shown.stdout
        );
    }
}

#[test]
fn what_is_no_image_is_told() {
    let world = World::new();
    world.write("text", "not an image\n");
    let absent = "error: opening `absent`\n  caused by: No such file or directory (os error 2)\n";
    for verb in ["inspect", "verify", "extract"] {
        world.run(&[verb, "absent"]).assert_failed(2, absent);
        world.run(&[verb, "text"]).assert_failed(
            1,
            "error: reading the image `text`\n  \
             caused by: it is no image: neither a GPT partition table nor a file system was found\n",
        );
    }
    world.run(&["diff", "text", "text"]).assert_failed(
        2,
        "error: reading the image `text`\n  \
         caused by: it is no image: neither a GPT partition table nor a file system was found\n",
    );
    world.run(&["verify"]).assert_failed(
        2,
        "error: the following required arguments were not provided:; <IMAGE>\n\n\
         hint: `overcoat --help` lists the options\n",
    );
    world
        .run(&["verify", "--root-hash=12", "text"])
        .assert_failed(
            2,
            "error: invalid value '12' for '--root-hash <HEX>': expected 64 hex digits\n\n\
         hint: `overcoat --help` lists the options\n",
        );
    for verb in ["inspect", "verify", "extract", "diff"] {
        let help = world.run(&[verb, "--help"]);
        assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
        world.run(&["--debug", verb]).assert_failed(
            2,
            &format!(
                "error: `{verb}` is not the first argument\n\n\
                 hint: it has options of its own, see `overcoat {verb} --help`\n"
            ),
        );
    }
}
