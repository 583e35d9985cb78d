//! The tutorial, word for word.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{self, Transcript, World, names};
use crate::require;

/// The tutorial's first recipe and its variant whose main image is an initrd.
pub(crate) const RECIPES: [&str; 2] = ["tutorial", "tutorial-initrd"];

/// A finished build of one of the tutorial's recipes.
#[derive(Debug)]
pub(crate) struct Built {
    world: World,
    pub(crate) transcript: Transcript,
}

impl Built {
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.world.path("mkosi.output").join(name)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.world.path("mkosi.crt")
    }
}

/// Returns the signed build of the first recipe, which all tests share.
pub(crate) fn signed() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let world = shared("tutorial");
        let made = world.run(&["genkey"]);
        assert_eq!(made.status, Some(0), "{}", made.stderr);
        build(world)
    })
}

/// Returns the build of the variant, which all tests share.
pub(crate) fn initrd() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| build(shared("tutorial-initrd")))
}

/// Returns a world that outlives the process, because statics are not dropped; the next process replaces it.
fn shared(recipe: &str) -> World {
    let name = format!("shared-{recipe}");
    let path = harness::directory().join(&name);
    if path.exists() {
        fs_err::remove_dir_all(path).unwrap();
    }
    let root = tempfile::Builder::new()
        .prefix(&name)
        .rand_bytes(0)
        .tempdir_in(harness::directory())
        .unwrap();
    with_recipe(World::within(root), recipe)
}

/// Returns a world whose working directory is a copy of a recipe.
pub(crate) fn world_with(recipe: &str) -> World {
    with_recipe(World::new(), recipe)
}

fn with_recipe(world: World, recipe: &str) -> World {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/recipes");
    for file in [
        "mkosi.conf",
        "mkosi.images/base/mkosi.conf",
        "mkosi.images/btrfs/mkosi.conf",
    ] {
        let content = fs_err::read_to_string(recipes.join(recipe).join(file)).unwrap();
        world.write(file, &content);
    }
    world
}

/// Builds with `-f`, which must succeed.
pub(crate) fn build(world: World) -> Built {
    let command = build_command(&world);
    let transcript = world.finish(command);
    assert_eq!(transcript.status, Some(0), "{}", transcript.stderr);
    Built { world, transcript }
}

/// Returns `overcoat -f` with the package cache that all tests share, so that a package is downloaded once.
pub(crate) fn build_command(world: &World) -> Command {
    let packages = harness::directory().join("packages");
    fs_err::create_dir_all(&packages).unwrap();
    let mut command = world.command(&["-f", "--package-cache-directory"]);
    command.arg(packages);
    command
}

#[test]
fn outputs_have_mkosis_names() {
    require!(require::building());
    let built = signed();
    assert_eq!(
        names(&built.output("")),
        ["base", "btrfs", "btrfs.raw", "image", "image.raw"]
    );
    for link in ["btrfs", "image"] {
        assert_eq!(
            fs_err::read_link(built.output(link)).unwrap(),
            Path::new(&format!("{link}.raw"))
        );
    }
    assert!(built.output("base/usr/lib/systemd/systemd").is_file());
    assert_eq!(built.transcript.stdout, "");
}

#[test]
fn manifest_lists_the_packages_of_its_own_image() {
    require!(require::building());
    let world = world_with("tutorial-initrd");
    for image in ["base", "btrfs"] {
        let file = format!("mkosi.images/{image}/mkosi.conf");
        let text = fs_err::read_to_string(world.path(&file)).unwrap();
        world.write(&file, &format!("{text}\n[Output]\nManifestFormat=json\n"));
    }
    let built = build(world);
    let names = |image: &str| -> Vec<String> {
        let text = fs_err::read(built.output(&format!("{image}.manifest"))).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let packages = json["packages"].as_array().unwrap().iter();
        packages
            .map(|package| package["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (base, extension) = (names("base"), names("btrfs"));
    let has = |packages: &[String], name: &str| packages.iter().any(|package| package == name);
    assert!(has(&base, "systemd") && !has(&base, "btrfs-progs"));
    assert!(has(&extension, "btrfs-progs") && !has(&extension, "systemd"));
    assert!(!extension.iter().any(|name| has(&base, name)));
}

#[test]
fn variant_leaves_an_initrd_beside_its_extension() {
    require!(require::building());
    assert_eq!(
        names(&initrd().output("")),
        ["base", "btrfs", "btrfs.raw", "initrd", "initrd.cpio.zst"]
    );
}

#[test]
fn key_is_its_owners_alone() {
    require!(require::building());
    let key = signed().certificate().with_extension("key");
    let mode = fs_err::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn build_without_force_leaves_existing_outputs_alone() {
    require!(require::building());
    let built = signed();
    let before = fs_err::metadata(built.output("btrfs.raw"))
        .unwrap()
        .modified()
        .unwrap();
    let again = built.world.run::<&str>(&[]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    let after = fs_err::metadata(built.output("btrfs.raw"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);
}

#[test]
fn build_leaves_nothing_mounted() {
    require!(require::building());
    let output = signed().output("");
    let root = output.ancestors().nth(2).unwrap().to_str().unwrap();
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let left: Vec<_> = mounts.lines().filter(|line| line.contains(root)).collect();
    assert_eq!(left, Vec::<&str>::new());
}
