//! What single settings change in an output, where no other file is about them.

use crate::harness::{World, names};
use crate::scripts::script;

/// Returns a world whose recipe makes a tree of a base, with more settings.
fn world(settings: &str) -> World {
    let world = World::new();
    let text =
        "[Output]\nFormat=directory\nOutput=tree\nOutputDirectory=out\n[Content]\nBaseTrees=base\n";
    world.write("mkosi.conf", &format!("{text}{settings}"));
    world.write("base/usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    world
}

fn build(world: &World, arguments: &[&str]) {
    let build = world.run(&[&["-f"], arguments].concat());
    assert_eq!(build.status, Some(0), "{}", build.stderr);
}

/// Returns what the script `mkosi.finalize` of this text leaves in `$OUTPUTDIR/said`.
fn said(settings: &str, files: &[(&str, &str)], text: &str, arguments: &[&str]) -> String {
    let world = world(settings);
    for (name, text) in files {
        world.write(name, text);
    }
    script(
        &world,
        "mkosi.finalize",
        &format!("{{ {text}; }} >\"$OUTPUTDIR/said\""),
    );
    build(&world, arguments);
    fs_err::read_to_string(world.path("out/said")).unwrap()
}

fn file(world: &World, path: &str) -> String {
    fs_err::read_to_string(world.path("out/tree").join(path)).unwrap()
}

#[test]
fn environment_comes_from_the_recipe_and_its_files() {
    let text = "echo \"$ONE $TWO $THREE\"";
    let files = [("some.env", "TWO=file\nTHREE=\"of it\"\n")];
    let settings = "[Build]\nEnvironment=ONE=recipe\nEnvironmentFiles=some.env\n";
    assert_eq!(said(settings, &files, text, &[]), "recipe file of it\n");
    let magic = [("mkosi.env", "ONE=magic\nTWO=\nTHREE=x\n")];
    assert_eq!(said("", &magic, text, &[]), "magic  x\n");
}

#[test]
fn environment_is_passed_to_the_images_that_it_is_meant_for() {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Config]\nPassEnvironment=ONE\n[Output]\nFormat=none\nOutputDirectory=out\n[Build]\nEnvironment=ONE=1 TWO=2\n",
    );
    world.write(
        "mkosi.images/part/mkosi.conf",
        "[Output]\nFormat=directory\n[Content]\nBaseTrees=../../base\n",
    );
    world.write("base/usr/lib/os-release", "ID=debian\n");
    script(
        &world,
        "mkosi.images/part/mkosi.finalize",
        "echo \"$ONE-$TWO $SUBIMAGE\" >\"$OUTPUTDIR/said\"",
    );
    build(&world, &[]);
    assert_eq!(
        fs_err::read_to_string(world.path("out/said")).unwrap(),
        "1- part\n"
    );
}

#[test]
fn sources_are_where_the_recipe_wants_them() {
    let settings = "[Build]\nBuildSources=one:first two:second\n";
    let files = [("one/a", ""), ("two/b", ""), ("three/c", "")];
    let text = "find . -type f | sort";
    assert_eq!(said(settings, &files, text, &[]), "./first/a\n./second/b\n");
}

#[test]
fn tests_are_for_build_scripts_to_run() {
    for (value, expected) in [("yes", "1\n"), ("no", "0\n")] {
        let world = world("");
        script(
            &world,
            "mkosi.build",
            "echo \"$WITH_TESTS\" >\"$DESTDIR/tests\"",
        );
        build(&world, &[&format!("--with-tests={value}")]);
        assert_eq!(file(&world, "tests"), expected);
    }
}

#[test]
fn build_scripts_are_told_what_was_typed_and_find_their_directory_again() {
    let world = world("[Build]\nBuildDirectory=kept\nBuildKey=key\nWithDocs=no\n");
    fs_err::create_dir(world.path("kept")).unwrap();
    script(
        &world,
        "mkosi.build",
        "echo run >>\"$BUILDDIR/runs\"\necho \"$(wc -l <\"$BUILDDIR/runs\") $*\" >\"$DESTDIR/built\"",
    );
    let built = |arguments: &[&str]| {
        build(&world, &[&["build"], arguments].concat());
        file(&world, "built")
    };
    assert_eq!(built(&[]), "1 \n");
    assert_eq!(built(&["--", "one", "two words"]), "2 one two words\n");
    assert_eq!(names(&world.path("kept/key")), ["runs"]);
}

#[test]
fn scripts_are_those_that_the_recipe_names() {
    let settings = "[Content]\nPrepareScripts=s/prepare\nBuildScripts=s/build\nPostInstallationScripts=s/post\n\
                    FinalizeScripts=s/final\nPostOutputScripts=s/out\nSyncScripts=s/sync\n";
    let world = world(settings);
    script(&world, "s/sync", "echo sync >log");
    script(
        &world,
        "s/prepare",
        "cat log >\"$BUILDROOT/log\"\necho \"prepare $1\" >>\"$BUILDROOT/log\"",
    );
    script(&world, "s/build", "echo built >\"$DESTDIR/made\"");
    script(
        &world,
        "s/post",
        "cat \"$BUILDROOT/made\" >>\"$BUILDROOT/log\"\necho \"post $1\" >>\"$BUILDROOT/log\"",
    );
    script(&world, "s/final", "echo final >>\"$BUILDROOT/log\"");
    script(
        &world,
        "s/out",
        "cp \"$OUTPUTDIR/tree/log\" \"$OUTPUTDIR/log\"",
    );
    build(&world, &[]);
    let log = fs_err::read_to_string(world.path("out/log")).unwrap();
    assert_eq!(log, "sync\nprepare final\nbuilt\npost final\nfinal\n");
}

#[test]
fn outputs_have_the_names_that_the_recipe_gives() {
    let world = world("");
    build(
        &world,
        &[
            "--format=tar",
            "--compress-output=none",
            "--output-extension=layer",
            "--image-version=3",
            "--image-id=thing",
            "--output=",
        ],
    );
    assert_eq!(names(&world.path("out")), ["thing_3", "thing_3.layer"]);
}
