//! Scripts that work without the image: on its sources before anything is built, on its outputs, and when those are
//! removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::policy::Places;
use super::super::run::run;
use super::super::{Builder, Error};
use super::run::Runs;
use super::sources::digest_of;
use super::workshop::Workshop;
use super::{Kind, helpers};
use crate::beneath::Directory;
use crate::plan::Key;
use crate::recipe::Recipe;
use crate::store::Staging;

/// What scripts have written to the sources, which later scripts see. The sources themselves stay as they are.
#[derive(Debug, Default)]
pub(in crate::build) struct Synced {
    /// Layers by the real path of the directory below, the topmost first.
    layers: BTreeMap<PathBuf, Vec<SyncedLayer>>,
    /// What holds them.
    staging: Vec<Staging>,
}

#[derive(Debug)]
struct SyncedLayer {
    path: PathBuf,
    digest: Key,
}

impl Synced {
    /// Returns the layers above a directory of the sources, the topmost first.
    pub(super) fn above(&self, source: &Path) -> impl Iterator<Item = (&Path, &Key)> {
        let layers = self.layers.get(source).map_or(&[][..], Vec::as_slice);
        layers
            .iter()
            .map(|layer| (layer.path.as_path(), &layer.digest))
    }
}

/// Runs the scripts that complete the sources of `recipe`.
pub(in crate::build) fn sync(builder: &mut Builder<'_>, recipe: &Recipe) -> Result<(), Error> {
    for index in 0..recipe.scripts.sync.len() {
        let staging = builder.store.stage()?;
        let workshop = Workshop::open(builder)?;
        let runs = Runs::new(builder, &workshop, Kind::Sync, recipe, 0)?;
        let written = runs.run_apart(index, &staging, None)?;
        for (source, changes) in written {
            let directory = Directory::open(&changes).map_err(|error| Error::ReadSources {
                source: error.into(),
            })?;
            let layer = SyncedLayer {
                digest: digest_of(&directory)?,
                path: changes,
            };
            builder
                .synced
                .layers
                .entry(source)
                .or_default()
                .insert(0, layer);
        }
        builder.synced.staging.push(staging);
    }
    Ok(())
}

/// Runs the scripts that work on the outputs of `recipe`, which are in the directory `outputs`.
pub(in crate::build) fn post_output(
    builder: &Builder<'_>,
    recipe: &Recipe,
    outputs: &Path,
) -> Result<(), Error> {
    on_outputs(builder, Kind::PostOutput, recipe, outputs)
}

/// Runs the scripts that clean up after `recipe`, of which the directory `outputs` has what was built.
pub(in crate::build) fn clean(
    builder: &Builder<'_>,
    recipe: &Recipe,
    outputs: &Path,
) -> Result<(), Error> {
    on_outputs(builder, Kind::Clean, recipe, outputs)
}

fn on_outputs(
    builder: &Builder<'_>,
    kind: Kind,
    recipe: &Recipe,
    outputs: &Path,
) -> Result<(), Error> {
    let workshop = Workshop::open(builder)?;
    let runs = Runs::new(builder, &workshop, kind, recipe, 0)?;
    for index in 0..runs.scripts.len() {
        let staging = builder.store.stage()?;
        runs.run_apart(index, &staging, Some(outputs))?;
    }
    Ok(())
}

impl Runs<'_> {
    /// Runs one script without an image, and returns what it wrote to each directory of the sources.
    fn run_apart(
        &self,
        index: usize,
        staging: &Staging,
        outputs: Option<&Path>,
    ) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let (script, text) = &self.scripts[index];
        let started = Instant::now();
        let step = self.kind.step_name(script);
        let purpose = self.builder.purpose(&self.recipe.name, &step);
        purpose.started();
        let program = staging.subdirectory("program")?;
        helpers::write_program(&program, "script", text)?;
        let overlays = self.sources.places(staging)?;
        let written = { overlays.iter() }
            .filter_map(|place| Some((place.lowers.last()?.clone(), place.changes.clone())))
            .collect();
        let places = Places {
            source_overlays: overlays,
            output: outputs.map(Path::to_owned),
            ..Places::default()
        };
        let spec = { self.builder }.spec(self.kind.step_kind(), self.command(script), &places);
        let spec = self.complete(spec, script, &program.path_of("script"));
        run(purpose, &spec, &mut |line| purpose.output(line))?;
        purpose.finished(started, false);
        Ok(written)
    }
}
