//! A recipe reaches its own directory; a path elsewhere counts only when the person at the command line named it in an
//! option or granted it.
//!
//! Paths are looked at once, with their links followed, when a recipe is read; builds open them later by name. Nobody
//! who is not trusted can change what a name means between the two: programs of the recipe see its directory read-only,
//! and packages see only the tree they are installed in, of which nothing is published before the last step has ended.
//! Only another build of the same recipe, which is done at that very moment, may put an output of its own in the place
//! of one that was looked at, and links *inside* trees are never followed on the host, whoever made them.

use std::path::{Path, PathBuf};

use super::error::RecipeError;
use super::findings::Findings;
use super::grants::Access;
use super::image::{Image, Surroundings};
use super::origin::Origin;
use super::real::RealPaths;
use super::resolved::Recipe;
use super::settings::{self, Setting, Support};
use super::values::{self, Kind, Value};

/// The settings whose paths are written to.
const WRITTEN: [&str; 4] = [
    "OutputDirectory",
    "CacheDirectory",
    "PackageCacheDirectory",
    "BuildDirectory",
];

/// Returns whether a path lies where the recipe may reach, links followed, or was named by a person.
pub(super) fn permits(path: &Path, origin: &Origin, image: &Image, around: &Surroundings) -> bool {
    *origin == Origin::Default
        || origin.is_personal()
        || image.permits(&around.real.of_future(path), Access::Read, around)
}

/// Reports the paths of a recipe that lead outside.
pub(super) fn check(
    recipe: &Recipe,
    image: &Image,
    around: &Surroundings,
    findings: &mut Findings,
) {
    let output = personal_output(recipe);
    for setting in settings::all().filter(|setting| is_checked(setting)) {
        for sourced in recipe.values(setting.name) {
            let path = match &sourced.value {
                Value::Path(path) => path.clone(),
                Value::Tree(tree) => tree.source.clone(),
                value @ Value::Text(_) if matches!(setting.kind, Kind::Key { .. }) => {
                    let Some(path) = key_path(value, around) else {
                        continue;
                    };
                    path
                }
                _ => continue,
            };
            if sourced.origin == Origin::Default || sourced.origin.is_personal() {
                continue;
            }
            let real = around.real.of_future(&path);
            let is_below_output = output
                .as_ref()
                .is_some_and(|output| real.starts_with(output));
            let access = match WRITTEN.contains(&setting.name) {
                true => Access::Write,
                false => Access::Read,
            };
            if is_below_output || image.permits(&real, access, around) {
                continue;
            }
            // A path of a list stays there whatever else is named on the command line.
            let option = (!setting.is_collection()).then_some(setting.long);
            findings.refuse(RecipeError::Outside {
                origin: sourced.origin.clone(),
                problem: match image.permits(&real, Access::Read, around) {
                    true => Reach::ReadOnly,
                    false if real == path => Reach::Outside,
                    false => Reach::Leads,
                },
                path,
                real,
                access,
                option,
            });
        }
    }
}

/// Returns the file that a key or certificate is read from. One that was not there when the recipe was read is text,
/// with the `..` that it was written with: those never follow a link.
pub(super) fn key_path(value: &Value, around: &Surroundings) -> Option<PathBuf> {
    match value {
        Value::Text(text) => Some(values::normal(&around.directory.join(text))),
        Value::Path(path) => Some(path.clone()),
        _ => None,
    }
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    Outside,
    /// It has links that lead outside.
    Leads,
    /// It is granted to be read, and is to be written.
    ReadOnly,
}

impl Reach {
    /// Says it of a path that leads to `real`.
    pub(super) fn of(self, real: &Path) -> String {
        match self {
            Self::Outside => "is outside the recipe's directory".to_owned(),
            Self::Leads => format!(
                "leads to `{}`, which is outside the recipe's directory",
                real.display()
            ),
            Self::ReadOnly => {
                "is outside the recipe's directory and may be read, but not written".to_owned()
            }
        }
    }
}

/// Returns whether a setting's paths are used. What is included is looked at when it is read.
fn is_checked(setting: &Setting) -> bool {
    setting.support == Support::Supported && setting.name != "Include" && setting.kind.is_path()
}

/// Returns the output directory if a person named it, for `%O` leads there.
fn personal_output(recipe: &Recipe) -> Option<PathBuf> {
    recipe
        .origin("OutputDirectory")
        .filter(|origin| origin.is_personal())
        .map(|_| real_path(&recipe.output_directory))
}

/// Returns the real path of `path`, of which the end may not exist yet.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    RealPaths::default().of_future(path)
}
