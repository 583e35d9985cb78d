//! Sequential output in large pieces, of which the first block is kept for the end.

use super::error::Error;
use super::layout::{SUPER_LENGTH, SuperBlock};
use crate::format::output::{FIRST_BLOCK_BYTES, ImageOutput};

/// Large enough that system calls do not matter, small enough to stay in the second-level cache.
const BUFFER_LENGTH: usize = 256 * 1024;
/// What an image is padded to, as a loop device and the hash tree have blocks of this size.
const PADDING: [u8; 4096] = [0; 4096];

/// Collects an image and passes it on.
pub(super) struct Sink<'w> {
    out: &'w mut dyn ImageOutput,
    buffer: Vec<u8>,
    passed_bytes: u64,
    /// The superblock's place and what follows it, which is contents.
    first_block: [u8; FIRST_BLOCK_BYTES],
}

impl<'w> Sink<'w> {
    /// Returns a sink that leaves room for the superblock.
    pub(super) fn new(out: &'w mut dyn ImageOutput) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_LENGTH);
        buffer.resize(SUPER_LENGTH, 0);
        Self {
            out,
            buffer,
            passed_bytes: 0,
            first_block: [0; FIRST_BLOCK_BYTES],
        }
    }

    /// Returns the number of bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.passed_bytes + self.buffer.len() as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.buffer.len() == BUFFER_LENGTH {
                self.pass_on()?;
            }
            let room = BUFFER_LENGTH - self.buffer.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    /// Ends the image with padding and puts `superblock` at its start; returns its length.
    pub(super) fn finish(mut self, superblock: &SuperBlock) -> Result<u64, Error> {
        let used_bytes = self.position();
        let size_bytes = used_bytes.next_multiple_of(PADDING.len() as u64);
        let missing = size_bytes - used_bytes;
        self.put(&PADDING[..usize::try_from(missing).expect("it is less than a block")])?;
        self.pass_on()?;
        self.first_block[..SUPER_LENGTH].copy_from_slice(&superblock.encode());
        self.out
            .replace_first_block(&self.first_block)
            .and_then(|()| self.out.flush())
            .map_err(|source| Error::Write { source })?;
        Ok(size_bytes)
    }

    fn pass_on(&mut self) -> Result<(), Error> {
        // The buffer is passed on when it is full or the image ends, so the first piece has the whole first block.
        if self.passed_bytes == 0 {
            self.first_block
                .copy_from_slice(&self.buffer[..FIRST_BLOCK_BYTES]);
        }
        self.out
            .write_all(&self.buffer)
            .map_err(|source| Error::Write { source })?;
        self.passed_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
