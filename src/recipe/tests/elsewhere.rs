//! What lies outside of a recipe, and is neither used nor told.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn key_that_was_not_there_is_not_looked_for_outside() {
    let outside = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(outside.path()).unwrap();
    fs_err::create_dir(real.join("below")).unwrap();
    fs_err::write(real.join("mine.key"), "secret").unwrap();
    // As it is spelled, nothing is there; as the kernel reads it, it is the key of somebody else.
    let text = |key: &str| format!("[Validation]\nVerityKey={key}\n[Output]\nFormat=none\n");
    let fixture = Fixture::new(&[("mkosi.conf", &text("link/../mine.key"))]);
    symlink(real.join("below"), fixture.path("link")).unwrap();
    let key = fixture.load().recipe("main").verity_key.clone();
    assert_eq!(key, Some(fixture.path("mine.key")));
    // What starts in a directory below must not lead out of the one above.
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Include]\nInclude=below\n"),
        ("below/mkosi.conf", &text("../mine.key")),
    ]);
    let parent = fixture.path("").parent().unwrap().join("mine.key");
    let path = parent.display();
    assert_eq!(
        fixture.errors(),
        [format!(
            "below/mkosi.conf:2: `{path}` is outside the recipe's directory"
        )]
    );
    Fixture::new(&[("mkosi.conf", &text("keys/mine.key"))]).load();
}

#[test]
fn names_of_files_elsewhere_are_not_told() {
    let outside = tempfile::tempdir().unwrap();
    fs_err::write(outside.path().join("secret"), "").unwrap();
    let real = fs_err::canonicalize(outside.path()).unwrap();
    let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]);
    symlink(outside.path(), fixture.path("mkosi.profiles")).unwrap();
    assert_eq!(fixture.warnings(), [""; 0]);
    let fixture = fixture.allow(&format!("path:{}", real.display()));
    assert_eq!(
        fixture.warnings(),
        ["mkosi.profiles/secret: only directories and files that end with `.conf` are read here"]
    );
}
