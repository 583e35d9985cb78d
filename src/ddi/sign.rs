//! Signing an image that was made without its signature, in place.
//!
//! Nothing is believed: the hash tree is built again from the data, and what is signed is its root only if the image
//! says the same. The one thing that is written is the signature partition, for which the image has room, so that an
//! interruption leaves the image as it was or with a signature that can be made again.

mod table;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use self::table::{Found, find_partitions};
use super::identity::RootHash;
use super::read::TableError;
use super::signature::{SIGNATURE_PARTITION_BYTES, signature_json};
use super::verity::{BLOCK_BYTES, HashTree, HashTreeBuilder};
use crate::Hint;
use crate::signing::{self, Signer};

/// How much of the data is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What becomes of a signature that is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signed {
    Refuse,
    Replace,
}

/// An image could not be signed; it is as it was unless the error is [`SignError::Write`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    #[error("reading {part} of the image")]
    Read {
        part: &'static str,
        source: io::Error,
    },
    #[error("there is no partition table in it")]
    NoTable,
    #[error("its partition table is damaged")]
    BrokenTable { source: TableError },
    #[error("it has no {part}")]
    NoPartition { part: &'static str },
    #[error("its hash tree cannot be checked: {reason}")]
    UnknownTree { reason: &'static str },
    #[error(
        "its data have the root hash `{found}`, and the names of its partitions say `{expected}`"
    )]
    OtherRoot { expected: RootHash, found: RootHash },
    #[error("its hash tree is not that of its data")]
    OtherTree,
    #[error("it is signed already")]
    AlreadySigned,
    #[error("signing the root hash `{root_hash}`")]
    Sign {
        root_hash: RootHash,
        source: signing::Error,
    },
    #[error(
        "its signature partition has {found_bytes} bytes, and 1 to {SIGNATURE_PARTITION_BYTES} were expected"
    )]
    SignaturePartition { found_bytes: u64 },
    #[error("the signature takes {size_bytes} bytes, and its partition has {room_bytes}")]
    SignatureTooLarge { size_bytes: usize, room_bytes: u64 },
    #[error("writing the signature")]
    Write { source: io::Error },
}

impl Hint for SignError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Sign { source, .. } => source.hint(),
            Self::AlreadySigned => Some("`--force` signs it again".to_owned()),
            Self::NoPartition { .. } => {
                Some("build it with `Verity=defer`, which leaves room for a signature".to_owned())
            }
            Self::OtherRoot { .. } | Self::OtherTree => {
                Some("it has changed since it was built; build it again".to_owned())
            }
            _ => None,
        }
    }
}

/// Signs the image in `file`, which is open for reading and writing, and returns its root hash.
///
/// # Errors
/// A [`SignError`] when the image is not whole, has no room for a signature, or has one.
pub fn sign(file: &File, signer: &Signer, signed: Signed) -> Result<RootHash, SignError> {
    let found = find_partitions(file)?;
    let signature_room = usize::try_from(found.signature.size_bytes)
        .ok()
        .filter(|size| (1..=SIGNATURE_PARTITION_BYTES).contains(size))
        .ok_or(SignError::SignaturePartition {
            found_bytes: found.signature.size_bytes,
        })?;
    let mut present = vec![0; signature_room];
    read(
        file,
        "the signature partition",
        &mut present,
        found.signature.offset_bytes,
    )?;
    if signed == Signed::Refuse && present.iter().any(|byte| *byte != 0) {
        return Err(SignError::AlreadySigned);
    }
    let root_hash = check_tree(file, &found)?;
    let mut json = signature_json(signer, root_hash)
        .map_err(|source| SignError::Sign { root_hash, source })?;
    if json.len() > signature_room {
        return Err(SignError::SignatureTooLarge {
            size_bytes: json.len(),
            room_bytes: found.signature.size_bytes,
        });
    }
    json.resize(signature_room, 0);
    file.write_all_at(&json, found.signature.offset_bytes)
        .and_then(|()| file.sync_all())
        .map_err(|source| SignError::Write { source })?;
    Ok(root_hash)
}

/// Builds the hash tree again, and returns its root if the image has the same.
fn check_tree(file: &File, found: &Found) -> Result<RootHash, SignError> {
    let part = "the hash tree";
    let mut superblock = vec![0; BLOCK_BYTES];
    read(file, part, &mut superblock, found.tree.offset_bytes)?;
    let unknown = |reason| SignError::UnknownTree { reason };
    let (uuid, salt, data_bytes) = HashTree::read_superblock(&superblock).map_err(unknown)?;
    if data_bytes > found.data.size_bytes {
        return Err(unknown("it is of more data than there are"));
    }
    let mut builder = HashTreeBuilder::new(salt);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset_bytes = 0;
    while offset_bytes < data_bytes {
        let left = usize::try_from(data_bytes - offset_bytes).unwrap_or(CHUNK_BYTES);
        let length = left.min(CHUNK_BYTES);
        read(
            file,
            "the file system",
            &mut chunk[..length],
            found.data.offset_bytes + offset_bytes,
        )?;
        builder.update(&chunk[..length]);
        offset_bytes += length as u64;
    }
    let tree = builder.finish().ok_or(unknown("it is of no data"))?;
    if tree.root_hash() != found.root_hash {
        return Err(SignError::OtherRoot {
            expected: found.root_hash,
            found: tree.root_hash(),
        });
    }
    if tree.size_bytes() > found.tree.size_bytes {
        return Err(SignError::OtherTree);
    }
    let mut expected = Vec::new();
    tree.write_to(&mut expected, uuid)
        .map_err(|source| SignError::Read { part, source })?;
    let mut stored = vec![0; expected.len()];
    read(file, part, &mut stored, found.tree.offset_bytes)?;
    match stored == expected {
        true => Ok(found.root_hash),
        false => Err(SignError::OtherTree),
    }
}

fn read(
    file: &File,
    part: &'static str,
    bytes: &mut [u8],
    offset_bytes: u64,
) -> Result<(), SignError> {
    file.read_exact_at(bytes, offset_bytes)
        .map_err(|source| SignError::Read { part, source })
}

#[cfg(test)]
mod tests;
