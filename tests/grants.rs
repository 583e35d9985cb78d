//! What a recipe asks for outside its directory, and what the person grants.

use std::os::unix::fs::symlink;

use crate::harness::World;

/// Returns a world with a recipe of this text, and a directory beside it with a tree.
fn world(text: &str) -> World {
    let world = World::new();
    world.write("mkosi.conf", text);
    world.write("../outside/tree/usr/bin/tool", "#!/bin/sh\n");
    world
}

#[test]
fn what_a_recipe_asks_for_is_told_with_the_flag_that_grants_it() {
    let world = world(
        "[Output]\nFormat=sysext\nOutputDirectory=../out\n\n\
         [Content]\nExtraTrees=../outside/tree\n\n\
         [Build]\nEnvironment=TOKEN\nWithNetwork=yes\n\n\
         [Include]\nInclude=../outside/x.conf\n",
    );
    world.write("../outside/x.conf", "");
    symlink("../outside", world.path("mkosi.cache")).unwrap();
    world.run(&["-f"]).assert_failed(
        2,
        "error: mkosi.conf:3:17: `<world>/out` is outside the recipe's directory\n  3 | OutputDirectory=../out\n    |                 ^^^^^^\n\n\
         hint: to permit it, make `<world>/out` and pass `--allow=path:<world>/out:rw`, or name a path with \
         `--output-directory`\n\n\
         error: mkosi.conf:6:12: `<world>/outside/tree` is outside the recipe's directory\n  6 | ExtraTrees=../outside/tree\n    |            ^^^^^^^^^^^^^^^\n\n\
         hint: to permit it, pass `--allow=path:<world>/outside/tree`\n\n\
         error: mkosi.conf:9:13: `Environment=TOKEN` takes a variable of the environment the build is started in\n  9 | Environment=TOKEN\n    |             ^^^^^\n\n\
         hint: to permit it, pass `--allow=env:TOKEN`, or give it a value with `--environment=TOKEN=VALUE`\n\n\
         error: mkosi.conf:10:13: `WithNetwork=yes` asks for the network\n  10 | WithNetwork=yes\n     |             ^^^\n\n\
         hint: to permit it, pass `--allow=network`\n\n\
         error: mkosi.conf:13:9: `<world>/outside/x.conf` is outside the recipe's directory\n  13 | Include=../outside/x.conf\n     |         ^^^^^^^^^^^^^^^^^\n\n\
         hint: to permit it, pass `--allow=path:<world>/outside/x.conf`\n\n\
         error: mkosi.cache: `<world>/recipe/mkosi.cache` leads to `<world>/outside`, which is outside the recipe's \
         directory\n\n\
         hint: to permit it, pass `--allow=path:<world>/outside:rw`, or name a path with `--cache-directory`\n",
    );
    assert!(!world.path("../out").exists());
    fs_err::create_dir(world.path("../out")).unwrap();
    let build = world.run(&[
        "-f",
        // Relative to where the program is started, and repeated as well as listed.
        "--allow=path:../outside:rw,path:../out:rw",
        "--allow=env:TOKEN,network",
    ]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert!(world.path("../out/image.raw").is_file());
}

#[test]
fn environment_variable_grants_as_the_option_does() {
    let world = world("[Output]\nFormat=sysext\n[Content]\nExtraTrees=../outside/tree\n");
    let refused = world.run(&["-f"]);
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    let mut command = world.command(&["-f"]);
    command.env("OVERCOAT_ALLOW", "path:../outside");
    let build = world.finish(command);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let mut command = world.command(&["-f", "--allow=path"]);
    command.env("OVERCOAT_ALLOW", "network,pth:../outside");
    world.finish(command).assert_failed(
        2,
        "error: $OVERCOAT_ALLOW: unknown grant `pth`\n\n\
         hint: did you mean `path`\n\n\
         error: --allow: the grant `path` lacks its value\n\n\
         hint: write `--allow=path:DIR[:rw]`\n",
    );
}

#[test]
fn grants_that_make_no_sense_are_told() {
    let world = world("[Output]\nFormat=none\n");
    for (grant, message, hint) in [
        (
            "path:absent",
            "`absent` cannot be granted: it does not exist",
            "",
        ),
        (
            "device:mkosi.conf",
            "`mkosi.conf` cannot be granted: expected a path below `/dev`",
            "",
        ),
        (
            "env:PATH*",
            "`PATH*` cannot be granted: expected the whole name of one variable",
            "\nhint: repeat the option for each variable: `--allow=env:NAME`\n",
        ),
        (
            "weaker-sandbx",
            "unknown grant `weaker-sandbx`",
            "\nhint: did you mean `weaker-sandbox`\n",
        ),
    ] {
        for verb in ["build", "summary", "clean"] {
            let option = format!("--allow={grant}");
            world
                .run(&[verb, &option])
                .assert_failed(2, &format!("error: --allow: {message}\n{hint}"));
        }
    }
}

#[test]
fn links_out_of_a_granted_directory_stay_refused() {
    let world = world("[Output]\nFormat=sysext\n[Content]\nExtraTrees=../outside/link\n");
    symlink("/etc", world.path("../outside/link")).unwrap();
    world
        .run(&["-f", "--allow=path:../outside"])
        .assert_failed(
            2,
            "error: mkosi.conf:4:12: `<world>/outside/link` leads to `/etc`, which is outside the recipe's directory\n  4 | ExtraTrees=../outside/link\n    |            ^^^^^^^^^^^^^^^\n\n\
             hint: to permit it, pass `--allow=path:/etc`\n",
        );
}

#[test]
fn weaker_sandbox_is_told_in_every_build_that_has_it() {
    let world = world("[Output]\nFormat=sysext\n[Content]\nExtraTrees=tree\n");
    world.write("tree/usr/bin/tool", "");
    for (arguments, count) in [(&["-f"][..], 0), (&["-f", "--allow=weaker-sandbox"], 1)] {
        let build = world.run(arguments);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        let is_told = |line: &&str| line.contains("`--allow=weaker-sandbox`");
        let found = build.stderr.lines().filter(is_told).count();
        assert_eq!(found, count, "{}", build.stderr);
    }
}

#[test]
fn granted_variable_reaches_what_asks_for_it_and_no_other_does() {
    let world = world(
        "[Output]\nFormat=sysext\n[Content]\nExtraTrees=tree\n[Build]\nEnvironment=SYSEXT_SCOPE\n",
    );
    world.write("tree/usr/bin/tool", "");
    let built = |allow: &[&str]| {
        let mut arguments = vec!["-f"];
        arguments.extend(allow);
        let mut command = world.command(&arguments);
        command.env("SYSEXT_SCOPE", "initrd");
        world.finish(command)
    };
    built(&[]).assert_failed(
        2,
        "error: mkosi.conf:6:13: `Environment=SYSEXT_SCOPE` takes a variable of the environment the build is started \
         in\n  6 | Environment=SYSEXT_SCOPE\n    |             ^^^^^^^^^^^^\n\n\
         hint: to permit it, pass `--allow=env:SYSEXT_SCOPE`, or give it a value with \
         `--environment=SYSEXT_SCOPE=VALUE`\n",
    );
    assert_eq!(built(&["--allow=env:HOME"]).status, Some(2));
    let build = built(&["--allow=env:SYSEXT_SCOPE"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let image = fs_err::read(world.path("image.raw")).unwrap();
    let line = b"SYSEXT_SCOPE=initrd";
    assert!(image.windows(line.len()).any(|found| found == line));
}
