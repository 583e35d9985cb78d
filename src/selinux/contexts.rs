//! The format of `file_contexts`, and which of its lines a path takes its label from.

use std::collections::HashMap;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use crate::tree::EntryKind;

/// Lines beyond this are refused; the largest policies have some ten thousand.
const MAX_LINES: usize = 200_000;

/// Most memory that one expression may be compiled to; those of policies take a few thousand bytes.
const MAX_EXPRESSION_BYTES: usize = 1 << 18;

/// The labels of a policy's files.
///
/// Of several lines that a path matches, one without special characters counts, or else the one that comes last. That
/// is libselinux's order, for which policies sort their lines; it looks through `file_contexts`, `.homedirs` and `.local`
/// as one file. An expression is matched against the whole path.
#[derive(Debug, Default)]
pub struct FileContexts {
    lines: Vec<Line>,
    /// The lines without special characters, by the path that they stand for, in their order.
    exact: HashMap<Vec<u8>, Vec<usize>>,
    /// The others in their order, by the directory in which everything lies that they match.
    expressions: HashMap<Vec<u8>, Vec<usize>>,
    /// What paths begin with, and what stands there in the lines; `.subs` first.
    substitutions: [Vec<(Vec<u8>, Vec<u8>)>; 2],
}

#[derive(Debug)]
struct Line {
    expression: String,
    compiled: OnceLock<Option<Regex>>,
    file_type: Option<FileType>,
    /// `None` for `<<none>>`.
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FileType {
    Regular,
    Directory,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// A line that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("line {number}: {problem}")]
pub struct InvalidContexts {
    pub number: usize,
    #[source]
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("expected a path, a type and a context, or a path and a context")]
    Fields,
    #[error("`{0}` is no type of file, which is one of `--`, `-d`, `-l`, `-c`, `-b`, `-p`, `-s`")]
    Type(String),
    #[error("`{0}` is no context, such as `system_u:object_r:usr_t:s0`, nor `<<none>>`")]
    Context(String),
    #[error("the path `{0}` cannot be read as an expression")]
    Expression(String),
    #[error("there are more than 200000 lines")]
    TooMany,
}

impl FileType {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "--" => Self::Regular,
            "-d" => Self::Directory,
            "-l" => Self::Symlink,
            "-c" => Self::CharacterDevice,
            "-b" => Self::BlockDevice,
            "-p" => Self::Fifo,
            "-s" => Self::Socket,
            _ => return None,
        })
    }

    fn of(kind: &EntryKind) -> Self {
        match kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::Regular(_) => Self::Regular,
            EntryKind::Symlink(_) => Self::Symlink,
            EntryKind::CharacterDevice(_) => Self::CharacterDevice,
            EntryKind::BlockDevice(_) => Self::BlockDevice,
            EntryKind::Fifo => Self::Fifo,
            EntryKind::Socket => Self::Socket,
        }
    }
}

impl FileContexts {
    /// Adds the lines of a `file_contexts`, which count more than those that are there.
    ///
    /// # Errors
    /// [`InvalidContexts`] for the first line that is not understood.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidContexts> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            self.add_line(line)
                .map_err(|problem| InvalidContexts { number, problem })?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Result<(), Problem> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (expression, file_type, context) = match fields.as_slice() {
            [expression, context] => (*expression, None, *context),
            [expression, name, context] => {
                let file_type = FileType::named(name);
                let file_type = file_type.ok_or_else(|| Problem::Type((*name).to_owned()))?;
                (*expression, Some(file_type), *context)
            }
            _ => return Err(Problem::Fields),
        };
        let context = match context {
            "<<none>>" => None,
            context if is_context(context) => Some(context.to_owned()),
            other => return Err(Problem::Context(other.to_owned())),
        };
        if self.lines.len() == MAX_LINES {
            return Err(Problem::TooMany);
        }
        // What a line means is asked for only where one applies; that it means something is asked of all.
        if regex_syntax_is_wrong(expression) {
            return Err(Problem::Expression(expression.to_owned()));
        }
        let index = self.lines.len();
        let (literal, is_exact) = literal_start(expression);
        if is_exact {
            self.exact.entry(literal).or_default().push(index);
        } else {
            let slash = literal.iter().rposition(|byte| *byte == b'/');
            let directory = literal[..slash.unwrap_or(0)].to_vec();
            self.expressions.entry(directory).or_default().push(index);
        }
        self.lines.push(Line {
            expression: expression.to_owned(),
            compiled: OnceLock::new(),
            file_type,
            context,
        });
        Ok(())
    }

    /// Adds the lines of a `file_contexts.subs_dist`: paths that begin with the first word are looked up as if they
    /// began with the second.
    pub fn add_distribution_substitutions(&mut self, text: &str) {
        add_substitutions(&mut self.substitutions[1], text);
    }

    /// Adds the lines of a `file_contexts.subs`, which are applied before the distribution's.
    pub fn add_substitutions(&mut self, text: &str) {
        add_substitutions(&mut self.substitutions[0], text);
    }

    /// Returns the label of what lies at the absolute `path`, `None` when it is to have none.
    pub fn label(&self, path: &[u8], kind: &EntryKind) -> Option<&str> {
        let mut path = path.to_vec();
        for substitutions in &self.substitutions {
            if let Some(substituted) = substitute(substitutions, &path) {
                path = substituted;
            }
        }
        let file_type = FileType::of(kind);
        let fits = |index: &usize| {
            let wanted = self.lines[*index].file_type;
            wanted.is_none_or(|wanted| wanted == file_type)
        };
        let exact = self.exact.get(&path).into_iter().flatten();
        let found = exact.rev().find(|index| fits(index)).copied();
        let found = found.or_else(|| {
            // Everything that can match lies in a directory above the path; `/` is above all, as the empty start.
            let slashes = path.iter().enumerate();
            let starts = slashes
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| &path[..at]);
            let mut candidates: Vec<usize> = starts
                .filter_map(|start| self.expressions.get(start))
                .flatten()
                .copied()
                .collect();
            candidates.sort_unstable();
            candidates
                .into_iter()
                .rev()
                .find(|index| fits(index) && self.lines[*index].matches(&path))
        });
        self.lines[found?].context.as_deref()
    }
}

impl Line {
    fn matches(&self, path: &[u8]) -> bool {
        let compiled = self.compiled.get_or_init(|| compile(&self.expression));
        compiled.as_ref().is_some_and(|regex| regex.is_match(path))
    }
}

fn compile(expression: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{expression})$"))
        // Names are bytes, and may hold line ends.
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(MAX_EXPRESSION_BYTES)
        .build()
        .ok()
}

fn regex_syntax_is_wrong(expression: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    // Most lines need no look at all, or cannot be wrong.
    !expression.chars().all(is_plain) && compile(expression).is_none()
}

/// Returns what everything begins with that an expression matches, and whether that is the only thing it matches.
fn literal_start(expression: &str) -> (Vec<u8>, bool) {
    let mut literal = Vec::new();
    let mut bytes = expression.bytes().peekable();
    // Of alternatives outside of parentheses nothing is common.
    if has_open_alternative(expression) {
        return (literal, false);
    }
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next() {
                // A letter or digit after a backslash stands for something else.
                Some(escaped) if !escaped.is_ascii_alphanumeric() => escaped,
                _ => return (literal, false),
            },
            b'.' | b'^' | b'$' | b'?' | b'*' | b'+' | b'|' | b'[' | b'(' | b'{' => {
                return (literal, false);
            }
            plain => plain,
        };
        // What may be repeated may be absent.
        if matches!(bytes.peek(), Some(b'?' | b'*' | b'{')) {
            return (literal, false);
        }
        literal.push(byte);
    }
    (literal, true)
}

fn has_open_alternative(expression: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_class = false;
    let mut is_escaped = false;
    for byte in expression.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b']' => is_class = false,
            _ if is_class => {}
            b'[' => is_class = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// A context is `user:role:type`, and more behind another colon for policies with levels.
fn is_context(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let is_plain = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic());
    parts.len() >= 3 && parts.iter().all(is_plain)
}

fn add_substitutions(substitutions: &mut Vec<(Vec<u8>, Vec<u8>)>, text: &str) {
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        if let (Some(from), Some(to)) = (words.next(), words.next())
            && from.starts_with('/')
            && to.starts_with('/')
        {
            substitutions.push((from.into(), to.into()));
        }
    }
}

/// Returns the path with its beginning replaced by the last substitution that fits, as libselinux has it.
fn substitute(substitutions: &[(Vec<u8>, Vec<u8>)], path: &[u8]) -> Option<Vec<u8>> {
    substitutions.iter().rev().find_map(|(from, to)| {
        let rest = path.strip_prefix(from.as_slice())?;
        match rest.first() {
            None => Some(to.clone()),
            Some(b'/') if to == b"/" => Some(rest.to_vec()),
            Some(b'/') => Some([to, rest].concat()),
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests;
