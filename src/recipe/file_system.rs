//! How the file system of a disk image is made: what `FileSystem=`, `Compression=`, `CompressionLevel=` and
//! `OldestKernel=` come to.

use std::ops::RangeInclusive;

use super::target::Distribution;
use crate::distribution;
use crate::format::codec::BlockCodec;
use crate::format::file_system::KernelVersion;

/// The file system in a disk image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileSystem {
    Erofs,
    Squashfs,
}

/// How files in a file system are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileCompression {
    None,
    Zstd,
    Lz4,
    Lz4Hc,
    Xz,
    Gzip,
}

/// A file system with all that is to be known to write it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Payload {
    pub file_system: FileSystem,
    /// `None` for one that is not compressed.
    pub codec: Option<BlockCodec>,
    /// The oldest kernel that has to mount it.
    pub oldest_kernel: KernelVersion,
}

impl Payload {
    /// Returns the compression by its name in `Compression=`.
    pub fn compression(&self) -> FileCompression {
        match self.codec {
            None => FileCompression::None,
            Some(BlockCodec::Zstd { .. }) => FileCompression::Zstd,
            Some(BlockCodec::Lz4) => FileCompression::Lz4,
            Some(BlockCodec::Lz4Hc { .. }) => FileCompression::Lz4Hc,
            Some(BlockCodec::Xz { .. }) => FileCompression::Xz,
            Some(BlockCodec::Zlib { .. } | BlockCodec::Deflate { .. }) => FileCompression::Gzip,
        }
    }
}

impl FileSystem {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "erofs" => Some(Self::Erofs),
            "squashfs" => Some(Self::Squashfs),
            _ => None,
        }
    }

    /// Returns the name by which mount(8) knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }
}

impl FileCompression {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Zstd,
        Self::Lz4,
        Self::Lz4Hc,
        Self::Xz,
        Self::Gzip,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|compression| compression.name() == name)
    }

    /// Returns what a file system has, for messages.
    pub(super) fn choices(file_system: FileSystem) -> String {
        let has = |compression: &Self| compression.kernel(file_system).is_some();
        let names: Vec<_> = Self::ALL
            .iter()
            .filter(|compression| has(compression))
            .map(|compression| format!("`{}`", compression.name()))
            .collect();
        names.join(", ")
    }

    /// Returns the name in `Compression=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lz4Hc => "lz4hc",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the first kernel that mounts a file system of this compression, `None` when there is no such thing.
    pub fn kernel(self, file_system: FileSystem) -> Option<KernelVersion> {
        let (major, minor) = match (file_system, self) {
            (FileSystem::Erofs, Self::None) => (5, 4),
            // With clusters of more than one block, which are what makes it small.
            (FileSystem::Erofs, Self::Lz4 | Self::Lz4Hc) => (5, 13),
            (FileSystem::Erofs, Self::Gzip) => (6, 6),
            (FileSystem::Erofs, Self::Zstd) => (6, 10),
            (FileSystem::Erofs, Self::Xz) | (FileSystem::Squashfs, Self::None) => return None,
            (FileSystem::Squashfs, Self::Gzip | Self::Xz) => (2, 6),
            (FileSystem::Squashfs, Self::Lz4 | Self::Lz4Hc) => (3, 19),
            (FileSystem::Squashfs, Self::Zstd) => (4, 14),
        };
        Some(KernelVersion::new(major, minor))
    }

    /// Returns the level where a build is fast and an image small: what a higher one saves costs a multiple of the time.
    fn default_level(self) -> i64 {
        match self {
            Self::None | Self::Lz4 => 0,
            Self::Zstd => 3,
            Self::Lz4Hc => 4,
            Self::Xz | Self::Gzip => 6,
        }
    }

    /// Returns the levels that can be asked for, none where there is nothing to choose.
    pub(super) fn levels(self, file_system: FileSystem) -> Option<RangeInclusive<i64>> {
        self.codec(file_system, None)?.levels()
    }

    /// Returns the codec at a level that it has, or at its default.
    pub(super) fn codec(self, file_system: FileSystem, level: Option<i64>) -> Option<BlockCodec> {
        let level = level.unwrap_or(self.default_level());
        let signed = i32::try_from(level).unwrap_or(i32::MAX);
        let unsigned = u32::try_from(level).unwrap_or(u32::MAX);
        Some(match (self, file_system) {
            (Self::None, _) => return None,
            (Self::Zstd, _) => BlockCodec::Zstd { level: signed },
            (Self::Lz4, _) => BlockCodec::Lz4,
            (Self::Lz4Hc, _) => BlockCodec::Lz4Hc { level: signed },
            (Self::Xz, _) => BlockCodec::Xz { level: unsigned },
            // The same compression, with and without a header and a checksum in each block.
            (Self::Gzip, FileSystem::Squashfs) => BlockCodec::Zlib { level: unsigned },
            (Self::Gzip, FileSystem::Erofs) => BlockCodec::Deflate { level: unsigned },
        })
    }

    /// Returns what `auto` stands for: what mounts on every kernel of the release, as far as that is known, and on
    /// `oldest_kernel` if that is given.
    pub(super) fn automatic(
        file_system: FileSystem,
        distribution: Distribution,
        release: &str,
        oldest_kernel: Option<KernelVersion>,
    ) -> Self {
        let best = match file_system {
            // All distributions of the table configure it, and it is the smallest that is fast to read.
            FileSystem::Squashfs => Self::Zstd,
            FileSystem::Erofs => distribution::mountable(distribution, release)
                .map_or(Self::None, |mountable| mountable.erofs),
        };
        let fits = |compression: &Self| {
            let needed = compression.kernel(file_system);
            needed.is_some_and(|needed| oldest_kernel.is_none_or(|oldest| oldest >= needed))
        };
        // What can do without a newer kernel than it has needs no fallback, and nothing falls back to a larger one.
        let fallbacks: &[Self] = match (file_system, best) {
            (FileSystem::Squashfs, _) => &[Self::Gzip],
            (FileSystem::Erofs, Self::None) => &[],
            (FileSystem::Erofs, _) => &[Self::Lz4Hc],
        };
        std::iter::once(&best)
            .chain(fallbacks)
            .find(|compression| fits(compression))
            .copied()
            .unwrap_or(Self::None)
    }
}

/// Reads a release of Linux, such as `6.1`; what follows the second number has no meaning here.
pub(super) fn parse_kernel(text: &str) -> Option<KernelVersion> {
    let mut numbers = text.split(['.', '-']);
    let mut number = || numbers.next()?.parse().ok();
    Some(KernelVersion::new(number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_compression_is_what_the_oldest_kernel_mounts() {
        use FileCompression::{Gzip, Lz4Hc, None, Zstd};
        use FileSystem::{Erofs, Squashfs};
        for (file_system, release, kernel, expected) in [
            (Erofs, "trixie", "", Zstd),
            (Erofs, "trixie", "6.10", Zstd),
            (Erofs, "trixie", "6.1", Lz4Hc),
            (Erofs, "trixie", "5.10", None),
            (Erofs, "bookworm", "", Lz4Hc),
            (Erofs, "bookworm", "6.12", Lz4Hc),
            (Erofs, "buster", "6.12", None),
            (Squashfs, "buster", "", Zstd),
            (Squashfs, "trixie", "4.9", Gzip),
        ] {
            let oldest = parse_kernel(kernel);
            let found =
                FileCompression::automatic(file_system, Distribution::Debian, release, oldest);
            assert_eq!(found, expected, "{file_system:?} {release} {kernel}");
        }
    }

    #[test]
    fn releases_of_linux_are_two_numbers_and_more() {
        for text in ["6.1", "6.1.0", "6.1.0-18-amd64", "6.1-rc3"] {
            assert_eq!(parse_kernel(text), Some(KernelVersion::new(6, 1)), "{text}");
        }
        for text in ["", "6", "six.one", "6.", "v6.1"] {
            assert_eq!(parse_kernel(text), None, "{text}");
        }
    }
}
