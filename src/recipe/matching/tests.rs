//! How conditions combine, and patterns.

use super::*;
use crate::recipe::syntax;

/// Evaluates sections in which the value `t` is true and anything else is not.
fn holds(text: &str) -> bool {
    let (document, problems) = syntax::read("x".as_ref(), text.as_bytes(), |_| true);
    assert_eq!(problems, []);
    failing_section(&document, Purpose::Match, |_, _, value| value == "t").is_none()
}

#[test]
fn conditions_combine_as_in_mkosi() {
    for (text, expected) in [
        ("", true),
        ("[Match]", true),
        ("[Match]\na=t\nb=t", true),
        ("[Match]\na=t\nb=f", false),
        ("[Match]\na=!f", true),
        ("[Match]\na=!t", false),
        ("[Match]\na=|f\nb=|t", true),
        ("[Match]\na=|f\nb=|f", false),
        ("[Match]\na=|!f", true),
        ("[Match]\na=t\nb=|f", false),
        ("[Match]\na=f\nb=|t", false),
        ("[Match]\na=t\n[Match]\na=f", false),
        ("[TriggerMatch]\na=f\n[TriggerMatch]\na=t", true),
        ("[TriggerMatch]\na=f\n[TriggerMatch]\na=f", false),
        ("[Match]\na=f\n[TriggerMatch]\na=t", false),
        ("[Match]\na=t\n[TriggerMatch]\na=f", false),
        ("[Assert]\na=f", true),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn patterns_match_as_in_a_shell() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abbd", false),
        ("*.conf", "a.conf.conf", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[]]", "]", true),
        ("[a", "[a", true),
        ("[]", "[]", true),
        ("[]a", "[]a", true),
        ("[!]", "[!]", true),
        ("[b][a", "b[a", true),
        ("*[", "a[", true),
        (
            &format!("*{}", "[".repeat(1 << 20)),
            &"a".repeat(255),
            false,
        ),
        ("é*", "été", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
    }
}
