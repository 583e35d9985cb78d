//! The `KEY=value` files of os-release(5), which extension-release files are too.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// The assignments of an os-release or extension-release file, in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OsRelease {
    assignments: Vec<(String, String)>,
}

/// Reads the text of an os-release file.
///
/// Comments and lines that are no assignment are skipped, as systemd does; of a key that is set twice the last value
/// counts, in the place of the first.
pub fn parse_os_release(text: &str) -> OsRelease {
    let mut parsed = OsRelease::default();
    // Searching the assignments for each key would take hours for the longest file that is read.
    let mut places: HashMap<&str, usize> = HashMap::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some((key, value)) = line.split_once('=')
            && is_key(key)
            && let Some(value) = unquote(value)
        {
            match places.entry(key) {
                Entry::Occupied(place) => parsed.assignments[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(parsed.assignments.len());
                    parsed.assignments.push((key.into(), value));
                }
            }
        }
    }
    parsed
}

impl OsRelease {
    /// Returns the value of `key`; an empty value counts as none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.assignments
            .iter()
            .find(|(candidate, value)| candidate == key && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Iterates over keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.assignments
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets `key` at the end unless it is there.
    pub(super) fn set_default(&mut self, key: &str, value: &str) {
        if self.iter().all(|(candidate, _)| candidate != key) {
            self.assignments.push((key.into(), value.into()));
        }
    }
}

/// Shows the file's text, with quotes where a value needs them.
impl fmt::Display for OsRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in self.iter() {
            writeln!(f, "{key}={}", quoted(value))?;
        }
        Ok(())
    }
}

/// Returns `value` as it stands after the `=`, with quotes where it needs them.
pub fn quoted(value: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "._:+,/@~^%-".contains(character);
    if value.chars().all(plain) {
        return value.into();
    }
    let mut text = String::from('"');
    for character in value.chars() {
        if r#""\$`"#.contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Removes quotes and backslashes as a shell would; `None` when a quote is not closed or the value holds a control
/// character, which os-release(5) rules out.
fn unquote(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '\\') => value.push(characters.next()?),
            (Some('"'), '\\') => {
                let escaped = characters.next()?;
                // Within double quotes a backslash stays unless what follows has a meaning there.
                if !r#""\$`"#.contains(escaped) {
                    value.push('\\');
                }
                value.push(escaped);
            }
            _ => value.push(character),
        }
    }
    let clean = quote.is_none() && !value.chars().any(char::is_control);
    clean.then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{OsRelease, parse_os_release};

    fn pairs(parsed: &OsRelease) -> Vec<(&str, &str)> {
        parsed.iter().collect()
    }

    #[test]
    fn quotes_and_escapes_are_those_of_a_shell() {
        let text = r#"
# a comment
; another
ID=debian
NAME="Debian \"GNU\"/Linux \n"
SINGLE='a \ b'
MIXED=a"b"'c'\ d
OPEN="never closed
EMPTY=
not an assignment
1KEY=x
"#;
        assert_eq!(
            pairs(&parse_os_release(text)),
            [
                ("ID", "debian"),
                ("NAME", r#"Debian "GNU"/Linux \n"#),
                ("SINGLE", r"a \ b"),
                ("MIXED", "abc d"),
                ("EMPTY", ""),
            ]
        );
    }

    #[test]
    fn the_last_of_two_assignments_counts_and_empty_is_none() {
        let parsed = parse_os_release("ID=a\nVERSION_ID=\nID=b\n");
        assert_eq!(parsed.get("ID"), Some("b"));
        assert_eq!(parsed.get("VERSION_ID"), None);
        assert_eq!(parsed.get("MISSING"), None);
    }

    #[test]
    fn values_are_quoted_where_a_shell_would_split_or_expand_them() {
        let mut release = OsRelease::default();
        release.set_default("PLAIN", "12.7~rc1");
        release.set_default("SPACES", "initrd system");
        release.set_default("SPECIAL", r#"$a`b"c\"#);
        assert_eq!(
            release.to_string(),
            "PLAIN=12.7~rc1\nSPACES=\"initrd system\"\nSPECIAL=\"\\$a\\`b\\\"c\\\\\"\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_read_survives_a_round_trip(text in r#"([A-Z_=\\"'#$` a\n\t]|\PC){0,80}"#) {
            let parsed = parse_os_release(&text);
            prop_assert_eq!(parse_os_release(&parsed.to_string()), parsed);
        }
    }

    #[test]
    fn many_keys_are_read_in_the_time_of_a_few() {
        let text: String = (0..200_000).map(|key| format!("K{key}=\n")).collect();
        assert_eq!(
            parse_os_release(&(text.clone() + "K0=1\n")).get("K0"),
            Some("1")
        );
        assert_eq!(parse_os_release(&text).iter().count(), 200_000);
    }
}
