//! From what is stored of an extent to its bytes.

use super::clusters::{Extent, Stored};
use super::{Image, ReadError};
use crate::format::codec::{BlockDecompressor, BlockFormat};

/// Decompresses extents, and keeps the memory that takes.
#[derive(Debug)]
pub(super) struct Decoder {
    has_zero_padding: bool,
    block_bytes: u64,
    /// That of the last algorithm: most images have one.
    decompressor: Option<(u8, BlockDecompressor)>,
    stored: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(has_zero_padding: bool, block_bytes: u64) -> Self {
        Self {
            has_zero_padding,
            block_bytes,
            decompressor: None,
            stored: Vec::new(),
        }
    }

    /// Puts the bytes of an extent that is no fragment into `bytes`.
    pub(super) fn decode(
        &mut self,
        image: &Image,
        nid: u64,
        extent: &Extent,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let length = usize::try_from(extent.end - extent.start).unwrap_or(usize::MAX);
        bytes.clear();
        bytes.resize(length, 0);
        match extent.stored {
            Stored::Fragment { .. } => Ok(()),
            Stored::Plain { offset } => image.read_into(nid, offset, bytes),
            Stored::Interlaced { offset } => {
                // The part up to the end of the file's block lies at the end of the stored one, the rest at its start.
                let into = extent.start % self.block_bytes;
                let first = usize::try_from(self.block_bytes - into).unwrap_or(usize::MAX);
                let (first, rest) = bytes.split_at_mut(first.min(length));
                image.read_into(nid, offset + into, first)?;
                image.read_into(nid, offset, rest)
            }
            Stored::Compressed {
                algorithm,
                offset,
                stored_bytes,
            } => {
                let stored_length = usize::try_from(stored_bytes).unwrap_or(usize::MAX);
                self.stored.resize(stored_length, 0);
                image.read_into(nid, offset, &mut self.stored)?;
                self.decompress(nid, algorithm, offset, bytes)
            }
        }
    }

    fn decompress(
        &mut self,
        nid: u64,
        algorithm: u8,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), ReadError> {
        let failed = |source| ReadError::Decompress {
            nid,
            offset,
            source,
        };
        let input = match self.has_zero_padding {
            true => without_padding(&self.stored, offset, self.block_bytes).ok_or(
                ReadError::Damaged {
                    nid,
                    reason: "what is stored of a part is empty",
                },
            )?,
            false => &self.stored,
        };
        let known = self.decompressor.take().filter(|(of, _)| *of == algorithm);
        let (_, decompressor) = match known {
            Some(known) => self.decompressor.insert(known),
            None => {
                let format = format(nid, algorithm)?;
                let made = BlockDecompressor::new(format).map_err(failed)?;
                self.decompressor.insert((algorithm, made))
            }
        };
        let mut whole = || decompressor.decompress(input, bytes);
        if self.has_zero_padding && whole().is_ok_and(|made| made == bytes.len()) {
            return Ok(());
        }
        // The extent may be the start of what is stored, which another one uses further; and without padding nobody
        // knows where the compressed data ends.
        match decompressor
            .decompress_start(input, bytes)
            .map_err(failed)?
        {
            made if made == bytes.len() => Ok(()),
            _ => Err(ReadError::Damaged {
                nid,
                reason: "a part becomes shorter than it should be",
            }),
        }
    }
}

/// Returns compressed data without the zeros before it, which fill a block at most.
fn without_padding(stored: &[u8], offset: u64, block_bytes: u64) -> Option<&[u8]> {
    let limit = usize::try_from(block_bytes - offset % block_bytes).unwrap_or(usize::MAX);
    let start = stored.iter().take(limit).position(|byte| *byte != 0)?;
    stored.get(start..)
}

fn format(nid: u64, algorithm: u8) -> Result<BlockFormat, ReadError> {
    let unsupported = |reason| ReadError::UnsupportedCompression { nid, reason };
    match algorithm {
        0 => Ok(BlockFormat::Lz4),
        1 => Err(unsupported("MicroLZMA is not supported")),
        2 => Ok(BlockFormat::Deflate),
        3 => Ok(BlockFormat::Zstd),
        _ => Err(unsupported("its algorithm is not known")),
    }
}
