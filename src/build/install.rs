//! Steps that run package code, without network: making a minimal system, and installing packages on it.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use overcoat_sandbox::{IdMapping, OwnerRecord, Spec};
use rustix::fs::Mode;

use super::download;
use super::fetch;
use super::policy::{OverlayPlace, Places, StepKind};
use super::real_ids;
use super::run::{Purpose, run};
use super::stack::Stack;
use super::tools::Tools;
use super::{Builder, Error};
use crate::beneath::{Directory, Place};
use crate::capture::EntryOwner;
use crate::distribution;
use crate::packages::apt::{self, ResolvedPackage, Status};
use crate::plan::{Key, KeyBuilder};
use crate::recipe::{Architecture, Grants, Recipe};
use crate::store::{InstalledPackage, Layer, LayerMetadata, Staging};
use crate::tree::{InvalidTreePath, TreePath};

const BOOTSTRAP: &str = "bootstrap";
const INSTALL: &str = "install packages";

/// Returns the stack of a minimal system for `recipe`.
pub(super) fn bootstrap(builder: &mut Builder<'_>, recipe: &Recipe) -> Result<Stack, Error> {
    let tools = fetch::tools(builder, recipe)?;
    let bootstrap = distribution::bootstrap(recipe.distribution, recipe.architecture);
    let resolved = fetch::resolve(builder, recipe, &tools, None, &bootstrap.packages)?;
    let key = layer_key(builder, BOOTSTRAP, None, recipe, &tools, &resolved)?
        .list("requested", &bootstrap.packages)
        .list("merged directories", &bootstrap.merged_directories)
        .finish();
    let step = Step {
        name: BOOTSTRAP,
        ids: builder.ids,
        grants: builder.grants,
        recipe,
        tools: &tools,
        below: None,
        packages: &bootstrap.packages,
    };
    let merged_directories = &bootstrap.merged_directories;
    let layer = step.make(
        builder,
        &key,
        &resolved,
        &|builder, purpose, tools, tree| {
            unpack(builder, purpose, tools, tree, merged_directories, &resolved)
        },
    )?;
    Ok(Stack::of_layer(layer, key))
}

/// Returns `below` with the packages of `recipe` installed on top, or `below` itself when it has them all.
pub(super) fn install(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    below: Stack,
) -> Result<Stack, Error> {
    let tools = fetch::tools(builder, recipe)?;
    let resolved = fetch::resolve(builder, recipe, &tools, Some(&below), &recipe.packages)?;
    if resolved.is_empty() {
        return Ok(below);
    }
    // apt records which packages were asked for by name, so the same files can come with another record of them.
    let key = layer_key(builder, INSTALL, Some(&below), recipe, &tools, &resolved)?
        .list("requested", &recipe.packages)
        .finish();
    let step = Step {
        name: INSTALL,
        ids: builder.ids,
        grants: builder.grants,
        recipe,
        tools: &tools,
        below: Some(&below),
        packages: &recipe.packages,
    };
    let layer = step.make(builder, &key, &resolved, &|_, _, _, _| Ok(()))?;
    Ok(below.with_layer(layer, key))
}

fn layer_key(
    builder: &Builder<'_>,
    kind: &str,
    below: Option<&Stack>,
    recipe: &Recipe,
    tools: &Tools,
    resolved: &[ResolvedPackage],
) -> Result<KeyBuilder, Error> {
    let packages = resolved.iter().map(|package| {
        format!(
            "{} {} {} {}",
            package.name, package.version, package.architecture, package.sha256
        )
    });
    let epoch = recipe
        .source_date_epoch
        .map_or_else(String::new, |epoch| epoch.to_string());
    let key = KeyBuilder::new(kind)
        .field("below", fetch::below_key(below)?)
        .field("configuration", &tools.configuration)
        .field("source date epoch", epoch)
        .list("packages", packages);
    let key = builder.protection.key(key);
    // The files are the same by their digests, but nobody signed what they need and in which order they come.
    let key = match fetch::is_signed(recipe) {
        true => key,
        false => key.field("unsigned sources", &tools.sources),
    };
    // Programs may do something else where ids are real, or where they have a device.
    let key = match builder.ids {
        IdMapping::Single => key,
        IdMapping::Range => key.field("ids", "range"),
    };
    let devices: Vec<_> = builder.grants.devices().map(bytes).collect();
    Ok(match devices.is_empty() {
        true => key,
        false => key.list("devices", devices),
    })
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Installing packages as one layer.
struct Step<'a> {
    name: &'static str,
    ids: IdMapping,
    grants: &'a Grants,
    recipe: &'a Recipe,
    tools: &'a Tools,
    below: Option<&'a Stack>,
    packages: &'a [String],
}

type Prepare<'a> = dyn Fn(&Builder<'_>, Purpose<'_>, &Tools, &Path) -> Result<(), Error> + 'a;

impl Step<'_> {
    /// Returns the layer of `key` from the store, or makes it: `prepare` fills the tree before apt works on it.
    fn make(
        &self,
        builder: &Builder<'_>,
        key: &Key,
        resolved: &[ResolvedPackage],
        prepare: &Prepare<'_>,
    ) -> Result<Layer, Error> {
        let started = Instant::now();
        let purpose = builder.purpose(&self.recipe.name, self.name);
        let lock = builder.wait_for(&self.recipe.name, || builder.store.try_lock_layer(key))?;
        if let Some(layer) = builder.layer(key)? {
            purpose.finished(started, true);
            return Ok(layer);
        }
        check_architecture(resolved)?;
        let staging = builder.store.stage()?;
        let tools = Tools {
            archives: Arc::new(staging.subdirectory("archives")?),
            ..self.tools.clone()
        };
        download::download(builder, self.recipe, self.tools, resolved, &tools.archives)?;
        let started = Instant::now();
        purpose.started();
        let newest = download::newest_build_time(&tools.archives, resolved)?;
        let epoch_seconds = newest.max(self.below.map_or(0, |stack| stack.epoch_seconds));
        let tree = staging.subdirectory("tree")?;
        if self.ids == IdMapping::Range {
            real_ids::own(&tree)?;
        }
        prepare(builder, purpose, &tools, tree.host_path())?;
        let owners = self.run_apt(
            builder,
            &tools,
            &staging,
            &tree,
            epoch_seconds,
            resolved.len() as u64,
        )?;
        let metadata = LayerMetadata {
            entry_owners: owners,
            packages: resolved.iter().map(installed_package).collect(),
            epoch_seconds,
        };
        let layer = builder.add_layer(key, staging, metadata)?;
        drop(lock);
        purpose.finished(started, false);
        Ok(layer)
    }

    fn run_apt(
        &self,
        builder: &Builder<'_>,
        tools: &Tools,
        staging: &Staging,
        tree: &Directory,
        epoch_seconds: u64,
        total: u64,
    ) -> Result<Vec<EntryOwner>, Error> {
        let guard = Guard::create(staging)?;
        let overlay = OverlayPlace {
            work: staging.subdirectory("work")?.host_path().into(),
            guards: std::iter::once(guard.directory.host_path().to_owned())
                .chain(self.real_ids(staging)?)
                .collect(),
            machine_id: guard.machine_id(),
        };
        let mut arguments = vec!["--no-download", "install", "--"];
        arguments.extend(self.packages.iter().map(String::as_str));
        let epoch = self.recipe.source_date_epoch.unwrap_or(epoch_seconds);
        let known = match (self.ids, self.below) {
            (IdMapping::Single, Some(stack)) => stack.entry_owners()?,
            _ => Vec::new(),
        };
        let places = Places {
            changes: Some(tree.host_path().into()),
            overlay: Some(overlay),
            variables: vec![("SOURCE_DATE_EPOCH", epoch.to_string())],
            ..tools.places(self.below)
        };
        let spec = builder
            .spec(StepKind::Install, apt::command(&arguments), &places)
            .entry_owners(known.iter().map(in_sandbox).collect());
        let spec = self.with_devices(spec);
        let purpose = builder.purpose(&self.recipe.name, self.name);
        let mut done = 0;
        let finished = run(purpose, &spec, &mut |line| {
            show_install(purpose, line, &mut done, total)
        })?;
        Ok(match self.ids {
            IdMapping::Single => entry_owners(&finished.outcome.records)
                .map_err(|source| Error::RecordedPath { source })?,
            IdMapping::Range => real_ids::record(tree)?,
        })
    }

    /// Adds the devices that the person grants, where the scripts of packages find them.
    fn with_devices(&self, spec: Spec) -> Spec {
        self.grants.devices().fold(spec, |spec, device| {
            let below = device.strip_prefix("/").unwrap_or(device);
            spec.device(device, Path::new(apt::ROOT).join(below))
        })
    }

    /// Makes a directory with what of the layers below has owners, for a step that sees real ones. It lies above them,
    /// and like the guard nothing of it gets into the layer.
    fn real_ids(&self, staging: &Staging) -> Result<Option<PathBuf>, Error> {
        let (IdMapping::Range, Some(below)) = (self.ids, self.below) else {
            return Ok(None);
        };
        let place = Place::new(staging.directory(), "ids".as_ref());
        real_ids::make_real(below.capture()?, &place)?;
        Ok(Some(place.host_path()))
    }
}

/// Fails when a package is for another architecture than this machine's, which dpkg refuses to install.
fn check_architecture(resolved: &[ResolvedPackage]) -> Result<(), Error> {
    let host = Architecture::of_machine(std::env::consts::ARCH);
    let Some(host) = host.and_then(Architecture::debian_name) else {
        return Ok(());
    };
    let is_foreign =
        |package: &&ResolvedPackage| !["all", host].contains(&package.architecture.as_str());
    match resolved.iter().find(is_foreign) {
        Some(package) => Err(Error::ForeignArchitecture {
            wanted: package.architecture.clone(),
            host,
        }),
        None => Ok(()),
    }
}

fn show_install(purpose: Purpose<'_>, line: &str, done: &mut u64, total: u64) {
    match apt::parse_status(line) {
        Some(Status::Package {
            package,
            action: "Installed",
        }) => {
            *done = total.min(*done + 1);
            purpose.progress(package, *done, total);
        }
        // apt's name for running dpkg itself.
        Some(Status::Package {
            package: "dpkg-exec",
            ..
        }) => {}
        Some(Status::Package { package, .. }) => purpose.progress(package, *done, total),
        Some(_) => {}
        None => purpose.output(line),
    }
}

/// Unpacks every package into the empty `tree`, so that there is a shell and dpkg to run maintainer scripts with.
fn unpack(
    builder: &Builder<'_>,
    purpose: Purpose<'_>,
    tools: &Tools,
    tree: &Path,
    merged_directories: &[&str],
    resolved: &[ResolvedPackage],
) -> Result<(), Error> {
    // dpkg gives owners and modes when it installs the same files again, but leaves directories that exist as they are.
    // There are no names for owners yet, so that tar and dpkg take the numbers. tar must not replace the merged
    // directories' links by the directories that packages ship (GNU tar 1.28).
    const SCRIPT: &str = "set -e; cd \"$1\"; shift
        mkdir -p var/lib/dpkg var/lib/apt; : > var/lib/dpkg/status; : > var/lib/dpkg/available
        while [ \"$1\" != -- ]; do mkdir -p \"usr/$1\"; ln -s \"usr/$1\" \"$1\"; shift; done; shift
        for package; do
            dpkg-deb --fsys-tarfile \"$package\" |
                tar --extract --keep-directory-symlink --numeric-owner --same-owner --same-permissions
        done";
    let mut command: Vec<String> = ["/bin/sh", "-c", SCRIPT, "unpack", apt::ROOT]
        .map(str::to_owned)
        .into();
    command.extend(merged_directories.iter().map(ToString::to_string));
    command.push("--".into());
    command.extend(
        resolved
            .iter()
            .map(|package| format!("{}/{}", apt::ARCHIVES, package.file_name)),
    );
    let places = Places {
        changes: Some(tree.into()),
        ..tools.places(None)
    };
    let spec = builder.spec(StepKind::Unpack, command, &places);
    run(purpose, &spec, &mut |line| purpose.output(line))?;
    Ok(())
}

/// A directory that keeps maintainer scripts from starting services and from making up a machine id. It is the topmost
/// lower, so nothing of it gets into the captured layer.
struct Guard {
    directory: Directory,
}

impl Guard {
    fn create(staging: &Staging) -> Result<Self, Error> {
        let directory = staging.subdirectory("guard")?;
        let machine_id = format!("{}\n", super::finish::BUILD_MACHINE_ID);
        let usr = Self::make_directory(&directory, "usr")?;
        let programs = Self::make_directory(&usr, "sbin")?;
        let etc = Self::make_directory(&directory, "etc")?;
        // Status 101 forbids the action (Debian Policy 9.3.3, invoke-rc.d(8)).
        Self::make_file(&programs, "policy-rc.d", 0o755, "#!/bin/sh\nexit 101\n")?;
        Self::make_file(&etc, "machine-id", 0o444, &machine_id)?;
        Ok(Self { directory })
    }

    /// Makes a directory. Copied up, it gives its mode to the layer, so the caller's umask must not show in it.
    fn make_directory(parent: &Directory, name: &str) -> Result<Directory, Error> {
        let made = parent.make_directory(name, Mode::RWXU).and_then(|made| {
            made.set_own_mode(Mode::from_raw_mode(0o755))?;
            Ok(made)
        });
        made.map_err(|error| Error::Prepare {
            path: parent.path_of(name),
            source: error.into(),
        })
    }

    fn make_file(parent: &Directory, name: &str, mode: u32, content: &str) -> Result<(), Error> {
        let make = || -> std::io::Result<()> {
            let mut file = parent.create_file(name, Mode::RUSR | Mode::WUSR)?;
            file.write_all(content.as_bytes())?;
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
        };
        make().map_err(|source| Error::Prepare {
            path: parent.path_of(name),
            source,
        })
    }

    fn machine_id(&self) -> PathBuf {
        self.directory.path_of("etc/machine-id")
    }
}

/// Returns a record of a layer below with its path inside the sandbox.
fn in_sandbox(owner: &EntryOwner) -> OwnerRecord {
    OwnerRecord {
        path: Path::new(apt::ROOT).join(owner.path.as_path()),
        uid: owner.uid,
        gid: owner.gid,
    }
}

/// Returns the records as the layer keeps them, without those of what lies outside of the image.
fn entry_owners(records: &[OwnerRecord]) -> Result<Vec<EntryOwner>, InvalidTreePath> {
    let below = |record: &OwnerRecord| {
        let path = record.path.strip_prefix(apt::ROOT).ok()?;
        let path = TreePath::new(path.as_os_str().as_bytes());
        Some(path.map(|path| EntryOwner {
            path,
            uid: record.uid,
            gid: record.gid,
        }))
    };
    records.iter().filter_map(below).collect()
}

fn installed_package(package: &ResolvedPackage) -> InstalledPackage {
    InstalledPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        sha256: package.sha256.clone(),
    }
}
