//! `overcoat clean`: removes what builds have made.

use super::failure::Failure;
use super::{exit, host, output};
use crate::publish;
use crate::recipe::Project;
use crate::store::{self, Store};

/// What `clean` could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("removing outputs")]
    Outputs(#[from] publish::Error),
    #[error("emptying the store")]
    Store(#[from] store::Error),
    #[error("entering a user namespace")]
    UserNamespace(#[from] overcoat_sandbox::Error),
}

/// Removes the outputs of every image; with `force` also the layers and repository metadata, twice also the packages.
pub(super) fn clean(project: &Project, force: u8) -> Result<(), Failure> {
    remove(project, force).map_err(|error| {
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

fn remove(project: &Project, force: u8) -> Result<(), Error> {
    // As for building: outputs and layers may hold directories that shut out their own owner.
    if !nix::unistd::geteuid().is_root() {
        overcoat_sandbox::enter_user_namespace()?;
    }
    for recipe in &project.recipes {
        let outputs = [
            recipe.output_file_name(),
            format!("{}.SHA256SUMS", recipe.output),
        ];
        for path in outputs.map(|name| recipe.output_directory.join(name)) {
            if publish::remove_output(&path)? {
                output::people(format_args!("removed {}\n", path.display()));
            }
        }
        if let Some(name) = recipe.output_link_name() {
            publish::remove_link(&recipe.output_directory.join(name))?;
        }
    }
    let Some(main) = project.recipes.last().filter(|_| force > 0) else {
        return Ok(());
    };
    let Some(cache) = main.cache_directory.clone().or_else(host::cache_directory) else {
        return Ok(());
    };
    let what = if force > 1 {
        store::Contents::Everything
    } else {
        store::Contents::LayersAndMetadata
    };
    if cache.is_dir() {
        Store::open(&cache)?.clear(what)?;
        output::people(format_args!("emptied {}\n", cache.display()));
    }
    Ok(())
}
