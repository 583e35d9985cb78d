//! Executable configuration files, which run confined.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Transcript, World};

/// Returns a world whose `mkosi.version` is this shell script.
fn world(script: &str) -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\n[Content]\nExtraTrees=tree\n",
    );
    world.write("tree/usr/bin/tool", "");
    world.write("mkosi.version", &format!("#!/bin/sh\n{script}\n"));
    let permissions = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(world.path("mkosi.version"), permissions).unwrap();
    world
}

/// Returns what the script prints, as a build and the summary understand it.
#[track_caller]
fn version(world: &World) -> String {
    let summary = world.run(&["summary", "--json"]);
    assert_eq!(summary.status, Some(0), "{}", summary.stderr);
    let json: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    json["Images"][0]["ImageVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn version_is_what_the_program_prints() {
    let world = world("cat number");
    world.write("number", "4.2\n");
    assert_eq!(version(&world), "4.2");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert!(world.path("image_4.2.raw").is_file());
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(!world.path("image_4.2.raw").exists());
}

/// Runs one attempt, and returns whether it succeeded.
#[track_caller]
fn succeeds(attempt: &str) -> bool {
    let world = world(&format!("if {attempt}; then echo yes; else echo no; fi"));
    fs_err::write(world.home().join("secret"), "secret").unwrap();
    let attempt = attempt.replace("@HOME@", world.home().to_str().unwrap());
    let script = format!("#!/bin/sh\nif {attempt}; then echo yes; else echo no; fi\n");
    world.write("mkosi.version", &script);
    for (path, text) in [
        ("plain", "secret"),
        ("mkosi.key", "secret"),
        ("mkosi.passphrase", "secret"),
        ("mkosi.output/old", "secret"),
        ("mkosi.cache/layer", "secret"),
        (".git/config", "secret"),
        (".git/HEAD", "secret"),
    ] {
        world.write(path, text);
    }
    fs_err::set_permissions(world.path("mkosi.key"), PermissionsExt::from_mode(0o600)).unwrap();
    fs_err::set_permissions(
        world.path("mkosi.passphrase"),
        PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    match version(&world).as_str() {
        "yes" => true,
        "no" => false,
        other => panic!("{attempt}: {other}"),
    }
}

#[test]
fn program_reads_the_recipe_and_nothing_of_the_caller() {
    for (attempt, may) in [
        ("grep -q secret plain", true),
        ("grep -q secret /work/src/plain", true),
        ("grep -q secret .git/HEAD", true),
        ("grep -q secret mkosi.key", false),
        ("grep -q secret mkosi.passphrase", false),
        ("grep -q secret mkosi.output/old", false),
        ("grep -q secret mkosi.cache/layer", false),
        ("grep -q secret .git/config", false),
        ("test -e .git/config", true),
        ("grep -q secret @HOME@/secret", false),
        ("test -e @HOME@", false),
        ("test -e /etc/shadow", false),
        ("test -e /home", false),
        ("test -e /sys", false),
        ("test -n \"$(ls -A /run)\"", false),
        ("touch /tmp/x", true),
        ("touch x", false),
        ("touch mkosi.version", false),
        ("touch mkosi.output/x", false),
        ("test -n \"$PATH\"", true),
        ("test -n \"$OVERCOAT_ALLOW\"", false),
        ("test \"$HOME\" = /root", true),
        ("test $(grep -c : /proc/net/dev) = 1", true),
    ] {
        assert_eq!(succeeds(attempt), may, "{attempt}");
    }
}

#[test]
fn program_that_fails_is_told_with_its_status_and_its_errors() {
    let told = |status: &str| {
        format!(
            "error: mkosi.version: running it for `ImageVersion=`\n  \
             caused by: the step `configuration` failed: `/work/src/mkosi.version` {status}"
        )
    };
    let run = |script: &str, verb: &str| -> Transcript { world(script).run(&[verb]) };
    for verb in ["build", "summary", "clean"] {
        run("echo one >&2; printf '\\033[2Jtwo' >&2; exit 3", verb).assert_failed(
            2,
            &format!(
                "{}\n          one\n          ^[[2Jtwo\n",
                told("exited with status 3")
            ),
        );
    }
    run("kill -9 $$", "summary").assert_failed(2, &format!("{}\n", told("was killed by signal 9")));
    run("while :; do echo many; done", "summary").assert_failed(
        2,
        "error: mkosi.version: running it for `ImageVersion=`\n  \
         caused by: the step `configuration` printed more than 65536 bytes\n",
    );
}

#[test]
fn program_may_write_much_to_its_error_output() {
    let world = world("head -c 300000 /dev/zero >&2; echo 7");
    assert_eq!(version(&world), "7");
}

#[test]
fn key_named_after_the_program_has_run_is_not_seen() {
    let world = world("if grep -q secret keys/mine; then echo seen; else echo 1; fi");
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\n[Content]\nExtraTrees=tree\n[Validation]\nVerityKey=keys/mine\n",
    );
    world.write("keys/mine", "secret");
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs_err::set_permissions(world.path("keys/mine"), secret).unwrap();
    assert_eq!(version(&world), "1");
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\n[Content]\nExtraTrees=tree\n",
    );
    assert_eq!(version(&world), "seen");
}
