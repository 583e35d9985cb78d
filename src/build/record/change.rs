//! Why an image is made again.

use std::fmt;
use std::path::PathBuf;

/// What is not as it was when an image was made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// An output is not there.
    Missing { path: PathBuf },
    /// A setting, or something else that can be said in a word.
    Value {
        name: String,
        before: Option<String>,
        after: Option<String>,
    },
    /// Something at or below a path that a setting names.
    File {
        setting: String,
        path: PathBuf,
        kind: FileChange,
    },
    /// An image that this one is made of is made again.
    Image { name: String },
    /// Repositories have something new.
    Metadata,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileChange {
    Added,
    Changed,
    Removed,
}

/// Longer values say that they differ, and not how.
const SHOWN_CHARACTERS: usize = 60;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "`{}` is missing", path.display()),
            Self::Value {
                name,
                before,
                after,
            } => match (shown(before), shown(after)) {
                (Some(before), Some(after)) => write!(f, "{name}: `{before}` became `{after}`"),
                _ => write!(f, "{name} has changed"),
            },
            Self::File {
                setting,
                path,
                kind,
            } => {
                let became = match kind {
                    FileChange::Added => "is new",
                    FileChange::Changed => "has changed",
                    FileChange::Removed => "is gone",
                };
                write!(f, "{setting}: `{}` {became}", path.display())
            }
            Self::Image { name } => write!(f, "the image `{name}` is made again"),
            Self::Metadata => f.write_str("repositories have something new"),
        }
    }
}

/// Returns a value as it is told, `None` when it is too long for that.
fn shown(value: &Option<String>) -> Option<&str> {
    let value = value.as_deref().unwrap_or_default();
    let is_short = value.chars().nth(SHOWN_CHARACTERS).is_none();
    (is_short && !value.contains('\n')).then_some(value)
}
