//! Images of several partitions, laid out as `systemd-repart --empty=create --size=auto` does.
//!
//! Partitions follow each other in their order from 1 MiB on, each as large as what is in it or as it is meant to be
//! at least. Identifiers come from a seed by systemd-repart's own rules, so that both give a partition the same. File
//! systems are streamed into their places; one whose hash tree lies before it goes through a temporary file, because
//! where it starts follows from how large it is.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use openssl::sha::Sha256;
use uuid::Uuid;

use super::assemble::{AssembleError, BUFFER_BYTES, Hashing, Partition, PayloadWriter, writing};
use super::gpt::{FIRST_PARTITION_BYTES, SectorSize, Table};
use super::identity::{Identity, PartitionUuid, RootHash};
use super::signature::{SIGNATURE_PARTITION_BYTES, signature_json};
use super::verity::{HashTree, HashTreeBuilder};
use crate::format::output::{ImageOutput, SeekOutput};
use crate::signing::Signer;

/// Every offset and size is a multiple of this.
const GRAIN_BYTES: u64 = 4096;

/// What is to be in an image.
#[derive(Clone, Copy, Debug)]
pub struct DiskLayout<'a> {
    pub seed: Uuid,
    pub sector: SectorSize,
    pub partitions: &'a [DiskPartition],
    /// Signs all root hashes; without one, partitions for signatures are left empty.
    pub signer: Option<&'a Signer>,
}

/// One partition to make.
#[derive(Clone, Debug)]
pub struct DiskPartition {
    /// Not yet unique.
    pub label: String,
    pub partition_type: Uuid,
    /// `None` for the one that follows from the root hash or the seed.
    pub uuid: Option<Uuid>,
    pub attributes: u64,
    pub least_bytes: u64,
    pub most_bytes: Option<u64>,
    /// What is left free behind it.
    pub padding_bytes: u64,
    pub content: DiskContent,
}

/// What is in a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskContent {
    Zeros,
    FileSystem,
    /// One with a hash tree in another partition.
    ProtectedFileSystem,
    /// The hash tree of the partition with this index.
    HashTree {
        of: usize,
    },
    Signature {
        of: usize,
    },
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Disk {
    /// In the order of the layout.
    pub partitions: Vec<Partition>,
    /// Of each partition that has a hash tree.
    pub root_hashes: Vec<Option<RootHash>>,
}

/// Derives an identifier from another as systemd-repart does: HMAC-SHA256 keyed by the one, over what it is for, with
/// the marks of a random UUID.
pub fn derive_uuid(base: Uuid, purpose: &[u8]) -> Uuid {
    const BLOCK_BYTES: usize = 64;
    let pad = |byte: u8| {
        let mut pad = [byte; BLOCK_BYTES];
        for (byte, key) in pad.iter_mut().zip(base.as_bytes()) {
            *byte ^= key;
        }
        pad
    };
    let digest = |key: [u8; BLOCK_BYTES], message: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(&key);
        hash.update(message);
        hash.finish()
    };
    let inner = digest(pad(0x36), purpose);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(pad(0x5c), &inner)[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Writes an image into `file`, which must be empty. `write_file_system` is asked for each file system by the index of
/// its partition, `spool` for an empty temporary file where one has to wait.
///
/// # Errors
/// [`AssembleError::Payload`] with what `write_file_system` returned, or another [`AssembleError`].
pub fn assemble_disk<E: Error + 'static>(
    file: &mut (impl Write + Seek),
    layout: &DiskLayout<'_>,
    spool: impl FnMut() -> io::Result<File>,
    write_file_system: impl FnMut(usize, &mut dyn ImageOutput) -> Result<(), E>,
) -> Result<Disk, AssembleError<E>> {
    let count = layout.partitions.len();
    let mut assembly = Assembly {
        layout,
        output: BufWriter::with_capacity(BUFFER_BYTES, file),
        spooled: (0..count).map(|_| None).collect(),
        trees: (0..count).map(|_| None).collect(),
        extents: Vec::new(),
        end_bytes: FIRST_PARTITION_BYTES,
        spool,
        write_file_system,
    };
    assembly.spool_early()?;
    for index in 0..count {
        assembly.place(index)?;
    }
    assembly.fill_in()?;
    assembly.finish()
}

/// An image of which the partitions with an extent are placed.
struct Assembly<'a, W: Write + Seek, S, F> {
    layout: &'a DiskLayout<'a>,
    output: BufWriter<W>,
    /// File systems that wait for their place, with their length.
    spooled: Vec<Option<(File, u64)>>,
    /// Of the file systems that are written.
    trees: Vec<Option<HashTree>>,
    /// Offset and size.
    extents: Vec<(u64, u64)>,
    end_bytes: u64,
    spool: S,
    write_file_system: F,
}

impl<W, S, F> Assembly<'_, W, S, F>
where
    W: Write + Seek,
    S: FnMut() -> io::Result<File>,
{
    /// Writes those file systems to temporary files whose hash tree comes first.
    fn spool_early<E: Error + 'static>(&mut self) -> Result<(), AssembleError<E>>
    where
        F: FnMut(usize, &mut dyn ImageOutput) -> Result<(), E>,
    {
        for (index, partition) in self.layout.partitions.iter().enumerate() {
            let DiskContent::HashTree { of } = partition.content else {
                continue;
            };
            if of <= index {
                continue;
            }
            let temporary = writing("a temporary file");
            let file = (self.spool)().map_err(temporary)?;
            let mut output = SeekOutput::new(BufWriter::with_capacity(BUFFER_BYTES, file));
            (self.write_file_system)(of, &mut output)
                .map_err(|source| AssembleError::Payload { source })?;
            let finish = || -> io::Result<(File, u64)> {
                let mut file = output.into_inner().into_inner()?;
                let length = file.stream_position()?;
                file.seek(SeekFrom::Start(0))?;
                Ok((file, length))
            };
            self.spooled[of] = Some(finish().map_err(writing("a temporary file"))?);
        }
        Ok(())
    }

    /// Gives a partition its place, and writes it as far as what is in it is known.
    fn place<E: Error + 'static>(&mut self, index: usize) -> Result<(), AssembleError<E>>
    where
        F: FnMut(usize, &mut dyn ImageOutput) -> Result<(), E>,
    {
        let partition = &self.layout.partitions[index];
        let start = self.end_bytes;
        let size_bytes = match partition.content {
            DiskContent::Zeros => self.size(index, 0)?,
            DiskContent::FileSystem | DiskContent::ProtectedFileSystem => {
                self.write_data(index, start)?
            }
            DiskContent::HashTree { of } => {
                let data_bytes = match (self.extents.get(of), &self.spooled[of]) {
                    (Some((_, size_bytes)), _) => *size_bytes,
                    (None, Some((_, length))) => self.size(of, *length)?,
                    (None, None) => 0,
                };
                self.size(index, HashTree::size_over(data_bytes))?
            }
            DiskContent::Signature { .. } => SIGNATURE_PARTITION_BYTES as u64,
        };
        self.extents.push((start, size_bytes));
        self.end_bytes = start + size_bytes + partition.padding_bytes;
        Ok(())
    }

    /// Returns how large a partition is with so much in it.
    fn size<E: Error>(&self, index: usize, content_bytes: u64) -> Result<u64, AssembleError<E>> {
        let partition = &self.layout.partitions[index];
        let least = partition.least_bytes.max(GRAIN_BYTES);
        let size_bytes = content_bytes.max(least).next_multiple_of(GRAIN_BYTES);
        match partition.most_bytes {
            Some(limit_bytes) if size_bytes > limit_bytes => {
                Err(AssembleError::PartitionTooLarge {
                    label: partition.label.clone(),
                    found_bytes: size_bytes,
                    limit_bytes,
                })
            }
            _ => Ok(size_bytes),
        }
    }

    /// Writes a file system at `start`, and the zeros that fill up its partition.
    fn write_data<E: Error + 'static>(
        &mut self,
        index: usize,
        start: u64,
    ) -> Result<u64, AssembleError<E>>
    where
        F: FnMut(usize, &mut dyn ImageOutput) -> Result<(), E>,
    {
        let partition = &self.layout.partitions[index];
        let identity = Identity {
            seed: Some(self.layout.seed),
            name: &partition.label,
        };
        let hashing = match partition.content {
            DiskContent::ProtectedFileSystem => {
                Hashing::Tree(HashTreeBuilder::new(identity.salt()))
            }
            _ => Hashing::Nothing,
        };
        self.output
            .seek(SeekFrom::Start(start))
            .map_err(writing("a file system"))?;
        let mut writer = PayloadWriter::new(&mut self.output, start, hashing);
        match self.spooled[index].take() {
            Some((mut file, _)) => {
                io::copy(&mut file, &mut writer).map_err(writing("a file system"))?;
            }
            None => (self.write_file_system)(index, &mut writer)
                .map_err(|source| AssembleError::Payload { source })?,
        }
        let found_bytes = writer.size_bytes;
        let (hashing, size_bytes) = {
            let least = partition.least_bytes.max(GRAIN_BYTES);
            let size_bytes = found_bytes.max(least).next_multiple_of(GRAIN_BYTES);
            writer
                .write_zeros(size_bytes - found_bytes)
                .map_err(writing("a file system"))?;
            (writer.hashing, size_bytes)
        };
        if let Hashing::Tree(builder) = hashing {
            self.trees[index] = builder.finish();
        }
        // It tells when that is more than was allowed.
        self.size(index, size_bytes)
    }

    /// Writes hash trees and signatures into their places.
    fn fill_in<E: Error>(&mut self) -> Result<(), AssembleError<E>> {
        let disk = self.disk_uuid();
        for (index, partition) in self.layout.partitions.iter().enumerate() {
            let (offset, _) = self.extents[index];
            let (of, part) = match partition.content {
                DiskContent::HashTree { of } => (of, "a hash tree"),
                DiskContent::Signature { of } => (of, "a signature"),
                _ => continue,
            };
            let Some(tree) = &self.trees[of] else {
                continue;
            };
            self.output
                .seek(SeekFrom::Start(offset))
                .map_err(writing(part))?;
            if let DiskContent::HashTree { .. } = partition.content {
                let uuid = derive_uuid(disk, partition.label.as_bytes());
                tree.write_to(&mut self.output, uuid)
                    .map_err(writing(part))?;
                continue;
            }
            let Some(signer) = self.layout.signer else {
                continue;
            };
            let root_hash = tree.root_hash();
            let json = signature_json(signer, root_hash)
                .map_err(|source| AssembleError::Sign { root_hash, source })?;
            let size_bytes = json.len();
            if size_bytes > SIGNATURE_PARTITION_BYTES {
                return Err(AssembleError::SignatureTooLarge { size_bytes });
            }
            self.output.write_all(&json).map_err(writing(part))?;
        }
        Ok(())
    }

    fn disk_uuid(&self) -> Uuid {
        derive_uuid(self.layout.seed, b"disk-uuid")
    }

    /// Returns the identifiers of the partitions, each once: a seed gives those of one type different ones by number.
    fn uuids(&self) -> Vec<Uuid> {
        let mut uuids: Vec<Uuid> = Vec::new();
        for (index, partition) in self.layout.partitions.iter().enumerate() {
            let tree = |index: usize| self.trees[index].as_ref();
            let of_root_hash = match partition.content {
                DiskContent::ProtectedFileSystem => {
                    tree(index).map(|tree| tree.root_hash().data_partition_uuid())
                }
                DiskContent::HashTree { of } => {
                    tree(of).map(|tree| tree.root_hash().verity_partition_uuid())
                }
                _ => None,
            };
            let given = partition.uuid.or(of_root_hash.map(|uuid| uuid.as_uuid()));
            let uuid = given.unwrap_or_else(|| {
                let of_type = partition.partition_type.as_bytes();
                let mut uuid = derive_uuid(self.layout.seed, of_type);
                let mut number = 0u64;
                while uuids.contains(&uuid) {
                    number += 1;
                    let numbered = [&of_type[..], &number.to_le_bytes()].concat();
                    uuid = derive_uuid(self.layout.seed, &numbered);
                }
                uuid
            });
            uuids.push(uuid);
        }
        uuids
    }

    /// Returns the labels of the partitions: one that is there already gets a number.
    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        for partition in self.layout.partitions {
            let mut label = partition.label.clone();
            let mut number = 1u32;
            while labels.contains(&label) {
                number += 1;
                label = format!("{}-{number}", partition.label);
            }
            labels.push(label);
        }
        labels
    }

    /// Writes the partition table, the primary one last.
    fn finish<E: Error>(mut self) -> Result<Disk, AssembleError<E>> {
        let sector = self.layout.sector;
        let backup_bytes = sector.backup_bytes();
        let size_bytes = (self.end_bytes + backup_bytes).next_multiple_of(GRAIN_BYTES);
        let pairs = self.layout.partitions.iter().zip(&self.extents);
        let partitions: Vec<Partition> = pairs
            .zip(self.labels())
            .zip(self.uuids())
            .map(
                |(((partition, (offset_bytes, size_bytes)), name), uuid)| Partition {
                    name,
                    partition_type: partition.partition_type,
                    uuid: PartitionUuid::new(uuid),
                    offset_bytes: *offset_bytes,
                    size_bytes: *size_bytes,
                },
            )
            .collect();
        let attributes: Vec<u64> = self
            .layout
            .partitions
            .iter()
            .map(|partition| partition.attributes)
            .collect();
        let disk = self.disk_uuid();
        let table = Table::new(disk, sector, size_bytes, &partitions).with_attributes(&attributes);
        self.output
            .seek(SeekFrom::Start(size_bytes - backup_bytes))
            .and_then(|_| self.output.write_all(&table.backup()))
            .map_err(writing("the backup partition table"))?;
        self.output
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.output.write_all(&table.primary()))
            .and_then(|()| self.output.flush())
            .map_err(writing("the partition table"))?;
        let trees = self.trees.iter();
        let root_hashes = trees
            .map(|tree| tree.as_ref().map(HashTree::root_hash))
            .collect();
        Ok(Disk {
            partitions,
            root_hashes,
        })
    }
}

#[cfg(test)]
mod tests;
