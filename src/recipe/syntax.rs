//! The reader of configuration files: text to sections and assignments, each with its line.
//!
//! The grammar is that of mkosi's own reader (`mkosi.1`, "Configuration settings"): a `#` anywhere starts a comment,
//! an indented line continues the value above it, and a section may occur many times. Two things are stricter: text
//! that is not UTF-8 and control characters are errors, so that what a person sees in an editor is what is read.

/// A configuration file, as read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Document {
    pub(super) sections: Vec<RawSection>,
}

/// One occurrence of a section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RawSection {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) assignments: Vec<Assignment>,
}

/// One `Key=value`, with its continuation lines joined by newlines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Assignment {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
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

/// Reads a file, going on after a bad line so that all of them are reported.
pub(super) fn read(bytes: &[u8]) -> (Document, Vec<(usize, SyntaxProblem)>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            return (Document::default(), vec![(line, SyntaxProblem::NotUtf8)]);
        }
    };
    let mut reader = Reader::default();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let margin = margin(&text);
    for (index, line) in text.split('\n').enumerate() {
        let line = line
            .strip_prefix(margin)
            .unwrap_or(line.trim_start_matches([' ', '\t']));
        if let Err(problem) = reader.line(index + 1, line) {
            reader.open = Open::Refused;
            reader.problems.push((index + 1, problem));
        }
    }
    (reader.document, reader.problems)
}

/// Returns the indentation that all lines with text on them share.
fn margin(text: &str) -> &str {
    let blank = |line: &&str| !line.trim_matches([' ', '\t']).is_empty();
    let indentation = |line: &'_ str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut lines = text.split('\n').filter(blank);
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

#[derive(Debug, Default)]
struct Reader {
    document: Document,
    problems: Vec<(usize, SyntaxProblem)>,
    open: Open,
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

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), SyntaxProblem> {
        if let Some(character) = line.chars().find(|c| is_forbidden(*c)) {
            return Err(SyntaxProblem::ControlCharacter(character.into()));
        }
        let line = line.split_once('#').map_or(line, |(text, _comment)| text);
        let text = line.trim();
        if text.is_empty() {
            return Ok(());
        }
        if self.open != Open::Nothing && line.starts_with(char::is_whitespace) {
            self.continuation(text);
            return Ok(());
        }
        if let Some(header) = text.strip_prefix('[') {
            return self.section(number, text, header);
        }
        self.assignment(number, text)
    }

    fn continuation(&mut self, text: &str) {
        let sections = &mut self.document.sections;
        let last = sections
            .last_mut()
            .and_then(|section| section.assignments.last_mut());
        if let Some(assignment) = last.filter(|_| self.open == Open::Assignment) {
            assignment.value.push('\n');
            assignment.value.push_str(text);
        }
    }

    fn section(&mut self, line: usize, text: &str, header: &str) -> Result<(), SyntaxProblem> {
        let name = header
            .strip_suffix(']')
            .ok_or_else(|| SyntaxProblem::UnclosedSection(text.to_owned()))?;
        if name.is_empty() {
            return Err(SyntaxProblem::EmptySection);
        }
        self.open = Open::Nothing;
        self.document.sections.push(RawSection {
            name: name.to_owned(),
            line,
            assignments: Vec::new(),
        });
        Ok(())
    }

    fn assignment(&mut self, line: usize, text: &str) -> Result<(), SyntaxProblem> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| SyntaxProblem::NoEqualsSign(text.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(SyntaxProblem::EmptyKey(text.to_owned()));
        }
        let section = self
            .document
            .sections
            .last_mut()
            .ok_or_else(|| SyntaxProblem::OutsideSection(key.to_owned()))?;
        section.assignments.push(Assignment {
            key: key.to_owned(),
            value: value.to_owned(),
            line,
        });
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
