//! Where a value was written.

use std::fmt;
use std::path::PathBuf;

use super::place::Place;

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// Words of a configuration file.
    File(Place),
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

    /// Returns the words of a file; `None` when the value was written elsewhere.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) => Some(place),
            _ => None,
        }
    }

    /// Returns where each of `count` values of an assignment was written.
    pub(super) fn of_each(&self, count: usize) -> Vec<Self> {
        match self {
            Self::File(place) => place.of_each(count).into_iter().map(Self::File).collect(),
            elsewhere => vec![elsewhere.clone(); count],
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => write!(f, "{place}"),
            Self::Magic { path } => write!(f, "{}", path.display()),
            Self::CommandLine { option } => f.write_str(option),
            Self::Environment { variable } => write!(f, "${variable}"),
            Self::Default => f.write_str("default"),
        }
    }
}
