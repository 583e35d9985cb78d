//! The recipe of one image: every setting typed, with its origin.

mod outputs;
mod packages;
mod scripts;

pub use self::outputs::{ChecksumSignature, OciLayout, OciOutput, Outputs};
pub use self::packages::PackageSources;
pub use self::scripts::{Script, Scripts, SourceChanges};
mod system;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use uuid::Uuid;

use super::extension::ExtensionSettings;
use super::file_system::Payload;
use super::labels::Labels;
use super::origin::Origin;
use super::repart::Definition;
use super::scope::Sourced;
use super::target::{Architecture, Distribution};
use super::values::{Feature, TreeSource};
use crate::ddi::SectorSize;
use crate::format::compression::Codec;

pub use self::system::{FileChoice, MachineId, RootPassword, System};

/// What is made of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Sysext,
    Confext,
    Portable,
    Cpio,
    Tar,
    Directory,
    Oci,
    Disk,
    None,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "sysext" => Some(Self::Sysext),
            "confext" => Some(Self::Confext),
            "portable" => Some(Self::Portable),
            "cpio" => Some(Self::Cpio),
            "tar" => Some(Self::Tar),
            "directory" => Some(Self::Directory),
            "oci" => Some(Self::Oci),
            "disk" => Some(Self::Disk),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// Returns the name in `Format=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sysext => "sysext",
            Self::Confext => "confext",
            Self::Portable => "portable",
            Self::Cpio => "cpio",
            Self::Tar => "tar",
            Self::Directory => "directory",
            Self::Oci => "oci",
            Self::Disk => "disk",
            Self::None => "none",
        }
    }

    /// Tells whether `CompressOutput=` is put around the whole output.
    pub fn is_compressed_whole(self) -> bool {
        self.is_disk_image() || matches!(self, Self::Cpio | Self::Tar)
    }

    /// Tells whether the output has partitions.
    pub fn is_disk_image(self) -> bool {
        self.has_verity() || self == Self::Disk
    }

    /// Tells whether the image is an extension of another system, and none of its own.
    pub fn is_extension(self) -> bool {
        matches!(self, Self::Sysext | Self::Confext)
    }

    /// Tells whether `Verity=` is about images of this format.
    pub fn has_verity(self) -> bool {
        self.is_extension() || self == Self::Portable
    }

    /// Returns the extension of the output, without a dot; empty when it has none.
    fn extension(self) -> &'static str {
        match self {
            Self::Sysext | Self::Confext | Self::Portable | Self::Disk => "raw",
            Self::Cpio => "cpio",
            Self::Tar => "tar",
            Self::Directory | Self::Oci | Self::None => "",
        }
    }
}

/// The compression around an output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    None,
    Zstd,
    Xz,
    Gzip,
}

impl Compression {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "zstd" => Some(Self::Zstd),
            "xz" => Some(Self::Xz),
            "gz" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// Returns what is added to the name of an output; empty when nothing is.
    fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
        }
    }

    /// Returns the levels that can be asked for.
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        self.codec(0).levels()
    }

    /// Returns what compresses so, at one of its levels.
    pub fn codec(self, level: i32) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Zstd => Codec::Zstd { level },
            Self::Xz => Codec::Xz {
                level: level.unsigned_abs(),
            },
            Self::Gzip => Codec::Gzip {
                level: level.unsigned_abs(),
            },
        }
    }
}

/// How an image is protected by dm-verity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verity {
    /// Signed if there is a key.
    Auto,
    Signed,
    Hash,
    /// With room for a signature that is made later.
    Deferred,
    Disabled,
}

/// A part of an image that becomes a file of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SplitArtifact {
    /// Each partition.
    Partitions,
    /// The root hash of the hash tree, as text.
    RootHash,
    /// An archive of the tree.
    Tar,
    /// The description of the system.
    OsRelease,
    /// The newest kernel in the tree.
    Kernel,
    /// The initrd of that kernel.
    Initrd,
    /// What the partitions were made by.
    RepartDefinitions,
}

/// What must come from the cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CacheOnly {
    Auto,
    Always,
    Metadata,
    Never,
}

/// One image, ready to be planned.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The name of the image: `main` for the top.
    pub name: String,
    pub is_main: bool,
    /// The name of the output, without extensions.
    pub output: String,
    /// Absolute, like every path here.
    pub output_directory: PathBuf,
    pub output_extension: Option<String>,
    pub output_mode: Option<u32>,
    pub cache_directory: Option<PathBuf>,
    pub package_cache_directory: Option<PathBuf>,
    pub distribution: Distribution,
    pub release: String,
    pub architecture: Architecture,
    pub mirror: Option<String>,
    pub local_mirror: Option<String>,
    pub repositories: Vec<String>,
    pub repository_key_check: bool,
    pub format: Format,
    /// Whether the image gets a list of its packages.
    pub manifest: bool,
    pub overlay: bool,
    /// Whether they exist is known only when the images they come from are built.
    pub base_trees: Vec<PathBuf>,
    pub skeleton_trees: Vec<TreeSource>,
    pub extra_trees: Vec<TreeSource>,
    /// Sorted: names, then paths, then expressions; none twice.
    pub packages: Vec<String>,
    pub package_sources: PackageSources,
    pub scripts: Scripts,
    pub with_recommends: bool,
    pub with_docs: bool,
    pub remove_files: Vec<String>,
    pub clean_package_metadata: Feature,
    pub source_date_epoch: Option<u64>,
    pub make_initrd: bool,
    /// What it is as a system.
    pub system: System,
    pub compress_output: Compression,
    pub compress_level: i32,
    pub sector_size: SectorSize,
    /// The file system of a disk image.
    pub payload: Payload,
    /// What its extension-release file is to say.
    pub extension: ExtensionSettings,
    pub labels: Labels,
    pub split_artifacts: Vec<SplitArtifact>,
    /// The partitions of a disk, none for the usual one.
    pub definitions: Vec<Definition>,
    pub verity: Verity,
    pub verity_key: Option<PathBuf>,
    pub verity_certificate: Option<PathBuf>,
    /// `None` leaves the identifiers to be made of the recipe.
    pub seed: Option<Uuid>,
    pub image_id: Option<String>,
    pub image_version: Option<String>,
    pub checksum: bool,
    /// What is written besides the image.
    pub outputs: Outputs,
    pub cache_only: CacheOnly,
    /// The images to build before this one.
    pub dependencies: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// What every setting that has a value is worth, by name.
    pub(super) values: BTreeMap<&'static str, Vec<Sourced>>,
}

impl Recipe {
    /// Returns where a setting was last assigned; `None` when it has its default.
    pub fn origin(&self, setting: &str) -> Option<&Origin> {
        let last = self.values(setting).last()?;
        (last.origin != Origin::Default).then_some(&last.origin)
    }

    /// Returns where one value of a setting was written, for messages.
    pub fn origin_of(&self, setting: &str, value: &str) -> String {
        let exact = self
            .values(setting)
            .iter()
            .find(|sourced| sourced.value.to_string() == value);
        let origin = exact.map(|sourced| &sourced.origin);
        origin
            .or_else(|| self.origin(setting))
            .map_or_else(|| format!("`{setting}=`"), ToString::to_string)
    }

    /// Returns the packages that are installed or removed, each with the setting that names it.
    pub fn changed_packages(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let sources = &self.package_sources;
        let settings = [
            ("Packages", &self.packages),
            ("VolatilePackages", &sources.volatile_packages),
            ("RemovePackages", &sources.removed_packages),
        ];
        settings.into_iter().flat_map(|(setting, packages)| {
            packages
                .iter()
                .map(move |package| (setting, package.as_str()))
        })
    }

    /// Returns the names of the settings that have a value.
    pub fn settings(&self) -> impl Iterator<Item = &'static str> {
        self.values.keys().copied()
    }

    /// Returns what a setting is worth, each value with its origin.
    pub fn values(&self, setting: &str) -> &[Sourced] {
        self.values.get(setting).map_or(&[], Vec::as_slice)
    }
}
