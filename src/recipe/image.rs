//! One image while its configuration is read: what it was given so far, and what its settings are worth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bounds::Bounds;
use super::grants::{Access, Grants};
use super::origin::Origin;
use super::real::RealPaths;
use super::scope::{Layers, Sourced};
use super::settings::{self, Scope, Setting};
use super::target::HostFacts;
use super::values::Value;

/// The name of the top image.
pub(super) const MAIN: &str = "main";

/// The name of the image that the programs of a build are taken from.
pub(super) const TOOLS: &str = "tools";

/// The name of the image that bootable images start with unless they say otherwise.
pub(super) const DEFAULT_INITRD: &str = "default-initrd";

/// What all images of a project share.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Where the program was told to work; nothing outside it is read on a recipe's word.
    pub(super) root: PathBuf,
    /// Whether the root has what is to be built: without configuration there is only the command line.
    pub(super) has_sources: bool,
    /// Where `mkosi.conf` is: the root, or its `mkosi/`.
    pub(super) directory: PathBuf,
    pub(super) host: HostFacts,
    pub(super) bounds: Bounds,
    pub(super) real: RealPaths,
    /// What recipes may have besides.
    pub(super) grants: Grants,
    /// The caller's environment, of which recipes see what was granted.
    pub(super) environment: BTreeMap<String, String>,
}

impl Surroundings {
    /// Returns `path` as messages show it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }
}

/// One image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) layers: Layers,
    /// The directories of configuration that were read for it.
    pub(super) directories: Vec<PathBuf>,
    /// The files of settings that were read, in order.
    pub(super) files: Vec<PathBuf>,
    /// The directories and files that the command line includes.
    pub(super) included: Vec<PathBuf>,
}

impl Image {
    pub(super) fn new(name: String, layers: Layers) -> Self {
        Self {
            name,
            layers,
            directories: Vec::new(),
            files: Vec::new(),
            included: Vec::new(),
        }
    }

    /// Returns whether a real path, without links, lies where the recipe may reach.
    pub(super) fn permits(&self, real: &Path, access: Access, around: &Surroundings) -> bool {
        let is_included = || {
            let mut included = self.included.iter();
            access == Access::Read && included.any(|included| real.starts_with(included))
        };
        real.starts_with(&around.root) || is_included() || around.grants.permits(real, access)
    }

    /// Returns whether files may set a setting of this image.
    pub(super) fn may_set(&self, setting: &Setting) -> bool {
        match self.name.as_str() {
            MAIN => true,
            TOOLS => {
                let is_shared = setting.scope == Scope::Universal;
                setting.in_tools_tree && (is_shared || setting.scope.allows_subimage())
            }
            _ => setting.scope.allows_subimage(),
        }
    }

    pub(super) fn is_main(&self) -> bool {
        self.name == MAIN
    }

    /// Returns what a setting is worth now: what it was assigned, else its default.
    pub(super) fn get(&self, setting: &Setting, around: &Surroundings) -> Option<Vec<Sourced>> {
        let values = self.layers.get(setting).or_else(|| {
            let values = self.default(setting, around)?.into_iter();
            let sourced = values.map(|value| Sourced {
                value,
                origin: Origin::Default,
            });
            Some(sourced.collect())
        })?;
        Some(match setting.kind {
            // It is a word for none at all.
            _ if setting.name == "ToolsTree" => values
                .into_iter()
                .filter(|sourced| sourced.value != Value::Text("no".to_owned()))
                .collect(),
            kind if kind.is_dictionary() => latest(values),
            _ => values,
        })
    }

    /// Returns the single value of a setting.
    pub(super) fn one(&self, name: &str, around: &Surroundings) -> Option<Sourced> {
        self.get(settings::known(name), around)?.pop()
    }

    /// Returns the single value of a setting as text.
    pub(super) fn text(&self, name: &str, around: &Surroundings) -> Option<String> {
        self.one(name, around)
            .map(|sourced| sourced.value.to_string())
    }
}

/// Keeps the last value of each name, in the place of the first.
fn latest(values: Vec<Sourced>) -> Vec<Sourced> {
    let mut latest: Vec<Sourced> = Vec::new();
    // One line may have a hundred thousand names.
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for sourced in values {
        let Value::Variable { name, .. } = &sourced.value else {
            latest.push(sourced);
            continue;
        };
        match places.get(name) {
            Some(place) => latest[*place] = sourced,
            None => {
                places.insert(name.clone(), latest.len());
                latest.push(sourced);
            }
        }
    }
    latest
}
