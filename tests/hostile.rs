//! Recipes from strangers that need no package: links where outputs go, trees that change or block, values that act.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::{RenameFlags, renameat2};
use nix::sys::stat::Mode;
use rustix::fs::{CWD, FileType};

use crate::harness::{Transcript, World};

const SECRET: &str = "the-callers-secret-9b02fd";

/// Returns a world with an extension of one tree, and a directory beside the recipe that it must not touch.
fn world() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nOutput=tools\nOutputDirectory=mkosi.output\n\n[Content]\nBaseTrees=base\nExtraTrees=tree\n",
    );
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=12\n");
    world.write("tree/usr/share/file", "of the recipe");
    world.write("../victim/file", SECRET);
    world.write("../victim/directory/file", SECRET);
    world
}

#[track_caller]
fn assert_victim_untouched(world: &World) {
    let victim = world.path("../victim");
    let mut names: Vec<_> = fs_err::read_dir(&victim)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["directory", "file"]);
    assert_eq!(
        fs_err::read_dir(victim.join("directory")).unwrap().count(),
        1
    );
    for name in ["file", "directory/file"] {
        assert_eq!(fs_err::read_to_string(victim.join(name)).unwrap(), SECRET);
    }
}

#[test]
fn links_at_the_places_of_outputs_are_not_followed() {
    // A link of the recipe, what it leads to, and what the build says to it; without that, it succeeds.
    let cases = [
        (
            "mkosi.output",
            "../victim",
            Some("is outside the recipe's directory"),
        ),
        (
            "mkosi.cache",
            "../victim",
            Some("is outside the recipe's directory"),
        ),
        (
            "mkosi.extra",
            "../victim",
            Some("is outside the recipe's directory"),
        ),
        (
            "mkosi.output/.overcoat",
            "../../victim",
            Some("is not a directory"),
        ),
        ("mkosi.cache/layers", "../../victim", None),
        ("mkosi.cache/staging", "../../victim", None),
        ("mkosi.cache/locks", "../../victim", None),
        ("mkosi.output/tools.raw", "../../victim/file", None),
        ("mkosi.output/tools.raw", "../../victim/directory", None),
        ("mkosi.output/tools.raw", "../../victim/made", None),
        ("mkosi.output/tools", "../../victim/directory", None),
    ];
    for (link, target, refusal) in cases {
        let world = world();
        fs_err::create_dir_all(world.path(link).parent().unwrap()).unwrap();
        symlink(target, world.path(link)).unwrap();
        let build = world.run(&["-f"]);
        match refusal {
            Some(text) => {
                assert_ne!(build.status, Some(0), "{link}");
                assert!(build.stderr.contains(text), "{link}: {}", build.stderr);
            }
            None => {
                assert_eq!(build.status, Some(0), "{link}: {}", build.stderr);
                let image = fs_err::symlink_metadata(world.path("mkosi.output/tools.raw"));
                assert!(image.unwrap().is_file(), "{link}");
            }
        }
        assert_victim_untouched(&world);
        for arguments in [&["clean"][..], &["clean", "-ff"]] {
            world.run(arguments);
            assert_victim_untouched(&world);
        }
    }
}

#[test]
fn a_tree_that_changes_while_it_is_read_gives_nothing_from_outside() {
    let world = world();
    for number in 0..40 {
        world.write(&format!("tree/usr/share/{number}/file"), "of the recipe");
    }
    // The directory, and a link that leads out, change places all the time; so do a file and a link to one.
    symlink(world.path("../victim"), world.path("tree/usr/link")).unwrap();
    symlink(
        world.path("../victim/file"),
        world.path("tree/usr/share/link"),
    )
    .unwrap();
    let stop = AtomicBool::new(false);
    let usr = fs_err::File::open(world.path("tree/usr")).unwrap();
    let share = fs_err::File::open(world.path("tree/usr/share")).unwrap();
    let (mut made, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = RenameFlags::RENAME_EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                renameat2(&usr, "share", &usr, "link", exchange).unwrap();
                renameat2(&share, "file", &share, "link", exchange).unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        for format in ["directory", "sysext", "cpio"].iter().cycle().take(30) {
            let build = world.run(&["-f", &format!("--format={format}"), "--compress-output=no"]);
            match build.status {
                Some(0) => made += 1,
                Some(1 | 2) => refused += 1,
                other => panic!("{other:?}: {}", build.stderr),
            }
            assert!(!build.stderr.contains("panicked"), "{}", build.stderr);
            assert_holds_no_secret(&world.path("mkosi.output"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{made} builds succeeded, {refused} were refused");
    assert_victim_untouched(&world);
}

fn assert_holds_no_secret(directory: &Path) {
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs_err::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let entries = fs_err::read_dir(&path).unwrap();
            waiting.extend(entries.map(|entry| entry.unwrap().path()));
        } else if metadata.is_file() {
            let bytes = fs_err::read(&path).unwrap();
            let found = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn files_that_block_their_reader_hold_no_build() {
    for name in [
        "tree/usr/pipe",
        "mkosi.output/tools.raw",
        "mkosi.conf.d/a.conf",
        "mkosi.version",
        "mkosi.cache/resolutions",
    ] {
        let world = world();
        let path = world.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(
            CWD,
            &path,
            FileType::Fifo,
            Mode::from_bits_truncate(0o644).bits().into(),
            0,
        )
        .unwrap();
        let limited = |arguments: &[&str]| ended(&world, arguments);
        let build = limited(&["-f"]);
        assert!(
            [Some(0), Some(1), Some(2)].contains(&build.status),
            "{name}: {:?} {}",
            build.status,
            build.stderr
        );
        limited(&["summary"]);
        limited(&["clean"]);
    }
}

/// Runs the program, and kills it when it takes longer than anybody waits.
fn ended(world: &World, arguments: &[&str]) -> Transcript {
    let program = world.command(arguments);
    let mut command = std::process::Command::new("/usr/bin/timeout");
    command
        .args(["--signal=KILL", "20"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(world.path(""))
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    world.finish(command)
}

#[test]
fn values_and_names_of_a_recipe_are_shown_without_acting() {
    let world = world();
    let mut text = fs_err::read_to_string(world.path("mkosi.conf")).unwrap();
    text += "\n[Build]\nEnvironment=A=##[set-env\n    B=::add-mask::\u{202e}y\u{feff}\n";
    fs_err::write(world.path("mkosi.conf"), text).unwrap();
    for name in [
        "\n::add-mask::x",
        "\x1b[2J",
        "##[group]x",
        "\u{202e}x",
        "\u{9b}31m",
        "\r::error::x",
    ] {
        world.write(&format!("tree/{name}/file"), "");
    }
    for arguments in [
        &["summary"][..],
        &["summary", "--json"],
        &["-f"],
        &["-f", "--json"],
        &["clean"],
    ] {
        let mut command = world.command(arguments);
        command.env("GITHUB_ACTIONS", "true");
        let shown = world.finish(command);
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
        for text in [&shown.stdout, &shown.stderr] {
            assert!(!text.contains("##["), "{arguments:?}: {text}");
            assert!(
                !text.lines().any(|line| line.trim_start().starts_with("::")),
                "{arguments:?}: {text}"
            );
            let acts =
                |c: char| c.is_control() && c != '\n' || ['\u{202e}', '\u{feff}'].contains(&c);
            assert!(!text.contains(acts), "{arguments:?}: {text}");
        }
        if arguments.contains(&"--json") {
            for line in shown.stdout.lines().filter(|_| arguments[0] == "-f") {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
    // A mistake shows what it is about.
    world.write(
        "mkosi.conf",
        "[Output]\n##[add-mask]=x\nFormat=::add-mask::\u{202e}\n",
    );
    let mut command = world.command(&["-f"]);
    command.env("GITHUB_ACTIONS", "true");
    let failed = world.finish(command);
    assert_eq!(failed.status, Some(2), "{}", failed.stderr);
    assert!(
        !failed.stderr.contains("##[") && !failed.stderr.contains('\u{202e}'),
        "{}",
        failed.stderr
    );
}
