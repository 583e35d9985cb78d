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
