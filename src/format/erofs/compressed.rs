//! What may be asked of a compressed image, and what is to be known of one that was written.

use super::error::Error;
use super::extent::CLUSTER_LENGTH;
use super::kernel;
use crate::format::codec::{BlockCodec, BlockCompressor, CodecError};
use crate::format::file_system::KernelVersion;

/// Blocks of this many bytes of contents are compressed by zstd and deflate. Changes images.
///
/// Larger ones save little more and make reading a page of a large file slower.
const STREAM_BLOCK_LENGTH: usize = 256 * 1024;
/// The same for LZ4, whose matches reach back 64 KiB only.
const LZ4_BLOCK_LENGTH: usize = 64 * 1024;
/// The kernel takes a megabyte of compressed data (`Z_EROFS_PCLUSTER_MAX_SIZE`), and a block may become half as large again.
const BLOCK_LIMIT_LENGTH: usize = 512 * 1024;

/// `Z_EROFS_COMPRESSION_*`.
const LZ4: u8 = 0;
const DEFLATE: u8 = 2;
const ZSTD: u8 = 3;
/// How far back matches may lie: as far as the format can say.
const LZ4_DISTANCE: u16 = 65_535;
/// The same for deflate, as a logarithm.
const DEFLATE_WINDOW_BITS: u8 = 15;

/// How an image's files are compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    pub codec: BlockCodec,
    /// How many bytes are compressed together; `None` for what suits the codec.
    pub block_bytes: Option<usize>,
    /// Whether small files are compressed together, where the kernel can.
    pub fragments: bool,
    /// Whether files of equal contents are stored once, where the kernel can.
    pub deduplicate: bool,
    /// The oldest kernel that has to read the image.
    pub oldest_kernel: KernelVersion,
}

/// What became of a tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The oldest kernel that reads the image.
    pub kernel: KernelVersion,
    pub size_bytes: u64,
    pub statistics: Statistics,
}

/// What compression did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// The lengths of all regular files, each inode once.
    pub content_bytes: u64,
    /// What is left of them on disk, without inodes and indexes.
    pub stored_bytes: u64,
    /// How many blocks of contents were compressed, and how many had to be stored as they are.
    pub compressed_blocks: u64,
    pub plain_blocks: u64,
    /// How many files have their contents together with another file, and how long those are.
    pub duplicate_files: u64,
    pub duplicate_bytes: u64,
    /// How many files and parts of files are in the packed inode.
    pub fragments: u64,
}

/// [`Compression`], checked and decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub(super) codec: BlockCodec,
    /// `Z_EROFS_COMPRESSION_*`.
    pub(super) algorithm: u8,
    pub(super) block_length: usize,
    pub(super) uses_fragments: bool,
    /// Whether files share compressed blocks.
    pub(super) shares_blocks: bool,
    /// The oldest kernel that has the codec.
    codec_kernel: KernelVersion,
}

impl Parameters {
    pub(super) fn new(compression: &Compression) -> Result<Self, Error> {
        let codec = compression.codec;
        let (algorithm, codec_kernel, default_length) = match codec {
            BlockCodec::Lz4 | BlockCodec::Lz4Hc { .. } => (LZ4, kernel::LZ4, LZ4_BLOCK_LENGTH),
            BlockCodec::Deflate { .. } => (DEFLATE, kernel::DEFLATE, STREAM_BLOCK_LENGTH),
            BlockCodec::Zstd { .. } => (ZSTD, kernel::ZSTD, STREAM_BLOCK_LENGTH),
            BlockCodec::Xz { .. } | BlockCodec::Zlib { .. } => {
                return Err(Error::UnsupportedCodec {
                    format: codec.format(),
                });
            }
        };
        codec.check().map_err(|source| Error::Codec { source })?;
        if compression.oldest_kernel < codec_kernel {
            return Err(Error::KernelLacksCodec {
                format: codec.format(),
                needed: codec_kernel,
                oldest: compression.oldest_kernel,
            });
        }
        let block_length = compression.block_bytes.unwrap_or(default_length);
        let is_possible = (2 * CLUSTER_LENGTH..=BLOCK_LIMIT_LENGTH).contains(&block_length)
            && block_length.is_multiple_of(CLUSTER_LENGTH);
        if !is_possible {
            return Err(Error::InvalidCompressionBlock {
                found_bytes: block_length,
                limit_bytes: BLOCK_LIMIT_LENGTH,
            });
        }
        let shares = compression.oldest_kernel >= kernel::FRAGMENTS;
        Ok(Self {
            codec,
            algorithm,
            block_length,
            uses_fragments: compression.fragments && shares,
            shares_blocks: compression.deduplicate && shares,
            codec_kernel,
        })
    }

    /// Returns a compressor of pieces.
    pub(super) fn compressor(&self) -> Result<BlockCompressor, CodecError> {
        BlockCompressor::new(self.codec, self.piece_limit_length())
    }

    /// Returns how long the largest piece is that is compressed: a file's last block may be half as large again.
    pub(super) fn piece_limit_length(&self) -> usize {
        self.block_length + self.block_length / 2
    }

    /// Returns what the superblock says of the algorithm, after the length of that.
    pub(super) fn configuration(&self) -> Vec<u8> {
        let limit = self.piece_limit_length();
        let mut encoded = Vec::new();
        match self.algorithm {
            LZ4 => {
                // `struct z_erofs_lz4_cfgs`: the distance of matches and the blocks of a cluster.
                encoded.extend_from_slice(&14_u16.to_le_bytes());
                encoded.extend_from_slice(&LZ4_DISTANCE.to_le_bytes());
                let blocks = u16::try_from(limit / CLUSTER_LENGTH).unwrap_or(u16::MAX);
                encoded.extend_from_slice(&blocks.to_le_bytes());
                encoded.extend_from_slice(&[0; 10]);
            }
            DEFLATE => {
                // `struct z_erofs_deflate_cfgs`: the logarithm of the window.
                encoded.extend_from_slice(&6_u16.to_le_bytes());
                encoded.extend_from_slice(&[DEFLATE_WINDOW_BITS, 0, 0, 0, 0, 0]);
            }
            _ => {
                // `struct z_erofs_zstd_cfgs`: the format, and the logarithm of the window above 10.
                let window_bits = limit.next_power_of_two().trailing_zeros().max(10) - 10;
                let window_bits = u8::try_from(window_bits).unwrap_or(u8::MAX);
                encoded.extend_from_slice(&6_u16.to_le_bytes());
                encoded.extend_from_slice(&[0, window_bits, 0, 0, 0, 0]);
            }
        }
        encoded
    }

    /// Returns the oldest kernel that reads an image, which has the codec's feature in its superblock in any case.
    pub(super) fn kernel(&self, has_fragments: bool) -> KernelVersion {
        match has_fragments {
            true => self.codec_kernel.max(kernel::FRAGMENTS),
            false => self.codec_kernel,
        }
    }
}
