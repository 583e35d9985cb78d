//! Keeps what belongs to the person out of images: a tree of the recipe must not hold it.

use std::path::Path;

use super::Error;
use crate::beneath::{Directory, Inode};
use crate::recipe::Recipe;

/// Fails when the directory `tree`, named at `origin`, holds the recipe's key, outputs or caches.
///
/// `ExtraTrees=.` would put the signing key into the image, and `BaseTrees=.` show it to maintainer scripts.
pub(super) fn check(recipe: &Recipe, tree: &Directory, origin: &str) -> Result<(), Error> {
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
        if path.is_some_and(|path| holds(tree, path)) {
            return Err(Error::TreeHoldsPrivate {
                path: tree.host_path().into(),
                what,
                origin: origin.into(),
            });
        }
    }
    Ok(())
}

/// Tells whether `path` is `tree` or lies in it, by whatever name the tree was opened.
fn holds(tree: &Directory, path: &Path) -> bool {
    let Ok(resolved) = fs_err::canonicalize(path) else {
        return false;
    };
    resolved
        .ancestors()
        .any(|above| Inode::open(above).is_ok_and(|above| tree.is(&above)))
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::super::fixture::recipe;
    use super::check;
    use crate::beneath::Directory;

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
            let tree = Directory::open(&directory.path().join(name)).unwrap();
            let found = match check(&recipe, &tree, "mkosi.conf:1") {
                Ok(()) => None,
                Err(Error::TreeHoldsPrivate { what, .. }) => Some(what),
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(found, held, "{name}");
        }
    }
}
