//! The text of a definition: sections and assignments as systemd.syntax(7) has them.
//!
//! Unlike in mkosi's own files a comment is a line of its own, and `\` at a line's end continues it.

use std::path::Path;
use std::sync::Arc;

use crate::recipe::place::{Place, Source, Span};
use crate::recipe::syntax::SyntaxProblem;

/// A line that assigns something.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) section: String,
    pub(super) section_place: Place,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) place: Place,
}

/// Reads a file, going on after a bad line.
pub(super) fn read(path: &Path, bytes: &[u8]) -> (Vec<Assignment>, Vec<(Place, SyntaxProblem)>) {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let source = Source::new(path, text);
    if std::str::from_utf8(bytes).is_err() {
        let place = Place::new(&source, Span::default());
        return (Vec::new(), vec![(place, SyntaxProblem::NotUtf8)]);
    }
    let mut reader = Reader {
        source: &source,
        section: None,
        assignments: Vec::new(),
        problems: Vec::new(),
    };
    // A line that is continued, with the place of its first part.
    let mut open: Option<(Span, String)> = None;
    for (span, line) in source.lines() {
        let is_comment = line.trim_start().starts_with(['#', ';']);
        if is_comment {
            // One between a line and its continuation leaves them together.
            continue;
        }
        let (first, mut whole) = open.take().unwrap_or((span, String::new()));
        match line.strip_suffix('\\') {
            Some(start) => {
                whole.push_str(start);
                whole.push(' ');
                open = Some((first, whole));
            }
            None => {
                whole.push_str(line);
                reader.line(first, &whole);
            }
        }
    }
    if let Some((span, whole)) = open {
        reader.line(span, &whole);
    }
    (reader.assignments, reader.problems)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    section: Option<(String, Place)>,
    assignments: Vec<Assignment>,
    problems: Vec<(Place, SyntaxProblem)>,
}

impl Reader<'_> {
    fn line(&mut self, span: Span, whole: &str) {
        let text = whole.trim();
        if text.is_empty() {
            return;
        }
        let place = Place::new(self.source, span);
        let control = text.chars().find(|c| c.is_control() && *c != '\t');
        let result = match (control, text.strip_prefix('[')) {
            (Some(found), _) => Err(SyntaxProblem::ControlCharacter(found.into())),
            (None, Some(header)) => self.section(text, header, &place),
            (None, None) => self.assignment(text, &place),
        };
        if let Err(problem) = result {
            self.problems.push((place, problem));
        }
    }

    fn section(&mut self, text: &str, header: &str, place: &Place) -> Result<(), SyntaxProblem> {
        let name = header
            .strip_suffix(']')
            .ok_or_else(|| SyntaxProblem::UnclosedSection(text.to_owned()))?;
        if name.is_empty() {
            return Err(SyntaxProblem::EmptySection);
        }
        self.section = Some((name.to_owned(), place.clone()));
        Ok(())
    }

    fn assignment(&mut self, text: &str, place: &Place) -> Result<(), SyntaxProblem> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| SyntaxProblem::NoEqualsSign(text.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(SyntaxProblem::EmptyKey(text.to_owned()));
        }
        let (section, section_place) = self
            .section
            .clone()
            .ok_or_else(|| SyntaxProblem::OutsideSection(key.to_owned()))?;
        self.assignments.push(Assignment {
            section,
            section_place,
            key: key.to_owned(),
            value: value.to_owned(),
            place: place.clone(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> (Vec<String>, Vec<String>) {
        let (assignments, problems) = read("x.conf".as_ref(), text.as_bytes());
        let assignments = assignments.iter().map(|found| {
            let line = found.place.line();
            format!("{line} {} {}={}", found.section, found.key, found.value)
        });
        let problems = problems
            .iter()
            .map(|(place, problem)| format!("{}: {problem}", place.line()));
        (assignments.collect(), problems.collect())
    }

    #[test]
    fn lines_are_continued_and_comments_are_lines_of_their_own() {
        let (assignments, problems) =
            described("# a\n[Partition]\nLabel=a#b\nMakeDirectories=/a \\\n; c\n  /b\n");
        assert_eq!(
            assignments,
            [
                "3 Partition Label=a#b",
                "4 Partition MakeDirectories=/a    /b"
            ]
        );
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_assignment_is_a_problem_of_its_line() {
        let (_, problems) = described("A=b\n[Partition\n[]\n[P]\nfoo\n=x\n");
        assert_eq!(
            problems,
            [
                "1: `A=` stands before any section",
                "2: a section header without its closing `]`: `[Partition`",
                "3: a section header without a name",
                "5: expected `Setting=value` or `[Section]`, found `foo`",
                "6: a value without the name of its setting: `=x`",
            ]
        );
    }
}
