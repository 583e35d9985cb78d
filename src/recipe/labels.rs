//! How an image is labelled for SELinux.

use std::path::PathBuf;

use super::values::Feature;

/// What `SELinuxRelabel=` and `FileContexts=` come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Labels {
    /// Whether files get labels: those that have to, those for which there is a policy, or none.
    pub wanted: Feature,
    /// The contexts to take them from, in place of a policy in the image or its base.
    pub file_contexts: Option<PathBuf>,
}
