//! Which directory is a build's store, and which one it may read besides.
//!
//! Whoever writes into a store decides what later builds find there. So two things must not happen:
//!
//! - *A recipe brings a store.* A cache directory in the recipe's own directory can come filled: with a layer under the
//!   key that the next build asks for, which no signature was checked for, with metadata or with chosen packages. A later
//!   `git pull` can add to one that is in use. No mark on the files helps, since archives carry every attribute. The store
//!   there has a name that only the person's programs can tell: a digest of the place and of a secret in the person's
//!   cache directory. Nobody else can put anything into a directory whose name they do not know.
//! - *A build of a recipe that is not trusted leaves something for one that is.* Such a build has a store of its own in
//!   the person's cache directory, wherever the recipe wants caches. It reads layers and packages of the trusted store,
//!   which are looked for by digest, and writes nothing there, not even a lock. No other build looks into its store.

use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use openssl::sha::Sha256;

use crate::Hint;
use crate::beneath::Directory;
use crate::digest::hexadecimal;
use crate::recipe::{Origin, Recipe, real_path};

/// Whether what a build makes may be used by other builds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    Trusted,
    Untrusted,
}

/// Where a build keeps what it makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The root of the build's own store.
    pub own: PathBuf,
    /// What a person is told it is called: the name in a recipe's directory is nobody else's business.
    pub shown: PathBuf,
    /// The root of the store that an untrusted build may read.
    pub trusted: Option<PathBuf>,
    /// The setting of the recipe that an untrusted build does not follow, with where it was written.
    pub not_used: Vec<(&'static str, String)>,
}

/// No place for a store was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    #[error("there is no directory for caches")]
    NoDirectory,
    #[error(
        "the cache directory `{path}` lies in the recipe's directory, and there is none of your own"
    )]
    NoSecret { path: PathBuf },
    #[error("keeping the secret `{path}`")]
    Secret {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` is not the secret that a build has made")]
    NotSecret { path: PathBuf },
}

impl Hint for PlaceError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDirectory => {
                "set `HOME` or `XDG_CACHE_HOME`, or name one with `CacheDirectory=`".to_owned()
            }
            Self::NoSecret { .. } => {
                "set `HOME` or `XDG_CACHE_HOME`, or name a directory elsewhere with `--cache-directory`; what lies in a \
                 recipe's directory may have come with it"
                    .to_owned()
            }
            Self::NotSecret { path } | Self::Secret { path, .. } => format!(
                "remove `{}`; builds make another, and their caches in recipes' directories anew",
                path.display()
            ),
        })
    }
}

const SECRET: &str = "store-names";
const SECRET_BYTES: usize = 32;
const UNTRUSTED: &str = "untrusted";

impl Place {
    /// Returns the place for the builds of `recipe`, which was found in `recipe_directory`, by a person whose directory for
    /// caches is `personal`.
    ///
    /// # Errors
    /// A [`PlaceError`] when no directory is named, or none that nobody else can fill.
    pub fn of(
        recipe: &Recipe,
        recipe_directory: &Path,
        personal: Option<&Path>,
        trust: Trust,
    ) -> Result<Self, PlaceError> {
        let mut not_used = Vec::new();
        let mut chosen = recipe.cache_directory.as_deref();
        if trust == Trust::Untrusted {
            for setting in ["CacheDirectory", "PackageCacheDirectory"] {
                if let Some(origin) = recipe.origin(setting).filter(|it| !it.is_personal()) {
                    not_used.push((setting, origin.to_string()));
                }
            }
            let is_named = recipe
                .origin("CacheDirectory")
                .is_some_and(Origin::is_personal);
            chosen = chosen.filter(|_| is_named);
        }
        let shown = chosen.or(personal).ok_or(PlaceError::NoDirectory)?;
        let root = match chosen {
            Some(directory) => fillable_by_nobody(directory, recipe_directory, personal)?,
            None => shown.to_owned(),
        };
        Ok(match trust {
            Trust::Trusted => Self {
                own: root,
                shown: shown.to_owned(),
                trusted: None,
                not_used,
            },
            Trust::Untrusted => Self {
                own: root.join(UNTRUSTED),
                shown: shown.join(UNTRUSTED),
                trusted: Some(root),
                not_used,
            },
        })
    }
}

/// Returns `directory`, or what is below it under a name that nobody else knows when the recipe may have brought it.
fn fillable_by_nobody(
    directory: &Path,
    recipe_directory: &Path,
    personal: Option<&Path>,
) -> Result<PathBuf, PlaceError> {
    let real = real_path(directory);
    let is_personal = personal.is_some_and(|personal| real_path(personal) == real);
    if is_personal || !real.starts_with(real_path(recipe_directory)) {
        return Ok(directory.to_owned());
    }
    let personal = personal.ok_or_else(|| PlaceError::NoSecret {
        path: directory.to_owned(),
    })?;
    let mut digest = Sha256::new();
    digest.update(&secret(personal)?);
    digest.update(real.as_os_str().as_encoded_bytes());
    let name = hexadecimal(&digest.finish()[..16]);
    Ok(directory.join(format!("overcoat-{name}")))
}

/// Returns the person's secret, which the first build makes that needs it.
fn secret(personal: &Path) -> Result<Vec<u8>, PlaceError> {
    let path = personal.join(SECRET);
    let failed = |source| PlaceError::Secret {
        path: path.clone(),
        source,
    };
    fs::create_dir_all(personal).map_err(failed)?;
    let directory = Directory::open(personal).map_err(|error| failed(error.into_cause()))?;
    let read = || {
        directory
            .read(SECRET, SECRET_BYTES as u64)
            .map_err(|error| failed(error.into_cause()))
    };
    if let Some(secret) = read()? {
        return checked(secret, &path);
    }
    let mut bytes = [0; SECRET_BYTES];
    openssl::rand::rand_bytes(&mut bytes)
        .expect("the random generator of OpenSSL works once it is seeded");
    let staged = personal.join(format!(".{SECRET}-{}", hexadecimal(&bytes[..8])));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&staged)
        .map_err(failed)?;
    let written = file
        .write_all(&bytes)
        .and_then(|()| file.sync_all())
        // By a link, which does not replace what another build has made in the meantime.
        .and_then(|()| match fs::hard_link(&staged, &path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    fs::remove_file(&staged).and(written).map_err(failed)?;
    let secret = read()?.unwrap_or_default();
    checked(secret, &path)
}

fn checked(secret: Vec<u8>, path: &Path) -> Result<Vec<u8>, PlaceError> {
    if secret.len() == SECRET_BYTES {
        return Ok(secret);
    }
    Err(PlaceError::NotSecret {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
