use crate::harness::World;

#[test]
fn mistyped_arguments_are_told_with_what_was_meant() {
    const LIST: &str = "`overcoat --help` lists the options";
    const VERBS: &str = "the verbs are `build`, `explain`, `summary`, `cat-config`, `clean`, `genkey`, `doctor`, `sandbox`, `sign`, `inspect`, `verify`, `extract`, `diff`, `check`, `documentation`, `completion`, `help`";
    let cases: [(&[&str], &str, &str); 9] = [
        (&["biuld"], "unknown verb `biuld`", "did you mean `build`"),
        (
            &["shell"],
            "the verb `shell` of mkosi is not supported",
            VERBS,
        ),
        (
            &["--json", "sandbox"],
            "`sandbox` is not the first argument",
            "it has options of its own, see `overcoat sandbox --help`",
        ),
        (
            &["--formatt=x"],
            "unknown option `--formatt`",
            "did you mean `--format`",
        ),
        (&["-x"], "unknown option `-x`", LIST),
        (
            &["documentation", "--auto-bump"],
            "the option `--auto-bump` of mkosi is not supported",
            LIST,
        ),
        (
            &["summary", "more"],
            "unexpected argument `more` after the verb",
            LIST,
        ),
        (
            &["--format"],
            "a value is required for '--format <WORD>' but none was supplied",
            LIST,
        ),
        (
            &["-C", "absent"],
            "the directory `absent` does not exist",
            "name the directory that has a `mkosi.conf` with `-C`",
        ),
    ];
    let world = World::new();
    for (arguments, message, hint) in cases {
        world
            .run(arguments)
            .assert_failed(2, &format!("error: {message}\n\nhint: {hint}\n"));
    }
}

#[test]
fn options_that_do_nothing_are_told() {
    let world = World::new();
    let summary = world.run(&[
        "--cache",
        "-w",
        "documentation",
        "Format",
        "--doc-format=man",
    ]);
    assert_eq!(summary.status, Some(0));
    assert_eq!(
        summary.stderr,
        "warning: `--cache` has no effect\n\
         warning: `--wipe-build-dir` has no effect\n\
         warning: `--doc-format` has no effect\n"
    );
}

#[test]
fn seccomp_profiles_that_are_wrong_stop_the_build_with_their_place() {
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    world.write(
        "profile.json",
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n \"syscalls\": [{\"names\": [\"raed\"], \"action\": \"SCMP_ACT_ERRNO\"}]}",
    );
    world.write("no-profile.json", "{\n  \"default\": 1\n}");
    for (file, message) in [
        (
            "profile.json",
            "error: using the seccomp profile `profile.json`\n  caused by: `syscalls[0].names[0]` refuses `raed`, \
             which is no known call, so that nothing would be refused\n\nhint: calls are named as in syscalls(2)\n",
        ),
        (
            "no-profile.json",
            "error: using the seccomp profile `no-profile.json`\n  caused by: the profile has not the form of one\n  \
             caused by: unknown field `default`, expected one of `defaultAction`, `defaultErrnoRet`, `defaultErrno`, \
             `architectures`, `archMap`, `flags`, `listenerPath`, `listenerMetadata`, `syscalls` at line 2 column 11\n\n\
             hint: a profile is the object `linux.seccomp` of the OCI runtime specification, or a file for Docker's \
             `--security-opt seccomp=`\n",
        ),
        (
            "none.json",
            "error: reading the seccomp profile\n  caused by: failed to open file `none.json`: No such file or \
             directory (os error 2)\n",
        ),
    ] {
        world
            .run(&["--seccomp-profile", file])
            .assert_failed(2, message);
    }
}

#[test]
fn wrong_limits_are_told_with_what_they_may_be() {
    const NAMES: &str = "the limits are `processes`, `memory`, `open-files`, `file-size`, `disk`, `time`, such as \
                         `--limit=memory=8G`";
    let cases = [
        ("memory", "`memory` is not `NAME=VALUE`", NAMES),
        (
            "memroy=8G",
            "unknown limit `memroy`",
            "did you mean `memory`",
        ),
        ("inodes=8", "unknown limit `inodes`", NAMES),
        (
            "processes=many",
            "`many` is not a number for `processes`",
            "give a number from 1, such as `4096`, or `none`",
        ),
        (
            "disk=8GiB",
            "`8GiB` is not a size for `disk`",
            "give bytes, or a size such as `512M`, `8G` or `1T`, or `none`",
        ),
        (
            "time=1d",
            "`1d` is not a time for `time`",
            "give seconds, or a time such as `90s`, `15min` or `2h`, or `none`",
        ),
    ];
    let world = World::new();
    world.write("mkosi.conf", "[Output]\nFormat=directory\n");
    for (text, message, hint) in cases {
        let expected = |origin| format!("error: {origin}: {message}\n\nhint: {hint}\n");
        world
            .run(&["summary".to_owned(), format!("--limit={text}")])
            .assert_failed(2, &expected("--limit"));
        let mut command = world.command(&["--limit=memory=1G"]);
        command.env("OVERCOAT_LIMIT", format!("time=none,{text}"));
        world
            .finish(command)
            .assert_failed(2, &expected("OVERCOAT_LIMIT"));
    }
}

#[test]
fn directories_without_a_recipe_are_told_by_every_verb_that_needs_one() {
    let world = World::new();
    world.write("file", "");
    const HINT: &str = "\n\nhint: name the directory that has a `mkosi.conf` with `-C`\n";
    for verb in ["build", "clean"] {
        world
            .run(&[verb])
            .assert_failed(2, &format!("error: no configuration in `.`{HINT}"));
    }
    // Whoever looks sees the defaults.
    let summary = world.run(&["summary"]);
    assert_eq!(summary.status, Some(0));
    assert_eq!(
        summary.stderr,
        format!("warning: no configuration in `.`{HINT}")
    );
    world
        .run(&["-C", "file"])
        .assert_failed(2, &format!("error: `file` is not a directory{HINT}"));
}
