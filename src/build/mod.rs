//! One image's steps in pipeline order; the only caller of the sandbox.

mod apt_error;
mod base_image;
mod bases;
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
pub use self::record::{Change, Explanation};
pub use self::run::Interrupt;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use overcoat_sandbox::seccomp::Profile;
use overcoat_sandbox::{IdMapping, Spec};

use self::disk::Disk;
use self::local::LocalPackages;
use self::output::Unsigned;
use self::policy::{Host, Places, StepKind};
use self::protection::Protection;
use self::run::Purpose;
use crate::Hint;
use crate::beneath::Directory;
use crate::packages::apt::{self, Stanza};
use crate::plan::{ImagePlan, Key, KeyBuilder, Step};
use crate::publish::OutputDirectory;
use crate::recipe::{Grants, Recipe};
use crate::signing::Signers;
use crate::source::Scratch;
use crate::store::{self, Layer, LayerMetadata, Lock, Place, Staging, Store, Trust, TrustedStore};

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

/// How long to wait before asking for a lock again. A call that blocks until the lock is free could not be interrupted:
/// signals go to a thread of their own.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// What a tree may hold where nobody has set a limit: one that says more would be read for hours.
const CONTENTS_LIMIT_BYTES: u64 = 1 << 40;

/// The state of one run over all images.
struct Builder<'a> {
    store: Store,
    host: Host,
    /// What a build that is not trusted may read.
    trusted: Option<TrustedStore>,
    trust: Trust,
    /// Work that lives as long as the run.
    staging: Staging,
    output: OutputDirectory,
    host_repositories: &'a [Stanza],
    ignore_store: bool,
    ids: IdMapping,
    protection: Protection,
    /// What the promises need and the kernel lacks, where a person lets the build go on.
    missing_protection: Vec<String>,
    limits: Limits,
    control_group: Option<&'a Path>,
    disk: Disk,
    grants: &'a Grants,
    /// What no script may see, though it may lie in the sources.
    private: BTreeSet<PathBuf>,
    configurations: &'a BTreeMap<String, String>,
    arguments: &'a [String],
    debug: bool,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
    /// Snapshots of the repository metadata that this run has refreshed.
    metadata: BTreeMap<Key, Arc<Directory>>,
    /// What tells it from older and newer, by the same keys.
    metadata_stamps: BTreeMap<String, String>,
    /// The newest time in each image that was made, in seconds since 1970.
    build_times: BTreeMap<String, i64>,
    /// Checksums that are to be signed when the last sandbox is gone.
    unsigned: Vec<Unsigned>,
    /// The recipes' own packages, by the places in which they were looked for.
    local_packages: BTreeMap<Vec<PathBuf>, Arc<LocalPackages>>,
    /// Layers of this run that are not in the store, because it is ignored.
    own_layers: RefCell<BTreeMap<Key, (Layer, Staging)>>,
}

impl<'a> Builder<'a> {
    /// Waits for a lock that another build may hold, until this build is told to stop.
    fn wait_for(
        &self,
        image: &str,
        mut try_lock: impl FnMut() -> Result<Option<Lock>, store::Error>,
    ) -> Result<Lock, Error> {
        let mut told = false;
        loop {
            if let Some(lock) = try_lock()? {
                return Ok(lock);
            }
            if !told {
                let text = "another build is making what this one needs; waiting for it";
                self.observer.event(&Event::Warning { image, text });
                told = true;
            }
            self.interrupt.check()?;
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    fn purpose<'b>(&'b self, image: &'b str, step: &'b str) -> Purpose<'b> {
        Purpose {
            image,
            step,
            protection: &self.protection,
            control_group: self.control_group,
            disk: &self.disk,
            observer: self.observer,
            interrupt: self.interrupt,
        }
    }

    /// Returns where archives and images are unpacked, and how much they may hold.
    fn scratch<'b>(&self, directory: &'b Directory) -> Scratch<'b> {
        Scratch {
            directory,
            limit_bytes: self.limits.disk_bytes.unwrap_or(CONTENTS_LIMIT_BYTES),
        }
    }

    /// Returns what runs `command` as a step of a kind: nothing else in a build makes a specification.
    fn spec(&self, kind: StepKind, command: Vec<String>, places: &Places) -> Spec {
        let policy = policy::policy(kind);
        policy::spec(policy, command, &self.host, places, self.ids, &self.limits)
    }

    /// Adds to the key of a layer what decides how any program works on an image.
    fn common_key(&self, key: KeyBuilder) -> KeyBuilder {
        let key = self.protection.key(key);
        // Programs may do something else where ids are real, or where they have a device.
        let key = match self.ids {
            IdMapping::Single => key,
            IdMapping::Range => key.field("ids", "range"),
        };
        let devices: Vec<_> = self.grants.devices().collect();
        match devices.is_empty() {
            true => key,
            false => {
                let devices = devices.iter().map(|path| path.as_os_str().as_bytes());
                key.list("devices", devices)
            }
        }
    }

    /// Returns the layer of `key`: from the stores, or from this run when they are ignored.
    fn layer(&self, key: &Key) -> Result<Option<Layer>, Error> {
        if self.ignore_store {
            return Ok(self
                .own_layers
                .borrow()
                .get(key)
                .map(|(layer, _)| layer.clone()));
        }
        match (self.store.layer(key)?, &self.trusted) {
            (None, Some(trusted)) => Ok(trusted.layer(key)?),
            (found, _) => Ok(found),
        }
    }

    /// Keeps the `tree` directory of `staging` as the layer of `key`: in the store, or for this run alone.
    fn add_layer(
        &self,
        key: &Key,
        staging: Staging,
        metadata: LayerMetadata,
    ) -> Result<Layer, Error> {
        if self.ignore_store {
            return Ok(self.keep_for_run(key, staging, metadata));
        }
        let layer = self.store.add_layer(key, staging, &metadata)?;
        self.disk.keep(&layer.tree);
        Ok(layer)
    }

    /// Keeps the `tree` directory of `staging` as the layer of `key` for this run alone.
    fn keep_for_run(&self, key: &Key, staging: Staging, metadata: LayerMetadata) -> Layer {
        let layer = Layer {
            tree: staging.path().join("tree"),
            metadata,
        };
        self.disk.keep(&layer.tree);
        self.own_layers
            .borrow_mut()
            .insert(key.clone(), (layer.clone(), staging));
        layer
    }

    /// Returns the settings of an image as JSON.
    fn configuration(&self, image: &str) -> &'a str {
        self.configurations.get(image).map_or("", String::as_str)
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
    let trusted = match &place.trusted {
        Some(root) => TrustedStore::open(root)?,
        None => None,
    };
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
    let staging = store.stage()?;
    let disk = Disk::new(options.limits.disk_bytes, store.root().join("staging"));
    let missing_protection = missing_protection(options.grants);
    let weaker = describe_weaker(options.grants, &missing_protection);
    let mut builder = Builder {
        missing_protection,
        store,
        host: Host::here(),
        trusted,
        trust: options.trust,
        staging,
        output: OutputDirectory::open(&first.recipe.output_directory)?,
        host_repositories: options.host_repositories,
        ignore_store: options.ignore_store,
        ids: options.ids,
        protection: Protection::new(strictness(options.grants), options.seccomp_profile),
        limits: options.limits,
        control_group: options.control_group,
        disk,
        grants: options.grants,
        private,
        configurations: options.configurations,
        arguments: options.arguments,
        debug: options.debug,
        observer: options.observer,
        interrupt: options.interrupt,
        metadata: BTreeMap::new(),
        metadata_stamps: BTreeMap::new(),
        build_times: BTreeMap::new(),
        unsigned: Vec::new(),
        local_packages: BTreeMap::new(),
        own_layers: RefCell::new(BTreeMap::new()),
    };
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
