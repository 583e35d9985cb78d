//! Where each value of an image was written, and what it took the place of.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::recipe::settings;
use crate::recipe::{ConfiguredImage, Origin, Project, Sourced};

/// The values of one setting.
struct Row<'a> {
    name: &'static str,
    values: &'a [Sourced],
    overridden: &'a [Sourced],
}

/// Returns the settings of an image that somebody gave a value.
fn rows(image: &ConfiguredImage) -> impl Iterator<Item = Row<'_>> {
    settings::all()
        // What an old name assigned is shown with the present one.
        .filter(|setting| !setting.is_alias())
        .map(|setting| Row {
            name: setting.name,
            values: image.values(setting.name),
            overridden: image.overridden(setting.name),
        })
        .filter(|row| {
            let is_set = |value: &Sourced| value.origin != Origin::Default;
            row.values.iter().any(is_set) || !row.overridden.is_empty()
        })
}

/// Returns a line a value.
pub(super) fn text(project: &Project) -> String {
    let mut text = String::new();
    for image in project.configured() {
        let _ = writeln!(text, "{}", image.name);
        for row in rows(image) {
            let name = row.name;
            match row.values {
                [] => text.push_str(&format!("  {name}=\n")),
                [value] => line(&mut text, &format!("  {name}="), value),
                values => {
                    text.push_str(&format!("  {name}=\n"));
                    for value in values {
                        line(&mut text, "    ", value);
                    }
                }
            }
            for value in row.overridden {
                line(&mut text, "    overrides ", value);
            }
        }
        text.push('\n');
    }
    text
}

fn line(text: &mut String, lead: &str, value: &Sourced) {
    let place = match value.origin.place() {
        Some(place) => format!("{place}:{}", place.column()),
        None => value.origin.to_string(),
    };
    // A value may have several lines.
    let words = value.value.to_string().replace('\n', "\n      ");
    let _ = writeln!(text, "{lead}{words} ({place})");
}

/// Returns `{"Images": [{"Image": ..., "Settings": {"Format": {"Values": [...], "Overridden": [...]}}}], "Tools": ...}`.
pub(super) fn json(project: &Project) -> String {
    let image = |image: &ConfiguredImage| {
        let settings: serde_json::Map<String, Json> = rows(image)
            .map(|row| {
                let encoded = |values: &[Sourced]| values.iter().map(value).collect::<Json>();
                let values = encoded(row.values);
                let setting = json!({ "Values": values, "Overridden": encoded(row.overridden) });
                (row.name.to_owned(), setting)
            })
            .collect();
        json!({ "Image": image.name, "Settings": settings })
    };
    let images: Vec<Json> = project.images.iter().map(image).collect();
    let tools = project.tools.as_ref().map(image);
    format!("{:#}", json!({ "Images": images, "Tools": tools }))
}

/// Returns a value as it would be written, and where it was.
fn value(value: &Sourced) -> Json {
    let text = value.value.to_string();
    match &value.origin {
        Origin::File(place) => json!({
            "Value": text,
            "File": place.path(),
            "Line": place.line(),
            "Column": place.column(),
        }),
        Origin::Magic { path } => json!({ "Value": text, "File": path }),
        Origin::CommandLine { option } => json!({ "Value": text, "Option": option }),
        Origin::Environment { variable } => json!({ "Value": text, "Variable": variable }),
        _ => json!({ "Value": text, "Default": true }),
    }
}
