//! How an image is labelled for SELinux.

use super::super::error::RecipeError;
use super::super::findings::Findings;
use super::super::labels::Labels;
use super::super::resolved::Format;
use super::super::values::Feature;
use super::Resolver;

impl Resolver<'_> {
    /// Returns what labels the image gets. Outputs that hold none get none, and asking for some is an error.
    pub(super) fn selinux_labels(&self, format: Option<Format>, findings: &mut Findings) -> Labels {
        let wanted = self.feature("SELinuxRelabel");
        let is_labelled =
            format.is_some_and(|format| format.is_disk_image() || format == Format::Tar);
        if !is_labelled
            && wanted == Feature::Enabled
            && let Some(sourced) = self.one("SELinuxRelabel")
            && let Some(format) = format
        {
            findings.error(RecipeError::Value {
                origin: sourced.origin,
                setting: "SELinuxRelabel".to_owned(),
                value: "yes".to_owned(),
                expected: format!(
                    "`auto` or `no`, because `Format={}` holds no labels",
                    format.name()
                ),
                nearest: None,
            });
        }
        Labels {
            wanted: if is_labelled {
                wanted
            } else {
                Feature::Disabled
            },
            file_contexts: self.path("FileContexts"),
        }
    }
}
