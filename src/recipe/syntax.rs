//! The reader of configuration files: text to sections and assignments, each with its line.
//!
//! The grammar is that of mkosi's own reader (`mkosi.1`, "Configuration settings"): a `#` anywhere starts a comment,
//! an indented line continues the value above it, and a section may occur many times. Two things are stricter: text
//! that is not UTF-8 and control characters are errors, so that what a person sees in an editor is what is read.

use std::path::Path;
use std::sync::Arc;

use super::place::{Place, Source, Span};

/// A configuration file, as read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Document {
    pub(super) sections: Vec<RawSection>,
}

/// One occurrence of a section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RawSection {
    pub(super) name: String,
    /// The header with its brackets.
    pub(super) place: Place,
    pub(super) assignments: Vec<Assignment>,
}

/// One `Key=value`, with its continuation lines joined by newlines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: String,
    /// The key, and where the value is.
    pub(super) place: Place,
}

/// A line that is not configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxProblem {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("a control character (U+{0:04X})")]
    ControlCharacter(u32),
    #[error("a section header without its closing `]`: `{0}`")]
    UnclosedSection(String),
    #[error("a section header without a name")]
    EmptySection,
    #[error("expected `Setting=value` or `[Section]`, found `{0}`")]
    NoEqualsSign(String),
    #[error("a value without the name of its setting: `{0}`")]
    EmptyKey(String),
    #[error("`{0}=` stands before any section")]
    OutsideSection(String),
}

/// Reads a file that messages call `path`, going on after a bad line so that all of them are reported.
///
/// Lines of a section that `is_read` does not know are not looked at: they may be of any form.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    is_read: fn(&str) -> bool,
) -> (Document, Vec<(Place, SyntaxProblem)>) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let source = &Source::new(path, text);
    if let Err(error) = std::str::from_utf8(bytes) {
        // The text may have had the same character before, as itself.
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let place = replaced(source, valid.matches(char::REPLACEMENT_CHARACTER).count());
        return (Document::default(), vec![(place, SyntaxProblem::NotUtf8)]);
    }
    let margin = margin(source);
    let mut reader = Reader {
        source,
        document: Document::default(),
        problems: Vec::new(),
        open: Open::Nothing,
        value: Vec::new(),
        is_read,
    };
    for (span, whole) in source.lines() {
        let dedented = whole
            .strip_prefix(margin)
            .unwrap_or(whole.trim_start_matches([' ', '\t']));
        if let Err((span, problem)) = reader.line(Line { span, whole }, dedented) {
            reader.close();
            reader.open = Open::Refused;
            reader.problems.push((Place::new(source, span), problem));
        }
    }
    reader.close();
    (reader.document, reader.problems)
}

/// Returns the place of the character with this number among those that stand for bytes which are none.
fn replaced(source: &Arc<Source>, number: usize) -> Place {
    let mark = char::REPLACEMENT_CHARACTER;
    let marks = source.lines().flat_map(|(line, text)| {
        text.match_indices(mark).map(move |(start, found)| Span {
            start,
            end: start + found.len(),
            ..line
        })
    });
    Place::new(source, { marks }.nth(number).unwrap_or_default())
}

/// Returns the indentation that all lines with text on them share.
fn margin(source: &Source) -> &str {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut lines = source
        .lines()
        .map(|(_, line)| line)
        .filter(|line| !line.trim_matches([' ', '\t']).is_empty());
    let Some(first) = lines.next() else { return "" };
    lines.fold(&first[..indentation(first)], |margin, line| {
        let shared = margin
            .bytes()
            .zip(line.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        &margin[..shared]
    })
}

/// A line and where it is.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    span: Span,
    whole: &'a str,
}

impl Line<'_> {
    /// Returns where in the line `part` is, which is a slice of it.
    fn span(self, part: &str) -> Span {
        let start = part.as_ptr().addr() - self.whole.as_ptr().addr();
        Span {
            start,
            end: start + part.len(),
            ..self.span
        }
    }
}

#[derive(Debug)]
struct Reader<'a> {
    source: &'a Arc<Source>,
    document: Document,
    problems: Vec<(Place, SyntaxProblem)>,
    open: Open,
    /// Where the value of the open assignment is.
    value: Vec<Span>,
    is_read: fn(&str) -> bool,
}

/// What an indented line continues.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Open {
    #[default]
    Nothing,
    Assignment,
    /// A line that was refused: its continuation is skipped, for one mistake is one error.
    Refused,
}

type Read = Result<(), (Span, SyntaxProblem)>;

impl Reader<'_> {
    fn line(&mut self, line: Line<'_>, dedented: &str) -> Read {
        let mut characters = dedented.char_indices();
        if let Some((index, character)) = characters.find(|(_, c)| is_forbidden(*c)) {
            let found = &dedented[index..index + character.len_utf8()];
            let problem = SyntaxProblem::ControlCharacter(character.into());
            return Err((line.span(found), problem));
        }
        let code = dedented
            .split_once('#')
            .map_or(dedented, |(code, _comment)| code);
        let text = code.trim();
        if text.is_empty() {
            return Ok(());
        }
        if self.open != Open::Nothing && code.starts_with(char::is_whitespace) {
            self.continuation(line, text);
            return Ok(());
        }
        self.close();
        match text.strip_prefix('[') {
            Some(header) => self.section(line, text, header),
            None => self.assignment(line, text),
        }
    }

    fn assigned(&mut self) -> Option<&mut Assignment> {
        let section = self.document.sections.last_mut()?;
        section
            .assignments
            .last_mut()
            .filter(|_| self.open == Open::Assignment)
    }

    fn continuation(&mut self, line: Line<'_>, text: &str) {
        if let Some(assignment) = self.assigned() {
            assignment.value.push('\n');
            assignment.value.push_str(text);
            self.value.push(line.span(text));
        }
    }

    /// Ends the open assignment.
    fn close(&mut self) {
        let value = std::mem::take(&mut self.value);
        if let Some(assignment) = self.assigned() {
            assignment.place = assignment.place.clone().with_value(value);
        }
        self.open = Open::Nothing;
    }

    fn section(&mut self, line: Line<'_>, text: &str, header: &str) -> Read {
        let span = line.span(text);
        let name = header
            .strip_suffix(']')
            .ok_or_else(|| (span, SyntaxProblem::UnclosedSection(text.to_owned())))?
            .trim();
        if name.is_empty() {
            return Err((span, SyntaxProblem::EmptySection));
        }
        self.document.sections.push(RawSection {
            name: name.to_owned(),
            place: Place::new(self.source, span),
            assignments: Vec::new(),
        });
        Ok(())
    }

    fn assignment(&mut self, line: Line<'_>, text: &str) -> Read {
        let section = self.document.sections.last_mut();
        if let Some(section) = &section
            && !(self.is_read)(&section.name)
        {
            return Ok(());
        }
        let whole = line.span(text);
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| (whole, SyntaxProblem::NoEqualsSign(text.to_owned())))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err((whole, SyntaxProblem::EmptyKey(text.to_owned())));
        }
        let span = line.span(key);
        let section =
            section.ok_or_else(|| (span, SyntaxProblem::OutsideSection(key.to_owned())))?;
        section.assignments.push(Assignment {
            key: key.to_owned(),
            value: value.to_owned(),
            place: Place::new(self.source, span),
        });
        self.value.push(line.span(value));
        self.open = Open::Assignment;
        Ok(())
    }
}

/// Characters that an editor shows as nothing or as a line break, and Python's `splitlines` may take for one.
fn is_forbidden(character: char) -> bool {
    (character.is_control() && character != '\t') || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests;
