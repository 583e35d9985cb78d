//! What keeps an extension from being looked at.

use std::path::PathBuf;

use crate::extension;
use crate::tree::ContentError;

/// An extension cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("reading `{path}`")]
    Read { path: PathBuf, source: ContentError },
    #[error("comparing the extension with its base")]
    Compare { source: ContentError },
    #[error("reading the extension's or its base's own description")]
    Describe { source: extension::Error },
}
