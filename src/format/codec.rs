//! Compression of single blocks, as file systems store them: each block by itself, without a frame of ours.
//!
//! What a block becomes depends on its bytes, the codec and the version of the library alone; the libraries are built
//! into the program, so a host's own do not matter.

use std::fmt;
use std::ops::RangeInclusive;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use liblzma::stream as xz;
use lz4::block::{CompressionMode, compress_to_buffer, decompress_to_buffer};
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx};

mod start;

/// What a decoder of xz may use: the dictionary is never larger than a block, and the largest is 1 MiB.
const XZ_MEMORY_LIMIT_BYTES: u64 = 16 << 20;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BlockCodec {
    /// A zstd frame (RFC 8878) with its content's length and without a checksum.
    Zstd { level: i32 },
    /// An LZ4 block, by the fast compressor.
    Lz4,
    /// An LZ4 block, by the slow compressor.
    Lz4Hc { level: i32 },
    /// An xz stream with a CRC-32, whose dictionary is as large as a block.
    Xz { level: u32 },
    /// A zlib stream (RFC 1950).
    Zlib { level: u32 },
    /// A deflate stream (RFC 1951).
    Deflate { level: u32 },
}

/// What a compressed block looks like.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BlockFormat {
    Zstd,
    Lz4,
    Xz,
    Zlib,
    Deflate,
}

/// A block could not be compressed or decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    #[error("the {format} compression level is {level}, and {} to {} were expected", expected.start(), expected.end())]
    Level {
        format: BlockFormat,
        level: i64,
        expected: RangeInclusive<i64>,
    },
    #[error("setting up {format} compression: {reason}")]
    SetUp { format: BlockFormat, reason: String },
    #[error("compressing a block with {format}: {reason}")]
    Compress { format: BlockFormat, reason: String },
    #[error("a block is not valid {format} data")]
    Corrupt { format: BlockFormat },
    #[error("a block of {format} data becomes longer than {limit_bytes} bytes")]
    TooLong {
        format: BlockFormat,
        limit_bytes: usize,
    },
}

impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
        })
    }
}

impl BlockCodec {
    /// Returns what its blocks look like.
    pub const fn format(self) -> BlockFormat {
        match self {
            Self::Zstd { .. } => BlockFormat::Zstd,
            Self::Lz4 | Self::Lz4Hc { .. } => BlockFormat::Lz4,
            Self::Xz { .. } => BlockFormat::Xz,
            Self::Zlib { .. } => BlockFormat::Zlib,
            Self::Deflate { .. } => BlockFormat::Deflate,
        }
    }

    /// Returns the levels that it has, `None` if there is nothing to choose.
    pub const fn levels(self) -> Option<RangeInclusive<i64>> {
        match self {
            Self::Zstd { .. } => Some(1..=22),
            Self::Lz4 => None,
            // Levels below 3 and above 12 are those.
            Self::Lz4Hc { .. } => Some(3..=12),
            Self::Xz { .. } => Some(0..=9),
            Self::Zlib { .. } | Self::Deflate { .. } => Some(1..=9),
        }
    }

    fn level(self) -> i64 {
        match self {
            Self::Zstd { level } | Self::Lz4Hc { level } => level.into(),
            Self::Xz { level } | Self::Zlib { level } | Self::Deflate { level } => level.into(),
            Self::Lz4 => 0,
        }
    }

    /// Checks the level.
    ///
    /// # Errors
    /// [`CodecError::Level`].
    pub fn check(self) -> Result<(), CodecError> {
        match self.levels() {
            Some(expected) if !expected.contains(&self.level()) => Err(CodecError::Level {
                format: self.format(),
                level: self.level(),
                expected,
            }),
            _ => Ok(()),
        }
    }
}

/// Compresses blocks one after another, and keeps the memory that takes.
pub struct BlockCompressor {
    engine: Engine,
}

enum Engine {
    Zstd(CCtx<'static>),
    Lz4(CompressionMode),
    Xz(xz::Filters),
    Flate(BlockFormat, flate2::Compression, Compress),
}

impl BlockCompressor {
    /// Returns a compressor of blocks of up to `block_bytes`.
    ///
    /// # Errors
    /// [`CodecError::Level`] for a level that the codec does not have, [`CodecError::SetUp`] when there is no memory.
    pub fn new(codec: BlockCodec, block_bytes: usize) -> Result<Self, CodecError> {
        codec.check()?;
        let set_up = |reason: String| CodecError::SetUp {
            format: codec.format(),
            reason,
        };
        let engine = match codec {
            BlockCodec::Zstd { level } => {
                let mut context =
                    CCtx::try_create().ok_or_else(|| set_up("not enough memory".to_owned()))?;
                context
                    .set_parameter(CParameter::CompressionLevel(level))
                    .map_err(|code| set_up(zstd_safe::get_error_name(code).to_owned()))?;
                Engine::Zstd(context)
            }
            BlockCodec::Lz4 => Engine::Lz4(CompressionMode::DEFAULT),
            BlockCodec::Lz4Hc { level } => Engine::Lz4(CompressionMode::HIGHCOMPRESSION(level)),
            BlockCodec::Xz { level } => Engine::Xz(
                xz_filters(level, block_bytes).map_err(|error| set_up(error.to_string()))?,
            ),
            BlockCodec::Zlib { level } | BlockCodec::Deflate { level } => {
                let level = flate2::Compression::new(level);
                Engine::Flate(codec.format(), level, flate_stream(codec.format(), level))
            }
        };
        Ok(Self { engine })
    }

    /// Compresses `input` into `output` and returns how long it has become, `None` when it does not fit.
    ///
    /// # Errors
    /// [`CodecError::Compress`] when the library fails for another reason, such as too little memory.
    pub fn compress(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Option<usize>, CodecError> {
        match &mut self.engine {
            Engine::Zstd(context) => match context.compress2(output, input) {
                Ok(length) => Ok(Some(length)),
                Err(code) if is_too_small(code) => Ok(None),
                Err(code) => Err(failed(
                    BlockFormat::Zstd,
                    zstd_safe::get_error_name(code).to_owned(),
                )),
            },
            // The one reason for which it fails with inputs of such lengths is that the output is full.
            Engine::Lz4(mode) => Ok(compress_to_buffer(input, Some(*mode), false, output).ok()),
            Engine::Xz(filters) => {
                let failed = |error: xz::Error| failed(BlockFormat::Xz, error.to_string());
                let mut stream =
                    xz::Stream::new_stream_encoder(filters, xz::Check::Crc32).map_err(failed)?;
                let status = stream.process(input, output, xz::Action::Finish);
                let is_whole = status.map_err(failed)? == xz::Status::StreamEnd;
                Ok(is_whole.then(|| length(stream.total_out())))
            }
            Engine::Flate(format, level, stream) => {
                stream.reset();
                let status = stream
                    .compress(input, output, FlushCompress::Finish)
                    .map_err(|error| failed(*format, error.to_string()))?;
                if status == Status::StreamEnd {
                    return Ok(Some(length(stream.total_out())));
                }
                // A reset leaves something of an unfinished block that makes zlib-rs 0.6.8 panic in a later one.
                *stream = flate_stream(*format, *level);
                Ok(None)
            }
        }
    }
}

impl fmt::Debug for BlockCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCompressor").finish_non_exhaustive()
    }
}

/// Decompresses blocks one after another, whatever is in them.
pub struct BlockDecompressor {
    engine: Decoder,
}

enum Decoder {
    Zstd(DCtx<'static>),
    Lz4,
    Xz,
    Flate(BlockFormat, Decompress),
}

impl BlockDecompressor {
    /// Returns a decompressor.
    ///
    /// # Errors
    /// [`CodecError::SetUp`] when there is no memory for it.
    pub fn new(format: BlockFormat) -> Result<Self, CodecError> {
        let engine = match format {
            BlockFormat::Zstd => {
                Decoder::Zstd(DCtx::try_create().ok_or_else(|| CodecError::SetUp {
                    format,
                    reason: "not enough memory".to_owned(),
                })?)
            }
            BlockFormat::Lz4 => Decoder::Lz4,
            BlockFormat::Xz => Decoder::Xz,
            BlockFormat::Zlib => Decoder::Flate(format, Decompress::new(true)),
            BlockFormat::Deflate => Decoder::Flate(format, Decompress::new(false)),
        };
        Ok(Self { engine })
    }

    /// Decompresses `input`, one whole block, into `output` and returns how many bytes it became.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`] for what is no block of the format, [`CodecError::TooLong`] where the format tells that
    /// `output` is too short. An LZ4 block that becomes too long cannot be told from a malformed one.
    pub fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CodecError> {
        let limit_bytes = output.len();
        let corrupt = |format| CodecError::Corrupt { format };
        let too_long = |format| CodecError::TooLong {
            format,
            limit_bytes,
        };
        match &mut self.engine {
            Decoder::Zstd(context) => {
                context
                    .decompress(output, input)
                    .map_err(|code| match is_too_small(code) {
                        true => too_long(BlockFormat::Zstd),
                        false => corrupt(BlockFormat::Zstd),
                    })
            }
            Decoder::Lz4 => {
                let size = i32::try_from(limit_bytes).map_err(|_| too_long(BlockFormat::Lz4))?;
                decompress_to_buffer(input, Some(size), output)
                    .map_err(|_| corrupt(BlockFormat::Lz4))
            }
            Decoder::Xz => {
                let corrupt = |_| corrupt(BlockFormat::Xz);
                let mut stream =
                    xz::Stream::new_stream_decoder(XZ_MEMORY_LIMIT_BYTES, 0).map_err(corrupt)?;
                let status = stream
                    .process(input, output, xz::Action::Finish)
                    .map_err(corrupt)?;
                let written = length(stream.total_out());
                match status {
                    xz::Status::StreamEnd if stream.total_in() == input.len() as u64 => Ok(written),
                    _ if written == limit_bytes => Err(too_long(BlockFormat::Xz)),
                    _ => Err(corrupt(xz::Error::Data)),
                }
            }
            Decoder::Flate(format, stream) => {
                stream.reset(*format == BlockFormat::Zlib);
                let status = stream
                    .decompress(input, output, FlushDecompress::Finish)
                    .map_err(|_| corrupt(*format))?;
                let written = length(stream.total_out());
                match status {
                    Status::StreamEnd if stream.total_in() == input.len() as u64 => Ok(written),
                    _ if written == limit_bytes => Err(too_long(*format)),
                    _ => Err(corrupt(*format)),
                }
            }
        }
    }
}

impl fmt::Debug for BlockDecompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockDecompressor").finish_non_exhaustive()
    }
}

fn flate_stream(format: BlockFormat, level: flate2::Compression) -> Compress {
    Compress::new(level, format == BlockFormat::Zlib)
}

/// The dictionary is as large as a block and at least 8 KiB, as the kernel's decoder of squashfs expects it.
fn xz_filters(level: u32, block_bytes: usize) -> Result<xz::Filters, xz::Error> {
    let mut options = xz::LzmaOptions::new_preset(level)?;
    let dictionary = u32::try_from(block_bytes).map_err(|_| xz::Error::Options)?;
    options.dict_size(dictionary.max(8 << 10));
    let mut filters = xz::Filters::new();
    filters.lzma2(&options);
    Ok(filters)
}

fn failed(format: BlockFormat, reason: String) -> CodecError {
    CodecError::Compress { format, reason }
}

/// Tells whether libzstd means `ZSTD_error_dstSize_tooSmall`, which is 70; codes are negative numbers, as `size_t`.
fn is_too_small(code: zstd_safe::ErrorCode) -> bool {
    code.wrapping_neg() == 70
}

/// Counts of bytes in one buffer fit.
fn length(count: u64) -> usize {
    usize::try_from(count).expect("no buffer is longer than the address space")
}

#[cfg(test)]
mod tests;
