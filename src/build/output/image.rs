//! Outputs with partitions: the file system, its hash tree and its signature, and the files that are split off them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::thread;

use uuid::Uuid;

use super::error::{FileSystemError, WriteError};
use super::{Made, beside, compressed, create, disk, sync, writing};
use crate::beneath::Place;
use crate::build::Error;
use crate::ddi::{self, Ddi, Layout, PartitionArchitecture, VerityMode};
use crate::format::compression::Codec;
use crate::format::output::ImageOutput;
use crate::format::{directory, erofs, squashfs};
use crate::plan::KeyBuilder;
use crate::recipe::{Definition, FileSystem, Payload, Recipe, SplitArtifact, Verity, VerityPart};
use crate::signing::Signer;
use crate::tree::{FileTree, Timestamp};

/// A file that is made of an image.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) name: String,
    pub(super) part: Part,
}

/// What an artifact holds.
#[derive(Debug)]
pub(super) enum Part {
    Partition { offset_bytes: u64, size_bytes: u64 },
    Text(String),
    Directory(FileTree),
}

impl Artifact {
    /// Tells whether it is a file, and no directory.
    pub(super) fn is_one_file(&self) -> bool {
        !matches!(self.part, Part::Directory(_))
    }

    /// Writes the artifact at `place`, a partition compressed with `codec`; the image is beside it under the name `image`.
    pub(super) fn write(
        &self,
        place: &Place<'_>,
        image: &str,
        codec: Codec,
    ) -> Result<(), WriteError> {
        match &self.part {
            Part::Partition {
                offset_bytes,
                size_bytes,
            } => {
                let mut image = beside(place, image)?;
                image.seek(SeekFrom::Start(*offset_bytes))?;
                copy(image, *size_bytes, place, codec)
            }
            Part::Text(text) => {
                let mut file = create(place)?;
                file.write_all(text.as_bytes())?;
                Ok(sync(&file)?)
            }
            Part::Directory(tree) => Ok(directory::write_at(tree, place)?),
        }
    }
}

/// Copies a whole file to a new one, compressed with `codec`.
pub(super) fn copy_all(from: File, place: &Place<'_>, codec: Codec) -> Result<(), WriteError> {
    let size_bytes = from.metadata()?.len();
    copy(from, size_bytes, place, codec)
}

/// Copies the next `size_bytes` of a file to a new one, compressed with `codec`.
pub(super) fn copy(
    from: File,
    size_bytes: u64,
    place: &Place<'_>,
    codec: Codec,
) -> Result<(), WriteError> {
    let mut from = from.take(size_bytes);
    let copied_bytes = if codec == Codec::None {
        // The kernel copies from file to file, and not even that where the file system can share blocks.
        let mut file = create(place)?;
        let copied_bytes = io::copy(&mut from, &mut file)?;
        sync(&file)?;
        copied_bytes
    } else {
        compressed::write(place, codec, |mut out| {
            io::copy(&mut from, &mut out).map_err(WriteError::from)
        })?
    };
    match copied_bytes == size_bytes {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// Fails when the recipe asks for a signature and its key or certificate cannot be used, before anything is built.
pub(in crate::build) fn check_keys(recipe: &Recipe) -> Result<(), Error> {
    signer(recipe).map(drop)
}

/// Tells whether the image gets a signature.
pub(in crate::build) fn is_signed(recipe: &Recipe) -> bool {
    let is_signature =
        |definition: &Definition| matches!(definition.verity, VerityPart::Signature { .. });
    (recipe.format.has_verity() || recipe.definitions.iter().any(is_signature))
        && match recipe.verity {
            Verity::Signed => true,
            Verity::Auto => recipe.verity_key.is_some() && recipe.verity_certificate.is_some(),
            Verity::Hash | Verity::Deferred | Verity::Disabled => false,
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

/// Writes a disk image.
pub(super) fn write(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
    build_time: Timestamp,
) -> Result<Made, Error> {
    if !recipe.definitions.is_empty() {
        let signer = signer(recipe)?;
        return disk::write(place, name, recipe, tree, build_time, signer.as_ref());
    }
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
        (None, Verity::Deferred) => VerityMode::Deferred,
        (None, _) => VerityMode::None,
    };
    let layout = Layout {
        architecture,
        name: &recipe.output,
        seed: recipe.seed,
        payload_size_bytes: None,
        sector: recipe.sector_size,
        verity,
    };
    let mut file = create(place).map_err(writing(name))?;
    let ddi = ddi::assemble(&mut file, &layout, |payload| {
        packed(
            payload,
            &recipe.payload,
            tree,
            volume_uuid(recipe),
            build_time,
        )
    })
    .map_err(writing(name))?;
    sync(&file).map_err(writing(name))?;
    Ok(Made {
        warnings: warnings(recipe, signer.as_ref()),
        artifacts: artifacts(recipe, &ddi),
    })
}

/// Writes a file system that is only read.
pub(super) fn packed(
    out: &mut dyn ImageOutput,
    payload: &Payload,
    tree: &FileTree,
    uuid: Uuid,
    build_time: Timestamp,
) -> Result<(), FileSystemError> {
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let erofs_options = erofs::Options {
        uuid,
        build_time,
        volume_name: String::new(),
    };
    match (payload.file_system, payload.codec) {
        (FileSystem::Squashfs, Some(codec)) => {
            let options = squashfs::Options::new(codec, build_time);
            squashfs::Plan::new(tree, &options)?.write(workers, out)?;
        }
        (FileSystem::Erofs, Some(codec)) => {
            let compression = erofs::Compression {
                codec,
                block_bytes: None,
                fragments: true,
                deduplicate: true,
                oldest_kernel: payload.oldest_kernel,
            };
            erofs::write_compressed(tree, &erofs_options, &compression, workers, out)?;
        }
        // There is no squashfs without compression, which the recipe has been told.
        (FileSystem::Erofs | FileSystem::Squashfs, None) => {
            erofs::Plan::new(tree, &erofs_options)?.write(out)?;
        }
    }
    Ok(())
}

/// Tells what the person should know about the protection of an image.
fn warnings(recipe: &Recipe, signer: Option<&Signer>) -> Vec<String> {
    let mut warnings = Vec::new();
    if signer.is_some_and(|signer| !signer.is_reproducible()) {
        warnings.push(
            "the key is not RSA, so the image's signature differs from build to build".to_owned(),
        );
    }
    if signer.is_none() && recipe.format.has_verity() && recipe.verity == Verity::Auto {
        let missing = match (&recipe.verity_key, &recipe.verity_certificate) {
            (Some(_), _) => "no certificate (`VerityCertificate=`)",
            (None, _) => "no key (`VerityKey=`)",
        };
        warnings.push(format!(
            "the image is NOT SIGNED and nothing guards it against changes, because there is {missing}; make both \
             with `overcoat genkey`, or say with `Verity=disabled` that it is meant"
        ));
    }
    warnings
}

/// Returns the files to split off, the root hash last.
fn artifacts(recipe: &Recipe, ddi: &Ddi) -> Vec<Artifact> {
    let mut artifacts = Vec::new();
    if recipe.split_artifacts.contains(&SplitArtifact::Partitions) {
        artifacts.extend(ddi.partitions.iter().map(|partition| Artifact {
            name: recipe.partition_file_name(&partition.name),
            part: Part::Partition {
                offset_bytes: partition.offset_bytes,
                size_bytes: partition.size_bytes,
            },
        }));
    }
    if let Some(root_hash) = ddi.root_hash.filter(|_| recipe.wants_root_hash()) {
        artifacts.push(Artifact {
            name: recipe.root_hash_file_name(),
            part: Part::Text(root_hash.to_string()),
        });
    }
    artifacts
}

/// Returns the file system's UUID: of the seed if there is one, else of the image's name.
pub(super) fn volume_uuid(recipe: &Recipe) -> Uuid {
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
