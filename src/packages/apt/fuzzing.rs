//! What must hold of any list of repositories.

use super::{parse_sources, render_sources};

/// What is read, written in the form for apt, is read again as the same.
pub fn apt_sources(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let stanzas = parse_sources(&text);
    for stanza in &stanzas {
        let words = [&stanza.uri, &stanza.suite];
        for word in words.into_iter().chain(&stanza.components) {
            assert!(!word.is_empty() && !word.contains(char::is_whitespace));
        }
        assert!(!stanza.uri.contains('@'));
    }
    assert_eq!(parse_sources(&render_sources(&stanzas)), stanzas);
}
