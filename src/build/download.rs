//! Getting packages into a step, by way of the package cache.

use std::io::Read;
use std::time::Instant;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::fetch::{QUICK_RETRIES, reach, show_download};
use super::policy::StepKind;
use super::run::run;
use super::tools::Tools;
use super::{Builder, Error, Event, apt_error};
use crate::beneath::{self, Directory};
use crate::digest::sha256_of_file;
use crate::packages::apt::{self, ResolvedPackage};
use crate::recipe::{CacheOnly, Recipe};
use crate::store::{self, Lock, copy_if_it_is};

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
    private: &Directory,
) -> Result<(), Error> {
    let started = Instant::now();
    let purpose = builder.purpose(&recipe.name, DOWNLOAD);
    let lock = builder.wait_for(&recipe.name, || {
        Lock::try_acquire(&tools.archives, "overcoat.lock")
    })?;
    let (own, fetched): (Vec<_>, Vec<_>) = resolved
        .iter()
        .partition(|package| tools.local.has(package));
    let mut missing = missing(builder, recipe, &tools.archives, &fetched)?;
    take_from_others(builder, tools, &mut missing)?;
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
        let reach = reach(builder, recipe)?;
        let places = tools.places(None).with_reach(&reach);
        let spec = builder
            .spec(StepKind::Download, command, &places)
            // This verb puts packages into the working directory.
            .working_directory(apt::ARCHIVES);
        run(purpose, &spec, &mut |line| show_download(purpose, line))
            .map_err(|error| apt_error::classify(reach.classify(error), recipe, "Packages"))?;
    }
    store::own_directory(private, "partial")?;
    for package in &fetched {
        take(&tools.archives, private, package)?;
    }
    drop(lock);
    for package in own {
        tools.local.copy(package, private)?;
    }
    for package in resolved {
        verify(private, package)?;
    }
    purpose.finished(started, missing.is_empty());
    Ok(())
}

/// Copies packages out of directories that are only read, and leaves in `missing` what is in none.
///
/// What a file is called there says where to look and nothing else: its digest must be the one that the metadata gives.
fn take_from_others(
    builder: &Builder<'_>,
    tools: &Tools,
    missing: &mut Vec<&ResolvedPackage>,
) -> Result<(), Error> {
    let mut still_missing = Vec::new();
    let staging = builder.staging.directory();
    for package in missing.drain(..) {
        let name = package.file_name.as_str();
        let staged = format!("taken-{}", package.sha256);
        let failed = |source| Error::Prepare {
            path: tools.archives.path_of(name),
            source,
        };
        let mut is_taken = false;
        for directory in &tools.readable_archives {
            is_taken = copy_if_it_is(
                (directory, name),
                (staging, &staged),
                package.size_bytes,
                &package.sha256,
            )
            .map_err(failed)?;
            if is_taken {
                staging
                    .rename(&staged, &tools.archives, name)
                    .map_err(|error| failed(error.into()))?;
                break;
            }
        }
        if !is_taken {
            still_missing.push(package);
        }
    }
    *missing = still_missing;
    Ok(())
}

/// Links a package file out of the cache, or copies it where the cache is on another file system.
fn take(archives: &Directory, private: &Directory, package: &ResolvedPackage) -> Result<(), Error> {
    let name = &package.file_name;
    let taken = match archives.link(name, private, name) {
        Err(error) if error.errno() == Some(Errno::XDEV) => copy(archives, private, name),
        done => done.map_err(Into::into),
    };
    taken.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => missing_package(package),
        _ => Error::ReadPackage {
            path: archives.path_of(name),
            source,
        },
    })
}

fn copy(archives: &Directory, private: &Directory, name: &str) -> std::io::Result<()> {
    let mut from = archives.entry(name)?.open_file()?;
    let mut to = private.create_file(name, Mode::from_raw_mode(0o666))?;
    std::io::copy(&mut from, &mut to).map(drop)
}

fn missing_package(package: &ResolvedPackage) -> Error {
    Error::PackageMissing {
        file_name: package.file_name.clone(),
    }
}

fn unreadable(error: beneath::Error) -> Error {
    Error::ReadPackage {
        path: error.path().into(),
        source: error.into(),
    }
}

/// Returns the packages that are not in the cache, from which it removes files that are not what they should be.
fn missing<'a>(
    builder: &Builder<'_>,
    recipe: &Recipe,
    archives: &Directory,
    wanted: &[&'a ResolvedPackage],
) -> Result<Vec<&'a ResolvedPackage>, Error> {
    let mut missing = Vec::new();
    for package in wanted.iter().copied() {
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

/// Checks the digest of a package file, and removes it when it is wrong, so that the next build gets it anew.
fn verify(archives: &Directory, package: &ResolvedPackage) -> Result<(), Error> {
    let name = &package.file_name;
    let file = match archives.entry(name) {
        Err(error) if error.is_not_found() => return Err(missing_package(package)),
        file => file.map_err(unreadable)?,
    };
    if file.file_type() != FileType::RegularFile {
        return Err(missing_package(package));
    }
    let digest = sha256_of_file(file.open_file().map_err(unreadable)?);
    let digest = digest.map_err(|source| Error::ReadPackage {
        path: archives.path_of(name),
        source,
    })?;
    if digest != package.sha256 {
        archives.remove_file(name).map_err(unreadable)?;
        return Err(Error::PackageCorrupt {
            file_name: name.clone(),
        });
    }
    Ok(())
}

/// Returns the newest build time among `resolved`, in seconds since 1970.
pub(super) fn newest_build_time(
    archives: &Directory,
    resolved: &[ResolvedPackage],
) -> Result<u64, Error> {
    let mut newest = 0;
    for package in resolved {
        let name = &package.file_name;
        let file = archives.entry(name).and_then(|file| file.open_file());
        let mut header = [0; 68];
        file.map_err(unreadable)?
            .read_exact(&mut header)
            .map_err(|source| Error::ReadPackage {
                path: archives.path_of(name),
                source,
            })?;
        newest = newest.max(apt::build_time(&header).unwrap_or(0));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use rustix::fs::{FileType, Mode};

    use super::super::Error;
    use super::{ResolvedPackage, newest_build_time, take, verify};
    use crate::beneath::tests::World;
    use crate::digest::sha256_of_file;

    const NAME: &str = "x_1_amd64.deb";

    fn package(world: &World) -> ResolvedPackage {
        fs::write(world.path("sample"), "package").unwrap();
        let sample = world.tree.entry("sample").unwrap().open_file().unwrap();
        ResolvedPackage {
            file_name: NAME.into(),
            name: "x".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            size_bytes: 7,
            sha256: sha256_of_file(sample).unwrap(),
        }
    }

    #[test]
    fn a_package_is_a_regular_file_with_the_promised_digest() {
        let world = World::new();
        let package = package(&world);
        let private = world.tree.make_directory("private", Mode::RWXU).unwrap();
        fs::write(world.path(NAME), "package").unwrap();
        verify(&world.tree, &package).unwrap();
        take(&world.tree, &private, &package).unwrap();
        verify(&private, &package).unwrap();
        fs::write(world.path(NAME), "other").unwrap();
        let damaged = verify(&world.tree, &package);
        assert!(matches!(damaged, Err(Error::PackageCorrupt { .. })));
        assert_eq!(world.tree.file_type(NAME).unwrap(), None);
    }

    #[test]
    fn what_is_planted_in_a_packages_place_is_neither_read_nor_waited_for() {
        let world = World::new();
        let package = package(&world);
        fs::write(world.outside().join("canary"), "package").unwrap();
        let private = world.tree.make_directory("private", Mode::RWXU).unwrap();
        for planted in ["link", "fifo", "directory"] {
            match planted {
                "link" => {
                    let target = world.outside().join("canary");
                    fs::os::unix::fs::symlink(target, world.path(NAME)).unwrap();
                }
                "fifo" => {
                    let (fifo, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
                    world.tree.make_special(NAME, fifo, mode).unwrap();
                }
                _ => fs::create_dir(world.path(NAME)).unwrap(),
            }
            let missing = verify(&world.tree, &package);
            assert!(
                matches!(missing, Err(Error::PackageMissing { .. })),
                "{planted}"
            );
            let packages = std::slice::from_ref(&package);
            assert!(newest_build_time(&world.tree, packages).is_err());
            if take(&world.tree, &private, &package).is_ok() {
                assert!(verify(&private, &package).is_err(), "{planted}");
                private.remove(NAME).unwrap();
            }
            world.tree.remove(NAME).unwrap();
        }
        assert_eq!(
            fs::read(world.outside().join("canary")).unwrap(),
            b"package"
        );
    }
}
