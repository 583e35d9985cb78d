//! Writes a finished tree in the recipe's format, into the staged output directory.
//!
//! This is the one place that leads from a recipe to a writer. `image` writes what has partitions, `archive` what is a
//! stream, and what is written besides is made of the first file, which lies beside it in the staging directory.

mod archive;
mod compressed;
mod disk;
mod error;
mod image;
mod oci;
mod partition;
mod signature;
pub(super) mod split;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::time::Instant;

use rustix::fs::Mode;

pub use self::error::{FileSystemError, WriteError};
use self::image::Artifact;
use super::Error;
use crate::beneath::{Directory, Place};
use crate::capture;
use crate::digest::sha256_of_file;
use crate::format::compression::Codec;
use crate::format::directory;
use crate::format::oci::BaseImage;
use crate::publish::{self, OutputDirectory};
use crate::recipe::{Format, Recipe};
use crate::tree::{Content, FileTree, Timestamp};

pub(super) use self::image::{check_keys, is_signed};
pub(super) use self::signature::{Unsigned, sign};

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
    match recipe.is_directory_output() {
        true => publish::check_directory_place(&path)?,
        false => publish::check_file_place(&path)?,
    }
    for name in recipe.artifact_names() {
        publish::check_file_place(&recipe.output_directory.join(name))?;
    }
    if let Some(name) = recipe.definitions_name() {
        publish::check_directory_place(&recipe.output_directory.join(name))?;
    }
    Ok(())
}

/// The outputs of one image, as far as they are staged.
struct Outputs<'a> {
    directory: &'a mut OutputDirectory,
    recipe: &'a Recipe,
    started: Instant,
    /// The names of those that are files, which are to have checksums.
    files: Vec<String>,
}

impl Outputs<'_> {
    /// Has `write` make the file `name`.
    fn add<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&Place<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (image, mode) = (&self.recipe.name, self.recipe.output_mode);
        let written = self.directory.add(image, name, mode, self.started, write)?;
        self.files.push(name.to_owned());
        Ok(written)
    }

    fn add_text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        self.add(name, |place| {
            create(place)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(writing(name))
        })
    }
}

/// What is written besides what the recipe's format says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added<'a> {
    /// Files that describe the image, each with its name.
    pub(super) texts: &'a [(String, String)],
    /// The kernel that was removed from an initrd.
    pub(super) kernel: Option<&'a Content>,
    /// What scripts have left.
    pub(super) directory: Option<&'a Directory>,
    /// The outputs of the last build.
    pub(super) known: &'a BTreeSet<String>,
}

/// What was written of an image.
#[derive(Debug)]
pub(super) struct Written {
    /// What the person should know about it.
    pub(super) warnings: Vec<String>,
    /// Its checksums, when they are to be signed.
    pub(super) unsigned: Option<Unsigned>,
}

/// Writes `tree` as the outputs of `recipe`, with what is `added` to them. `base` is the OCI image that it was made on.
pub(super) fn write(
    output: &mut OutputDirectory,
    recipe: &Recipe,
    tree: &FileTree,
    base: Option<&BaseImage>,
    added: &Added<'_>,
    build_time: Timestamp,
    started: Instant,
) -> Result<Written, Error> {
    let mut outputs = Outputs {
        directory: output,
        recipe,
        started,
        files: Vec::new(),
    };
    for (name, text) in added.texts {
        outputs.add_text(name, text)?;
    }
    let name = recipe.output_file_name();
    let warnings = if recipe.format == Format::Directory
        // Scripts that work on the outputs must not change what is published already.
        && recipe.scripts.postoutput.is_empty()
        && is_unchanged(&outputs.directory.place_of(&name), tree)
    {
        outputs.directory.keep(&recipe.name, &name, started);
        Vec::new()
    } else {
        write_image(&mut outputs, &name, tree, base, build_time)?
    };
    for part in split::parts(recipe, tree, added.kernel) {
        outputs.add(&part.name, |place| part.write(place, tree))?;
    }
    if let Some(directory) = added.directory {
        let image = &recipe.name;
        let into = &mut *outputs.directory;
        let names = into.add_files(image, directory, added.known, started)?;
        outputs.files.extend(names);
    }
    let mut unsigned = None;
    if recipe.checksum && !outputs.files.is_empty() {
        let mut files = std::mem::take(&mut outputs.files);
        files.sort();
        let name = recipe.checksums_file_name();
        let text = checksums(&outputs.directory.scratch(&name), &files).map_err(writing(&name))?;
        outputs.add_text(&name, &text)?;
        unsigned = Unsigned::new(recipe, text, started);
    }
    Ok(Written { warnings, unsigned })
}

/// Writes the image itself and what is made of it, and returns what the person should know.
fn write_image(
    outputs: &mut Outputs<'_>,
    name: &str,
    tree: &FileTree,
    base: Option<&BaseImage>,
    build_time: Timestamp,
) -> Result<Vec<String>, Error> {
    let recipe = outputs.recipe;
    let codec = recipe.outer_compression().codec(recipe.compress_level);
    // The parts of a compressed image are those of the image inside, which lies beside it until they are made.
    let is_wrapped = recipe.format.is_disk_image() && codec != Codec::None;
    let (made, image) = if is_wrapped {
        let scratch = outputs.directory.scratch(SCRATCH);
        let made = write_format(&scratch, name, recipe, tree, base, build_time)?;
        outputs.add(name, |place| {
            beside(place, SCRATCH)
                .map_err(WriteError::from)
                .and_then(|image| image::copy_all(image, place, codec))
                .map_err(writing(name))
        })?;
        (made, SCRATCH)
    } else {
        let write = |place: &Place<'_>| write_format(place, name, recipe, tree, base, build_time);
        (outputs.add(name, write)?, name)
    };
    if recipe.is_directory_output() {
        outputs.files.retain(|file| file != name);
    }
    if let Some(link) = recipe.output_link_name() {
        outputs.directory.add_link(&recipe.name, link, name)?;
    }
    for artifact in made.artifacts {
        outputs.add(&artifact.name, |place| {
            artifact
                .write(place, image, codec)
                .map_err(writing(&artifact.name))
        })?;
        if !artifact.is_one_file() {
            outputs.files.retain(|file| *file != artifact.name);
        }
    }
    if is_wrapped {
        outputs
            .directory
            .remove_scratch(SCRATCH)
            .map_err(writing(name))?;
    }
    Ok(made.warnings)
}

/// Chooses the writer.
fn write_format(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
    base: Option<&BaseImage>,
    build_time: Timestamp,
) -> Result<Made, Error> {
    match recipe.format {
        Format::Directory => {
            directory::write_at(tree, place).map_err(writing(name))?;
            Ok(Made::default())
        }
        Format::Oci => oci::write(place, recipe, tree, base, build_time).map_err(writing(name)),
        Format::Cpio | Format::Tar => archive::write(place, recipe, tree).map_err(writing(name)),
        Format::Sysext | Format::Confext | Format::Portable | Format::Disk => {
            image::write(place, name, recipe, tree, build_time)
        }
        Format::None => Ok(Made::default()),
    }
}

/// Returns the digests of `files`, which lie beside `place`, in the form of sha256sum(1).
fn checksums(place: &Place<'_>, files: &[String]) -> std::io::Result<String> {
    let mut text = String::new();
    for name in files {
        let digest = sha256_of_file(beside(place, name)?)?;
        text += &format!("{digest} *{name}\n");
    }
    Ok(text)
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
