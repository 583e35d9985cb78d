//! The settings of `[Overcoat]`, which are no settings of mkosi: it passes over a section that it does not know.

use super::{Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::Kind;

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
];
