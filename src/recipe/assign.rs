//! From the text of an assignment to the values it stands for: specifiers, parsing, and whether it is supported.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::delayed;
use super::error::RecipeError;
use super::findings::Findings;
use super::grants::{Access, Grant};
use super::image::{Image, Surroundings};
use super::nearest::nearest;
use super::origin::Origin;
use super::outside::real_path;
use super::settings::{self, Setting, Support};
use super::specifiers;
use super::values::{self, Denied, Kind, Outlook, Refused, Value, Vantage};
use super::version;

/// Returns the values that `text` stands for, none for the empty assignment; `None` when nothing is to be assigned.
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
    if expanded.trim().is_empty() {
        return cleared(setting);
    }
    let view = View::new(image, around, origin);
    let vantage = Vantage {
        directory,
        outlook: Some(&view),
    };
    let values = match values::parse(setting.kind, &expanded, &vantage) {
        Ok(values) => values,
        Err(Refused::Variable { value, name }) => {
            let problem = RecipeError::PathVariable {
                origin: origin.clone(),
                setting: setting.name,
                path: value,
                name,
            };
            match setting.support {
                Support::NoEffect(_) => findings.warn(problem),
                _ => findings.refuse_value(setting.destination, problem),
            }
            // They are shown as they are written.
            let view = View {
                is_literal: true,
                ..view
            };
            let vantage = Vantage {
                directory,
                outlook: Some(&view),
            };
            let values = values::parse(setting.kind, &expanded, &vantage);
            return Some(values.unwrap_or_else(|_| vec![Value::Text(expanded)]));
        }
        Err(refused) => {
            findings.error(unread(setting, refused, origin, around));
            return None;
        }
    };
    if !around.bounds.assign(values.len()) {
        findings.error(RecipeError::TooManyValues {
            origin: origin.clone(),
            setting: setting.name,
        });
        // Nobody wants to read it of the files that follow.
        around.bounds.end();
        return None;
    }
    let idle = values::idle_words(setting.kind, &expanded, &vantage);
    let has_none = values.is_empty() && !idle.is_empty();
    for word in idle.iter().filter(|_| setting.kind == Kind::Scripts) {
        findings.warn(RecipeError::NoMatch {
            origin: origin.clone(),
            setting: setting.name,
            pattern: (*word).to_owned(),
        });
    }
    if has_none {
        return None;
    }
    if setting.kind == Kind::MinimumVersion {
        if version::compare(&expanded, LANGUAGE_VERSION) == Ordering::Greater
            && !expanded.starts_with("commit:")
        {
            findings.error(RecipeError::Value {
                origin: origin.clone(),
                setting: setting.name.to_owned(),
                value: expanded,
                expected: format!(
                    "at most `{LANGUAGE_VERSION}`, the version of the language that is read"
                ),
                nearest: None,
            });
            return None;
        }
        if !is_newer(setting, &expanded, image) {
            return None;
        }
    }
    if values.is_empty() {
        return cleared(setting);
    }
    let unset = view.unset.take().into_iter();
    for name in unset.filter(|_| setting.kind == Kind::Variables) {
        let origin = origin.clone();
        findings.warn(RecipeError::UnsetVariable { origin, name });
    }
    check_secrets(setting, &values, &vantage, origin, around, findings);
    check_letters(setting, &expanded, origin, findings);
    check_support(setting, text, &values, origin, findings);
    Some(values)
}

/// The version of mkosi that has all settings of the table.
const LANGUAGE_VERSION: &str = "27.1";

/// Returns what the empty assignment is: the highest version stays, as mkosi has it.
fn cleared(setting: &Setting) -> Option<Vec<Value>> {
    (setting.kind != Kind::MinimumVersion).then(Vec::new)
}

/// Returns the values of a file or directory that was found beside a `mkosi.conf`.
pub(super) fn found(
    setting: &'static Setting,
    path: &Path,
    origin: &Origin,
    image: &Image,
    around: &Surroundings,
    findings: &mut Findings,
) -> Option<Vec<Value>> {
    let view = View::new(image, around, origin);
    let vantage = Vantage {
        directory: &around.directory,
        outlook: Some(&view),
    };
    match values::found(setting.kind, path, &vantage) {
        Ok(values) => {
            check_secrets(setting, &values, &vantage, origin, around, findings);
            Some(values)
        }
        Err(refused) => {
            findings.error(unread(setting, refused, origin, around));
            None
        }
    }
}

fn is_newer(setting: &Setting, version: &str, image: &Image) -> bool {
    let present = image
        .layers
        .get(setting)
        .and_then(|mut values| values.pop());
    present.is_none_or(|present| {
        version::compare(version, &present.value.to_string()) == Ordering::Greater
    })
}

/// Says why text is no value.
fn unread(
    setting: &'static Setting,
    refused: Refused,
    origin: &Origin,
    around: &Surroundings,
) -> RecipeError {
    let origin = origin.clone();
    match refused {
        Refused::Value { value, expected } => RecipeError::Value {
            origin,
            setting: setting.name.to_owned(),
            nearest: nearest(&value, setting.kind.words().iter().copied()),
            value,
            expected,
        },
        Refused::Variable { value, name } => RecipeError::PathVariable {
            origin,
            setting: setting.name,
            path: value,
            name,
        },
        Refused::Outside { path } => RecipeError::IncludeOutside {
            origin,
            grant: Grant::Path {
                path: real_path(&path),
                access: Access::Read,
            },
            path: around.shown(&path),
        },
    }
}

/// Cuts what is too long for a message.
fn clipped(mut value: String) -> String {
    const LIMIT_BYTES: usize = 1000;
    if value.len() > LIMIT_BYTES {
        value.truncate(value.floor_char_boundary(LIMIT_BYTES));
        value.push('…');
    }
    value
}

/// Reports files that are to be secret, and are not. Their values stay, for what is private is hidden from programs.
fn check_secrets(
    setting: &Setting,
    values: &[Value],
    vantage: &Vantage<'_>,
    origin: &Origin,
    around: &Surroundings,
    findings: &mut Findings,
) {
    for value in values {
        if let (Value::Path(path), Some(mode)) =
            (value, values::open_secret(setting.kind, value, vantage))
        {
            findings.error(RecipeError::OpenSecret {
                origin: origin.clone(),
                path: around.shown(path),
                mode,
            });
        }
    }
}

/// Warns of `&` specifiers that stand for nothing.
fn check_letters(setting: &Setting, text: &str, origin: &Origin, findings: &mut Findings) {
    let Kind::Delayed(_, letters) = setting.kind else {
        return;
    };
    for letter in delayed::unknown_letters(text, letters) {
        findings.warn(RecipeError::UnknownDelayedSpecifier {
            origin: origin.clone(),
            setting: setting.name,
            letter,
        });
    }
}

/// What may be looked at to read a value of an image.
#[derive(Debug)]
struct View<'a> {
    image: &'a Image,
    around: &'a Surroundings,
    origin: &'a Origin,
    /// The variables that were asked for and are not set.
    unset: RefCell<Vec<String>>,
    /// Whether variables that nobody granted stay as they are written.
    is_literal: bool,
}

impl<'a> View<'a> {
    fn new(image: &'a Image, around: &'a Surroundings, origin: &'a Origin) -> Self {
        Self {
            image,
            around,
            origin,
            unset: RefCell::default(),
            is_literal: false,
        }
    }
}

impl Outlook for View<'_> {
    fn variable(&self, name: &str) -> Result<Option<String>, Denied> {
        if !self.origin.is_personal() && !self.around.grants.permits_variable(name) {
            return if self.is_literal {
                Ok(None)
            } else {
                Err(Denied)
            };
        }
        let value = self.around.environment.get(name).cloned();
        if value.is_none() {
            self.unset.borrow_mut().push(name.to_owned());
        }
        Ok(value)
    }

    fn permits(&self, path: &Path) -> bool {
        self.origin.is_personal()
            || self
                .image
                .permits(&real_path(path), Access::Read, self.around)
    }

    fn read(&self, path: &Path) -> std::io::Result<String> {
        let real = fs_err::canonicalize(path)?;
        String::from_utf8(self.around.bounds.read(&real)?)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }

    fn may_list(&self, entries: usize) -> bool {
        self.around.bounds.list(entries)
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
        if setting.support == Support::Supported {
            check_safety(setting, values, origin, findings);
        }
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
        findings.refuse_value(setting.destination, problem);
    }
}

/// Refuses the values that must not end up where the setting puts them.
fn check_safety(
    setting: &'static Setting,
    values: &[Value],
    origin: &Origin,
    findings: &mut Findings,
) {
    for value in values {
        if let Some(expected) = values::violation(setting.kind, value) {
            let problem = RecipeError::Value {
                origin: origin.clone(),
                setting: setting.name.to_owned(),
                value: clipped(value.to_string()),
                expected: expected.to_owned(),
                nearest: None,
            };
            findings.refuse_value(setting.destination, problem);
        }
    }
}

/// Returns where the file lies that a value is written in.
fn directory_of(origin: &Origin, around: &Surroundings, directory: &Path) -> PathBuf {
    let file = origin.place().map(|place| around.root.join(place.path()));
    let real = file.and_then(|file| fs_err::canonicalize(file).ok());
    match real.as_deref().and_then(Path::parent) {
        Some(parent) => parent.to_owned(),
        None => directory.to_owned(),
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
        'C' => Ok(directory_of(origin, around, directory)
            .display()
            .to_string()),
        'P' => Ok(directory.display().to_string()),
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
