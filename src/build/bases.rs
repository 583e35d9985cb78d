//! Base trees: each becomes a directory that an overlay can have as a lower one.
//!
//! Directories are used where they are. Archives and images are unpacked into a layer of the store, whose key is their
//! digest, so that it is done once. They are stacked in the order of the recipe, each on those before it, whether the
//! image is a whole system or only what is put on its base.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::FileType;

use super::disk::BYTES_PER_FILE;
use super::stack::Stack;
use super::{Builder, Error, finish, private};
use crate::beneath::{Directory, Place};
use crate::format::directory;
use crate::plan::{Key, KeyBuilder};
use crate::recipe::Recipe;
use crate::source::{self, OciImage, Scratch, Source};
use crate::store::LayerMetadata;
use crate::tree::FileTree;

/// What apt knows to be installed.
const PACKAGES: &str = "var/lib/dpkg/status";

/// Fails when a base tree of `recipe` that is not `made` by an earlier image is nothing to build on, before anything is
/// downloaded for the others.
pub(super) fn check(recipe: &Recipe, made: &dyn Fn(&Path) -> bool) -> Result<(), Error> {
    let mut lacks_packages = changes_packages(recipe);
    for path in &recipe.base_trees {
        if made(path) {
            lacks_packages = false;
            continue;
        }
        match open(recipe, path, path)? {
            Source::Directory(tree) => lacks_packages &= !has_packages(&tree),
            // What is in them is known when they are unpacked.
            _ => lacks_packages = false,
        }
    }
    match recipe.base_trees.first() {
        Some(path) if lacks_packages => Err(without_packages(recipe, path)),
        _ => Ok(()),
    }
}

/// Returns the base trees of `recipe`, stacked on each other.
pub(super) fn stack(builder: &Builder<'_>, recipe: &Recipe) -> Result<Stack, Error> {
    let mut directories = Vec::new();
    let mut keys = Vec::new();
    for path in &recipe.base_trees {
        // An image of this very run is still staged.
        let found = builder.output.staged(path).unwrap_or_else(|| path.into());
        match open(recipe, path, &found)? {
            Source::Directory(_) => directories.push(found),
            source => {
                let (directory, key) = unpacked(builder, recipe, path, &source)?;
                directories.push(directory);
                keys.push(key);
            }
        }
    }
    let all_known = keys.len() == directories.len();
    let mut stack = Stack::of_directories(directories)?;
    if all_known {
        let keys = keys.iter().map(Key::as_str);
        stack = stack.known_as(KeyBuilder::new("base trees").list("layers", keys).finish());
    }
    if let (true, Some(tree)) = (changes_packages(recipe), stack.base())
        && tree.resolve(&finish::path(PACKAGES)).is_none()
    {
        return Err(without_packages(recipe, &recipe.base_trees[0]));
    }
    Ok(stack)
}

/// Returns the OCI image that the base tree `path` is; `None` when it is something else.
pub(super) fn oci_image(
    builder: &Builder<'_>,
    recipe: &Recipe,
    path: &Path,
) -> Result<Option<OciImage>, Error> {
    let found = builder.output.staged(path).unwrap_or_else(|| path.into());
    let source = open(recipe, path, &found)?;
    let scratch = builder.scratch(builder.staging.directory());
    source
        .oci_image(architecture(recipe), &scratch)
        .map_err(|source| Error::BaseTree {
            origin: origin(recipe, path),
            source: Box::new(source),
        })
}

fn changes_packages(recipe: &Recipe) -> bool {
    recipe.changed_packages().next().is_some()
}

fn origin(recipe: &Recipe, path: &Path) -> String {
    recipe.origin_of("BaseTrees", &path.to_string_lossy())
}

/// Opens the base tree `path` of `recipe`, which is `found` on disk.
fn open(recipe: &Recipe, path: &Path, found: &Path) -> Result<Source, Error> {
    let origin = origin(recipe, path);
    // The person named it, or the recipe one that was found inside its own directory, or an earlier image is there.
    let source = Source::open(found).map_err(|error| match error {
        source::Error::Open { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::BaseTreeMissing {
                path: path.into(),
                origin: origin.clone(),
            }
        }
        source => Error::BaseTree {
            origin: origin.clone(),
            source: Box::new(source),
        },
    })?;
    match &source {
        Source::Directory(tree) | Source::Layout(tree) => private::check(recipe, tree, &origin)?,
        Source::File(_) => private::check_file(recipe, found, &origin)?,
    }
    Ok(source)
}

fn has_packages(tree: &Directory) -> bool {
    let status = tree.inode_as_root(&finish::path(PACKAGES));
    status.is_ok_and(|status| status.file_type() == FileType::RegularFile)
}

fn without_packages(recipe: &Recipe, path: &Path) -> Error {
    Error::BaseTreeWithoutPackages {
        path: path.into(),
        origin: origin(recipe, path),
    }
}

/// Returns the directory in the store that has what is in an archive or image, with its key.
fn unpacked(
    builder: &Builder<'_>,
    recipe: &Recipe,
    path: &Path,
    source: &Source,
) -> Result<(PathBuf, Key), Error> {
    let failed = |source| Error::BaseTree {
        origin: origin(recipe, path),
        source: Box::new(source),
    };
    let architecture = architecture(recipe);
    let started = Instant::now();
    let digest = source
        .digest(architecture)
        .map_err(failed)?
        .unwrap_or_default();
    let key = KeyBuilder::new("base tree")
        .field("source", &digest)
        .field("architecture", architecture)
        .finish();
    let name = path.file_name().unwrap_or(path.as_os_str());
    let step = format!("unpack {}", name.to_string_lossy());
    let purpose = builder.purpose(&recipe.name, &step);
    let lock = builder.wait_for(&recipe.name, || builder.store.try_lock_layer(&key))?;
    if let Some(layer) = builder.layer(&key)? {
        purpose.finished(started, true);
        return Ok((layer.tree, key));
    }
    purpose.started();
    let staging = builder.store.stage()?;
    let scratch = builder.scratch(staging.directory());
    let read = source.tree(architecture, &scratch).map_err(failed)?;
    if read.digest != digest {
        return Err(Error::BaseTreeChanged { path: path.into() });
    }
    check_count(path, &read.tree, &scratch).map_err(failed)?;
    let place = Place::new(staging.directory(), "tree".as_ref());
    directory::write_at(&read.tree, &place).map_err(|source| Error::UnpackBaseTree {
        path: path.into(),
        source,
    })?;
    drop(read);
    let layer = builder.add_layer(&key, staging, LayerMetadata::default())?;
    drop(lock);
    purpose.finished(started, false);
    Ok((layer.tree, key))
}

/// Fails when a tree has more names than go with the limit of disk space.
fn check_count(path: &Path, tree: &FileTree, scratch: &Scratch<'_>) -> Result<(), source::Error> {
    if tree.entry_count() as u64 <= scratch.limit_bytes / BYTES_PER_FILE {
        return Ok(());
    }
    Err(source::Error::TooLarge {
        path: path.into(),
        limit_bytes: scratch.limit_bytes,
    })
}

/// Returns OCI's name of the architecture; images for one that has none are not found.
pub(super) fn architecture(recipe: &Recipe) -> &'static str {
    recipe
        .architecture
        .oci_name()
        .map_or("none", |(name, _)| name)
}
