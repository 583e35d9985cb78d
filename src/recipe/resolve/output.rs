//! What is made of an image, from the settings of `[Output]` and `[Validation]`.

use uuid::Uuid;

use super::super::error::RecipeError;
use super::super::findings::Findings;
use super::super::resolved::{Compression, Format, SplitArtifact, Verity};
use super::super::values::Value;
use super::{Resolver, unsupported};
use crate::ddi::SectorSize;

impl Resolver<'_> {
    pub(super) fn format(&self, findings: &mut Findings) -> Option<Format> {
        let sourced = self.one("Format")?;
        let name = sourced.value.to_string();
        let format = Format::named(&name);
        if format.is_none() {
            let reason = match name.as_str() {
                "esp" | "uki" | "addon" => "bootable images are out of scope",
                _ => "this format is not written yet",
            };
            findings.refuse(unsupported("Format", sourced, reason));
        }
        format
    }

    pub(super) fn compression(
        &self,
        format: Option<Format>,
        findings: &mut Findings,
    ) -> Compression {
        let Some(sourced) = self.one("CompressOutput") else {
            return Compression::None;
        };
        let Some(compression) = Compression::named(&sourced.value.to_string()) else {
            let reason = "outputs are compressed with `zstd`, `xz` or `gz` only";
            findings.refuse(unsupported("CompressOutput", sourced, reason));
            return Compression::None;
        };
        if (compression, format) == (Compression::Xz, Some(Format::Oci)) {
            let reason = "layers of OCI images are compressed with `gz` or `zstd` only";
            findings.refuse(unsupported("CompressOutput", sourced, reason));
            return Compression::None;
        }
        if compression != Compression::None && format.is_some_and(Format::has_verity) {
            let note = "systemd uses no compressed image: it is to be decompressed first";
            findings.note(&sourced.origin, note);
        }
        compression
    }

    pub(super) fn compress_level(&self, compression: Compression, findings: &mut Findings) -> i32 {
        /// The level mkosi takes.
        const DEFAULT: i32 = 3;
        let Some(sourced) = self.one("CompressLevel") else {
            return DEFAULT;
        };
        let levels = compression.levels().unwrap_or(0..=i32::MAX);
        let level = match sourced.value {
            Value::Number(level) => i32::try_from(level)
                .ok()
                .filter(|level| levels.contains(level)),
            _ => None,
        };
        level.unwrap_or_else(|| {
            findings.refuse(RecipeError::Value {
                value: sourced.value.to_string(),
                origin: sourced.origin,
                setting: "CompressLevel".to_owned(),
                expected: format!(
                    "a level of {}, from {} to {}",
                    compression.codec(DEFAULT).name(),
                    levels.start(),
                    levels.end()
                ),
                nearest: None,
            });
            DEFAULT
        })
    }

    pub(super) fn sector_size(&self) -> SectorSize {
        let bytes = self.text("SectorSize").and_then(|text| text.parse().ok());
        bytes.and_then(SectorSize::of_bytes).unwrap_or_default()
    }

    pub(super) fn split_artifacts(
        &self,
        format: Option<Format>,
        findings: &mut Findings,
    ) -> Vec<SplitArtifact> {
        let mut artifacts = Vec::new();
        for sourced in self.all("SplitArtifacts") {
            let artifact = match sourced.value.to_string().as_str() {
                "partitions" => SplitArtifact::Partitions,
                "roothash" => SplitArtifact::RootHash,
                "os-release" => SplitArtifact::OsRelease,
                "kernel" => SplitArtifact::Kernel,
                "initrd" => SplitArtifact::Initrd,
                // The output is one already.
                "tar" if format == Some(Format::Tar) => continue,
                "tar" => SplitArtifact::Tar,
                // Only bootable images have these.
                "uki" | "pcrs" => continue,
                "repart-definitions" if format == Some(Format::Disk) => {
                    SplitArtifact::RepartDefinitions
                }
                "repart-definitions" => {
                    let note = "`SplitArtifacts=repart-definitions` has no effect: only `disk` images are made of definitions";
                    findings.note(&sourced.origin, note);
                    continue;
                }
                _ => {
                    let reason = "this part is not split off yet";
                    findings.refuse(unsupported("SplitArtifacts", sourced, reason));
                    continue;
                }
            };
            if !artifacts.contains(&artifact) {
                artifacts.push(artifact);
            }
        }
        artifacts
    }

    pub(super) fn verity(&self) -> Verity {
        match self.text("Verity").as_deref() {
            Some("signed") => Verity::Signed,
            Some("hash") => Verity::Hash,
            Some("defer") => Verity::Deferred,
            Some("disabled") => Verity::Disabled,
            _ => Verity::Auto,
        }
    }

    pub(super) fn seed(&self, findings: &mut Findings) -> Option<Uuid> {
        let sourced = self.one("Seed")?;
        let seed = Uuid::parse_str(&sourced.value.to_string()).ok();
        if seed.is_none() {
            findings.note(
                &sourced.origin,
                "`Seed=random` is made of the recipe instead, so that builds repeat",
            );
        }
        seed
    }
}
