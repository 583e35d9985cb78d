use crate::harness::{World, names};

/// Returns a world whose recipe names directories of its own for caches, and needs no package manager.
fn world() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nOutput=tools\n\n\
         [Build]\nCacheDirectory=mkosi.cache\nPackageCacheDirectory=packages\n\n[Content]\nExtraTrees=tree\n",
    );
    world.write("tree/usr/bin/tool", "");
    world
}

#[test]
fn untrusted_builds_keep_their_caches_out_of_the_recipes_directory() {
    for (arguments, variable) in [(&["-f", "--untrusted"][..], None), (&["-f"], Some("1"))] {
        let world = world();
        let mut command = world.command(arguments);
        command.envs(variable.map(|value| ("OVERCOAT_UNTRUSTED", value)));
        let build = world.finish(command);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        let notes: Vec<_> = build
            .stderr
            .lines()
            .filter(|line| line.contains("not used"))
            .collect();
        let why = "a build that is not trusted keeps its caches apart";
        assert_eq!(
            notes,
            [
                format!("warning: mkosi.conf:6: `CacheDirectory=` is not used: {why}"),
                format!("warning: mkosi.conf:7: `PackageCacheDirectory=` is not used: {why}"),
            ]
        );
        assert!(!world.path("mkosi.cache").exists());
        assert!(!world.path("packages").exists());
        assert_eq!(names(&world.home().join(".cache/overcoat")), ["untrusted"]);
    }
}

#[test]
fn untrusted_builds_follow_a_person_who_names_a_cache() {
    let world = world();
    let build = world.run(&["-f", "--untrusted", "--cache-directory=../home/mine"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert_eq!(names(&world.home()), ["mine"]);
    assert_eq!(names(&world.home().join("mine")), ["untrusted"]);
}

#[test]
fn trusted_builds_keep_caches_in_the_recipes_directory_under_a_name_of_their_own() {
    let world = world();
    assert_eq!(world.run(&["-f"]).status, Some(0));
    let [name] = names(&world.path("mkosi.cache")).try_into().unwrap();
    let secret = name.strip_prefix("overcoat-").unwrap();
    assert_eq!(secret.len(), 32);
    assert_eq!(world.run(&["-f"]).status, Some(0));
    assert_eq!(names(&world.path("mkosi.cache")), [name.as_str()]);
    // The name is told to nobody.
    let clean = world.run(&["clean", "-ff"]);
    assert_eq!(clean.status, Some(0));
    assert!(!clean.stderr.contains(secret), "{}", clean.stderr);
    assert!(
        clean
            .stderr
            .ends_with("emptied <world>/recipe/mkosi.cache\n"),
        "{}",
        clean.stderr
    );
}

#[test]
fn caches_in_the_recipes_directory_take_a_directory_of_ones_own() {
    let world = world();
    let mut command = world.command(&["-f"]);
    command.env_remove("HOME");
    world.finish(command).assert_failed(
        1,
        "error: the cache directory `<world>/recipe/mkosi.cache` lies in the recipe's directory, and there is none of \
         your own\n\n\
         hint: set `HOME` or `XDG_CACHE_HOME`, or name a directory elsewhere with `--cache-directory`; what lies in a \
         recipe's directory may have come with it\n",
    );
}

#[test]
fn cleaning_an_untrusted_store_leaves_the_trusted_one() {
    let world = world();
    let run = |arguments: &[&str]| {
        let done = world.run(&[&["--cache-directory=../home/mine"], arguments].concat());
        assert_eq!(done.status, Some(0), "{}", done.stderr);
        done.stderr
    };
    run(&["-f"]);
    run(&["-f", "--untrusted"]);
    let mine = world.home().join("mine");
    let layers = |store: &str| mine.join(store).join("layers").exists();
    assert!(layers("") && layers("untrusted"));
    let said = run(&["clean", "-f", "--untrusted"]);
    assert!(said.ends_with("/home/mine/untrusted\n"), "{said}");
    assert!(layers("") && !layers("untrusted"));
    run(&["-f", "--untrusted"]);
    run(&["clean", "-f"]);
    assert!(!layers("") && layers("untrusted"));
}

#[test]
fn variable_that_says_neither_yes_nor_no_is_refused() {
    let world = world();
    let mut command = world.command(&["-f"]);
    command.env("OVERCOAT_UNTRUSTED", "maybe");
    world.finish(command).assert_failed(
        2,
        "error: `OVERCOAT_UNTRUSTED` is `maybe`, neither `1` nor `0`\n",
    );
}
