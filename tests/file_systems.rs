use overcoat::format::{erofs, squashfs};
use overcoat::tree::{EntryKind, FileTree, TreePath};

use crate::harness::World;

/// Returns a world whose recipe makes an extension of a tree with files that compress well.
fn extension() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Distribution]\nDistribution=debian\nRelease=trixie\n\
         [Output]\nFormat=sysext\nOutput=tools\n[Content]\nExtraTrees=tree\n[Validation]\nVerity=hash\n",
    );
    for number in 0..40 {
        let text = format!("{number} bottles of beer on the wall\n").repeat(1000 + number);
        world.write(&format!("tree/usr/share/song/{number}"), &text);
    }
    world
}

/// Returns the file system of an image, which is its first partition.
fn file_system(image: &[u8]) -> Vec<u8> {
    let last_sector: [u8; 8] = image[1024 + 40..1024 + 48].try_into().unwrap();
    let end = (u64::from_le_bytes(last_sector) + 1) * 512;
    image[1 << 20..usize::try_from(end).unwrap()].to_vec()
}

fn built(world: &World, arguments: &[&str]) -> Vec<u8> {
    let build = world.run(&[&["-f"], arguments].concat());
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    fs_err::read(world.path("tools.raw")).unwrap()
}

fn assert_sings(tree: &FileTree) {
    for number in 0..40 {
        let path = TreePath::new(format!("usr/share/song/{number}")).unwrap();
        let Some(EntryKind::Regular(content)) = tree.get(&path).map(|entry| &entry.kind) else {
            panic!("`{path}` is not there");
        };
        let text = format!("{number} bottles of beer on the wall\n").repeat(1000 + number);
        assert!(content.read_all().unwrap() == text.as_bytes(), "{path}");
    }
}

#[test]
fn each_compression_of_erofs_holds_the_same_files() {
    let world = extension();
    let plain = built(&world, &["--compression=none"]);
    for compression in ["zstd", "lz4", "lz4hc", "gzip"] {
        let option = format!("--compression={compression}");
        let image = built(&world, &[&option]);
        assert!(
            image.len() - (1 << 20) < (plain.len() - (1 << 20)) / 5,
            "{compression}"
        );
        assert_sings(&erofs::reader::read_tree(&file_system(&image)).unwrap());
        assert!(built(&world, &[&option]) == image, "{compression}");
    }
}

#[test]
fn each_compression_of_squashfs_holds_the_same_files() {
    let world = extension();
    for compression in ["zstd", "lz4", "lz4hc", "gzip", "xz"] {
        let options = [
            "--file-system=squashfs",
            &format!("--compression={compression}"),
        ];
        let image = built(&world, &options);
        let bytes = file_system(&image);
        assert_eq!(&bytes[..4], b"hsqs", "{compression}");
        assert_sings(&squashfs::reader::read_tree(&bytes).unwrap());
        assert!(built(&world, &options) == image, "{compression}");
    }
    let auto = built(&world, &["--file-system=squashfs", "--compression=auto"]);
    assert!(auto == built(&world, &["--file-system=squashfs", "--compression=zstd"]));
}

#[test]
fn automatic_compression_is_that_of_the_release() {
    let world = extension();
    let auto = |release: &str, kernel: &[&str]| {
        let release = format!("--release={release}");
        built(
            &world,
            &[&["--compression=auto", &release], kernel].concat(),
        )
    };
    let fixed = |options: &[&str]| built(&world, options);
    assert!(auto("trixie", &[]) == fixed(&["--compression=zstd"]));
    assert!(auto("bookworm", &[]) == fixed(&["--compression=lz4hc"]));
    assert!(
        auto("trixie", &["--oldest-kernel=5.15"])
            == fixed(&["--compression=lz4hc", "--oldest-kernel=5.15"])
    );
    assert!(auto("bullseye", &[]) == fixed(&["--compression=none"]));
}

#[test]
fn settings_of_our_own_section_are_in_the_summary_and_the_help() {
    let world = extension();
    let recipe = fs_err::read_to_string(world.path("mkosi.conf")).unwrap();
    world.write(
        "mkosi.conf",
        &format!("{recipe}[Overcoat]\nCompression=lz4\n"),
    );
    let summary = world.run(&["summary"]);
    assert_eq!(summary.status, Some(0), "{}", summary.stderr);
    let line = summary
        .stdout
        .lines()
        .find(|line| line.contains("Compression="));
    assert_eq!(line, Some("  Compression=lz4 (mkosi.conf:12)"));
    let help = world.run(&["--help"]).stdout;
    for option in [
        "--file-system",
        "--compression ",
        "--compression-level",
        "--oldest-kernel",
    ] {
        assert_eq!(help.matches(option).count(), 1, "{option}");
    }
}
