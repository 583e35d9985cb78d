//! Each rule of the grammar, and that no bytes make the reader panic.

use proptest::prelude::*;

use super::*;

/// Reads text in which every section is known that does not start with `X-`.
fn read(bytes: &[u8]) -> (Document, Vec<(Place, SyntaxProblem)>) {
    super::read(Path::new("x"), bytes, |section| !section.starts_with("X-"))
}

/// Shows a document as `[Section]@line key=value@line ...`.
fn shown(text: &str) -> String {
    let (document, problems) = read(text.as_bytes());
    assert_eq!(problems, [], "{text:?}");
    let mut shown = Vec::new();
    for section in document.sections {
        shown.push(format!("[{}]@{}", section.name, section.place.line()));
        for assignment in section.assignments {
            shown.push(format!(
                "{}={:?}@{}",
                assignment.key,
                assignment.value,
                assignment.place.line()
            ));
        }
    }
    shown.join(" ")
}

#[test]
fn grammar_is_that_of_mkosi() {
    for (rule, text, expected) in [
        ("nothing", "", ""),
        (
            "sections repeat",
            "[A]\nx=1\n[B]\n[A]\nx=2",
            "[A]@1 x=\"1\"@2 [B]@3 [A]@4 x=\"2\"@5",
        ),
        (
            "both sides are stripped",
            "[A]\n  \nx \t=  1 2 ",
            "[A]@1 x=\"1 2\"@3",
        ),
        (
            "the first equals sign counts",
            "[A]\nx=a=b",
            "[A]@1 x=\"a=b\"@2",
        ),
        ("a value may be empty", "[A]\nx=", "[A]@1 x=\"\"@2"),
        (
            "indented lines continue",
            "[A]\nx=\n a\n\tb\ny=1",
            "[A]@1 x=\"\\na\\nb\"@2 y=\"1\"@5",
        ),
        (
            "an indented equals sign continues",
            "[A]\nx=1\n y=2",
            "[A]@1 x=\"1\\ny=2\"@2",
        ),
        (
            "blank lines do not end a value",
            "[A]\nx=1\n\n 2",
            "[A]@1 x=\"1\\n2\"@2",
        ),
        (
            "comments do not end a value",
            "[A]\nx=1\n# c\n  # c\n 2",
            "[A]@1 x=\"1\\n2\"@2",
        ),
        (
            "a comment starts anywhere",
            "[A] # c\nx=a#b",
            "[A]@1 x=\"a\"@2",
        ),
        ("a semicolon is no comment", "[A]\nx=;a", "[A]@1 x=\";a\"@2"),
        (
            "a block is dedented",
            "  [A]\n  x=1\n   2\n\n  y=3",
            "[A]@1 x=\"1\\n2\"@2 y=\"3\"@5",
        ),
        (
            "tabs and spaces share no margin",
            "\t[A]\n  x=1",
            "[A]@1 x=\"1\"@2",
        ),
        (
            "a section ends a value",
            "[A]\nx=1\n[B]\n y=2",
            "[A]@1 x=\"1\"@2 [B]@3 y=\"2\"@4",
        ),
        (
            "line ends of other systems",
            "[A]\r\nx=1\r 2",
            "[A]@1 x=\"1\\n2\"@2",
        ),
        ("a section's name is stripped", "[ A B ]", "[A B]@1"),
        (
            "foreign sections are not read",
            "[X-A]\nany text\n [B]\nx=1",
            "[X-A]@1 [B]@3 x=\"1\"@4",
        ),
    ] {
        assert_eq!(shown(text), expected, "{rule}");
    }
}

#[test]
fn problems_name_their_line_and_do_not_hide_others() {
    use SyntaxProblem::*;
    for (text, expected) in [
        ("[A\n", vec![("1:1 `[A`", UnclosedSection("[A".to_owned()))]),
        ("[]\n", vec![("1:1 `[]`", EmptySection)]),
        ("[ ]\n", vec![("1:1 `[ ]`", EmptySection)]),
        ("x=1\n", vec![("1:1 `x`", OutsideSection("x".to_owned()))]),
        (
            "[A]\nnothing\n",
            vec![("2:1 `nothing`", NoEqualsSign("nothing".to_owned()))],
        ),
        ("[A]\n=1\n", vec![("2:1 `=1`", EmptyKey("=1".to_owned()))]),
        (
            "[A]\nx=\u{1b}[0m\n",
            vec![("2:3 `\u{1b}`", ControlCharacter(0x1b))],
        ),
        (
            "[A]\nx=é\u{2028}y=b\n",
            vec![("2:4 `\u{2028}`", ControlCharacter(0x2028))],
        ),
        ("[A]\nx=a\0\n", vec![("2:4 `\0`", ControlCharacter(0))]),
        (
            "one\ntwo\n",
            vec![
                ("1:1 `one`", NoEqualsSign("one".to_owned())),
                ("2:1 `two`", NoEqualsSign("two".to_owned())),
            ],
        ),
        (
            " [A]\n one\n  two\n",
            vec![("2:2 `one`", NoEqualsSign("one".to_owned()))],
        ),
    ] {
        let problems = read(text.as_bytes()).1;
        let shown = problems.into_iter().map(|(place, problem)| {
            let found = &place.text()[place.range()];
            let shown = format!("{}:{} `{found}`", place.line(), place.column());
            (shown, problem)
        });
        let expected = expected
            .into_iter()
            .map(|(place, problem)| (place.to_owned(), problem));
        assert!(shown.eq(expected), "{text:?}");
    }
}

#[test]
fn text_must_be_utf8() {
    let (document, problems) = read(
        "[A]\r\nx=\u{fffd}\r\nyé="
            .as_bytes()
            .iter()
            .chain(b"\xff\n")
            .copied()
            .collect::<Vec<_>>()
            .as_slice(),
    );
    assert_eq!(document, Document::default());
    let [(place, SyntaxProblem::NotUtf8)] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert_eq!((place.line(), place.column()), (3, 4));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "([ \\t\\n#=\\[\\]a-cé%]{0,3}){0,40}") {
        let (document, _) = read(text.as_bytes());
        let lines = text.split('\n').count();
        for section in document.sections {
            prop_assert!(section.place.line() <= lines);
            for assignment in section.assignments {
                prop_assert!(assignment.place.line() <= lines && !assignment.key.is_empty());
                prop_assert!(!assignment.value.contains('#'));
            }
        }
    }
}
