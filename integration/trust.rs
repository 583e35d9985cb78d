//! Stores of builds that are trusted, of builds that are not, and of nobody knows whom.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::faults::{local, sample, world_with};
use crate::harness::{Transcript, World, names};
use crate::hostile::copy_tree;

const FILE: &str = "mkosi.output/extension/var/lib/dpkg/info/sample.list";
const CACHED: &str = "main: install packages: cached\n";

fn build(world: &World, arguments: &[&str]) -> Transcript {
    let build = world.run(&[&["-f"], arguments].concat());
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    build
}

fn store(world: &World) -> PathBuf {
    world.home().join(".cache/overcoat")
}

/// Returns what is in a store apart from that of untrusted builds, with times that tell of every write.
fn state(store: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut found = Vec::new();
    let children = |directory: &Path| {
        fs_err::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let mut pending = children(store);
    pending.retain(|path| path.file_name().unwrap() != "untrusted");
    while let Some(path) = pending.pop() {
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            pending.extend(children(&path));
        }
        found.push((
            path,
            metadata.size(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ));
    }
    found.sort();
    found
}

fn asked_for_packages(requests: &[String]) -> bool {
    requests.iter().any(|path| path.ends_with(".deb"))
}

#[test]
fn untrusted_builds_read_the_trusted_store_and_write_their_own() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    assert!(!build(&world, &[]).stderr.contains(CACHED));
    assert!(asked_for_packages(&repository.take_requests()));
    let before = state(&store(&world));
    let own = store(&world).join("untrusted");

    // The layer is found by its key.
    assert!(build(&world, &["--untrusted"]).stderr.contains(CACHED));
    assert_eq!(names(&own.join("layers")), Vec::<String>::new());
    // Another layer of the same package: that is found by its digest.
    let other = ["--untrusted", "--source-date-epoch=7"];
    repository.take_requests();
    assert!(!build(&world, &other).stderr.contains(CACHED));
    assert!(!asked_for_packages(&repository.take_requests()));
    assert_eq!(names(&own.join("layers")).len(), 1);
    assert!(build(&world, &other).stderr.contains(CACHED));
    assert_eq!(state(&store(&world)), before);
    // What it made is not there for a trusted build.
    let trusted = build(&world, &["--source-date-epoch=7"]);
    assert!(!trusted.stderr.contains(CACHED), "{}", trusted.stderr);
}

#[test]
fn packages_of_an_untrusted_build_are_not_there_for_a_trusted_one() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    build(&world, &["--untrusted"]);
    repository.take_requests();
    build(&world, &[]);
    assert!(asked_for_packages(&repository.take_requests()));
}

#[test]
fn packages_with_a_wrong_content_are_not_taken_and_stay() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    build(&world, &[]);
    let target = store(&world).join("packages");
    let archives = target.join(&names(&target)[0]).join("archives");
    let package = archives.join("sample_1.0_all.deb");
    let mut bad = fs_err::read(&package).unwrap();
    *bad.last_mut().unwrap() ^= 1;
    fs_err::write(&package, &bad).unwrap();
    repository.take_requests();
    build(&world, &["--untrusted", "--source-date-epoch=7"]);
    assert!(asked_for_packages(&repository.take_requests()));
    assert_eq!(fs_err::read(&package).unwrap(), bad);
}

#[test]
fn layers_that_come_with_a_recipe_are_not_used() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    let recipe = fs_err::read_to_string(world.path("mkosi.conf")).unwrap();
    world.write(
        "mkosi.conf",
        &format!("{recipe}\n[Build]\nCacheDirectory=mkosi.cache\n"),
    );
    build(&world, &[]);
    assert!(build(&world, &[]).stderr.contains(CACHED));
    // What a stranger can commit: the store as it is, in every place that its maker knows, with a file more.
    let cache = world.path("mkosi.cache");
    let [made] = names(&cache).try_into().unwrap();
    let layer = cache.join(&made).join("layers");
    let planted = layer.join(&names(&layer)[0]).join("tree/usr/share/planted");
    fs_err::create_dir_all(planted.parent().unwrap()).unwrap();
    fs_err::write(&planted, "").unwrap();
    copy_tree(&cache.join(&made), &world.path("copy"));
    for name in names(&world.path("copy")) {
        fs_err::rename(world.path("copy").join(&name), cache.join(&name)).unwrap();
    }

    // For another person the name is another.
    fs_err::remove_dir_all(world.home()).unwrap();
    fs_err::create_dir(world.home()).unwrap();
    let theirs = build(&world, &[]);
    assert!(!theirs.stderr.contains(CACHED), "{}", theirs.stderr);
    assert!(
        !world
            .path("mkosi.output/extension/usr/share/planted")
            .exists()
    );
    assert!(world.path(FILE).exists(), "{}", theirs.stderr);
}

#[test]
fn profiles_hold_in_every_step() {
    let repository = require!(sample());
    let world = world_with(&local(&repository), "sample");
    let profile = |call: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["{call}"], "action": "SCMP_ACT_ERRNO"}}]}}"#
        );
        world.write("profile.json", &text);
        world.run(&["-f", "--seccomp-profile=profile.json"])
    };
    // apt runs dpkg.
    let refused = profile("clone");
    assert_eq!(refused.status, Some(1), "{}", refused.stderr);
    let harmless = profile("ptrace");
    assert_eq!(harmless.status, Some(0), "{}", harmless.stderr);
    assert!(world.path(FILE).exists());
}
