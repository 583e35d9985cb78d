//! `overcoat build`: from the recipe to its outputs.

use overcoat_sandbox::IdMapping;

use super::args::Invoked;
use super::failure::Failure;
use super::output::{self, Style};
use super::progress::{Detail, Progress};
use super::signal::Interruption;
use super::{exit, explain, host, limits, profile};
use crate::build::{self, Interrupt, Options};
use crate::plan::{self, ImagePlan};
use crate::recipe::{Grants, Project};
use crate::signing::{DetachedSigner, OpenPgpError, Signers};

/// What is done with a project.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    Build,
    /// Says what a build would do.
    Explain,
    /// Runs the scripts that clean up.
    Clean,
}

/// Builds every image of `project`, or does something else with the same options.
pub(super) fn build(
    task: Task,
    project: &Project,
    grants: &Grants,
    invoked: &Invoked,
    style: Style,
) -> Result<(), Failure> {
    let plans = plan::plan(&project.recipes)?;
    let profile = match &invoked.seccomp_profile {
        Some(path) => Some(profile::load(path, style)?),
        None => None,
    };
    let limits = limits::limits(host::limits(), &invoked.limits)
        .map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
    // Where the person's agent finds them to be the same person; a namespace would make them somebody else.
    let signers = match task {
        Task::Build => signers(&plans)?,
        Task::Explain | Task::Clean => Signers::default(),
    };
    // Files in layers may have modes that shut out their own owner. An ordinary user stays their master by being root
    // of a user namespace; real root is it already, and would lose access to other users' recipes by entering one.
    match invoked.ids {
        IdMapping::Range => drop(overcoat_sandbox::enter_range_namespace()?),
        IdMapping::Single if nix::unistd::geteuid().is_root() => {}
        IdMapping::Single => overcoat_sandbox::enter_user_namespace()?,
    }
    // Before there are threads: it may move this process into another group.
    let control_group = overcoat_sandbox::delegated_control_group();
    let interruption =
        Interruption::watch().map_err(|error| Failure::new(error, exit::BUILD_FAILED))?;
    let interrupt = Interrupt::default();
    let triggered = interrupt.clone();
    interruption.on_first(move || triggered.trigger());
    let detail = if invoked.debug {
        Detail::ProgramOutput
    } else {
        Detail::Steps
    };
    let progress = if invoked.json {
        Progress::json(style, detail)
    } else {
        Progress::people(style, detail)
    };
    let host_repositories = host::repositories();
    let cache_directory = host::cache_directory();
    let configurations = super::summary::configurations(project);
    let options = Options {
        cache_directory: cache_directory.as_ref(),
        recipe_directory: &project.directory,
        trust: invoked.trust,
        host_repositories: &host_repositories,
        rebuild: invoked.force > 0,
        ignore_store: invoked.force > 1,
        ids: invoked.ids,
        seccomp_profile: profile.as_ref(),
        limits,
        control_group: control_group.as_deref(),
        grants,
        signers: &signers,
        configurations: &configurations,
        arguments: &invoked.arguments,
        debug: invoked.debug,
        observer: &progress,
        interrupt: &interrupt,
    };
    let done = match task {
        Task::Clean => build::clean(&plans, &options),
        Task::Build => build::build(&plans, &options).map(|()| progress.finish()),
        Task::Explain => build::explain(&plans, &options).map(|images| match invoked.json {
            true => output::json(format_args!("{}", explain::json(&images))),
            false => output::data(format_args!("{}", explain::text(&images, style))),
        }),
    };
    match done {
        Ok(()) => Ok(()),
        Err(error) => {
            progress.clear();
            // Whatever the signal made fail first, the build was interrupted.
            if interruption.happened() {
                return Err(Failure::new(error, exit::INTERRUPTED));
            }
            Err(error.into())
        }
    }
}

/// Starts what signs the checksums of images.
fn signers(plans: &[ImagePlan<'_>]) -> Result<Signers, Failure> {
    let mut signers = Signers::default();
    let environment = host::signing_environment();
    for plan in plans {
        let Some(signature) = &plan.recipe.outputs.signature else {
            continue;
        };
        // Whether it has anything to sign is known later.
        let key = signature.key.as_deref();
        let signer = DetachedSigner::start(&signature.tool, key, &environment);
        signers.add(&plan.recipe.name, signer.map_err(unable_to_sign)?);
    }
    Ok(signers)
}

fn unable_to_sign(error: OpenPgpError) -> Failure {
    let exit = match error {
        OpenPgpError::ToolMissing { .. } => exit::HOST_LACKS_FEATURE,
        _ => exit::BAD_RECIPE,
    };
    Failure::new(error, exit)
}
