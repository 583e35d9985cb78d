//! Runs the scripts of one kind, one after the other.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use overcoat_sandbox::{Network, Spec};
use rustix::fs::Mode;

use super::super::guard::Guard;
use super::super::over::Over;
use super::super::policy::{DESTINATION, Places, SOURCES};
use super::super::stack::Stack;
use super::super::{Builder, Error};
use super::environment::{self, CONFIGURATION};
use super::sources::Sources;
use super::workshop::Workshop;
use super::{Kind, helpers};
use crate::beneath::Directory;
use crate::capture::{self, EntryOwner, LayerDirectory};
use crate::packages::apt;
use crate::plan::{Key, KeyBuilder};
use crate::recipe::{Recipe, Script};
use crate::store::{Layer, LayerMetadata, Staging};

/// Where scripts find everything that is not the image, inside the sandbox.
const WORK: &str = "/work";

/// A script that belongs to a recipe is not bigger; it is read as a whole.
const SCRIPT_LIMIT_BYTES: u64 = 64 << 20;

/// The scripts of one kind, with all that decides what they do.
pub(super) struct Runs<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) workshop: &'a Workshop,
    pub(super) kind: Kind,
    pub(super) recipe: &'a Recipe,
    pub(super) scripts: Vec<(&'a Script, Vec<u8>)>,
    pub(super) sources: Sources,
    variables: Vec<(String, String)>,
    configuration: &'a str,
    has_network: bool,
}

/// Runs the scripts of `kind` on the image, and returns what they made of it.
pub(in crate::build) fn change(
    builder: &Builder<'_>,
    workshop: &Workshop,
    kind: Kind,
    recipe: &Recipe,
    below: &Stack,
) -> Result<Stack, Error> {
    let runs = Runs::new(builder, workshop, kind, recipe, below.epoch_seconds)?;
    let keys = runs.keys(below)?;
    if let Some(layers) = runs.kept(&keys)? {
        let layers = layers.into_iter().zip(keys);
        return Ok(layers.fold(below.clone(), |stack, (layer, key)| {
            stack.with_layer(layer, key)
        }));
    }
    let mut stack = below.clone();
    for (index, key) in keys.into_iter().enumerate() {
        let before = workshop.digest()?;
        let lock = builder.wait_for(&recipe.name, || builder.store.try_lock_layer(&key))?;
        let staging = builder.store.stage()?;
        let (entry_owners, _) = runs.run(index, &stack, &staging, None)?;
        let metadata = LayerMetadata {
            entry_owners,
            packages: Vec::new(),
            epoch_seconds: stack.epoch_seconds,
        };
        // What is not in the layer would be missing if the layer were taken from the store.
        let is_all = workshop.digest()? == before;
        let (layer, key) = runs.keep(key, staging, metadata, is_all)?;
        drop(lock);
        stack = stack.with_layer(layer, key);
    }
    Ok(stack)
}

/// Runs the build scripts in a copy of the image that is thrown away, and returns what they installed for the image.
pub(in crate::build) fn build(
    builder: &Builder<'_>,
    workshop: &Workshop,
    recipe: &Recipe,
    below: &Stack,
) -> Result<crate::tree::FileTree, Error> {
    let runs = Runs::new(builder, workshop, Kind::Build, recipe, below.epoch_seconds)?;
    let key = runs
        .keys(below)?
        .pop()
        .expect("a step for build scripts is planned only when there are some");
    let lock = builder.wait_for(&recipe.name, || builder.store.try_lock_layer(&key))?;
    let kept = match runs.kept(std::slice::from_ref(&key))? {
        Some(mut kept) => kept.pop(),
        None => None,
    };
    let layer = match kept {
        Some(layer) => layer,
        None => runs.build(below, key)?,
    };
    drop(lock);
    Ok(capture::merge(&[LayerDirectory {
        path: layer.tree,
        entry_owners: layer.metadata.entry_owners,
    }])?)
}

impl<'a> Runs<'a> {
    pub(super) fn new(
        builder: &'a Builder<'a>,
        workshop: &'a Workshop,
        kind: Kind,
        recipe: &'a Recipe,
        epoch_seconds: u64,
    ) -> Result<Self, Error> {
        let scripts = kind.scripts(recipe).iter();
        let scripts = scripts.map(|script| Ok((script, read(recipe, script)?)));
        let wants_network =
            recipe.scripts.with_network || (kind.fetches() && builder.grants.network());
        Ok(Self {
            builder,
            workshop,
            kind,
            recipe,
            scripts: scripts.collect::<Result<_, Error>>()?,
            sources: Sources::look(builder, recipe)?,
            variables: environment::variables(builder, kind, recipe, epoch_seconds),
            configuration: builder.configuration(&recipe.name),
            has_network: wants_network,
        })
    }

    /// Returns the key of what each script makes. The directory that build scripts find again is not part of it: what
    /// is there may only make them faster.
    fn keys(&self, below: &Stack) -> Result<Vec<Key>, Error> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, (script, text)) in self.scripts.iter().enumerate() {
            let variables = self.variables.iter();
            let key = KeyBuilder::new("script")
                .field("file", self.kind.file_name())
                .field("text", text)
                .field("inside", [u8::from(script.is_inside())])
                .list("arguments", self.arguments());
            let key = match keys.last() {
                Some(before) => key.field("before", before.as_str()),
                None => key
                    .field("below", below.key()?.as_str())
                    .field("sources", self.sources.digest().as_str())
                    .field("handed", self.workshop.digest()?.as_str())
                    .field("configuration", self.configuration)
                    .list(
                        "variables",
                        variables.map(|(name, value)| format!("{name}={value}")),
                    ),
            };
            debug_assert_eq!(keys.len(), index);
            keys.push(self.builder.common_key(key).finish());
        }
        Ok(keys)
    }

    /// Returns the layers of `keys` if every one is there: scripts of one kind share their sources.
    fn kept(&self, keys: &[Key]) -> Result<Option<Vec<Layer>>, Error> {
        if self.has_network {
            return Ok(None);
        }
        let mut layers = Vec::new();
        for key in keys {
            match self.builder.layer(key)? {
                Some(layer) => layers.push(layer),
                None => return Ok(None),
            }
        }
        for (script, _) in &self.scripts {
            let step = self.kind.step_name(script);
            let purpose = self.builder.purpose(&self.recipe.name, &step);
            purpose.finished(Instant::now(), true);
        }
        Ok(Some(layers))
    }

    /// Keeps what a script made: in the store when the same inputs make the same of it, and nothing else of it is lost.
    fn keep(
        &self,
        key: Key,
        staging: Staging,
        metadata: LayerMetadata,
        is_all: bool,
    ) -> Result<(Layer, Key), Error> {
        if self.has_network {
            // What it made depends on more than its inputs, and so does everything above.
            let key = KeyBuilder::new("unrepeatable")
                .field("staging", staging.path().as_os_str().as_encoded_bytes())
                .finish();
            let layer = self.builder.keep_for_run(&key, staging, metadata);
            return Ok((layer, key));
        }
        let layer = match is_all {
            true => self.builder.add_layer(&key, staging, metadata)?,
            false => self.builder.keep_for_run(&key, staging, metadata),
        };
        Ok((layer, key))
    }

    fn build(&self, below: &Stack, key: Key) -> Result<Layer, Error> {
        let before = self.workshop.digest()?;
        let staging = self.builder.store.stage()?;
        let destination = Destination::new(self.builder, &staging)?;
        let mut entry_owners = Vec::new();
        let mut stack = below.clone();
        // What one script changes of the image is there for the next, and for nobody else.
        let mut thrown_away = Vec::new();
        for index in 0..self.scripts.len() {
            let own = self.builder.store.stage()?;
            let beside = (&destination.0, entry_owners.as_slice());
            let (owners, built) = self.run(index, &stack, &own, Some(beside))?;
            entry_owners = built;
            let layer = Layer {
                tree: own.path().join("tree"),
                metadata: LayerMetadata {
                    entry_owners: owners,
                    ..LayerMetadata::default()
                },
            };
            let key = KeyBuilder::new("build")
                .field("below", key.as_str())
                .finish();
            stack = stack.with_layer(layer, key);
            thrown_away.push(own);
        }
        let metadata = LayerMetadata {
            entry_owners,
            packages: Vec::new(),
            epoch_seconds: below.epoch_seconds,
        };
        let is_all = self.workshop.digest()? == before;
        Ok(self.keep(key, staging, metadata, is_all)?.0)
    }

    /// Runs one script over `below`, and returns the owners of the layer and of the directory beside.
    fn run(
        &self,
        index: usize,
        below: &Stack,
        staging: &Staging,
        beside: Option<(&Directory, &[EntryOwner])>,
    ) -> Result<(Vec<EntryOwner>, Vec<EntryOwner>), Error> {
        let (script, text) = &self.scripts[index];
        let started = Instant::now();
        let step = self.kind.step_name(script);
        let purpose = self.builder.purpose(&self.recipe.name, &step);
        purpose.started();
        let program = staging.subdirectory("program")?;
        helpers::write_program(&program, "script", text)?;
        let builds = self.recipe.scripts.build_directory.as_deref();
        let build =
            match builds.filter(|_| self.variables.iter().any(|(name, _)| name == "BUILDDIR")) {
                Some(path) => Some(self.build_directory(path)?),
                None => None,
            };
        let places = Places {
            source_overlays: self.sources.places(staging)?,
            build,
            destination: beside.map(|(directory, _)| directory.host_path().into()),
            handed: Some(self.workshop.handed()),
            output: Some(self.workshop.output().into()),
            ..Places::default()
        };
        let over = Over::new(
            self.builder,
            staging,
            Some(below),
            Guard::for_programs(staging)?,
        )?;
        let known = beside.map_or(("", [].as_slice()), |(_, owners)| (DESTINATION, owners));
        let kind = self.kind.step_kind();
        let command = self.command(script);
        let spec = over.spec_beside(self.builder, kind, command, places, known)?;
        let spec = self.complete(spec, script, &program.path_of("script"));
        let owners = match beside {
            Some((directory, _)) => {
                over.run_beside(self.builder, purpose, &spec, (directory, DESTINATION))?
            }
            None => {
                let owners = over.run(self.builder, purpose, &spec, &mut |line| {
                    purpose.output(line)
                });
                (owners?, Vec::new())
            }
        };
        purpose.finished(started, false);
        Ok(owners)
    }

    /// Tells whether a script has the image as its root.
    fn is_inside(&self, script: &Script) -> bool {
        self.kind.has_image() && script.is_inside()
    }

    fn arguments(&self) -> Vec<String> {
        self.kind.arguments(self.builder.arguments)
    }

    fn place(&self) -> PathBuf {
        Path::new(WORK).join(self.kind.file_name())
    }

    pub(super) fn command(&self, script: &Script) -> Vec<String> {
        // chroot(1) starts in the root, so a shell of the image goes to the sources.
        const INSIDE: &str = "exec /usr/sbin/chroot /buildroot /bin/sh -c 'cd /work/src && exec \"$0\" \"$@\"' \"$0\" \"$@\"";
        let mut command = match self.is_inside(script) {
            true => ["/bin/sh", "-c", INSIDE].map(str::to_owned).to_vec(),
            false => Vec::new(),
        };
        command.push(self.place().display().to_string());
        command.extend(self.arguments());
        command
    }

    /// Adds what no row of the table names: the script, and what it is told.
    pub(super) fn complete(&self, spec: Spec, script: &Script, program: &Path) -> Spec {
        let inside: &[_] = match self.is_inside(script) {
            true => &environment::INSIDE,
            false => &[],
        };
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        let spec = variables
            .chain(inside.iter().copied())
            .fold(spec, |spec, (name, value)| spec.environment(name, value));
        let spec = spec
            .bind_read_only(program, self.place())
            .bind_read_only(self.workshop.helpers(), helpers::DIRECTORY)
            .file(CONFIGURATION, self.configuration)
            .working_directory(SOURCES);
        let spec = match self.has_network {
            true => self.builder.host.network_files(spec).network(Network::Host),
            false => spec,
        };
        match self.kind.has_image() {
            // Programs that have the image as their root find the same things at the same paths.
            true => spec.repeat(WORK, Path::new(apt::ROOT).join("work")),
            false => spec,
        }
    }

    /// Makes the directory that build scripts find again.
    fn build_directory(&self, path: &Path) -> Result<PathBuf, Error> {
        let failed = |source| Error::Prepare {
            path: path.into(),
            source,
        };
        fs_err::create_dir_all(path).map_err(failed)?;
        fs_err::canonicalize(path).map_err(failed)
    }
}

/// The directory for what build scripts install into the image.
struct Destination(Directory);

impl Destination {
    fn new(builder: &Builder<'_>, staging: &Staging) -> Result<Self, Error> {
        let directory = staging.subdirectory("tree")?;
        if builder.ids == overcoat_sandbox::IdMapping::Range {
            super::super::real_ids::own(&directory)?;
        }
        Ok(Self(directory))
    }
}

/// Reads a script, which is then what runs, whatever becomes of the file.
fn read(recipe: &Recipe, script: &Script) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::ReadScript {
        path: script.shown.clone(),
        origin: script.origin.clone(),
        source,
    };
    let file = fs_err::File::open(&script.path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::ErrorKind::InvalidInput.into()));
    }
    let mode = Mode::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&metadata));
    let executable = Mode::XUSR | Mode::XGRP | Mode::XOTH;
    if !mode.intersects(executable) && !recipe.scripts.make_executable {
        return Err(Error::ScriptNotExecutable {
            path: script.shown.clone(),
            origin: script.origin.clone(),
        });
    }
    let mut text = Vec::new();
    file.take(SCRIPT_LIMIT_BYTES)
        .read_to_end(&mut text)
        .map_err(failed)?;
    check_interpreter(script, &text)?;
    Ok(text)
}

/// Fails when the host lacks the program that a script names in its first line. What the image has is not known yet.
fn check_interpreter(script: &Script, text: &[u8]) -> Result<(), Error> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let named = line.strip_prefix(b"#!").map(String::from_utf8_lossy);
    let interpreter = named
        .as_deref()
        .and_then(|line| line.split_whitespace().next());
    match interpreter {
        Some(interpreter) if !script.is_inside() && !Path::new(interpreter).exists() => {
            Err(Error::InterpreterMissing {
                path: script.shown.clone(),
                interpreter: interpreter.to_owned(),
            })
        }
        _ => Ok(()),
    }
}
