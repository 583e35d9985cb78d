//! How the file system of a disk image is made, from the settings of `[Overcoat]`.

use super::super::error::RecipeError;
use super::super::file_system::{FileCompression, FileSystem, Payload, parse_kernel};
use super::super::findings::Findings;
use super::super::resolved::Format;
use super::super::target::Distribution;
use super::super::values::Value;
use super::Resolver;
use crate::distribution;
use crate::format::file_system::KernelVersion;

/// The first kernel with EROFS.
const UNCOMPRESSED: KernelVersion = KernelVersion::new(5, 4);

impl Resolver<'_> {
    /// Returns what the file system of an image of `format` is to be; others have none, and no mistakes about it.
    pub(super) fn payload(
        &self,
        format: Option<Format>,
        distribution: Distribution,
        release: &str,
        findings: &mut Findings,
    ) -> Payload {
        const PLAIN: Payload = Payload {
            file_system: FileSystem::Erofs,
            codec: None,
            oldest_kernel: UNCOMPRESSED,
        };
        if !format.is_some_and(Format::is_disk_image) {
            return PLAIN;
        }
        let file_system = self
            .text("FileSystem")
            .and_then(|name| FileSystem::named(&name))
            .unwrap_or(FileSystem::Erofs);
        let wanted_kernel = self.oldest_kernel(findings);
        let known_kernel =
            distribution::mountable(distribution, release).map(|mountable| mountable.kernel);
        let chosen = self
            .text("Compression")
            .and_then(|name| FileCompression::named(&name));
        let compression = match chosen {
            Some(compression) => self.chosen(compression, file_system, findings),
            None => FileCompression::automatic(file_system, distribution, release, wanted_kernel),
        };
        let level = self.compression_level(compression, file_system, findings);
        let needed = compression.kernel(file_system).unwrap_or(UNCOMPRESSED);
        self.check_kernel(
            needed,
            compression,
            file_system,
            wanted_kernel,
            known_kernel,
            findings,
        );
        Payload {
            file_system,
            codec: compression.codec(file_system, level),
            // What needs more than the release has was asked for, and has been told.
            oldest_kernel: wanted_kernel.or(known_kernel).unwrap_or(needed).max(needed),
        }
    }

    /// Returns a compression that was asked for, or another when the file system does not have it.
    fn chosen(
        &self,
        compression: FileCompression,
        file_system: FileSystem,
        findings: &mut Findings,
    ) -> FileCompression {
        if compression.kernel(file_system).is_some() {
            return compression;
        }
        if let Some(sourced) = self.one("Compression") {
            findings.error(RecipeError::CompressionUnfit {
                origin: sourced.origin,
                compression: compression.name(),
                file_system: file_system.name(),
                choices: FileCompression::choices(file_system),
            });
        }
        FileCompression::None
    }

    pub(super) fn oldest_kernel(&self, findings: &mut Findings) -> Option<KernelVersion> {
        let sourced = self.one("OldestKernel")?;
        let text = sourced.value.to_string();
        let kernel = parse_kernel(&text);
        if kernel.is_none() {
            findings.error(RecipeError::Value {
                origin: sourced.origin,
                setting: "OldestKernel".to_owned(),
                value: text,
                expected: "a release of Linux, such as `6.1`".to_owned(),
                nearest: None,
            });
        }
        kernel
    }

    fn compression_level(
        &self,
        compression: FileCompression,
        file_system: FileSystem,
        findings: &mut Findings,
    ) -> Option<i64> {
        let sourced = self.one("CompressionLevel")?;
        let levels = compression.levels(file_system);
        if let (Value::Number(level), Some(levels)) = (&sourced.value, &levels)
            && levels.contains(level)
        {
            return Some(*level);
        }
        let name = compression.name();
        let expected = match levels {
            Some(levels) => format!(
                "a level of {name}, from {} to {}",
                levels.start(),
                levels.end()
            ),
            None => format!("no level, which `Compression={name}` does not have"),
        };
        findings.error(RecipeError::Value {
            value: sourced.value.to_string(),
            origin: sourced.origin,
            setting: "CompressionLevel".to_owned(),
            expected,
            nearest: None,
        });
        None
    }

    /// Tells when a kernel that has to mount the image cannot.
    fn check_kernel(
        &self,
        needed: KernelVersion,
        compression: FileCompression,
        file_system: FileSystem,
        wanted: Option<KernelVersion>,
        known: Option<KernelVersion>,
        findings: &mut Findings,
    ) {
        let (name, file_system) = (compression.name(), file_system.name());
        if let Some(sourced) = self.one("OldestKernel")
            && wanted.is_some_and(|wanted| wanted < needed)
        {
            findings.error(RecipeError::Value {
                value: sourced.value.to_string(),
                origin: sourced.origin,
                setting: "OldestKernel".to_owned(),
                expected: format!("{needed} or later, for {file_system} with `Compression={name}`"),
                nearest: None,
            });
        } else if let Some(sourced) = self.one("Compression")
            && wanted.is_none()
            && let Some(known) = known.filter(|known| *known < needed)
        {
            findings.note(
                &sourced.origin,
                format!(
                    "{file_system} with `Compression={name}` needs Linux {needed}, and the release has {known}"
                ),
            );
        }
    }
}
