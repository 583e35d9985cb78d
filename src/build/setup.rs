//! Sets a whole system up: its own tools make users, directories and caches, and it gets what the recipe says of it.
//!
//! mkosi takes these tools from the host and skips those that the host lacks; here an image has the same users whoever
//! builds it.

mod account;
mod crypt;
mod files;
mod tools;

use std::collections::BTreeSet;

use overcoat_sandbox::Spec;

use super::change::Change;
use super::finish::path;
use super::made::Made;
use super::modules;
use super::policy::{Places, StepKind};
use super::{Builder, Error, Event};
use crate::plan::KeyBuilder;
use crate::recipe::{Format, Recipe};
use crate::tree::{FileTree, Timestamp};

pub(super) use self::files::begin;

/// Sets up the system in `made`.
pub(super) fn set_up(
    builder: &Builder<'_>,
    recipe: &Recipe,
    made: &mut Made,
    time: Timestamp,
) -> Result<(), Error> {
    let mut changed = BTreeSet::new();
    made.edit(|mut tree| {
        files::complete(&mut tree, recipe, time)?;
        changed = modules::choose(&mut tree, &recipe.system)?;
        Ok(tree)
    })?;
    let set_up = tools::SetUp::of(made.tree()?, recipe, &changed)?;
    for text in &set_up.missing {
        builder.observer.event(&Event::Warning {
            image: &recipe.name,
            text,
        });
    }
    if let Some(command) = set_up.command() {
        run(builder, recipe, made, command, time)?;
        made.edit(|tree| Ok(files::clean(tree, time)?))?;
    }
    if recipe.format == Format::Portable {
        return Ok(());
    }
    made.edit(|mut tree| {
        account::set_up_root(&mut tree, recipe, time)?;
        Ok(tree)
    })
}

fn run(
    builder: &Builder<'_>,
    recipe: &Recipe,
    made: &mut Made,
    command: Vec<String>,
    time: Timestamp,
) -> Result<(), Error> {
    let change = Change {
        name: "set up",
        kind: StepKind::SetUp,
        recipe,
        command,
        places: Places {
            variables: vec![("SOURCE_DATE_EPOCH", time.seconds.to_string())],
            ..Places::default()
        },
        adjust: &|spec: Spec| spec,
        inputs: KeyBuilder::new("set-up"),
    };
    let stack = change.make(builder, made.stack(builder)?)?;
    made.replace(stack);
    Ok(())
}

/// Returns where the program `name` is in the tree, as a path inside of it.
fn program(tree: &FileTree, name: &str) -> Option<String> {
    const PLACES: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
    let places = PLACES.iter().map(|place| format!("{place}/{name}"));
    let mut there = places.filter(|place| tree.resolve(&path(place)).is_some());
    there.next().map(|place| format!("/{place}"))
}
