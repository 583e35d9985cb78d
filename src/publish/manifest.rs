//! The manifest of an image: what it is made of, in the JSON that mkosi writes (`ManifestFormat=json`), and under what
//! protection it was built.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::extension::OsRelease;
use crate::packages::dpkg::InstalledPackage;
use crate::recipe::Recipe;

/// mkosi's version of the format.
const VERSION: u32 = 1;

/// What an image was built with.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    manifest_version: u32,
    config: Configuration<'a>,
    packages: Vec<Package<'a>>,
    /// The fields of the extension-release file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extension: BTreeMap<&'a str, &'a str>,
    overcoat: Overcoat<'a>,
}

#[derive(Debug, Serialize)]
struct Configuration<'a> {
    name: &'a str,
    distribution: &'a str,
    architecture: &'a str,
    output_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    release: &'a str,
}

#[derive(Debug, Serialize)]
struct Package<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    version: &'a str,
    architecture: &'a str,
}

/// What mkosi does not know.
#[derive(Debug, Serialize)]
struct Overcoat<'a> {
    version: &'static str,
    /// What the sandbox's promises need and the kernel lacked, when a person let the build go on without it.
    missing_protection: &'a [String],
    untrusted: bool,
    /// How much the files of packages take, by their makers' estimate.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    installed_kib: BTreeMap<&'a str, u64>,
}

/// The protection under which an image was built.
#[derive(Clone, Copy, Debug)]
pub struct Protected<'a> {
    pub missing: &'a [String],
    pub untrusted: bool,
}

impl<'a> Manifest<'a> {
    /// Describes the image of `recipe`, in which `packages` were installed. `release` is its extension-release file.
    pub fn new(
        recipe: &'a Recipe,
        packages: &'a [InstalledPackage],
        release: Option<&'a OsRelease>,
        protected: Protected<'a>,
    ) -> Self {
        Self {
            manifest_version: VERSION,
            config: Configuration {
                name: recipe.image_id.as_deref().unwrap_or(&recipe.output),
                distribution: recipe.distribution.name(),
                architecture: recipe.architecture.systemd_name(),
                output_format: recipe.format.name(),
                version: recipe.image_version.as_deref(),
                release: &recipe.release,
            },
            packages: packages
                .iter()
                .map(|package| Package {
                    kind: "deb",
                    name: &package.name,
                    version: &package.version,
                    architecture: &package.architecture,
                })
                .collect(),
            extension: release.into_iter().flat_map(OsRelease::iter).collect(),
            overcoat: Overcoat {
                version: env!("CARGO_PKG_VERSION"),
                missing_protection: protected.missing,
                untrusted: protected.untrusted,
                installed_kib: packages
                    .iter()
                    .map(|package| (package.name.as_str(), package.installed_kib))
                    .collect(),
            },
        }
    }

    /// Returns it as the text of a file.
    ///
    /// # Panics
    /// Never: it holds nothing but text and numbers.
    pub fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("texts and numbers can be serialised") + "\n"
    }
}
