//! What the person at the command line lets a recipe have beyond its own directory: `--allow=` and `OVERCOAT_ALLOW`.
//!
//! No setting grants anything. What is granted is checked once, when it is read, and is plain data from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use super::nearest::nearest;
use super::origin::Origin;
use crate::Hint;

/// What may be done below a path.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Access {
    Read,
    /// Which includes reading.
    Write,
}

/// One thing that a person grants; its `Display` is what is written after `--allow=`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Grant {
    /// What asks for the network gets it.
    Network,
    /// Values of settings may lead there, and below.
    Path { path: PathBuf, access: Access },
    /// `Environment=` may take this variable of the caller's environment.
    Variable(String),
    /// Steps that run code have this device.
    Device(PathBuf),
    /// A build goes on where the host enforces less than is promised.
    WeakerSandbox,
    /// Checksums are signed with the person's own key, as the recipe says.
    Sign,
}

/// How each grant is written, for hints.
const FORMS: [(&str, &str); 6] = [
    ("network", "network"),
    ("path", "path:DIR[:rw]"),
    ("env", "env:NAME"),
    ("device", "device:PATH"),
    ("weaker-sandbox", "weaker-sandbox"),
    ("sign", "sign"),
];

/// Everything that was granted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grants {
    network: bool,
    weaker_sandbox: bool,
    sign: bool,
    /// Real paths, without links.
    paths: BTreeMap<PathBuf, Access>,
    variables: BTreeSet<String>,
    devices: BTreeSet<PathBuf>,
}

/// A grant that cannot be given.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct GrantError {
    origin: Origin,
    problem: GrantProblem,
}

/// What is wrong with a grant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantProblem {
    #[error("unknown grant `{name}`")]
    Unknown {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("the grant `{name}` lacks its value")]
    NoValue { name: &'static str },
    #[error("the grant `{name}` takes no value, found `{value}`")]
    SurplusValue { name: &'static str, value: String },
    #[error("`{path}` cannot be granted: {reason}")]
    Path { path: PathBuf, reason: String },
    #[error("`{name}` cannot be granted: expected the whole name of one variable")]
    Variable { name: String },
    #[error("`{path}` cannot be granted: {reason}")]
    Device { path: PathBuf, reason: String },
}

impl Grants {
    /// Reads lists of grants, each from where it was given; relative paths start at `directory`.
    ///
    /// # Errors
    /// Every [`GrantError`] there is.
    pub fn read<'a>(
        given: impl IntoIterator<Item = (&'a str, Origin)>,
        directory: &Path,
    ) -> Result<Self, Vec<GrantError>> {
        let mut grants = Self::default();
        let mut errors = Vec::new();
        for (list, origin) in given {
            for text in items(list) {
                let settled = Grant::parse(&text).and_then(|grant| grant.settled(directory));
                match settled {
                    Ok(grant) => grants.add(grant),
                    Err(problem) => errors.push(GrantError {
                        origin: origin.clone(),
                        problem,
                    }),
                }
            }
        }
        if errors.is_empty() {
            Ok(grants)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, grant: Grant) {
        match grant {
            Grant::Network => self.network = true,
            Grant::WeakerSandbox => self.weaker_sandbox = true,
            Grant::Sign => self.sign = true,
            Grant::Path { path, access } => {
                let granted = self.paths.entry(path).or_insert(access);
                *granted = access.max(*granted);
            }
            Grant::Variable(name) => {
                self.variables.insert(name);
            }
            Grant::Device(path) => {
                self.devices.insert(path);
            }
        }
    }

    /// Returns whether what asks for the network may have it.
    pub fn network(&self) -> bool {
        self.network
    }

    /// Returns whether a build may go on where the host enforces less than is promised.
    pub fn weaker_sandbox(&self) -> bool {
        self.weaker_sandbox
    }

    /// Returns whether a recipe may have its checksums signed.
    pub fn sign(&self) -> bool {
        self.sign
    }

    /// Returns the device nodes for steps that run code, as absolute paths below `/dev`.
    pub fn devices(&self) -> impl Iterator<Item = &Path> {
        self.devices.iter().map(PathBuf::as_path)
    }

    /// Returns whether a real path, without links, may be used so.
    pub fn permits(&self, real: &Path, access: Access) -> bool {
        self.paths
            .iter()
            .any(|(granted, may)| *may >= access && real.starts_with(granted))
    }

    /// Returns whether a recipe may take this variable of the caller's environment.
    pub fn permits_variable(&self, name: &str) -> bool {
        self.variables.contains(name)
    }
}

impl Grant {
    /// Reads one grant, without a look at the host.
    pub(super) fn parse(text: &str) -> Result<Self, GrantProblem> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some((name, _)) = FORMS.into_iter().find(|(known, _)| *known == name) else {
            return Err(GrantProblem::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, FORMS.map(|(name, _)| name)),
            });
        };
        let flag = |grant| match value {
            None => Ok(grant),
            Some(value) => Err(GrantProblem::SurplusValue {
                name,
                value: value.to_owned(),
            }),
        };
        let value = || {
            value
                .filter(|value| !value.is_empty())
                .ok_or(GrantProblem::NoValue { name })
        };
        match name {
            "network" => flag(Self::Network),
            "weaker-sandbox" => flag(Self::WeakerSandbox),
            "sign" => flag(Self::Sign),
            "env" => Ok(Self::Variable(value()?.to_owned())),
            "device" => Ok(Self::Device(value()?.into())),
            _ => {
                let value = value()?;
                // Other colons are the directory's; one that ends in `:rw` is written with a slash after it.
                let (path, access) = match value.strip_suffix(":rw") {
                    Some(path) if !path.is_empty() => (path, Access::Write),
                    _ => (value, Access::Read),
                };
                let path = path.into();
                Ok(Self::Path { path, access })
            }
        }
    }

    /// Makes paths absolute and real, and fails when there is no such thing to grant.
    fn settled(self, directory: &Path) -> Result<Self, GrantProblem> {
        match self {
            Self::Path { path, access } => {
                let refused = |reason: String| GrantProblem::Path {
                    path: path.clone(),
                    reason,
                };
                let real = fs_err::canonicalize(directory.join(&path))
                    .map_err(|error| refused(reason(&error)))?;
                if real.is_dir() || real.is_file() {
                    Ok(Self::Path { path: real, access })
                } else {
                    Err(refused("it is neither a directory nor a file".to_owned()))
                }
            }
            Self::Variable(name) if !is_variable(&name) => Err(GrantProblem::Variable { name }),
            Self::Device(path) => {
                let refused = |reason: String| GrantProblem::Device {
                    path: path.clone(),
                    reason,
                };
                // Elsewhere its mount point would be a file in the image.
                let is_below = path.starts_with("/dev")
                    && path.components().all(|part| part != Component::ParentDir);
                if !is_below {
                    return Err(refused("expected a path below `/dev`".to_owned()));
                }
                let found = fs_err::metadata(&path).map_err(|error| refused(reason(&error)))?;
                let kind = found.file_type();
                if kind.is_char_device() || kind.is_block_device() {
                    Ok(Self::Device(path))
                } else {
                    Err(refused("it is not a device".to_owned()))
                }
            }
            other => Ok(other),
        }
    }

    /// Returns the option that grants it, as typed in a shell.
    pub fn flag(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
        let text = self.to_string();
        if text.chars().all(plain) {
            format!("--allow={text}")
        } else {
            format!("--allow='{}'", text.replace('\'', "'\\''"))
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |path: &Path| {
            let text = path.display().to_string();
            text.replace('\\', "\\\\").replace(',', "\\,")
        };
        match self {
            Self::Network => f.write_str("network"),
            Self::WeakerSandbox => f.write_str("weaker-sandbox"),
            Self::Sign => f.write_str("sign"),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::Device(path) => write!(f, "device:{}", escaped(path)),
            Self::Path { path, access } => {
                let path = escaped(path);
                let end = match access {
                    Access::Write => ":rw",
                    Access::Read if path.ends_with(":rw") => "/",
                    Access::Read => "",
                };
                write!(f, "path:{path}{end}")
            }
        }
    }
}

impl Hint for GrantError {
    fn hint(&self) -> Option<String> {
        let form = |wanted: &str| {
            let (_, form) = FORMS.into_iter().find(|(name, _)| *name == wanted)?;
            Some(format!("write `--allow={form}`"))
        };
        match &self.problem {
            GrantProblem::Unknown {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`")),
            GrantProblem::Unknown { nearest: None, .. } => {
                let forms = FORMS.map(|(_, form)| format!("`{form}`")).join(", ");
                Some(format!("what can be granted is {forms}"))
            }
            GrantProblem::NoValue { name } | GrantProblem::SurplusValue { name, .. } => form(name),
            GrantProblem::Path { path, .. } => {
                let text = path.to_string_lossy();
                if text.starts_with('~') {
                    return Some("write the path without `~`, which is not expanded".to_owned());
                }
                let (before, _) = text.rsplit_once(':')?;
                Some(format!(
                    "only `:rw` after a directory means something: `path:{before}:rw`"
                ))
            }
            GrantProblem::Variable { .. } => {
                Some("repeat the option for each variable: `--allow=env:NAME`".to_owned())
            }
            GrantProblem::Device { .. } => None,
        }
    }
}

/// Splits a list at commas; a backslash takes a comma or a backslash for itself.
pub(super) fn items(list: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        let last = items.len() - 1;
        match character {
            ',' => items.push(String::new()),
            '\\' => {
                let taken = characters.next_if(|next| matches!(next, ',' | '\\'));
                items[last].push(taken.unwrap_or('\\'));
            }
            other => items[last].push(other),
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "you may not look at it".to_owned(),
        // The path is in the message already.
        kind => kind.to_string(),
    }
}

/// Returns whether a variable can have this name, as a shell sees it.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
