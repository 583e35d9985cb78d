use crate::harness::World;

#[test]
fn mistyped_arguments_are_told_with_what_was_meant() {
    const LIST: &str = "`overcoat --help` lists the options";
    const VERBS: &str = "the verbs are `build`, `summary`, `clean`, `genkey`, `doctor`, `help`";
    let cases: [(&[&str], &str, &str); 7] = [
        (&["biuld"], "unknown verb `biuld`", "did you mean `build`"),
        (
            &["shell"],
            "the verb `shell` of mkosi is not supported",
            VERBS,
        ),
        (
            &["--formatt=x"],
            "unknown option `--formatt`",
            "did you mean `--format`",
        ),
        (&["-x"], "unknown option `-x`", LIST),
        (
            &["build", "more"],
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
fn directories_without_a_recipe_are_refused_by_every_verb_that_needs_one() {
    let world = World::new();
    world.write("file", "");
    const HINT: &str = "\n\nhint: name the directory that has a `mkosi.conf` with `-C`\n";
    for verb in ["build", "summary", "clean"] {
        world
            .run(&[verb])
            .assert_failed(2, &format!("error: no configuration in `.`{HINT}"));
    }
    world
        .run(&["-C", "file"])
        .assert_failed(2, &format!("error: `file` is not a directory{HINT}"));
}
