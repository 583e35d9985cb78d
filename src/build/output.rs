//! Writes a finished tree in the recipe's format, into the staged output directory.
//!
//! This is the one place that leads from a recipe to a writer. `image` writes what has partitions, `archive` what is a
//! stream, and what is written besides is made of the first file, which lies beside it in the staging directory.

mod archive;
mod compressed;
mod error;
mod image;

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use rustix::fs::Mode;

pub use self::error::{FileSystemError, WriteError};
use self::image::Artifact;
use super::Error;
use crate::beneath::Place;
use crate::capture;
use crate::digest::sha256_of_file;
use crate::format::compression::Codec;
use crate::format::directory;
use crate::publish::{self, OutputDirectory};
use crate::recipe::{Format, Recipe};
use crate::tree::{FileTree, Timestamp};

pub(super) use self::image::{check_keys, is_signed};

/// The name of an image in the staging directory until it is compressed.
const SCRATCH: &str = ".image";

/// What writing an output has brought forth besides the file itself.
#[derive(Debug, Default)]
struct Made {
    /// What the person should know about it.
    warnings: Vec<String>,
    /// The files to make of it, in their order.
    artifacts: Vec<Artifact>,
}

/// Returns a function that tells which output could not be written.
fn writing<E: Into<WriteError>>(name: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Write {
        name: name.into(),
        source: error.into(),
    }
}

/// Fails when something that no build made is where the output belongs, before anything is built.
pub(super) fn check_place(recipe: &Recipe) -> Result<(), Error> {
    let path = recipe.output_directory.join(recipe.output_file_name());
    match recipe.format {
        Format::Directory => publish::check_directory_place(&path)?,
        _ => publish::check_file_place(&path)?,
    }
    for name in recipe.artifact_names() {
        publish::check_file_place(&recipe.output_directory.join(name))?;
    }
    Ok(())
}

/// Writes `tree` as the outputs of `recipe`, with the text of its manifest if there is one, and returns what the person should know about them.
pub(super) fn write(
    output: &mut OutputDirectory,
    recipe: &Recipe,
    tree: &FileTree,
    manifest: Option<&str>,
    build_time: Timestamp,
    started: Instant,
) -> Result<Vec<String>, Error> {
    let name = recipe.output_file_name();
    let mode = recipe.output_mode;
    let mut files = Vec::new();
    if let Some(text) = manifest {
        let name = recipe.manifest_file_name();
        output.add(&recipe.name, &name, mode, started, |place| {
            create(place)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(writing(&name))
        })?;
        files.push(name);
    }
    if recipe.format == Format::Directory && is_unchanged(&output.place_of(&name), tree) {
        output.keep(&recipe.name, &name, started);
        return Ok(Vec::new());
    }
    let codec = recipe.outer_compression().codec(recipe.compress_level);
    // The parts of a compressed image are those of the image inside, which lies beside it until they are made.
    let is_wrapped = recipe.format.is_disk_image() && codec != Codec::None;
    let made = if is_wrapped {
        let made = write_format(&output.scratch(SCRATCH), &name, recipe, tree, build_time)?;
        output.add(&recipe.name, &name, mode, started, |place| {
            beside(place, SCRATCH)
                .map_err(WriteError::from)
                .and_then(|image| image::copy_all(image, place, codec))
                .map_err(writing(&name))
        })?;
        made
    } else {
        output.add(&recipe.name, &name, mode, started, |place| {
            write_format(place, &name, recipe, tree, build_time)
        })?
    };
    if let Some(link) = recipe.output_link_name() {
        output.add_link(&recipe.name, link, &name)?;
    }
    files.push(name.clone());
    let image = match is_wrapped {
        true => SCRATCH,
        false => &name,
    };
    for artifact in made.artifacts {
        output.add(&recipe.name, &artifact.name, mode, started, |place| {
            artifact
                .write(place, image, codec)
                .map_err(writing(&artifact.name))
        })?;
        files.push(artifact.name);
    }
    if is_wrapped {
        output.remove_scratch(SCRATCH).map_err(writing(&name))?;
    }
    if recipe.checksum && recipe.format != Format::Directory {
        files.sort();
        let checksums = recipe.checksums_file_name();
        output.add(&recipe.name, &checksums, mode, started, |place| {
            write_checksums(place, &files).map_err(writing(&checksums))
        })?;
    }
    Ok(made.warnings)
}

/// Chooses the writer.
fn write_format(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
    build_time: Timestamp,
) -> Result<Made, Error> {
    match recipe.format {
        Format::Directory => {
            directory::write_at(tree, place).map_err(writing(name))?;
            Ok(Made::default())
        }
        Format::Cpio | Format::Tar => archive::write(place, recipe, tree).map_err(writing(name)),
        Format::Sysext | Format::Confext | Format::Portable | Format::Disk => {
            image::write(place, name, recipe, tree, build_time)
        }
        Format::None => Ok(Made::default()),
    }
}

/// Writes the digests of `files`, which lie beside `place`, in the form of sha256sum(1).
fn write_checksums(place: &Place<'_>, files: &[String]) -> std::io::Result<()> {
    let mut text = String::new();
    for name in files {
        let digest = sha256_of_file(beside(place, name)?)?;
        text += &format!("{digest} *{name}\n");
    }
    create(place)?.write_all(text.as_bytes())
}

/// Opens the file `name` in the directory of `place`.
fn beside(place: &Place<'_>, name: &str) -> std::io::Result<File> {
    let entry = place.directory().entry(name.as_bytes())?;
    Ok(entry.open_file()?)
}

/// Tells whether the directory at `place` holds `tree` and nothing else.
///
/// Reading both is faster than writing thousands of files and removing as many old ones. A directory that cannot be
/// read is simply made anew.
fn is_unchanged(place: &Place<'_>, tree: &FileTree) -> bool {
    let Ok(directory) = place.directory().subdirectory(place.name()) else {
        return false;
    };
    capture::merge_directory(directory)
        .is_ok_and(|existing| existing.is_same_as(tree).unwrap_or(false))
}

fn create(place: &Place<'_>) -> std::io::Result<File> {
    Ok(place.create_file(Mode::from_raw_mode(0o666))?)
}

/// Waits until the file is on disk: the rename that publishes it must not be there before its bytes.
fn sync(file: &File) -> std::io::Result<()> {
    file.sync_all()
}
