//! `overcoat clean`: removes what builds have made.

use std::collections::BTreeSet;
use std::path::Path;

use overcoat_sandbox::probe::{self, FeatureStatus};

use super::args::Invoked;
use super::failure::Failure;
use super::output::Style;
use super::render::inert;
use super::{exit, host, output};
use crate::build;
use crate::publish;
use crate::recipe::{Project, Recipe};
use crate::store::{self, Place, PlaceError, Store};

/// What `clean` could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("removing outputs")]
    Outputs(#[from] publish::Error),
    #[error("emptying the store")]
    Store(#[from] store::Error),
    #[error("finding the store")]
    Place(#[from] PlaceError),
    #[error("entering a user namespace")]
    UserNamespace(#[from] overcoat_sandbox::Error),
}

/// Removes the outputs of every image and what killed builds left in the store; with `force` also the layers and
/// repository metadata, twice also the packages.
pub(super) fn clean(project: &Project, invoked: &Invoked, style: Style) -> Result<(), Failure> {
    remove(project, invoked, style).map_err(|error| {
        let exit = match error {
            Error::UserNamespace(ref error) if error.is_missing_feature() => {
                exit::HOST_LACKS_FEATURE
            }
            Error::UserNamespace(_) => exit::SANDBOX_SETUP,
            _ => exit::BUILD_FAILED,
        };
        Failure::new(error, exit)
    })
}

fn remove(project: &Project, invoked: &Invoked, style: Style) -> Result<(), Error> {
    enter_namespace()?;
    let Some(main) = project.recipes.last() else {
        return Ok(());
    };
    let personal = host::cache_directory();
    let place = match Place::of(main, &project.directory, personal.as_deref(), invoked.trust) {
        Err(PlaceError::NoDirectory) => None,
        found => Some(found?),
    };
    // What is there may be somebody's who keeps something else in it.
    let place = place.filter(|place| Store::is_at(&place.own));
    let store = match &place {
        Some(place) => Some(Store::open(&place.own)?),
        None => None,
    };
    for recipe in &project.recipes {
        remove_outputs(recipe, store.as_ref(), style)?;
    }
    let (Some(place), Some(store)) = (place, store) else {
        return Ok(());
    };
    let what = match invoked.force {
        0 => return Ok(store.into_swept()?),
        1 => store::Contents::LayersAndMetadata,
        _ => store::Contents::Everything,
    };
    store.clear(what)?;
    say("emptied", &place.shown, style);
    Ok(())
}

/// Removes what builds of `recipe` make, and what its scripts have added.
fn remove_outputs(recipe: &Recipe, store: Option<&Store>, style: Style) -> Result<(), Error> {
    let known = store.map(|store| build::known_outputs(store, recipe));
    let outputs = [
        recipe.output_file_name(),
        recipe.checksums_file_name(),
        recipe.signature_file_name(),
    ];
    let names: BTreeSet<String> = { recipe.artifact_names().into_iter() }
        .chain(recipe.definitions_name())
        .chain(outputs)
        .chain(known.into_iter().flatten())
        .collect();
    for name in names {
        let path = recipe.output_directory.join(name);
        if publish::remove_output(&path)? {
            say("removed", &path, style);
        }
    }
    if let Some(name) = recipe.output_link_name() {
        publish::remove_link(&recipe.output_directory.join(name))?;
    }
    Ok(())
}

fn say(done: &str, path: &Path, style: Style) {
    let path = path.to_string_lossy();
    output::people(format_args!("{done} {}\n", inert(&path, style)));
}

/// Becomes root of all that builds may have left, as far as this host lets an ordinary user.
fn enter_namespace() -> Result<(), overcoat_sandbox::Error> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    match probe::id_range().status {
        // A killed build with a range of ids leaves files of all of them.
        FeatureStatus::Available(_) => drop(overcoat_sandbox::enter_range_namespace()?),
        // As for building: outputs and layers may hold directories that shut out their own owner.
        FeatureStatus::Missing { .. } => overcoat_sandbox::enter_user_namespace()?,
    }
    Ok(())
}
