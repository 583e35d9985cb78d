//! Asks the conditions of a file while it is read.

use std::path::{Path, PathBuf};

use super::assign;
use super::discovery::{Reader, reading};
use super::error::RecipeError;
use super::grants::Access;
use super::matching::{self, Purpose, Subject};
use super::nearest::nearest;
use super::origin::Origin;
use super::outside;
use super::settings;
use super::syntax::{Document, RawSection};
use super::values;

impl Reader<'_, '_> {
    /// Returns whether a file is to be read; its assertions are looked at if it is.
    pub(super) fn conditions_hold(&mut self, document: &Document, directory: &Path) -> bool {
        let failing =
            matching::failing_section(document, Purpose::Match, |section, index, value| {
                self.condition(section, index, value, directory)
            });
        if failing.is_some() {
            return false;
        }
        let mut asked = None;
        let failing =
            matching::failing_section(document, Purpose::Assert, |section, index, value| {
                asked = Some((section, index));
                self.condition(section, index, value, directory)
            });
        if let Some(section) = failing {
            // What comes after a condition that has to hold is not asked; of others, none alone is to blame.
            let place = match asked.map(|(asked, index)| (asked, &asked.assignments[index])) {
                Some((asked, condition))
                    if std::ptr::eq(asked, section) && !condition.value.starts_with('|') =>
                {
                    &condition.place
                }
                _ => &section.place,
            };
            let error = RecipeError::Assertion {
                origin: Origin::File(place.clone()),
                section: section.name.clone(),
                image: self.image.name.clone(),
            };
            self.findings.error(error);
        }
        true
    }

    fn condition(
        &mut self,
        section: &RawSection,
        index: usize,
        value: &str,
        directory: &Path,
    ) -> bool {
        let assignment = &section.assignments[index];
        let origin = Origin::File(assignment.place.clone());
        let Some(subject) = matching::subject(&assignment.key) else {
            let name = assignment.key.clone();
            self.findings.error(RecipeError::UnknownCondition {
                origin,
                section: section.name.clone(),
                nearest: nearest(
                    &name,
                    settings::all()
                        .filter(|setting| setting.matcher.is_some())
                        .map(|setting| setting.name)
                        .chain(matching::OTHER_SUBJECTS),
                ),
                name,
            });
            return false;
        };
        if let Subject::Setting(setting, _) = subject
            && setting.name != assignment.key
        {
            self.findings.warn(RecipeError::FormerName {
                origin: origin.clone(),
                former: assignment.key.clone(),
                present: setting.name,
            });
        }
        let expanded = assign::expand(
            &self.image,
            self.around,
            &assignment.key,
            value,
            &origin,
            directory,
            self.findings,
        );
        let Some(value) = expanded else { return false };
        if let Some(words) = matching::unknown_word(subject, &value) {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            self.findings.error(RecipeError::Value {
                origin,
                setting: assignment.key.clone(),
                nearest: nearest(&value, words.iter().copied()),
                value,
                expected: format!("one of {}", quoted.join(", ")),
            });
            return false;
        }
        if matches!(subject, Subject::SystemdVersion) && self.around.host.systemd_version.is_none()
        {
            self.findings.warn(RecipeError::UnsupportedCondition {
                origin: origin.clone(),
                name: assignment.key.clone(),
                reason: "the host's version of systemd is not known, so it does not hold",
            });
        }
        if self.asks_outside(subject, &value, directory) {
            let path = outside::real_path(&directory.join(&value));
            self.findings.refuse(RecipeError::ConditionOutside {
                origin,
                name: assignment.key.clone(),
                path: value.clone().into(),
                grant: reading(present(&path)),
            });
        }
        matching::holds(subject, &value, &self.image, self.around, directory)
    }

    /// Returns whether a condition would let what the host has decide what is built.
    fn asks_outside(&self, subject: Subject, value: &str, directory: &Path) -> bool {
        matches!(subject, Subject::PathExists)
            // No file has a longer path.
            && value.len() < values::PATH_LIMIT_BYTES
            && !self.image.permits(
                &outside::real_path(&directory.join(value)),
                Access::Read,
                self.around,
            )
    }
}

/// Returns what is there of a path and those above it, but not the root, which is too much to grant.
fn present(path: &Path) -> PathBuf {
    path.ancestors()
        .filter(|ancestor| ancestor.parent().is_some())
        .find(|ancestor| ancestor.exists())
        .unwrap_or(path)
        .to_owned()
}
