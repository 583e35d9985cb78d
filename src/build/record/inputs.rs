//! What an image is made of: settings, files, the person's choices, and other images.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::sha::sha256;
use overcoat_sandbox::IdMapping;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::files::{self, Choice, Everything, Files};
use crate::build::local::LocalPackages;
use crate::build::script::{decides, is_private};
use crate::build::{Error, Options};
use crate::digest::hexadecimal;
use crate::recipe::settings::{self, Support};
use crate::recipe::{Recipe, TreeSource, Value};
use crate::tree::TreePath;

/// Settings whose values are kept as digests.
const SECRET: [&str; 3] = ["Credentials", "Environment", "RootPassword"];

/// Settings that say where something is kept, or when it is asked for again.
const PLACES: [&str; 5] = [
    "BuildDirectory",
    "CacheDirectory",
    "CacheOnly",
    "OutputDirectory",
    "PackageCacheDirectory",
];

/// Everything that an image is made of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Inputs {
    /// Settings and what else can be said in a word, by name.
    values: BTreeMap<String, String>,
    /// By setting, then by path.
    files: BTreeMap<String, BTreeMap<String, Files>>,
    /// Digests of the records of the images that it is made of.
    pub(super) images: BTreeMap<String, String>,
}

/// Looks at what the image of `recipe` is made of. Which of the `images` before are made again is a change.
pub(super) fn look(
    recipe: &Recipe,
    options: &Options<'_>,
    hidden: &BTreeSet<PathBuf>,
    images: &BTreeMap<PathBuf, (String, Option<String>)>,
    before: Option<&Inputs>,
) -> Result<(Inputs, Vec<Change>), Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut look = Look {
        images,
        before,
        now: since.map_or(0, |since| since.as_secs().cast_signed()),
        inputs: Inputs {
            values: values(recipe, options),
            ..Inputs::default()
        },
        changes: Vec::new(),
    };
    for path in &recipe.base_trees {
        look.at("BaseTrees", path, &Everything)?;
    }
    let trees = [
        ("SkeletonTrees", &recipe.skeleton_trees),
        ("ExtraTrees", &recipe.extra_trees),
        ("SandboxTrees", &recipe.package_sources.sandbox_trees),
    ];
    for (setting, trees) in trees {
        for TreeSource { source, .. } in trees {
            look.at(setting, source, &Everything)?;
        }
    }
    for path in LocalPackages::places(recipe) {
        look.at("PackageDirectories", path, &Everything)?;
    }
    for path in recipe.package_sources.files.values() {
        look.at("Packages", path, &Everything)?;
    }
    let keys = [
        ("VerityKey", &recipe.verity_key),
        ("VerityCertificate", &recipe.verity_certificate),
        ("FileContexts", &recipe.labels.file_contexts),
    ];
    for (setting, path) in keys {
        if let Some(path) = path {
            look.at(setting, path, &Everything)?;
        }
    }
    for sourced in recipe.values("RepartDirectories") {
        if let Value::Path(path) = &sourced.value {
            look.at("RepartDirectories", path, &Everything)?;
        }
    }
    look.scripts(recipe, hidden)?;
    Ok((look.inputs, look.changes))
}

/// Returns what differs between two builds; no time in an image is newer than `build_time`.
pub(super) fn changes(before: &Inputs, after: &Inputs, build_time: i64) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in union(&before.values, &after.values) {
        let (before, after) = (before.values.get(name), after.values.get(name));
        if before != after {
            changes.push(Change::Value {
                name: name.clone(),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
    let nothing = BTreeMap::new();
    for setting in union(&before.files, &after.files) {
        // Scripts see times that no image has.
        let newest = match setting.as_str() {
            "BaseTrees" | "SkeletonTrees" | "ExtraTrees" => build_time,
            _ => i64::MIN,
        };
        let before = before.files.get(setting).unwrap_or(&nothing);
        let after = after.files.get(setting).unwrap_or(&nothing);
        for path in union(before, after) {
            let between = files::changed(before.get(path), after.get(path), newest);
            changes.extend(between.map(|(below, kind)| Change::File {
                setting: setting.clone(),
                path: Path::new(path).join(below),
                kind,
            }));
        }
    }
    for name in union(&before.images, &after.images) {
        let made_again = after.images.get(name).is_some_and(String::is_empty);
        if before.images.get(name) != after.images.get(name) && !made_again {
            changes.push(Change::Image { name: name.clone() });
        }
    }
    changes
}

/// Returns the names that one of two maps has.
fn union<'a, K: Ord, V>(first: &'a BTreeMap<K, V>, second: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    first.keys().chain(second.keys()).collect()
}

/// Returns what can be said in a word.
fn values(recipe: &Recipe, options: &Options<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for name in recipe.settings().filter(|name| counts(name, recipe)) {
        let words = recipe.values(name).iter();
        let words: Vec<_> = words.map(|sourced| sourced.value.to_string()).collect();
        values.insert(name.to_owned(), words.join("\n"));
    }
    let environment = recipe.environment.iter();
    let environment = environment.map(|(name, value)| format!("{name}={value}\n"));
    values.insert("Environment".to_owned(), environment.collect());
    for name in SECRET {
        if let Some(value) = values.get_mut(name) {
            *value = hexadecimal(&sha256(value.as_bytes()));
        }
    }
    let Options {
        grants,
        ids,
        arguments,
        ..
    } = options;
    let others = [
        // Another program may build something else of the same.
        ("overcoat", program()),
        (
            "the time of the build",
            format!("{:?}", recipe.source_date_epoch),
        ),
        ("profiles", recipe.scripts.profiles.join(" ")),
        ("arguments", arguments.join("\n")),
        ("what is allowed", format!("{grants:?}")),
        (
            "ids",
            match ids {
                IdMapping::Single => "one".to_owned(),
                IdMapping::Range => "a range".to_owned(),
            },
        ),
        (
            "the filter of system calls",
            format!("{:?}", options.seccomp_profile),
        ),
        (
            "the host's repositories",
            format!("{:?}", options.host_repositories),
        ),
    ];
    values.extend(others.map(|(name, value)| (name.to_owned(), value)));
    values
}

/// Tells whether a setting can change an image.
fn counts(name: &str, recipe: &Recipe) -> bool {
    let is_idle = || {
        let setting = settings::all().find(|setting| setting.destination == name);
        setting.is_some_and(|setting| matches!(setting.support, Support::NoEffect(_)))
    };
    // Scripts are told all settings.
    !PLACES.contains(&name) && (!recipe.scripts.is_empty() || !is_idle())
}

/// Returns what tells this program from another; it is of no interest what that is.
fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let status = std::env::current_exe().and_then(fs_err::metadata);
    let number = status.map_or((0, 0), |status| (status.len(), status.mtime()));
    hexadecimal(&sha256(format!("{version} {number:?}").as_bytes()))
}

struct Look<'a> {
    images: &'a BTreeMap<PathBuf, (String, Option<String>)>,
    before: Option<&'a Inputs>,
    /// In seconds since 1970.
    now: i64,
    inputs: Inputs,
    changes: Vec<Change>,
}

impl Look<'_> {
    fn at(&mut self, setting: &str, path: &Path, choice: &dyn Choice) -> Result<(), Error> {
        if let Some((name, digest)) = self.images.get(path) {
            match digest {
                Some(digest) => {
                    self.inputs.images.insert(name.clone(), digest.clone());
                }
                None => {
                    self.inputs.images.insert(name.clone(), String::new());
                    self.changes.push(Change::Image { name: name.clone() });
                }
            }
            return Ok(());
        }
        let shown = files::text(path.as_os_str().as_bytes());
        let before = self
            .before
            .and_then(|before| before.files.get(setting)?.get(&shown));
        let found = files::look(path, choice, before, self.now).map_err(|source| Error::Look {
            setting: setting.to_owned(),
            source,
        })?;
        let of_setting = self.inputs.files.entry(setting.to_owned()).or_default();
        of_setting.insert(shown, found);
        Ok(())
    }

    fn scripts(&mut self, recipe: &Recipe, hidden: &BTreeSet<PathBuf>) -> Result<(), Error> {
        let scripts = &recipe.scripts;
        if scripts.is_empty() {
            return Ok(());
        }
        let kinds = [
            ("SyncScripts", &scripts.sync),
            ("PrepareScripts", &scripts.prepare),
            ("BuildScripts", &scripts.build),
            ("PostInstallationScripts", &scripts.postinst),
            ("FinalizeScripts", &scripts.finalize),
            ("PostOutputScripts", &scripts.postoutput),
        ];
        for (setting, scripts) in kinds {
            for script in scripts {
                self.at(setting, &script.path, &Everything)?;
            }
        }
        let real = |path: &PathBuf| fs_err::canonicalize(path).ok();
        let hidden: BTreeSet<PathBuf> = { scripts.hidden.iter() }
            .chain(hidden)
            .filter_map(real)
            .collect();
        for TreeSource { source, .. } in &scripts.sources {
            let choice = Shown {
                root: real(source).unwrap_or_else(|| source.clone()),
                hidden: &hidden,
            };
            self.at("BuildSources", source, &choice)?;
        }
        Ok(())
    }
}

/// What scripts see of their sources.
struct Shown<'a> {
    root: PathBuf,
    hidden: &'a BTreeSet<PathBuf>,
}

impl Choice for Shown<'_> {
    fn is_left_out(&self, path: &TreePath) -> bool {
        is_private(path) || self.hidden.contains(&self.root.join(path.as_path()))
    }

    fn counts(&self, path: &TreePath) -> bool {
        decides(path)
    }
}
