//! The check of every byte of an image.
//!
//! | bytes | what covers them |
//! |---|---|
//! | protective MBR | there is one form of it for an image of this size |
//! | both headers, entries | their checksums, and each other |
//! | the rest of the headers' sectors, between and after the partitions | must be zero |
//! | file system | the hash tree |
//! | hash tree | the root hash, which the identifiers of the partitions say and the signature is of |
//! | verity superblock | read by its tree; reserved parts must be zero; its UUID follows from the disk's, in our images |
//! | signature | the certificate, and there is one form of it; the rest of its partition must be zero |

use std::io::{self, Read};
use std::num::NonZeroUsize;

use openssl::x509::X509;
use uuid::Uuid;

use crate::ddi::RootHash;
use crate::ddi::gpt::protective_mbr;
use crate::ddi::identity::{is_derived, superblock_uuid};
use crate::format::file_system::{FileSystem, FileSystemError, UNKNOWN};
use crate::format::pipeline;
use crate::tree::{Content, ContentError, EntryKind, FileTree, TreePath};

use super::image::{Image, Payload};
use super::signature::{Authenticity, SignatureError, SignaturePartition};
use super::table::{PartitionTable, TableCopy, TableError};
use super::verity::{TreeCheck, VerityError, VeritySuperblock};
use super::zeros::{first_nonzero, gaps};

/// How much of a file is held while it is read to its end.
const CHUNK_BYTES: usize = 256 << 10;
/// What the files of an image may be in all; one that says more would be read for hours.
const CONTENTS_LIMIT_BYTES: u64 = 1 << 40;
/// How many files that cannot be read are named.
const NAMED_LIMIT: usize = 8;

/// What is asked of an image besides being whole.
#[derive(Clone, Copy, Debug)]
pub struct Required<'a> {
    /// Whose key must have signed it.
    pub certificate: Option<&'a X509>,
    pub root_hash: Option<RootHash>,
    pub workers: NonZeroUsize,
}

/// Something is wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    #[error("the partition table at the {place} of the image is damaged")]
    Table {
        place: &'static str,
        source: TableError,
    },
    #[error("the partition tables at start and end of the image differ")]
    TablesDiffer,
    #[error("the protective MBR is not the one for this image, first at byte {offset}")]
    Mbr { offset: u64 },
    #[error("the byte at {offset} is not zero, though nothing is stored there")]
    NotZero { offset: u64 },
    #[error("the image is {found_bytes} bytes long, and {expected_bytes} by its partition table")]
    Length {
        found_bytes: u64,
        expected_bytes: u64,
    },
    #[error("the hash tree of `{partition}` is not in order")]
    Verity {
        partition: String,
        source: VerityError,
    },
    #[error("the verity superblock's UUID is `{found}`, and `{expected}` goes with the disk's")]
    SuperblockUuid { found: Uuid, expected: Uuid },
    #[error("{check} of `{partition}`")]
    Blocks { partition: String, check: String },
    #[error("the root hash is `{found}`, and {origin} `{expected}`")]
    RootHash {
        found: RootHash,
        expected: String,
        origin: &'static str,
    },
    #[error("a root hash was asked for, and `{partition}` has no hash tree")]
    NoTree { partition: String },
    #[error("a certificate was given, and `{partition}` is not signed")]
    NotSigned { partition: String },
    #[error("the signature is not in order")]
    Signature { source: SignatureError },
    #[error("the file system of `{partition}` cannot be read")]
    FileSystem {
        partition: String,
        source: FileSystemError,
    },
    #[error("the content of `/{path}` cannot be read")]
    Content {
        path: TreePath,
        source: ContentError,
    },
    #[error("the content of {count} more files cannot be read")]
    MoreContents { count: u64 },
    #[error("the files are said to be {size_bytes} bytes long, more than can be read to their end")]
    ContentsTooLarge { size_bytes: u64 },
    #[error("there is no partition with a root or `/usr` file system")]
    NoPayload,
    #[error("reading the image")]
    Read { source: io::Error },
}

/// What the check of an image found.
#[derive(Debug, Default)]
pub struct Verification {
    /// What is wrong; none for a good image.
    pub findings: Vec<Finding>,
    /// What was not checked, or cannot be.
    pub unchecked: Vec<String>,
    /// Of the first file system, as computed from its hash tree.
    pub root_hash: Option<RootHash>,
    /// Whether the certificate's key signed the first file system's root hash.
    pub is_authentic: bool,
}

/// Checks every byte of `image`.
pub fn verify(image: &Image, required: &Required<'_>) -> Verification {
    let mut verification = Verification::default();
    if let Some(table) = image.table() {
        verification.check_table(image, table);
    }
    let payloads = image.payloads();
    if payloads.is_empty() {
        verification.findings.push(Finding::NoPayload);
    }
    for payload in &payloads {
        verification.check_payload(image, payload, required);
    }
    verification.name_unchecked(image, &payloads);
    verification
}

impl Verification {
    /// Tells whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    fn note(&mut self, result: Result<(), Finding>) {
        self.findings.extend(result.err());
    }

    fn check_table(&mut self, image: &Image, table: &PartitionTable) {
        let bytes = &**image.bytes();
        if let Some(source) = &table.primary_damage {
            self.findings.push(Finding::Table {
                place: "start",
                source: source.clone(),
            });
        }
        let sector_bytes = table.sector.bytes();
        let size_bytes = bytes.size_bytes();
        let last_lba = match table.copy {
            TableCopy::Primary => table.alternate_lba,
            TableCopy::Backup => (size_bytes / sector_bytes).saturating_sub(1),
        };
        let expected_bytes = last_lba.saturating_add(1).saturating_mul(sector_bytes);
        if size_bytes != expected_bytes {
            self.findings.push(Finding::Length {
                found_bytes: size_bytes,
                expected_bytes,
            });
        }
        let mut used = vec![(0, 512)];
        let mbr = protective_mbr(last_lba);
        match bytes.bytes_at(0, mbr.len()) {
            Ok(found) => {
                let mut pairs = found.iter().zip(&mbr);
                if let Some(offset) = pairs.position(|(found, expected)| found != expected) {
                    let offset = offset as u64;
                    self.findings.push(Finding::Mbr { offset });
                }
            }
            Err(source) => self.findings.push(Finding::Read { source }),
        }
        if table.copy == TableCopy::Primary {
            match PartitionTable::read_copy(bytes, table.sector, TableCopy::Backup, last_lba) {
                Ok(backup) => {
                    used.extend(backup.extents.map(|(start, size)| (start, start + size)));
                    if !table.agrees_with(&backup) {
                        self.findings.push(Finding::TablesDiffer);
                    }
                }
                Err(source) => self.findings.push(Finding::Table {
                    place: "end",
                    source,
                }),
            }
        }
        // Around a table that is damaged, what is not zero says nothing more.
        if !self.is_good() {
            return;
        }
        used.extend(table.extents.map(|(start, size)| (start, start + size)));
        used.extend(table.partitions.iter().map(|found| {
            let partition = &found.partition;
            let start = partition.offset_bytes;
            (start, start + partition.size_bytes)
        }));
        for (start, end) in gaps(0, size_bytes, used) {
            self.note(check_zero(&**image.bytes(), start, end));
        }
    }

    fn check_payload(&mut self, image: &Image, payload: &Payload<'_>, required: &Required<'_>) {
        let name = name_of(payload);
        match payload.verity {
            Some(_) => {
                if let Err(finding) = self.check_verity(image, payload, required) {
                    self.findings.push(finding);
                }
            }
            None => {
                let partition = || name.clone();
                if required.root_hash.is_some() {
                    self.findings.push(Finding::NoTree {
                        partition: partition(),
                    });
                }
                if required.certificate.is_some() {
                    self.findings.push(Finding::NotSigned {
                        partition: partition(),
                    });
                }
                self.unchecked.push(format!(
                    "`{name}` has no hash tree: only what its file system itself can tell was checked"
                ));
            }
        }
        self.check_file_system(payload, &name, required.workers);
    }

    /// Checks hash tree and signature.
    fn check_verity(
        &mut self,
        image: &Image,
        payload: &Payload<'_>,
        required: &Required<'_>,
    ) -> Result<(), Finding> {
        let partition = name_of(payload);
        let verity = |source| Finding::Verity {
            partition: partition.clone(),
            source,
        };
        let read = |source| Finding::Read { source };
        let Some(hash_partition) = payload.verity else {
            return Ok(());
        };
        let hashes = image.partition_bytes(hash_partition);
        let superblock = VeritySuperblock::read(&*hashes).map_err(verity)?;
        let levels = superblock
            .levels(payload.bytes.size_bytes(), hashes.size_bytes())
            .map_err(verity)?;
        let unused = superblock.check_unused(&*hashes, &levels).map_err(verity);
        self.note(unused);
        self.check_superblock_uuid(image, &superblock);
        let covered = superblock.data_bytes().unwrap_or(0);
        self.note(check_zero(
            &*payload.bytes,
            covered,
            payload.bytes.size_bytes(),
        ));

        let root_hash = superblock
            .root_hash(&*payload.bytes, &*hashes, &levels)
            .map_err(read)?;
        self.root_hash.get_or_insert(root_hash);
        self.check_root_hash(payload, root_hash, required);
        let check = superblock
            .check(&*payload.bytes, &*hashes, &levels, required.workers)
            .map_err(read)?;
        if check != TreeCheck::default() {
            self.findings.push(Finding::Blocks {
                partition: partition.clone(),
                check: check.describe(),
            });
        }
        self.check_signature(image, payload, root_hash, required);
        Ok(())
    }

    fn check_superblock_uuid(&mut self, image: &Image, superblock: &VeritySuperblock) {
        let Some(table) = image.table() else { return };
        if !is_derived(table.disk) {
            self.unchecked.push(
                "the UUID in the verity superblock: nothing covers it, and nobody looks at it"
                    .to_owned(),
            );
            return;
        }
        let expected = superblock_uuid(table.disk);
        if superblock.uuid != expected {
            self.findings.push(Finding::SuperblockUuid {
                found: superblock.uuid,
                expected,
            });
        }
    }

    fn check_root_hash(&mut self, payload: &Payload<'_>, found: RootHash, required: &Required<'_>) {
        let mut differs = |expected: String, origin| {
            self.findings.push(Finding::RootHash {
                found,
                expected,
                origin,
            });
        };
        if let Some(expected) = required.root_hash
            && expected != found
        {
            differs(expected.to_string(), "the one that was asked for is");
        }
        let uuids = [
            (payload.partition, found.data_partition_uuid()),
            (payload.verity, found.verity_partition_uuid()),
        ];
        for (partition, expected) in uuids {
            let Some(partition) = partition.map(|found| &found.partition) else {
                continue;
            };
            if partition.uuid != expected {
                differs(partition.uuid.to_string(), "a partition's UUID says");
            }
        }
    }

    fn check_signature(
        &mut self,
        image: &Image,
        payload: &Payload<'_>,
        root_hash: RootHash,
        required: &Required<'_>,
    ) {
        let partition = name_of(payload);
        let read = payload
            .signature
            .map(|found| SignaturePartition::read(&*image.partition_bytes(found)));
        let signature = match (read, required.certificate) {
            (Some(Ok(signature)), _) => signature,
            (None | Some(Err(SignatureError::Empty)), Some(_)) => {
                self.findings.push(Finding::NotSigned { partition });
                return;
            }
            (None | Some(Err(SignatureError::Empty)), None) => {
                self.unchecked.push(format!(
                    "authenticity: `{partition}` is not signed, and whoever changes it can change its hash tree too"
                ));
                return;
            }
            (Some(Err(source)), _) => {
                self.findings.push(Finding::Signature { source });
                return;
            }
        };
        if let Err(source) = signature.check_root_hash(root_hash) {
            self.findings.push(Finding::Signature { source });
        }
        let Some(certificate) = required.certificate else {
            self.unchecked.push(
                "authenticity: no certificate was given to check the signature with (`--certificate`)"
                    .to_owned(),
            );
            return;
        };
        match signature.verify(root_hash, certificate) {
            Ok(Authenticity::Whole) => self.is_authentic = true,
            Ok(Authenticity::SignatureOnly) => {
                self.is_authentic = true;
                self.unchecked.push(
                    "certificates and attributes in the signature, which it does not cover"
                        .to_owned(),
                );
            }
            Err(source) => self.findings.push(Finding::Signature { source }),
        }
    }

    /// Reads all names and contents.
    fn check_file_system(&mut self, payload: &Payload<'_>, name: &str, workers: NonZeroUsize) {
        let failed = |source| Finding::FileSystem {
            partition: name.to_owned(),
            source,
        };
        let opened = FileSystem::open(payload.bytes.clone());
        let file_system = match opened {
            Ok(file_system) => file_system,
            // One that others read is not known to be damaged.
            Err(FileSystemError::Unknown { found })
                if payload.verity.is_some() || found != UNKNOWN =>
            {
                self.unchecked.push(format!(
                    "whether the file system of `{name}`, which is {found}, can be read"
                ));
                return;
            }
            Err(source) => {
                self.findings.push(failed(source));
                return;
            }
        };
        // A hash tree covers what comes after the file system as well.
        if payload.verity.is_none() {
            let end = payload.bytes.size_bytes();
            let start = file_system.description().size_bytes.min(end);
            self.note(check_zero(&*payload.bytes, start, end));
        }
        match file_system.tree() {
            Ok(tree) => self.check_contents(&tree, workers),
            Err(source) => self.findings.push(failed(source)),
        }
    }

    fn check_contents(&mut self, tree: &FileTree, workers: NonZeroUsize) {
        let mut seen = std::collections::HashSet::new();
        let files = tree.iter().filter_map(|(path, entry)| match &entry.kind {
            EntryKind::Regular(content) => Some((path, entry.hard_link, content)),
            _ => None,
        });
        let files: Vec<_> = files
            .filter(|(_, link, _)| link.is_none_or(|link| seen.insert(link)))
            .map(|(path, _, content)| (path, content))
            .collect();
        let size_bytes = files.iter().fold(0_u64, |size_bytes, (_, content)| {
            size_bytes.saturating_add(content.size_bytes())
        });
        if size_bytes > CONTENTS_LIMIT_BYTES {
            self.findings.push(Finding::ContentsTooLarge { size_bytes });
            return;
        }
        let work =
            |buffer: &mut Vec<u8>, (path, content): (&TreePath, &Content), result: &mut _| {
                let failed = |source| Finding::Content {
                    path: path.clone(),
                    source,
                };
                *result = read_to_end(content, buffer).map_err(failed).err();
            };
        let mut count = 0;
        let done: Result<(), ()> =
            pipeline::in_order(workers, files.into_iter(), Vec::new, work, |found| {
                let Some(finding) = found.take() else {
                    return Ok(());
                };
                count += 1;
                if count <= NAMED_LIMIT {
                    self.findings.push(finding);
                }
                Ok(())
            });
        debug_assert_eq!(done, Ok(()));
        if count > NAMED_LIMIT {
            let count = (count - NAMED_LIMIT) as u64;
            self.findings.push(Finding::MoreContents { count });
        }
    }

    fn name_unchecked(&mut self, image: &Image, payloads: &[Payload<'_>]) {
        let Some(table) = image.table() else { return };
        for found in &table.partitions {
            let is_known = payloads.iter().any(|payload| {
                [payload.partition, payload.verity, payload.signature]
                    .into_iter()
                    .flatten()
                    .any(|known| known.number == found.number)
            });
            if !is_known {
                self.unchecked.push(format!(
                    "partition {}, `{}`, which is none of a root or `/usr` file system",
                    found.number, found.partition.name
                ));
            }
        }
    }
}

impl TreeCheck {
    /// Says which blocks are damaged.
    fn describe(&self) -> String {
        let named = self.damaged_data.len() + self.damaged_tree.len();
        let mut parts = Vec::new();
        for (what, offsets) in [
            ("of the data at", &self.damaged_data),
            ("of the hash tree at", &self.damaged_tree),
        ] {
            if !offsets.is_empty() {
                let offsets: Vec<String> = offsets.iter().map(u64::to_string).collect();
                parts.push(format!("{what} {}", offsets.join(", ")));
            }
        }
        let more = self.damaged_count - named as u64;
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        format!("damaged blocks {}", parts.join("; "))
    }
}

fn name_of(payload: &Payload<'_>) -> String {
    payload.partition.map_or_else(
        || "the image".to_owned(),
        |found| found.partition.name.clone(),
    )
}

fn check_zero(
    bytes: &dyn crate::format::read_at::ReadAt,
    start: u64,
    end: u64,
) -> Result<(), Finding> {
    match first_nonzero(bytes, start, end) {
        Ok(None) => Ok(()),
        Ok(Some(offset)) => Err(Finding::NotZero { offset }),
        Err(source) => Err(Finding::Read { source }),
    }
}

fn read_to_end(content: &Content, buffer: &mut Vec<u8>) -> Result<(), ContentError> {
    buffer.resize(CHUNK_BYTES, 0);
    let mut reader = content.open()?;
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(ContentError::Read {
                    path: content.location(),
                    source,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
