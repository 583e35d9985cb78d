//! Puts a key pair into a directory: both files whole, or neither.

use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;

use super::KeyPair;
use crate::Hint;

/// The name under which a private key is looked for beside a recipe.
pub const KEY_FILE: &str = "mkosi.key";

/// The name under which a certificate is looked for beside a recipe.
pub const CERTIFICATE_FILE: &str = "mkosi.crt";

/// What happens to a key or certificate that is already there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Overwrite {
    Refuse,
    Replace,
}

/// A key pair could not be put into its directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteKeyError {
    #[error("`{path}` is there already")]
    Exists { path: PathBuf },
    #[error("`{path}` is not a regular file and cannot be replaced")]
    NotReplaceable { path: PathBuf },
    #[error("writing `{path}`")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("moving the new file to `{path}`")]
    Publish {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Hint for WriteKeyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some(
                "run `overcoat genkey -f` to replace the key and certificate; images signed with the old ones stay \
                 valid for machines that trust those"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Writes [`KEY_FILE`] with mode 0600 and [`CERTIFICATE_FILE`] with mode 0644 into `directory`.
///
/// Both are complete on disk before either gets its name, and a failure puts back what was there before.
///
/// # Errors
/// [`WriteKeyError::Exists`] when one is there and `overwrite` is [`Overwrite::Refuse`], another [`WriteKeyError`]
/// when a file cannot be written.
pub fn write_key_pair(
    directory: &Path,
    pair: &KeyPair,
    overwrite: Overwrite,
) -> Result<(), WriteKeyError> {
    let key_path = directory.join(KEY_FILE);
    let certificate_path = directory.join(CERTIFICATE_FILE);
    for path in [&key_path, &certificate_path] {
        refuse_occupied(path, overwrite)?;
    }
    let key = StagedFile::write(&key_path, &pair.key_pem, 0o600)?;
    let certificate = StagedFile::write(&certificate_path, &pair.certificate_pem, 0o644)?;
    publish_both(&key, &certificate, overwrite)
}

fn publish_both(
    key: &StagedFile,
    certificate: &StagedFile,
    overwrite: Overwrite,
) -> Result<(), WriteKeyError> {
    let previous_key = match overwrite {
        Overwrite::Refuse => None,
        Overwrite::Replace => StagedFile::keep(&key.destination)?,
    };
    key.publish(overwrite)?;
    let published = certificate.publish(overwrite);
    if published.is_err() {
        // The first failure is the one to tell; a second would say the same of the same directory.
        let _ = match previous_key {
            Some(previous) => previous.publish(Overwrite::Replace),
            None => {
                fs_err::remove_file(&key.destination).map_err(|source| key.publish_error(source))
            }
        };
    }
    published
}

fn refuse_occupied(path: &Path, overwrite: Overwrite) -> Result<(), WriteKeyError> {
    match (fs_err::symlink_metadata(path), overwrite) {
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        (Err(source), _) => {
            let path = path.into();
            Err(WriteKeyError::Write { path, source })
        }
        (Ok(_), Overwrite::Refuse) => Err(WriteKeyError::Exists { path: path.into() }),
        // A symbolic link is refused too: replacing it would leave the key it points to where it is, unnoticed.
        (Ok(found), Overwrite::Replace) if !found.is_file() => {
            Err(WriteKeyError::NotReplaceable { path: path.into() })
        }
        (Ok(_), Overwrite::Replace) => Ok(()),
    }
}

/// A complete file under a temporary name beside its destination; the temporary name goes when this does.
struct StagedFile {
    staged: PathBuf,
    destination: PathBuf,
}

impl StagedFile {
    fn write(destination: &Path, bytes: &[u8], mode: u32) -> Result<Self, WriteKeyError> {
        let write_error = |source| WriteKeyError::Write {
            path: destination.into(),
            source,
        };
        let staged = temporary_name(destination)?;
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(no_follow)
            .open(&staged)
            .map_err(write_error)?;
        let this = Self {
            staged,
            destination: destination.into(),
        };
        // Set again, because the umask took its share from the mode given to open(2).
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(permissions).map_err(write_error)?;
        file.write_all(bytes).map_err(write_error)?;
        file.sync_all().map_err(write_error)?;
        Ok(this)
    }

    /// Gives the file at `destination` a second name, from which publishing brings it back; `None` when there is none.
    fn keep(destination: &Path) -> Result<Option<Self>, WriteKeyError> {
        let staged = temporary_name(destination)?;
        match fs_err::hard_link(destination, &staged) {
            Ok(()) => Ok(Some(Self {
                staged,
                destination: destination.into(),
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                let path = destination.into();
                Err(WriteKeyError::Write { path, source })
            }
        }
    }

    fn publish(&self, overwrite: Overwrite) -> Result<(), WriteKeyError> {
        let published = match overwrite {
            Overwrite::Replace => fs_err::rename(&self.staged, &self.destination),
            // link(2) refuses a name that is taken, which rename(2) does not; a key that appeared since the first
            // look survives.
            Overwrite::Refuse => fs_err::hard_link(&self.staged, &self.destination),
        };
        published.map_err(|source| self.publish_error(source))
    }

    fn publish_error(&self, source: std::io::Error) -> WriteKeyError {
        let path = self.destination.clone();
        match source.kind() {
            std::io::ErrorKind::AlreadyExists => WriteKeyError::Exists { path },
            _ => WriteKeyError::Publish { path, source },
        }
    }
}

/// Returns a name beside `destination` that nothing else has.
fn temporary_name(destination: &Path) -> Result<PathBuf, WriteKeyError> {
    let mut random = [0; 8];
    openssl::rand::rand_bytes(&mut random).map_err(|source| WriteKeyError::Write {
        path: destination.into(),
        source: source.into(),
    })?;
    let suffix = u64::from_le_bytes(random);
    Ok(destination.with_extension(format!("{suffix:016x}.tmp")))
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After a rename it is gone already, and after a failure there is nothing better to do.
        let _ = fs_err::remove_file(&self.staged);
    }
}

#[cfg(test)]
mod tests;
