//! Tables: sequences of metadata blocks, each of up to 8 KiB before it is compressed.

use super::error::Error;
use super::layout::{METADATA_LENGTH, METADATA_STORED, Place};
use super::sink::Sink;
use crate::format::codec::BlockCompressor;

/// A table that grows at its end. Blocks that are complete are handed out by [`Table::drain`].
#[derive(Debug)]
pub(super) struct Table {
    /// The blocks since they were last handed out, and how long those before were.
    blocks: Vec<u8>,
    drained_bytes: u64,
    /// What is in no block yet; always shorter than one.
    current: Vec<u8>,
}

/// The compressor that all tables share, with room for one block.
#[derive(Debug)]
pub(super) struct MetadataCompressor {
    compressor: BlockCompressor,
    room: Box<[u8; METADATA_LENGTH]>,
}

impl MetadataCompressor {
    pub(super) fn new(compressor: BlockCompressor) -> Self {
        Self {
            compressor,
            room: Box::new([0; METADATA_LENGTH]),
        }
    }

    /// Appends `bytes`, of one block, to `blocks`.
    fn append(&mut self, bytes: &[u8], blocks: &mut Vec<u8>) -> Result<(), Error> {
        // One byte less than there is: a block that does not get smaller is stored.
        let room = &mut self.room[..bytes.len().saturating_sub(1)];
        let compressed = self
            .compressor
            .compress(bytes, room)
            .map_err(|source| Error::Compress { source })?;
        let (stored, flag) = match compressed {
            Some(length) => (&room[..length], 0),
            None => (bytes, METADATA_STORED),
        };
        let length = u16::try_from(stored.len()).expect("a block has at most 8192 bytes");
        blocks.extend_from_slice(&(length | flag).to_le_bytes());
        blocks.extend_from_slice(stored);
        Ok(())
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            drained_bytes: 0,
            current: Vec::with_capacity(METADATA_LENGTH),
        }
    }

    /// Returns where the next byte goes.
    pub(super) fn place(&self) -> Place {
        Place {
            block: self.drained_bytes + self.blocks.len() as u64,
            offset: u16::try_from(self.current.len()).expect("a block has at most 8192 bytes"),
        }
    }

    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        compressor: &mut MetadataCompressor,
    ) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = METADATA_LENGTH - self.current.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.current.extend_from_slice(now);
            if self.current.len() == METADATA_LENGTH {
                self.end_block(compressor)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Ends the last block, after which nothing can be appended that is to be found from what was before.
    pub(super) fn end(&mut self, compressor: &mut MetadataCompressor) -> Result<(), Error> {
        if self.current.is_empty() {
            return Ok(());
        }
        self.end_block(compressor)
    }

    /// Puts the complete blocks into `sink`.
    pub(super) fn drain(&mut self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.put(&self.blocks)?;
        self.drained_bytes += self.blocks.len() as u64;
        self.blocks.clear();
        Ok(())
    }

    /// Returns how many bytes of blocks [`Table::drain`] would hand out.
    pub(super) fn drainable_bytes(&self) -> usize {
        self.blocks.len()
    }

    fn end_block(&mut self, compressor: &mut MetadataCompressor) -> Result<(), Error> {
        compressor.append(&self.current, &mut self.blocks)?;
        self.current.clear();
        Ok(())
    }
}

/// Writes `records` as a table of their own; returns where each of its blocks starts.
pub(super) fn write_indexed(
    records: &[u8],
    compressor: &mut MetadataCompressor,
    sink: &mut Sink<'_>,
) -> Result<Vec<u64>, Error> {
    let mut starts = Vec::new();
    let mut table = Table::new();
    for block in records.chunks(METADATA_LENGTH) {
        starts.push(sink.position());
        table.append(block, compressor)?;
        table.end(compressor)?;
        table.drain(sink)?;
    }
    Ok(starts)
}
