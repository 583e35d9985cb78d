//! Sandbox trees: the recipe's own configuration for the package manager, beside ours.
//!
//! Of such a tree is used what can be understood and run nothing: lists of repositories and options of apt, which are
//! written anew, preferences, and keys. All of it is a stranger's word: repositories are reached at public addresses
//! only, and packages count as unsigned, whoever signed them, so that nothing of theirs is found by other builds.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, Event, Observer, private};
use crate::beneath::Directory;
use crate::capture;
use crate::packages::apt::{self, Form, Listed, Problem};
use crate::recipe::{Origin, Recipe, TreeSource, Value};
use crate::tree::{EntryKind, TreePath};

/// What the sandbox trees of a recipe hold for apt.
#[derive(Clone, Debug, Default)]
pub(super) struct SandboxTrees {
    /// Repositories besides those of the recipe's settings.
    pub(super) repositories: Vec<Listed>,
    /// Whether they stand in the place of those of the settings.
    pub(super) replaces_mirrors: bool,
    /// Options, for the start of apt's configuration: ours count more.
    pub(super) options: String,
    /// Other files, by their paths inside.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// Where the keys are, inside, that the lists name by another path.
    keyrings: BTreeMap<String, String>,
    unused: Vec<TreePath>,
}

/// The list that mkosi would write itself, and that one of this name stands in for.
const MIRRORS_LIST: &str = "etc/apt/sources.list.d/mkosi.sources";
/// Where keys are, inside, that a recipe has below `/usr`, which is the host's.
const KEYRINGS: &str = "/etc/apt/overcoat-keyrings";
/// Where the host's own keys are.
const HOST_KEYRINGS: &str = "/usr/share/keyrings/";
/// The largest file that is read: the keys of a whole distribution are a tenth of it.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Fails when the sandbox trees of `recipe` hold what must not be used, and tells what of them is of no use here.
pub(super) fn check(recipe: &Recipe, observer: &dyn Observer) -> Result<(), Error> {
    let found = SandboxTrees::read(recipe)?;
    let Some(first) = found.unused.first() else {
        return Ok(());
    };
    let others = match found.unused.len() - 1 {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let text = format!(
        "`/{first}`{others} of a sandbox tree is not used: only apt's options, lists, preferences and keys are"
    );
    observer.event(&Event::Warning {
        image: &recipe.name,
        text: &text,
    });
    Ok(())
}

impl SandboxTrees {
    /// Reads the trees of `recipe`.
    pub(super) fn read(recipe: &Recipe) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for tree in &recipe.package_sources.sandbox_trees {
            add_files(recipe, tree, &mut files)?;
        }
        let mut found = Self::default();
        for (path, content) in files {
            let is_used = match content {
                Some(content) => found.add(&path, content)?,
                None => false,
            };
            if !is_used {
                found.unused.push(path);
            }
        }
        found.check_keyrings()?;
        Ok(found)
    }

    /// Returns the text of the lists.
    pub(super) fn sources(&self) -> String {
        let keyring = |path: &str| match self.keyrings.get(path) {
            Some(inside) => inside.clone(),
            None => path.to_owned(),
        };
        let listed = self.repositories.iter();
        listed.map(|listed| listed.render(keyring)).collect()
    }

    /// Returns the addresses of the lists' repositories.
    pub(super) fn uris(&self) -> impl Iterator<Item = &str> {
        let uris = self.repositories.iter().flat_map(|listed| &listed.uris);
        uris.map(String::as_str)
    }

    /// Takes a file, and tells whether it is of use.
    fn add(&mut self, path: &TreePath, content: Vec<u8>) -> Result<bool, Error> {
        let text = path.to_string();
        let (directory, name) = text.rsplit_once('/').unwrap_or(("", &text));
        let refused = |source| Error::SandboxTreeFile {
            path: path.to_string(),
            source,
        };
        match (directory, name) {
            ("etc/apt", "sources.list") => {
                self.list(&content, Form::Lines).map_err(refused)?;
            }
            ("etc/apt/sources.list.d", name) if name.ends_with(".list") => {
                self.list(&content, Form::Lines).map_err(refused)?;
            }
            ("etc/apt/sources.list.d", name) if name.ends_with(".sources") => {
                self.replaces_mirrors |= text == MIRRORS_LIST;
                self.list(&content, Form::Deb822).map_err(refused)?;
            }
            ("etc/apt", "apt.conf") | ("etc/apt/apt.conf.d", _) => {
                let options = utf8(&content).and_then(apt::permitted_options);
                self.options += &options.map_err(refused)?;
            }
            ("etc/apt", "preferences")
            | ("etc/apt/preferences.d" | "etc/apt/trusted.gpg.d" | "etc/apt/keyrings", _) => {
                self.files
                    .push((Path::new("/").join(path.as_path()), content));
                self.keyrings.insert(format!("/{text}"), format!("/{text}"));
            }
            ("usr/share/keyrings", name) => {
                let inside = format!("{KEYRINGS}/{name}");
                self.files.push((PathBuf::from(&inside), content));
                self.keyrings.insert(format!("/{text}"), inside);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn list(&mut self, content: &[u8], form: Form) -> Result<(), Problem> {
        let listed = apt::parse_listed(utf8(content)?, form)?;
        self.repositories.extend(listed);
        Ok(())
    }

    /// Fails when a list names keys that are neither in the trees nor among the host's.
    fn check_keyrings(&self) -> Result<(), Error> {
        let named = self.repositories.iter().flat_map(|listed| &listed.keyrings);
        for path in named {
            let is_of_host = path
                .strip_prefix(HOST_KEYRINGS)
                .is_some_and(|name| !name.contains('/') && Path::new(path).is_file());
            if !self.keyrings.contains_key(path) && !is_of_host {
                return Err(Error::SandboxKeyringMissing { path: path.into() });
            }
        }
        Ok(())
    }
}

/// Tells whether a person, and not the recipe, named all sandbox trees.
pub(super) fn are_personal(recipe: &Recipe) -> bool {
    let values = recipe.values("SandboxTrees");
    values.iter().all(|sourced| sourced.origin.is_personal())
}

/// Returns where the sandbox trees were named, for messages.
pub(super) fn origin(recipe: &Recipe) -> String {
    let origin = recipe.origin("SandboxTrees").map(Origin::to_string);
    origin.unwrap_or_else(|| "`SandboxTrees=`".to_owned())
}

fn add_files(
    recipe: &Recipe,
    source: &TreeSource,
    files: &mut BTreeMap<TreePath, Option<Vec<u8>>>,
) -> Result<(), Error> {
    let origin = recipe.origin_of("SandboxTrees", &Value::Tree(source.clone()).to_string());
    // The person named it, or the recipe one that was found inside its own directory. What is checked is what is read.
    let Ok(directory) = Directory::open(&source.source) else {
        return Err(Error::SandboxTreeNotDirectory {
            path: source.source.clone(),
            origin,
        });
    };
    private::check(recipe, &directory, &origin)?;
    let tree = capture::merge_directory(directory)?;
    let target = TreePath::new(source.target().as_os_str().as_bytes())
        .map_err(|error| Error::ExtraTreeTarget { source: error })?;
    for (path, entry) in tree.iter() {
        let place = path
            .components()
            .try_fold(target.clone(), |path, name| path.join(name))
            .expect("components of a tree path are names");
        let content = match &entry.kind {
            EntryKind::Directory => continue,
            EntryKind::Regular(content) if content.size_bytes() <= FILE_LIMIT_BYTES => content,
            // It is told that it is not used.
            _ => {
                files.insert(place, None);
                continue;
            }
        };
        files.insert(place, Some(content.read_all()?));
    }
    Ok(())
}

fn utf8(content: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(content).map_err(|_| Problem {
        line: 1,
        text: "expected UTF-8".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::super::Error;
    use super::super::fixture::recipe_in;
    use super::SandboxTrees;

    const SETTINGS: &str = "[Output]\nFormat=directory\n";

    fn read(files: &[(&str, &str)]) -> Result<SandboxTrees, Error> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join("mkosi.sandbox").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        SandboxTrees::read(&recipe_in(directory.path(), SETTINGS))
    }

    #[test]
    fn lists_options_keys_and_preferences_are_used_and_nothing_else() {
        let found = read(&[
            (
                "etc/apt/sources.list.d/x.list",
                "deb [signed-by=/usr/share/keyrings/x.gpg] http://m sid main\n",
            ),
            ("etc/apt/sources.list.d/x.list.save", "not a list"),
            ("etc/apt/apt.conf.d/10x", "Acquire::Retries 5;"),
            ("etc/apt/preferences.d/x", "Package: *\n"),
            ("etc/hosts", "127.0.0.1 elsewhere\n"),
            ("usr/share/keyrings/x.gpg", "a key"),
        ])
        .unwrap();
        assert_eq!(
            found.sources(),
            "Types: deb\nURIs: http://m\nSuites: sid\nComponents: main\nSigned-By: /etc/apt/overcoat-keyrings/x.gpg\n\n"
        );
        assert_eq!(found.options, "Acquire::Retries \"5\";\n");
        let files: Vec<_> = found
            .files
            .iter()
            .map(|(path, _)| path.to_str().unwrap())
            .collect();
        assert_eq!(
            files,
            [
                "/etc/apt/preferences.d/x",
                "/etc/apt/overcoat-keyrings/x.gpg"
            ]
        );
        let unused: Vec<_> = found.unused.iter().map(ToString::to_string).collect();
        assert_eq!(unused, ["etc/apt/sources.list.d/x.list.save", "etc/hosts"]);
        assert!(!found.replaces_mirrors);
    }

    #[test]
    fn a_list_of_mkosis_name_replaces_the_mirrors() {
        let list = "Types: deb\nURIs: http://m\nSuites: sid\nComponents: main\n";
        let found = read(&[("etc/apt/sources.list.d/mkosi.sources", list)]).unwrap();
        assert!(found.replaces_mirrors);
    }

    #[test]
    fn hooks_and_keys_of_elsewhere_are_refused() {
        let hook = "DPkg::Post-Invoke { \"touch /x\"; };";
        match read(&[("etc/apt/apt.conf.d/x", hook)]) {
            Err(Error::SandboxTreeFile { path, .. }) => assert_eq!(path, "etc/apt/apt.conf.d/x"),
            other => panic!("{other:?}"),
        }
        for path in [
            "/etc/shadow",
            "/usr/share/keyrings/../../../etc/shadow",
            "/etc/apt/keyrings/x",
        ] {
            let list = format!("deb [signed-by={path}] http://m sid main\n");
            let found = read(&[("etc/apt/sources.list", &list)]);
            assert!(
                matches!(found, Err(Error::SandboxKeyringMissing { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let lists = directory.path().join("mkosi.sandbox/etc/apt/preferences.d");
        fs::create_dir_all(&lists).unwrap();
        fs::os::unix::fs::symlink("/etc/passwd", lists.join("x")).unwrap();
        let found = SandboxTrees::read(&recipe_in(directory.path(), SETTINGS)).unwrap();
        assert_eq!(found.files, []);
        assert_eq!(found.unused.len(), 1);
    }
}
