//! One image while its configuration is read: what it was given so far, and what its settings are worth.

use std::path::{Path, PathBuf};

use super::bounds::Bounds;
use super::grants::{Access, Grants};
use super::origin::Origin;
use super::resolved::Format;
use super::scope::{Layers, Sourced};
use super::settings::{self, Setting};
use super::target::{Distribution, HostFacts};
use super::values::{self, Kind, Value};

/// The name of the top image.
pub(super) const MAIN: &str = "main";

/// What all images of a project share.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Where the program was told to work; nothing outside it is read on a recipe's word.
    pub(super) root: PathBuf,
    /// Where `mkosi.conf` is: the root, or its `mkosi/`.
    pub(super) directory: PathBuf,
    pub(super) host: HostFacts,
    pub(super) bounds: Bounds,
    /// What recipes may have besides.
    pub(super) grants: Grants,
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

    pub(super) fn is_main(&self) -> bool {
        self.name == MAIN
    }

    /// Returns what a setting is worth now: what it was assigned, else its default.
    pub(super) fn get(&self, setting: &Setting, around: &Surroundings) -> Option<Vec<Sourced>> {
        self.layers.get(setting).or_else(|| {
            let value = self.default(setting, around)?;
            Some(vec![Sourced {
                value,
                origin: Origin::Default,
            }])
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

    /// Computes a default anew each time, so that it does not matter when it was first asked for.
    fn default(&self, setting: &Setting, around: &Surroundings) -> Option<Value> {
        let text = match setting.name {
            "Distribution" => around
                .host
                .distribution
                .unwrap_or(Distribution::Custom)
                .name()
                .to_owned(),
            "Release" => self.default_release(around)?,
            "Architecture" => around.host.architecture.systemd_name().to_owned(),
            "Format" => "disk".to_owned(),
            "Output" => self.default_output(around),
            // The table says in words what it is by default.
            "OldestKernel" => return None,
            "OutputDirectory" => return Some(Value::Path(around.directory.clone())),
            "CompressOutput" => {
                let format = self.text("Format", around);
                let format = format.as_deref().and_then(Format::named);
                match format.is_some_and(Format::is_archive) {
                    true => "zstd".to_owned(),
                    false => "none".to_owned(),
                }
            }
            _ => return constant_default(setting, &around.directory),
        };
        Some(Value::Text(text))
    }

    fn default_release(&self, around: &Surroundings) -> Option<String> {
        let distribution = Distribution::named(&self.text("Distribution", around)?)?;
        if around.host.distribution == Some(distribution) && around.host.release.is_some() {
            return around.host.release.clone();
        }
        distribution.default_release().map(str::to_owned)
    }

    fn default_output(&self, around: &Surroundings) -> String {
        let name = if self.is_main() {
            self.text("ImageId", around)
                .unwrap_or_else(|| "image".to_owned())
        } else {
            self.name.clone()
        };
        match self.text("ImageVersion", around) {
            Some(version) => format!("{name}_{version}"),
            None => name,
        }
    }
}

/// Returns the default in the table, where that is a value and not a description.
fn constant_default(setting: &Setting, directory: &Path) -> Option<Value> {
    if setting.is_collection() || setting.kind == Kind::Path || setting.default.is_empty() {
        return None;
    }
    values::parse(setting.kind, setting.default, directory)
        .ok()?
        .pop()
}
