//! The words of a configuration file that a value or a mistake is about.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of one line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Span {
    /// The first line is 1.
    pub(super) line: usize,
    /// The byte of the text that the line starts at.
    pub(super) line_start: usize,
    /// Bytes of the line.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// As messages show it.
    path: PathBuf,
    text: String,
}

/// Some words of one line of a configuration file.
///
/// Two places are the same when they are of the same assignment.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    at: Span,
    /// The key of an assignment, else the same.
    key: Span,
    /// What an assignment assigns, a part a line; empty for what is no assignment.
    value: Arc<[Span]>,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Arc<Self> {
        let path = path.to_owned();
        Arc::new(Self { path, text })
    }

    /// Returns the lines, each as a span.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Span, &str)> {
        let mut next = 0;
        (1..).zip(self.text.split('\n')).map(move |(line, text)| {
            let line_start = next;
            next += text.len() + 1;
            let span = Span {
                line,
                line_start,
                start: 0,
                end: text.len(),
            };
            (span, text)
        })
    }
}

impl Place {
    #[cfg(test)]
    pub(super) fn in_line(path: &Path, line: usize) -> Self {
        let source = Source::new(path, String::new());
        let at = Span {
            line,
            ..Span::default()
        };
        Self::new(&source, at)
    }

    pub(super) fn new(source: &Arc<Source>, at: Span) -> Self {
        Self {
            source: source.clone(),
            at,
            key: at,
            value: Arc::default(),
        }
    }

    /// Returns the place of an assignment, whose value is in these places.
    pub(super) fn with_value(self, value: Vec<Span>) -> Self {
        let value = value.into();
        Self { value, ..self }
    }

    /// Returns the file, relative to the recipe's directory.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Returns the number of the line; the first is 1.
    pub fn line(&self) -> usize {
        self.at.line
    }

    /// Returns the number of the first character; the first of a line is 1.
    pub fn column(&self) -> usize {
        self.text()
            .char_indices()
            .take_while(|(index, _)| *index < self.at.start)
            .count()
            + 1
    }

    /// Returns the whole line.
    pub fn text(&self) -> &str {
        let rest = self.source.text.get(self.at.line_start..);
        let mut lines = rest.unwrap_or_default().split('\n');
        lines.next().unwrap_or_default()
    }

    /// Returns which bytes of the line the place is.
    pub fn range(&self) -> Range<usize> {
        self.at.start..self.at.end
    }

    /// Returns the place of the key of an assignment.
    pub(super) fn of_key(&self) -> Self {
        self.at_span(Some(self.key))
    }

    /// Returns the place of the whole value, of its first line when it has several; the place itself without a value.
    pub(super) fn of_value(&self) -> Self {
        let mut parts = self.value.iter();
        self.at_span(parts.find(|part| part.end > part.start).copied())
    }

    /// Returns the place itself when it is one of the value's words, else that of the value.
    pub(super) fn of_words(&self) -> Self {
        match self.is_narrow() {
            true => self.clone(),
            false => self.of_value(),
        }
    }

    /// Returns the place of a word of the value, or of the value when that is not written there as it is.
    pub(super) fn of_word(&self, word: &str) -> Self {
        if self.is_narrow() {
            return self.clone();
        }
        let whole = SEPARATORS.into_iter().find_map(|separator| {
            let mut words = self.words(separator).into_iter();
            words.find(|span| self.written(*span) == word)
        });
        let found = whole.or_else(|| {
            self.value.iter().find_map(|part| {
                let start = part.start + self.written(*part).find(word)?;
                let end = start + word.len();
                Some(Span {
                    start,
                    end,
                    ..*part
                })
            })
        });
        match found.filter(|_| !word.is_empty()) {
            Some(span) => self.at_span(Some(span)),
            None => self.of_value(),
        }
    }

    /// Returns the place of each of `count` values, as far as they are a word each.
    pub(super) fn of_each(&self, count: usize) -> Vec<Self> {
        let words = SEPARATORS
            .into_iter()
            .map(|separator| self.words(separator))
            .find(|words| words.len() == count);
        match words {
            Some(words) => words
                .into_iter()
                .map(|span| self.at_span(Some(span)))
                .collect(),
            None => vec![self.of_value(); count],
        }
    }

    fn at_span(&self, span: Option<Span>) -> Self {
        Self {
            at: span.unwrap_or(self.at),
            ..self.clone()
        }
    }

    /// Tells whether the place is within the value already.
    fn is_narrow(&self) -> bool {
        let is_within = |part: &Span| {
            part.line == self.at.line && self.at.start >= part.start && self.at.end <= part.end
        };
        self.at.end > self.at.start && self.value.iter().any(is_within)
    }

    fn written(&self, span: Span) -> &str {
        let bytes = span.line_start + span.start..span.line_start + span.end;
        self.source.text.get(bytes).unwrap_or_default()
    }

    /// Splits the value, but neither within parentheses nor within quotes.
    fn words(&self, separator: fn(char) -> bool) -> Vec<Span> {
        let mut words = Vec::new();
        let (mut depth, mut quote) = (0_usize, None);
        for part in self.value.iter() {
            let mut start = part.start;
            for (index, c) in self.written(*part).char_indices() {
                match (quote, c) {
                    (Some(open), _) if c == open => quote = None,
                    (Some(_), _) => {}
                    (None, '"' | '\'') => quote = Some(c),
                    (None, '(') => depth += 1,
                    (None, ')') => depth = depth.saturating_sub(1),
                    (None, _) if depth == 0 && separator(c) => {
                        let end = part.start + index;
                        words.push(Span {
                            start,
                            end,
                            ..*part
                        });
                        start = end + c.len_utf8();
                    }
                    (None, _) => {}
                }
            }
            words.push(Span { start, ..*part });
        }
        words.retain(|word| word.end > word.start);
        words
    }
}

/// What the values of collections stand between: for most of them commas too.
const SEPARATORS: [fn(char) -> bool; 2] = [|c| c == ',' || c.is_whitespace(), char::is_whitespace];

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        (self.path(), self.key.line) == (other.path(), other.key.line)
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path().display(), self.line())
    }
}

#[cfg(test)]
mod tests;
