//! What an image is configured to be, whether it can be built or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::image::MAIN;
use super::origin::Origin;
use super::resolved::Recipe;
use super::scope::{Layers, Sourced};
use super::settings;
use super::values::Value;

/// The settings of an image, and what they were read from.
#[derive(Clone, Debug)]
pub struct ConfiguredImage {
    /// The name in `mkosi.images/`, or `main`.
    pub name: String,
    /// The files of settings that were read for it, in order.
    pub files: Vec<PathBuf>,
    /// The name that its output would have.
    pub output_file_name: String,
    values: BTreeMap<&'static str, Vec<Sourced>>,
    /// The values that count no more.
    overridden: BTreeMap<&'static str, Vec<Sourced>>,
}

impl ConfiguredImage {
    /// Takes the settings of a recipe, which need not be one that can be built.
    pub(super) fn new(recipe: &Recipe, files: Vec<PathBuf>) -> Self {
        let mut configured = Self {
            name: recipe.name.clone(),
            files,
            output_file_name: recipe.output_file_name(),
            values: recipe.values.clone(),
            overridden: BTreeMap::new(),
        };
        configured.fill_in(recipe);
        configured
    }

    /// Adds the values that others took the place of.
    pub(super) fn with_overridden(mut self, layers: &Layers) -> Self {
        let found = settings::all().map(|setting| (setting.name, layers.overridden(setting)));
        self.overridden = found.filter(|(_, values)| !values.is_empty()).collect();
        self
    }

    /// Adds what is known only after all files were read.
    fn fill_in(&mut self, recipe: &Recipe) {
        let computed = |value: Value| Sourced {
            value,
            origin: Origin::Default,
        };
        if !self.values.contains_key("Dependencies") {
            let names = recipe.dependencies.iter();
            let dependencies = names.map(|name| computed(Value::Text(name.clone())));
            self.values.insert("Dependencies", dependencies.collect());
        }
        // What `auto` stands for here.
        if recipe.format.is_disk_image()
            && let Some(compression) = self.values.get_mut("Compression")
        {
            for sourced in compression {
                sourced.value = Value::Text(recipe.payload.compression().name().to_owned());
            }
        }
    }

    /// Returns whether it is the image that all others are built for.
    pub fn is_main(&self) -> bool {
        self.name == MAIN
    }

    /// Returns whether a setting has a value, be it an empty one.
    pub fn is_set(&self, setting: &str) -> bool {
        self.values.contains_key(setting)
    }

    /// Puts the initrd that is made for this image, the output of another one, in the place of the word for it.
    pub(super) fn start_with(&mut self, initrd: &Path, image: &str) {
        for sourced in self.values.entry("Initrds").or_default() {
            if sourced.value == Value::Text("default".to_owned()) {
                sourced.value = Value::Path(initrd.to_owned());
            }
        }
        let dependencies = self.values.entry("Dependencies").or_default();
        dependencies.push(Sourced {
            value: Value::Text(image.to_owned()),
            origin: Origin::Default,
        });
    }

    /// Returns the values of a setting, each with where it was written; none when it has none.
    pub fn values(&self, setting: &str) -> &[Sourced] {
        self.values.get(setting).map_or(&[], Vec::as_slice)
    }

    /// Returns the values that a setting was assigned and that others took the place of.
    pub fn overridden(&self, setting: &str) -> &[Sourced] {
        self.overridden.get(setting).map_or(&[], Vec::as_slice)
    }
}
