//! `overcoat genkey`: makes the key and certificate that sign extensions.

use std::path::Path;

use super::args::Invoked;
use super::failure::Failure;
use super::{exit, output};
use crate::signing::{self, CERTIFICATE_FILE, KEY_FILE, KeyOptions, Overwrite, WriteKeyError};

/// Writes `mkosi.key` and `mkosi.crt` into `directory`.
pub(super) fn genkey(directory: &Path, invoked: &Invoked) -> Result<(), Failure> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten();
    let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name);
    let common_name = invoked
        .genkey_common_name
        .clone()
        .unwrap_or_else(|| format!("overcoat of {user}"));
    let mut options = KeyOptions::new(common_name);
    options.valid_days = invoked.genkey_valid_days;
    let overwrite = if invoked.force > 0 {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    let pair =
        signing::generate(&options).map_err(|error| Failure::new(error, exit::BAD_RECIPE))?;
    signing::write_key_pair(directory, &pair, overwrite).map_err(|error| {
        let exit = match error {
            WriteKeyError::Exists { .. } => exit::BAD_RECIPE,
            _ => exit::BUILD_FAILED,
        };
        Failure::new(error, exit)
    })?;
    for file in [KEY_FILE, CERTIFICATE_FILE] {
        output::people(format_args!("wrote {}\n", directory.join(file).display()));
    }
    Ok(())
}
