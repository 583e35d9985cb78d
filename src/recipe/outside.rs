//! A recipe reaches its own directory; a path elsewhere counts only when a person named it on the command line.

use std::path::{Path, PathBuf};

use super::error::{Findings, RecipeError};
use super::image::Image;
use super::origin::Origin;
use super::resolved::Recipe;
use super::settings;
use super::values::Value;

/// The settings whose paths are read or written while an image is built.
const PATHS: [&str; 8] = [
    "OutputDirectory",
    "CacheDirectory",
    "PackageCacheDirectory",
    "BaseTrees",
    "ExtraTrees",
    "EnvironmentFiles",
    "VerityKey",
    "VerityCertificate",
];

/// Returns whether a path lies in the recipe's directory, links followed, or was named by a person.
pub(super) fn permits(path: &Path, origin: &Origin, image: &Image) -> bool {
    *origin == Origin::Default || origin.is_personal() || image.permits(&real_path(path))
}

/// Reports the paths of a recipe that lead outside.
pub(super) fn check(recipe: &Recipe, image: &Image, findings: &mut Findings) {
    let granted = granted(recipe);
    for name in PATHS {
        for sourced in recipe.values(name) {
            let path = match &sourced.value {
                Value::Path(path) => path,
                Value::Tree(tree) => &tree.source,
                _ => continue,
            };
            let is_granted = || {
                granted
                    .iter()
                    .any(|directory| real_path(path).starts_with(directory))
            };
            if !permits(path, &sourced.origin, image) && !is_granted() {
                findings.error(RecipeError::Outside {
                    origin: sourced.origin.clone(),
                    path: path.clone(),
                    option: settings::known(name).long,
                });
            }
        }
    }
}

/// Returns the output directory if a person named it, for `%O` leads there.
fn granted(recipe: &Recipe) -> Option<PathBuf> {
    recipe
        .origin("OutputDirectory")
        .filter(|origin| origin.is_personal())
        .map(|_| real_path(&recipe.output_directory))
}

/// Returns the real path of `path`, of which the end may not exist yet.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut present = path;
    loop {
        if let Ok(mut real) = fs_err::canonicalize(present) {
            real.extend(missing.iter().rev());
            return real;
        }
        let (Some(parent), Some(name)) = (present.parent(), present.file_name()) else {
            return path.to_owned();
        };
        missing.push(name);
        present = parent;
    }
}
