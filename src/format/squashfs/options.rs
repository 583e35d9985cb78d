//! How an image is made.

use super::error::Error;
use crate::format::codec::{BlockCodec, BlockFormat};
use crate::format::file_system::KernelVersion;
use crate::tree::Timestamp;

/// `SQUASHFS_FILE_MAX_SIZE`, and the smallest that the kernel takes on machines with pages of 4 KiB.
pub(super) const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 4096..=1 << 20;
/// What most readers expect, and the kernel's page cache copes with best.
const DEFAULT_BLOCK_BYTES: u32 = 128 << 10;
/// The level that the kernel's zstd decoder knows nothing of and the tools take when the image does not say another.
const ZSTD_DEFAULT_LEVEL: i32 = 15;
const ZLIB_DEFAULT_LEVEL: u32 = 9;
/// `LZ4_LEGACY`, the only format there is.
const LZ4_BLOCKS: u32 = 1;
/// `LZ4_FLAG_HC`.
const LZ4_SLOW: u32 = 1;
/// `windowBits` of zlib's `deflateInit2`, and the default strategy.
const ZLIB_WINDOW_BITS: u16 = 15;
const ZLIB_STRATEGY: u16 = 0;

/// How an image is made, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Options {
    pub codec: BlockCodec,
    /// A power of two from 4096 to 1048576.
    pub block_bytes: u32,
    /// The superblock's time, of which squashfs has no fractions of seconds.
    pub build_time: Timestamp,
}

impl Options {
    /// Returns options with blocks of 128 KiB.
    pub fn new(codec: BlockCodec, build_time: Timestamp) -> Self {
        Self {
            codec,
            block_bytes: DEFAULT_BLOCK_BYTES,
            build_time,
        }
    }

    /// Returns the first kernel that can read the images.
    ///
    /// # Errors
    /// [`Error::UnsupportedCodec`] when none can.
    pub fn kernel(&self) -> Result<KernelVersion, Error> {
        Compression::of(self.codec).map(Compression::kernel)
    }

    /// Returns the length of a block and the superblock's time.
    pub(super) fn check(&self) -> Result<(usize, u32), Error> {
        let found_bytes = self.block_bytes;
        if !BLOCK_SIZES.contains(&found_bytes) || !found_bytes.is_power_of_two() {
            return Err(Error::BlockSize { found_bytes });
        }
        let seconds = self.build_time.seconds;
        let time = u32::try_from(seconds).map_err(|_| Error::BuildTimeOutOfRange { seconds })?;
        self.codec
            .check()
            .map_err(|source| Error::Compress { source })?;
        Ok((found_bytes as usize, time))
    }
}

/// `*_COMPRESSION`: a superblock's number for a compressor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compression {
    Zlib = 1,
    Xz = 4,
    Lz4 = 5,
    Zstd = 6,
}

impl Compression {
    pub(super) const fn of(codec: BlockCodec) -> Result<Self, Error> {
        match codec {
            BlockCodec::Zstd { .. } => Ok(Self::Zstd),
            BlockCodec::Lz4 | BlockCodec::Lz4Hc { .. } => Ok(Self::Lz4),
            BlockCodec::Xz { .. } => Ok(Self::Xz),
            BlockCodec::Zlib { .. } => Ok(Self::Zlib),
            BlockCodec::Deflate { .. } => Err(Error::UnsupportedCodec { format: "deflate" }),
        }
    }

    /// Returns what a superblock means.
    pub(super) fn of_number(number: u16) -> Option<Self> {
        let known = [Self::Zlib, Self::Xz, Self::Lz4, Self::Zstd];
        known.into_iter().find(|known| *known as u16 == number)
    }

    pub(super) const fn format(self) -> BlockFormat {
        match self {
            Self::Zlib => BlockFormat::Zlib,
            Self::Xz => BlockFormat::Xz,
            Self::Lz4 => BlockFormat::Lz4,
            Self::Zstd => BlockFormat::Zstd,
        }
    }

    /// Returns the name by which the format's tools know it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "gzip",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the first kernel that decompresses it; squashfs itself is in 2.6.29.
    pub(super) const fn kernel(self) -> KernelVersion {
        match self {
            // Linux 2.6 numbered its releases in a third place: 2.6.29 and 2.6.38.
            Self::Zlib | Self::Xz => KernelVersion::new(2, 6),
            Self::Lz4 => KernelVersion::new(3, 19),
            Self::Zstd => KernelVersion::new(4, 14),
        }
    }
}

/// Returns what follows the superblock: what the decompressor of lz4 demands, and what the others' tools show.
///
/// An xz dictionary is as large as a block, which is what decoders take for granted.
pub(super) fn compressor_options(codec: BlockCodec) -> Option<Vec<u8>> {
    let words = |words: &[u32]| Some(words.iter().flat_map(|word| word.to_le_bytes()).collect());
    match codec {
        BlockCodec::Lz4 => words(&[LZ4_BLOCKS, 0]),
        BlockCodec::Lz4Hc { .. } => words(&[LZ4_BLOCKS, LZ4_SLOW]),
        BlockCodec::Zstd { level } if level != ZSTD_DEFAULT_LEVEL => words(&[level.unsigned_abs()]),
        BlockCodec::Zlib { level } if level != ZLIB_DEFAULT_LEVEL => {
            let window_and_strategy = u32::from(ZLIB_STRATEGY) << 16 | u32::from(ZLIB_WINDOW_BITS);
            words(&[level, window_and_strategy])
        }
        _ => None,
    }
}
