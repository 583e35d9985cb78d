//! From the text of an assignment to the values it stands for: specifiers, parsing, and whether it is supported.

use std::path::Path;

use super::error::{Findings, RecipeError};
use super::image::{Image, Surroundings};
use super::nearest::nearest;
use super::origin::Origin;
use super::settings::{self, Setting, Support};
use super::specifiers;
use super::values::{self, TreeSource, Value};

/// Returns the values that `text` stands for, none for the empty assignment; `None` when an error was found.
pub(super) fn value(
    setting: &'static Setting,
    text: &str,
    origin: &Origin,
    image: &Image,
    around: &Surroundings,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Vec<Value>> {
    let read = expand(image, around, setting.name, text, origin, directory).and_then(|text| {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        values::parse(setting.kind, &text, directory).map_err(|refused| RecipeError::Value {
            origin: origin.clone(),
            setting: setting.name.to_owned(),
            nearest: nearest(&refused.value, setting.kind.words().iter().copied()),
            value: refused.value,
            expected: refused.expected,
        })
    });
    match (read, setting.support) {
        (Ok(values), _) => supported(setting, text, values, origin, findings),
        // What has no effect has no errors either.
        (Err(_), Support::NoEffect(_)) => supported(
            setting,
            text,
            vec![Value::Text(text.to_owned())],
            origin,
            findings,
        ),
        (Err(error), _) => {
            findings.error(error);
            None
        }
    }
}

/// Returns the values of `text` if the setting can have them, and notes a setting that does nothing.
pub(super) fn supported(
    setting: &'static Setting,
    text: &str,
    values: Vec<Value>,
    origin: &Origin,
    findings: &mut Findings,
) -> Option<Vec<Value>> {
    match setting.support {
        Support::Supported => {}
        Support::NoEffect(reason) => {
            findings.note(
                origin,
                format!("`{}=` has no effect: {reason}", setting.name),
            );
        }
        Support::Unsupported { reason, neutral } => {
            let offending = values
                .iter()
                .find(|value| !neutral.contains(&value.to_string().as_str()));
            if let Some(value) = offending {
                let value = match value {
                    // It has several spellings; a person looks for their own.
                    Value::Feature(_) => text.trim().to_owned(),
                    value => value.to_string(),
                };
                findings.error(RecipeError::Unsupported {
                    origin: origin.clone(),
                    setting: setting.name,
                    value,
                    reason: reason.to_owned(),
                });
                return None;
            }
        }
    }
    Some(values)
}

/// Expands the specifiers in the value of `setting`.
pub(super) fn expand(
    image: &Image,
    around: &Surroundings,
    setting: &str,
    text: &str,
    origin: &Origin,
    directory: &Path,
) -> Result<String, RecipeError> {
    let bounds = &around.bounds;
    specifiers::expand(setting, text, origin, bounds, |letter| match letter {
        'C' | 'P' => Ok(directory.display().to_string()),
        'D' => Ok(around.root.display().to_string()),
        'I' => Ok(image.name.clone()),
        'F' => Ok(image
            .text("Distribution", around)
            .and_then(|name| super::target::Distribution::named(&name))
            .map_or("ext4", super::target::Distribution::file_system)
            .to_owned()),
        _ => {
            let known = settings::all().find(|setting| setting.specifier == Some(letter));
            let stands_for = known.ok_or(None)?;
            image
                .text(stands_for.name, around)
                .ok_or(Some(stands_for.name))
        }
    })
}

/// Returns a tree that is copied to the root of an image.
pub(super) fn tree_at(path: &Path) -> Vec<Value> {
    vec![Value::Tree(TreeSource {
        source: path.to_owned(),
        target: "/".into(),
    })]
}
