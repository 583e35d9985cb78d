//! Disks of several partitions, as the recipe's definitions describe them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use uuid::Uuid;

use super::error::FileSystemError;
use super::image::{Artifact, Part, packed, volume_uuid};
use super::partition::{Contents, contents};
use super::{Made, create, sync, writing};
use crate::beneath::Place;
use crate::build::Error;
use crate::ddi::{self, Designator, Disk, DiskContent, DiskLayout, DiskPartition, derive_uuid};
use crate::format::ext4;
use crate::format::output::ImageOutput;
use crate::recipe::{Definition, PartitionFormat, Recipe, SplitArtifact, VerityPart};
use crate::signing::Signer;
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// Writes the disk.
pub(super) fn write(
    place: &Place<'_>,
    name: &str,
    recipe: &Recipe,
    tree: &FileTree,
    build_time: Timestamp,
    signer: Option<&Signer>,
) -> Result<Made, Error> {
    let definitions = &recipe.definitions;
    let seed = recipe.seed.unwrap_or_else(|| volume_uuid(recipe));
    let mut warnings = Vec::new();
    let mut trees = BTreeMap::new();
    for (index, definition) in definitions.iter().enumerate() {
        if definition.format.is_none() {
            continue;
        }
        let Contents { tree, missing } = contents(definition, definitions, tree, build_time)
            .map_err(FileSystemError::from)
            .map_err(writing(name))?;
        warnings.extend(missing.iter().map(|path| {
            format!(
                "`/{path}`, which `{}` copies, is not in the image",
                definition.file_name
            )
        }));
        trees.insert(index, tree);
    }
    if signer.is_some_and(|signer| !signer.is_reproducible()) {
        warnings.push(
            "the key is not RSA, so the image's signature differs from build to build".to_owned(),
        );
    }
    let partitions: Vec<DiskPartition> = definitions.iter().map(partition).collect();
    let layout = DiskLayout {
        seed,
        sector: recipe.sector_size,
        partitions: &partitions,
        signer,
    };
    let mut file = create(place).map_err(writing(name))?;
    let spools = RefCell::new(0);
    let spool = || spool(place, &mut spools.borrow_mut());
    let disk = ddi::assemble_disk(&mut file, &layout, spool, |index, out| {
        let definition = &definitions[index];
        let uuid = derive_uuid(
            derive_uuid(seed, definition.kind.uuid.as_bytes()),
            b"file-system-uuid",
        );
        write_file_system(out, definition, &trees[&index], uuid, build_time)
    })
    .map_err(writing(name))?;
    sync(&file).map_err(writing(name))?;
    Ok(Made {
        warnings,
        artifacts: artifacts(recipe, &disk, build_time),
    })
}

/// Makes a file beside the output that has no name.
fn spool(place: &Place<'_>, number: &mut u32) -> io::Result<File> {
    *number += 1;
    let name = format!(".spool-{number}");
    let directory = place.directory();
    let file = directory.create_file(&name, rustix::fs::Mode::from_raw_mode(0o600))?;
    directory.remove_file(&name)?;
    Ok(file)
}

fn partition(definition: &Definition) -> DiskPartition {
    let content = match (definition.verity, definition.format) {
        (VerityPart::Hash { of }, _) => DiskContent::HashTree { of },
        (VerityPart::Signature { of }, _) => DiskContent::Signature { of },
        (VerityPart::Data, Some(_)) => DiskContent::ProtectedFileSystem,
        (VerityPart::None, Some(_)) => DiskContent::FileSystem,
        (VerityPart::None | VerityPart::Data, None) => DiskContent::Zeros,
    };
    DiskPartition {
        label: label(definition),
        partition_type: definition.kind.uuid,
        uuid: definition.uuid,
        attributes: definition.attributes,
        least_bytes: definition.least_bytes(),
        most_bytes: definition.size_max_bytes,
        padding_bytes: definition.padding_min_bytes,
        content,
    }
}

fn label(definition: &Definition) -> String {
    let label = definition.label.clone();
    label.unwrap_or_else(|| definition.kind.name.clone())
}

fn write_file_system(
    out: &mut dyn ImageOutput,
    definition: &Definition,
    tree: &FileTree,
    uuid: Uuid,
    build_time: Timestamp,
) -> Result<(), FileSystemError> {
    match definition.format {
        Some(PartitionFormat::Packed(payload)) => packed(out, &payload, tree, uuid, build_time),
        Some(PartitionFormat::Ext4) => {
            let options = ext4::Options {
                uuid,
                hash_seed: derive_uuid(uuid, b"hash-seed"),
                label: label(definition),
                build_time,
                least_bytes: definition.least_bytes(),
            };
            Ok(ext4::Plan::new(tree, options)?.write(out)?)
        }
        None => Ok(()),
    }
}

/// Returns what is split off, and what the disk was made by.
fn artifacts(recipe: &Recipe, disk: &Disk, build_time: Timestamp) -> Vec<Artifact> {
    let mut artifacts = Vec::new();
    if recipe.split_artifacts.contains(&SplitArtifact::Partitions) {
        let pairs = recipe.definitions.iter().zip(&disk.partitions);
        artifacts.extend(pairs.filter_map(|(definition, partition)| {
            Some(Artifact {
                name: recipe.partition_file_name(definition.split_name.as_deref()?),
                part: Part::Partition {
                    offset_bytes: partition.offset_bytes,
                    size_bytes: partition.size_bytes,
                },
            })
        }));
    }
    if let Some(name) = recipe.definitions_name() {
        artifacts.push(Artifact {
            name,
            part: Part::Directory(definitions(recipe, build_time)),
        });
    }
    let root_hash = |designator| {
        let pairs = recipe.definitions.iter().zip(&disk.root_hashes);
        let mut of_type =
            pairs.filter(move |(definition, _)| definition.kind.designator == Some(designator));
        of_type.find_map(|(_, root_hash)| *root_hash)
    };
    // The root file system's, if both have one, as mkosi has it.
    let root_hash = root_hash(Designator::Root).or_else(|| root_hash(Designator::Usr));
    if let Some(root_hash) = root_hash.filter(|_| recipe.wants_root_hash()) {
        artifacts.push(Artifact {
            name: recipe.root_hash_file_name(),
            part: Part::Text(root_hash.to_string()),
        });
    }
    artifacts
}

/// Returns the directory of definitions.
fn definitions(recipe: &Recipe, build_time: Timestamp) -> FileTree {
    let root = Entry::directory(build_time);
    let mut tree = FileTree::new(root).expect("the root is a directory");
    for definition in &recipe.definitions {
        let content = Content::from_bytes(definition.text.as_bytes());
        let entry = Entry::new(EntryKind::Regular(content), 0o644, build_time);
        if let Ok(path) = TreePath::new(&definition.file_name) {
            tree.insert(path, entry)
                .expect("files of different names in a directory have room");
        }
    }
    tree
}
