//! Scripts of the recipe: what each is given, and what becomes of what it makes.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Transcript, World, names};

/// Returns a world whose recipe makes an extension of one tree.
fn world(configuration: &str) -> World {
    let world = World::new();
    let text =
        "[Output]\nFormat=sysext\nOutput=tools\nOutputDirectory=out\n[Content]\nExtraTrees=tree\n";
    world.write("mkosi.conf", &format!("{text}{configuration}"));
    world.write("tree/usr/bin/tool", "x");
    world
}

/// Writes an executable shell script, which ends at the first command that fails.
pub(crate) fn script(world: &World, name: &str, text: &str) {
    world.write(name, &format!("#!/bin/sh\nset -e\n{text}\n"));
    let mode = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(world.path(name), mode).unwrap();
}

fn built(world: &World) -> Transcript {
    let build = world.run(&["-f", "--debug"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    build
}

fn read(world: &World, name: &str) -> String {
    fs_err::read_to_string(world.path(name)).unwrap()
}

#[test]
fn what_is_synced_is_seen_by_later_scripts_and_changes_no_source() {
    let world = world("");
    world.write("data", "old");
    script(
        &world,
        "mkosi.sync",
        "test \"$1\" = final\necho \"synced from $(cat data)\" >data\necho new >added\nrm mkosi.conf\n",
    );
    script(
        &world,
        "mkosi.finalize",
        "cat data added >\"$OUTPUTDIR/seen\"\ntest ! -e mkosi.conf\n",
    );
    built(&world);
    assert_eq!(read(&world, "out/seen"), "synced from old\nnew\n");
    assert_eq!(read(&world, "data"), "old");
    assert!(!world.path("added").exists() && world.path("mkosi.conf").exists());
}

#[test]
fn outputs_can_be_added_changed_renamed_and_removed() {
    let world = world("Checksum=yes\n");
    script(
        &world,
        "mkosi.finalize",
        "echo listed >\"$OUTPUTDIR/tools.list\"\n",
    );
    script(
        &world,
        "mkosi.postoutput",
        "cd \"$OUTPUTDIR\"\nls >tools.index\nmv tools.list tools.renamed\nrm tools\nchmod 4755 tools.raw\necho more >>tools.raw\n",
    );
    built(&world);
    let outputs = [
        "tools.SHA256SUMS",
        "tools.index",
        "tools.raw",
        "tools.renamed",
    ];
    assert_eq!(names(&world.path("out")), outputs);
    assert_eq!(
        read(&world, "out/tools.index"),
        "tools\ntools.SHA256SUMS\ntools.index\ntools.list\ntools.raw\n"
    );
    let checksums = read(&world, "out/tools.SHA256SUMS");
    assert!(checksums.contains(" *tools.list\n"), "{checksums}");
    let image = fs_err::read(world.path("out/tools.raw")).unwrap();
    assert!(image.ends_with(b"more\n"));
    // Nobody becomes whoever has built it.
    let mode = fs_err::metadata(world.path("out/tools.raw")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o755);
    // What scripts have added is known to be theirs.
    built(&world);
    let clean = world.run(&["clean"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(!world.path("out").exists() || names(&world.path("out")).is_empty());
}

#[test]
fn what_can_be_no_output_is_refused() {
    for (text, message) in [
        (
            "ln -s /etc/passwd link",
            "a script has left `link` among the outputs, which is no file",
        ),
        (
            "mkfifo pipe",
            "a script has left `pipe` among the outputs, which is no file",
        ),
        (
            "mkdir directory",
            "a script has left `directory` among the outputs, which is no file",
        ),
        (
            "ln -sf ../../secret tools",
            "a script has left `tools` among the outputs, which is no file",
        ),
        (
            "echo x >precious",
            "`<world>/recipe/out/precious` is there, and no build has made it",
        ),
        (
            "echo x >.overcoat",
            "`<world>/recipe/out/.overcoat` is there, and no build has made it",
        ),
    ] {
        let world = world("");
        world.write("out/precious", "mine");
        script(
            &world,
            "mkosi.postoutput",
            &format!("cd \"$OUTPUTDIR\"\n{text}\n"),
        );
        let build = world.run(&["-f"]);
        assert_ne!(build.status, Some(0), "{text}: {}", build.stderr);
        assert!(build.stderr.contains(message), "{text}: {}", build.stderr);
        assert_eq!(names(&world.path("out")), ["precious"], "{text}");
        assert_eq!(read(&world, "out/precious"), "mine");
    }
}

#[test]
fn a_script_has_the_outputs_of_its_image_and_writes_nowhere_else() {
    let world = world("");
    world.write("out/precious", "mine");
    script(
        &world,
        "mkosi.postoutput",
        "ls \"$OUTPUTDIR\" >\"$OUTPUTDIR/tools.index\"\nmkdir /work/src/out\necho x >/work/src/out/precious\necho x >/work/src/new\n",
    );
    built(&world);
    assert_eq!(
        read(&world, "out/tools.index"),
        "tools\ntools.index\ntools.raw\n"
    );
    assert_eq!(read(&world, "out/precious"), "mine");
    assert!(!world.path("new").exists());
}

#[test]
fn scripts_clean_up_after_what_was_built() {
    let world = world("");
    script(
        &world,
        "mkosi.clean",
        "cat \"$OUTPUTDIR/note\"\nrm \"$OUTPUTDIR/note\"\n",
    );
    script(
        &world,
        "mkosi.finalize",
        "echo from the build >\"$OUTPUTDIR/note\"\n",
    );
    world.write("out/precious", "mine");
    built(&world);
    let clean = world.run(&["clean", "--debug"]);
    assert_eq!(clean.status, Some(0), "{}", clean.stderr);
    assert!(
        clean.stderr.contains("main | from the build\n"),
        "{}",
        clean.stderr
    );
    assert_eq!(names(&world.path("out")), ["precious"]);
    // A script that fails leaves everything where it was.
    built(&world);
    script(
        &world,
        "mkosi.clean",
        "rm -r \"$OUTPUTDIR\"/tools.raw\nexit 3\n",
    );
    let clean = world.run(&["clean"]);
    assert_ne!(clean.status, Some(0));
    assert!(world.path("out/note").exists(), "{}", clean.stderr);
}

#[test]
fn helpers_work_on_the_image_and_say_what_they_cannot() {
    let world = world("");
    script(
        &world,
        "mkosi.finalize",
        "mkosi-as-caller id -u\ngroupadd --system --gid 77 added 2>/dev/null || echo no groups\n\
         mkosi-install vim || echo \"status $?\"\n",
    );
    let build = built(&world);
    let told = "main | mkosi-install: packages are named by Packages=, BuildPackages=, VolatilePackages= or RemovePackages=\n";
    for line in ["main | 0\n", told, "main | status 1\n"] {
        assert!(build.stderr.contains(line), "{line}: {}", build.stderr);
    }
}
