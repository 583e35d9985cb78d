//! Command lines, and what they mean.

use super::*;

fn invoked(arguments: &[&str]) -> Result<Invoked, String> {
    let arguments = std::iter::once("overcoat").chain(arguments.iter().copied());
    parse(arguments.map(OsString::from)).map_err(|error| error.to_string())
}

fn settings_of(arguments: &[&str]) -> Vec<(String, String, String)> {
    let overrides = invoked(arguments).unwrap().overrides;
    overrides
        .into_iter()
        .map(|given| (given.setting, given.value, given.option))
        .collect()
}

fn setting(name: &str, value: &str, option: &str) -> (String, String, String) {
    (name.to_owned(), value.to_owned(), option.to_owned())
}

#[test]
fn command_is_well_formed() {
    command().debug_assert();
}

#[test]
fn nothing_means_build_here() {
    assert_eq!(
        invoked(&[]),
        Ok(Invoked {
            verb: Verb::Build,
            force: 0,
            directory: ".".into(),
            json: false,
            origin: false,
            debug: false,
            strict: false,
            ids: IdMapping::Single,
            seccomp_profile: None,
            limits: Vec::new(),
            trust: Trust::Trusted,
            arguments: Vec::new(),
            idle_options: Vec::new(),
            overrides: Vec::new(),
            grants: Vec::new(),
            genkey_valid_days: 730,
            genkey_common_name: None,
        })
    );
}

#[test]
fn options_stand_before_and_after_the_verb() {
    for arguments in [
        &["-C", "x", "--json", "summary"][..],
        &["summary", "-C", "x", "--json"],
        &["--directory=x", "summary", "--json"],
    ] {
        let invoked = invoked(arguments).unwrap();
        assert_eq!(invoked.verb, Verb::Summary, "{arguments:?}");
        assert_eq!(invoked.directory, PathBuf::from("x"), "{arguments:?}");
        assert!(invoked.json, "{arguments:?}");
    }
}

#[test]
fn grants_keep_the_order_they_were_typed_in() {
    assert_eq!(
        invoked(&["--allow=network,env:A", "build", "--allow", "path:/srv"])
            .unwrap()
            .grants,
        ["network,env:A", "path:/srv"]
    );
}

#[test]
fn force_is_counted() {
    for (arguments, force) in [
        (&["-f"][..], 1),
        (&["-ff", "build"], 2),
        (&["-f", "-f", "--force"], 3),
    ] {
        assert_eq!(invoked(arguments).unwrap().force, force, "{arguments:?}");
    }
}

#[test]
fn settings_keep_the_order_they_were_typed_in() {
    assert_eq!(
        settings_of(&[
            "-p",
            "b",
            "-t",
            "sysext",
            "build",
            "--package=a",
            "-i",
            "-T",
            "--checksum",
            "--package="
        ]),
        [
            setting("Packages", "b", "--package"),
            setting("Format", "sysext", "--format"),
            setting("Packages", "a", "--package"),
            setting("Incremental", "yes", "-i"),
            setting("WithTests", "no", "-T"),
            setting("Checksum", "yes", "--checksum"),
            setting("Packages", "", "--package"),
        ]
    );
    assert_eq!(
        settings_of(&["--output-dir=out", "-O", "other"]),
        [
            setting("OutputDirectory", "out", "--output-directory"),
            setting("OutputDirectory", "other", "--output-directory"),
        ]
    );
}

#[test]
fn verbs_have_neighbours() {
    for (verb, message, hint) in [
        ("sumary", "unknown verb `sumary`", "did you mean `summary`"),
        (
            "boot",
            "the verb `boot` of mkosi is not supported",
            "the verbs are `build`, `explain`, `summary`, `cat-config`, `clean`, `genkey`, `doctor`, `sandbox`, `sign`, `inspect`, `verify`, `extract`, `diff`, `check`, `documentation`, `completion`, `help`",
        ),
        (
            "frobnicate",
            "unknown verb `frobnicate`",
            "the verbs are `build`, `explain`, `summary`, `cat-config`, `clean`, `genkey`, `doctor`, `sandbox`, `sign`, `inspect`, `verify`, `extract`, `diff`, `check`, `documentation`, `completion`, `help`",
        ),
    ] {
        let error = parse(["overcoat", verb].map(OsString::from)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

#[test]
fn help_and_version_win_over_the_verb() {
    assert_eq!(invoked(&["build", "--help"]).unwrap().verb, Verb::Help);
    assert_eq!(invoked(&["-h"]).unwrap().verb, Verb::Help);
    assert_eq!(invoked(&["help"]).unwrap().verb, Verb::Help);
    assert_eq!(invoked(&["--version"]).unwrap().verb, Verb::Version);
}

#[test]
fn unknown_options_are_named() {
    let cases = [
        (
            "--pakage=x",
            "unknown option `--pakage`",
            "did you mean `--package`",
        ),
        (
            "-x",
            "unknown option `-x`",
            "`overcoat --help` lists the options",
        ),
        (
            "extra",
            "unexpected argument `extra` after the verb",
            "`overcoat --help` lists the options",
        ),
    ];
    for (argument, message, hint) in cases {
        let error = parse(["overcoat", "summary", argument].map(OsString::from)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

#[test]
fn help_shows_supported_settings_by_section() {
    let help = command().render_help().to_string();
    let heading = help.find("[Output]:").unwrap();
    assert!(help[heading..].contains("-t, --format <WORD>"), "{help}");
    assert!(!help.contains("--vmm"), "{help}");
    let options: Vec<&str> = help
        .split([' ', '\n', '[', '=', ','])
        .filter(|word| word.starts_with("--"))
        .collect();
    let forgotten: Vec<_> = settings::all()
        .filter(|setting| setting.support == Support::Supported)
        .map(|setting| format!("--{}", setting.long))
        .filter(|option| !options.contains(&option.as_str()))
        .collect();
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn ids_are_single_or_a_range() {
    for (arguments, ids) in [
        (&["--userns=range"][..], IdMapping::Range),
        (&["build", "--userns", "single"], IdMapping::Single),
        (&[], IdMapping::Single),
    ] {
        assert_eq!(invoked(arguments).unwrap().ids, ids, "{arguments:?}");
    }
    assert!(invoked(&["--userns=many"]).is_err());
}
