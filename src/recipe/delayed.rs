//! `&` specifiers, which stand for something only when everything is known.

/// Expands the specifiers in `text`, asking `lookup` for each letter; one that stands for nothing vanishes.
pub(crate) fn expand_key(text: &str, lookup: impl Fn(char) -> Option<String>) -> String {
    let mut expanded = String::new();
    for_each(text, |part| match part {
        Part::Text(character) => expanded.push(character),
        Part::Letter('&') => expanded.push('&'),
        Part::Letter(letter) => expanded.push_str(&lookup(letter).unwrap_or_default()),
    });
    expanded
}

/// Returns the letters in `text` that are none of `letters`.
pub(super) fn unknown_letters(text: &str, letters: &str) -> Vec<char> {
    let mut unknown = Vec::new();
    for_each(text, |part| match part {
        Part::Letter(letter) if letter != '&' && !letters.contains(letter) => unknown.push(letter),
        _ => {}
    });
    unknown
}

/// A part of text with specifiers.
enum Part {
    Text(char),
    Letter(char),
}

fn for_each(text: &str, mut part: impl FnMut(Part)) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_letter = |next: &char| *next == '&' || next.is_ascii_alphabetic();
        match characters.next_if(|next| character == '&' && is_letter(next)) {
            Some(letter) => part(Part::Letter(letter)),
            None => part(Part::Text(character)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_stand_for_what_is_known() {
        let lookup = |letter| (letter == 'd').then(|| "debian".to_owned());
        for (text, expanded, unknown) in [
            ("&d~x", "debian~x", ""),
            ("&&d", "&d", ""),
            ("a&", "a&", ""),
            ("&-", "&-", ""),
            ("&z", "", "z"),
        ] {
            assert_eq!(expand_key(text, lookup), expanded, "{text}");
            let letters: String = unknown_letters(text, "d").into_iter().collect();
            assert_eq!(letters, unknown, "{text}");
        }
    }
}
