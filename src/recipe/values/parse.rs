//! From text to values, by kind.

use std::path::Path;

use super::kind::{Kind, PathRule};
use super::paths::PATH_LIMIT_BYTES;
use super::value::{TreeSource, Value};
use super::vantage::{Refused, Vantage};
use super::{glob, keys, paths, runtime, scalars, uki, words};
use crate::recipe::names::Rule;

/// Parses the text of a setting. A collection's text can stand for no values: that is the empty assignment, unless
/// [`idle_words`] says that it named what is not there.
pub(in crate::recipe) fn parse(
    kind: Kind,
    text: &str,
    vantage: &Vantage<'_>,
) -> Result<Vec<Value>, Refused> {
    match kind {
        Kind::List(Rule::Package) => Ok(texts(words::packages(text))),
        Kind::List(rule) => listed(text, |word| plain(rule, word)),
        Kind::Packages => Ok(texts(words::packages(text))),
        Kind::Parts(choices) => match scalars::boolean(text) {
            Some(answer) => Ok(vec![Value::Boolean(answer)]),
            None => listed(text, |word| scalars::choice(choices, word)),
        },
        Kind::Choices(choices) => listed(text, |word| scalars::choice(choices, word)),
        Kind::Expressions => listed(text, |word| Ok(Value::Text(expression(word)))),
        Kind::Paths(rule) => listed(text, |word| path(word, rule, vantage)),
        Kind::Trees(rule) => listed(text, |word| {
            paths::tree(word, rule, vantage).map(Value::Tree)
        }),
        Kind::UkiProfiles => listed(text, |word| uki::profile(word, vantage)),
        Kind::Scripts => scripts(text, vantage),
        Kind::SpacedList => Ok(texts(words::spaced(text))),
        Kind::Drives => words::spaced(text)
            .into_iter()
            .map(|word| runtime::drive(word, vantage))
            .collect(),
        Kind::ShellWords => Ok(texts(quoted(text)?)),
        Kind::Variables | Kind::Labels => Ok(variables(kind, &quoted(text)?, vantage)),
        Kind::Credentials => runtime::credentials(text, vantage),
        _ => scalar(kind, text, vantage).map(|value| vec![value]),
    }
}

fn scalar(kind: Kind, text: &str, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    match kind {
        Kind::Boolean => scalars::boolean(text)
            .map(Value::Boolean)
            .ok_or_else(|| Refused::new(text, "a boolean (`yes` or `no`)")),
        Kind::Feature => scalars::feature(text)
            .map(Value::Feature)
            .ok_or_else(|| Refused::new(text, "`auto`, `enabled`, `disabled` or a boolean")),
        Kind::Choice(choices) => scalars::choice(choices, text),
        Kind::ChoiceOrBoolean { choices, yes, no } => {
            scalars::choice_or_boolean(choices, yes, no, text)
        }
        Kind::Compression => scalars::compression(text),
        Kind::Path(rule) => path(text, rule, vantage),
        Kind::Key { .. } => keys::key(text, vantage),
        Kind::KeySource(kinds) => keys::source(text, kinds),
        Kind::Mode => scalars::mode(text),
        Kind::Uuid => scalars::uuid(text),
        Kind::Number => scalars::number(text),
        Kind::Integer => scalars::integer(text),
        Kind::Size => scalars::size(text).map(Value::Size),
        Kind::SectorSize => scalars::sector_size(text),
        Kind::VsockNumber => scalars::vsock(text),
        Kind::Password => Ok(scalars::password(text)),
        Kind::Text(rule) | Kind::Delayed(rule, _) => plain(rule, text),
        Kind::MinimumVersion => Ok(Value::Text(text.to_owned())),
        _ => Err(Refused::new(text, "a single value")),
    }
}

fn listed(
    text: &str,
    read: impl FnMut(&str) -> Result<Value, Refused>,
) -> Result<Vec<Value>, Refused> {
    words::listed(text).into_iter().map(read).collect()
}

fn texts<T: Into<String>>(words: Vec<T>) -> Vec<Value> {
    words
        .into_iter()
        .map(|word| Value::Text(word.into()))
        .filter(|word| *word != Value::Text(String::new()))
        .collect()
}

fn quoted(text: &str) -> Result<Vec<String>, Refused> {
    words::quoted(text).ok_or_else(|| Refused::new(text, "words with every quote closed"))
}

fn plain(rule: Rule, text: &str) -> Result<Value, Refused> {
    rule.check_spelling(text)
        .map(|()| Value::Text(text.to_owned()))
        .map_err(|expected| Refused::new(text, expected))
}

fn path(text: &str, rule: PathRule, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    if rule.words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    paths::path(text, rule, vantage).map(Value::Path)
}

/// Marks a regular expression, which shares its setting with patterns.
fn expression(word: &str) -> String {
    match word {
        "default" | "host" => word.to_owned(),
        _ => format!("re:{word}"),
    }
}

fn scripts(text: &str, vantage: &Vantage<'_>) -> Result<Vec<Value>, Refused> {
    let mut scripts = Vec::new();
    for word in words::listed(text) {
        for path in glob::expand(word, vantage)? {
            if vantage.lacks(&path) {
                let expected = "the path of something that is there";
                return Err(Refused::new(word, expected));
            }
            scripts.push(Value::Path(path));
        }
    }
    Ok(scripts)
}

/// Returns the words of a collection's text that stand for nothing, because nothing is there.
pub(in crate::recipe) fn idle_words<'t>(
    kind: Kind,
    text: &'t str,
    vantage: &Vantage<'_>,
) -> Vec<&'t str> {
    let is_idle = |word: &&str| glob::expand(word, vantage).is_ok_and(|found| found.is_empty());
    match kind {
        Kind::Scripts => words::listed(text).into_iter().filter(is_idle).collect(),
        Kind::Credentials if !text.contains('=') => vec![text],
        _ => Vec::new(),
    }
}

fn variables(kind: Kind, words: &[String], vantage: &Vantage<'_>) -> Vec<Value> {
    let words = words.iter().filter(|word| !word.is_empty());
    words
        .map(|word| match word.split_once('=') {
            Some((name, value)) => Value::Variable {
                name: name.trim().to_owned(),
                value: Some(value.trim().to_owned()),
            },
            None => {
                let name = word.trim().to_owned();
                let value = match (kind, vantage.outlook) {
                    (Kind::Labels, _) => Some(String::new()),
                    (_, Some(outlook)) => {
                        outlook.variable(&name).ok().map(Option::unwrap_or_default)
                    }
                    (_, None) => None,
                };
                Value::Variable { name, value }
            }
        })
        .collect()
}

/// Returns what was expected of a value that mkosi takes and a build does not, because of where it ends up.
pub(in crate::recipe) fn violation(kind: Kind, value: &Value) -> Option<&'static str> {
    match (kind, value) {
        (Kind::Text(rule) | Kind::List(rule) | Kind::Delayed(rule, _), Value::Text(text)) => {
            rule.check(text).err()
        }
        (Kind::Packages, Value::Text(text)) => Rule::Package.check(text).err(),
        (Kind::Variables, Value::Variable { name, .. }) => Rule::Variable.check(name).err(),
        (Kind::Trees(_), Value::Tree(tree)) => {
            let target = tree.target();
            let leads_up = target
                .components()
                .any(|part| part == std::path::Component::ParentDir);
            let is_long = target.as_os_str().len() >= PATH_LIMIT_BYTES;
            let has_control = target.to_string_lossy().contains(char::is_control);
            (leads_up || is_long || has_control)
                .then_some("a target without `..` and control characters")
        }
        _ => None,
    }
}

/// Returns the values that a file or directory beside a `mkosi.conf` stands for.
pub(in crate::recipe) fn found(
    kind: Kind,
    path: &Path,
    vantage: &Vantage<'_>,
) -> Result<Vec<Value>, Refused> {
    let text = path.to_string_lossy();
    match kind {
        Kind::Trees(_) => Ok(vec![Value::Tree(TreeSource {
            source: path.to_owned(),
            target: None,
        })]),
        Kind::Credentials => runtime::credential_files(&text, vantage),
        Kind::UkiProfiles => uki::profile_at(path, vantage).map(|value| vec![value]),
        _ => Ok(vec![Value::Path(path.to_owned())]),
    }
}

/// Returns the mode of a value's file that is to be secret, and is not.
pub(in crate::recipe) fn open_secret(
    kind: Kind,
    value: &Value,
    vantage: &Vantage<'_>,
) -> Option<u32> {
    let is_secret = match kind {
        Kind::Key { secret } => secret,
        Kind::Path(rule) => rule.secret,
        _ => false,
    };
    match value {
        Value::Path(path) if is_secret => paths::open_mode(path, vantage),
        _ => None,
    }
}
