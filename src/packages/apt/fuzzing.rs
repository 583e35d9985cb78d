//! What must hold of any list of repositories.

use super::{Form, parse_listed, parse_sources, permitted_options, render_sources};

/// A recipe's own lists and options: what is written of them is read again as the same, and nothing else is in it.
pub fn apt_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for form in [Form::Lines, Form::Deb822] {
        let rendered = |text: &str| {
            let listed = parse_listed(text, form).unwrap_or_default();
            listed
                .iter()
                .map(|listed| listed.render(str::to_owned))
                .collect::<String>()
        };
        let first = rendered(&text);
        let again = parse_listed(&first, Form::Deb822).expect("it was written by us");
        let again: String = again
            .iter()
            .map(|listed| listed.render(str::to_owned))
            .collect();
        assert_eq!(again, first);
    }
    if let Ok(options) = permitted_options(&text) {
        assert_eq!(permitted_options(&options).as_ref(), Ok(&options));
    }
}

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
