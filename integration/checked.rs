//! What `overcoat check` says of extensions made of real packages, on the base that they are for and on another.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::World;
use crate::tutorial::{build_command, world_with};
use crate::{ownership, require};

/// Builds the tutorial for a release of Debian.
fn built(release: &str) -> World {
    let world = world_with("tutorial");
    let mut command = build_command(&world);
    command.args(["--distribution=debian", &format!("--release={release}")]);
    command.args(ownership::mirror().map(|mirror| format!("--mirror={mirror}")));
    let transcript = world.finish(command);
    assert_eq!(transcript.status, Some(0), "{}", transcript.stderr);
    world
}

/// Returns the exit status, and the findings by name.
fn checked(extension: &World, base: &World) -> (Option<i32>, BTreeMap<String, Value>) {
    let image = extension.path("mkosi.output/btrfs.raw");
    let base = base.path("mkosi.output/base");
    let [check, json, against] = ["check", "--json", "--against"].map(AsRef::as_ref);
    let transcript = extension.run(&[check, json, image.as_os_str(), against, base.as_os_str()]);
    let report: Value = serde_json::from_str(&transcript.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let by_name = findings.map(|found| (found["name"].as_str().unwrap().into(), found.clone()));
    (transcript.status, by_name.collect())
}

#[test]
fn the_tutorials_extension_works_on_its_base_and_not_on_an_older_one() {
    require!(require::building());
    let (bookworm, trixie) = (built("bookworm"), built("trixie"));
    for world in [&bookworm, &trixie] {
        let (status, findings) = checked(world, world);
        // It is built without a key.
        assert_eq!(findings.keys().collect::<Vec<_>>(), ["without-hash-tree"]);
        assert_eq!(status, Some(0));
    }
    let (status, findings) = checked(&trixie, &bookworm);
    assert_eq!(status, Some(1));
    let version = &findings["version-differs"]["reason"];
    assert_eq!(version, "it is for the release `13`, and the host has `12`");
    let library = &findings["library-version"];
    let reason = library["reason"].as_str().unwrap();
    assert!(
        reason.contains("/libc.so.6` of the base lacks versions"),
        "{reason}"
    );
    let places = library["items"].as_array().unwrap().iter();
    let program = places.filter(|item| item["path"] == "/usr/bin/btrfs");
    let needs: Vec<_> = program.map(|item| item["reason"].clone()).collect();
    assert_eq!(needs, ["needs GLIBC_2.38"]);

    // Debian 13 still has everything that programs of Debian 12 need.
    let (status, findings) = checked(&bookworm, &trixie);
    assert_eq!(status, Some(1));
    assert!(findings.contains_key("version-differs"), "{findings:?}");
    assert!(!findings.contains_key("library-version"), "{findings:?}");
}
