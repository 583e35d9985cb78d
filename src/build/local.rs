//! Packages of the recipe's own, as a repository that apt prefers to all others.
//!
//! Their index is written here and laid among the metadata of the other repositories, so that no step fetches it and
//! none sees the directories. A package that apt chooses is copied into the step that installs it, and has to have the
//! digest that it had when the index was written. Nobody signed these packages: they are the recipe's own words, and
//! this one source alone is trusted without a signature.

use std::io::{Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use super::Error;
use crate::beneath::{self, Directory};
use crate::digest::sha256_of_file;
use crate::packages::apt::{self, ResolvedPackage, Stanza, Trust};
use crate::packages::deb::{self, Control};
use crate::recipe::Recipe;
use crate::store::copy_if_it_is;
use crate::tree::TreePath;

/// The ends of the names of package files; the latter are those of debug symbols.
const SUFFIXES: [&[u8]; 2] = [b".deb", b".ddeb"];

/// The recipe's own packages.
#[derive(Debug, Default)]
pub(super) struct LocalPackages {
    /// Each name in a package cache occurs once.
    packages: Vec<LocalPackage>,
}

#[derive(Debug)]
struct LocalPackage {
    /// Where its file was found.
    directory: Arc<Directory>,
    name: Vec<u8>,
    control: Control,
    size_bytes: u64,
    sha256: String,
}

impl LocalPackages {
    /// Finds the packages in the directories that `recipe` names, those that it names itself, and those that build
    /// scripts left in `built`.
    pub(super) fn find(recipe: &Recipe, built: Option<&Path>) -> Result<Self, Error> {
        let mut found = Self::default();
        for path in Self::directories(recipe).chain(built) {
            let directory = Arc::new(Directory::open(path).map_err(unreadable)?);
            let mut names = directory.names().map_err(unreadable)?;
            names.retain(|name| SUFFIXES.iter().any(|suffix| name.ends_with(suffix)));
            names.sort();
            for name in names {
                found.add(LocalPackage::read(&directory, name)?);
            }
        }
        for path in recipe.package_sources.files.values() {
            found.add(LocalPackage::at(path)?);
        }
        Ok(found)
    }

    fn directories(recipe: &Recipe) -> impl Iterator<Item = &Path> {
        let sources = &recipe.package_sources;
        let directories = sources
            .directories
            .iter()
            .chain(&sources.volatile_directories);
        directories.map(PathBuf::as_path)
    }

    /// Returns the directories and files in which packages of `recipe` are looked for.
    pub(super) fn places(recipe: &Recipe) -> impl Iterator<Item = &Path> {
        let files = recipe.package_sources.files.values();
        Self::directories(recipe).chain(files.map(PathBuf::as_path))
    }

    /// Adds a package; one of the same name and version that was found before makes way.
    fn add(&mut self, package: LocalPackage) {
        let file_name = package.control.file_name();
        self.packages
            .retain(|other| other.control.file_name() != file_name);
        self.packages.push(package);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Returns the repository's line for apt.
    pub(super) fn stanza() -> Stanza {
        Stanza {
            uri: apt::LOCAL_REPOSITORY.into(),
            suite: "./".into(),
            components: Vec::new(),
            trust: Trust::Unchecked,
        }
    }

    /// Returns the text of the repository's index.
    pub(super) fn index(&self) -> String {
        let entries = self.packages.iter();
        entries
            .map(|package| {
                package
                    .control
                    .index_entry(package.size_bytes, &package.sha256)
            })
            .collect()
    }

    /// Tells whether a package that apt chose is one of these.
    pub(super) fn has(&self, chosen: &ResolvedPackage) -> bool {
        self.of(chosen).is_some()
    }

    fn of(&self, chosen: &ResolvedPackage) -> Option<&LocalPackage> {
        self.packages.iter().find(|package| {
            package.control.file_name() == chosen.file_name && package.sha256 == chosen.sha256
        })
    }

    /// Copies a package that apt chose, and that is one of these, into `private`.
    pub(super) fn copy(&self, chosen: &ResolvedPackage, private: &Directory) -> Result<(), Error> {
        let package = self.of(chosen).expect("the caller has asked");
        let name = String::from_utf8_lossy(&package.name);
        let copied = copy_if_it_is(
            (&package.directory, &name),
            (private, &chosen.file_name),
            package.size_bytes,
            &package.sha256,
        );
        match copied {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::LocalPackageChanged {
                path: package.path(),
            }),
            Err(source) => Err(Error::ReadPackage {
                path: package.path(),
                source,
            }),
        }
    }

    /// Returns `requested` in apt's words: a package that is named by its file is that one and no other.
    pub(super) fn in_apts_words(
        recipe: &Recipe,
        requested: &[String],
    ) -> Result<Vec<String>, Error> {
        let word = |text: &String| match recipe.package_sources.files.get(text) {
            Some(path) => Ok(LocalPackage::at(path)?.control.exact_name()),
            None => Ok(text.clone()),
        };
        requested.iter().map(word).collect()
    }
}

impl LocalPackage {
    fn at(path: &Path) -> Result<Self, Error> {
        let missing = || Error::ReadPackage {
            path: path.into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        // The person named it, or the recipe one that was found inside its own directory.
        let real = fs_err::canonicalize(path).map_err(|_| missing())?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(missing());
        };
        let directory = Directory::open(parent).map_err(unreadable)?;
        Self::read(&Arc::new(directory), name.as_bytes().to_owned())
    }

    fn read(directory: &Arc<Directory>, name: Vec<u8>) -> Result<Self, Error> {
        let path = directory.path_of(&name);
        let failed = |source| Error::ReadPackage {
            path: path.clone(),
            source,
        };
        if directory.file_type(&name).map_err(unreadable)? != Some(FileType::RegularFile) {
            return Err(Error::LocalPackageNotFile { path });
        }
        let tree_path = TreePath::new(&name).expect("a name in a directory is a path below it");
        let mut file = directory.file(&tree_path).map_err(unreadable)?;
        let control =
            deb::read(std::io::BufReader::new(&file)).map_err(|source| Error::LocalPackage {
                path: path.clone(),
                source,
            })?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let size_bytes = file.metadata().map_err(failed)?.len();
        let sha256 = sha256_of_file(file).map_err(failed)?;
        Ok(Self {
            directory: Arc::clone(directory),
            name,
            control,
            size_bytes,
            sha256,
        })
    }

    fn path(&self) -> PathBuf {
        self.directory.path_of(&self.name)
    }
}

fn unreadable(error: beneath::Error) -> Error {
    Error::ReadPackage {
        path: error.path().into(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use fs_err as fs;

    use super::super::Error;
    use super::super::fixture::recipe_in;
    use super::{LocalPackages, ResolvedPackage};
    use crate::beneath::Directory;
    use crate::packages::deb::tests::package_of;

    const SETTINGS: &str = "[Output]\nFormat=directory\n[Content]\nPackages=./named.deb\n  other\n\
                            PackageDirectories=first\n  second\n";

    fn control(name: &str, more: &str) -> Vec<u8> {
        let text = format!("Package: {name}\nVersion: 1\nArchitecture: all\nDescription: {more}\n");
        package_of(&text)
    }

    fn put(directory: &Path, files: &[(&str, Vec<u8>)]) {
        for (name, bytes) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    fn lines(local: &LocalPackages, field: &str) -> Vec<String> {
        let index = local.index();
        let lines = index.lines().filter_map(|line| line.strip_prefix(field));
        lines.map(str::to_owned).collect()
    }

    /// Returns a recipe whose packages are all there.
    fn whole() -> (tempfile::TempDir, crate::recipe::Recipe) {
        let directory = tempfile::tempdir().unwrap();
        put(
            directory.path(),
            &[
                ("named.deb", control("named", "x")),
                ("first/b.deb", control("b", "first")),
                ("first/a.deb", control("a", "x")),
                ("first/notes.txt", b"no package".to_vec()),
                ("second/b-again.ddeb", control("b", "second")),
            ],
        );
        let recipe = recipe_in(directory.path(), SETTINGS);
        (directory, recipe)
    }

    #[test]
    fn packages_of_later_directories_stand_for_earlier_ones() {
        let (_directory, recipe) = whole();
        let local = LocalPackages::find(&recipe, None).unwrap();
        assert_eq!(lines(&local, "Package: "), ["a", "b", "named"]);
        assert_eq!(lines(&local, "Description: "), ["x", "second", "x"]);
        let words = LocalPackages::in_apts_words(&recipe, &recipe.packages).unwrap();
        assert_eq!(words, ["named:all=1", "other"]);
    }

    #[test]
    fn what_scripts_built_counts_most() {
        let (directory, recipe) = whole();
        put(directory.path(), &[("built/b.deb", control("b", "built"))]);
        let local = LocalPackages::find(&recipe, Some(&directory.path().join("built"))).unwrap();
        assert_eq!(lines(&local, "Description: "), ["x", "built", "x"]);
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_not_installed() {
        let (directory, recipe) = whole();
        let local = LocalPackages::find(&recipe, None).unwrap();
        let chosen = ResolvedPackage {
            file_name: "a_1_all.deb".into(),
            name: "a".into(),
            version: "1".into(),
            architecture: "all".into(),
            size_bytes: 0,
            sha256: lines(&local, "SHA256: ")[0].clone(),
        };
        assert!(local.has(&chosen));
        let elsewhere = ResolvedPackage {
            sha256: "0".repeat(64),
            ..chosen.clone()
        };
        assert!(!local.has(&elsewhere));
        fs::create_dir(directory.path().join("private")).unwrap();
        let private = Directory::open(&directory.path().join("private")).unwrap();
        local.copy(&chosen, &private).unwrap();
        private.remove("a_1_all.deb").unwrap();
        let mut changed = control("a", "x");
        *changed.last_mut().unwrap() ^= 1;
        put(directory.path(), &[("first/a.deb", changed)]);
        let failed = local.copy(&chosen, &private);
        assert!(matches!(failed, Err(Error::LocalPackageChanged { .. })));
        assert!(private.names().unwrap().is_empty());
    }

    #[test]
    fn links_and_other_files_are_no_packages() {
        let (directory, recipe) = whole();
        let target = directory.path().join("named.deb");
        let link = directory.path().join("first/link.deb");
        symlink(target, &link).unwrap();
        let failed = LocalPackages::find(&recipe, None);
        assert!(matches!(failed, Err(Error::LocalPackageNotFile { .. })));
        fs::remove_file(&link).unwrap();
        put(directory.path(), &[("first/text.deb", b"text".to_vec())]);
        let failed = LocalPackages::find(&recipe, None);
        assert!(matches!(failed, Err(Error::LocalPackage { .. })));
    }
}
