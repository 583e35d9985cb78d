//! dm-verity: the hash tree over a payload, and the partition that holds it.
//!
//! On-disk format: <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>, superblock version 1, hash type 1.

use std::io::{self, Write};

use openssl::sha::Sha256;
use uuid::Uuid;

use super::identity::RootHash;

/// Size of data and hash blocks, the one systemd uses for files. Another size changes every root hash.
pub(super) const BLOCK_BYTES: usize = 4096;

const DIGEST_BYTES: usize = 32;
const SUPERBLOCK_VERSION: u32 = 1;
/// The salt comes before the data and digests are packed without gaps (type 0 is Chrome OS's).
const HASH_TYPE: u32 = 1;

/// Takes a payload's bytes in order and keeps the digest of each block.
pub(super) struct HashTreeBuilder {
    salt: [u8; 32],
    /// The hash state after the salt, which every block starts from.
    salted: Sha256,
    partial: Vec<u8>,
    leaves: Vec<u8>,
}

/// A finished hash tree.
pub(super) struct HashTree {
    salt: [u8; 32],
    data_block_count: u64,
    root_hash: RootHash,
    /// The level next to the data first, each a multiple of the block size; none when there is one data block.
    levels: Vec<Vec<u8>>,
}

impl HashTreeBuilder {
    pub(super) fn new(salt: [u8; 32]) -> Self {
        let mut salted = Sha256::new();
        salted.update(&salt);
        Self {
            salt,
            salted,
            partial: Vec::with_capacity(BLOCK_BYTES),
            leaves: Vec::new(),
        }
    }

    /// Takes the next bytes, of any length.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let missing = BLOCK_BYTES - self.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() < BLOCK_BYTES {
                return;
            }
            let digest = digest(&self.salted, &self.partial);
            self.leaves.extend_from_slice(&digest);
            self.partial.clear();
        }
        let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
        for block in &mut blocks {
            let digest = digest(&self.salted, block);
            self.leaves.extend_from_slice(&digest);
        }
        self.partial.extend_from_slice(blocks.remainder());
    }

    /// Takes `count` zeros, each block of which has the same digest.
    pub(super) fn update_zeros(&mut self, mut count: u64) {
        const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
        if !self.partial.is_empty() {
            let missing = BLOCK_BYTES - self.partial.len();
            let head = usize::try_from(count).map_or(missing, |count| missing.min(count));
            self.update(&ZEROS[..head]);
            count -= head as u64;
        }
        if count >= BLOCK_BYTES as u64 {
            let digest = digest(&self.salted, &ZEROS);
            while count >= BLOCK_BYTES as u64 {
                self.leaves.extend_from_slice(&digest);
                count -= BLOCK_BYTES as u64;
            }
        }
        let rest = usize::try_from(count).expect("it is less than a block");
        self.update(&ZEROS[..rest]);
    }

    /// Takes another first block in place of the one that went by.
    ///
    /// # Panics
    /// When no whole block went by.
    pub(super) fn replace_first_block(&mut self, block: &[u8; BLOCK_BYTES]) {
        let digest = digest(&self.salted, block);
        self.leaves[..DIGEST_BYTES].copy_from_slice(&digest);
    }

    /// Builds the levels above the data; `None` when there was no data. A last, partial block counts as zero-filled.
    pub(super) fn finish(mut self) -> Option<HashTree> {
        if !self.partial.is_empty() {
            self.partial.resize(BLOCK_BYTES, 0);
            let digest = digest(&self.salted, &self.partial);
            self.leaves.extend_from_slice(&digest);
        }
        let data_block_count = (self.leaves.len() / DIGEST_BYTES) as u64;
        let mut levels = Vec::new();
        let mut digests = self.leaves;
        // One digest is the root. With a single data block that is its own, and the tree has no levels.
        while digests.len() > DIGEST_BYTES {
            let mut level = digests;
            level.resize(level.len().next_multiple_of(BLOCK_BYTES), 0);
            digests = level
                .chunks_exact(BLOCK_BYTES)
                .flat_map(|block| digest(&self.salted, block))
                .collect();
            levels.push(level);
        }
        let root_hash = RootHash::from_bytes(digests.try_into().ok()?);
        Some(HashTree {
            salt: self.salt,
            data_block_count,
            root_hash,
            levels,
        })
    }
}

impl HashTree {
    pub(super) fn root_hash(&self) -> RootHash {
        self.root_hash
    }

    /// Reads what a superblock says: its UUID, the salt, and how many bytes are hashed; or why it is not one of ours.
    pub(super) fn read_superblock(block: &[u8]) -> Result<(Uuid, [u8; 32], u64), &'static str> {
        let uuid: [u8; 16] = block[16..32].try_into().expect("16 bytes are 16 bytes");
        let salt: [u8; 32] = block[88..120].try_into().expect("32 bytes are 32 bytes");
        let count: [u8; 8] = block[72..80].try_into().expect("8 bytes are 8 bytes");
        let uuid = Uuid::from_bytes(uuid);
        let data_block_count = u64::from_le_bytes(count);
        let expected = Self {
            salt,
            data_block_count,
            root_hash: RootHash::from_bytes([0; 32]),
            levels: Vec::new(),
        };
        if expected.superblock(uuid)[..] != *block {
            return Err("it is not of SHA-256 over blocks of 4096 bytes with a salt of 32");
        }
        let data_bytes = data_block_count
            .checked_mul(BLOCK_BYTES as u64)
            .ok_or("it is of more data than there can be")?;
        Ok((uuid, salt, data_bytes))
    }

    /// Returns the length of the tree over `data_bytes`, which are whole blocks.
    pub(super) fn size_over(data_bytes: u64) -> u64 {
        let digests_per_block = (BLOCK_BYTES / DIGEST_BYTES) as u64;
        let mut blocks = data_bytes / BLOCK_BYTES as u64;
        let mut total = 1;
        while blocks > 1 {
            blocks = blocks.div_ceil(digests_per_block);
            total += blocks;
        }
        total * BLOCK_BYTES as u64
    }

    /// Returns the length of what [`HashTree::write_to`] writes.
    pub(super) fn size_bytes(&self) -> u64 {
        (BLOCK_BYTES + self.levels.iter().map(Vec::len).sum::<usize>()) as u64
    }

    /// Writes the superblock and the tree, the level next to the root first.
    pub(super) fn write_to(&self, output: &mut impl Write, uuid: Uuid) -> io::Result<()> {
        output.write_all(&self.superblock(uuid))?;
        self.levels
            .iter()
            .rev()
            .try_for_each(|level| output.write_all(level))
    }

    /// Lays out `struct verity_sb`: signature 0, version 8, hash_type 12, uuid 16, algorithm 32, data_block_size 64,
    /// hash_block_size 68, data_blocks 72, salt_size 80, salt 88; integers little-endian.
    fn superblock(&self, uuid: Uuid) -> [u8; BLOCK_BYTES] {
        const BLOCK_SIZE: u32 = 4096;
        const SALT_SIZE: u16 = 32;
        let mut block = [0; BLOCK_BYTES];
        let mut put = |offset: usize, bytes: &[u8]| {
            block[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, b"verity");
        put(8, &SUPERBLOCK_VERSION.to_le_bytes());
        put(12, &HASH_TYPE.to_le_bytes());
        put(16, uuid.as_bytes());
        put(32, b"sha256");
        put(64, &BLOCK_SIZE.to_le_bytes());
        put(68, &BLOCK_SIZE.to_le_bytes());
        put(72, &self.data_block_count.to_le_bytes());
        put(80, &SALT_SIZE.to_le_bytes());
        put(88, &self.salt);
        block
    }
}

fn digest(salted: &Sha256, block: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hash = salted.clone();
    hash.update(block);
    hash.finish()
}

#[cfg(test)]
mod tests;
