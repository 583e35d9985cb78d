//! Where packages come from, from the settings of `[Distribution]`, `[Content]` and `[Build]`.

use super::super::names;
use super::super::resolved::PackageSources;
use super::Resolver;

impl Resolver<'_> {
    pub(super) fn package_sources(&self) -> PackageSources {
        PackageSources {
            build_packages: self.packages("BuildPackages"),
            volatile_packages: self.packages("VolatilePackages"),
        }
    }

    /// Returns the packages that a setting names, sorted, each once.
    pub(super) fn packages(&self, name: &str) -> Vec<String> {
        let mut packages = self.texts(name);
        packages.sort_by_cached_key(|package| names::package_order(package));
        packages.dedup();
        packages
    }
}
