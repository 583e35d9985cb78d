//! Removes what an image is not to have. Nothing on disk changes.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Error;
use super::finish::path;
use crate::recipe::{Feature, Format, Recipe};
use crate::tree::{EntryKind, FileTree};

/// Package managers: the program in the image, and what it keeps there.
const PACKAGE_DATABASES: [(&str, &[&str]); 2] = [
    ("usr/bin/dpkg", &["var/lib/dpkg"]),
    ("usr/bin/apt-get", &["var/lib/apt", "var/cache/apt"]),
];

/// Removes package databases that nothing in the image uses, and the files that the recipe names.
pub(super) fn remove_files(mut tree: FileTree, recipe: &Recipe) -> Result<FileTree, Error> {
    for (program, databases) in PACKAGE_DATABASES {
        let remove = match recipe.clean_package_metadata {
            Feature::Enabled => true,
            Feature::Disabled => false,
            Feature::Auto => {
                recipe.format != Format::Directory && tree.get(&path(program)).is_none()
            }
        };
        if remove {
            databases
                .iter()
                .for_each(|database| tree.remove(&path(database)));
        }
    }
    if recipe.remove_files.is_empty() {
        return Ok(tree);
    }
    let patterns = patterns(&tree, recipe)?;
    Ok(tree.retain(|path, _| !patterns.is_match(path.as_path())))
}

/// Compiles the patterns of `RemoveFiles=`. They are matched in linear time, whatever a recipe writes.
fn patterns(tree: &FileTree, recipe: &Recipe) -> Result<GlobSet, Error> {
    let invalid = |pattern: &str, source| Error::InvalidPattern {
        pattern: pattern.into(),
        origin: recipe.origin_of("RemoveFiles", pattern),
        source,
    };
    let mut set = GlobSetBuilder::new();
    for pattern in &recipe.remove_files {
        let glob = GlobBuilder::new(&below_links(tree, pattern))
            .literal_separator(true)
            .backslash_escape(false)
            .build();
        set.add(glob.map_err(|source| invalid(pattern, source))?);
    }
    set.build()
        .map_err(|source| invalid(&recipe.remove_files.join(" "), source))
}

/// Returns a pattern relative to the root, its first component followed where it is a link such as `lib` to `usr/lib`.
fn below_links(tree: &FileTree, pattern: &str) -> String {
    let pattern = pattern.trim_start_matches('/');
    let (first, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
    let target = crate::tree::TreePath::new(first)
        .ok()
        .and_then(|first| tree.get(&first))
        .and_then(|entry| match &entry.kind {
            EntryKind::Symlink(target) => std::str::from_utf8(target).ok(),
            _ => None,
        });
    match target {
        Some(target) if !rest.is_empty() => {
            format!("{}/{rest}", target.trim_matches('/'))
        }
        _ => pattern.trim_end_matches('/').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{names, path, recipe, tree};
    use super::{Error, remove_files};

    fn removed(patterns: &str, before: &[&str]) -> Vec<String> {
        let text = format!("[Output]\nFormat=directory\n[Content]\nRemoveFiles={patterns}\n");
        let (_directory, recipe) = recipe(&text);
        names(&remove_files(tree(before), &recipe).unwrap())
    }

    #[test]
    fn package_databases_go_by_setting_format_and_package_manager() {
        let database = [
            "var/",
            "var/lib/",
            "var/lib/apt/",
            "var/lib/dpkg/",
            "var/lib/dpkg/status",
        ];
        let with_dpkg = [&["usr/", "usr/bin/", "usr/bin/dpkg"][..], &database].concat();
        for (settings, before, dpkg_stays, apt_stays) in [
            ("Format=directory\n[Content]\n", &database[..], true, true),
            ("Format=cpio\n[Content]\n", &database, false, false),
            ("Format=cpio\n[Content]\n", &with_dpkg, true, false),
            (
                "Format=cpio\n[Content]\nCleanPackageMetadata=no\n",
                &database,
                true,
                true,
            ),
            (
                "Format=directory\n[Content]\nCleanPackageMetadata=yes\n",
                &with_dpkg,
                false,
                false,
            ),
        ] {
            let (_directory, recipe) = recipe(&format!("[Output]\n{settings}"));
            let cleaned = remove_files(tree(before), &recipe).unwrap();
            let stays = |name| cleaned.get(&path(name)).is_some();
            assert_eq!(stays("var/lib/dpkg/status"), dpkg_stays, "{settings}");
            assert_eq!(stays("var/lib/apt"), apt_stays, "{settings}");
        }
    }

    #[test]
    fn files_named_by_the_recipe_are_removed_with_all_below() {
        let before = [
            "usr/",
            "usr/lib/",
            "usr/lib/x.so",
            "usr/share/",
            "usr/share/doc/",
            "usr/share/doc/y",
        ];
        let left = removed("/usr/share/d?c usr/*/x.so", &before);
        assert_eq!(left, ["usr/", "usr/lib/", "usr/share/"]);
    }

    #[test]
    fn a_star_stays_within_one_component_and_two_do_not() {
        let before = ["a/", "a/b/", "a/b/c", "c"];
        assert_eq!(removed("a/*", &before), ["a/", "c"]);
        assert_eq!(removed("*/c", &before), ["a/", "a/b/", "a/b/c", "c"]);
        assert_eq!(removed("**/c", &before), ["a/", "a/b/"]);
    }

    #[test]
    fn patterns_below_a_merged_directory_follow_its_link() {
        let before = ["lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/x"];
        assert_eq!(
            removed("/lib/x", &before),
            ["lib -> usr/lib", "usr/", "usr/lib/"]
        );
        assert_eq!(removed("/lib", &before), ["usr/", "usr/lib/", "usr/lib/x"]);
    }

    #[test]
    fn patterns_made_to_be_slow_are_not() {
        let name = "a".repeat(200);
        assert_eq!(
            removed("*a*a*a*a*a*a*a*a*a*a*a*a*b", &[&name]),
            [name.as_str()]
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_named_with_its_line() {
        let (_directory, recipe) =
            recipe("[Output]\nFormat=directory\n[Content]\nRemoveFiles=a[\n");
        match remove_files(tree(&[]), &recipe) {
            Err(Error::InvalidPattern {
                pattern, origin, ..
            }) => {
                assert_eq!((pattern.as_str(), origin.as_str()), ("a[", "mkosi.conf:4"));
            }
            other => panic!("{other:?}"),
        }
    }
}
