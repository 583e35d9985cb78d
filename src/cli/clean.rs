//! `overcoat clean`: removes what builds have made.

use std::path::Path;

use overcoat_sandbox::probe::{self, FeatureStatus};

use super::args::Invoked;
use super::failure::Failure;
use super::output::Style;
use super::render::inert;
use super::{exit, host, output};
use crate::publish;
use crate::recipe::Project;
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
    for recipe in &project.recipes {
        let outputs = [
            recipe.output_file_name(),
            recipe.checksums_file_name(),
            recipe.signature_file_name(),
        ];
        let artifacts = recipe.artifact_names().into_iter();
        let artifacts = artifacts.chain(recipe.definitions_name());
        for name in outputs.into_iter().chain(artifacts) {
            let path = recipe.output_directory.join(name);
            if publish::remove_output(&path)? {
                say("removed", &path, style);
            }
        }
        if let Some(name) = recipe.output_link_name() {
            publish::remove_link(&recipe.output_directory.join(name))?;
        }
    }
    let Some(main) = project.recipes.last() else {
        return Ok(());
    };
    let personal = host::cache_directory();
    let place = match Place::of(main, &project.directory, personal.as_deref(), invoked.trust) {
        Err(PlaceError::NoDirectory) => return Ok(()),
        found => found?,
    };
    // What is there may be somebody's who keeps something else in it.
    if !Store::is_at(&place.own) {
        return Ok(());
    }
    let store = Store::open(&place.own)?;
    let what = match invoked.force {
        0 => return Ok(store.into_swept()?),
        1 => store::Contents::LayersAndMetadata,
        _ => store::Contents::Everything,
    };
    store.clear(what)?;
    say("emptied", &place.shown, style);
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
