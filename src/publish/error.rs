//! Why outputs are not where they should be.

use std::path::PathBuf;

use crate::Hint;
use crate::store;

/// Outputs could not be put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("preparing the output directory `{path}`")]
    Prepare {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("preparing the output directory `{path}`")]
    Stage { path: PathBuf, source: store::Error },
    #[error("`{path}` is not a directory")]
    NotDirectory { path: PathBuf },
    #[error("`{path}` is there, and no build has made it")]
    Occupied { path: PathBuf },
    #[error("a script has left `{name}` among the outputs, which is no file")]
    NotFile { name: String },
    #[error("a script has left `{name}` among the outputs, and the build makes one of that name")]
    Taken { name: String },
    #[error("putting `{path}` in place")]
    Place {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("removing `{path}`")]
    Remove {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Prepare { .. } | Self::Stage { .. } => {
                Some("name a directory that you can write to with `OutputDirectory=`".into())
            }
            Self::NotDirectory { .. } => {
                Some("remove it; the build makes a directory there".into())
            }
            Self::Occupied { .. } => Some(
                "move it away, or choose another place with `Output=` or `OutputDirectory=`".into(),
            ),
            Self::NotFile { .. } => Some(
                "scripts may add files with names in UTF-8 to `$OUTPUTDIR`; pack directories"
                    .into(),
            ),
            Self::Taken { .. } => Some("have the script choose another name".into()),
            Self::Place { .. } | Self::Remove { .. } => None,
        }
    }
}
