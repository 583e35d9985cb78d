//! One image's steps in pipeline order; the only caller of the sandbox.

mod apt_error;
mod base_image;
mod bases;
mod builder;
mod change;
mod changelog;
mod configuration;
mod disk;
mod download;
mod error;
mod event;
mod extend;
mod extra;
mod fetch;
mod finish;
#[cfg(test)]
mod fixture;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod guard;
mod image;
mod install;
mod label;
mod limits;
mod local;
mod made;
mod manifest;
mod modules;
mod output;
mod over;
pub mod policy;
mod portable;
mod private;
mod protection;
mod reach;
mod real_ids;
mod record;
mod removal;
mod run;
mod sandbox_trees;
mod script;
mod setup;
mod stack;
mod tools;
mod usage;

pub use self::configuration::SandboxedPrograms;
pub use self::error::Error;
pub use self::event::{Event, Observer};
pub use self::limits::{Limits, ReachedLimit};
pub use self::modules::ModuleError;
pub use self::output::{FileSystemError, WriteError};
pub(crate) use self::policy::SOURCES as SCRIPT_SOURCES;
pub use self::protection::{describe_weaker, missing_protection, strictness};
pub use self::reach::Reach;
pub use self::real_ids::Error as RealIdsError;
pub use self::record::{Change, Explanation, known_outputs};
pub use self::run::Interrupt;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use overcoat_sandbox::IdMapping;
use overcoat_sandbox::seccomp::Profile;

use self::builder::Builder;
use crate::Hint;
use crate::packages::apt::{self, Stanza};
use crate::plan::{ImagePlan, Step};
use crate::recipe::{Grants, Recipe};
use crate::signing::Signers;
use crate::store::{Place, Store, Trust};

/// What a build needs to know besides its plan.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Where layers, packages and metadata are kept when the recipe names no `CacheDirectory=`.
    pub cache_directory: Option<&'a PathBuf>,
    /// The directory that the recipe was found in.
    pub recipe_directory: &'a Path,
    /// Whether other builds may use what this one makes.
    pub trust: Trust,
    /// The repositories that the host itself uses.
    pub host_repositories: &'a [Stanza],
    /// Rebuilds outputs that exist.
    pub rebuild: bool,
    /// Makes every layer anew instead of asking the store.
    pub ignore_store: bool,
    /// Which ids the steps have that run packages' code. The caller must have a range to give them one.
    pub ids: IdMapping,
    /// The person's own filter of system calls, under which every step runs as well.
    pub seccomp_profile: Option<&'a Profile>,
    /// What the build may use.
    pub limits: Limits,
    /// The control group below which each sandbox gets one of its own.
    pub control_group: Option<&'a Path>,
    /// What the person lets steps have besides.
    pub grants: &'a Grants,
    /// What signs the checksums of images, started before anything was confined.
    pub signers: &'a Signers,
    /// The settings of each image as JSON, for scripts.
    pub configurations: &'a BTreeMap<String, String>,
    /// What build scripts are told.
    pub arguments: &'a [String],
    /// Whether scripts are told to say more.
    pub debug: bool,
    pub observer: &'a dyn Observer,
    pub interrupt: &'a Interrupt,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("rebuild", &self.rebuild)
            .finish_non_exhaustive()
    }
}

/// Builds every image of `plans` in order, and publishes all outputs when the last one is done.
///
/// # Errors
/// The first [`Error`]; the output directory is as it was then.
pub fn build(plans: &[ImagePlan<'_>], options: &Options<'_>) -> Result<(), Error> {
    let plans: Vec<&ImagePlan<'_>> = plans.iter().filter(|plan| !plan.steps.is_empty()).collect();
    let Some(first) = plans.first() else {
        return Ok(());
    };
    if options.rebuild {
        check(&plans, options)?;
    }
    let place = place(first, options)?;
    for (setting, origin) in &place.not_used {
        let text = format!(
            "{origin}: `{setting}=` is not used: a build that is not trusted keeps its caches apart"
        );
        options.observer.event(&Event::Warning {
            image: "",
            text: &text,
        });
    }
    let store = Store::open(&place.own)?;
    let personal = options.cache_directory.map(PathBuf::as_path);
    let private = private::of_run(&plans, personal, &place.own);
    let due = record::due(record::look(&store, &plans, options, &private)?, options);
    if due.is_empty() {
        return Ok(());
    }
    let wanted: Vec<&ImagePlan<'_>> = due.iter().map(|looked| looked.plan).collect();
    if !options.rebuild {
        check(&wanted, options)?;
    }
    let weaker = describe_weaker(options.grants, &missing_protection(options.grants));
    let mut builder = Builder::open(&place, store, private, first.recipe, options)?;
    builder.known_outputs = { due.iter() }
        .map(|looked| (looked.plan.recipe.name.clone(), looked.outputs.clone()))
        .collect();
    for left in builder
        .store
        .left_behind()
        .iter()
        .chain(builder.output.left_behind())
    {
        let mut text = with_causes(left);
        if let Some(hint) = left.hint() {
            text = format!("{text}; {hint}");
        }
        options.observer.event(&Event::Warning {
            image: "",
            text: &text,
        });
    }
    options.observer.event(&Event::BuildStarted {
        image_count: wanted.len(),
    });
    if let Some(text) = &weaker {
        options.observer.event(&Event::Warning { image: "", text });
    }
    let cache = place.shown.as_path();
    let of_image = |image: &str| {
        let image = image.to_owned();
        |source: Error| Error::Image {
            image,
            source: Box::new(source.with_place(cache)),
        }
    };
    for plan in &wanted {
        options.interrupt.check()?;
        script::sync(&mut builder, plan.recipe).map_err(of_image(&plan.recipe.name))?;
    }
    let mut unsigned = Vec::new();
    for plan in wanted {
        let started = Instant::now();
        let image = &plan.recipe.name;
        options.observer.event(&Event::ImageStarted { image });
        unsigned.extend(image::build(&mut builder, plan, started).map_err(of_image(image))?);
    }
    for mut work in unsigned {
        options.interrupt.check()?;
        work.write(&mut builder)
            .map_err(of_image(&work.recipe.name))?;
    }
    for unsigned in &builder.unsigned {
        options.interrupt.check()?;
        output::sign(&mut builder.output, unsigned, options.signers)?;
    }
    options.interrupt.check()?;
    for looked in &due {
        looked.forget(&builder.store)?;
    }
    let published = builder.output.publish()?;
    for published in &published {
        options.observer.event(&Event::OutputWritten {
            image: &published.image,
            path: &published.path,
            size_bytes: published.size_bytes,
            elapsed: published.elapsed,
        });
    }
    let run = record::Run {
        store: &builder.store,
        staging: &builder.staging,
        published: &published,
        metadata: &builder.metadata_stamps,
        build_times: &builder.build_times,
    };
    run.keep(due)
}

/// Returns what a build without force would do with each image of `plans`, and why.
///
/// # Errors
/// An [`Error`] when there is no place for caches, or something that an image is made of cannot be read.
pub fn explain(plans: &[ImagePlan<'_>], options: &Options<'_>) -> Result<Vec<Explanation>, Error> {
    let plans: Vec<&ImagePlan<'_>> = plans.iter().filter(|plan| !plan.steps.is_empty()).collect();
    let Some(first) = plans.first() else {
        return Ok(Vec::new());
    };
    let place = place(first, options)?;
    let store = Store::open(&place.own)?;
    let personal = options.cache_directory.map(PathBuf::as_path);
    let private = private::of_run(&plans, personal, &place.own);
    let looked = record::look(&store, &plans, options, &private)?;
    Ok(looked.into_iter().map(Into::into).collect())
}

/// Runs the scripts that clean up after the images of `plans`, each on what the last build made.
///
/// # Errors
/// An [`Error`] when there is no place for caches, or a script fails; what was built is where it was.
pub fn clean(plans: &[ImagePlan<'_>], options: &Options<'_>) -> Result<(), Error> {
    let plans: Vec<&ImagePlan<'_>> = plans
        .iter()
        .filter(|plan| !plan.recipe.scripts.clean.is_empty())
        .collect();
    let Some(first) = plans.first() else {
        return Ok(());
    };
    let place = place(first, options)?;
    let store = Store::open(&place.own)?;
    let personal = options.cache_directory.map(PathBuf::as_path);
    let private = private::of_run(&plans, personal, &place.own);
    let mut builder = Builder::open(&place, store, private, first.recipe, options)?;
    for plan in plans {
        let recipe = plan.recipe;
        let mut names = known_outputs(&builder.store, recipe);
        // A directory that no build is known to have made may be somebody's.
        let is_file = |name: &String| {
            let found = fs_err::symlink_metadata(recipe.output_directory.join(name));
            found.is_ok_and(|found| !found.is_dir())
        };
        let others = [recipe.output_file_name(), recipe.checksums_file_name()];
        names.extend(
            others
                .into_iter()
                .chain(recipe.artifact_names())
                .filter(is_file),
        );
        let handed = builder.output.withdraw(&names)?;
        let done = script::clean(&builder, recipe, handed.host_path());
        builder.output.restore(handed, &names)?;
        done?;
    }
    Ok(())
}

/// Returns where a run keeps what it makes, which is the same for all images of a recipe (universal settings).
fn place(first: &ImagePlan<'_>, options: &Options<'_>) -> Result<Place, Error> {
    Ok(Place::of(
        first.recipe,
        options.recipe_directory,
        options.cache_directory.map(PathBuf::as_path),
        options.trust,
    )?)
}

/// Fails when images cannot be made, before anything is downloaded or written for them.
fn check(plans: &[&ImagePlan<'_>], options: &Options<'_>) -> Result<(), Error> {
    check_programs(plans)?;
    for plan in plans {
        output::check_keys(plan.recipe)?;
        output::check_place(plan.recipe)?;
        extra::check(plan.recipe)?;
        sandbox_trees::check(plan.recipe, options.observer)?;
    }
    check_base_trees(plans)
}

/// Fails when packages are to be installed and the host lacks a program for it.
fn check_programs(plans: &[&ImagePlan<'_>]) -> Result<(), Error> {
    let installs = |step: &Step| {
        matches!(
            step,
            Step::Bootstrap
                | Step::InstallPackages
                | Step::InstallVolatilePackages
                | Step::RemovePackages
        )
    };
    if !plans.iter().any(|plan| plan.steps.iter().any(installs)) {
        return Ok(());
    }
    let is_there = |program: &str| {
        apt::PROGRAM_DIRECTORIES
            .iter()
            .any(|directory| Path::new(directory).join(program).is_file())
    };
    match apt::PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        Some((program, package)) => Err(Error::ToolMissing { program, package }),
        None => Ok(()),
    }
}

/// Fails when a base tree neither exists nor is made by an earlier image, before anything is downloaded for the others.
fn check_base_trees(plans: &[&ImagePlan<'_>]) -> Result<(), Error> {
    for (index, plan) in plans.iter().enumerate() {
        let made = |path: &Path| {
            plans[..index]
                .iter()
                .any(|earlier| output_path(earlier.recipe) == *path)
        };
        bases::check(plan.recipe, &made)?;
    }
    Ok(())
}

/// Returns an error and its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

fn output_path(recipe: &Recipe) -> PathBuf {
    recipe.output_directory.join(recipe.output_file_name())
}
