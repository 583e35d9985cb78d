//! What an image is configured to be, whether it can be built or not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::origin::Origin;
use super::resolved::Recipe;
use super::scope::Sourced;
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
}

impl ConfiguredImage {
    /// Takes the settings of a recipe, which need not be one that can be built.
    pub(super) fn new(recipe: &Recipe, files: Vec<PathBuf>) -> Self {
        let mut configured = Self {
            name: recipe.name.clone(),
            files,
            output_file_name: recipe.output_file_name(),
            values: recipe.values.clone(),
        };
        configured.fill_in(recipe);
        configured
    }

    /// Adds what is known only after all files were read.
    fn fill_in(&mut self, recipe: &Recipe) {
        let computed = |value: Value| Sourced {
            value,
            origin: Origin::Default,
        };
        if let Some(packages) = self.values.get_mut("Packages") {
            let place = |sourced: &Sourced| {
                let package = sourced.value.to_string();
                recipe.packages.iter().position(|other| *other == package)
            };
            packages.sort_by_key(place);
            packages.dedup_by_key(|sourced| sourced.value.to_string());
        }
        if !self.values.contains_key("Dependencies") {
            let names = recipe.dependencies.iter();
            let dependencies = names.map(|name| computed(Value::Text(name.clone())));
            self.values.insert("Dependencies", dependencies.collect());
        }
        if !self.values.contains_key("SourceDateEpoch")
            && let Some(seconds) = recipe.source_date_epoch
        {
            let epoch = vec![computed(Value::Number(seconds))];
            self.values.insert("SourceDateEpoch", epoch);
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

    /// Returns the values of a setting, each with where it was written; none when it has none.
    pub fn values(&self, setting: &str) -> &[Sourced] {
        self.values.get(setting).map_or(&[], Vec::as_slice)
    }
}
