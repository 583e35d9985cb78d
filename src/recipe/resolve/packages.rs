//! Where packages come from, from the settings of `[Distribution]`, `[Content]` and `[Build]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::error::RecipeError;
use super::super::findings::Findings;
use super::super::grants::Access;
use super::super::names;
use super::super::outside::{self, Reach};
use super::super::resolved::PackageSources;
use super::super::values;
use super::Resolver;

/// The settings that name packages to install.
const INSTALLED: [&str; 3] = ["Packages", "BuildPackages", "VolatilePackages"];

impl Resolver<'_> {
    pub(super) fn package_sources(&self, findings: &mut Findings) -> PackageSources {
        PackageSources {
            build_packages: self.packages("BuildPackages"),
            volatile_packages: self.packages("VolatilePackages"),
            removed_packages: self.packages("RemovePackages"),
            snapshot: self.text("Snapshot"),
            directories: self.paths("PackageDirectories"),
            volatile_directories: self.paths("VolatilePackageDirectories"),
            sandbox_trees: self.trees("SandboxTrees"),
            files: self.package_files(findings),
        }
    }

    /// Returns the packages that a setting names, sorted, each once.
    pub(super) fn packages(&self, name: &str) -> Vec<String> {
        let mut packages = self.texts(name);
        packages.sort_by_cached_key(|package| names::package_order(package));
        packages.dedup();
        packages
    }

    /// Returns the package files that are named among packages, and reports those that the recipe may not reach.
    fn package_files(&self, findings: &mut Findings) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        for setting in INSTALLED {
            for sourced in self.all(setting) {
                let text = sourced.value.to_string();
                if !names::is_package_file(&text) {
                    continue;
                }
                // What `..` follows is no link, as in every path of a recipe.
                let path = values::normal(&self.around.directory.join(&text));
                if outside::permits(&path, &sourced.origin, self.image, self.around) {
                    files.insert(text, path);
                    continue;
                }
                let real = self.around.real.of_future(&path);
                findings.refuse(RecipeError::Outside {
                    origin: sourced.origin,
                    problem: if real == path {
                        Reach::Outside
                    } else {
                        Reach::Leads
                    },
                    path,
                    real,
                    access: Access::Read,
                    option: None,
                });
            }
        }
        files
    }
}
