//! What the manifest of an image says.

use std::collections::BTreeSet;

use super::{Builder, Error, changelog, finish};
use crate::extension::OsRelease;
use crate::packages::dpkg::{self, InstalledPackage};
use crate::publish::{Manifest, Protected};
use crate::recipe::Recipe;
use crate::store::Trust;
use crate::tree::{EntryKind, FileTree};

/// Tens of thousands of packages; what an untrusted package puts in the list's place may be anything.
const STATUS_LIMIT_BYTES: u64 = 256 << 20;

/// What was installed, for the files that say it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    packages: Vec<InstalledPackage>,
    /// What has changed in them.
    changelog: Option<String>,
}

/// Notes what is installed in `tree` and not in the base that it was made on.
pub(super) fn list(
    recipe: &Recipe,
    tree: &FileTree,
    base: Option<&FileTree>,
) -> Result<Listed, Error> {
    let packages = packages(tree, base)?;
    let changelog = recipe
        .outputs
        .changelog
        .then(|| changelog::report(&packages, tree))
        .transpose()?;
    Ok(Listed {
        packages,
        changelog,
    })
}

fn packages(tree: &FileTree, base: Option<&FileTree>) -> Result<Vec<InstalledPackage>, Error> {
    let below = BTreeSet::from_iter(base.map(installed).transpose()?.unwrap_or_default());
    let mut packages = installed(tree)?;
    packages.retain(|package| !below.contains(package));
    Ok(packages)
}

fn installed(tree: &FileTree) -> Result<Vec<InstalledPackage>, Error> {
    let entry = tree.get(&finish::path(dpkg::STATUS));
    let Some(EntryKind::Regular(content)) = entry.map(|entry| &entry.kind) else {
        return Ok(Vec::new());
    };
    if content.size_bytes() > STATUS_LIMIT_BYTES {
        return Ok(Vec::new());
    }
    Ok(dpkg::installed(&content.read_all()?))
}

/// Returns the texts that describe an image of `recipe`, each with the name of its file.
pub(super) fn texts(
    builder: &Builder<'_>,
    recipe: &Recipe,
    listed: &Listed,
    release: Option<&OsRelease>,
) -> Vec<(String, String)> {
    let protected = Protected {
        missing: &builder.missing_protection,
        untrusted: builder.trust == Trust::Untrusted,
    };
    let mut texts = Vec::new();
    if recipe.manifest {
        let manifest = Manifest::new(recipe, &listed.packages, release, protected);
        texts.push((recipe.manifest_file_name(), manifest.json()));
    }
    if let Some(changelog) = &listed.changelog {
        texts.push((recipe.changelog_file_name(), changelog.clone()));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Entry, Timestamp};

    /// Returns a tree in which packages of these versions are installed.
    fn tree(packages: &[(&str, &str)]) -> FileTree {
        let time = Timestamp::default();
        let mut status = String::new();
        for (name, version) in packages {
            status += &format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n"
            );
        }
        let mut tree = FileTree::new(Entry::directory(time)).unwrap();
        for directory in ["var", "var/lib", "var/lib/dpkg"] {
            tree.insert(finish::path(directory), Entry::directory(time))
                .unwrap();
        }
        let kind = EntryKind::Regular(Content::from_bytes(status.as_bytes()));
        tree.insert(finish::path(dpkg::STATUS), Entry::new(kind, 0o644, time))
            .unwrap();
        tree
    }

    #[test]
    fn packages_of_the_base_are_not_those_of_the_image() {
        let base = tree(&[("dash", "1"), ("tool", "1")]);
        let image = tree(&[("dash", "1"), ("extra", "3"), ("tool", "2")]);
        let names = |base| -> Vec<String> {
            let packages = packages(&image, base).unwrap().into_iter();
            packages
                .map(|package| format!("{} {}", package.name, package.version))
                .collect()
        };
        assert_eq!(names(Some(&base)), ["extra 3", "tool 2"]);
        assert_eq!(names(None), ["dash 1", "extra 3", "tool 2"]);
    }

    #[test]
    fn an_image_without_a_list_has_no_packages() {
        let nothing = FileTree::new(Entry::directory(Timestamp::default())).unwrap();
        let base = tree(&[("dash", "1")]);
        assert_eq!(packages(&nothing, Some(&base)).unwrap(), []);
    }
}
