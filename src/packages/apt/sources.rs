//! Lists of repositories: the two forms that apt reads, and the one we write (sources.list(5)).

use std::path::PathBuf;

/// One repository: a base address, a suite and its components.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stanza {
    pub uri: String,
    pub suite: String,
    pub components: Vec<String>,
    pub trust: Trust,
}

/// How a repository's signature is checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// Against the keys in this file.
    Keyring(PathBuf),
    /// Not at all.
    Unchecked,
}

/// Returns the stanzas in apt's deb822 form.
pub fn render_sources(stanzas: &[Stanza]) -> String {
    let mut text = String::new();
    for stanza in stanzas {
        let trust = match &stanza.trust {
            Trust::Keyring(path) => format!("Signed-By: {}", path.display()),
            Trust::Unchecked => "Trusted: yes".into(),
        };
        let components = match stanza.components.as_slice() {
            [] => String::new(),
            components => format!("Components: {}\n", components.join(" ")),
        };
        text += &format!(
            "Types: deb\nURIs: {}\nSuites: {}\n{components}{trust}\n\n",
            stanza.uri, stanza.suite
        );
    }
    text
}

/// Reads the repositories of binary packages from one of the host's own lists, in either of apt's forms.
///
/// It serves to find the mirror that the host uses; lines that make no sense are passed over, as apt has its say about
/// them. Every stanza comes back as [`Trust::Unchecked`], because the host's opinion of keys is not taken over.
/// Addresses with a password are left out.
pub fn parse_sources(text: &str) -> Vec<Stanza> {
    let one_line = text
        .lines()
        .any(|line| line.trim_start().starts_with("deb "));
    let mut stanzas = if one_line {
        text.lines().filter_map(parse_line).collect()
    } else {
        parse_deb822(text)
    };
    // Steps that run package code see the addresses.
    stanzas.retain(|stanza| !stanza.uri.contains('@'));
    stanzas
}

fn parse_line(line: &str) -> Option<Stanza> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb ")?.trim_start();
    if rest.starts_with('[') {
        rest = rest.split_once(']')?.1;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Stanza {
        uri,
        suite,
        components: words.collect(),
        trust: Trust::Unchecked,
    })
}

/// How many words the stanzas of one paragraph may have, which come from multiplying its fields; many times what a
/// distribution's own file stands for.
const MOST_WORDS: usize = 10_000;

fn parse_deb822(text: &str) -> Vec<Stanza> {
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut stanzas = Vec::new();
    for paragraph in without_comments.split(|line| line.trim().is_empty()) {
        let field = |name: &str| field_words(paragraph, name);
        let disabled = field("Enabled")
            .first()
            .is_some_and(|value| value.eq_ignore_ascii_case("no"));
        if disabled || !field("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        let (uris, suites, components) = (field("URIs"), field("Suites"), field("Components"));
        let words = uris
            .len()
            .saturating_mul(suites.len())
            .saturating_mul(components.len().max(1));
        if words > MOST_WORDS {
            continue;
        }
        for uri in uris {
            for suite in &suites {
                stanzas.push(Stanza {
                    uri: uri.clone(),
                    suite: suite.clone(),
                    components: components.clone(),
                    trust: Trust::Unchecked,
                });
            }
        }
    }
    stanzas
}

/// Returns the words of the field `name`, whose value may go on in indented lines.
fn field_words(paragraph: &[&str], name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in paragraph {
        let value = if line.starts_with([' ', '\t']) {
            if inside { Some(*line) } else { None }
        } else {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            inside = key.trim().eq_ignore_ascii_case(name);
            inside.then_some(value)
        };
        words.extend(
            value
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Stanza, Trust, parse_sources, render_sources};

    fn stanza(uri: &str, suite: &str, components: &[&str]) -> Stanza {
        let components = components.iter().map(ToString::to_string).collect();
        Stanza {
            uri: uri.into(),
            suite: suite.into(),
            components,
            trust: Trust::Unchecked,
        }
    }

    #[test]
    fn one_line_lists_are_read() {
        let text = "# deb http://old/ x main\n\
                    deb [arch=amd64 signed-by=/k] http://m/debian bookworm main contrib # why\n\
                    deb-src http://m/debian bookworm main\n";
        assert_eq!(
            parse_sources(text),
            [stanza("http://m/debian", "bookworm", &["main", "contrib"])]
        );
    }

    #[test]
    fn deb822_lists_are_read() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://m/debian\nSuites: bookworm\n bookworm-updates\n\
                    Components: main\nSigned-By: /k\n\nTypes: deb\nEnabled: no\nURIs: http://off\nSuites: x\n";
        let expected = [
            stanza("http://m/debian", "bookworm", &["main"]),
            stanza("http://m/debian", "bookworm-updates", &["main"]),
        ];
        assert_eq!(parse_sources(text), expected);
    }

    #[test]
    fn addresses_with_a_password_are_left_out() {
        assert_eq!(
            parse_sources("deb http://me:secret@m/debian sid main\n"),
            []
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = [
            stanza("http://m/debian", "sid", &["main"]),
            stanza("http://l/", "./", &[]),
        ];
        assert_eq!(parse_sources(&render_sources(&written)), written);
        let keyed = Stanza {
            trust: Trust::Keyring("/k.gpg".into()),
            ..stanza("http://m", "x", &["main"])
        };
        let text = "Types: deb\nURIs: http://m\nSuites: x\nComponents: main\nSigned-By: /k.gpg\n\n";
        assert_eq!(render_sources(&[keyed]), text);
    }

    #[test]
    fn paragraphs_that_multiply_without_end_are_passed_over() {
        let words = "a ".repeat(1 << 16);
        let text = format!("Types: deb\nURIs: {words}\nSuites: {words}\nComponents: {words}\n");
        assert_eq!(parse_sources(&text), []);
    }
}
