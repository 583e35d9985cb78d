//! Whole recipes, from files to typed values.

use std::path::Path;

use super::*;
use crate::Hint;

mod boundaries;
mod bounds;
mod discovery;
mod file_systems;
mod images;
mod programs;
mod tutorial;

/// A directory with files, and what the program would be asked about it.
struct Fixture {
    directory: tempfile::TempDir,
    invocation: Invocation<'static>,
}

/// Runs nothing.
#[derive(Debug)]
struct Refused;

impl ConfigurationPrograms for Refused {
    fn output(
        &self,
        program: &ConfigurationProgram<'_>,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("asked to run `{}`", program.path.display()).into())
    }
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let invocation = Invocation {
            directory: directory.path().to_owned(),
            overrides: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            host: HostFacts {
                distribution: Some(Distribution::Debian),
                release: Some("bookworm".to_owned()),
                architecture: Architecture::X86_64,
            },
            grants: Grants::default(),
            programs: &Refused,
        };
        let fixture = Self {
            directory,
            invocation,
        };
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        fs_err::canonicalize(self.directory.path())
            .unwrap()
            .join(path)
    }

    fn with(mut self, setting: &str, value: &str) -> Self {
        let row = settings::named(setting).unwrap();
        self.invocation.overrides.push(Override {
            setting: setting.to_owned(),
            value: value.to_owned(),
            option: format!("--{}", row.long),
        });
        self
    }

    /// Grants what stands in a list, as `--allow=` does.
    fn allow(mut self, list: &str) -> Self {
        let origin = Origin::CommandLine {
            option: "--allow".to_owned(),
        };
        self.invocation.grants =
            Grants::read([(list, origin)], self.directory.path()).expect("the grants are sound");
        self
    }

    fn load(&self) -> Project {
        load(&self.invocation).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Returns the hints of a recipe that must not load.
    fn hints(&self) -> Vec<String> {
        let errors = load(&self.invocation).expect_err("the recipe has mistakes");
        errors.errors().iter().filter_map(Hint::hint).collect()
    }

    /// Returns the messages of a recipe that must not load.
    fn errors(&self) -> Vec<String> {
        let errors = load(&self.invocation).expect_err("the recipe has mistakes");
        errors.errors().iter().map(ToString::to_string).collect()
    }
}

impl Project {
    fn recipe(&self, name: &str) -> &Recipe {
        self.recipes
            .iter()
            .find(|recipe| recipe.name == name)
            .unwrap()
    }

    fn names(&self) -> Vec<&str> {
        self.recipes
            .iter()
            .map(|recipe| recipe.name.as_str())
            .collect()
    }
}

fn origin_at(path: &str, line: usize) -> Origin {
    Origin::File {
        path: Path::new(path).to_owned(),
        line,
    }
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Contents]\nPackages=a\n[Output]\nFormat=btrfs\n",
        ),
        (
            "mkosi.images/x/mkosi.conf",
            "[Content]\nPakages=a\n[Distribution]\nRelease=sid\n[Content]\nBootable=yes\n",
        ),
    ])
    .with("Output", "../x");
    assert_eq!(
        fixture.errors(),
        [
            "--output: `Output=` is `../x`, expected a file name that does not start with `.` or `-` and has no `/`, \
             spaces or control characters",
            "mkosi.conf:1: unknown section `[Contents]`",
            "mkosi.conf:4: `Format=` is `btrfs`, expected one of `confext`, `cpio`, `directory`, `disk`, `esp`, `none`, \
             `portable`, `sysext`, `tar`, `uki`, `oci`, `addon`",
            "mkosi.images/x/mkosi.conf:2: unknown setting `Pakages=` in `[Content]`",
            "mkosi.images/x/mkosi.conf:4: `Release=` is set for the main image only, not in image `x`",
            "mkosi.images/x/mkosi.conf:6: `Bootable=yes` is not supported: bootable images are out of scope",
        ]
    );
}

/// Returns the mistakes of a recipe whose `mkosi.conf` is `text`.
fn mistakes(text: &str) -> Vec<String> {
    Fixture::new(&[("mkosi.conf", text)]).errors()
}
