//! The settings of each image, for people and as JSON.

mod encoding;

use std::fmt::Write as _;

use crate::recipe::settings::{self, Support};
use crate::recipe::{Origin, Project, Sourced};

pub(super) use self::encoding::{configurations, json};

/// Describes every image: what was set and where, then the defaults, then what is worth knowing, of the sandbox too.
pub(super) fn text(project: &Project, sandbox: Option<&str>) -> String {
    let mut text = String::new();
    for image in project.configured() {
        let _ = writeln!(text, "{}: {}", image.name, image.output_file_name);
        let (set, defaults): (Vec<_>, Vec<_>) = settings::all()
            .map(|setting| (setting, image.values(setting.name)))
            .filter(|(_, values)| !values.is_empty())
            .partition(|(_, values)| values.iter().any(|value| value.origin != Origin::Default));
        for (setting, values) in set {
            let _ = writeln!(
                text,
                "  {}={} ({})",
                setting.name,
                words(values),
                origins(values)
            );
        }
        text.push_str("  by default\n");
        // What is not built has no default worth reading.
        for (setting, values) in defaults
            .iter()
            .filter(|(setting, _)| setting.support == Support::Supported)
        {
            let _ = writeln!(text, "    {}={}", setting.name, words(values));
        }
        text.push('\n');
    }
    for note in &project.notes {
        let _ = writeln!(text, "note: {}: {}", note.origin, note.text);
    }
    if let Some(sandbox) = sandbox {
        let _ = writeln!(text, "note: {sandbox}");
    }
    text
}

fn words(values: &[Sourced]) -> String {
    let words: Vec<String> = values.iter().map(|value| value.value.to_string()).collect();
    words.join(" ")
}

/// Returns where values come from, each place once.
fn origins(values: &[Sourced]) -> String {
    let mut origins: Vec<String> = Vec::new();
    for origin in values.iter().map(|value| value.origin.to_string()) {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    origins.join(", ")
}

#[cfg(test)]
mod tests;
