//! What a superblock says of images that other programs made: features, compression, and where special inodes are.

use crate::format::erofs::layout::{
    FEATURE_COMPAT_SB_CHKSUM, SUPER_LENGTH, SUPER_OFFSET, SuperBlock, get, superblock_checksum,
};
use crate::format::file_system::{Description, Feature, KernelVersion};
use crate::format::read_at::ReadAt;

use super::ReadError;

/// `EROFS_FEATURE_INCOMPAT_*`: an image with others than these cannot be read.
const INCOMPAT: [(u32, &[Feature]); 6] = [
    (ZERO_PADDING, &[]),
    (
        BIG_PCLUSTERS,
        &[feature("compression configurations", 5, 13)],
    ),
    (CHUNKED_FILES, &[feature("chunk-based files", 5, 15)]),
    (
        DEVICES_OR_SECOND_ALGORITHM,
        &[feature("second algorithm", 5, 16)],
    ),
    (0x10, &[feature("inline compressed tails", 5, 17)]),
    (FRAGMENTS, &[feature("fragments or deduplication", 6, 1)]),
];
const ZERO_PADDING: u32 = 0x01;
const BIG_PCLUSTERS: u32 = 0x02;
const CHUNKED_FILES: u32 = 0x04;
const DEVICES_OR_SECOND_ALGORITHM: u32 = 0x08;
const FRAGMENTS: u32 = 0x20;
const XATTR_PREFIXES: u32 = 0x40;
const KNOWN_INCOMPAT: u32 = 0x7f;
/// `EROFS_FEATURE_COMPAT_PLAIN_XATTR_PFX`: the table of prefixes is not in the packed inode.
const PLAIN_XATTR_PREFIXES: u32 = 0x10;

/// `Z_EROFS_COMPRESSION_*` by number.
const ALGORITHMS: [(&str, Feature); 4] = [
    ("lz4", feature("lz4", 5, 4)),
    ("lzma", feature("lzma", 5, 16)),
    ("deflate", feature("deflate", 6, 6)),
    ("zstd", feature("zstd", 6, 10)),
];

/// From the smallest sector to the largest page.
const BLOCK_SIZE_BITS: std::ops::RangeInclusive<u8> = 9..=16;

const fn feature(name: &'static str, major: u16, minor: u16) -> Feature {
    Feature {
        name,
        kernel: KernelVersion::new(major, minor),
    }
}

/// A superblock that is in order.
#[derive(Clone, Debug)]
pub(in crate::format::erofs) struct ReadSuperBlock {
    pub(in crate::format::erofs) common: SuperBlock,
    pub(in crate::format::erofs) block_bytes: u64,
    /// Blocks of directories, which may be larger.
    pub(in crate::format::erofs) directory_block_bytes: u64,
    /// A bit for each of [`ALGORITHMS`].
    algorithms: u16,
    /// The inode that holds fragments, if there are any.
    pub(in crate::format::erofs) packed_nid: Option<u64>,
    pub(in crate::format::erofs) prefixes: Option<Prefixes>,
}

/// The table of long prefixes of attributes' names.
#[derive(Clone, Copy, Debug)]
pub(in crate::format::erofs) struct Prefixes {
    pub(in crate::format::erofs) count: u8,
    pub(in crate::format::erofs) offset: u64,
    /// The inode in which it lies, if it does not lie in the image itself.
    pub(in crate::format::erofs) nid: Option<u64>,
}

impl ReadSuperBlock {
    pub(in crate::format::erofs) fn read(image: &dyn ReadAt) -> Result<Self, ReadError> {
        let encoded = image
            .bytes_at(SUPER_OFFSET as u64, SUPER_LENGTH)
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::UnexpectedEof => ReadError::NotErofs,
                _ => ReadError::Read { source },
            })?;
        let common = SuperBlock::decode(&encoded).ok_or(ReadError::NotErofs)?;
        if !BLOCK_SIZE_BITS.contains(&common.blkszbits) {
            return Err(ReadError::UnsupportedBlockSize {
                bits: common.blkszbits,
            });
        }
        let unknown = common.feature_incompat & !KNOWN_INCOMPAT;
        if unknown != 0 {
            return Err(ReadError::UnsupportedFeatures { bits: unknown });
        }
        let half = |offset| get(&encoded, offset).map_or(0, u16::from_le_bytes);
        if half(86) != 0 {
            return Err(ReadError::ExtraDevices);
        }
        let directory_block_bits = common.blkszbits + encoded[90].min(16);
        if !BLOCK_SIZE_BITS.contains(&directory_block_bits) {
            return Err(ReadError::UnsupportedBlockSize {
                bits: directory_block_bits,
            });
        }
        let block_bytes = 1 << common.blkszbits;
        if common.feature_compat & FEATURE_COMPAT_SB_CHKSUM != 0 {
            check(image, block_bytes, &encoded)?;
        }
        let has = |feature| common.feature_incompat & feature != 0;
        let packed_nid = get(&encoded, 96).map_or(0, u64::from_le_bytes);
        let prefix_start = get(&encoded, 92).map_or(0, u32::from_le_bytes);
        let packed_nid = (has(FRAGMENTS) && packed_nid != 0).then_some(packed_nid);
        Ok(Self {
            block_bytes,
            directory_block_bytes: 1 << directory_block_bits,
            // Without configurations the field is the distance of matches of LZ4, the one algorithm there was.
            algorithms: if has(BIG_PCLUSTERS) { half(84) } else { 1 },
            packed_nid,
            prefixes: has(XATTR_PREFIXES).then_some(Prefixes {
                count: encoded[91],
                offset: u64::from(prefix_start) * 4,
                nid: packed_nid.filter(|_| common.feature_compat & PLAIN_XATTR_PREFIXES == 0),
            }),
            common,
        })
    }

    /// Tells whether compressed data lies at the end of its blocks, after zeros.
    pub(in crate::format::erofs) fn has_zero_padding(&self) -> bool {
        self.common.feature_incompat & ZERO_PADDING != 0
    }

    /// Tells whether contents may be compressed: LZ4 came without configurations first, and with padding.
    fn has_compression(&self) -> bool {
        self.common.feature_incompat & (ZERO_PADDING | BIG_PCLUSTERS) != 0
    }

    pub(in crate::format::erofs) fn describe(&self) -> Description {
        let common = &self.common;
        let mut features = vec![feature("erofs", 5, 4)];
        for (bit, found) in INCOMPAT {
            if common.feature_incompat & bit != 0 {
                features.extend(found);
            }
        }
        if self.prefixes.is_some() {
            features.push(feature("long prefixes of attributes", 6, 4));
        }
        if self.block_bytes != 4096 {
            features.push(feature("other block size than 4096", 6, 4));
        }
        let mut compression = Vec::new();
        if self.has_compression() {
            for (bit, (name, needed)) in ALGORITHMS.iter().enumerate() {
                if self.algorithms & (1 << bit) != 0 {
                    compression.push(*name);
                    features.push(*needed);
                }
            }
        }
        let label = common.volume_name.split(|byte| *byte == 0).next();
        Description {
            file_system: "erofs",
            size_bytes: u64::from(common.blocks) * self.block_bytes,
            block_size_bytes: 1 << common.blkszbits,
            uuid: Some(uuid::Uuid::from_bytes(common.uuid)),
            label: String::from_utf8_lossy(label.unwrap_or_default()).into_owned(),
            created: common.build_time,
            inode_count: common.inos,
            compression,
            features,
        }
    }
}

/// Checks the checksum, which covers the first block from the superblock on; of smaller blocks, the superblock's.
fn check(image: &dyn ReadAt, block_bytes: u64, encoded: &[u8]) -> Result<(), ReadError> {
    let end = match block_bytes > SUPER_OFFSET as u64 {
        true => block_bytes,
        false => SUPER_OFFSET as u64 + block_bytes,
    };
    let length = usize::try_from(end).expect("a block is at most 64 KiB long");
    let mut unsealed = image
        .bytes_at(0, length)
        .map_err(|source| ReadError::Read { source })?;
    unsealed[SUPER_OFFSET + 4..SUPER_OFFSET + 8].fill(0);
    let expected = get(encoded, 4).map_or(0, u32::from_le_bytes);
    let found = superblock_checksum(&unsealed);
    match expected == found {
        true => Ok(()),
        false => Err(ReadError::Checksum { expected, found }),
    }
}
