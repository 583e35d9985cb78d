//! The settings of `[Overcoat]`, which are no settings of mkosi: it passes over a section that it does not know.

use super::{Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Overcoat,
        "FileSystem",
        "file-system",
        Kind::Choice(&["erofs", "squashfs"]),
        "File system in a disk image: erofs or squashfs",
    )
    .scope(Scope::Inherit)
    .default("erofs"),
    Setting::new(
        Section::Overcoat,
        "Compression",
        "compression",
        Kind::Choice(&["auto", "none", "zstd", "lz4", "lz4hc", "xz", "gzip"]),
        "Compression of its files: none, zstd, lz4, lz4hc, xz, gzip, or auto (what the release's kernel mounts)",
    )
    .scope(Scope::Inherit)
    .default("auto"),
    Setting::new(
        Section::Overcoat,
        "CompressionLevel",
        "compression-level",
        Kind::Number,
        "Level of that compression",
    )
    .scope(Scope::Inherit)
    .described("zstd: 3, lz4hc: 4, xz and gzip: 6"),
    Setting::new(
        Section::Overcoat,
        "OldestKernel",
        "oldest-kernel",
        Kind::Text(Rule::Any),
        "Release of Linux that has to mount the image, such as 6.1",
    )
    .scope(Scope::Inherit)
    .described("by distribution and release"),
    Setting::new(
        Section::Overcoat,
        "ExtensionId",
        "extension-id",
        Kind::Text(Rule::ReleaseWord),
        "Distribution an extension fits: an ID= of os-release, or _any for every one",
    )
    .scope(Scope::Inherit)
    .described("the base's"),
    Setting::new(
        Section::Overcoat,
        "ExtensionLevel",
        "extension-level",
        Kind::Text(Rule::ReleaseWord),
        "Level an extension fits: a SYSEXT_LEVEL= or CONFEXT_LEVEL= of os-release",
    )
    .scope(Scope::Inherit)
    .described("the base's"),
    Setting::new(
        Section::Overcoat,
        "ExtensionScope",
        "extension-scope",
        Kind::Choices(&["initrd", "system", "portable"]),
        "Kinds of systems that merge an extension: initrd, system, portable",
    )
    .scope(Scope::Inherit)
    .described("all of them"),
    Setting::new(
        Section::Overcoat,
        "ReloadManager",
        "reload-manager",
        Kind::Boolean,
        "Let systemd reload its units when the extension is merged and unmerged",
    )
    .described("if units are to be restarted"),
    Setting::new(
        Section::Overcoat,
        "RestartUnits",
        "restart-unit",
        Kind::List(Rule::Unit),
        "Units that systemd restarts when the extension is merged, refreshed and unmerged",
    ),
    Setting::new(
        Section::Overcoat,
        "ReloadOrRestartUnits",
        "reload-or-restart-unit",
        Kind::List(Rule::Unit),
        "Units that systemd then reloads, or restarts if they cannot be",
    ),
    Setting::new(
        Section::Overcoat,
        "OciLayout",
        "oci-layout",
        Kind::Choice(&["directory", "archive"]),
        "How an OCI image lies on disk: as a directory or as a tar archive of it",
    )
    .default("directory"),
    Setting::new(
        Section::Overcoat,
        "FileContexts",
        "file-contexts",
        Kind::Path(PathRule::ANY),
        "File of SELinux contexts (`file_contexts`) to label the image by",
    )
    .scope(Scope::Inherit)
    .described("that of the policy in the image or its base"),
];
