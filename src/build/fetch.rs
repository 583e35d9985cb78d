//! Repository metadata, and the choice of packages from it. Nothing here runs a line of the recipe's or a package's
//! code.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FileType, Mode};

use super::install::Request;
use super::local::LocalPackages;
use super::policy::StepKind;
use super::reach::Reach;
use super::run::{Purpose, run};
use super::sandbox_trees::SandboxTrees;
use super::stack::Stack;
use super::tools::Tools;
use super::{Builder, Error, apt_error};
use crate::beneath::{self, Directory};
use crate::distribution::{self, RepositoryChoice};
use crate::packages::apt::{self, Configuration, ResolvedPackage, Stanza, Status, Trust};
use crate::plan::{Key, KeyBuilder};
use crate::recipe::{CacheOnly, Origin, Recipe};
use crate::store;

/// Waits a second before each of the retries; apt doubles the time otherwise, and a mistyped mirror takes long to tell.
pub(super) const QUICK_RETRIES: &str = "-oAcquire::Retries::Delay::Maximum=1";

/// It is there when the lists beside it were complete once; a refresh that was killed leaves a part of them.
const REFRESHED: &str = "refreshed";
/// Where apt keeps what it has not got whole.
const PARTIAL: &str = "partial";
/// A Release file of a distribution has some hundred kilobytes.
const RELEASE_LIMIT_BYTES: u64 = 64 << 20;

const METADATA: &str = "repository metadata";
const RESOLVE: &str = "resolve packages";

/// Returns the package manager's sandbox for `recipe`, with fresh repository metadata, and the recipe's own packages with
/// those in `built`.
pub(super) fn tools(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    built: Option<&Path>,
) -> Result<Tools, Error> {
    let local = local_packages(builder, recipe, built)?;
    let tools = of_mirrors(builder, recipe)?;
    if local.is_empty() {
        return Ok(tools);
    }
    let index = local.index();
    let key = KeyBuilder::new("metadata with local packages")
        .field("lists", tools.lists.host_path().as_os_str().as_bytes())
        .field("index", &index)
        .finish();
    let lists = match builder.metadata.get(&key) {
        Some(lists) => Arc::clone(lists),
        None => {
            let lists = Arc::new(lists_with(builder, &tools, &index, &key)?);
            builder.metadata.insert(key, Arc::clone(&lists));
            lists
        }
    };
    Ok(Tools {
        sources: tools.sources.clone() + &apt::render_sources(&[LocalPackages::stanza()]),
        lists,
        local,
        ..tools
    })
}

/// Returns the recipe's own packages, which are looked at once in a build, and those that scripts left in `built`.
fn local_packages(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    built: Option<&Path>,
) -> Result<Arc<LocalPackages>, Error> {
    if built.is_some() {
        return Ok(Arc::new(LocalPackages::find(recipe, built)?));
    }
    let places: Vec<PathBuf> = LocalPackages::places(recipe).map(Path::to_owned).collect();
    if let Some(local) = builder.local_packages.get(&places) {
        return Ok(Arc::clone(local));
    }
    let local = Arc::new(LocalPackages::find(recipe, None)?);
    builder.local_packages.insert(places, Arc::clone(&local));
    Ok(local)
}

/// Returns a directory with the metadata of `tools` and the index of the recipe's own packages.
fn lists_with(
    builder: &Builder<'_>,
    tools: &Tools,
    index: &str,
    key: &Key,
) -> Result<Directory, Error> {
    let lists = builder.staging.subdirectory(&format!("lists-{key}"))?;
    link_files(&tools.lists, &lists).map_err(unprepared)?;
    store::own_directory(&lists, PARTIAL)?;
    for (name, text) in [
        (apt::LOCAL_INDEX, index),
        (apt::LOCAL_RELEASE, apt::LOCAL_RELEASE_TEXT),
    ] {
        let write = || {
            let mut file = lists.create_file(name, Mode::from_raw_mode(0o666))?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|source| Error::Prepare {
            path: lists.path_of(name),
            source,
        })?;
    }
    Ok(lists)
}

/// Returns the package manager's sandbox with what the mirrors have.
///
/// Metadata is refreshed once in a build for each set of repositories. Later steps read a snapshot of it, so a
/// concurrent build that refreshes it again does not change what this one sees.
fn of_mirrors(builder: &mut Builder<'_>, recipe: &Recipe) -> Result<Tools, Error> {
    let stanzas = repositories(builder, recipe)?;
    for stanza in &stanzas {
        if let Trust::Keyring(path) = &stanza.trust
            && !path.exists()
        {
            return Err(Error::KeyringMissing { path: path.clone() });
        }
    }
    let architecture = recipe
        .architecture
        .debian_name()
        .unwrap_or_else(|| recipe.architecture.systemd_name());
    let trees = SandboxTrees::read(recipe)?;
    // Ours count more, as what mkosi writes on apt's command line.
    let configuration = trees.options.clone()
        + &apt::configuration(&Configuration {
            architecture,
            with_recommends: recipe.with_recommends,
            with_docs: recipe.with_docs,
            check_signatures: recipe.repository_key_check,
            // What was signed for a time is kept as it was.
            check_validity: recipe.package_sources.snapshot.is_none(),
        });
    let sources = match trees.replaces_mirrors {
        true => trees.sources(),
        false => apt::render_sources(&stanzas) + &trees.sources(),
    };
    let key = KeyBuilder::new("metadata")
        .field("sources", &sources)
        .field("architecture", architecture);
    let key = match recipe.package_sources.sandbox_trees.as_slice() {
        [] => key,
        // They may weaken what is checked, too.
        _ => Tools::files_in_key(&trees.files, key.field("configuration", &configuration)),
    };
    let key = key.finish();
    let (archives, readable_archives) = package_directories(builder, recipe, &key)?;
    if let Some(lists) = builder.metadata.get(&key) {
        return Ok(Tools {
            configuration,
            sources,
            files: trees.files,
            lists: lists.clone(),
            archives,
            local: Arc::default(),
            readable_archives,
        });
    }
    let directory = builder.store.repository_metadata(&key)?;
    let lock = builder.wait_for(&recipe.name, || builder.store.try_lock_metadata(&key))?;
    let refreshed = directory.file_type(REFRESHED).map_err(unprepared)?;
    let known = refreshed == Some(FileType::RegularFile);
    let current = store::own_directory(&directory, "lists")?;
    store::own_directory(&current, PARTIAL)?;
    let tools = Tools {
        configuration,
        sources,
        files: trees.files,
        lists: Arc::new(current),
        archives,
        local: Arc::default(),
        readable_archives,
    };
    let stay_offline = matches!(recipe.cache_only, CacheOnly::Always | CacheOnly::Metadata);
    if !known && recipe.cache_only == CacheOnly::Always {
        return Err(Error::MetadataNotCached);
    }
    if !(known && stay_offline) {
        refresh(builder, recipe, &tools)?;
        mark_refreshed(&directory).map_err(unprepared)?;
    }
    if let Some(stamp) = builder.store.metadata_stamp(key.as_str()) {
        builder.metadata_stamps.insert(key.to_string(), stamp);
    }
    let snapshot = builder.staging.subdirectory(&format!("lists-{key}"))?;
    link_files(&tools.lists, &snapshot).map_err(unprepared)?;
    store::own_directory(&snapshot, PARTIAL)?;
    let snapshot = Arc::new(snapshot);
    drop(lock);
    builder.metadata.insert(key, snapshot.clone());
    Ok(Tools {
        lists: snapshot,
        ..tools
    })
}

fn repositories(builder: &Builder<'_>, recipe: &Recipe) -> Result<Vec<Stanza>, Error> {
    let choice = RepositoryChoice {
        distribution: recipe.distribution,
        release: &recipe.release,
        mirror: recipe.mirror.as_deref(),
        snapshot: recipe.package_sources.snapshot.as_deref(),
        local_mirror: recipe.local_mirror.as_deref(),
        repositories: &recipe.repositories,
        check_signatures: recipe.repository_key_check,
    };
    Ok(distribution::repositories(
        &choice,
        builder.host_repositories,
    )?)
}

/// Returns what the steps that download for `recipe` may reach.
pub(super) fn reach(builder: &Builder<'_>, recipe: &Recipe) -> Result<Reach, Error> {
    if builder.grants.network() {
        return Ok(Reach::of_host());
    }
    let trees = SandboxTrees::read(recipe)?;
    let repositories = match trees.replaces_mirrors {
        true => Vec::new(),
        false => repositories(builder, recipe)?,
    };
    let listed: Vec<&str> = trees.uris().collect();
    Ok(Reach::of(recipe, &repositories, &listed, &builder.host))
}

/// Tells whether what packages there are, and what is in them, was signed by a key that the recipe may name.
pub(super) fn is_signed(recipe: &Recipe) -> bool {
    // A sandbox tree may bring keys and options of its own.
    let has_mirrors =
        recipe.local_mirror.is_none() && recipe.package_sources.sandbox_trees.is_empty();
    recipe.repository_key_check && has_mirrors
}

/// Returns the directory for packages from these sources, and those that are only read.
///
/// Packages that nobody signed have one for each list of sources: they must not be found where signed ones are looked
/// for under the same name.
///
/// A build that is not trusted writes into its own store only, and takes from elsewhere what has the right digest.
fn package_directories(
    builder: &Builder<'_>,
    recipe: &Recipe,
    sources: &Key,
) -> Result<(Arc<Directory>, Vec<Arc<Directory>>), Error> {
    let mut target = format!(
        "{}~{}~{}",
        recipe.distribution.name(),
        recipe.release,
        recipe.architecture.systemd_name()
    );
    let mut name = "archives".to_owned();
    let mut targets = vec![target.clone()];
    if !is_signed(recipe) {
        let unsigned = format!("unsigned-{}", &sources.as_str()[..16]);
        target = format!("{target}~{unsigned}");
        targets.push(target.clone());
        name = unsigned;
    }
    let mut readable = Vec::new();
    if let Some(trusted) = &builder.trusted {
        readable.extend(
            targets
                .iter()
                .filter_map(|target| trusted.package_directory(target)),
        );
    }
    let named = recipe.package_cache_directory.as_ref();
    let is_personal = recipe
        .origin("PackageCacheDirectory")
        .is_some_and(Origin::is_personal);
    if let (store::Trust::Untrusted, Some(directory), true) = (builder.trust, named, is_personal) {
        let named = Directory::open(directory).and_then(|named| named.subdirectory("archives"));
        readable.extend(named.ok());
    }
    let archives = match named.filter(|_| builder.trust == store::Trust::Trusted) {
        Some(directory) => {
            // The person names this directory, or the recipe one inside its own.
            fs_err::create_dir_all(directory).map_err(|source| Error::Prepare {
                path: directory.clone(),
                source,
            })?;
            store::own_directory(&Directory::open(directory).map_err(unprepared)?, &name)?
        }
        None => builder.store.package_directory(&target)?,
    };
    store::own_directory(&archives, PARTIAL)?;
    Ok((
        Arc::new(archives),
        readable.into_iter().map(Arc::new).collect(),
    ))
}

fn refresh(builder: &Builder<'_>, recipe: &Recipe, tools: &Tools) -> Result<(), Error> {
    let started = Instant::now();
    let purpose = builder.purpose(&recipe.name, METADATA);
    purpose.started();
    let command = apt::command(&["-oAPT::Update::Error-Mode=any", QUICK_RETRIES, "update"]);
    let reach = reach(builder, recipe)?;
    let places = tools.places(None).with_reach(&reach);
    let spec = builder.spec(StepKind::Metadata, command, &places);
    run(purpose, &spec, &mut |line| show_download(purpose, line))
        .map_err(|error| apt_error::classify(reach.classify(error), recipe, "Packages"))?;
    purpose.finished(started, false);
    Ok(())
}

/// Leaves the mark of a complete refresh, a file of its own: the cache may have come with the recipe.
fn mark_refreshed(directory: &Directory) -> Result<(), beneath::Error> {
    let mode = Mode::from_raw_mode(0o666);
    directory.open_or_create_file(REFRESHED, mode).map(drop)
}

/// Gives the files of `from` second names in `to`; apt replaces files and never changes them.
fn link_files(from: &Directory, to: &Directory) -> Result<(), beneath::Error> {
    for name in from.names()? {
        if from.file_type(&name)? == Some(FileType::RegularFile) {
            from.link(&name, to, &name)?;
        }
    }
    Ok(())
}

fn unprepared(error: beneath::Error) -> Error {
    Error::Prepare {
        path: error.path().into(),
        source: error.into(),
    }
}

/// Returns the packages that apt would install for `request` on top of `below`, sorted by name.
///
/// apt chooses the same from the same metadata, so its choice is kept and asked for again only when that changes.
pub(super) fn resolve(
    builder: &Builder<'_>,
    recipe: &Recipe,
    tools: &Tools,
    below: Option<&Stack>,
    request: &Request<'_>,
) -> Result<Vec<ResolvedPackage>, Error> {
    let key = resolution_key(tools, below, request)?;
    if !builder.ignore_store
        && let Some(resolved) = builder.store.resolution(&key)
    {
        return Ok(resolved);
    }
    let started = Instant::now();
    let purpose = builder.purpose(&recipe.name, RESOLVE);
    purpose.started();
    // apt does not name what is in its cache already, so that it gets one that is empty.
    let mut arguments = vec![
        "-oDir::Cache::archives=/var/cache/apt/archives",
        "--print-uris",
    ];
    arguments.extend(request.arguments());
    let command = apt::command(&arguments);
    let spec = builder.spec(StepKind::Resolve, command, &tools.places(below));
    let finished = run(purpose, &spec, &mut |_| {})
        .map_err(|error| apt_error::classify(error, recipe, request.setting))?;
    let mut resolved = apt::parse_uris(&finished.stdout)?;
    resolved.sort();
    if !builder.ignore_store {
        builder
            .store
            .keep_resolution(&key, &resolved, &builder.staging)?;
    }
    purpose.finished(started, false);
    Ok(resolved)
}

/// Returns the key of what packages are installed on, empty for nothing.
pub(super) fn below_key(below: Option<&Stack>) -> Result<&str, Error> {
    Ok(match below {
        Some(stack) => stack.key()?.as_str(),
        None => "",
    })
}

/// Returns the key of what decides apt's choice: its configuration, the signed metadata and the packages below.
fn resolution_key(
    tools: &Tools,
    below: Option<&Stack>,
    request: &Request<'_>,
) -> Result<Key, Error> {
    let mut files = Vec::new();
    for name in tools.lists.names().map_err(unprepared)? {
        let file = tools.lists.entry(&name).map_err(unprepared)?;
        if file.file_type() != FileType::RegularFile {
            continue;
        }
        // Release files name the digests of all others; an unsigned repository may lack them, and our own does.
        let is_whole = name.ends_with(b"Release") || name == apt::LOCAL_INDEX.as_bytes();
        let content = match is_whole {
            true => file.read(RELEASE_LIMIT_BYTES).map_err(unprepared)?,
            false => {
                let status = file.status();
                format!("{} {}", status.stx_size, status.stx_mtime.tv_sec).into_bytes()
            }
        };
        files.push((String::from_utf8_lossy(&name).into_owned(), content));
    }
    files.sort();
    Ok(
        Tools::files_in_key(&tools.files, KeyBuilder::new("resolution"))
            .field("below", below_key(below)?)
            .field("configuration", &tools.configuration)
            .field("sources", &tools.sources)
            .list("packages", request.arguments())
            .list("names", files.iter().map(|(name, _)| name))
            .list("files", files.iter().map(|(_, content)| content))
            .finish(),
    )
}

/// Shows how many files apt has got.
pub(super) fn show_download(purpose: Purpose<'_>, line: &str) {
    match apt::parse_status(line) {
        Some(Status::Downloading { number, total }) => purpose.progress("", number, total),
        Some(_) => {}
        None => purpose.output(line),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{REFRESHED, link_files, mark_refreshed};
    use crate::beneath::tests::World;

    #[test]
    fn mark_of_a_refresh_is_no_link_out_of_the_cache() {
        let world = World::new();
        mark_refreshed(&world.tree).unwrap();
        mark_refreshed(&world.tree).unwrap();
        assert_eq!(world.tree.read(REFRESHED, 0).unwrap().unwrap(), b"");
        for target in ["canary", "new"] {
            world.tree.remove(REFRESHED).unwrap();
            let target = world.outside().join(target);
            fs::os::unix::fs::symlink(target, world.path(REFRESHED)).unwrap();
            assert!(mark_refreshed(&world.tree).is_err());
        }
        world.assert_canary();
    }

    #[test]
    fn a_snapshot_holds_regular_files_alone() {
        let world = World::new();
        let from = world.tree.make_directory("from", rustix::fs::Mode::RWXU);
        let to = world.tree.make_directory("to", rustix::fs::Mode::RWXU);
        let (from, to) = (from.unwrap(), to.unwrap());
        let fifo = rustix::fs::FileType::Fifo;
        from.make_special("fifo", fifo, rustix::fs::Mode::RUSR)
            .unwrap();
        from.make_symlink("link", "../../outside/canary").unwrap();
        fs::create_dir(from.path_of("partial")).unwrap();
        fs::write(from.path_of("Release"), "x").unwrap();
        link_files(&from, &to).unwrap();
        assert_eq!(to.names().unwrap(), [b"Release"]);
    }
}
