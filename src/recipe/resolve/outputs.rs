//! What is written besides an image, from the settings of `[Output]`, `[Validation]` and our own section.

use std::collections::BTreeMap;

use super::super::error::RecipeError;
use super::super::findings::Findings;
use super::super::origin::Origin;
use super::super::resolved::{ChecksumSignature, Format, OciLayout, OciOutput, Outputs};
use super::super::scope::Sourced;
use super::super::target::Architecture;
use super::super::values::Value;
use super::{Resolver, unsupported};

/// The tool that signs unless another one is named.
const GPG: &str = "gpg";

impl Resolver<'_> {
    pub(super) fn outputs(
        &self,
        architecture: Architecture,
        format: Option<Format>,
        findings: &mut Findings,
    ) -> Outputs {
        if format == Some(Format::Oci) && architecture.oci_name().is_none() {
            let format = self
                .one("Format")
                .expect("it was just seen to have a value");
            let reason = "OCI images have no name for the architecture";
            findings.refuse(unsupported("Format", format, reason));
        }
        let layout = match self.text("OciLayout").as_deref() {
            Some("archive") => OciLayout::Archive,
            _ => OciLayout::Directory,
        };
        Outputs {
            changelog: self.has_manifest("changelog"),
            oci: OciOutput {
                labels: self.labels("OciLabels"),
                annotations: self.labels("OciAnnotations"),
                layout,
            },
            signature: self.signature(findings),
        }
    }

    /// Tells whether there is to be a list of packages of this form.
    pub(super) fn has_manifest(&self, form: &str) -> bool {
        self.texts("ManifestFormat")
            .iter()
            .any(|given| given == form)
    }

    fn labels(&self, name: &str) -> BTreeMap<String, String> {
        self.all(name)
            .into_iter()
            .filter_map(|sourced| match sourced.value {
                Value::Variable { name, value } => Some((name, value.unwrap_or_default())),
                _ => None,
            })
            .collect()
    }

    /// Returns how checksums are signed. A signature says that a person stands for what is signed, so no recipe may ask
    /// for one, or choose among the person's keys, unless that person lets it.
    fn signature(&self, findings: &mut Findings) -> Option<ChecksumSignature> {
        let wish = self.one("Sign")?;
        if wish.value != Value::Boolean(true) {
            return None;
        }
        let key = self.one("Key");
        let tool = self.one("OpenPGPTool");
        if !self.boolean("Checksum", true) {
            let note = "without `Checksum=` there is nothing that `Sign=` could sign";
            findings.note(&wish.origin, note);
            return None;
        }
        if let Some(tool) = tool.as_ref().filter(|tool| !is_known_tool(tool)) {
            findings.refuse(RecipeError::SignTool {
                origin: tool.origin.clone(),
                setting: "OpenPGPTool",
                value: tool.value.to_string(),
            });
        }
        let signature = ChecksumSignature {
            tool: tool.map_or_else(|| GPG.to_owned(), |tool| tool.value.to_string()),
            key: key.as_ref().map(|key| key.value.to_string()),
        };
        for (setting, asked) in [("Sign", Some(wish)), ("Key", key)] {
            if let Some(Sourced { origin, value }) = asked
                && !origin.is_personal()
                && !self.around.grants.sign()
            {
                findings.refuse(RecipeError::SignRequest {
                    origin,
                    setting,
                    value: value.to_string(),
                });
            }
        }
        Some(signature)
    }
}

/// Tells whether a tool is one that a recipe may name: any other would be a program of its choice, outside the sandbox.
fn is_known_tool(tool: &Sourced) -> bool {
    tool.origin == Origin::Default || tool.origin.is_personal() || tool.value.to_string() == GPG
}
