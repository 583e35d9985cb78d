//! What can be wrong with a recipe. All of it is reported at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::bounds::{MOST_EXPANDED_BYTES, MOST_FILES, MOST_VALUES};
use super::grants::{Access, Grant};
use super::origin::Origin;
use super::outside::Reach;
use super::settings::Section;
use super::syntax::SyntaxProblem;
use crate::Hint;

/// One mistake, and where it was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    #[error("{origin}: {problem}")]
    Syntax {
        origin: Origin,
        problem: SyntaxProblem,
    },
    #[error("{origin}: unknown section `[{name}]`")]
    UnknownSection {
        origin: Origin,
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: unknown setting `{name}=` in `[{section}]`")]
    UnknownSetting {
        origin: Origin,
        name: String,
        section: String,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: `{former}=` is called `{present}=` now")]
    FormerName {
        origin: Origin,
        former: String,
        present: &'static str,
    },
    #[error("{origin}: `{setting}=` belongs in `[{belongs}]`, not in `[{section}]`")]
    WrongSection {
        origin: Origin,
        setting: &'static str,
        belongs: Section,
        section: String,
    },
    #[error("{origin}: `{name}=` is set for the main image only, not in image `{image}`")]
    Scope {
        origin: Origin,
        name: &'static str,
        image: String,
    },
    #[error("{origin}: `{setting}=` is `{value}`, expected {expected}")]
    Value {
        origin: Origin,
        setting: String,
        value: String,
        expected: String,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: `{setting}={value}` is not supported: {reason}")]
    Unsupported {
        origin: Origin,
        setting: &'static str,
        value: String,
        reason: String,
    },
    #[error("{origin}: {file_system} with `Compression={compression}` does not exist")]
    CompressionUnfit {
        origin: Origin,
        compression: &'static str,
        file_system: &'static str,
        /// What there is.
        choices: String,
    },
    #[error("{origin}: unknown specifier `%{letter}` in `{setting}=`")]
    UnknownSpecifier {
        origin: Origin,
        setting: String,
        letter: char,
    },
    #[error("{origin}: `%{letter}` in `{setting}=` stands for `{unset}=`, which is not set")]
    UnsetSpecifier {
        origin: Origin,
        setting: String,
        letter: char,
        unset: &'static str,
    },
    #[error("{origin}: the specifiers in `{setting}=` and before stand for more than {limit} MiB", limit = MOST_EXPANDED_BYTES >> 20)]
    ExpandedTooFar { origin: Origin, setting: String },
    #[error("{origin}: `{setting}=` and what comes before have more than {MOST_VALUES} values")]
    TooManyValues {
        origin: Origin,
        setting: &'static str,
    },
    #[error("{origin}: unknown condition `{name}=` in `[{section}]`")]
    UnknownCondition {
        origin: Origin,
        name: String,
        section: String,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: the condition `{name}=` is not supported: {reason}")]
    UnsupportedCondition {
        origin: Origin,
        name: String,
        reason: &'static str,
    },
    #[error("{origin}: `[{section}]` is not satisfied for image `{image}`")]
    Assertion {
        origin: Origin,
        section: String,
        image: String,
    },
    #[error("{origin}: `{path}` {}", .problem.of(.real))]
    Outside {
        origin: Origin,
        path: PathBuf,
        problem: Reach,
        /// Where it leads to.
        real: PathBuf,
        /// What it is wanted for.
        access: Access,
        /// The option that names another path instead.
        option: Option<&'static str>,
    },
    #[error("{origin}: `{path}` is outside the recipe's directory")]
    IncludeOutside {
        origin: Origin,
        path: PathBuf,
        grant: Grant,
    },
    #[error("{origin}: `{name}={path}` asks for a path outside the recipe's directory")]
    ConditionOutside {
        origin: Origin,
        name: String,
        path: PathBuf,
        grant: Grant,
    },
    #[error(
        "{origin}: `Environment={name}` takes a variable of the environment the build is started in"
    )]
    CallersVariable { origin: Origin, name: String },
    #[error("{origin}: `Environment={name}` is not set in the environment the build is started in")]
    UnsetVariable { origin: Origin, name: String },
    #[error(
        "{origin}: the path `{path}` in `{setting}=` takes `${name}` of the environment the build is started in"
    )]
    PathVariable {
        origin: Origin,
        setting: &'static str,
        path: String,
        name: String,
    },
    #[error("{origin}: others may open `{path}`, which is to be secret: its mode is {mode:04o}")]
    OpenSecret {
        origin: Origin,
        path: PathBuf,
        mode: u32,
    },
    #[error("{origin}: `{setting}={pattern}` matches nothing")]
    NoMatch {
        origin: Origin,
        setting: &'static str,
        pattern: String,
    },
    #[error("{origin}: `&{letter}` in `{setting}=` stands for nothing")]
    UnknownDelayedSpecifier {
        origin: Origin,
        setting: &'static str,
        letter: char,
    },
    #[error("{origin}: `{setting}=yes` asks for the network")]
    NetworkRequest {
        origin: Origin,
        setting: &'static str,
    },
    #[error("{origin}: `{setting}={value}` is about signing with your own key")]
    SignRequest {
        origin: Origin,
        setting: &'static str,
        value: String,
    },
    #[error("{origin}: `{setting}={value}` names a program to run with your own key")]
    SignTool {
        origin: Origin,
        setting: &'static str,
        value: String,
    },
    #[error("{origin}: nothing to include at `{path}`")]
    IncludeMissing { origin: Origin, path: PathBuf },
    #[error("{origin}: profile `{name}` does not exist")]
    MissingProfile {
        origin: Origin,
        name: String,
        nearest: Option<String>,
    },
    #[error("{origin}: running it for `{setting}=`")]
    Program {
        origin: Origin,
        setting: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{origin}: nothing reads this file")]
    UnusedFile {
        origin: Origin,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: it looks like a copy that an editor left, and is not read")]
    BackupFile { origin: Origin },
    #[error("{origin}: only directories and files that end with `.conf` are read here")]
    UnusedEntry { origin: Origin },
    #[error("{origin}: the script `{path}` is not executable")]
    NotExecutable { origin: Origin, path: PathBuf },
    #[error("the programs of the recipe name other private files each time they are run")]
    UnsettledPrograms,
    #[error("{origin}: image `{image}` depends on `{name}`, which does not exist")]
    UnknownImage {
        origin: Origin,
        image: String,
        name: String,
        nearest: Option<String>,
    },
    #[error("{origin}: images depend on each other in a circle: {}", .circle.join(" -> "))]
    Circle { origin: Origin, circle: Vec<String> },
    #[error("{origin}: `{name}` cannot be the name of an image")]
    ImageName { origin: Origin, name: String },
    #[error("images `{first}` and `{second}` both write `{output}`")]
    SameOutput {
        first: String,
        second: String,
        output: String,
    },
    #[error("`{setting}=` is not set for image `{image}`")]
    Unset {
        setting: &'static str,
        image: String,
        option: &'static str,
    },
    #[error("`{path}` is included too deep, perhaps in a circle")]
    TooDeep { path: PathBuf },
    #[error(
        "more than {MOST_FILES} files of configuration are read, of which `{path}` is the first too many"
    )]
    TooManyFiles { path: PathBuf },
    #[error("{path}: the definition does not say what partition it is of")]
    DefinitionWithoutType { path: PathBuf },
    #[error("no configuration in `{directory}`")]
    NoConfiguration { directory: PathBuf },
    #[error("the directory `{directory}` does not exist")]
    NoDirectory { directory: PathBuf },
    #[error("`{directory}` is not a directory")]
    NotDirectory { directory: PathBuf },
    #[error("reading the recipe in `{directory}`")]
    ReadDirectory {
        directory: PathBuf,
        source: std::io::Error,
    },
    #[error("reading `{path}`")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl RecipeError {
    /// Returns where the mistake was made; `None` when it is nobody's line.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Syntax { origin, .. }
            | Self::UnknownSection { origin, .. }
            | Self::UnknownSetting { origin, .. }
            | Self::FormerName { origin, .. }
            | Self::UnusedFile { origin, .. }
            | Self::BackupFile { origin }
            | Self::UnusedEntry { origin }
            | Self::NotExecutable { origin, .. }
            | Self::WrongSection { origin, .. }
            | Self::Scope { origin, .. }
            | Self::Value { origin, .. }
            | Self::Unsupported { origin, .. }
            | Self::CompressionUnfit { origin, .. }
            | Self::UnknownSpecifier { origin, .. }
            | Self::ExpandedTooFar { origin, .. }
            | Self::TooManyValues { origin, .. }
            | Self::UnsetSpecifier { origin, .. }
            | Self::UnknownCondition { origin, .. }
            | Self::UnsupportedCondition { origin, .. }
            | Self::Assertion { origin, .. }
            | Self::Outside { origin, .. }
            | Self::IncludeOutside { origin, .. }
            | Self::ConditionOutside { origin, .. }
            | Self::CallersVariable { origin, .. }
            | Self::UnsetVariable { origin, .. }
            | Self::PathVariable { origin, .. }
            | Self::OpenSecret { origin, .. }
            | Self::NoMatch { origin, .. }
            | Self::UnknownDelayedSpecifier { origin, .. }
            | Self::NetworkRequest { origin, .. }
            | Self::SignRequest { origin, .. }
            | Self::SignTool { origin, .. }
            | Self::IncludeMissing { origin, .. }
            | Self::MissingProfile { origin, .. }
            | Self::Program { origin, .. }
            | Self::UnknownImage { origin, .. }
            | Self::Circle { origin, .. }
            | Self::ImageName { origin, .. } => Some(origin),
            _ => None,
        }
    }
}

impl RecipeError {
    /// Returns what a person probably meant.
    pub(super) fn meant(&self) -> Option<String> {
        let name = match self {
            Self::UnknownSection { nearest, .. } => format!("[{}]", (*nearest)?),
            Self::UnknownSetting { nearest, .. } | Self::UnknownCondition { nearest, .. } => {
                format!("{}=", (*nearest)?)
            }
            Self::MissingProfile { nearest, .. } | Self::UnknownImage { nearest, .. } => {
                nearest.clone()?
            }
            Self::Value { nearest, .. } | Self::UnusedFile { nearest, .. } => {
                (*nearest)?.to_owned()
            }
            _ => return None,
        };
        Some(format!("did you mean `{name}`"))
    }
}

impl Hint for RecipeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Scope { name, .. } => Some(format!(
                "set `{name}=` in the main image's `mkosi.conf`, from where it reaches all images"
            )),
            Self::NotExecutable { path, .. } => Some(format!("run `chmod +x {}`", path.display())),
            Self::UnknownSpecifier { .. } => Some("write `%%` for a percent sign".to_owned()),
            Self::Outside {
                real,
                access,
                option,
                ..
            } => {
                // What does not exist cannot be granted.
                let make = match *access == Access::Write && !real.exists() {
                    true => format!("make `{}` and ", real.display()),
                    false => String::new(),
                };
                let grant = Grant::Path {
                    path: real.clone(),
                    access: *access,
                };
                let option = option.map(|option| format!(", or name a path with `--{option}`"));
                Some(format!(
                    "to permit it, {make}pass `{}`{}",
                    grant.flag(),
                    option.unwrap_or_default()
                ))
            }
            Self::IncludeOutside { grant, .. } | Self::ConditionOutside { grant, .. } => {
                Some(permitted_by(grant))
            }
            Self::CallersVariable { name, .. } => Some(format!(
                "{}, or give it a value with `--environment={name}=VALUE`",
                permitted_by(&Grant::Variable(name.clone()))
            )),
            Self::PathVariable { name, .. } => Some(permitted_by(&Grant::Variable(name.clone()))),
            Self::OpenSecret { path, mode, .. } => {
                Some(format!("run `chmod {:o} {}`", mode & 0o770, path.display()))
            }
            Self::NetworkRequest { .. } => Some(permitted_by(&Grant::Network)),
            Self::SignRequest { .. } => Some(permitted_by(&Grant::Sign)),
            Self::SignTool { value, .. } => Some(format!(
                "no recipe chooses it; to use it, pass `--openpgp-tool={value}`"
            )),
            Self::SameOutput { .. } => Some("give one of them another `Output=`".to_owned()),
            Self::Unset { option, .. } => {
                Some(format!("add it to `mkosi.conf`, or pass `--{option}`"))
            }
            Self::CompressionUnfit {
                compression,
                file_system,
                choices,
                ..
            } => Some(format!(
                "{file_system} has {choices}; for `{compression}` choose `FileSystem={}`",
                match *file_system {
                    "erofs" => "squashfs",
                    _ => "erofs",
                }
            )),
            Self::NoConfiguration { .. } | Self::NoDirectory { .. } | Self::NotDirectory { .. } => {
                Some("name the directory that has a `mkosi.conf` with `-C`".to_owned())
            }
            _ => self.meant(),
        }
    }
}

fn permitted_by(grant: &Grant) -> String {
    format!("to permit it, pass `{}`", grant.flag())
}

/// Everything that keeps a recipe from being read or built, in the order of the lines of each file.
#[derive(Debug)]
pub struct RecipeErrors {
    errors: Vec<RecipeError>,
    warnings: Vec<RecipeError>,
}

impl RecipeErrors {
    pub(super) fn new(errors: Vec<RecipeError>, warnings: Vec<RecipeError>) -> Self {
        let mut found = Self { errors, warnings };
        in_order_of_lines(&mut found.errors, |error| error);
        in_order_of_lines(&mut found.warnings, |warning| warning);
        found
    }

    /// Makes mistakes of the warnings.
    pub fn strict(self) -> Self {
        let errors = self.errors.into_iter().chain(self.warnings);
        Self::new(errors.collect(), Vec::new())
    }

    /// Returns what was found besides, which would not have stopped anything.
    pub fn warnings(&self) -> &[RecipeError] {
        &self.warnings
    }

    /// Returns the mistakes, at least one.
    pub fn errors(&self) -> &[RecipeError] {
        &self.errors
    }

    /// Gives the mistakes away, at least one, and the warnings.
    pub fn into_parts(self) -> (Vec<RecipeError>, Vec<RecipeError>) {
        (self.errors, self.warnings)
    }
}

impl From<RecipeError> for RecipeErrors {
    fn from(error: RecipeError) -> Self {
        Self::new(vec![error], Vec::new())
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeErrors {
    /// The cause of the only mistake; several mistakes have several causes, which `errors` gives.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.errors.as_slice() {
            [error] => error.source(),
            _ => None,
        }
    }
}

impl Hint for RecipeErrors {
    fn hint(&self) -> Option<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in self.errors.iter().filter_map(Hint::hint) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        (!hints.is_empty()).then(|| hints.join("; "))
    }
}

/// Puts the findings of one file, which several passes have found, in the order of its lines.
pub(crate) fn in_order_of_lines<F>(findings: &mut [F], error: impl Fn(&F) -> &RecipeError) {
    let place = |finding: &F| {
        let place = error(finding).origin().and_then(Origin::place)?.clone();
        Some(place)
    };
    // A file comes where something was found in it first, and what is in no file comes where it is.
    let mut first = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        if let Some(place) = place(finding) {
            first.entry(place.path().to_owned()).or_insert(index);
        }
    }
    let mut index = 0;
    findings.sort_by_cached_key(|finding| {
        index += 1;
        match place(finding) {
            Some(place) => (first[place.path()], place.line(), place.range().start),
            None => (index - 1, 0, 0),
        }
    });
}
