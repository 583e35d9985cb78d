//! Each rule of the grammar, and that no bytes make the reader panic.

use proptest::prelude::*;

use super::*;

/// Shows a document as `[Section]@line key=value@line ...`.
fn shown(text: &str) -> String {
    let (document, problems) = read(text.as_bytes());
    assert_eq!(problems, [], "{text:?}");
    let mut shown = Vec::new();
    for section in document.sections {
        shown.push(format!("[{}]@{}", section.name, section.line));
        for assignment in section.assignments {
            shown.push(format!(
                "{}={:?}@{}",
                assignment.key, assignment.value, assignment.line
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
        ("spaces in a section's name stay", "[ A ]", "[ A ]@1"),
    ] {
        assert_eq!(shown(text), expected, "{rule}");
    }
}

#[test]
fn problems_name_their_line_and_do_not_hide_others() {
    use SyntaxProblem::*;
    for (text, expected) in [
        ("[A\n", vec![(1, UnclosedSection("[A".to_owned()))]),
        ("[]\n", vec![(1, EmptySection)]),
        ("x=1\n", vec![(1, OutsideSection("x".to_owned()))]),
        (
            "[A]\nnothing\n",
            vec![(2, NoEqualsSign("nothing".to_owned()))],
        ),
        ("[A]\n=1\n", vec![(2, EmptyKey("=1".to_owned()))]),
        ("[A]\nx=\u{1b}[0m\n", vec![(2, ControlCharacter(0x1b))]),
        ("[A]\nx=a\u{2028}y=b\n", vec![(2, ControlCharacter(0x2028))]),
        ("[A]\nx=a\0\n", vec![(2, ControlCharacter(0))]),
        (
            "one\ntwo\n",
            vec![
                (1, NoEqualsSign("one".to_owned())),
                (2, NoEqualsSign("two".to_owned())),
            ],
        ),
        (
            "[A]\none\n two\n",
            vec![(2, NoEqualsSign("one".to_owned()))],
        ),
    ] {
        assert_eq!(read(text.as_bytes()).1, expected, "{text:?}");
    }
}

#[test]
fn text_must_be_utf8() {
    assert_eq!(
        read(b"[A]\nx=1\ny=\xff\n"),
        (Document::default(), vec![(3, SyntaxProblem::NotUtf8)])
    );
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
            prop_assert!(section.line <= lines);
            for assignment in section.assignments {
                prop_assert!(assignment.line <= lines && !assignment.key.is_empty());
                prop_assert!(!assignment.value.contains('#'));
            }
        }
    }
}
