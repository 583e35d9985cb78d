//! Getting packages into a step, by way of the package cache.

use std::io::Read;
use std::path::Path;
use std::time::Instant;

use fs_err as fs;

use super::fetch::{QUICK_RETRIES, show_download};
use super::policy::StepKind;
use super::run::run;
use super::tools::Tools;
use super::{Builder, Error, Event, apt_error};
use crate::digest::sha256_of_file;
use crate::packages::apt::{self, ResolvedPackage};
use crate::recipe::{CacheOnly, Recipe};
use crate::store::{self, Lock};

const DOWNLOAD: &str = "download packages";

/// Fills the empty directory `private` with the files of `resolved`, each of them what the signed metadata promises.
///
/// What is checked is what gets installed: the files are linked out of the package cache, where another build could
/// replace them, before their digests are taken.
pub(super) fn download(
    builder: &Builder<'_>,
    recipe: &Recipe,
    tools: &Tools,
    resolved: &[ResolvedPackage],
    private: &Path,
) -> Result<(), Error> {
    let started = Instant::now();
    let purpose = builder.purpose(&recipe.name, DOWNLOAD);
    let lock_path = tools.archives.join("overcoat.lock");
    let lock = builder.wait_for(&recipe.name, || Lock::try_acquire(&lock_path))?;
    let missing = missing(builder, recipe, &tools.archives, resolved)?;
    if let Some(package) = missing.first() {
        if recipe.cache_only == CacheOnly::Always {
            return Err(Error::PackageNotCached {
                file_name: package.file_name.clone(),
            });
        }
        purpose.started();
        // By version and architecture, so that apt chooses nothing and need not see what is installed below.
        let exact: Vec<String> = missing.iter().map(|package| package.exact_name()).collect();
        let mut arguments = vec![QUICK_RETRIES, "download", "--"];
        arguments.extend(exact.iter().map(String::as_str));
        let command = apt::command(&arguments);
        let spec = builder
            .spec(StepKind::Download, command, &tools.places(None))
            // This verb puts packages into the working directory.
            .working_directory(apt::ARCHIVES);
        run(purpose, &spec, &mut |line| show_download(purpose, line))
            .map_err(|error| apt_error::classify(error, recipe))?;
    }
    store::directory_below(private, Path::new("partial"))?;
    for package in resolved {
        take(&tools.archives, private, package)?;
    }
    drop(lock);
    for package in resolved {
        verify(private, package)?;
    }
    purpose.finished(started, missing.is_empty());
    Ok(())
}

/// Links a package file out of the cache, or copies it where the cache is on another file system.
fn take(archives: &Path, private: &Path, package: &ResolvedPackage) -> Result<(), Error> {
    let (from, to) = (
        archives.join(&package.file_name),
        private.join(&package.file_name),
    );
    let taken = match fs::hard_link(&from, &to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            fs::copy(&from, &to).map(|_| ())
        }
        done => done,
    };
    taken.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::PackageMissing {
            file_name: package.file_name.clone(),
        },
        _ => Error::ReadPackage { path: from, source },
    })
}

/// Returns the packages that are not in the cache, from which it removes files that are not what they should be.
fn missing<'a>(
    builder: &Builder<'_>,
    recipe: &Recipe,
    archives: &Path,
    resolved: &'a [ResolvedPackage],
) -> Result<Vec<&'a ResolvedPackage>, Error> {
    let mut missing = Vec::new();
    for package in resolved {
        match verify(archives, package) {
            Ok(()) => {}
            Err(Error::PackageMissing { .. }) => missing.push(package),
            Err(Error::PackageCorrupt { file_name }) => {
                builder.observer.event(&Event::Warning {
                    image: &recipe.name,
                    text: &format!("`{file_name}` in the package cache is damaged and was removed"),
                });
                missing.push(package);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

fn size_of(archives: &Path, package: &ResolvedPackage) -> Option<u64> {
    let metadata = fs::symlink_metadata(archives.join(&package.file_name)).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Checks the digest of a package file, and removes it when it is wrong, so that the next build gets it anew.
fn verify(archives: &Path, package: &ResolvedPackage) -> Result<(), Error> {
    let path = archives.join(&package.file_name);
    if size_of(archives, package).is_none() {
        return Err(Error::PackageMissing {
            file_name: package.file_name.clone(),
        });
    }
    let failed = |source| Error::ReadPackage {
        path: path.clone(),
        source,
    };
    if sha256_of_file(&path).map_err(failed)? != package.sha256 {
        fs::remove_file(&path).map_err(failed)?;
        return Err(Error::PackageCorrupt {
            file_name: package.file_name.clone(),
        });
    }
    Ok(())
}

/// Returns the newest build time among `resolved`, in seconds since 1970.
pub(super) fn newest_build_time(
    archives: &Path,
    resolved: &[ResolvedPackage],
) -> Result<u64, Error> {
    let mut newest = 0;
    for package in resolved {
        let path = archives.join(&package.file_name);
        let failed = |source| Error::ReadPackage {
            path: path.clone(),
            source,
        };
        let mut header = [0; 68];
        fs::File::open(&path)
            .map_err(failed)?
            .read_exact(&mut header)
            .map_err(failed)?;
        newest = newest.max(apt::build_time(&header).unwrap_or(0));
    }
    Ok(newest)
}
