//! Prints what a summary says as a recipe, which says the same again.

use serde_json::{Map, Value};

use super::case::{Case, DEFAULTS, read};
use crate::harness::World;

/// What no recipe says: where settings are from, what follows from others, and what is in further files. Settings of our
/// own are in a group of theirs.
const DERIVED: [&str; 6] = [
    "BuildSubdirectory",
    "Dependencies",
    "Files",
    "Image",
    "Overcoat",
    "UnifiedKernelImageProfiles",
];

/// Lists that are sorted with each assignment of files, but not when the command line adds to them.
const SORTED: [&str; 3] = ["BuildPackages", "Packages", "VolatilePackages"];

/// Lists whose items are divided as a shell divides.
const QUOTED: [&str; 1] = ["QemuArgs"];

/// Returns what is different when the summary of the case's main image is written as a recipe and read again.
pub(super) fn differences(case: &Case) -> Vec<String> {
    let world = World::new();
    let Some(summary) = case.summary(&world) else {
        return Vec::new();
    };
    let images = summary["Images"].as_array().expect("there are images");
    let main = images.last().expect("the main image is last");
    // What other images make has a place that follows from them.
    if images
        .iter()
        .any(|image| image["Image"] == "default-initrd")
        || !summary["Tools"].is_null()
    {
        return Vec::new();
    }
    let settings = settings_of(main);
    let text = printed(&settings);
    world.write("printed/mkosi.conf", &text);
    let allow = format!("--allow=path:{}:rw", world.path("").display());
    let again = world.run(&["--json", "-C", "printed", &allow, "summary"]);
    if again.status != Some(0) {
        return vec![again.stderr, text];
    }
    let again = read(&world, &again.stdout).expect("it is JSON");
    let again = settings_of(&again["Images"][0]);
    let differs = |name: &&String| again.get(*name) != settings.get(*name);
    settings
        .keys()
        .filter(differs)
        .map(|name| format!("{name} is {:?}, not {}", again.get(name), settings[name]))
        .collect()
}

/// Returns what a recipe can say of an image.
fn settings_of(image: &Value) -> Map<String, Value> {
    let mut settings = Map::new();
    for group in [image, &image["Overcoat"]] {
        let group = group.as_object().expect("settings have names");
        settings.extend(group.clone());
    }
    settings.retain(|name, _| !DERIVED.contains(&name.as_str()));
    for name in SORTED {
        if let Some(Value::Array(items)) = settings.get_mut(name) {
            items.sort_by_key(Value::to_string);
        }
    }
    settings
}

/// Prints all settings, in a section that is not always theirs.
fn printed(settings: &Map<String, Value>) -> String {
    let defaults: Map<String, Value> = serde_json::from_str(DEFAULTS).expect("they are JSON");
    let mut text = "[Content]\n".to_owned();
    for (name, value) in settings {
        if value.is_null() && defaults.get(name).is_none_or(Value::is_null) {
            continue;
        }
        let assignments = match value {
            // Passwords are a pair.
            Value::Array(pair) if name == "RootPassword" => vec![password(pair)],
            // What was there is cleared first.
            Value::Array(items) => std::iter::once(String::new())
                .chain(items.iter().map(|value| item(name, value)))
                .collect(),
            Value::Object(source) if name.ends_with("Source") => {
                vec![format!(
                    "{}:{}",
                    words(&source["Type"]),
                    words(&source["Source"])
                )]
            }
            Value::Object(variables) => std::iter::once(String::new())
                .chain(
                    variables
                        .iter()
                        .map(|(key, value)| quoted(&format!("{key}={}", words(value)))),
                )
                .collect(),
            Value::Number(mode) if name == "OutputMode" => {
                vec![format!("{:o}", mode.as_u64().expect("modes are positive"))]
            }
            Value::Number(id) if name == "VSockCID" && id.as_i64() == Some(-1) => {
                vec!["auto".to_owned()]
            }
            Value::Number(id) if name == "VSockCID" && id.as_i64() == Some(-2) => {
                vec!["hash".to_owned()]
            }
            other => vec![words(other)],
        };
        for assignment in assignments {
            text += &format!("{name}={}\n", assignment.replace('%', "%%"));
        }
    }
    text
}

fn item(name: &str, item: &Value) -> String {
    let part = |key: &str| words(&item[key]);
    match item {
        Value::Object(tree) if tree.contains_key("Target") => match &tree["Target"] {
            Value::Null => part("Source"),
            _ => format!("{}:{}", part("Source"), part("Target")),
        },
        Value::Object(drive) if drive.contains_key("Flags") => {
            let flags = drive["Flags"].as_array().expect("flags are a list");
            let flags: Vec<String> = flags.iter().map(words).collect();
            let parts = ["Id", "Size", "Directory", "Options", "FileId"].map(part);
            format!("{}:{}", parts.join(":"), flags.join(","))
        }
        Value::Object(credential) if credential["Path"].is_null() => {
            quoted(&format!("{}={}", part("Name"), part("Value")))
        }
        Value::Object(_) => part("Path"),
        other if QUOTED.contains(&name) => quoted(&words(other)),
        other => words(other),
    }
}

fn password(pair: &[Value]) -> String {
    let hashed = if pair[1] == true { "hashed:" } else { "" };
    format!("{hashed}{}", words(&pair[0]))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
