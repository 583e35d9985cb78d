//! A program that changes an image, as a step: what it does becomes a layer, which the store keeps.

use std::time::Instant;

use overcoat_sandbox::Spec;

use super::guard::Guard;
use super::over::Over;
use super::policy::{Places, StepKind};
use super::stack::Stack;
use super::{Builder, Error};
use crate::plan::{Key, KeyBuilder};
use crate::recipe::Recipe;
use crate::store::LayerMetadata;

/// One program that changes an image.
pub(super) struct Change<'a> {
    /// How the step is called for people.
    pub(super) name: &'a str,
    pub(super) kind: StepKind,
    pub(super) recipe: &'a Recipe,
    pub(super) command: Vec<String>,
    /// What the program is given besides the image.
    pub(super) places: Places,
    /// Adds to the specification what no row of the table names: files of the step's own.
    pub(super) adjust: &'a (dyn Fn(Spec) -> Spec + Sync),
    /// Everything that decides what the program does, but the layers below and what all steps have in common.
    pub(super) inputs: KeyBuilder,
}

impl Change<'_> {
    /// Runs the program over `below`, or takes from the store what it did when nothing has changed since.
    pub(super) fn make(self, builder: &Builder<'_>, below: &Stack) -> Result<Stack, Error> {
        let started = Instant::now();
        let purpose = builder.purpose(&self.recipe.name, self.name);
        let key = self.key(builder, below)?;
        let lock = builder.wait_for(&self.recipe.name, || builder.store.try_lock_layer(&key))?;
        if let Some(layer) = builder.layer(&key)? {
            purpose.finished(started, true);
            return Ok(below.clone().with_layer(layer, key));
        }
        purpose.started();
        let staging = builder.store.stage()?;
        let guard = Guard::for_programs(&staging)?;
        let over = Over::new(builder, &staging, Some(below), guard)?;
        let spec = over.spec(builder, self.kind, self.command, self.places)?;
        let spec = (self.adjust)(spec);
        let entry_owners = over.run(builder, purpose, &spec, &mut |line| purpose.output(line))?;
        let metadata = LayerMetadata {
            entry_owners,
            packages: Vec::new(),
            epoch_seconds: below.epoch_seconds,
        };
        let layer = builder.add_layer(&key, staging, metadata)?;
        drop(lock);
        purpose.finished(started, false);
        Ok(below.clone().with_layer(layer, key))
    }

    fn key(&self, builder: &Builder<'_>, below: &Stack) -> Result<Key, Error> {
        let variables = self.places.variables.iter();
        let key = KeyBuilder::new("change")
            .field("below", below.key()?.as_str())
            .field("inputs", self.inputs.clone().finish().as_str())
            .list("command", &self.command)
            .list(
                "variables",
                variables.map(|(name, value)| format!("{name}={value}")),
            );
        Ok(builder.common_key(key).finish())
    }
}
