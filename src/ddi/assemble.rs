//! The one pass that writes an image: payload, hash tree, signature, then the partition table around them.

use std::error::Error;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use openssl::sha::Sha256;
use uuid::Uuid;

use super::gpt::{FIRST_PARTITION_BYTES, SectorSize, Table};
use super::identity::{Identity, PartitionUuid, RootHash, superblock_uuid};
use super::partition_types::{Designator, PartitionArchitecture};
use super::signature::{SIGNATURE_PARTITION_BYTES, signature_json};
use super::verity::{HashTree, HashTreeBuilder};
use crate::Hint;
use crate::format::output::{FIRST_BLOCK_BYTES, ImageOutput};
use crate::signing::{self, Signer};

/// Every partition's offset and size is a multiple of this, so that an image works with sectors of 512 and of 4096.
const ALIGNMENT_BYTES: u64 = 4096;

/// Writers give bytes in pieces as small as an inode; this many are collected for each write(2).
pub(super) const BUFFER_BYTES: usize = 256 << 10;
/// Fewer zeros are written, more are left out: each hole flushes the buffer.
const LEAST_HOLE_BYTES: u64 = 64 << 10;

/// How an image is laid out, and what its identifiers come from.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    pub architecture: PartitionArchitecture,
    /// The image's name with its version; one origin of the derived identifiers.
    pub name: &'a str,
    /// The other origin of the derived identifiers; without one it is the payload's own digest.
    pub seed: Option<Uuid>,
    /// The payload's length where it is known before it is written; writing another length is then an error.
    pub payload_size_bytes: Option<u64>,
    pub sector: SectorSize,
    pub verity: VerityMode<'a>,
}

/// What protects the payload.
#[derive(Clone, Copy, Debug)]
pub enum VerityMode<'a> {
    /// The root partition alone.
    None,
    /// A hash tree whose root the user of the image has to know.
    Hash,
    /// A hash tree, and an empty signature partition to be filled in later.
    Deferred,
    /// A hash tree and the signature of its root.
    Signed(&'a Signer),
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Ddi {
    /// `None` for an image without verity.
    pub root_hash: Option<RootHash>,
    pub size_bytes: u64,
    /// In the order in which they lie in the image.
    pub partitions: Vec<Partition>,
}

/// One partition of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    pub name: String,
    pub partition_type: Uuid,
    pub uuid: PartitionUuid,
    pub offset_bytes: u64,
    pub size_bytes: u64,
}

/// An image could not be assembled; what was written of it is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError<E: Error + 'static> {
    #[error("writing the file system into the image")]
    Payload { source: E },
    #[error("the file system was announced as {expected_bytes} bytes long and is {found_bytes}")]
    PayloadSize {
        expected_bytes: u64,
        found_bytes: u64,
    },
    #[error("the file system is empty; expected at least one byte")]
    EmptyPayload,
    #[error("signing the root hash `{root_hash}`")]
    Sign {
        root_hash: RootHash,
        source: signing::Error,
    },
    #[error(
        "the signature of the root hash takes {size_bytes} bytes, and its partition has {SIGNATURE_PARTITION_BYTES}"
    )]
    SignatureTooLarge { size_bytes: usize },
    #[error(
        "what is in the partition `{label}` takes {found_bytes} bytes, and at most {limit_bytes} are allowed"
    )]
    PartitionTooLarge {
        label: String,
        found_bytes: u64,
        limit_bytes: u64,
    },
    #[error("writing {part} of the image")]
    WriteImage {
        part: &'static str,
        source: io::Error,
    },
}

impl<E: Error + 'static> Hint for AssembleError<E> {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Sign { source, .. } => source.hint(),
            _ => None,
        }
    }
}

/// Writes an image into `file`, which must be empty, with the payload that `write_payload` produces.
///
/// After an error `file` holds part of an image; removing it is the caller's.
///
/// # Errors
/// [`AssembleError::Payload`] with what `write_payload` returned, or another [`AssembleError`].
pub fn assemble<E: Error + 'static>(
    file: &mut (impl Write + Seek),
    layout: &Layout<'_>,
    write_payload: impl FnOnce(&mut dyn ImageOutput) -> Result<(), E>,
) -> Result<Ddi, AssembleError<E>> {
    let identity = Identity {
        seed: layout.seed,
        name: layout.name,
    };
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, file);
    output
        .seek(SeekFrom::Start(FIRST_PARTITION_BYTES))
        .map_err(writing("the start"))?;
    let mut image = Image {
        output,
        architecture: layout.architecture,
        sector: layout.sector,
        end_bytes: FIRST_PARTITION_BYTES,
        partitions: Vec::new(),
    };

    let payload = image.stream_payload(layout, &identity, write_payload)?;
    let payload_digest = payload.digest();
    let data_uuid = match &payload {
        Payload::Digest(_) => PartitionUuid::new(identity.uuid("root partition", &payload_digest)),
        Payload::Tree(tree) => tree.root_hash().data_partition_uuid(),
    };
    image.close_partition(Designator::Root, data_uuid, "the file system")?;

    let disk = identity.uuid("disk", &payload_digest);
    let mut root_hash = None;
    if let Payload::Tree(tree) = &payload {
        root_hash = Some(tree.root_hash());
        image.write_hash_tree(tree, superblock_uuid(disk))?;
        let signature = match layout.verity {
            VerityMode::None | VerityMode::Hash => None,
            VerityMode::Deferred => Some(Vec::new()),
            VerityMode::Signed(signer) => {
                let root_hash = tree.root_hash();
                let json = signature_json(signer, root_hash);
                Some(json.map_err(|source| AssembleError::Sign { root_hash, source })?)
            }
        };
        if let Some(signature) = signature {
            let uuid = identity.uuid("verity signature partition", &payload_digest);
            image.write_signature(signature, PartitionUuid::new(uuid))?;
        }
    }
    image.finish(disk, root_hash)
}

/// What is known of a payload once it has gone by.
enum Payload {
    Digest([u8; 32]),
    Tree(HashTree),
}

impl Payload {
    /// Returns the digest that stands for the payload where identifiers are derived.
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Digest(digest) => *digest,
            Self::Tree(tree) => *tree.root_hash().as_bytes(),
        }
    }
}

/// An image of which the part before `end_bytes` is written, but for the partition table at its start.
struct Image<W: Write + Seek> {
    output: BufWriter<W>,
    architecture: PartitionArchitecture,
    sector: SectorSize,
    /// How far the image is written.
    end_bytes: u64,
    partitions: Vec<Partition>,
}

impl<W: Write + Seek> Image<W> {
    fn stream_payload<E: Error + 'static>(
        &mut self,
        layout: &Layout<'_>,
        identity: &Identity<'_>,
        write_payload: impl FnOnce(&mut dyn ImageOutput) -> Result<(), E>,
    ) -> Result<Payload, AssembleError<E>> {
        let hashing = match layout.verity {
            VerityMode::None => Hashing::Digest(Sha256::new()),
            _ => Hashing::Tree(HashTreeBuilder::new(identity.salt())),
        };
        let mut writer = PayloadWriter::new(&mut self.output, FIRST_PARTITION_BYTES, hashing);
        write_payload(&mut writer).map_err(|source| AssembleError::Payload { source })?;
        let found_bytes = writer.size_bytes;
        let hashing = writer.hashing;
        if let Some(expected_bytes) = layout.payload_size_bytes
            && expected_bytes != found_bytes
        {
            return Err(AssembleError::PayloadSize {
                expected_bytes,
                found_bytes,
            });
        }
        self.end_bytes += found_bytes;
        match hashing {
            _ if found_bytes == 0 => Err(AssembleError::EmptyPayload),
            Hashing::Nothing => Err(AssembleError::EmptyPayload),
            Hashing::Digest(hash) => Ok(Payload::Digest(hash.finish())),
            Hashing::Tree(builder) => builder
                .finish()
                .map(Payload::Tree)
                .ok_or(AssembleError::EmptyPayload),
        }
    }

    fn write_hash_tree<E: Error>(
        &mut self,
        tree: &HashTree,
        superblock_uuid: Uuid,
    ) -> Result<(), AssembleError<E>> {
        tree.write_to(&mut self.output, superblock_uuid)
            .map_err(writing("the hash tree"))?;
        self.end_bytes += tree.size_bytes();
        let uuid = tree.root_hash().verity_partition_uuid();
        self.close_partition(Designator::RootVerity, uuid, "the hash tree")
    }

    fn write_signature<E: Error>(
        &mut self,
        mut json: Vec<u8>,
        uuid: PartitionUuid,
    ) -> Result<(), AssembleError<E>> {
        let size_bytes = json.len();
        if size_bytes > SIGNATURE_PARTITION_BYTES {
            return Err(AssembleError::SignatureTooLarge { size_bytes });
        }
        json.resize(SIGNATURE_PARTITION_BYTES, 0);
        self.output
            .write_all(&json)
            .map_err(writing("the signature"))?;
        self.end_bytes += SIGNATURE_PARTITION_BYTES as u64;
        self.close_partition(Designator::RootVeritySig, uuid, "the signature")
    }

    /// Makes what was written since the last partition one of its own, filled up with zeros to the alignment.
    fn close_partition<E: Error>(
        &mut self,
        designator: Designator,
        uuid: PartitionUuid,
        part: &'static str,
    ) -> Result<(), AssembleError<E>> {
        let offset_bytes = self
            .partitions
            .last()
            .map_or(FIRST_PARTITION_BYTES, |previous| {
                previous.offset_bytes + previous.size_bytes
            });
        self.fill_to(self.end_bytes.next_multiple_of(ALIGNMENT_BYTES), part)?;
        self.partitions.push(Partition {
            name: designator.partition_name(self.architecture),
            partition_type: self.architecture.partition_type(designator),
            uuid,
            offset_bytes,
            size_bytes: self.end_bytes - offset_bytes,
        });
        Ok(())
    }

    /// Writes the partition table, the primary one last: until then nothing takes the file for an image.
    fn finish<E: Error>(
        mut self,
        disk: Uuid,
        root_hash: Option<RootHash>,
    ) -> Result<Ddi, AssembleError<E>> {
        let backup_bytes = self.sector.backup_bytes();
        let size_bytes = (self.end_bytes + backup_bytes).next_multiple_of(ALIGNMENT_BYTES);
        self.fill_to(size_bytes - backup_bytes, "the end")?;
        let table = Table::new(disk, self.sector, size_bytes, &self.partitions);
        self.output
            .write_all(&table.backup())
            .map_err(writing("the backup partition table"))?;
        self.output
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.output.write_all(&table.primary()))
            .and_then(|()| self.output.flush())
            .map_err(writing("the partition table"))?;
        Ok(Ddi {
            root_hash,
            size_bytes,
            partitions: self.partitions,
        })
    }

    fn fill_to<E: Error>(
        &mut self,
        end_bytes: u64,
        part: &'static str,
    ) -> Result<(), AssembleError<E>> {
        let mut zeros = io::Read::take(io::repeat(0), end_bytes - self.end_bytes);
        io::copy(&mut zeros, &mut self.output).map_err(writing(part))?;
        self.end_bytes = end_bytes;
        Ok(())
    }
}

/// Passes a payload on and hashes it on the way.
pub(super) struct PayloadWriter<'a, W: Write + Seek> {
    output: &'a mut BufWriter<W>,
    start_bytes: u64,
    pub(super) hashing: Hashing,
    pub(super) size_bytes: u64,
}

impl<'a, W: Write + Seek> PayloadWriter<'a, W> {
    /// Returns a writer into `output`, which stands at `start_bytes`.
    pub(super) fn new(output: &'a mut BufWriter<W>, start_bytes: u64, hashing: Hashing) -> Self {
        Self {
            output,
            start_bytes,
            hashing,
            size_bytes: 0,
        }
    }
}

pub(super) enum Hashing {
    Nothing,
    Digest(Sha256),
    Tree(HashTreeBuilder),
}

impl<W: Write + Seek> Write for PayloadWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.size_bytes += bytes.len() as u64;
        match &mut self.hashing {
            Hashing::Nothing => {}
            Hashing::Digest(hash) => hash.update(bytes),
            Hashing::Tree(builder) => builder.update(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write + Seek> ImageOutput for PayloadWriter<'_, W> {
    fn replace_first_block(&mut self, block: &[u8; FIRST_BLOCK_BYTES]) -> io::Result<()> {
        if self.size_bytes < FIRST_BLOCK_BYTES as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a first block is replaced before it is written",
            ));
        }
        self.output.seek(SeekFrom::Start(self.start_bytes))?;
        self.output.write_all(block)?;
        self.output
            .seek(SeekFrom::Start(self.start_bytes + self.size_bytes))?;
        match &mut self.hashing {
            Hashing::Nothing => {}
            // What is replaced has been hashed already; the digest need only be the same for the same bytes.
            Hashing::Digest(hash) => hash.update(block),
            Hashing::Tree(builder) => builder.replace_first_block(block),
        }
        Ok(())
    }

    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        if count < LEAST_HOLE_BYTES || matches!(self.hashing, Hashing::Digest(_)) {
            return io::copy(&mut io::Read::take(io::repeat(0), count), self).map(drop);
        }
        // Something is written behind, if only the partition table.
        let end = self.start_bytes + self.size_bytes + count;
        self.output.seek(SeekFrom::Start(end))?;
        self.size_bytes += count;
        if let Hashing::Tree(builder) = &mut self.hashing {
            builder.update_zeros(count);
        }
        Ok(())
    }
}

pub(super) fn writing<E: Error>(part: &'static str) -> impl FnOnce(io::Error) -> AssembleError<E> {
    move |source| AssembleError::WriteImage { part, source }
}

#[cfg(test)]
mod tests;
