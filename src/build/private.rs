//! Keeps what belongs to the person out of images: a tree of the recipe must not hold it.

use std::path::Path;

use super::Error;
use crate::recipe::Recipe;

/// Fails when the directory `tree`, named at `origin`, holds the recipe's key, outputs or caches.
///
/// `ExtraTrees=.` would put the signing key into the image, and `BaseTrees=.` show it to maintainer scripts.
pub(super) fn check(recipe: &Recipe, tree: &Path, origin: &str) -> Result<(), Error> {
    let Ok(resolved) = fs_err::canonicalize(tree) else {
        return Ok(());
    };
    let private = [
        (recipe.verity_key.as_deref(), "the signing key"),
        (Some(recipe.output_directory.as_path()), "the outputs"),
        (recipe.cache_directory.as_deref(), "the cache"),
        (
            recipe.package_cache_directory.as_deref(),
            "the package cache",
        ),
    ];
    for (path, what) in private {
        let inside = path
            .and_then(|path| fs_err::canonicalize(path).ok())
            .is_some_and(|path| path.starts_with(&resolved));
        if inside {
            return Err(Error::TreeHoldsPrivate {
                path: tree.into(),
                what,
                origin: origin.into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::super::fixture::recipe;
    use super::check;

    #[test]
    fn a_tree_with_the_key_or_the_outputs_is_refused() {
        let text = "[Output]\nFormat=directory\nOutputDirectory=out\n[Validation]\nVerityKey=keys/mine.key\n";
        let (directory, recipe) = recipe(text);
        for name in ["keys", "out", "tree"] {
            fs_err::create_dir(directory.path().join(name)).unwrap();
        }
        fs_err::write(directory.path().join("keys/mine.key"), "").unwrap();
        for (name, held) in [
            (".", Some("the signing key")),
            ("keys", Some("the signing key")),
            ("out", Some("the outputs")),
            ("tree", None),
        ] {
            let found = match check(&recipe, &directory.path().join(name), "mkosi.conf:1") {
                Ok(()) => None,
                Err(Error::TreeHoldsPrivate { what, .. }) => Some(what),
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(found, held, "{name}");
        }
    }
}
