//! Keeps what belongs to the person out of images: a tree of the recipe must not hold it.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::beneath::{Directory, Inode};
use crate::plan::ImagePlan;
use crate::recipe::{Recipe, Value};

/// Settings that name files with secrets, besides the key that signs images.
const SECRETS: [&str; 4] = [
    "Passphrase",
    "SecureBootKey",
    "SignExpectedPcrKey",
    "VerityKey",
];

/// Fails when the directory `tree`, named at `origin`, holds the recipe's keys, outputs or caches.
///
/// `ExtraTrees=.` would put the signing key into the image, and `BaseTrees=.` show it to maintainer scripts.
pub(super) fn check(recipe: &Recipe, tree: &Directory, origin: &str) -> Result<(), Error> {
    let places = [
        (Some(recipe.output_directory.as_path()), "the outputs"),
        (recipe.cache_directory.as_deref(), "the cache"),
        (
            recipe.package_cache_directory.as_deref(),
            "the package cache",
        ),
    ];
    let places = places
        .into_iter()
        .filter_map(|(path, what)| Some((path?, what)));
    for (path, what) in secrets(recipe).chain(places) {
        if holds(tree, path) {
            return Err(Error::TreeHoldsPrivate {
                path: tree.host_path().into(),
                what,
                origin: origin.into(),
            });
        }
    }
    Ok(())
}

/// Fails when the file at `path`, named at `origin`, is one of the recipe's keys, by whatever name.
pub(super) fn check_file(recipe: &Recipe, path: &Path, origin: &str) -> Result<(), Error> {
    let number = |path: &Path| {
        let metadata = fs_err::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let found = number(path);
    match secrets(recipe).find(|(secret, _)| found.is_some() && number(secret) == found) {
        Some((_, what)) => Err(Error::TreeHoldsPrivate {
            path: path.into(),
            what,
            origin: origin.into(),
        }),
        None => Ok(()),
    }
}

fn secrets(recipe: &Recipe) -> impl Iterator<Item = (&Path, &'static str)> {
    let signing = recipe
        .verity_key
        .as_deref()
        .map(|path| (path, "the signing key"));
    let others = SECRETS.iter().flat_map(|setting| {
        let values = recipe.values(setting).iter();
        values.filter_map(|sourced| match &sourced.value {
            Value::Path(path) => Some((path.as_path(), "a key")),
            _ => None,
        })
    });
    signing.into_iter().chain(others)
}

/// Returns what no script of a run may see, though the recipe need not name it: outputs that lie among the sources, and
/// stores.
pub(super) fn of_run(
    plans: &[&ImagePlan<'_>],
    personal: Option<&Path>,
    store: &Path,
) -> BTreeSet<PathBuf> {
    let mut private: BTreeSet<PathBuf> = personal
        .into_iter()
        .chain([store])
        .map(Into::into)
        .collect();
    for plan in plans {
        let recipe = plan.recipe;
        let link = recipe.output_link_name().map(str::to_owned);
        let names = { recipe.artifact_names().into_iter().chain(link) }
            .chain([recipe.output_file_name(), recipe.checksums_file_name()]);
        private.extend(names.map(|name| recipe.output_directory.join(name)));
        private.insert(recipe.output_directory.join(crate::publish::HIDDEN));
    }
    private
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
    use super::{check, check_file};
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

    #[test]
    fn a_key_is_no_tree_by_any_of_its_names() {
        let text = "[Output]\nFormat=directory\n[Validation]\nVerityKey=mine.key\n";
        let (directory, recipe) = recipe(text);
        let place = |name: &str| directory.path().join(name);
        fs_err::write(place("mine.key"), "").unwrap();
        fs_err::write(place("other"), "").unwrap();
        fs_err::hard_link(place("mine.key"), place("hard")).unwrap();
        fs_err::os::unix::fs::symlink("mine.key", place("soft")).unwrap();
        for (name, is_key) in [
            ("mine.key", true),
            ("hard", true),
            ("soft", true),
            ("other", false),
        ] {
            let refused = check_file(&recipe, &place(name), "mkosi.conf:1");
            assert_eq!(
                matches!(refused, Err(Error::TreeHoldsPrivate { .. })),
                is_key,
                "{name}"
            );
        }
    }
}
