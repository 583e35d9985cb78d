//! Writes a finished tree in the recipe's format, into the staged output directory.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::time::Instant;

use rustix::fs::Mode;
use uuid::Uuid;

use super::Error;
use crate::Hint;
use crate::beneath::Place;
use crate::capture;
use crate::ddi::{self, Layout, PartitionArchitecture, VerityMode};
use crate::digest::sha256_of_file;
use crate::format::{compression, cpio, directory, erofs};
use crate::plan::KeyBuilder;
use crate::publish::{self, OutputDirectory};
use crate::recipe::{Compression, Format, Recipe, Verity};
use crate::signing::Signer;
use crate::tree::{FileTree, Timestamp, TreePath};

/// An output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("laying out the EROFS file system")]
    Erofs(#[from] erofs::Error),
    #[error("assembling the disk image")]
    Ddi(#[from] ddi::AssembleError<erofs::Error>),
    #[error("making the cpio archive")]
    Cpio(#[from] cpio::Error),
    #[error("compressing the output")]
    Compression(#[from] compression::Error),
    #[error("making the directory")]
    Directory(#[from] directory::Error),
    #[error("writing the file")]
    File(#[from] std::io::Error),
}

impl Hint for WriteError {
    fn hint(&self) -> Option<String> {
        let causes =
            std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        let kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<std::io::Error>()?.kind()));
        let hint = match kinds.last()? {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free some space, or name another directory with `OutputDirectory=`"
            }
            ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`)",
            _ => return None,
        };
        Some(hint.into())
    }
}

/// Returns a function that tells which output could not be written.
fn writing<E: Into<WriteError>>(name: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Write {
        name: name.into(),
        source: error.into(),
    }
}

/// Fails when the recipe asks for a signature and its key or certificate cannot be used, before anything is built.
pub(super) fn check_keys(recipe: &Recipe) -> Result<(), Error> {
    signer(recipe).map(drop)
}

/// Fails when something that no build made is where the output belongs, before anything is built.
pub(super) fn check_place(recipe: &Recipe) -> Result<(), Error> {
    let path = recipe.output_directory.join(recipe.output_file_name());
    match recipe.format {
        Format::Directory => publish::check_directory_place(&path)?,
        _ => publish::check_file_place(&path)?,
    }
    Ok(())
}

/// Tells whether the image gets a signature.
pub(super) fn is_signed(recipe: &Recipe) -> bool {
    recipe.format.has_verity()
        && match recipe.verity {
            Verity::Signed => true,
            Verity::Auto => recipe.verity_key.is_some() && recipe.verity_certificate.is_some(),
            Verity::Hash | Verity::Disabled => false,
        }
}

fn signer(recipe: &Recipe) -> Result<Option<Signer>, Error> {
    if !is_signed(recipe) {
        return Ok(None);
    }
    let missing = |what| {
        let origin = recipe.origin_of("Verity", "signed");
        Error::KeyMissing { what, origin }
    };
    let key = recipe
        .verity_key
        .as_deref()
        .ok_or_else(|| missing("key (`VerityKey=`)"))?;
    let certificate = recipe
        .verity_certificate
        .as_deref()
        .ok_or_else(|| missing("certificate (`VerityCertificate=`)"))?;
    let signer = Signer::from_files(key, certificate).map_err(|source| Error::KeyUnusable {
        origin: recipe.origin_of("VerityKey", &key.to_string_lossy()),
        source,
    })?;
    Ok(Some(signer))
}

/// Writes `tree` as the outputs of `recipe`, and returns what the person should know about them.
pub(super) fn write(
    output: &mut OutputDirectory,
    recipe: &Recipe,
    tree: &FileTree,
    build_time: Timestamp,
    started: Instant,
) -> Result<Vec<String>, Error> {
    let name = recipe.output_file_name();
    let mode = recipe.output_mode;
    let mut warnings = Vec::new();
    let mut digest = None;
    if recipe.format == Format::Directory && is_unchanged(&output.place_of(&name), tree) {
        output.keep(&recipe.name, &name, started);
        return Ok(warnings);
    }
    output.add(
        &recipe.name,
        &name,
        mode,
        started,
        |place| -> Result<(), Error> {
            match recipe.format {
                Format::Directory => directory::write_at(tree, place).map_err(writing(&name))?,
                Format::Cpio => warnings = write_cpio(place, &name, recipe, tree)?,
                Format::Sysext | Format::Confext | Format::Portable | Format::Disk => {
                    warnings.extend(write_disk_image(place, &name, recipe, tree, build_time)?);
                }
                Format::None => {}
            }
            if recipe.checksum && recipe.format != Format::Directory {
                digest = digest_of(place).map_err(writing(&name))?;
            }
            Ok(())
        },
    )?;
    if let Some(link) = recipe.output_link_name() {
        output.add_link(&recipe.name, link, &name)?;
    }
    if let Some(digest) = digest {
        let checksums = format!("{}.SHA256SUMS", recipe.output);
        output.add(&recipe.name, &checksums, mode, started, |place| {
            let line = format!("{digest} *{name}\n");
            create(place)
                .and_then(|mut file| file.write_all(line.as_bytes()))
                .map_err(writing(&checksums))
        })?;
    }
    Ok(warnings)
}

/// Returns the digest of the file at `place`, `None` when nothing is there.
fn digest_of(place: &Place<'_>) -> std::io::Result<Option<String>> {
    match place.directory().entry(place.name()) {
        Err(error) if error.is_not_found() => Ok(None),
        found => sha256_of_file(found.and_then(|found| found.open_file())?).map(Some),
    }
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

/// Writes a disk image, and returns what the person should know about it.
fn write_disk_image(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
    build_time: Timestamp,
) -> Result<Option<String>, Error> {
    let architecture = recipe.architecture.systemd_name();
    let architecture =
        PartitionArchitecture::named(architecture).map_err(|source| Error::Architecture {
            architecture,
            source,
        })?;
    let signer = signer(recipe)?;
    let verity = match (&signer, recipe.verity) {
        _ if !recipe.format.has_verity() => VerityMode::None,
        (Some(signer), _) => VerityMode::Signed(signer),
        (None, Verity::Hash) => VerityMode::Hash,
        (None, _) => VerityMode::None,
    };
    let options = erofs::Options {
        uuid: volume_uuid(recipe),
        build_time,
        volume_name: String::new(),
    };
    let plan = erofs::Plan::new(tree, &options).map_err(writing(name))?;
    let layout = Layout {
        architecture,
        name: &recipe.output,
        seed: recipe.seed,
        payload_size_bytes: Some(plan.size_bytes()),
        sector: ddi::SectorSize::default(),
        verity,
    };
    let mut file = create(place).map_err(writing(name))?;
    ddi::assemble(&mut file, &layout, |payload| plan.write(payload)).map_err(writing(name))?;
    sync(&file).map_err(writing(name))?;
    let varies = signer.is_some_and(|signer| !signer.is_reproducible());
    Ok(varies.then(|| {
        "the key is not RSA, so the image's signature differs from build to build".to_owned()
    }))
}

/// Returns the file system's UUID: of the seed if there is one, else of the image's name.
fn volume_uuid(recipe: &Recipe) -> Uuid {
    let seed = recipe.seed.unwrap_or_default();
    let key = KeyBuilder::new("volume")
        .field("seed", seed.as_bytes())
        .field("name", &recipe.output)
        .finish();
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(key.as_str().as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("a key is hexadecimal digits");
        *byte = u8::from_str_radix(digits, 16).expect("a key is hexadecimal digits");
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn write_cpio(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
) -> Result<Vec<String>, Error> {
    let file = create(place).map_err(writing(name))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let lost = match recipe.compress_output {
        Compression::None => cpio::write(tree, &mut out).map_err(writing(name))?,
        Compression::Zstd => {
            let workers = std::thread::available_parallelism()
                .map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
            let mut encoder = compression::zstd(&mut out, recipe.compress_level, workers)
                .map_err(writing(name))?;
            let lost = cpio::write(tree, &mut encoder).map_err(writing(name))?;
            encoder.finish().map_err(writing(name))?;
            lost
        }
    };
    out.flush().map_err(writing(name))?;
    let file = out
        .into_inner()
        .map_err(|error| writing(name)(error.into_error()))?;
    sync(&file).map_err(writing(name))?;
    Ok(describe_lost(&lost))
}

/// Tells what an archive leaves out of the tree, a line for each kind.
fn describe_lost(lost: &cpio::Lost) -> Vec<String> {
    let kinds = [
        (&lost.capabilities, "file capabilities"),
        (&lost.acls, "access control lists"),
        (&lost.attributes, "extended attributes"),
        (
            &lost.symlink_hard_links,
            "hard links between symbolic links",
        ),
    ];
    let describe = |(paths, what): (&Vec<TreePath>, &str)| {
        let first = paths.first()?;
        let others = match paths.len() - 1 {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        Some(format!(
            "a cpio archive has no {what}: those of `/{first}`{others} are left out"
        ))
    };
    kinds.into_iter().filter_map(describe).collect()
}

fn create(place: &Place<'_>) -> std::io::Result<File> {
    Ok(place.create_file(Mode::from_raw_mode(0o666))?)
}

/// Waits until the file is on disk: the rename that publishes it must not be there before its bytes.
fn sync(file: &File) -> std::io::Result<()> {
    file.sync_all()
}
