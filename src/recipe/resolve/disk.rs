//! The partitions of a disk, from `RepartDirectories=`.

use std::collections::BTreeSet;

use super::super::error::RecipeError;
use super::super::file_system::{FileCompression, Payload};
use super::super::findings::Findings;
use super::super::origin::Origin;
use super::super::outside;
use super::super::repart::{self, Context, Definition, VerityPart};
use super::super::resolved::{Format, SplitArtifact, Verity};
use super::super::target::{Architecture, Distribution};
use super::super::values::Value;
use super::{Resolver, unsupported};
use crate::ddi::PartitionArchitecture;

/// What the disk is for.
pub(super) struct Target<'a> {
    pub(super) format: Option<Format>,
    pub(super) architecture: Architecture,
    pub(super) distribution: Distribution,
    pub(super) release: &'a str,
    /// The file system of a disk without definitions.
    pub(super) payload: Payload,
}

impl Resolver<'_> {
    /// Returns the definitions of a disk's partitions; images of other formats have none.
    pub(super) fn definitions(
        &self,
        target: &Target<'_>,
        findings: &mut Findings,
    ) -> Vec<Definition> {
        const SETTING: &str = "RepartDirectories";
        let directories = self.all(SETTING);
        if target.format != Some(Format::Disk) {
            let written =
                |origin: &Origin| matches!(origin, Origin::File(_)) || origin.is_personal();
            if let Some(sourced) = directories.iter().find(|sourced| written(&sourced.origin)) {
                let note = "`RepartDirectories=` has no effect: only `disk` images are made of definitions";
                findings.note(&sourced.origin, note);
            }
            return Vec::new();
        }
        // What is outside is reported with the paths of all settings.
        let paths: Vec<_> = directories
            .iter()
            .filter_map(|sourced| match &sourced.value {
                Value::Path(path) => {
                    let is_inside =
                        outside::permits(path, &sourced.origin, self.image, self.around);
                    is_inside.then(|| path.clone())
                }
                _ => None,
            })
            .collect();
        let oldest_kernel = self.oldest_kernel(findings);
        let architecture = target.architecture.systemd_name();
        let lookup = |letter| match letter {
            'a' => Ok(architecture.to_owned()),
            'A' => self.text("ImageVersion").ok_or(Some("ImageVersion")),
            'M' => self.text("ImageId").ok_or(Some("ImageId")),
            'o' => Ok(target.distribution.to_string()),
            _ => Err(None),
        };
        let automatic = |file_system| {
            FileCompression::automatic(
                file_system,
                target.distribution,
                target.release,
                oldest_kernel,
            )
        };
        let context = Context {
            architecture: PartitionArchitecture::named(architecture).ok(),
            bounds: &self.around.bounds,
            lookup: &lookup,
            payload: target.payload,
            automatic: &automatic,
        };
        let definitions = repart::load(&paths, self.image, self.around, &context, findings);
        if definitions.is_empty()
            && findings.is_empty()
            && let Some(sourced) = directories.into_iter().next()
        {
            let reason = "there is no definition (`*.conf`) in it";
            findings.refuse(unsupported(SETTING, sourced, reason));
        }
        definitions
    }

    /// Reports partitions whose files would have the same name.
    pub(super) fn check_split_names(
        &self,
        definitions: &[Definition],
        artifacts: &[SplitArtifact],
        findings: &mut Findings,
    ) {
        if !artifacts.contains(&SplitArtifact::Partitions) {
            return;
        }
        let mut seen = BTreeSet::new();
        for definition in definitions {
            let Some(name) = &definition.split_name else {
                continue;
            };
            if !seen.insert(name) {
                findings.refuse(RecipeError::Unsupported {
                    origin: definition.origin.clone(),
                    setting: "SplitName",
                    value: name.clone(),
                    reason: "another partition is split off under that name".to_owned(),
                });
            }
        }
    }

    /// Reports partitions for signatures that nothing can be put into, and a disk that is to be signed without any.
    pub(super) fn check_signatures(
        &self,
        format: Option<Format>,
        definitions: &[Definition],
        findings: &mut Findings,
    ) {
        let is_signature =
            |found: &&Definition| matches!(found.verity, VerityPart::Signature { .. });
        let signature = definitions.iter().find(is_signature);
        let has_keys = self.one("VerityKey").is_some() && self.one("VerityCertificate").is_some();
        match (signature, self.verity()) {
            (Some(found), Verity::Auto) if !has_keys => refuse(
                found,
                "there is no key and certificate to sign with; make both with `overcoat genkey`, or leave room with \
                 `Verity=defer`",
                findings,
            ),
            (Some(found), verity @ (Verity::Disabled | Verity::Hash)) => {
                let name = if verity == Verity::Hash {
                    "hash"
                } else {
                    "disabled"
                };
                let reason = format!("the image is not to be signed, with `Verity={name}`");
                refuse(found, &reason, findings);
            }
            (None, Verity::Signed) if format == Some(Format::Disk) => {
                if let Some(sourced) = self.one("Verity") {
                    let reason = "a disk is signed in partitions with `Verity=signature`, and no definition is of one";
                    findings.refuse(unsupported("Verity", sourced, reason));
                }
            }
            _ => {}
        }
    }
}

fn refuse(found: &Definition, reason: &str, findings: &mut Findings) {
    findings.refuse(RecipeError::Unsupported {
        origin: found.origin.clone(),
        setting: "Verity",
        value: "signature".to_owned(),
        reason: reason.to_owned(),
    });
}
