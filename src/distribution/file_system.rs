//! What the kernels of a distribution's releases can mount: what `Compression=auto` stands for.
//!
//! An extension is merged where it is meant to run, so what counts is the kernel of the release that it is built for and
//! what that kernel was configured with: a codec that is left out there fails at the first mount, with no word at build
//! time. Hence compression is used where it is known to work, and nowhere else.

use crate::format::file_system::KernelVersion;
use crate::recipe::{Distribution, FileCompression};

/// What can be mounted on a system of some releases.
#[derive(Clone, Copy, Debug)]
pub struct Mountable {
    distribution: Distribution,
    releases: Releases,
    /// The oldest kernel that the releases come with.
    pub kernel: KernelVersion,
    /// The best compression of EROFS that this kernel's configuration has.
    pub erofs: FileCompression,
    /// How that is known.
    pub reason: &'static str,
}

/// Some releases of a distribution.
#[derive(Clone, Copy, Debug)]
enum Releases {
    Named(&'static [&'static str]),
    /// This number and all after it, and these names.
    From(u32, &'static [&'static str]),
    All,
}

/// The first row that fits counts. What has no row gets an uncompressed EROFS, which Linux mounts since 5.4.
const TABLE: &[Mountable] = &[
    Mountable {
        distribution: Distribution::Debian,
        releases: Releases::Named(&["bookworm", "12", "oldstable"]),
        kernel: KernelVersion::new(6, 1),
        erofs: FileCompression::Lz4Hc,
        reason: "linux 6.1 is configured with EROFS_FS_ZIP, whose one codec then is LZ4 (MicroLZMA is off)",
    },
    Mountable {
        distribution: Distribution::Debian,
        releases: Releases::From(
            13,
            &["trixie", "forky", "stable", "testing", "sid", "unstable"],
        ),
        kernel: KernelVersion::new(6, 12),
        erofs: FileCompression::Zstd,
        reason: "linux 6.12 is configured with EROFS_FS_ZIP_ZSTD",
    },
    Mountable {
        distribution: Distribution::Fedora,
        releases: Releases::From(41, &["rawhide"]),
        kernel: KernelVersion::new(6, 11),
        erofs: FileCompression::Zstd,
        reason: "Fedora's live images are EROFS with zstd",
    },
    Mountable {
        distribution: Distribution::Arch,
        releases: Releases::All,
        kernel: KernelVersion::new(6, 10),
        erofs: FileCompression::Zstd,
        reason: "a rolling release whose kernel has every codec",
    },
];

/// Returns what is known of `release` of `distribution`.
pub fn mountable(distribution: Distribution, release: &str) -> Option<&'static Mountable> {
    TABLE
        .iter()
        .find(|row| row.distribution == distribution && row.releases.contains(release))
}

impl Releases {
    fn contains(self, release: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(&release),
            Self::From(first, names) => {
                names.contains(&release)
                    || release.parse::<u32>().is_ok_and(|number| number >= first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TABLE, mountable};
    use crate::recipe::{Distribution, FileCompression, FileSystem};

    #[test]
    fn releases_get_what_their_kernels_mount() {
        use Distribution::{Arch, Debian, Fedora, Ubuntu};
        use FileCompression::{Lz4Hc, Zstd};
        for (distribution, release, expected) in [
            (Debian, "bookworm", Some(Lz4Hc)),
            (Debian, "12", Some(Lz4Hc)),
            (Debian, "trixie", Some(Zstd)),
            (Debian, "13", Some(Zstd)),
            (Debian, "14", Some(Zstd)),
            (Debian, "testing", Some(Zstd)),
            (Debian, "bullseye", None),
            (Debian, "11", None),
            (Fedora, "40", None),
            (Fedora, "41", Some(Zstd)),
            (Fedora, "rawhide", Some(Zstd)),
            (Arch, "rolling", Some(Zstd)),
            (Ubuntu, "noble", None),
        ] {
            let found = mountable(distribution, release).map(|row| row.erofs);
            assert_eq!(found, expected, "{distribution} {release}");
        }
    }

    #[test]
    fn kernels_of_the_table_are_new_enough_for_its_compressions() {
        for row in TABLE {
            let needed = row.erofs.kernel(FileSystem::Erofs).unwrap();
            assert!(row.kernel >= needed, "{}", row.reason);
        }
    }
}
