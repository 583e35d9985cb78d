//! The settings of `[Output]`.

use super::{Magic, Matcher, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule};

/// Every format mkosi knows.
const FORMATS: &[&str] = &[
    "confext",
    "cpio",
    "directory",
    "disk",
    "esp",
    "none",
    "portable",
    "sysext",
    "tar",
    "uki",
    "oci",
    "addon",
];

/// Every part mkosi knows.
const SPLIT_ARTIFACTS: &[&str] = &[
    "uki",
    "kernel",
    "initrd",
    "partitions",
    "tar",
    "pcrs",
    "roothash",
    "os-release",
    "kernel-modules-initrd",
    "repart-definitions",
];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Output,
        "Format",
        "format",
        Kind::Choice(FORMATS),
        "What to make: sysext, confext, portable, cpio, tar, directory, oci, disk or none",
    )
    .short('t')
    .matched(Matcher::Equal)
    .specifier('t')
    .default("disk")
    .partly("esp, uki and addon are not written"),
    Setting::new(
        Section::Output,
        "ManifestFormat",
        "manifest-format",
        Kind::Choices(&["json", "changelog"]),
        "Lists of packages to write: json, changelog",
    ),
    Setting::new(
        Section::Output,
        "Output",
        "output",
        Kind::Text(Rule::FileName),
        "Name of the output without extensions",
    )
    .tools()
    .short('o')
    .specifier('o')
    .described("`ImageId=`, or the name of the image; then `_` and `ImageVersion=`"),
    Setting::new(
        Section::Output,
        "OutputExtension",
        "output-extension",
        Kind::Text(Rule::FileName),
        "Extension of the output",
    )
    .described("by format"),
    Setting::new(
        Section::Output,
        "OutputSize",
        "output-size",
        Kind::Size,
        "Size of a disk image",
    )
    .unsupported("disk images get the size of what is in them", &[]),
    Setting::new(
        Section::Output,
        "CompressOutput",
        "compress-output",
        Kind::Compression,
        "Compression around the output: none, zstd, xz or gz",
    )
    .described("`zstd` for cpio and tar, `gz` for oci, else `none`")
    .partly("only zstd, xz and gz compress"),
    Setting::new(
        Section::Output,
        "CompressLevel",
        "compress-level",
        Kind::Number,
        "Level of that compression",
    )
    .scope(Scope::Inherit)
    .default("3"),
    Setting::new(
        Section::Output,
        "OutputDirectory",
        "output-directory",
        Kind::Path(PathRule::ANY),
        "Where outputs go",
    )
    .tools()
    .short('O')
    .scope(Scope::Universal)
    .specifier('O')
    .magic(&[Magic::Path("mkosi.output")])
    .described("the recipe's directory"),
    Setting::new(
        Section::Output,
        "OutputMode",
        "output-mode",
        Kind::Mode,
        "Permission bits of output files",
    )
    .scope(Scope::Universal),
    Setting::new(
        Section::Output,
        "ImageVersion",
        "image-version",
        Kind::Text(Rule::NamePart),
        "Version of the image",
    )
    .scope(Scope::Inherit)
    .matched(Matcher::Version)
    .specifier('v')
    .magic(&[Magic::Text("mkosi.version")]),
    Setting::new(
        Section::Output,
        "ImageId",
        "image-id",
        Kind::Text(Rule::NamePart),
        "Identifier of the image",
    )
    .scope(Scope::Inherit)
    .matched(Matcher::Glob)
    .specifier('i'),
    Setting::new(
        Section::Output,
        "OciLabels",
        "oci-labels",
        Kind::Labels,
        "Labels of an OCI image",
    ),
    Setting::new(
        Section::Output,
        "OciAnnotations",
        "oci-annotations",
        Kind::Labels,
        "Annotations of an OCI image",
    ),
    Setting::new(
        Section::Output,
        "SplitArtifacts",
        "split-artifacts",
        Kind::Parts(SPLIT_ARTIFACTS),
        "Parts to write as files of their own: partitions, roothash, tar, os-release, kernel, initrd",
    )
    .described("uki, kernel, initrd"),
    Setting::new(
        Section::Output,
        "RepartDirectories",
        "repart-directory",
        Kind::Paths(PathRule::PRESENT),
        "Partition definitions",
    )
    .magic(&[Magic::Path("mkosi.repart")]),
    Setting::new(
        Section::Output,
        "SectorSize",
        "sector-size",
        Kind::SectorSize,
        "Sector size that the partition table is for: 512, 1024, 2048 or 4096",
    )
    .scope(Scope::Inherit),
    Setting::new(
        Section::Output,
        "Overlay",
        "overlay",
        Kind::Boolean,
        "Keep only what was added on top of the base trees",
    )
    .default("no"),
    Setting::new(
        Section::Output,
        "Seed",
        "seed",
        Kind::Uuid,
        "Seed of identifiers in the image",
    )
    .magic(&[Magic::Text("mkosi.seed")])
    .described("made of the recipe"),
    Setting::new(
        Section::Output,
        "ElTorito",
        "el-torito",
        Kind::Feature,
        "Add an ISO 9660 boot catalogue",
    )
    .default("auto")
    .unsupported("ISO images are out of scope", &["auto", "disabled"]),
    Setting::new(
        Section::Output,
        "ElToritoSystem",
        "el-torito-system",
        Kind::Text(Rule::Any),
        "ISO 9660 system identifier",
    )
    .no_effect("only `ElTorito=` uses it"),
    Setting::new(
        Section::Output,
        "ElToritoVolume",
        "el-torito-volume",
        Kind::Text(Rule::Any),
        "ISO 9660 volume identifier",
    )
    .no_effect("only `ElTorito=` uses it"),
    Setting::new(
        Section::Output,
        "ElToritoPublisher",
        "el-torito-publisher",
        Kind::Text(Rule::Any),
        "ISO 9660 publisher identifier",
    )
    .no_effect("only `ElTorito=` uses it"),
    Setting::new(
        Section::Output,
        "CleanScripts",
        "clean-script",
        Kind::Scripts,
        "Programs to run after outputs are cleaned",
    )
    .magic(&[
        Magic::Path("mkosi.clean"),
        Magic::Entries("mkosi.clean.d", ""),
    ]),
];
