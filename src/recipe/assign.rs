//! From the text of an assignment to the values it stands for: specifiers, parsing, and whether it is supported.

use std::path::Path;

use super::error::RecipeError;
use super::findings::Findings;
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
    let expanded = expand(
        image,
        around,
        setting.name,
        text,
        origin,
        directory,
        findings,
    )?;
    let parsed = match expanded.trim() {
        "" => Ok(Vec::new()),
        _ => values::parse(setting.kind, &expanded, directory),
    };
    match (parsed, setting.support) {
        (Ok(values), _) => {
            check_support(setting, text, &values, origin, findings);
            Some(values)
        }
        // What has no effect has no errors either.
        (Err(_), Support::NoEffect(_)) => Some(vec![Value::Text(text.to_owned())]),
        (Err(refused), _) => {
            findings.error(RecipeError::Value {
                origin: origin.clone(),
                setting: setting.name.to_owned(),
                nearest: nearest(&refused.value, setting.kind.words().iter().copied()),
                value: refused.value,
                expected: refused.expected,
            });
            None
        }
    }
}

/// Refuses the values of `text` that no build knows what to do with.
pub(super) fn check_support(
    setting: &'static Setting,
    text: &str,
    values: &[Value],
    origin: &Origin,
    findings: &mut Findings,
) {
    let Support::Unsupported { reason, neutral } = setting.support else {
        return;
    };
    let offending = values
        .iter()
        .find(|value| !neutral.contains(&value.to_string().as_str()));
    if let Some(value) = offending {
        let value = match value {
            // It has several spellings; a person looks for their own.
            Value::Feature(_) => text.trim().to_owned(),
            value => value.to_string(),
        };
        let problem = RecipeError::Unsupported {
            origin: origin.clone(),
            setting: setting.name,
            value,
            reason: reason.to_owned(),
        };
        findings.refuse_value(setting.name, problem);
    }
}

/// Expands the specifiers in the value of `setting`; `None` when they stand for too much.
pub(super) fn expand(
    image: &Image,
    around: &Surroundings,
    setting: &str,
    text: &str,
    origin: &Origin,
    directory: &Path,
    findings: &mut Findings,
) -> Option<String> {
    let lookup = |letter| match letter {
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
    };
    specifiers::expand(setting, text, origin, &around.bounds, lookup, findings)
}

/// Returns a tree that is copied to the root of an image.
pub(super) fn tree_at(path: &Path) -> Vec<Value> {
    vec![Value::Tree(TreeSource {
        source: path.to_owned(),
        target: "/".into(),
    })]
}
