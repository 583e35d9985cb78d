//! Profiles of unified kernel images: files with a section and settings of their own.

use std::path::Path;

use super::kind::PathRule;
use super::paths;
use super::scalars::boolean;
use super::value::{UkiProfile, Value};
use super::vantage::{Refused, Vantage};
use super::words::spaced;
use crate::recipe::syntax;

/// The section of such a file.
const SECTION: &str = "UKIProfile";

/// Reads the profile at a path.
pub(super) fn profile(text: &str, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    profile_at(&paths::path(text, PathRule::PRESENT, vantage)?, vantage)
}

/// Reads the profile in a file.
pub(super) fn profile_at(path: &Path, vantage: &Vantage<'_>) -> Result<Value, Refused> {
    let mut profile = UkiProfile {
        path: path.to_owned(),
        profile: Vec::new(),
        command_line: Vec::new(),
        sign_expected_pcr: true,
    };
    let Some(outlook) = vantage.outlook else {
        return Ok(Value::UkiProfile(profile));
    };
    if !vantage.sees(path) {
        return Err(Refused::Outside {
            path: path.to_owned(),
        });
    }
    let text = outlook
        .read(path)
        .map_err(|_| Refused::new(path.to_string_lossy(), "a file that can be read as text"))?;
    let (document, problems) = syntax::read(path, text.as_bytes(), |section| section == SECTION);
    if let Some((place, problem)) = problems.first() {
        return Err(Refused::new(
            place.to_string(),
            format!("a profile, not {problem}"),
        ));
    }
    let sections = document.sections.iter();
    for assignment in sections
        .filter(|section| section.name == SECTION)
        .flat_map(|section| &section.assignments)
    {
        let value = assignment.value.as_str();
        match assignment.key.as_str() {
            "Profile" if value.is_empty() => profile.profile.clear(),
            "Profile" => {
                for pair in value.split('\n').filter(|pair| !pair.is_empty()) {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    let name = name.trim().to_owned();
                    profile.profile.retain(|(other, _)| *other != name);
                    profile.profile.push((name, value.trim().to_owned()));
                }
            }
            "Cmdline" if value.is_empty() => profile.command_line.clear(),
            "Cmdline" => {
                let words = spaced(value).into_iter().map(str::to_owned);
                profile.command_line.extend(words);
            }
            "SignExpectedPcr" if value.is_empty() => profile.sign_expected_pcr = true,
            "SignExpectedPcr" => {
                profile.sign_expected_pcr = boolean(value)
                    .ok_or_else(|| Refused::new(value, "a boolean (`yes` or `no`)"))?;
            }
            // mkosi warns of others, and goes on.
            _ => {}
        }
    }
    Ok(Value::UkiProfile(profile))
}
