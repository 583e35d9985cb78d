//! From the values of a definition to the partition that they describe.

use std::path::Path;

use super::{Named, Parsed, Parser, Values, VerityKind};
use crate::ddi::Designator;
use crate::recipe::error::RecipeError;
use crate::recipe::file_system::{FileCompression, FileSystem, Payload};
use crate::recipe::origin::Origin;
use crate::recipe::repart::types::{Attributes, PartitionType};
use crate::recipe::repart::{
    Definition, GROW_FILE_SYSTEM, NO_AUTO, PartitionFormat, READ_ONLY, VerityPart,
};

impl Parser<'_, '_> {
    /// Checks what the assignments say together.
    pub(super) fn finish(&mut self, path: &Path, values: Values) -> Option<Parsed> {
        let Some((kind, origin)) = values.kind.clone() else {
            self.findings.refuse(RecipeError::DefinitionWithoutType {
                path: path.to_owned(),
            });
            return None;
        };
        let (verity, verity_origin) = values
            .verity
            .clone()
            .unwrap_or((VerityKind::Off, origin.clone()));
        let format = self.file_system(&values, &kind);
        self.check_contents(&values, &kind, verity, &verity_origin, format.is_some());
        if let Some((true, true, origin)) = &values.minimize
            && format == Some(PartitionFormat::Ext4)
        {
            self.unsupported(
                origin,
                "Minimize",
                "best",
                "it is for file systems that are never written to; `guess` is for others",
            );
        }
        if let (Some(least), Some((most, origin))) = (values.size_min_bytes, &values.size_max)
            && *most < least
        {
            self.findings.refuse(RecipeError::Value {
                origin: origin.clone(),
                setting: "SizeMaxBytes".to_owned(),
                value: most.to_string(),
                expected: format!("{least} or more, which `SizeMinBytes=` is"),
                nearest: None,
            });
        }
        let attributes = self.attributes(&values, &kind, verity);
        let definition = Definition {
            file_name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            origin,
            label: values.label.map(|(label, _)| label),
            uuid: values.uuid,
            format,
            copied: values.copied,
            excluded: values.excluded,
            excluded_targets: values.excluded_targets,
            directories: values.directories,
            symlinks: values.symlinks,
            minimize: values.minimize.is_some_and(|(on, _, _)| on),
            size_min_bytes: values.size_min_bytes,
            size_max_bytes: values.size_max.map(|(most, _)| most),
            padding_min_bytes: values.padding_min_bytes,
            verity: VerityPart::None,
            split_name: None,
            attributes,
            text: String::new(),
            kind,
        };
        Some(Parsed {
            definition,
            verity,
            match_key: values.match_key,
            split_name: values.split_name,
        })
    }

    fn unsupported(
        &mut self,
        origin: &Origin,
        setting: &'static str,
        value: &str,
        reason: impl Into<String>,
    ) {
        self.findings.refuse(RecipeError::Unsupported {
            origin: origin.clone(),
            setting,
            value: value.to_owned(),
            reason: reason.into(),
        });
    }

    /// Says what does not go together in a partition: a hash tree has no files, and files need a file system.
    fn check_contents(
        &mut self,
        values: &Values,
        kind: &PartitionType,
        verity: VerityKind,
        verity_origin: &Origin,
        has_file_system: bool,
    ) {
        let name = match verity {
            VerityKind::Off => "off",
            VerityKind::Data => "data",
            VerityKind::Hash => "hash",
            VerityKind::Signature => "signature",
        };
        match verity {
            VerityKind::Data if !has_file_system => {
                let reason = "the partition has no file system; say `Format=`";
                self.unsupported(verity_origin, "Verity", name, reason);
            }
            VerityKind::Hash | VerityKind::Signature if has_file_system => {
                let reason = "the partition has files or a `Format=` as well";
                self.unsupported(verity_origin, "Verity", name, reason);
            }
            _ => {}
        }
        if verity != VerityKind::Off && values.match_key.is_none() {
            let reason = "`VerityMatchKey=` has to say which partitions belong together";
            self.unsupported(verity_origin, "Verity", name, reason);
        }
        // What a type says and what is in the partition would differ otherwise, and systemd goes by the type.
        let is_for = match kind.designator {
            Some(Designator::RootVerity | Designator::UsrVerity) => VerityKind::Hash,
            Some(Designator::RootVeritySig | Designator::UsrVeritySig) => VerityKind::Signature,
            _ => return,
        };
        if verity != is_for {
            let expected = match is_for {
                VerityKind::Hash => "hash",
                _ => "signature",
            };
            if let Some((_, origin)) = &values.kind {
                let reason = format!("partitions of this type need `Verity={expected}`");
                self.unsupported(origin, "Type", &kind.name, reason);
            }
        }
    }

    /// Returns the file system: the named one, or the one that systemd-repart takes when there are files.
    fn file_system(&mut self, values: &Values, kind: &PartitionType) -> Option<PartitionFormat> {
        let named = match (&values.format, &values.filled) {
            (Some((named, _)), _) => *named,
            (None, None) => return None,
            (None, Some(origin)) if matches!(kind.name.as_str(), "esp" | "xbootldr") => {
                let reason =
                    "without `Format=` it is FAT, which is for boot loaders and out of scope";
                self.unsupported(origin, "Type", &kind.name, reason);
                return None;
            }
            (None, Some(_)) => Named::Ext4,
        };
        let file_system = match named {
            Named::Erofs => FileSystem::Erofs,
            Named::Squashfs => FileSystem::Squashfs,
            Named::Ext4 | Named::Empty => {
                if let Some((value, origin)) = &values.compression {
                    let reason = "`erofs` and `squashfs` are the ones that are compressed";
                    self.unsupported(origin, "Compression", value, reason);
                }
                if let (Named::Empty, Some(origin)) = (named, &values.filled) {
                    let reason = "files were named that are to be in it";
                    self.unsupported(origin, "Format", "empty", reason);
                }
                return (named == Named::Ext4).then_some(PartitionFormat::Ext4);
            }
        };
        Some(PartitionFormat::Packed(self.packed(values, file_system)))
    }

    fn packed(&mut self, values: &Values, file_system: FileSystem) -> Payload {
        let default = self.context.payload;
        let compression = match &values.compression {
            None if default.file_system == file_system && values.level.is_none() => {
                return default;
            }
            None => (self.context.automatic)(file_system),
            Some((name, origin)) => {
                let known = match name.as_str() {
                    "deflate" | "libdeflate" => Some(FileCompression::Gzip),
                    name => FileCompression::named(name),
                };
                let fits = known.filter(|known| known.kernel(file_system).is_some());
                if fits.is_none() {
                    self.findings.refuse(RecipeError::Value {
                        origin: origin.clone(),
                        setting: "Compression".to_owned(),
                        value: name.clone(),
                        expected: format!(
                            "one of {}, for {}",
                            FileCompression::choices(file_system),
                            file_system.name()
                        ),
                        nearest: None,
                    });
                }
                fits.unwrap_or(FileCompression::None)
            }
        };
        let level = values
            .level
            .as_ref()
            .and_then(|(text, origin)| self.level(text, origin, compression, file_system));
        let needed = compression.kernel(file_system);
        Payload {
            file_system,
            codec: compression.codec(file_system, level),
            oldest_kernel: needed.map_or(default.oldest_kernel, |needed| {
                default.oldest_kernel.max(needed)
            }),
        }
    }

    fn level(
        &mut self,
        text: &str,
        origin: &Origin,
        compression: FileCompression,
        file_system: FileSystem,
    ) -> Option<i64> {
        let levels = compression.levels(file_system);
        let level = text.parse().ok();
        if let (Some(level), Some(levels)) = (level, &levels)
            && levels.contains(&level)
        {
            return Some(level);
        }
        let expected = match levels {
            Some(levels) => format!(
                "a level of {}, from {} to {}",
                compression.name(),
                levels.start(),
                levels.end()
            ),
            None => format!("no level, which {} does not have", compression.name()),
        };
        self.findings.refuse(RecipeError::Value {
            origin: origin.clone(),
            setting: "CompressionLevel".to_owned(),
            value: text.to_owned(),
            expected,
            nearest: None,
        });
        None
    }

    /// Returns the attributes of the partition, with systemd-repart's defaults.
    fn attributes(&mut self, values: &Values, kind: &PartitionType, verity: VerityKind) -> u64 {
        let knows = |bit| match kind.attributes {
            Attributes::None => false,
            Attributes::NoAuto => bit == NO_AUTO,
            Attributes::NoAutoReadOnly => bit != GROW_FILE_SYSTEM,
            Attributes::All => true,
        };
        let mut attributes = values.flags;
        let mut put = |bit: u64, on: bool| {
            attributes &= !bit;
            attributes |= if on { bit } else { 0 };
        };
        let is_protected = matches!(verity, VerityKind::Data | VerityKind::Hash);
        let read_only = match &values.read_only {
            Some((on, _)) => *on,
            None => is_protected && knows(READ_ONLY),
        };
        let grow = match &values.grow {
            Some((on, _)) => *on,
            None => knows(GROW_FILE_SYSTEM) && !read_only,
        };
        if values.read_only.is_some() || read_only {
            put(READ_ONLY, read_only && knows(READ_ONLY));
        }
        if values.grow.is_some() || grow {
            put(GROW_FILE_SYSTEM, grow && knows(GROW_FILE_SYSTEM));
        }
        if let Some((on, _)) = &values.no_auto {
            put(NO_AUTO, *on && knows(NO_AUTO));
        }
        for (name, bit, value) in [
            ("NoAuto", NO_AUTO, &values.no_auto),
            ("ReadOnly", READ_ONLY, &values.read_only),
            ("GrowFileSystem", GROW_FILE_SYSTEM, &values.grow),
        ] {
            if let Some((true, origin)) = value
                && !knows(bit)
            {
                let text = format!(
                    "`{name}=yes` has no effect: partitions of the type `{}` have no such attribute",
                    kind.name
                );
                self.findings.note(origin, text);
            }
        }
        attributes
    }
}
