//! Whole recipes, from files to typed values.

use std::path::Path;

use super::*;
use crate::Hint;

mod assistants;
mod boundaries;
mod bounds;
mod discovery;
mod elsewhere;
mod extensions;
mod file_systems;
mod images;
mod programs;
mod properties;
mod rules;
mod tutorial;
mod values;

/// Reads a recipe that is to be built.
fn load(invocation: &Invocation<'_>) -> Result<Project, RecipeErrors> {
    super::load(invocation)?.buildable()
}

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
                systemd_version: None,
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
        fs_err::write(&path, text).unwrap();
        // Keys have to be secret.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs_err::set_permissions(path, mode).unwrap();
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

    /// Reads a recipe that nobody builds.
    fn look_at(&self) -> Project {
        super::load(&self.invocation).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Returns the warnings of a recipe.
    fn warnings(&self) -> Vec<String> {
        let warnings = self.look_at().warnings;
        warnings.iter().map(ToString::to_string).collect()
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
    Origin::File(Place::in_line(Path::new(path), line))
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
            "--output: `Output=` is `../x`, expected a file name, which has no `/` and is neither `.` nor `..`",
            "mkosi.conf:4: `Format=` is `btrfs`, expected one of `confext`, `cpio`, `directory`, `disk`, `esp`, `none`, \
             `portable`, `sysext`, `tar`, `uki`, `oci`, `addon`",
            "mkosi.images/x/mkosi.conf:4: `Release=` is set for the main image only, not in image `x`",
            "mkosi.images/x/mkosi.conf:6: `Bootable=yes` is not supported: bootable images are out of scope",
        ]
    );
    let errors = load(&fixture.invocation).unwrap_err();
    let warnings: Vec<String> = errors.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "mkosi.conf:1: unknown section `[Contents]`",
            "mkosi.images/x/mkosi.conf:2: unknown setting `Pakages=` in `[Content]`",
        ]
    );
}

#[test]
fn what_is_not_built_is_shown_with_its_values() {
    let fixture = Fixture::new(&[(
        "mkosi.conf",
        "[Distribution]\nDistribution=fedora\n[Content]\nBootable=yes\nBaseTrees=/usr\n",
    )]);
    let project = fixture.look_at();
    assert!(project.recipes.is_empty());
    let main = project.images.last().unwrap();
    let words = |setting: &str| -> Vec<String> {
        let values = main.values(setting).iter();
        values.map(|sourced| sourced.value.to_string()).collect()
    };
    assert_eq!(words("Distribution"), ["fedora"]);
    assert_eq!(words("Bootable"), ["enabled"]);
    assert_eq!(words("BaseTrees"), ["/usr"]);
    assert_eq!(main.files, [fixture.path("mkosi.conf")]);
    let refusals: Vec<String> = project.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(refusals, fixture.errors());
    assert_eq!(
        refusals,
        [
            "mkosi.conf:2: `Distribution=fedora` is not supported: only `debian` and `ubuntu` are built so far",
            "mkosi.conf:4: `Bootable=yes` is not supported: bootable images are out of scope",
            "mkosi.conf:5: `/usr` is outside the recipe's directory",
        ]
    );
}

#[test]
fn value_that_is_not_built_may_be_replaced() {
    let text = "[Content]\nBootable=yes\n[Output]\nFormat=none\n";
    Fixture::new(&[("mkosi.conf", text)])
        .with("Bootable", "no")
        .load();
}

/// Returns the mistakes of a recipe whose `mkosi.conf` is `text`.
fn mistakes(text: &str) -> Vec<String> {
    Fixture::new(&[("mkosi.conf", text)]).errors()
}
