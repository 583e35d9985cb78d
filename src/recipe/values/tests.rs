//! What text stands for, kind by kind.

use std::path::Path;

use super::*;
use crate::recipe::names::Rule;

fn parsed(kind: Kind, text: &str) -> Result<Vec<String>, String> {
    parse(kind, text, &Vantage::blind(Path::new("/recipe")))
        .map(|values| values.iter().map(ToString::to_string).collect())
        .map_err(|refused| match refused {
            Refused::Value { value, expected } => format!("{value}: expected {expected}"),
            Refused::Variable { value, name } => format!("{value}: takes ${name}"),
            Refused::Outside { path } => format!("{}: is outside", path.display()),
        })
}

fn one(text: &str) -> Result<Vec<String>, String> {
    Ok(vec![text.to_owned()])
}

const TREES: Kind = Kind::Trees(TreeRule {
    required: true,
    directory: false,
    absolute: true,
});

const VERITY: Kind = Kind::ChoiceOrBoolean {
    choices: &["disabled", "hash", "signed", "auto"],
    yes: "signed",
    no: "disabled",
};

#[test]
fn words_stand_for_values() {
    for (kind, text, expected) in [
        (Kind::Boolean, "YES", "yes"),
        (Kind::Boolean, "always", "yes"),
        (Kind::Boolean, "f", "no"),
        (Kind::Feature, "auto", "auto"),
        (Kind::Feature, "1", "enabled"),
        (Kind::Feature, "off", "disabled"),
        (Kind::Choice(&["a", "b"]), "b", "b"),
        (VERITY, "hash", "hash"),
        (VERITY, "yes", "signed"),
        (VERITY, "no", "disabled"),
        (Kind::Compression, "zst", "zstd"),
        (Kind::Compression, "gzip", "gz"),
        (Kind::Compression, "yes", "zstd"),
        (Kind::Compression, "no", "none"),
        (Kind::Mode, "640", "0640"),
        (Kind::Number, "0", "0"),
        (Kind::Uuid, "random", "random"),
        (
            Kind::Uuid,
            "0E9A6FE0-9B0F-4A5B-8E7C-B1B5C9D3A6F1",
            "0e9a6fe0-9b0f-4a5b-8e7c-b1b5c9d3a6f1",
        ),
        (Kind::Path(PathRule::ANY), "a/./../b", "/recipe/b"),
        (Kind::Path(PathRule::ANY), "/../a", "/a"),
        (Kind::Path(PathRule::ANY), "a$", "/recipe/a$"),
    ] {
        assert_eq!(parsed(kind, text), one(expected), "{kind:?} {text}");
    }
}

#[test]
fn other_words_are_refused_with_what_was_expected() {
    for (kind, text, message) in [
        (
            Kind::Boolean,
            "maybe",
            "maybe: expected a boolean (`yes` or `no`)",
        ),
        (
            Kind::Feature,
            "Auto",
            "Auto: expected `auto`, `enabled`, `disabled` or a boolean",
        ),
        (
            Kind::Choice(&["a", "b"]),
            "c",
            "c: expected one of `a`, `b`",
        ),
        (
            Kind::Mode,
            "9",
            "9: expected octal permission bits up to 1777",
        ),
        (
            Kind::Mode,
            "4755",
            "4755: expected octal permission bits up to 1777",
        ),
        (
            Kind::Number,
            "-1",
            "-1: expected a whole number, zero or more",
        ),
        (Kind::Uuid, "1", "1: expected a UUID or `random`"),
        (Kind::Path(PathRule::ANY), "~/x", "~/x: takes $HOME"),
        (Kind::Path(PathRule::ANY), "a/$HOME", "a/$HOME: takes $HOME"),
        (Kind::Path(PathRule::ANY), "a/${X}", "a/${X}: takes $X"),
        (
            TREES,
            "a:b",
            "a:b: expected `SOURCE` or `SOURCE:TARGET` with an absolute target",
        ),
        (
            Kind::Variables,
            "A='x",
            "A='x: expected words with every quote closed",
        ),
    ] {
        assert_eq!(
            parsed(kind, text),
            Err(message.to_owned()),
            "{kind:?} {text}"
        );
    }
}

#[test]
fn collections_are_split() {
    for (kind, text, expected) in [
        (
            Kind::List(Rule::Any),
            "\na\nb, c,,d  e",
            &["a", "b", "c", "d", "e"][..],
        ),
        (Kind::List(Rule::Package), "(a if b) c", &["(a if b)", "c"]),
        (
            Kind::List(Rule::Package),
            "?and(?name(a), ?name(b)),c",
            &["?and(?name(a), ?name(b))", "c"],
        ),
        (Kind::SpacedList, "a,b\nc", &["a,b", "c"]),
        (Kind::Paths(PathRule::ANY), "a /b", &["/recipe/a", "/b"]),
        (TREES, "a b:/opt", &["/recipe/a", "/recipe/b:/opt"]),
        (
            Kind::Variables,
            "A=1 B='x y' \"C=\\\"\" D",
            &["A=1", "B=x y", "C=\"", "D"],
        ),
        (Kind::Variables, "A=a\\ b E=", &["A=a b", "E="]),
    ] {
        let expected = expected.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(parsed(kind, text), Ok(expected), "{kind:?} {text}");
    }
}
