//! The reference of all settings, from the table that reads them.

use std::fmt::Write as _;

use super::args::ArgumentError;
use crate::recipe::nearest;
use crate::recipe::settings::{self, Magic, Matcher, Scope, Section, Setting, Support};

/// Describes the settings that are named, as settings, options or sections; all of them when none is.
pub(super) fn text(names: &[String]) -> Result<String, ArgumentError> {
    let mut chosen: Vec<&Setting> = Vec::new();
    for name in names {
        let found = named(name);
        if found.is_empty() {
            return Err(ArgumentError::UnknownSetting {
                name: name.clone(),
                nearest: nearest(name, settings::all().map(|setting| setting.name)),
            });
        }
        chosen.extend(found);
    }
    let is_whole = names.is_empty();
    if is_whole {
        chosen.extend(settings::all());
    }
    let mut text = String::new();
    let mut section = None;
    for setting in chosen {
        if section != Some(setting.section) {
            let _ = writeln!(text, "[{}]\n", setting.section);
            section = Some(setting.section);
        }
        describe(&mut text, setting);
    }
    if is_whole {
        list_support(&mut text);
    }
    Ok(text)
}

/// Ends the reference with what is supported, at a glance.
fn list_support(text: &mut String) {
    text.push_str("Support at a glance\n\n");
    for word in ["yes", "in part", "none", "no"] {
        let of_word = settings::all().filter(|setting| support(setting).0 == word);
        let names: Vec<_> = of_word.map(|setting| setting.name).collect();
        let _ = writeln!(text, "    {word} ({}): {}", names.len(), names.join(", "));
    }
}

/// Returns how far a setting is supported: a word, and what there is to say about it.
fn support(setting: &Setting) -> (&'static str, String) {
    match setting.support {
        Support::Supported if setting.missing.is_empty() => ("yes", String::new()),
        Support::Supported => ("in part", format!(": {}", setting.missing)),
        Support::NoEffect(reason) => ("none", format!(", and accepted without effect: {reason}")),
        Support::Unsupported { reason, .. } => ("no", format!(": {reason}")),
    }
}

fn named(name: &str) -> Vec<&'static Setting> {
    let word = name.trim_end_matches('=');
    let option = name.strip_prefix("--");
    let section = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    if let Some(section) = Section::named(section) {
        let is_there = |setting: &&Setting| setting.section == section;
        return settings::all().filter(is_there).collect();
    }
    settings::all()
        .filter(|setting| setting.name.eq_ignore_ascii_case(word) || Some(setting.long) == option)
        .collect()
}

fn describe(text: &mut String, setting: &Setting) {
    let _ = writeln!(text, "{}={}", setting.name, setting.kind.placeholder());
    let _ = writeln!(text, "    {}.", setting.help);
    let mut row = |label: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "    {label}: {value}");
        }
    };
    row("values", setting.kind.words().join(", "));
    row("default", setting.default.to_owned());
    if setting.is_alias() {
        row("adds to", format!("{}=", setting.destination));
    }
    row("option", options(setting));
    row("set in", scope(setting.scope).to_owned());
    let files: Vec<String> = setting.magic.iter().map(|magic| file(*magic)).collect();
    row("files", files.join(", "));
    row(
        "specifier",
        setting
            .specifier
            .map_or_else(String::new, |letter| format!("%{letter}")),
    );
    row(
        "condition",
        setting.matcher.map_or("", condition).to_owned(),
    );
    let (word, remark) = support(setting);
    row("support", format!("{word}{remark}"));
    text.push('\n');
}

fn options(setting: &Setting) -> String {
    let short = match (setting.short, setting.short_value) {
        (Some(short), None) => format!(", -{short}"),
        (Some(short), Some(value)) => format!(", -{short} for `{value}`"),
        (None, _) => String::new(),
    };
    format!("--{}{short}", setting.long)
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Local => "any image, for itself",
        Scope::Universal => "the main image, for all images",
        Scope::Multiversal => "the main image, for all images and the tools tree",
        Scope::Inherit => "any image; others start with the main image's",
        Scope::InitrdInherit => "any image; the default initrd starts with the main image's",
        Scope::Main => "the main image, for itself",
        Scope::Tools => "the main image, for the tools tree",
        Scope::Initrd => "the main image, for the default initrd",
    }
}

fn file(magic: Magic) -> String {
    match magic {
        Magic::Path(name) => name.to_owned(),
        Magic::Text(name) => format!("{name} (its text)"),
        Magic::Entries(name, ending) => format!("{name}/*{ending}"),
    }
}

fn condition(matcher: Matcher) -> &'static str {
    match matcher {
        Matcher::Equal => "in `[Match]`, the same value",
        Matcher::Member => "in `[Match]`, one of the values",
        Matcher::Glob => "in `[Match]`, a pattern",
        Matcher::Version => "in `[Match]`, a comparison of versions",
        Matcher::Variable => "in `[Match]`, `NAME` or `NAME=VALUE`",
    }
}
