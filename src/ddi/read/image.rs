//! An image and its parts: which partition holds the file system, and which protect it.

use std::io;
use std::sync::Arc;

use crate::ddi::{Designator, RootHash};
use crate::format::file_system::{FileSystem, FileSystemError, recognise};
use crate::format::read_at::{ReadAt, Window};

use super::signature::{SignatureError, SignaturePartition};
use super::table::{FoundPartition, PartitionTable, TableError};
use super::verity::{VerityError, VeritySuperblock};

/// The partitions of one file system: data, hash tree, signature.
const SETS: [[Designator; 3]; 2] = [
    Designator::OF_ROOT,
    [
        Designator::Usr,
        Designator::UsrVerity,
        Designator::UsrVeritySig,
    ],
];

/// An image: partitions, or a file system by itself.
#[derive(Clone, Debug)]
pub struct Image {
    bytes: Arc<dyn ReadAt>,
    table: Option<PartitionTable>,
}

/// What is in an image cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("it is no image: neither a GPT partition table nor a file system was found")]
    NoImage,
    #[error("the partition table cannot be used")]
    Table { source: TableError },
    #[error("no partition is one of a root or `/usr` file system")]
    NoPayload,
    #[error("the file system cannot be read")]
    FileSystem { source: FileSystemError },
    #[error("reading the image")]
    Read { source: io::Error },
}

/// Where a file system is, with what protects it.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    /// `None` when the image is the file system.
    pub partition: Option<&'a FoundPartition>,
    pub verity: Option<&'a FoundPartition>,
    pub signature: Option<&'a FoundPartition>,
    pub bytes: Arc<dyn ReadAt>,
}

/// What protects a file system, as its partitions say it.
#[derive(Debug)]
pub struct Protection {
    pub superblock: VeritySuperblock,
    /// Of the block at the top of the tree.
    pub root_hash: RootHash,
    /// `None` when there is no partition for it.
    pub signature: Option<Result<SignaturePartition, SignatureError>>,
}

impl Image {
    /// Takes an image apart as far as its partition table.
    ///
    /// # Errors
    /// An [`OpenError`] when it has no table that can be used and is no file system either.
    pub fn open(bytes: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let read = |source| OpenError::Read { source };
        let table = match PartitionTable::read(&*bytes) {
            Ok(table) => Some(table),
            Err(TableError::Missing) => match recognise(&*bytes).map_err(read)? {
                Some(_) => None,
                None => return Err(OpenError::NoImage),
            },
            Err(source) => return Err(OpenError::Table { source }),
        };
        Ok(Self { bytes, table })
    }

    /// Returns the partition table, `None` when the image is a file system.
    pub fn table(&self) -> Option<&PartitionTable> {
        self.table.as_ref()
    }

    /// Returns the whole image.
    pub fn bytes(&self) -> &Arc<dyn ReadAt> {
        &self.bytes
    }

    /// Returns what lies in a partition of the image.
    pub fn partition_bytes(&self, found: &FoundPartition) -> Arc<dyn ReadAt> {
        let partition = &found.partition;
        let window = Window::new(
            self.bytes.clone(),
            partition.offset_bytes,
            partition.size_bytes,
        );
        // The table was checked against the length of the image.
        match window {
            Some(window) => Arc::new(window),
            None => Arc::new(crate::format::read_at::ImageBytes::new(Vec::new())),
        }
    }

    /// Returns where the file systems are: a root file system comes before that of `/usr`.
    pub fn payloads(&self) -> Vec<Payload<'_>> {
        let Some(table) = &self.table else {
            return vec![Payload {
                partition: None,
                verity: None,
                signature: None,
                bytes: self.bytes.clone(),
            }];
        };
        let payload = |[data, verity, signature]: [Designator; 3]| {
            let partition = table.find(data)?;
            Some(Payload {
                partition: Some(partition),
                verity: table.find(verity),
                signature: table.find(signature),
                bytes: self.partition_bytes(partition),
            })
        };
        SETS.into_iter().filter_map(payload).collect()
    }

    /// Opens the first file system that can be read: a disk may have others that are written to.
    ///
    /// # Errors
    /// The [`OpenError`] of the first when there is none.
    pub fn file_system(&self) -> Result<FileSystem, OpenError> {
        let mut first_error = OpenError::NoPayload;
        for payload in self.payloads() {
            match FileSystem::open(payload.bytes.clone()) {
                Ok(file_system) => return Ok(file_system),
                Err(source) => {
                    let is_unknown = matches!(source, FileSystemError::Unknown { .. });
                    if matches!(first_error, OpenError::NoPayload) {
                        first_error = OpenError::FileSystem { source };
                    }
                    // What is damaged is not passed over.
                    if !is_unknown {
                        return Err(first_error);
                    }
                }
            }
        }
        Err(first_error)
    }

    /// Reads what protects a file system; `None` when it has no hash tree.
    ///
    /// # Errors
    /// A [`VerityError`] when the superblock or the size of the tree is not in order.
    pub fn protection(&self, payload: &Payload<'_>) -> Option<Result<Protection, VerityError>> {
        let hashes = self.partition_bytes(payload.verity?);
        let read = || {
            let superblock = VeritySuperblock::read(&*hashes)?;
            let levels = superblock.levels(payload.bytes.size_bytes(), hashes.size_bytes())?;
            let root_hash = superblock
                .root_hash(&*payload.bytes, &*hashes, &levels)
                .map_err(|source| VerityError::Read { source })?;
            let signature = payload
                .signature
                .map(|found| SignaturePartition::read(&*self.partition_bytes(found)));
            Ok(Protection {
                superblock,
                root_hash,
                signature,
            })
        };
        Some(read())
    }
}
