//! Executable configuration files, with stand-ins for who runs them.

use std::error::Error;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Prints what a function makes of the program.
struct Prints(fn(&ConfigurationProgram<'_>) -> String);

impl std::fmt::Debug for Prints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prints")
    }
}

impl ConfigurationPrograms for Prints {
    fn output(
        &self,
        program: &ConfigurationProgram<'_>,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok((self.0)(program).into_bytes())
    }
}

impl Fixture {
    /// Makes a file executable, which `runner` runs.
    fn with_program(mut self, name: &str, runner: &'static Prints) -> Self {
        let permissions = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(self.path(name), permissions).unwrap();
        self.invocation.programs = runner;
        self
    }
}

/// Returns the names of what is hidden from a program in its directory.
fn hidden_names(program: &ConfigurationProgram<'_>) -> Vec<String> {
    let below = program.hidden.iter();
    let below = below.filter_map(|path| path.strip_prefix(program.directory).ok());
    let names = below.map(|path| path.display().to_string());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn what_a_program_prints_is_the_value() {
    static VERSION: Prints = Prints(|program| {
        assert!(program.path.starts_with(program.directory));
        " 1.2%3~rc1\n".to_owned()
    });
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.version", ""),
    ]);
    let project = fixture.with_program("mkosi.version", &VERSION).load();
    let main = project.recipe("main");
    assert_eq!(main.image_version.as_deref(), Some("1.2%3~rc1"));
    static SEED: Prints = Prints(|_| "2a1b1c2d-0000-4000-8000-000000000001".to_owned());
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.seed", ""),
    ]);
    let project = fixture.with_program("mkosi.seed", &SEED).load();
    assert!(project.recipe("main").seed.is_some());
}

#[test]
fn what_a_program_prints_is_checked_as_text_is() {
    for (program, message) in [
        (
            &Prints(|_| "../x".to_owned()),
            "mkosi.version: `ImageVersion=` is `../x`, expected a file name that does not start with `.` or `-` and \
             has no `/`, spaces or control characters",
        ),
        (
            &Prints(|_| "a\nb".to_owned()),
            "mkosi.version: `ImageVersion=` is `a\nb`, expected a file name that does not start with `.` or `-` and \
             has no `/`, spaces or control characters",
        ),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", ""), ("mkosi.version", "")]);
        assert_eq!(
            fixture.with_program("mkosi.version", program).errors(),
            [message]
        );
    }
}

#[test]
fn script_that_is_not_executable_is_no_value() {
    let fixture = Fixture::new(&[("mkosi.conf", ""), ("mkosi.version", "#!/bin/sh\necho 1\n")]);
    assert_eq!(
        fixture.errors(),
        ["mkosi.version: the script `mkosi.version` is not executable"]
    );
}

#[test]
fn programs_of_unsupported_settings_are_not_run() {
    static NEVER: Prints = Prints(|program| panic!("{program:?}"));
    let name = "mkosi.configure";
    let fixture = Fixture::new(&[("mkosi.conf", ""), (name, "")]).with_program(name, &NEVER);
    let errors = load(&fixture.invocation).unwrap_err();
    assert!(
        matches!(errors.errors(), [.., RecipeError::Unsupported { setting: found, .. }] if *found == "ConfigureScripts"),
        "{errors}"
    );
}

#[test]
fn program_that_a_link_finds_outside_is_not_run() {
    static NEVER: Prints = Prints(|program| panic!("{program:?}"));
    let outside = tempfile::tempdir().unwrap();
    let program = outside.path().join("program");
    fs_err::write(&program, "").unwrap();
    let fixture = Fixture::new(&[("mkosi.conf", "")]);
    symlink(&program, fixture.path("mkosi.version")).unwrap();
    let fixture = fixture.with_program("mkosi.version", &NEVER);
    assert_eq!(
        fixture.errors(),
        ["mkosi.version: `mkosi.version` is outside the recipe's directory"]
    );
}

#[test]
fn included_program_sees_the_included_directory_only() {
    static VERSION: Prints = Prints(|program| {
        assert_eq!(program.path.parent(), Some(program.directory));
        "1".to_owned()
    });
    let shared = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(shared.path()).unwrap();
    fs_err::create_dir(real.join("below")).unwrap();
    fs_err::write(real.join("below/mkosi.version"), "").unwrap();
    let permissions = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(real.join("below/mkosi.version"), permissions).unwrap();
    let text = format!(
        "[Include]\nInclude={}/below\n[Output]\nFormat=none\n",
        real.display()
    );
    let mut fixture = Fixture::new(&[("mkosi.conf", &text)]);
    fixture.invocation.programs = &VERSION;
    let project = fixture.allow(&format!("path:{}", real.display())).load();
    assert_eq!(project.recipe("main").image_version.as_deref(), Some("1"));
}

#[test]
fn keys_outputs_and_caches_are_hidden() {
    static HIDDEN: Prints = Prints(|program| {
        let names = hidden_names(program).join("+");
        format!("v{}", names.replace('/', "-"))
    });
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.version", ""),
        ("mkosi.key", ""),
        ("mkosi.output/x", ""),
        ("mkosi.cache/x", ""),
        (".git/config", ""),
        ("keys/typed.key", ""),
    ])
    .with_program("mkosi.version", &HIDDEN)
    .with("VerityKey", "keys/typed.key");
    let project = fixture.load();
    assert_eq!(
        project.recipe("main").image_version.as_deref(),
        Some("v.git-config+keys-typed.key+mkosi.cache+mkosi.key+mkosi.output")
    );
}

#[test]
fn what_came_of_seeing_a_key_is_thrown_away() {
    // The key is named after the program has run; a program that sees it tells.
    static TELLS: Prints = Prints(|program| {
        let sees = !hidden_names(program).contains(&"keys/mine".to_owned());
        if sees { "/secret" } else { "1" }.to_owned()
    });
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Validation]\nVerityKey=keys/mine\n[Output]\nFormat=none\n",
        ),
        ("mkosi.version", ""),
        ("keys/mine", "secret"),
    ])
    .with_program("mkosi.version", &TELLS);
    let project = fixture.load();
    assert_eq!(project.recipe("main").image_version.as_deref(), Some("1"));
}

#[test]
fn recipe_that_names_another_key_each_time_is_refused() {
    static COUNTS: Prints = Prints(|program| hidden_names(program).len().to_string());
    let mut files: Vec<(String, String)> = (0..9)
        .flat_map(|number| {
            let text =
                format!("[Match]\nImageVersion={number}\n[Validation]\nVerityKey=keys/{number}\n");
            [
                (format!("mkosi.conf.d/{number}.conf"), text),
                (format!("keys/{number}"), String::new()),
            ]
        })
        .collect();
    files.push(("mkosi.version".to_owned(), String::new()));
    files.push((
        "mkosi.conf".to_owned(),
        "[Output]\nFormat=none\n".to_owned(),
    ));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(
        Fixture::new(&files)
            .with_program("mkosi.version", &COUNTS)
            .errors(),
        ["the programs of the recipe name other private files each time they are run"]
    );
}

#[test]
fn what_is_private_beside_the_directory_of_configuration_is_hidden() {
    static HIDDEN: Prints = Prints(|program| {
        let names = hidden_names(program).join("+");
        format!("v{}", names.replace('/', "-"))
    });
    let fixture = Fixture::new(&[
        ("mkosi/mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi/mkosi.version", ""),
        ("mkosi.key", ""),
        (".git/config", ""),
        (".git/modules/x/config", ""),
        (".git/HEAD", ""),
    ])
    .with_program("mkosi/mkosi.version", &HIDDEN);
    assert_eq!(
        fixture.load().recipe("main").image_version.as_deref(),
        Some("v.git-config+.git-modules+mkosi.key")
    );
}
