//! The values an image was given, by who has the last word: what it starts with, its files, the command line.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::origin::Origin;
use super::settings::Setting;
use super::values::{Kind, Value};

/// A value and where it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sourced {
    pub value: Value,
    pub origin: Origin,
}

/// What the assignments of one setting come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Assigned {
    /// Whether an empty assignment discarded what lies below.
    reset: bool,
    values: Vec<Sourced>,
    /// The values that count no more.
    overridden: Vec<Sourced>,
}

/// Returns the parts of an image that a boolean stands for.
fn parts(values: &[Value]) -> Option<Vec<Value>> {
    let [Value::Boolean(with_partitions)] = values else {
        return None;
    };
    let parts = ["uki", "kernel", "initrd"].into_iter();
    let partitions = with_partitions.then_some("partitions");
    let texts = parts.chain(partitions).map(str::to_owned);
    Some(texts.map(Value::Text).collect())
}

/// The assignments of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(BTreeMap<&'static str, Assigned>);

impl Layer {
    /// Assigns `values`, none of which stands for the empty assignment.
    pub(super) fn assign(&mut self, setting: &Setting, values: Vec<Value>, origin: &Origin) {
        let assigned = self.0.entry(setting.destination).or_default();
        if values.is_empty() || !setting.is_collection() {
            let Assigned {
                values, overridden, ..
            } = assigned;
            overridden.append(values);
        }
        if values.is_empty() {
            assigned.reset = true;
            return;
        }
        if let (Kind::Parts(_), Some(parts)) = (setting.kind, parts(&values)) {
            // A boolean stands for what is split off, whatever was before.
            let origin = |value| Sourced {
                value,
                origin: origin.clone(),
            };
            let parts = parts.into_iter().map(origin).collect();
            let before = std::mem::replace(&mut assigned.values, parts);
            assigned.overridden.extend(before);
            return;
        }
        let origins = origin.of_each(values.len());
        let sourced = values.into_iter().zip(origins);
        assigned
            .values
            .extend(sourced.map(|(value, origin)| Sourced { value, origin }));
        if setting.kind == Kind::Packages {
            // As mkosi has it, what another source adds comes after, sorted by itself.
            assigned
                .values
                .sort_by_cached_key(|sourced| names::package_order(&sourced.value.to_string()));
        }
    }

    /// Puts the values of a setting there as they are.
    pub(super) fn put(&mut self, setting: &Setting, values: Vec<Sourced>) {
        let assigned = Assigned {
            values,
            ..Assigned::default()
        };
        self.0.insert(setting.destination, assigned);
    }

    /// Forgets what was assigned to a setting.
    pub(super) fn clear(&mut self, setting: &Setting) {
        self.0.remove(setting.destination);
    }

    /// Returns whether a setting was assigned something, if only nothing.
    pub(super) fn has(&self, setting: &Setting) -> bool {
        self.0.contains_key(setting.destination)
    }

    /// Returns whether nothing was assigned.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The layers of one image, lowest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// What counts when nothing else was assigned.
    pub(super) defaulted: Layer,
    /// What the main image passes on as a starting value.
    pub(super) inherited: Layer,
    pub(super) files: Layer,
    /// The command line, and what the main image forces.
    pub(super) forced: Layer,
}

impl Layers {
    /// Has everything that was assigned so far win over the files that are still to be read, as it is with what
    /// `mkosi.local` says: lists come before those of the command line, and its empty assignments of lists clear
    /// nothing.
    pub(super) fn promote(&mut self) {
        let names: BTreeSet<&'static str> = { self.inherited.0.keys() }
            .chain(self.files.0.keys())
            .copied()
            .collect();
        for name in names {
            let setting = super::settings::known(name);
            let values = self.get(setting).unwrap_or_default();
            let present = self.forced.0.get(name);
            let reset = match setting.is_collection() {
                true => present.is_some_and(|present| present.reset),
                false => values.is_empty(),
            };
            let assigned = Assigned {
                reset,
                values,
                overridden: self.overridden(setting),
            };
            self.forced.0.insert(name, assigned);
        }
        self.inherited = Layer::default();
        self.files = Layer::default();
    }

    /// Returns what a setting was assigned: `None` leaves it to its default, nothing is an empty collection.
    pub(super) fn get(&self, setting: &Setting) -> Option<Vec<Sourced>> {
        let defaulted = self.defaulted.0.get(setting.destination);
        let defaulted = || defaulted.map(|assigned| assigned.values.clone());
        let layers = [&self.inherited, &self.files, &self.forced];
        let mut assigned = layers
            .into_iter()
            .filter_map(|layer| layer.0.get(setting.destination));
        if setting.is_collection() {
            let values = assigned.fold(None, |below, assigned| {
                let mut values = if assigned.reset {
                    Vec::new()
                } else {
                    below.unwrap_or_default()
                };
                values.extend_from_slice(&assigned.values);
                Some(values)
            });
            return values.or_else(defaulted);
        }
        assigned
            .next_back()
            .filter(|last| setting.nullable || !last.values.is_empty())
            .map(|last| last.values.clone())
            .or_else(defaulted)
    }

    /// Returns the values that a setting was assigned and does not have, by who assigned them last.
    pub(super) fn overridden(&self, setting: &Setting) -> Vec<Sourced> {
        let mut overridden = Vec::new();
        let mut below: Vec<Sourced> = Vec::new();
        for layer in [&self.inherited, &self.files, &self.forced] {
            let Some(assigned) = layer.0.get(setting.destination) else {
                continue;
            };
            if assigned.reset || !setting.is_collection() {
                overridden.append(&mut below);
            }
            overridden.extend_from_slice(&assigned.overridden);
            below.extend_from_slice(&assigned.values);
        }
        overridden
    }
}
