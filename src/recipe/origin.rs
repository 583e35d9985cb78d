//! Where a value was written.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a configuration file; the path is relative to the recipe's directory.
    File {
        path: PathBuf,
        line: usize,
    },
    /// A file or directory whose presence or text is the value, such as `mkosi.seed`.
    Magic {
        path: PathBuf,
    },
    /// An option, such as `--format`.
    CommandLine {
        option: String,
    },
    /// A variable of the environment the program was started in.
    Environment {
        variable: String,
    },
    Default,
}

impl Origin {
    /// Tells whether a person gave the value for this run, and no recipe did.
    pub fn is_personal(&self) -> bool {
        matches!(self, Self::CommandLine { .. } | Self::Environment { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Magic { path } => write!(f, "{}", path.display()),
            Self::CommandLine { option } => f.write_str(option),
            Self::Environment { variable } => write!(f, "${variable}"),
            Self::Default => f.write_str("default"),
        }
    }
}
