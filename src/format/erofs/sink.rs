//! Sequential output through one buffer of fixed size.

use std::io::{ErrorKind, Read, Write};

use super::error::Error;
use super::layout::{BLOCK_LENGTH, seal_first_block};

/// Large enough that system calls do not matter, small enough to stay in the second-level cache.
const BUFFER_LENGTH: usize = 256 * 1024;

/// Collects an image and passes it on in large pieces; the checksum of the first block is put in on the way.
pub(super) struct Sink<'w> {
    out: &'w mut dyn Write,
    buffer: Box<[u8]>,
    filled: usize,
    flushed_bytes: u64,
}

impl<'w> Sink<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self {
            out,
            buffer: vec![0; BUFFER_LENGTH].into_boxed_slice(),
            filled: 0,
            flushed_bytes: 0,
        }
    }

    /// Returns a sink for what follows `position` bytes that are already in `out`.
    pub(super) fn after(out: &'w mut dyn Write, position: u64) -> Self {
        Self {
            flushed_bytes: position,
            ..Self::new(out)
        }
    }

    /// Returns the number of bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.flushed_bytes + self.filled as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room()?;
            let count = room.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            room[..count].copy_from_slice(now);
            self.filled += count;
            rest = later;
        }
        Ok(())
    }

    /// Fills with zeros up to `position`.
    pub(super) fn zero_to(&mut self, position: u64) -> Result<(), Error> {
        while self.position() < position {
            let missing = position - self.position();
            let room = self.room()?;
            let count =
                usize::try_from(missing).map_or(room.len(), |missing| missing.min(room.len()));
            room[..count].fill(0);
            self.filled += count;
        }
        Ok(())
    }

    /// Copies `size_bytes` of `reader`; the outer error is the output's, the inner one the reader's.
    pub(super) fn copy(
        &mut self,
        reader: &mut dyn Read,
        size_bytes: u64,
    ) -> Result<std::io::Result<()>, Error> {
        let mut missing = size_bytes;
        while missing > 0 {
            let room = self.room()?;
            let limit =
                usize::try_from(missing).map_or(room.len(), |missing| missing.min(room.len()));
            match reader.read(&mut room[..limit]) {
                Ok(0) => return Ok(Err(ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.filled += count;
                    missing -= count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Passes the rest on.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.flush()?;
        self.out.flush().map_err(|source| Error::Write { source })
    }

    /// Returns the free part of the buffer, which is never empty.
    fn room(&mut self) -> Result<&mut [u8], Error> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    fn flush(&mut self) -> Result<(), Error> {
        // The buffer is passed on when it is full or the image ends, so the first piece has the whole first block.
        if self.flushed_bytes == 0 && self.filled >= BLOCK_LENGTH {
            seal_first_block(&mut self.buffer[..BLOCK_LENGTH]);
        }
        let bytes = &self.buffer[..self.filled];
        self.out
            .write_all(bytes)
            .map_err(|source| Error::Write { source })?;
        self.flushed_bytes += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}
