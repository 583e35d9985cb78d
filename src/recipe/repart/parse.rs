//! From the assignments of one definition to what they say.

mod finish;
mod values;

use std::path::Path;

use uuid::Uuid;

use self::values::{absolute, boolean, keep_own, plain, size, without_effect, words};
use super::text::Assignment;
use super::types::PartitionType;
use super::{CopiedFiles, Definition, Excluded, GRAIN_BYTES};
use crate::ddi::PartitionArchitecture;
use crate::recipe::bounds::Bounds;
use crate::recipe::error::RecipeError;
use crate::recipe::file_system::{FileCompression, FileSystem, Payload};
use crate::recipe::findings::Findings;
use crate::recipe::nearest::nearest;
use crate::recipe::origin::Origin;
use crate::recipe::specifiers;
use crate::tree::TreePath;

/// What a definition does not say itself.
#[derive(Clone, Copy)]
pub(in crate::recipe) struct Context<'a> {
    pub(in crate::recipe) architecture: Option<PartitionArchitecture>,
    pub(in crate::recipe) bounds: &'a Bounds,
    /// What a specifier of the image stands for.
    pub(in crate::recipe) lookup: &'a dyn Fn(char) -> Result<String, Option<&'static str>>,
    /// The file system of images without definitions, whose compression is that of partitions that name none.
    pub(in crate::recipe) payload: Payload,
    /// The compression that a file system of the image's release has.
    pub(in crate::recipe) automatic: &'a dyn Fn(FileSystem) -> FileCompression,
}

/// A definition with what is only known when all are read.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) definition: Definition,
    pub(super) verity: VerityKind,
    pub(super) match_key: Option<String>,
    /// With specifiers.
    pub(super) split_name: Option<(String, Origin)>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum VerityKind {
    #[default]
    Off,
    Data,
    Hash,
    Signature,
}

/// Every setting of `[Partition]`.
const SETTINGS: [&str; 39] = [
    "Type",
    "Label",
    "UUID",
    "Priority",
    "Weight",
    "PaddingWeight",
    "SizeMinBytes",
    "SizeMaxBytes",
    "PaddingMinBytes",
    "PaddingMaxBytes",
    "Format",
    "CopyBlocks",
    "CopyFiles",
    "ExcludeFiles",
    "ExcludeFilesTarget",
    "MakeDirectories",
    "MakeSymlinks",
    "Subvolumes",
    "DefaultSubvolume",
    "Encrypt",
    "EncryptKDF",
    "Verity",
    "VerityMatchKey",
    "VerityDataBlockSizeBytes",
    "VerityHashBlockSizeBytes",
    "FactoryReset",
    "Flags",
    "NoAuto",
    "ReadOnly",
    "GrowFileSystem",
    "SplitName",
    "Minimize",
    "MountPoint",
    "EncryptedVolume",
    "TPM2PCRs",
    "KeyFile",
    "Compression",
    "CompressionLevel",
    "SupplementFor",
];
/// Kept out of the table of names so that its mistake is told apart: newer than the others and rarely meant.
const SECTOR_SIZE: &str = "FileSystemSectorSize";

const SECTION: &str = "Partition";

/// Reads a definition; what is wrong with it is among the findings, and `None` is one that says too little.
pub(super) fn definition(
    path: &Path,
    assignments: &[Assignment],
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Parsed> {
    let mut parser = Parser {
        context,
        findings,
        values: Values::default(),
    };
    for assignment in assignments {
        parser.assignment(assignment);
    }
    let values = std::mem::take(&mut parser.values);
    // A type that is none was reported.
    if values.kind.is_none() && assignments.iter().any(|found| found.key == "Type") {
        return None;
    }
    parser.finish(path, values)
}

/// What the assignments say so far.
#[derive(Default)]
struct Values {
    kind: Option<(PartitionType, Origin)>,
    label: Option<(String, Origin)>,
    uuid: Option<Uuid>,
    size_min_bytes: Option<u64>,
    size_max: Option<(u64, Origin)>,
    padding_min_bytes: u64,
    format: Option<(Named, Origin)>,
    compression: Option<(String, Origin)>,
    level: Option<(String, Origin)>,
    copied: Vec<CopiedFiles>,
    excluded: Vec<Excluded>,
    excluded_targets: Vec<Excluded>,
    directories: Vec<TreePath>,
    symlinks: Vec<(TreePath, String)>,
    /// Where something was said to be put into a file system.
    filled: Option<Origin>,
    minimize: Option<(bool, bool, Origin)>,
    verity: Option<(VerityKind, Origin)>,
    match_key: Option<String>,
    split_name: Option<(String, Origin)>,
    flags: u64,
    no_auto: Option<(bool, Origin)>,
    read_only: Option<(bool, Origin)>,
    grow: Option<(bool, Origin)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Named {
    Erofs,
    Squashfs,
    Ext4,
    Empty,
}

/// Something is wrong with a value.
enum Wrong {
    /// What was expected, and what was probably meant.
    Value(String, Option<&'static str>),
    /// Why it is not supported.
    Unsupported(String),
    /// It was said already.
    Said,
}

type Outcome = Result<(), Wrong>;

fn expected<T>(text: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Value(text.into(), None))
}

fn unsupported(reason: impl Into<String>) -> Outcome {
    Err(Wrong::Unsupported(reason.into()))
}

struct Parser<'a, 'c> {
    context: &'a Context<'c>,
    findings: &'a mut Findings,
    values: Values,
}

impl Parser<'_, '_> {
    fn assignment(&mut self, found: &Assignment) {
        if found.section != SECTION {
            // Sections of other programs.
            if !found.section.starts_with("X-") {
                self.findings.refuse(RecipeError::UnknownSection {
                    origin: Origin::File(found.section_place.clone()),
                    name: found.section.clone(),
                    nearest: Some(SECTION),
                });
            }
            return;
        }
        let origin = Origin::File(found.place.clone());
        let known = SETTINGS
            .into_iter()
            .chain([SECTOR_SIZE])
            .find(|name| *name == found.key);
        let Some(name) = known else {
            self.findings.refuse(RecipeError::UnknownSetting {
                origin,
                name: found.key.clone(),
                section: SECTION.to_owned(),
                nearest: nearest(&found.key, SETTINGS),
            });
            return;
        };
        let value = found.value.as_str();
        let result = match value {
            "" => {
                self.reset(name);
                Ok(())
            }
            _ => self.set(name, value, &origin),
        };
        match result {
            Ok(()) | Err(Wrong::Said) => {}
            Err(Wrong::Value(expected, nearest)) => self.findings.refuse(RecipeError::Value {
                origin,
                setting: name.to_owned(),
                value: value.to_owned(),
                expected,
                nearest,
            }),
            Err(Wrong::Unsupported(reason)) => self.findings.refuse(RecipeError::Unsupported {
                origin,
                setting: name,
                value: value.to_owned(),
                reason,
            }),
        }
    }

    /// An empty assignment gives a setting its default back.
    fn reset(&mut self, name: &str) {
        let values = &mut self.values;
        match name {
            "Type" => values.kind = None,
            "Label" => values.label = None,
            "UUID" => values.uuid = None,
            "SizeMinBytes" => values.size_min_bytes = None,
            "SizeMaxBytes" => values.size_max = None,
            "PaddingMinBytes" => values.padding_min_bytes = 0,
            "Format" => values.format = None,
            "Compression" => values.compression = None,
            "CompressionLevel" => values.level = None,
            "CopyFiles" => values.copied.clear(),
            "ExcludeFiles" => values.excluded.clear(),
            "ExcludeFilesTarget" => values.excluded_targets.clear(),
            "MakeDirectories" => values.directories.clear(),
            "MakeSymlinks" => values.symlinks.clear(),
            "Minimize" => values.minimize = None,
            "Verity" => values.verity = None,
            "VerityMatchKey" => values.match_key = None,
            "SplitName" => values.split_name = None,
            "Flags" => values.flags = 0,
            "NoAuto" => values.no_auto = None,
            "ReadOnly" => values.read_only = None,
            "GrowFileSystem" => values.grow = None,
            _ => {}
        }
    }

    fn set(&mut self, name: &'static str, value: &str, origin: &Origin) -> Outcome {
        match name {
            "Type" => self.kind(value, origin),
            "Label" => {
                let label = self.expand(name, value, origin)?;
                if label.encode_utf16().count() > 36 || label.chars().any(char::is_control) {
                    return expected("at most 36 characters, as UTF-16 counts them");
                }
                self.values.label = Some((label, origin.clone()));
                Ok(())
            }
            "UUID" => {
                let uuid = match value {
                    "null" => Some(Uuid::nil()),
                    _ => Uuid::try_parse(value).ok(),
                };
                match uuid {
                    Some(_) => self.values.uuid = uuid,
                    None => return expected("a UUID, or `null`"),
                }
                Ok(())
            }
            "SizeMinBytes" => {
                self.values.size_min_bytes = Some(size(value)?.next_multiple_of(GRAIN_BYTES));
                Ok(())
            }
            "SizeMaxBytes" => {
                let bytes = size(value)? / GRAIN_BYTES * GRAIN_BYTES;
                self.values.size_max = Some((bytes, origin.clone()));
                Ok(())
            }
            "PaddingMinBytes" => {
                self.values.padding_min_bytes = size(value)?.next_multiple_of(GRAIN_BYTES);
                Ok(())
            }
            "PaddingMaxBytes" => size(value).map(drop),
            "Format" => self.format(value, origin),
            "CopyFiles" => self.copy_files(value, origin),
            "ExcludeFiles" | "ExcludeFilesTarget" => {
                for word in words(value)? {
                    let found = Excluded {
                        path: absolute(word)?,
                        contents_only: word.ends_with('/'),
                    };
                    match name {
                        "ExcludeFiles" => self.values.excluded.push(found),
                        _ => self.values.excluded_targets.push(found),
                    }
                }
                Ok(())
            }
            "MakeDirectories" => {
                for word in words(value)? {
                    let path = self.expand(name, word, origin)?;
                    self.values.directories.push(absolute(&path)?);
                }
                self.values.filled = Some(origin.clone());
                Ok(())
            }
            "MakeSymlinks" => {
                for word in words(value)? {
                    let Some((link, target)) = word.split_once(':') else {
                        return expected("`LINK:TARGET`, separated by blanks");
                    };
                    if target.is_empty() || target.len() > 4095 {
                        return expected("`LINK:TARGET`, with a target of 1 to 4095 bytes");
                    }
                    let link = absolute(link)?;
                    if link.is_root() {
                        return expected("the path of a link below `/`");
                    }
                    self.values.symlinks.push((link, target.to_owned()));
                }
                self.values.filled = Some(origin.clone());
                Ok(())
            }
            "Minimize" => {
                let (on, best) = match value {
                    "off" => (false, false),
                    "guess" => (true, false),
                    "best" => (true, true),
                    _ => match boolean(value) {
                        Some(on) => (on, on),
                        None => {
                            let choices = ["off", "guess", "best"];
                            return Err(Wrong::Value(
                                "`off`, `guess` or `best`".to_owned(),
                                nearest(value, choices),
                            ));
                        }
                    },
                };
                self.values.minimize = Some((on, best, origin.clone()));
                Ok(())
            }
            "Verity" => {
                let kind = match value {
                    "off" => VerityKind::Off,
                    "data" => VerityKind::Data,
                    "hash" => VerityKind::Hash,
                    "signature" => VerityKind::Signature,
                    _ => {
                        let choices = ["off", "data", "hash", "signature"];
                        return Err(Wrong::Value(
                            "`off`, `data`, `hash` or `signature`".to_owned(),
                            nearest(value, choices),
                        ));
                    }
                };
                self.values.verity = Some((kind, origin.clone()));
                Ok(())
            }
            "VerityMatchKey" => {
                self.values.match_key = Some(value.to_owned());
                Ok(())
            }
            "VerityDataBlockSizeBytes" | "VerityHashBlockSizeBytes" => match size(value)? {
                4096 => Ok(()),
                _ => unsupported("blocks of 4096 bytes are the ones that are made"),
            },
            "SplitName" => {
                let name = self.expand(name, &keep_own(value), origin)?;
                self.values.split_name = Some((name, origin.clone()));
                Ok(())
            }
            "Flags" => {
                let parsed = match (value.strip_prefix("0x"), value.strip_prefix("0b")) {
                    (Some(digits), _) => u64::from_str_radix(digits, 16),
                    (_, Some(digits)) => u64::from_str_radix(digits, 2),
                    _ => value.parse(),
                };
                match parsed {
                    Ok(flags) => self.values.flags = flags,
                    Err(_) => return expected("a number of 64 bits, such as `0x1`"),
                }
                Ok(())
            }
            "NoAuto" | "ReadOnly" | "GrowFileSystem" => {
                let Some(on) = boolean(value) else {
                    return expected("a boolean (`yes` or `no`)");
                };
                let found = Some((on, origin.clone()));
                match name {
                    "NoAuto" => self.values.no_auto = found,
                    "ReadOnly" => self.values.read_only = found,
                    _ => self.values.grow = found,
                }
                Ok(())
            }
            "Compression" => {
                self.values.compression = Some((value.to_owned(), origin.clone()));
                Ok(())
            }
            "CompressionLevel" => {
                self.values.level = Some((value.to_owned(), origin.clone()));
                Ok(())
            }
            _ => without_effect(name, value),
        }
    }

    fn kind(&mut self, value: &str, origin: &Origin) -> Outcome {
        match PartitionType::named(value, self.context.architecture) {
            Some(kind) => {
                self.values.kind = Some((kind, origin.clone()));
                Ok(())
            }
            None if value.contains("-secondary") => {
                unsupported("name the architecture instead, as in `root-x86`")
            }
            None => Err(Wrong::Value(
                "the name of a partition type, or its UUID".to_owned(),
                nearest(value, PartitionType::names()),
            )),
        }
    }

    fn format(&mut self, value: &str, origin: &Origin) -> Outcome {
        let named = match value {
            "erofs" => Named::Erofs,
            "squashfs" => Named::Squashfs,
            "ext4" => Named::Ext4,
            "empty" => Named::Empty,
            "ext2" | "ext3" => return unsupported("of that family, `ext4` is written"),
            "vfat" => {
                return unsupported(
                    "FAT is for boot loaders, and bootable images are out of scope",
                );
            }
            "swap" => {
                return unsupported(
                    "leave it out: systemd-repart makes swap space at the first boot",
                );
            }
            "btrfs" | "xfs" | "f2fs" => {
                return unsupported("`erofs`, `squashfs` and `ext4` are the ones that are written");
            }
            _ => {
                let choices = ["erofs", "squashfs", "ext4", "empty"];
                return Err(Wrong::Value(
                    "`erofs`, `squashfs`, `ext4` or `empty`".to_owned(),
                    nearest(value, choices),
                ));
            }
        };
        self.values.format = Some((named, origin.clone()));
        Ok(())
    }

    fn copy_files(&mut self, value: &str, origin: &Origin) -> Outcome {
        plain(value)?;
        let mut parts = value.splitn(3, ':');
        let source = self.expand("CopyFiles", parts.next().unwrap_or_default(), origin)?;
        let source = absolute(&source)?;
        let target = match parts.next() {
            None | Some("") => source.clone(),
            Some(target) => absolute(&self.expand("CopyFiles", target, origin)?)?,
        };
        if let Some(options) = parts.next() {
            let has_effect = |option: &&str| !matches!(*option, "" | "fsverity=off");
            if let Some(option) = options.split(',').find(has_effect) {
                return unsupported(format!("the option `{option}` has no effect here"));
            }
        }
        self.values.copied.push(CopiedFiles { source, target });
        self.values.filled = Some(origin.clone());
        Ok(())
    }

    fn expand(
        &mut self,
        setting: &'static str,
        text: &str,
        origin: &Origin,
    ) -> Result<String, Wrong> {
        // What only the host or the finished image knows would not be the same everywhere.
        let mut characters = text.chars();
        let mut letters = std::iter::from_fn(|| {
            characters.find(|character| *character == '%')?;
            characters.next()
        });
        if let Some(letter) = letters.find(|letter| "bBHlmqvwWTVU".contains(*letter)) {
            return Err(Wrong::Unsupported(format!(
                "`%{letter}` stands for something of the host or the finished image"
            )));
        }
        specifiers::expand(
            setting,
            text,
            origin,
            self.context.bounds,
            self.context.lookup,
            self.findings,
        )
        .ok_or(Wrong::Said)
    }
}
