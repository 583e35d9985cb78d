//! What a setting's text may be, and the value it stands for.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::names::Rule;

/// What kind of text a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Boolean,
    Feature,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, or a boolean that stands for one of them.
    ChoiceOrBoolean {
        choices: &'static [&'static str],
        yes: &'static str,
        no: &'static str,
    },
    Compression,
    Text(Rule),
    /// Words between commas and white space.
    List(Rule),
    /// Some of these words between commas and white space; a boolean alone, if that is one of the values.
    Choices {
        choices: &'static [&'static str],
        booleans: bool,
    },
    /// Words between white space; commas belong to the word.
    SpacedList,
    /// `NAME=VALUE` words, quoted as in a shell.
    Variables,
    Path,
    Paths,
    /// `SOURCE[:TARGET]` with an absolute target.
    Trees,
    /// Octal permission bits.
    Mode,
    /// A UUID or `random`.
    Uuid,
    Number,
}

impl Kind {
    /// Returns whether assignments add to what is there.
    pub fn is_collection(self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Choices { .. }
                | Self::SpacedList
                | Self::Variables
                | Self::Paths
                | Self::Trees
        )
    }

    /// Returns the words that a value can be, none when it is not one of few words.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(choices)
            | Self::ChoiceOrBoolean { choices, .. }
            | Self::Choices { choices, .. } => choices,
            Self::Compression => COMPRESSIONS,
            Self::Feature => &["auto", "enabled", "disabled"],
            _ => &[],
        }
    }

    /// Returns what stands for the value in help, such as `PATH`.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Boolean => "BOOL",
            Self::Feature => "auto|BOOL",
            Self::Choice(_) | Self::ChoiceOrBoolean { .. } | Self::Compression => "WORD",
            Self::Text(_) => "TEXT",
            Self::List(_) | Self::Choices { .. } | Self::SpacedList => "LIST",
            Self::Variables => "NAME=VALUE",
            Self::Path | Self::Paths => "PATH",
            Self::Trees => "SOURCE[:TARGET]",
            Self::Mode => "MODE",
            Self::Uuid => "UUID",
            Self::Number => "NUMBER",
        }
    }
}

/// The names of compressions; `zst` and `gzip` are accepted spellings.
const COMPRESSIONS: &[&str] = &["none", "zstd", "xz", "bz2", "gz", "lz4", "lzma"];

/// A setting that may be left to the program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Feature {
    #[default]
    Auto,
    Enabled,
    Disabled,
}

/// A directory or archive copied into an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreeSource {
    /// The absolute path on the host.
    pub source: PathBuf,
    /// The absolute path in the image.
    pub target: PathBuf,
}

/// One value. A collection is several of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    Boolean(bool),
    Feature(Feature),
    Text(String),
    Number(u64),
    Mode(u32),
    Path(PathBuf),
    Tree(TreeSource),
    /// A variable; without a value it is to be taken from the environment.
    Variable {
        name: String,
        value: Option<String>,
    },
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("yes"),
            Self::Boolean(false) => f.write_str("no"),
            Self::Feature(Feature::Auto) => f.write_str("auto"),
            Self::Feature(Feature::Enabled) => f.write_str("enabled"),
            Self::Feature(Feature::Disabled) => f.write_str("disabled"),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Mode(mode) => write!(f, "{mode:04o}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Tree(tree) if tree.target == Path::new("/") => {
                write!(f, "{}", tree.source.display())
            }
            Self::Tree(tree) => write!(f, "{}:{}", tree.source.display(), tree.target.display()),
            Self::Variable {
                name,
                value: Some(value),
            } => write!(f, "{name}={value}"),
            Self::Variable { name, value: None } => f.write_str(name),
        }
    }
}

/// Text that is not a value of its setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refused {
    pub(super) value: String,
    pub(super) expected: String,
}

impl Refused {
    fn new(value: &str, expected: impl Into<String>) -> Self {
        Self {
            value: value.to_owned(),
            expected: expected.into(),
        }
    }
}

/// Parses the non-empty text of a setting; relative paths start at `directory`.
pub(super) fn parse(kind: Kind, text: &str, directory: &Path) -> Result<Vec<Value>, Refused> {
    match kind {
        Kind::List(rule) => words(text)
            .into_iter()
            .map(|word| {
                rule.check(word)
                    .map(|()| Value::Text(word.to_owned()))
                    .map_err(|expected| Refused::new(word, expected))
            })
            .collect(),
        Kind::Choices { booleans, .. } if booleans && boolean(text).is_some() => {
            let answer = boolean(text).unwrap_or_default();
            Ok(vec![Value::Text(
                if answer { "yes" } else { "no" }.to_owned(),
            )])
        }
        Kind::Choices { choices, .. } => words(text)
            .into_iter()
            .map(|word| choice(choices, word))
            .collect(),
        Kind::SpacedList => Ok(text
            .split_whitespace()
            .map(|word| Value::Text(word.to_owned()))
            .collect()),
        Kind::Variables => variables(text),
        Kind::Paths => words(text)
            .into_iter()
            .map(|word| path(word, directory).map(Value::Path))
            .collect(),
        Kind::Trees => words(text)
            .into_iter()
            .map(|word| tree(word, directory).map(Value::Tree))
            .collect(),
        _ => scalar(kind, text, directory).map(|value| vec![value]),
    }
}

fn scalar(kind: Kind, text: &str, directory: &Path) -> Result<Value, Refused> {
    match kind {
        Kind::Boolean => boolean(text)
            .map(Value::Boolean)
            .ok_or_else(|| Refused::new(text, "a boolean (`yes` or `no`)")),
        Kind::Feature => feature(text)
            .map(Value::Feature)
            .ok_or_else(|| Refused::new(text, "`auto`, `enabled`, `disabled` or a boolean")),
        Kind::Choice(choices) => choice(choices, text),
        Kind::ChoiceOrBoolean { choices, yes, no } => match boolean(text) {
            Some(answer) if !choices.contains(&text) => {
                Ok(Value::Text(if answer { yes } else { no }.to_owned()))
            }
            _ => choice(choices, text),
        },
        Kind::Compression => match (text, boolean(text)) {
            ("zst", _) | (_, Some(true)) => Ok(Value::Text("zstd".to_owned())),
            ("gzip", _) => Ok(Value::Text("gz".to_owned())),
            (_, Some(false)) => Ok(Value::Text("none".to_owned())),
            _ => choice(COMPRESSIONS, text),
        },
        Kind::Path => path(text, directory).map(Value::Path),
        Kind::Mode => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o1777)
            .map(Value::Mode)
            .ok_or_else(|| Refused::new(text, "octal permission bits up to 1777")),
        Kind::Uuid if text == "random" => Ok(Value::Text(text.to_owned())),
        Kind::Uuid => uuid::Uuid::parse_str(text)
            .map(|uuid| Value::Text(uuid.to_string()))
            .map_err(|_| Refused::new(text, "a UUID or `random`")),
        Kind::Number => text
            .parse()
            .map(Value::Number)
            .map_err(|_| Refused::new(text, "a whole number, zero or more")),
        Kind::Text(rule) => rule
            .check(text)
            .map(|()| Value::Text(text.to_owned()))
            .map_err(|expected| Refused::new(text, expected)),
        Kind::List(_)
        | Kind::Choices { .. }
        | Kind::SpacedList
        | Kind::Variables
        | Kind::Paths
        | Kind::Trees => Err(Refused::new(text, "a single value")),
    }
}

/// Reads a boolean as mkosi spells it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "t" | "on" | "always" => Some(true),
        "0" | "false" | "no" | "n" | "f" | "off" | "never" => Some(false),
        _ => None,
    }
}

/// Reads a feature as mkosi spells it.
pub(super) fn feature(text: &str) -> Option<Feature> {
    match text {
        "auto" => Some(Feature::Auto),
        "enabled" => Some(Feature::Enabled),
        "disabled" => Some(Feature::Disabled),
        _ => boolean(text).map(|answer| {
            if answer {
                Feature::Enabled
            } else {
                Feature::Disabled
            }
        }),
    }
}

fn choice(choices: &[&str], text: &str) -> Result<Value, Refused> {
    if choices.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let listed: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    Err(Refused::new(text, format!("one of {}", listed.join(", "))))
}

/// Splits at commas and white space, but not inside parentheses: `?and(?name(a), ?name(b))` is one word.
fn words(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(move |character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (character == ',' || character.is_whitespace())
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// `PATH_MAX`, which counts the NUL at the end.
pub(super) const PATH_LIMIT_BYTES: usize = 4096;

/// Makes an absolute path of text, without asking the file system.
fn path(text: &str, directory: &Path) -> Result<PathBuf, Refused> {
    if text.starts_with('~') {
        return Err(Refused::new(
            text,
            "a path without `~`, which is not expanded",
        ));
    }
    let variable = text
        .split('$')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c == '{' || c == '_' || c.is_ascii_alphanumeric()));
    if variable {
        return Err(Refused::new(
            text,
            "a path without `$VARIABLE`, which is not expanded",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::new(text, "a path without control characters"));
    }
    let path = directory.join(text);
    if path.as_os_str().len() >= PATH_LIMIT_BYTES {
        return Err(Refused::new(text, "a path of less than 4096 bytes"));
    }
    Ok(normal(&path))
}

/// Resolves `.` and `..` by their spelling.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            _ => normal.push(component),
        }
    }
    normal
}

fn tree(text: &str, directory: &Path) -> Result<TreeSource, Refused> {
    let (source, target) = text.split_once(':').unwrap_or((text, "/"));
    let is_plain = Path::new(target)
        .components()
        .all(|component| !matches!(component, Component::ParentDir));
    let is_short = target.len() < PATH_LIMIT_BYTES;
    if source.is_empty() || !target.starts_with('/') || !is_plain || !is_short {
        return Err(Refused::new(
            text,
            "`SOURCE` or `SOURCE:TARGET` with an absolute target without `..`",
        ));
    }
    Ok(TreeSource {
        source: path(source, directory)?,
        target: normal(Path::new(target)),
    })
}

fn variables(text: &str) -> Result<Vec<Value>, Refused> {
    let words =
        shell_words(text).ok_or_else(|| Refused::new(text, "words with every quote closed"))?;
    words
        .into_iter()
        .map(|word| {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            if is_name {
                Ok(Value::Variable { name, value })
            } else {
                Err(Refused::new(&word, "`NAME=VALUE`"))
            }
        })
        .collect()
}

/// Splits text into words as a POSIX shell does, without expanding anything; `None` when a quote is not closed.
fn shell_words(text: &str) -> Option<Vec<String>> {
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
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests;
