//! Steps that run package code, without network: making a minimal system, and installing packages on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::download;
use super::fetch;
use super::guard::Guard;
use super::local::LocalPackages;
use super::over::Over;
use super::policy::{Places, StepKind};
use super::run::{Purpose, run};
use super::stack::Stack;
use super::tools::Tools;
use super::{Builder, Error};
use crate::capture::EntryOwner;
use crate::distribution;
use crate::packages::apt::{self, ResolvedPackage, Status};
use crate::plan::{Key, KeyBuilder};
use crate::recipe::{Architecture, Recipe};
use crate::store::{InstalledPackage, Layer, LayerMetadata};

const BOOTSTRAP: &str = "bootstrap";
/// The kind of the layer's key, whoever asked for the packages.
const INSTALL: &str = "install packages";

/// Packages to install or remove as one layer, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// What the step is called for people. Layers do not depend on it.
    pub(super) name: &'static str,
    /// The setting that names the packages, for messages.
    pub(super) setting: &'static str,
    pub(super) packages: &'a [String],
    pub(super) verb: Verb,
    /// A directory in which build scripts left packages.
    pub(super) built: Option<&'a Path>,
}

/// What becomes of the packages of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    Install,
    /// As before; an installed one may become older, where the repository that is preferred has an older one.
    InstallAnyVersion,
    /// They go, with their configuration and what is there for their sake alone.
    Purge,
}

impl<'a> Request<'a> {
    /// Returns the packages of the image itself.
    pub(super) fn of_image(recipe: &'a Recipe) -> Self {
        Self {
            name: "install packages",
            setting: "Packages",
            packages: &recipe.packages,
            verb: Verb::Install,
            built: None,
        }
    }

    /// Returns the packages that build scripts need, and the image does not.
    pub(super) fn of_build(recipe: &'a Recipe) -> Self {
        Self {
            name: "install build packages",
            setting: "BuildPackages",
            packages: &recipe.package_sources.build_packages,
            verb: Verb::Install,
            built: None,
        }
    }

    /// Returns the packages that are installed after build scripts, which may have made them.
    pub(super) fn volatile(recipe: &'a Recipe) -> Self {
        Self {
            name: "install volatile packages",
            setting: "VolatilePackages",
            packages: &recipe.package_sources.volatile_packages,
            verb: Verb::InstallAnyVersion,
            built: None,
        }
    }

    /// Returns the packages that are removed at the end.
    pub(super) fn removal(recipe: &'a Recipe) -> Self {
        Self {
            name: "remove packages",
            setting: "RemovePackages",
            packages: &recipe.package_sources.removed_packages,
            verb: Verb::Purge,
            built: None,
        }
    }

    /// Returns apt's arguments that do it.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        let options: &[&str] = match self.verb {
            Verb::Install => &["install", "--"],
            Verb::InstallAnyVersion => &["--allow-downgrades", "install", "--"],
            Verb::Purge => &["--allow-remove-essential", "purge", "--"],
        };
        let packages = self.packages.iter().map(String::as_str);
        options.iter().copied().chain(packages)
    }
}

/// Returns the stack of a minimal system for `recipe`.
pub(super) fn bootstrap(builder: &mut Builder<'_>, recipe: &Recipe) -> Result<Stack, Error> {
    let tools = fetch::tools(builder, recipe, None)?;
    let bootstrap = distribution::bootstrap(recipe.distribution, recipe.architecture);
    let request = Request {
        name: BOOTSTRAP,
        packages: &bootstrap.packages,
        ..Request::of_image(recipe)
    };
    let resolved = fetch::resolve(builder, recipe, &tools, None, &request)?;
    let key = layer_key(builder, BOOTSTRAP, None, recipe, &tools, &resolved)?
        .list("requested", &bootstrap.packages)
        .list("merged directories", &bootstrap.merged_directories)
        .finish();
    let step = Step {
        request: &request,
        recipe,
        tools: &tools,
        below: None,
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

/// Returns `below` with the packages of `request` installed on top, or removed from it; `below` itself when it has all
/// that are to be installed.
pub(super) fn install(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    below: Stack,
    request: &Request<'_>,
) -> Result<Stack, Error> {
    let tools = fetch::tools(builder, recipe, request.built)?;
    let packages = LocalPackages::in_apts_words(recipe, request.packages)?;
    let request = &Request {
        packages: &packages,
        ..*request
    };
    let resolved = fetch::resolve(builder, recipe, &tools, Some(&below), request)?;
    // Removing takes no package, but what depended on one may want another instead.
    if resolved.is_empty() && request.verb != Verb::Purge {
        return Ok(below);
    }
    // apt records which packages were asked for by name, so the same files can come with another record of them.
    let key = layer_key(builder, INSTALL, Some(&below), recipe, &tools, &resolved)?
        .list("requested", request.arguments())
        .finish();
    let step = Step {
        request,
        recipe,
        tools: &tools,
        below: Some(&below),
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
    // The files are the same by their digests, but nobody signed what they need and in which order they come.
    let key = match fetch::is_signed(recipe) {
        true => key,
        false => Tools::files_in_key(&tools.files, key.field("unsigned sources", &tools.sources)),
    };
    Ok(builder.common_key(key))
}

/// Installing packages as one layer.
struct Step<'a> {
    request: &'a Request<'a>,
    recipe: &'a Recipe,
    tools: &'a Tools,
    below: Option<&'a Stack>,
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
        let purpose = builder.purpose(&self.recipe.name, self.request.name);
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
        let over = Over::new(
            builder,
            &staging,
            self.below,
            Guard::for_packages(&staging)?,
        )?;
        prepare(builder, purpose, &tools, over.tree())?;
        let total = resolved.len() as u64;
        let owners = self.run_apt(builder, &tools, &over, epoch_seconds, total)?;
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
        over: &Over<'_>,
        epoch_seconds: u64,
        total: u64,
    ) -> Result<Vec<EntryOwner>, Error> {
        let arguments: Vec<_> = std::iter::once("--no-download")
            .chain(self.request.arguments())
            .collect();
        let epoch = self.recipe.source_date_epoch.unwrap_or(epoch_seconds);
        let places = Places {
            variables: vec![("SOURCE_DATE_EPOCH", epoch.to_string())],
            ..tools.places(self.below)
        };
        let spec = over.spec(builder, StepKind::Install, apt::command(&arguments), places)?;
        let purpose = builder.purpose(&self.recipe.name, self.request.name);
        let mut done = 0;
        over.run(builder, purpose, &spec, &mut |line| {
            show_install(purpose, line, &mut done, total)
        })
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

fn installed_package(package: &ResolvedPackage) -> InstalledPackage {
    InstalledPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        sha256: package.sha256.clone(),
    }
}
