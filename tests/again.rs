//! Building again without `--force`: what changed is made, and what did not is left as it is.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::World;

const BASE: &str = "mkosi.images/base/mkosi.conf";
const ADDED: &str = "mkosi.images/added/mkosi.conf";

/// Returns a world with an extension on a base, which are both of trees; they are old enough for their status to tell
/// whether they have changed.
fn world() -> World {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=none\nOutputDirectory=out\n");
    world.write(
        BASE,
        "[Output]\nFormat=directory\n[Content]\nBaseTrees=../../start\n",
    );
    world.write(
        ADDED,
        "[Config]\nDependencies=base\n[Output]\nFormat=sysext\nOverlay=yes\n[Content]\nBaseTrees=%O/base\n",
    );
    world.write("start/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    world.write("mkosi.images/added/mkosi.extra/usr/bin/tool", "one");
    world
}

/// Builds, and returns what was said of each image.
fn build(world: &World, arguments: &[&str]) -> Vec<String> {
    let build = world.run(arguments);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let of_image = |line: &&str| line.starts_with("base: ") || line.starts_with("added: ");
    let is_step = |line: &&str| {
        line.ends_with(" ...") || line.ends_with(": <time>") || line.ends_with("cached")
    };
    build
        .stderr
        .lines()
        .filter(of_image)
        .filter(|line| !is_step(line))
        .map(str::to_owned)
        .collect()
}

const UP_TO_DATE: [&str; 2] = ["base: up to date", "added: up to date"];

#[test]
fn what_has_not_changed_is_left_as_it_is() {
    let world = world();
    assert_eq!(build(&world, &[]), [""; 0]);
    let image = world.path("out/added.raw");
    let number = fs_err::metadata(&image).unwrap().ino();
    assert_eq!(build(&world, &[]), UP_TO_DATE);
    // Times that no image has.
    let file = world.path("mkosi.images/added/mkosi.extra/usr/bin/tool");
    fs_err::write(&file, "one").unwrap();
    assert_eq!(build(&world, &[]), UP_TO_DATE);
    assert_eq!(fs_err::metadata(&image).unwrap().ino(), number);
    // Whoever insists has it made again, and it is the same.
    assert_eq!(build(&world, &["-f"]), [""; 0]);
    assert_ne!(fs_err::metadata(&image).unwrap().ino(), number);
    assert_eq!(build(&world, &[]), UP_TO_DATE);
}

#[test]
fn what_has_changed_is_made_again_and_told() {
    let world = world();
    build(&world, &[]);
    let extra = world.path("mkosi.images/added/mkosi.extra");
    let told = |text: &str| {
        format!("added: ExtraTrees: `<world>/recipe/mkosi.images/added/mkosi.extra{text}")
    };
    let base = UP_TO_DATE[0];
    let tool = extra.join("usr/bin/tool");

    fs_err::write(&tool, "two").unwrap();
    assert_eq!(
        build(&world, &[]),
        [base, &told("/usr/bin/tool` has changed")]
    );
    let mode = std::fs::Permissions::from_mode(0o700);
    fs_err::set_permissions(&tool, mode).unwrap();
    assert_eq!(
        build(&world, &[]),
        [base, &told("/usr/bin/tool` has changed")]
    );
    world.write("mkosi.images/added/mkosi.extra/usr/bin/other", "");
    assert_eq!(build(&world, &[]), [base, &told("/usr/bin/other` is new")]);
    fs_err::remove_file(extra.join("usr/bin/other")).unwrap();
    assert_eq!(build(&world, &[]), [base, &told("/usr/bin/other` is gone")]);

    let text = fs_err::read_to_string(world.path(ADDED)).unwrap();
    world.write(
        ADDED,
        &text.replace("Format=sysext\n", "Format=sysext\nSectorSize=4096\n"),
    );
    assert_eq!(
        build(&world, &[]),
        [base, "added: SectorSize: `` became `4096`"]
    );
    fs_err::remove_file(world.path("out/added.raw")).unwrap();
    let missing = "added: `<world>/recipe/out/added.raw` is missing";
    assert_eq!(build(&world, &[]), [base, missing]);
    assert_eq!(build(&world, &[]), UP_TO_DATE);
}

#[test]
fn what_is_made_of_an_image_is_made_again_with_it() {
    let world = world();
    build(&world, &[]);
    world.write("start/usr/share/data", "");
    let changed = "base: BaseTrees: `<world>/recipe/start/usr/share` is new";
    assert_eq!(
        build(&world, &[]),
        [
            format!("{changed}, and one other change"),
            "added: the image `base` is made again".to_owned()
        ]
    );
    assert_eq!(build(&world, &[]), UP_TO_DATE);
}

#[test]
fn files_of_an_unknown_build_are_left_until_that_is_insisted_on() {
    let world = world();
    world.write("out/added.raw", "precious");
    let build = world.run::<&str>(&[]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let told = "warning: added: `<world>/recipe/out/added.raw` exists already, and what it was made of is not known; \
                `--force` builds it again\n";
    assert!(build.stderr.contains(told), "{}", build.stderr);
    assert!(world.path("out/base").is_dir());
    assert_eq!(
        fs_err::read(world.path("out/added.raw")).unwrap(),
        b"precious"
    );
    assert_eq!(world.run(&["-f"]).status, Some(0));
    assert_ne!(
        fs_err::read(world.path("out/added.raw")).unwrap(),
        b"precious"
    );
}

#[test]
fn old_times_are_in_the_image_and_count() {
    let world = world();
    let set = |seconds: u64| {
        let file = world.path("mkosi.images/added/mkosi.extra/usr/bin/tool");
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds);
        let times = std::fs::FileTimes::new().set_modified(time);
        let file = fs_err::File::options().write(true).open(file).unwrap();
        file.into_file().set_times(times).unwrap();
    };
    let now = ["--source-date-epoch=1000"];
    build(&world, &now);
    set(2000);
    assert_eq!(build(&world, &now), UP_TO_DATE);
    set(500);
    assert_eq!(build(&world, &now).len(), 2);
    assert!(build(&world, &now) == UP_TO_DATE);
}

#[test]
fn what_a_build_would_do_is_explained_and_not_done() {
    let world = world();
    let explain = || {
        let explain = world.run(&["explain"]);
        assert_eq!((explain.stderr.as_str(), explain.status), ("", Some(0)));
        explain.stdout
    };
    assert_eq!(explain(), "base: not built yet\nadded: not built yet\n");
    assert!(!world.path("out").exists());
    build(&world, &[]);
    assert_eq!(explain(), "base: up to date\nadded: up to date\n");
    world.write("mkosi.images/added/mkosi.extra/usr/bin/tool", "two");
    world.write("mkosi.images/added/mkosi.extra/usr/bin/other", "");
    let directory = "<world>/recipe/mkosi.images/added/mkosi.extra/usr/bin";
    let told = [
        "base: up to date",
        "added: made again",
        &format!("  ExtraTrees: `{directory}/other` is new"),
        &format!("  ExtraTrees: `{directory}/tool` has changed"),
    ];
    assert_eq!(explain().lines().collect::<Vec<_>>(), told);
    let json: serde_json::Value =
        serde_json::from_str(&world.run(&["explain", "--json"]).stdout).unwrap();
    assert_eq!(json["images"][0]["due"], false);
    assert_eq!(json["images"][1]["changes"][0], told[2].trim_start());
    fs_err::remove_dir_all(world.home()).unwrap();
    fs_err::create_dir(world.home()).unwrap();
    let told = "left alone: `<world>/recipe/out/base` exists already, and what it was made of is not known";
    assert!(explain().contains(told), "{}", explain());
}
