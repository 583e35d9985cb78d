//! The settings of each image, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, json};

use crate::recipe::settings::{self, Setting, Support};
use crate::recipe::{ConfiguredImage, Feature, Origin, Project, Sourced, Value};

/// Describes every image: what was set and where, then the defaults, then what is worth knowing, of the sandbox too.
pub(super) fn text(project: &Project, sandbox: Option<&str>) -> String {
    let mut text = String::new();
    for image in &project.images {
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

/// Describes every image as JSON: `{"Images": [{"Architecture": ...}]}`, keys sorted, `null` for what is not set.
pub(super) fn json(project: &Project) -> String {
    let images: Vec<serde_json::Value> = project.images.iter().map(image).collect();
    format!("{:#}", json!({ "Images": images }))
}

fn image(configured: &ConfiguredImage) -> serde_json::Value {
    let mut image: Map<String, serde_json::Value> = settings::all()
        .map(|setting| {
            let values = configured.values(setting.name);
            (setting.name.to_owned(), setting_value(setting, values))
        })
        .collect();
    image.insert("Image".to_owned(), json!(configured.name));
    image.insert("Files".to_owned(), json!(configured.files));
    serde_json::Value::Object(image)
}

fn words(values: &[Sourced]) -> String {
    let words: Vec<String> = values.iter().map(|value| value.value.to_string()).collect();
    words.join(" ")
}

/// Returns where values come from, each place once.
fn origins(values: &[Sourced]) -> String {
    let mut origins: Vec<String> = values
        .iter()
        .map(|value| value.origin.to_string())
        .collect();
    origins.dedup();
    origins.join(", ")
}

fn setting_value(setting: &Setting, values: &[Sourced]) -> serde_json::Value {
    if values
        .iter()
        .any(|value| matches!(value.value, Value::Variable { .. }))
    {
        return variables(values);
    }
    if setting.is_collection() {
        return values
            .iter()
            .map(|value| json_value(&value.value))
            .collect();
    }
    values
        .last()
        .map_or(serde_json::Value::Null, |value| json_value(&value.value))
}

fn variables(values: &[Sourced]) -> serde_json::Value {
    let variables = values.iter().filter_map(|sourced| match &sourced.value {
        Value::Variable { name, value } => Some((name.clone(), json!(value))),
        _ => None,
    });
    serde_json::Value::Object(variables.collect())
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(value) => json!(value),
        Value::Number(value) => json!(value),
        Value::Mode(value) => json!(value),
        Value::Feature(Feature::Auto) => json!("auto"),
        Value::Feature(Feature::Enabled) => json!("enabled"),
        Value::Feature(Feature::Disabled) => json!("disabled"),
        Value::Tree(tree) => json!({ "Source": tree.source, "Target": tree.target }),
        Value::Text(_) | Value::Path(_) | Value::Variable { .. } => json!(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
