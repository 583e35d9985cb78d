//! One image, from its base to its staged outputs.

use std::time::Instant;

use super::extra::Trees;
use super::install::Request;
use super::made::Made;
use super::manifest::Listed;
use super::output::Added;
use super::output::split::kernel_of;
use super::script::{self, Kind, Workshop};
use super::stack::Stack;
use super::{
    Builder, Error, Event, base_image, bases, extend, extra, finish, install, label, manifest,
    output, portable, removal, setup,
};
use crate::extension::{ExtensionKind, Finding, OsRelease};
use crate::plan::{ImagePlan, Step};
use crate::recipe::{Format, Recipe};
use crate::tree::{Content, Entry, FileTree, Timestamp};

/// The work on one image.
pub(super) struct Work<'a> {
    pub(super) recipe: &'a Recipe,
    started: Instant,
    made: Made,
    /// The base trees, once only what was added to them is left.
    base: Option<FileTree>,
    /// What was installed, where a manifest is to say it.
    listed: Listed,
    /// The fields of the extension-release file.
    release: Option<OsRelease>,
    /// What scripts hand to each other, once there was one.
    workshop: Option<Workshop>,
    /// The kernel of an initrd, as it was before files were removed.
    kernel: Option<Content>,
}

/// Does the steps of `plan`; the outputs are staged and not yet published.
///
/// An image that is signed comes back unwritten: keys are used only when the last sandbox of the run is gone.
pub(super) fn build<'a>(
    builder: &mut Builder<'_>,
    plan: &ImagePlan<'a>,
    started: Instant,
) -> Result<Option<Work<'a>>, Error> {
    let nothing = FileTree::new(Entry::directory(Timestamp::default()))?;
    let mut work = Work {
        recipe: plan.recipe,
        started,
        made: Made::of_tree(nothing, 0),
        base: None,
        listed: Listed::default(),
        release: None,
        workshop: None,
        kernel: None,
    };
    for step in &plan.steps {
        builder.interrupt.check()?;
        if *step == Step::Write && output::is_signed(plan.recipe) {
            return Ok(Some(work));
        }
        work.step(builder, *step)?;
    }
    Ok(None)
}

impl Work<'_> {
    fn step(&mut self, builder: &mut Builder<'_>, step: Step) -> Result<(), Error> {
        let (recipe, time) = (self.recipe, self.build_time());
        match step {
            Step::UseBaseTrees => self.use_base_trees(builder),
            Step::Bootstrap => {
                self.made.replace(install::bootstrap(builder, recipe)?);
                Ok(())
            }
            Step::InstallPackages => self.install(builder, &Request::of_image(recipe)),
            Step::InstallVolatilePackages => self.install(builder, &Request::volatile(recipe)),
            Step::RemovePackages => self.remove_packages(builder),
            Step::Prepare => self.run_scripts(builder, Kind::Prepare),
            Step::Build => self.build(builder),
            Step::AddBuilt => {
                let built = self
                    .workshop
                    .as_mut()
                    .and_then(|workshop| workshop.built.take());
                let built = built.expect("the plan puts build scripts before what they made");
                self.made.edit(|tree| script::add_built(tree, built, time))
            }
            Step::PostInstall => self.run_scripts(builder, Kind::PostInstall),
            Step::Finalize => self.run_scripts(builder, Kind::Finalize),
            Step::CleanSystem => self.made.edit(|tree| {
                let mut tree = finish::clean_system(tree, time)?;
                setup::begin(&mut tree, recipe, time)?;
                Ok(tree)
            }),
            Step::AddSkeletonTrees => self.add_trees(builder, Trees::Skeleton),
            Step::AddExtraTrees => self.add_trees(builder, Trees::Extra),
            Step::CompleteSystem => self.made.edit(|mut tree| {
                finish::complete_system(&mut tree, recipe, time)?;
                Ok(tree)
            }),
            Step::SetUpSystem => setup::set_up(builder, recipe, &mut self.made, time),
            Step::ListPackages => self.list_packages(),
            Step::TakePayload => self.take_payload(builder),
            Step::RemoveFiles => {
                if recipe.make_initrd {
                    // Whoever starts a machine needs it beside the initrd, which never does.
                    self.kernel = kernel_of(self.made.tree()?);
                }
                self.made.edit(|tree| removal::remove_files(tree, recipe))
            }
            Step::MakeExtension => self.make_extension(builder),
            Step::MakePortable => self.made.edit(|mut tree| {
                portable::make(&mut tree, recipe, time)?;
                Ok(tree)
            }),
            Step::Write => self.write(builder),
        }
    }

    fn add_trees(&mut self, builder: &Builder<'_>, trees: Trees) -> Result<(), Error> {
        let (recipe, time) = (self.recipe, self.build_time());
        self.made.edit(|mut tree| {
            let scratch = builder.scratch(builder.staging.directory());
            extra::add(&mut tree, trees, recipe, &scratch, time)?;
            Ok(tree)
        })
    }

    fn workshop(&mut self, builder: &Builder<'_>) -> Result<Workshop, Error> {
        match self.workshop.take() {
            Some(workshop) => Ok(workshop),
            None => Workshop::open(builder),
        }
    }

    fn run_scripts(&mut self, builder: &Builder<'_>, kind: Kind) -> Result<(), Error> {
        let workshop = self.workshop(builder)?;
        let below = self.made.stack(builder)?;
        let changed = script::change(builder, &workshop, kind, self.recipe, below)?;
        self.workshop = Some(workshop);
        self.made.replace(changed);
        Ok(())
    }

    /// Runs the build scripts on a copy of the image that has more packages.
    fn build(&mut self, builder: &mut Builder<'_>) -> Result<(), Error> {
        let recipe = self.recipe;
        let mut workshop = self.workshop(builder)?;
        let mut stack = self.made.stack(builder)?.clone();
        let request = Request::of_build(recipe);
        if !request.packages.is_empty() {
            stack = install::install(builder, recipe, stack, &request)?;
        }
        if !recipe.scripts.prepare.is_empty() {
            stack = script::change(builder, &workshop, Kind::PrepareBuild, recipe, &stack)?;
        }
        workshop.built = Some(script::build(builder, &workshop, recipe, &stack)?);
        self.workshop = Some(workshop);
        Ok(())
    }

    /// Returns the time that everything made by the build gets, and that nothing in the image exceeds.
    fn build_time(&self) -> Timestamp {
        let derived = self.made.epoch_seconds();
        let seconds = self.recipe.source_date_epoch.unwrap_or(derived);
        Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn use_base_trees(&mut self, builder: &Builder<'_>) -> Result<(), Error> {
        self.made.replace(bases::stack(builder, self.recipe)?);
        Ok(())
    }

    fn install(&mut self, builder: &mut Builder<'_>, request: &Request<'_>) -> Result<(), Error> {
        let below = self.made.stack(builder)?.clone();
        let stack = install::install(builder, self.recipe, below, request)?;
        self.made.replace(stack);
        Ok(())
    }

    /// Removes packages, and what that leaves behind.
    fn remove_packages(&mut self, builder: &mut Builder<'_>) -> Result<(), Error> {
        let before = self.made.tree()?.clone();
        self.install(builder, &Request::removal(self.recipe))?;
        self.made
            .edit(|tree| Ok(finish::remove_leftovers(tree, Some(&before))))
    }

    fn list_packages(&mut self) -> Result<(), Error> {
        let base = self.made.base().cloned();
        self.listed = manifest::list(self.recipe, self.made.tree()?, base.as_ref())?;
        Ok(())
    }

    /// Leaves of the image what was added to its base.
    fn take_payload(&mut self, builder: &Builder<'_>) -> Result<(), Error> {
        // What was added becomes a layer, of which the writer knows what it holds and deletes.
        if base_image::is_kept(builder, self.recipe)? {
            return Ok(());
        }
        let recipe = self.recipe;
        let epoch_seconds = self.made.epoch_seconds();
        let base = self
            .made
            .base()
            .expect("the plan puts the base trees before the payload")
            .clone();
        let payload = extend::payload(&base, self.made.tree()?, ExtensionKind::of(recipe.format))?;
        self.find(builder, &payload.findings);
        self.base = Some(base);
        self.made = Made::of_tree(payload.tree, epoch_seconds);
        Ok(())
    }

    fn make_extension(&mut self, builder: &Builder<'_>) -> Result<(), Error> {
        let recipe = self.recipe;
        let modified = self.build_time();
        let epoch_seconds = self.made.epoch_seconds();
        let base = self.base.as_ref().or(self.made.base()).cloned();
        let payload = self.made.tree()?.clone();
        let extension = extend::extension(recipe, base.as_ref(), payload, modified)?;
        self.find(builder, &extension.findings);
        self.release = Some(extension.release);
        self.made = Made::of_tree(extension.tree, epoch_seconds);
        Ok(())
    }

    /// Writes the outputs of the image.
    pub(super) fn write(&mut self, builder: &mut Builder<'_>) -> Result<(), Error> {
        let step = format!("write {}", self.recipe.output_file_name());
        let build_time = self.build_time();
        builder
            .build_times
            .insert(self.recipe.name.clone(), build_time.seconds);
        let base = match self.recipe.format {
            Format::Oci => base_image::of(builder, self.recipe, self.made.base().cloned())?,
            _ => None,
        };
        let made = std::mem::replace(&mut self.made, Made::of_stack(Stack::empty(0)));
        let tree = label::label(self.recipe, self.base.as_ref(), made.into_tree()?)?
            .clamp_times(build_time);
        let purpose = builder.purpose(&self.recipe.name, &step);
        let started = Instant::now();
        purpose.started();
        let release = self.release.as_ref();
        let texts = manifest::texts(builder, self.recipe, &self.listed, release);
        let name = &self.recipe.name;
        let known = { builder.known_outputs.get(name) }
            .cloned()
            .unwrap_or_default();
        let added = Added {
            texts: &texts,
            kernel: self.kernel.as_ref(),
            directory: self.workshop.as_ref().map(Workshop::added),
            known: &known,
        };
        let written = output::write(
            &mut builder.output,
            self.recipe,
            &tree,
            base.as_ref(),
            &added,
            build_time,
            self.started,
        )?;
        for text in &written.warnings {
            self.warn(builder, text);
        }
        builder.unsigned.extend(written.unsigned);
        builder
            .purpose(&self.recipe.name, &step)
            .finished(started, false);
        if !self.recipe.scripts.postoutput.is_empty() {
            let handed = builder.output.hand_out(name)?;
            script::post_output(builder, self.recipe, handed.host_path())?;
            let outputs = &mut builder.output;
            outputs.take_back(name, &handed, &known, self.started)?;
        }
        Ok(())
    }

    fn find(&self, builder: &Builder<'_>, findings: &[Finding]) {
        for finding in findings {
            builder.observer.event(&Event::Finding {
                image: &self.recipe.name,
                finding,
            });
        }
    }

    fn warn(&self, builder: &Builder<'_>, text: &str) {
        builder.observer.event(&Event::Warning {
            image: &self.recipe.name,
            text,
        });
    }
}
