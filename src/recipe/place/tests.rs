//! Which words of a file are meant.

use super::*;
use crate::recipe::syntax::{self, Assignment};

/// Reads the only assignment of a text.
fn assignment(text: &str) -> Assignment {
    let text = format!("[A]\n{text}\n");
    let (mut document, problems) = syntax::read("x".as_ref(), text.as_bytes(), |_| true);
    assert_eq!(problems, []);
    document.sections.remove(0).assignments.remove(0)
}

/// Shows a place as `LINE:COLUMN WORDS`.
fn shown(place: &Place) -> String {
    let words = &place.text()[place.range()];
    format!("{}:{} {words}", place.line(), place.column())
}

#[test]
fn word_of_a_value_is_found_where_it_stands() {
    for (text, word, expected) in [
        ("P=a", "a", "2:3 a"),
        ("P=aa,a", "a", "2:6 a"),
        ("P = aa a", "a", "2:8 a"),
        ("P=\n  é\n\tb c # c\n  c", "c", "4:4 c"),
        ("P=(a b) b", "b", "2:9 b"),
        ("P=\"a b\" c", "a b", "2:4 a b"),
        // A path is found in what it is a part of.
        ("P=x/y:/z", "/z", "2:7 /z"),
        // What is not written there as it is.
        ("P=%o %d", "debian", "2:3 %o %d"),
        ("P=\n a\n b", "c", "3:2 a"),
        ("P=", "c", "2:1 P"),
        ("P=a", "", "2:3 a"),
    ] {
        assert_eq!(
            shown(&assignment(text).place.of_word(word)),
            expected,
            "{text}"
        );
    }
}

#[test]
fn each_value_has_its_own_place() {
    for (text, count, expected) in [
        ("P=a, b\tc", 3, vec!["2:3 a", "2:6 b", "2:8 c"]),
        ("P=\n  a\n\n  b", 2, vec!["3:3 a", "5:3 b"]),
        ("P=a,b c", 2, vec!["2:3 a,b", "2:7 c"]),
        ("P=A=\"b c\" D=", 2, vec!["2:3 A=\"b c\"", "2:11 D="]),
        ("P=(a if b) c", 2, vec!["2:3 (a if b)", "2:12 c"]),
        ("P=a b c", 2, vec!["2:3 a b c", "2:3 a b c"]),
        ("P=two words", 1, vec!["2:3 two words"]),
        ("P=", 0, vec![]),
    ] {
        let places = assignment(text).place.of_each(count);
        assert_eq!(
            places.iter().map(shown).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn key_and_value_are_places_of_the_same_assignment() {
    let place = assignment("  Key = \n   value").place;
    assert_eq!(shown(&place), "2:3 Key");
    assert_eq!(shown(&place.of_value()), "3:4 value");
    assert_eq!(shown(&place.of_value().of_key()), "2:3 Key");
    assert_eq!(place, place.of_value());
    assert_ne!(place, Place::in_line("x".as_ref(), 3));
}
