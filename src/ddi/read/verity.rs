//! The hash tree of an image: its superblock, and the check of every block against it.

use std::io;
use std::num::NonZeroUsize;

use openssl::sha::Sha256;
use uuid::Uuid;

use crate::ddi::RootHash;
use crate::format::pipeline;
use crate::format::read_at::ReadAt;

use super::zeros::first_nonzero;

/// Length of `struct verity_sb`.
const SUPERBLOCK_BYTES: usize = 512;
const SALT_LIMIT_BYTES: u16 = 256;
const DIGEST_BYTES: u64 = 32;
/// `veritysetup` makes blocks from 512 bytes to 512 KiB; the kernel takes them up to a page.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 512..=65536;
/// How many damaged blocks are named.
const NAMED_LIMIT: usize = 8;

/// What a verity superblock says, in cryptsetup's names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VeritySuperblock {
    pub uuid: Uuid,
    pub data_block_size: u32,
    pub hash_block_size: u32,
    pub data_blocks: u64,
    pub salt: Vec<u8>,
}

/// A hash tree is damaged, does not fit its data, or is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerityError {
    #[error("there is no verity superblock")]
    Missing,
    #[error("the verity superblock's {field} is `{found}`, and {expected} was expected")]
    Superblock {
        field: &'static str,
        found: String,
        expected: &'static str,
    },
    #[error(
        "the byte at {offset} of the verity partition is not zero, though nothing is stored there"
    )]
    NotZero { offset: u64 },
    #[error("the hash tree takes {needed_bytes} bytes and its partition has {found_bytes}")]
    TreeTooLong { needed_bytes: u64, found_bytes: u64 },
    #[error(
        "the hash tree is over {needed_bytes} bytes of data and the partition has {found_bytes}"
    )]
    DataTooLong { needed_bytes: u64, found_bytes: u64 },
    #[error("reading the verity partition")]
    Read { source: io::Error },
}

/// What the check of every block found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct TreeCheck {
    /// Offsets of data blocks that are not what the tree says, the first ones.
    pub(super) damaged_data: Vec<u64>,
    /// Offsets of blocks of the tree that are not what the one above says, the first ones.
    pub(super) damaged_tree: Vec<u64>,
    pub(super) damaged_count: u64,
}

impl VeritySuperblock {
    /// Reads the superblock at the start of a hash partition.
    ///
    /// # Errors
    /// A [`VerityError`] that says what is not known, or what is not zero around it.
    pub fn read(hashes: &dyn ReadAt) -> Result<Self, VerityError> {
        let bytes = hashes
            .bytes_at(0, SUPERBLOCK_BYTES)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => VerityError::Missing,
                _ => VerityError::Read { source },
            })?;
        if !bytes.starts_with(b"verity\0\0") {
            return Err(VerityError::Missing);
        }
        let word = |offset: usize| u32::from_le_bytes(get(&bytes, offset));
        let superblock = |field, found: String, expected| VerityError::Superblock {
            field,
            found,
            expected,
        };
        for (field, offset) in [("version", 8), ("hash type", 12)] {
            if word(offset) != 1 {
                return Err(superblock(field, word(offset).to_string(), "1"));
            }
        }
        let algorithm = &bytes[32..64];
        if !algorithm.starts_with(b"sha256\0") {
            let found = algorithm.split(|byte| *byte == 0).next();
            let found = String::from_utf8_lossy(found.unwrap_or_default()).into_owned();
            return Err(superblock("algorithm", found, "sha256"));
        }
        for (field, offset) in [("data block size", 64), ("hash block size", 68)] {
            let size = word(offset);
            if !BLOCK_SIZES.contains(&size) || !size.is_power_of_two() {
                let expected = "a power of two from 512 to 65536";
                return Err(superblock(field, size.to_string(), expected));
            }
        }
        let data_blocks = u64::from_le_bytes(get(&bytes, 72));
        if data_blocks == 0 {
            return Err(superblock(
                "number of data blocks",
                "0".into(),
                "at least 1",
            ));
        }
        let salt_size = u16::from_le_bytes(get(&bytes, 80));
        if salt_size > SALT_LIMIT_BYTES {
            return Err(superblock(
                "salt size",
                salt_size.to_string(),
                "at most 256",
            ));
        }
        let salt_end = 88 + usize::from(salt_size);
        // Reserved fields, and what is left of those that are not full.
        for (start, end) in [(38, 64), (82, 88), (salt_end, SUPERBLOCK_BYTES)] {
            if let Some(into) = bytes[start..end].iter().position(|byte| *byte != 0) {
                let offset = (start + into) as u64;
                return Err(VerityError::NotZero { offset });
            }
        }
        Ok(Self {
            uuid: Uuid::from_bytes(get(&bytes, 16)),
            data_block_size: word(64),
            hash_block_size: word(68),
            data_blocks,
            salt: bytes[88..salt_end].to_vec(),
        })
    }

    /// Returns the number of hash blocks of each level, the one over the data first, and checks that all there is lies
    /// within its partition.
    ///
    /// # Errors
    /// [`VerityError::DataTooLong`] and [`VerityError::TreeTooLong`].
    pub(super) fn levels(&self, data_bytes: u64, hash_bytes: u64) -> Result<Vec<u64>, VerityError> {
        let needed_bytes = self.data_bytes();
        if needed_bytes.is_none_or(|needed| needed > data_bytes) {
            return Err(VerityError::DataTooLong {
                needed_bytes: needed_bytes.unwrap_or(u64::MAX),
                found_bytes: data_bytes,
            });
        }
        let mut levels = Vec::new();
        let mut below = self.data_blocks;
        while below > 1 {
            below = below.div_ceil(self.digests_per_block());
            levels.push(below);
        }
        let needed_bytes = self.tree_end(&levels);
        match needed_bytes > hash_bytes {
            true => Err(VerityError::TreeTooLong {
                needed_bytes,
                found_bytes: hash_bytes,
            }),
            false => Ok(levels),
        }
    }

    /// Returns how much data the tree is over, `None` for more than there can be.
    pub(super) fn data_bytes(&self) -> Option<u64> {
        self.data_blocks.checked_mul(self.data_block_size.into())
    }

    fn digests_per_block(&self) -> u64 {
        u64::from(self.hash_block_size) / DIGEST_BYTES
    }

    /// Returns where the tree ends in its partition, of which the superblock takes the first block.
    pub(super) fn tree_end(&self, levels: &[u64]) -> u64 {
        let blocks: u64 = levels.iter().sum();
        (blocks + 1) * u64::from(self.hash_block_size)
    }

    /// Returns where a level starts: the one nearest the root comes first.
    fn level_offset(&self, levels: &[u64], level: usize) -> u64 {
        let above: u64 = levels[level + 1..].iter().sum();
        (above + 1) * u64::from(self.hash_block_size)
    }

    fn hash(&self) -> Sha256 {
        let mut salted = Sha256::new();
        salted.update(&self.salt);
        salted
    }

    /// Returns the hash of the block at the top of the tree.
    ///
    /// # Errors
    /// What reading failed with.
    pub(super) fn root_hash(
        &self,
        data: &dyn ReadAt,
        hashes: &dyn ReadAt,
        levels: &[u64],
    ) -> io::Result<RootHash> {
        let top = match levels.len().checked_sub(1) {
            Some(top) => {
                let length = self.hash_block_size as usize;
                hashes.bytes_at(self.level_offset(levels, top), length)?
            }
            // With one block of data there is no tree.
            None => data.bytes_at(0, self.data_block_size as usize)?,
        };
        let mut hash = self.hash();
        hash.update(&top);
        Ok(RootHash::from_bytes(hash.finish()))
    }

    /// Checks every block of data and tree against the hash of it in the tree; the top is checked by its root hash.
    ///
    /// # Errors
    /// What reading failed with.
    pub(super) fn check(
        &self,
        data: &dyn ReadAt,
        hashes: &dyn ReadAt,
        levels: &[u64],
        workers: NonZeroUsize,
    ) -> io::Result<TreeCheck> {
        let mut found = TreeCheck::default();
        for (level, blocks) in levels.iter().enumerate() {
            let (below, below_start, below_size, below_count) = match level.checked_sub(1) {
                None => (data, 0, self.data_block_size, self.data_blocks),
                Some(below) => (
                    hashes,
                    self.level_offset(levels, below),
                    self.hash_block_size,
                    levels[below],
                ),
            };
            let level_offset = self.level_offset(levels, level);
            let (hash_size, below_size) = (u64::from(self.hash_block_size), u64::from(below_size));
            let work = |buffer: &mut Vec<u8>, block: u64, result: &mut Checked| {
                let first = block * self.digests_per_block();
                let count = self.digests_per_block().min(below_count - first);
                let start = below_start + first * below_size;
                result.damaged.clear();
                result.error = self
                    .check_block(
                        (hashes, level_offset + block * hash_size),
                        (below, start, below_size, count),
                        buffer,
                        &mut result.damaged,
                    )
                    .err();
            };
            pipeline::in_order(
                workers,
                0..*blocks,
                Vec::new,
                work,
                |result: &mut Checked| {
                    let named = match level {
                        0 => &mut found.damaged_data,
                        _ => &mut found.damaged_tree,
                    };
                    found.damaged_count += result.damaged.len() as u64;
                    let room = NAMED_LIMIT - named.len();
                    named.extend(result.damaged.iter().take(room));
                    result.error.take().map_or(Ok(()), Err)
                },
            )?;
        }
        Ok(found)
    }

    /// Checks the blocks whose hashes one block of the tree has.
    fn check_block(
        &self,
        (hashes, hash_offset): (&dyn ReadAt, u64),
        (below, start, size, count): (&dyn ReadAt, u64, u64, u64),
        buffer: &mut Vec<u8>,
        damaged: &mut Vec<u64>,
    ) -> io::Result<()> {
        let digests = hashes.bytes_at(hash_offset, self.hash_block_size as usize)?;
        let length = usize::try_from(size * count).unwrap_or(usize::MAX);
        buffer.resize(length, 0);
        below.read_exact_at(buffer, start)?;
        let salted = self.hash();
        let block_length = usize::try_from(size).unwrap_or(usize::MAX);
        let blocks = buffer.chunks_exact(block_length);
        for (index, (block, digest)) in (0..).zip(blocks.zip(digests.as_chunks::<32>().0)) {
            let mut hash = salted.clone();
            hash.update(block);
            if hash.finish() != *digest {
                damaged.push(start + index * size);
            }
        }
        Ok(())
    }

    /// Checks that nothing is in the hash partition besides superblock and tree.
    ///
    /// # Errors
    /// [`VerityError::NotZero`], or that it cannot be read.
    pub(super) fn check_unused(
        &self,
        hashes: &dyn ReadAt,
        levels: &[u64],
    ) -> Result<(), VerityError> {
        let after = [
            (SUPERBLOCK_BYTES as u64, self.hash_block_size.into()),
            (self.tree_end(levels), hashes.size_bytes()),
        ];
        for (start, end) in after {
            let found = first_nonzero(hashes, start, end);
            match found.map_err(|source| VerityError::Read { source })? {
                None => {}
                Some(offset) => return Err(VerityError::NotZero { offset }),
            }
        }
        Ok(())
    }
}

/// What one job found.
#[derive(Debug, Default)]
struct Checked {
    damaged: Vec<u64>,
    error: Option<io::Error>,
}

fn get<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
