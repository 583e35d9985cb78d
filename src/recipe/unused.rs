//! Files beside a recipe that nobody reads, though they look as if somebody should, and scripts that nobody can run.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::RecipeError;
use super::findings::Findings;
use super::grants::Access;
use super::image::{Image, Surroundings};
use super::nearest::nearest;
use super::origin::Origin;
use super::settings;
use super::values::{Kind, Value};

/// Names beside a `mkosi.conf` that no setting has.
const OTHER_NAMES: [&str; 12] = [
    "mkosi.conf",
    "mkosi.conf.d",
    "mkosi.local",
    "mkosi.local.conf",
    "mkosi.profiles",
    "mkosi.images",
    "mkosi.tools.conf",
    "mkosi.initrd.conf",
    "mkosi.bump",
    "mkosi.md",
    "mkosi.pkgmngr",
    "mkosi.pkgmngr.tar",
];

/// Directories of which every entry is read.
const DIRECTORIES: [&str; 3] = ["mkosi.conf.d", "mkosi.images", "mkosi.profiles"];

/// Warns of files in the directories of the images that are not read, and of scripts that are not executable.
pub(super) fn check(images: &[Image], around: &Surroundings, findings: &mut Findings) {
    let directories: BTreeSet<&Path> = images
        .iter()
        .flat_map(|image| image.directories.iter().map(PathBuf::as_path))
        .collect();
    for directory in directories {
        for name in names(directory) {
            if DIRECTORIES.contains(&name.as_str())
                && is_permitted(&directory.join(&name), images, around)
            {
                for entry in names(&directory.join(&name)) {
                    unused_entry(&directory.join(&name), &entry, around, findings);
                }
            }
            let path = directory.join(&name);
            if name.starts_with("mkosi.") && !is_known(&name) && !is_named(&path, images) {
                findings.warn(unused(&path, &name, around));
            }
        }
    }
    for image in images {
        scripts(image, around, findings);
    }
}

/// Returns whether an image may know what is at a path: messages must not tell what others have elsewhere.
fn is_permitted(path: &Path, images: &[Image], around: &Surroundings) -> bool {
    let real = around.real.of_future(path);
    images
        .iter()
        .any(|image| image.permits(&real, Access::Read, around))
}

/// Returns the names in a directory, in their order; those that are not UTF-8 are none of the language's.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn known_names() -> impl Iterator<Item = &'static str> {
    settings::all()
        .flat_map(|setting| setting.magic.iter().map(|magic| magic.name()))
        .chain(OTHER_NAMES)
}

fn is_known(name: &str) -> bool {
    known_names().any(|known| known == name)
}

/// Returns whether a value or a file that is read is in this one.
fn is_named(path: &Path, images: &[Image]) -> bool {
    let text = path.to_string_lossy();
    images.iter().any(|image| {
        image.files.iter().any(|file| file.starts_with(path))
            || settings::all().any(|setting| {
                let values = image.layers.get(setting).unwrap_or_default();
                let mut words = values.iter().map(|sourced| sourced.value.to_string());
                words.any(|word| word.contains(text.as_ref()))
            })
    })
}

fn unused(path: &Path, name: &str, around: &Surroundings) -> RecipeError {
    let origin = Origin::Magic {
        path: around.shown(path),
    };
    if is_backup(name) {
        return RecipeError::BackupFile { origin };
    }
    let nearest = nearest(name, known_names());
    RecipeError::UnusedFile { origin, nearest }
}

fn unused_entry(directory: &Path, name: &str, around: &Surroundings, findings: &mut Findings) {
    let path = directory.join(name);
    let is_read = name.ends_with(".conf") || path.is_dir();
    // What is hidden, or explains something, is not meant to be read.
    if is_read || name.starts_with('.') || name.starts_with("README") {
        return;
    }
    let origin = Origin::Magic {
        path: around.shown(&path),
    };
    findings.warn(match is_backup(name) {
        true => RecipeError::BackupFile { origin },
        false => RecipeError::UnusedEntry { origin },
    });
}

/// Returns whether a name is one that editors and package managers give to copies.
fn is_backup(name: &str) -> bool {
    const ENDINGS: [&str; 10] = [
        "~",
        ".bak",
        ".orig",
        ".rej",
        ".swp",
        ".tmp",
        ".dpkg-old",
        ".dpkg-new",
        ".rpmsave",
        ".rpmnew",
    ];
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn scripts(image: &Image, around: &Surroundings, findings: &mut Findings) {
    let made = image.text("MakeScriptsExecutable", around);
    if made.as_deref() == Some("yes") {
        return;
    }
    for setting in settings::all().filter(|setting| setting.kind == Kind::Scripts) {
        for script in image.layers.get(setting).unwrap_or_default() {
            let Value::Path(path) = script.value else {
                continue;
            };
            if is_plain_file(&path) {
                findings.warn(RecipeError::NotExecutable {
                    origin: script.origin,
                    path: around.shown(&path),
                });
            }
        }
    }
}

/// Returns whether there is a file that nobody can run.
fn is_plain_file(path: &Path) -> bool {
    fs_err::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 == 0)
}
