//! `--seccomp-profile`: a person's own filter of system calls, read from a file.

use std::path::{Path, PathBuf};

use fs_err as fs;
use overcoat_sandbox::seccomp::{Profile, ProfileError};

use super::failure::Failure;
use super::output::{self, Style};
use super::{exit, render};

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    #[error("reading the seccomp profile")]
    Read { source: std::io::Error },
    #[error("using the seccomp profile `{path}`")]
    Use { path: PathBuf, source: ProfileError },
}

/// Reads the profile at `path`, and tells which of its names were passed over.
pub(super) fn load(path: &Path, style: Style) -> Result<Profile, Failure> {
    let profile = read(path).map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
    if !profile.skipped().is_empty() {
        let text = format!(
            "`{}`: no calls are known by these names, which are passed over: {}",
            path.display(),
            profile.skipped().join(", ")
        );
        output::people(format_args!("{}", render::warning("", &text, style)));
    }
    Ok(profile)
}

fn read(path: &Path) -> Result<Profile, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { source })?;
    Profile::parse(&text).map_err(|source| Error::Use {
        path: path.to_owned(),
        source,
    })
}
