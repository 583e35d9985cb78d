//! Every setting, value by value.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::refused::REFUSED;
use super::values::VALUES;
use super::*;
use crate::recipe::settings::{Scope, Section, Setting};
use crate::recipe::{
    Architecture, Distribution, HostFacts, Invocation, Kind, PathRule, Rule, load,
};

/// A directory with what the values name.
struct Recipe(tempfile::TempDir);

impl Recipe {
    fn new() -> Self {
        let recipe = Self(tempfile::tempdir().unwrap());
        for (path, text, mode) in [
            ("f", "", 0o755),
            ("s.sh", "", 0o755),
            ("s2.sh", "", 0o755),
            ("sub/x", "", 0o755),
            ("sub/y", "", 0o755),
            ("sub/deep/z", "", 0o755),
            ("open", "", 0o644),
            ("k", "", 0o600),
            (
                "uki.conf",
                "[UKIProfile]\nProfile=ID=x\n  TITLE=a b\nCmdline=a b,c\n",
                0o644,
            ),
            ("inc.conf", "[Content]\nPackages=inc\n", 0o644),
            ("incdir/mkosi.conf", "[Content]\nPackages=incdir\n", 0o644),
        ] {
            let path = recipe.0.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
            fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        symlink("sub", recipe.0.path().join("link")).unwrap();
        recipe
    }

    /// Returns what the main image is, or the first mistake without its place.
    fn read(&self, setting: &Setting, value: &str) -> Result<serde_json::Value, String> {
        let text = format!(
            "[Distribution]\nDistribution=debian\nRelease=trixie\n[{}]\n{}={value}\n",
            setting.section, setting.name
        );
        fs_err::write(self.0.path().join("mkosi.conf"), text).unwrap();
        let project = load(&Invocation {
            directory: self.0.path().to_owned(),
            overrides: Vec::new(),
            environment: BTreeMap::new(),
            host: HostFacts {
                distribution: Some(Distribution::Debian),
                release: Some("bookworm".to_owned()),
                architecture: Architecture::X86_64,
                systemd_version: None,
            },
            grants: Default::default(),
            programs: &crate::build::SandboxedPrograms::STRICT,
        })
        .map_err(|errors| {
            let text = errors.errors()[0].to_string();
            let (_, message) = text.split_once(": ").unwrap();
            message.to_owned()
        })?;
        let json: serde_json::Value = serde_json::from_str(&encoding::json(&project)).unwrap();
        // Before the main image may be the initrd that it is to start with.
        Ok(json["Images"].as_array().unwrap().last().unwrap().clone())
    }

    fn directory(&self) -> String {
        let directory = fs_err::canonicalize(self.0.path()).unwrap();
        directory.display().to_string()
    }
}

/// Returns the key that has the values of a setting.
fn shown<'j>(image: &'j serde_json::Value, setting: &Setting) -> &'j serde_json::Value {
    if setting.section == Section::Include {
        return &image["Files"];
    }
    match setting.section == Section::Overcoat || setting.scope == Scope::Tools {
        true => &image["Overcoat"][setting.destination],
        false => &image[setting.destination],
    }
}

#[test]
fn what_nobody_set_is_what_mkosi_takes() {
    let recipe = Recipe::new();
    let seed = settings::named("Seed").unwrap();
    let mut image = recipe
        .read(seed, "0e9a6fe0-9b0f-4a5b-8e7c-b1b5c9d3a6f1")
        .unwrap();
    let image = image.as_object_mut().unwrap();
    image.remove("Overcoat");
    // The host decides which one it is.
    image.remove("ProxyPeerCertificate");
    let directory = recipe.directory();
    let (_, name) = directory.rsplit_once('/').unwrap();
    let expected = include_str!("defaults.json")
        .replace("<recipe>", &directory)
        .replace("<name>", name);
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(serde_json::Value::Object(image.clone()), expected);
}

#[test]
fn values_are_encoded_as_mkosi_does() {
    let recipe = Recipe::new();
    for (name, text, expected) in VALUES.iter().copied().flatten() {
        let setting = settings::named(name).unwrap();
        let image = recipe
            .read(setting, text)
            .unwrap_or_else(|error| panic!("{name}={text}: {error}"));
        let expected = expected.replace("<recipe>", &recipe.directory());
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(*shown(&image, setting), expected, "{name}={text}");
    }
}

#[test]
fn other_text_is_refused() {
    let recipe = Recipe::new();
    for (name, text, message) in REFUSED.iter().copied().flatten() {
        let setting = settings::named(name).unwrap();
        let found = recipe.read(setting, text).map(|_| ());
        assert_eq!(found, Err((*message).to_owned()), "{name}={text}");
    }
}

#[test]
fn every_setting_is_tried() {
    let tried = |tables: [&[(&'static str, &str, &str)]; 2]| -> BTreeSet<&str> {
        tables
            .into_iter()
            .flatten()
            .map(|(name, _, _)| *name)
            .collect()
    };
    let (values, refused) = (tried(VALUES), tried(REFUSED));
    for setting in settings::all() {
        assert!(values.contains(setting.name), "a value of {}", setting.name);
        assert!(
            refused.contains(setting.name) || takes_everything(setting.kind),
            "no value of {}",
            setting.name
        );
    }
}

/// Returns whether there is no text that a setting of this kind does not take.
fn takes_everything(kind: Kind) -> bool {
    let is_free = |rule: PathRule| !(rule.required || rule.secret || rule.absolute);
    match kind {
        Kind::Text(rule) | Kind::List(rule) | Kind::Delayed(rule, _) => {
            !matches!(rule, Rule::FileName | Rule::Profile)
        }
        Kind::Path(rule) | Kind::Paths(rule) => is_free(rule),
        Kind::Trees(rule) => !(rule.required || rule.directory || rule.absolute),
        Kind::Key { secret } => !secret,
        Kind::Packages | Kind::SpacedList | Kind::Expressions | Kind::Scripts | Kind::Password => {
            true
        }
        _ => false,
    }
}
