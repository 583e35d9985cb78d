//! The conditions of `[Match]`, `[TriggerMatch]`, `[Assert]` and `[TriggerAssert]`.

use std::path::Path;

use super::image::{Image, Surroundings};
use super::settings::{self, Matcher, Setting};
use super::syntax::{Document, RawSection};
use super::target::Architecture;
use super::values::{self, Kind, Value};
use super::version;

/// Whether sections decide if a file is read, or if the build stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Match,
    Assert,
}

impl Purpose {
    /// Returns the names of the sections that must all hold and of those of which one must.
    fn sections(self) -> (&'static str, &'static str) {
        match self {
            Self::Match => ("Match", "TriggerMatch"),
            Self::Assert => ("Assert", "TriggerAssert"),
        }
    }
}

/// Returns whether `name` is a section of conditions.
pub(super) fn is_condition_section(name: &str) -> bool {
    matches!(name, "Match" | "TriggerMatch" | "Assert" | "TriggerAssert")
}

/// What a condition asks about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    Setting(&'static Setting, Matcher),
    PathExists,
    HostArchitecture,
    SystemdVersion,
    Image,
}

/// Names of conditions that are not settings.
pub(super) const OTHER_SUBJECTS: [&str; 4] =
    ["PathExists", "SystemdVersion", "HostArchitecture", "Image"];

/// Returns what a condition asks about.
pub(super) fn subject(name: &str) -> Option<Subject> {
    match name {
        "PathExists" => Some(Subject::PathExists),
        "HostArchitecture" => Some(Subject::HostArchitecture),
        "SystemdVersion" => Some(Subject::SystemdVersion),
        "Image" => Some(Subject::Image),
        _ => {
            let setting = settings::named(name).or_else(|| settings::former_name(name))?;
            setting
                .matcher
                .map(|matcher| Subject::Setting(setting, matcher))
        }
    }
}

/// Returns the first section that fails, or `None` when the document's conditions hold.
///
/// `ask` answers one condition, without its `|` and `!`. What comes after one that fails is not asked.
pub(super) fn failing_section<'d>(
    document: &'d Document,
    purpose: Purpose,
    mut ask: impl FnMut(&'d RawSection, usize, &str) -> bool,
) -> Option<&'d RawSection> {
    let (all, any) = purpose.sections();
    let mut alternatives = None;
    for section in &document.sections {
        if section.name == all {
            if !holds_section(section, &mut ask) {
                return Some(section);
            }
        } else if section.name == any {
            let (first, is_one) = alternatives.unwrap_or((section, false));
            alternatives = Some((first, holds_section(section, &mut ask) || is_one));
        }
    }
    let (first, is_one) = alternatives?;
    (!is_one).then_some(first)
}

/// Returns whether all conditions of a section hold, and one of those with a `|` if there are any.
fn holds_section<'d>(
    section: &'d RawSection,
    ask: &mut impl FnMut(&'d RawSection, usize, &str) -> bool,
) -> bool {
    let mut triggered = None;
    for (index, assignment) in section.assignments.iter().enumerate() {
        let (is_trigger, value) = strip(&assignment.value, '|');
        let (is_negated, value) = strip(value, '!');
        let holds = ask(section, index, value) != is_negated;
        if is_trigger {
            triggered = Some(triggered.unwrap_or(false) || holds);
        } else if !holds {
            return false;
        }
    }
    triggered.unwrap_or(true)
}

fn strip(value: &str, mark: char) -> (bool, &str) {
    let rest = value.strip_prefix(mark);
    (rest.is_some(), rest.unwrap_or(value))
}

/// Returns what a condition may ask for when it asks for something else, which no value ever is.
pub(super) fn unknown_word(subject: Subject, value: &str) -> Option<&'static [&'static str]> {
    let setting = match subject {
        Subject::Setting(setting, _) => setting,
        Subject::HostArchitecture => settings::known("Architecture"),
        _ => return None,
    };
    let is_uefi = matches!(subject, Subject::Setting(..)) && value == "uefi";
    match setting.kind {
        Kind::Choice(words) => {
            let is_word = words.contains(&value) || (setting.name == "Architecture" && is_uefi);
            (!is_word).then_some(words)
        }
        Kind::Feature => values::feature(value).is_none().then_some(FEATURES),
        _ => None,
    }
}

const FEATURES: &[&str] = &["auto", "enabled", "disabled", "yes", "no"];

/// Answers one condition.
pub(super) fn holds(
    subject: Subject,
    value: &str,
    image: &Image,
    around: &Surroundings,
    directory: &Path,
) -> bool {
    match subject {
        Subject::PathExists => !value.is_empty() && directory.join(value).exists(),
        Subject::HostArchitecture => is_architecture(around.host.architecture, value),
        Subject::SystemdVersion => {
            let version = around.host.systemd_version.as_ref();
            !value.is_empty() && version.is_some_and(|version| version::satisfies(version, value))
        }
        Subject::Image => image.name == value,
        Subject::Setting(setting, matcher) => {
            let Some(present) = image
                .get(setting, around)
                .or_else(|| setting.is_collection().then(Vec::new))
            else {
                return false;
            };
            let values: Vec<&Value> = present.iter().map(|sourced| &sourced.value).collect();
            matches_setting(setting, matcher, &values, value)
        }
    }
}

fn matches_setting(setting: &Setting, matcher: Matcher, present: &[&Value], value: &str) -> bool {
    // The place of sources is a path, of which the empty one is none.
    if matcher == Matcher::Member && value.is_empty() && setting.name != "BuildSources" {
        return present.is_empty();
    }
    present.iter().any(|present| match (matcher, present) {
        (
            Matcher::Variable,
            Value::Variable {
                name,
                value: content,
            },
        ) => match value.split_once('=') {
            Some((key, wanted)) => name == key && content.as_deref() == Some(wanted),
            None => name == value,
        },
        (Matcher::Equal, Value::Feature(feature)) => values::feature(value) == Some(*feature),
        (Matcher::Equal, Value::Text(text)) if setting.name == "Architecture" => {
            Architecture::named(text)
                .is_some_and(|architecture| is_architecture(architecture, value))
        }
        (Matcher::Member, Value::Tree(tree)) => tree
            .target
            .as_ref()
            .is_some_and(|target| target == Path::new(value.trim_start_matches('/'))),
        (Matcher::Glob, _) => {
            let text = present.to_string();
            // Matching takes as many steps as both have letters, one times the other.
            text.len() <= LONGEST_MATCHED_BYTES && glob(value, &text)
        }
        (Matcher::Version, _) => version::satisfies(&present.to_string(), value),
        _ => present.to_string() == value,
    })
}

/// What a pattern matches is the name of something, and nothing has a longer one.
const LONGEST_MATCHED_BYTES: usize = 255;

fn is_architecture(architecture: Architecture, value: &str) -> bool {
    architecture.systemd_name() == value || (value == "uefi" && architecture.has_uefi())
}

/// Matches a shell pattern of `*`, `?` and `[...]`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let pattern = elements(&pattern);
    let text: Vec<char> = text.chars().collect();
    // Where to go on when the characters after the last `*` do not match.
    let (mut p, mut t, mut retry) = (0, 0, None);
    loop {
        if pattern.get(p) == Some(&Element::AnyText) {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if pattern
            .get(p)
            .is_some_and(|element| element.matches(text[t]))
        {
            (p, t) = (p + 1, t + 1);
            continue;
        }
        let Some((after_star, from)) = retry else {
            return false;
        };
        (p, t) = (after_star, from + 1);
        retry = Some((after_star, from + 1));
    }
}

/// A part of a pattern; all but [`Element::AnyText`] match one character.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Element<'a> {
    AnyText,
    AnyCharacter,
    Literal(char),
    Class { set: &'a [char], negated: bool },
}

impl Element<'_> {
    pub(super) fn matches(self, character: char) -> bool {
        match self {
            Self::AnyText => false,
            Self::AnyCharacter => true,
            Self::Literal(literal) => literal == character,
            Self::Class { set, negated } => is_in(set, character) != negated,
        }
    }
}

/// Splits a pattern, once, so that matching need not look for the end of a `[` again and again.
pub(super) fn elements(pattern: &[char]) -> Vec<Element<'_>> {
    let last_end = pattern.iter().rposition(|c| *c == ']').unwrap_or(0);
    let mut elements = Vec::new();
    let mut place = 0;
    while let Some(first) = pattern.get(place) {
        let class = match first {
            '[' if place < last_end => class(&pattern[place..]),
            _ => None,
        };
        let (element, length) = match (first, class) {
            (_, Some((set, negated, length))) => (Element::Class { set, negated }, length),
            ('*', None) => (Element::AnyText, 1),
            ('?', None) => (Element::AnyCharacter, 1),
            // A `[` without its end is an ordinary character.
            (literal, None) => (Element::Literal(*literal), 1),
        };
        elements.push(element);
        place += length;
    }
    elements
}

/// Returns the characters of a `[...]`, whether it starts with `!`, and its length.
fn class(pattern: &[char]) -> Option<(&[char], bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A `]` that comes first stands for itself.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    Some((&pattern[start..end], negated, end + 1))
}

fn is_in(mut set: &[char], character: char) -> bool {
    let mut found = false;
    while let Some(first) = set.first() {
        if let [_, '-', last, rest @ ..] = set {
            found |= (first..=last).contains(&&character);
            set = rest;
        } else {
            found |= *first == character;
            set = &set[1..];
        }
    }
    found
}

#[cfg(test)]
mod tests;
