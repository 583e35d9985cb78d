//! The outer compression of archives, in threads, with bytes that do not depend on the machine.
//!
//! What is compressed is cut by its length alone, never by when it comes or how many threads there are:
//! - zstd: libzstd's multi-threaded mode makes one frame of jobs whose size the level gives. One worker and eight give the
//!   same bytes; without workers it takes another path and gives others, which is why there is always at least one. The
//!   frame carries a content checksum, and its window is one that the kernel can unpack as an initrd.
//! - xz: liblzma's multi-threaded mode makes blocks of a fixed size in one stream. The kernel checks nothing but CRC-32
//!   (Documentation/staging/xz.rst), so that is what the stream has.
//! - gzip: one member, as every gunzip reads it, of chunks that are compressed apart.

mod gzip;

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use liblzma::stream::{Check, Filters, LzmaOptions, MtStreamBuilder};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    None,
    Zstd { level: i32 },
    Xz { level: u32 },
    Gzip { level: u32 },
}

/// The levels that `zstd --ultra` knows. Level 22 has the largest window, 128 MiB, which is also the kernel's limit
/// (ZSTD_WINDOWSIZE_MAX in lib/decompress_unzstd.c); long-distance matching is never asked for and would exceed it.
const ZSTD_LEVELS: RangeInclusive<i32> = 1..=22;
const XZ_LEVELS: RangeInclusive<i32> = 0..=9;
const GZIP_LEVELS: RangeInclusive<i32> = 1..=9;

/// The largest dictionary of xz, that of level 6. The kernel allocates what the stream names, in a machine that has
/// little else yet, and each thread holds a block of three times as much twice.
const XZ_DICTIONARY_BYTES: u32 = 8 << 20;
/// Blocks are this many dictionaries long, as xz makes them: less costs size, more costs memory.
const XZ_DICTIONARIES_IN_BLOCK: u64 = 3;

/// Compression could not be set up, or what it gave could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the {name} compression level is {level}, and {} to {} were expected", levels.start(), levels.end())]
    Level {
        name: &'static str,
        level: i64,
        levels: RangeInclusive<i32>,
    },
    #[error("setting up {name} compression of level {level} with {workers} worker threads")]
    SetUp {
        name: &'static str,
        level: i64,
        workers: NonZeroUsize,
        source: std::io::Error,
    },
    #[error("compressing with {name}")]
    Write {
        name: &'static str,
        source: std::io::Error,
    },
}

impl Codec {
    /// Returns the name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd { .. } => "zstd",
            Self::Xz { .. } => "xz",
            Self::Gzip { .. } => "gzip",
        }
    }

    /// Returns the levels that the format has.
    pub const fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::None => None,
            Self::Zstd { .. } => Some(ZSTD_LEVELS),
            Self::Xz { .. } => Some(XZ_LEVELS),
            Self::Gzip { .. } => Some(GZIP_LEVELS),
        }
    }

    fn level(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Zstd { level } => level.into(),
            Self::Xz { level } | Self::Gzip { level } => level.into(),
        }
    }

    fn check(self) -> Result<(), Error> {
        match self.levels() {
            Some(levels)
                if !i32::try_from(self.level()).is_ok_and(|level| levels.contains(&level)) =>
            {
                Err(Error::Level {
                    name: self.name(),
                    level: self.level(),
                    levels,
                })
            }
            _ => Ok(()),
        }
    }

    fn failed(self) -> impl FnOnce(std::io::Error) -> Error {
        let name = self.name();
        move |source| Error::Write { name, source }
    }
}

/// Has `write` write, and puts what it writes into `out`, compressed in `workers` threads.
///
/// What a `write` that succeeds has written is complete when this returns.
///
/// # Errors
/// An [`Error`] of the compression, else what `write` returns. An error of `out` is either one's.
pub fn compress<T: Send, E: Send>(
    out: &mut impl Write,
    codec: Codec,
    workers: NonZeroUsize,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send,
) -> Result<Result<T, E>, Error> {
    codec.check()?;
    let set_up = |source| Error::SetUp {
        name: codec.name(),
        level: codec.level(),
        workers,
        source,
    };
    match codec {
        Codec::None => Ok(write(out)),
        Codec::Zstd { level } => {
            let mut encoder = zstd_encoder(out, level, workers).map_err(set_up)?;
            let written = write(&mut Unflushed(&mut encoder));
            if written.is_ok() {
                encoder.finish().map_err(codec.failed())?;
            }
            Ok(written)
        }
        Codec::Xz { level } => {
            let stream = xz_stream(level, workers).map_err(|error| set_up(error.into()))?;
            let mut encoder = liblzma::write::XzEncoder::new_stream(out, stream);
            let written = write(&mut Unflushed(&mut encoder));
            if written.is_ok() {
                encoder.finish().map_err(codec.failed())?;
            }
            Ok(written)
        }
        Codec::Gzip { level } => gzip::compress(out, level, workers, write).map_err(codec.failed()),
    }
}

fn zstd_encoder<W: Write>(
    out: W,
    level: i32,
    workers: NonZeroUsize,
) -> std::io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
    encoder.include_checksum(true)?;
    encoder.multithread(u32::try_from(workers.get()).unwrap_or(u32::MAX))?;
    Ok(encoder)
}

fn xz_stream(
    level: u32,
    workers: NonZeroUsize,
) -> Result<liblzma::stream::Stream, liblzma::stream::Error> {
    let mut options = LzmaOptions::new_preset(level)?;
    let dictionary_bytes = xz_dictionary_bytes(level);
    options.dict_size(dictionary_bytes);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    MtStreamBuilder::new()
        .threads(u32::try_from(workers.get()).unwrap_or(u32::MAX))
        .block_size(XZ_DICTIONARIES_IN_BLOCK * u64::from(dictionary_bytes))
        .filters(filters)
        .check(Check::Crc32)
        .encoder()
}

/// Returns the dictionary of a level (xz(1), `-0 ... -9`), as far as it is not too large.
fn xz_dictionary_bytes(level: u32) -> u32 {
    let bytes = match level {
        0 => 256 << 10,
        1 => 1 << 20,
        2 => 2 << 20,
        3 | 4 => 4 << 20,
        _ => 8 << 20,
    };
    XZ_DICTIONARY_BYTES.min(bytes)
}

/// Does nothing when it is flushed: ending a block here would make the bytes depend on when a caller flushes.
struct Unflushed<'a, W>(&'a mut W);

impl<W: Write> Write for Unflushed<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
