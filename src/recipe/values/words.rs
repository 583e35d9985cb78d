//! How text is split into words.

/// Splits at commas and white space.
pub(super) fn listed(text: &str) -> Vec<&str> {
    text.split(|character: char| character == ',' || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Splits at commas and white space, but not inside parentheses: `?and(?name(a), ?name(b))` is one word.
pub(super) fn packages(text: &str) -> Vec<&str> {
    // A parenthesis that is never closed holds nothing together.
    let balanced = text.matches('(').count() == text.matches(')').count();
    let mut depth = 0_usize;
    text.split(move |character: char| {
        match character {
            '(' if balanced => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (character == ',' || character.is_whitespace())
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// Splits at spaces and line ends.
pub(super) fn spaced(text: &str) -> Vec<&str> {
    text.split([' ', '\n'])
        .filter(|word| !word.is_empty())
        .collect()
}

/// Splits text into words at spaces and line ends as a POSIX shell does, without expanding anything; `None` when a quote
/// is not closed.
pub(super) fn quoted(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(character),
            (Some(_), '\\') => {
                let next = characters.next()?;
                if !matches!(next, '"' | '\\') {
                    word.get_or_insert_default().push('\\');
                }
                word.get_or_insert_default().push(next);
            }
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, ' ' | '\n') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Reads a whole number as Python does: with a sign, with white space around it, with `_` between digits.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    digits(text.trim(), 10)
}

/// Reads octal digits, which may start with `0o`.
pub(super) fn octal_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits_only = text
        .strip_prefix("0o")
        .or_else(|| text.strip_prefix("0O"))
        .unwrap_or(text);
    digits(digits_only, 8)
}

fn digits(text: &str, radix: u32) -> Option<i64> {
    let (sign, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (&text[..1], rest),
        None => ("", text),
    };
    let is_whole = unsigned
        .split('_')
        .all(|group| !group.is_empty() && group.chars().all(|digit| digit.is_digit(radix)));
    if !is_whole {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{}", unsigned.replace('_', "")), radix).ok()
}
