//! The settings of each image as JSON: the keys and the encodings are mkosi's.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::build::SCRIPT_SOURCES as SOURCES;
use crate::recipe::settings::{self, Scope, Section, Setting};
use crate::recipe::{
    ConfiguredImage, Drive, Feature, Project, RealPaths, Sourced, TreeSource, UkiProfile, Value,
    expand_key,
};

/// Describes every image: `{"Images": [{"Architecture": ...}], "Tools": null}`, keys sorted, `null` for what is not set.
pub(in crate::cli) fn json(project: &Project) -> String {
    let real = RealPaths::default();
    let image = |configured| image(configured, &real);
    let images: Vec<Json> = project.images.iter().map(image).collect();
    let tools = project.tools.as_ref().map(image);
    format!("{:#}", json!({ "Images": images, "Tools": tools }))
}

/// Settings whose values no script is told.
const SECRET: [&str; 2] = ["RootPassword", "Credentials"];

/// Returns the settings of each image as its scripts read them: as [`json`], but without secrets, and with paths in the
/// recipe's directory as scripts find them. Where that is on the host is none of their business.
pub(in crate::cli) fn configurations(project: &Project) -> BTreeMap<String, String> {
    let real = RealPaths::default();
    let directory = project.directory.display().to_string();
    let configuration = |configured: &ConfiguredImage| {
        let mut json = image(configured, &real);
        for name in SECRET {
            json[name] = Json::Null;
        }
        inside(&mut json, &directory);
        (configured.name.clone(), format!("{json:#}"))
    };
    project.images.iter().map(configuration).collect()
}

/// Puts the place of the sources inside the sandbox for `directory` into all paths.
fn inside(json: &mut Json, directory: &str) {
    match json {
        Json::String(text) => {
            let below = text.strip_prefix(directory);
            if let Some(below) = below.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                *text = format!("{SOURCES}{below}");
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| inside(value, directory)),
        Json::Object(values) => values
            .values_mut()
            .for_each(|value| inside(value, directory)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn image(configured: &ConfiguredImage, real: &RealPaths) -> Json {
    let (own, mkosis): (Vec<_>, Vec<_>) = settings::all()
        .filter(|setting| !setting.is_alias() && setting.section != Section::Include)
        .partition(|setting| is_own(setting));
    let encoded = |settings: Vec<&Setting>| -> Map<String, Json> {
        settings
            .into_iter()
            .map(|setting| {
                let value = setting_value(configured, setting, real);
                (setting.name.to_owned(), value)
            })
            .collect()
    };
    let mut image = encoded(mkosis);
    image.insert("Overcoat".to_owned(), Json::Object(encoded(own)));
    image.insert("Image".to_owned(), json!(configured.name));
    image.insert("Files".to_owned(), json!(configured.files));
    if let Some(directory) = build_directory(configured, real) {
        image.insert("BuildSubdirectory".to_owned(), directory);
    }
    Json::Object(image)
}

/// Returns whether mkosi does not show a setting: it does not have it, or hands it to the image of the tools tree.
fn is_own(setting: &Setting) -> bool {
    setting.section == Section::Overcoat || setting.scope == Scope::Tools
}

/// Returns the directory that build scripts of the image find again.
fn build_directory(image: &ConfiguredImage, real: &RealPaths) -> Option<Json> {
    let last = |name: &str| Some(image.values(name).last()?.value.clone());
    let Value::Path(directory) = last("BuildDirectory")? else {
        return None;
    };
    let key = expand_key(&last("BuildKey")?.to_string(), |letter| match letter {
        'd' => last("Distribution").map(|value| value.to_string()),
        'r' => last("Release").map(|value| value.to_string()),
        'a' => last("Architecture").map(|value| value.to_string()),
        'i' => last("ImageId").map(|value| value.to_string()),
        'v' => last("ImageVersion").map(|value| value.to_string()),
        'I' => Some(image.name.clone()),
        _ => None,
    });
    let directory = real.of_future(&directory);
    Some(match key.as_str() {
        "-" => json!(directory),
        key => json!(directory.join(key)),
    })
}

fn setting_value(image: &ConfiguredImage, setting: &Setting, real: &RealPaths) -> Json {
    let values = image.values(setting.name);
    if setting.kind.is_dictionary() {
        return variables(values);
    }
    // mkosi computes this list by itself, and has none to begin with; what it passes on to other images is a list.
    let is_computed = setting.name == "ProxyExclude" && image.is_main();
    if is_computed && values.is_empty() && !image.is_set(setting.name) {
        return Json::Null;
    }
    if setting.is_collection() {
        return values
            .iter()
            .map(|value| encoded(&value.value, real))
            .collect();
    }
    values
        .last()
        .map_or(Json::Null, |value| encoded(&value.value, real))
}

fn variables(values: &[Sourced]) -> Json {
    let variables = values.iter().filter_map(|sourced| match &sourced.value {
        Value::Variable { name, value } => Some((name.clone(), json!(value))),
        _ => None,
    });
    Json::Object(variables.collect())
}

fn encoded(value: &Value, real: &RealPaths) -> Json {
    match value {
        Value::Boolean(value) => json!(value),
        Value::Number(value) | Value::Vsock(value) => json!(value),
        Value::Size(value) => json!(value),
        Value::Mode(value) => json!(value),
        Value::Feature(Feature::Auto) => json!("auto"),
        Value::Feature(Feature::Enabled) => json!("enabled"),
        Value::Feature(Feature::Disabled) => json!("disabled"),
        Value::Path(path) => json!(real.of_future(path)),
        Value::Tree(TreeSource { source, target }) => {
            json!({ "Source": real.of_future(source), "Target": target })
        }
        Value::KeySource { kind, name } => json!({ "Type": kind, "Source": name }),
        Value::Password { text, hashed } => json!([text, hashed]),
        Value::Credential(credential) => json!({
            "Name": credential.name,
            "Path": credential.path,
            "Value": credential.value,
        }),
        Value::Drive(drive) => self::drive(drive, real),
        Value::UkiProfile(profile) => uki_profile(profile),
        Value::Text(_) | Value::Variable { .. } => json!(value.to_string()),
    }
}

fn drive(drive: &Drive, real: &RealPaths) -> Json {
    let directory = drive.directory.as_deref();
    json!({
        "Id": drive.id,
        "Size": drive.size_bytes,
        "Directory": directory.map(|path| real.of_future(path)),
        "Options": drive.options,
        "FileId": drive.file_id,
        "Flags": drive.flags,
    })
}

fn uki_profile(profile: &UkiProfile) -> Json {
    let pairs = profile.profile.iter().cloned();
    let pairs: Map<String, Json> = pairs.map(|(name, value)| (name, json!(value))).collect();
    json!({
        "Profile": pairs,
        "Cmdline": profile.command_line,
        "SignExpectedPcr": profile.sign_expected_pcr,
    })
}
