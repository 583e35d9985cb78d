//! Package files (deb(5)): what a repository's index says of one. Whoever wrote the recipe made them: nothing is taken on
//! trust.

mod archive;
mod control;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod tests;

pub use self::control::Control;

use std::io::Read;

/// A file is not a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("reading it")]
    Read { source: std::io::Error },
    #[error("it does not start as a package does (`!<arch>`)")]
    NotPackage,
    #[error("expected {expected} and found `{found}`")]
    Member {
        expected: &'static str,
        found: String,
    },
    #[error("its format is `{found}`, and `2.x` was expected")]
    Format { found: String },
    #[error("its control information is not an archive: {reason}")]
    Archive { reason: &'static str },
    #[error(
        "it has no `control` file within the first {limit_bytes} bytes of its control information"
    )]
    NoControl { limit_bytes: u64 },
    #[error("its `control` file has {found_bytes} bytes, and at most {limit_bytes} were expected")]
    ControlTooLong { found_bytes: u64, limit_bytes: u64 },
    #[error("its `control` file has the line `{line}`, where {expected} was expected")]
    Line {
        line: String,
        expected: &'static str,
    },
    #[error("its `control` file has no valid `{field}`")]
    Field { field: &'static str },
}

/// Reads what a package says about itself, from the start of its file.
///
/// # Errors
/// An [`Error`] that tells why the file is no package.
pub fn read(file: impl Read) -> Result<Control, Error> {
    Control::parse(&archive::control(file)?)
}

/// Returns text of the file's own for a message: what is not printable is replaced, and little of it is shown.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    let bytes = &bytes[..bytes.len().min(SHOWN_BYTES)];
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
