//! Values that take more than their text: variables, files, and what other sources say.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Returns the values of a setting of the main image, as they are written.
fn shown(fixture: &Fixture, setting: &str) -> Vec<String> {
    let project = fixture.look_at();
    let main = project.images.last().unwrap();
    let values = main.values(setting).iter();
    values.map(|sourced| sourced.value.to_string()).collect()
}

/// Returns what is said, without the places it is said of.
fn messages(said: Vec<String>) -> Vec<String> {
    said.iter()
        .map(|text| text.split_once(": ").unwrap().1.to_owned())
        .collect()
}

#[test]
fn home_and_variables_in_paths_are_taken_when_they_were_granted() {
    let recipe = || {
        let text = "[Output]\nOutputDirectory=~/out\n[Build]\nCacheDirectory=${X}/$NONE\n";
        let mut fixture = Fixture::new(&[("mkosi.conf", text)]);
        for (name, value) in [("HOME", "/home/x"), ("X", "/srv")] {
            let environment = &mut fixture.invocation.environment;
            environment.insert(name.to_owned(), value.to_owned());
        }
        fixture
    };
    let refused = recipe();
    assert_eq!(
        messages(refused.errors()),
        [
            "the path `~/out` in `OutputDirectory=` takes `$HOME` of the environment the build is started in",
            "the path `${X}/$NONE` in `CacheDirectory=` takes `$X` of the environment the build is started in",
        ]
    );
    assert_eq!(
        refused.hints(),
        [
            "to permit it, pass `--allow=env:HOME`",
            "to permit it, pass `--allow=env:X`",
        ]
    );
    // As in mkosi, a variable that is not set stays as it is.
    let granted = recipe().allow("env:HOME,env:X,env:NONE");
    assert_eq!(shown(&granted, "OutputDirectory"), ["/home/x/out"]);
    assert_eq!(shown(&granted, "CacheDirectory"), ["/srv/$NONE"]);
    let typed = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]);
    let mut typed = typed.with("OutputDirectory", "~/out");
    let environment = &mut typed.invocation.environment;
    environment.insert("HOME".to_owned(), "/home/x".to_owned());
    assert_eq!(shown(&typed, "OutputDirectory"), ["/home/x/out"]);
}

#[test]
fn patterns_of_scripts_stand_for_what_is_there() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Output]\nCleanScripts=b* sub/?.sh none.sh [ac].sh\nCleanScripts=none*\n",
        ),
        ("a.sh", ""),
        ("b.sh", ""),
        ("b-x.sh", ""),
        (".b.sh", ""),
        ("sub/y.sh", ""),
        ("sub/x.sh", ""),
    ]);
    let paths = ["b-x.sh", "b.sh", "sub/x.sh", "sub/y.sh", "a.sh"];
    for path in paths {
        let path = fixture.path(path);
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert_eq!(
        shown(&fixture, "CleanScripts"),
        paths.map(|path| fixture.path(path).display().to_string())
    );
    assert_eq!(
        messages(fixture.warnings()),
        [
            "`CleanScripts=none.sh` matches nothing",
            "`CleanScripts=none*` matches nothing",
        ]
    );
}

#[test]
fn nothing_outside_is_listed_to_read_a_value() {
    let outside = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(outside.path()).unwrap();
    fs_err::write(real.join("secret"), "").unwrap();
    let names = real.display().to_string();
    for text in [
        format!("[Output]\nCleanScripts={names}/*\n"),
        "[Output]\nCleanScripts=link/*\n".to_owned(),
        format!("[Runtime]\nCredentials={names}\n"),
        "[Runtime]\nCredentials=link\n".to_owned(),
        format!("[Content]\nUnifiedKernelImageProfiles={names}/secret\n"),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", &text)]);
        symlink(&real, fixture.path("link")).unwrap();
        let errors = load(&fixture.invocation).unwrap_err();
        assert!(
            matches!(errors.errors(), [RecipeError::IncludeOutside { .. }]),
            "{text}: {errors}"
        );
        let granted = fixture.allow(&format!("path:{names}"));
        assert!(load(&granted.invocation).is_ok(), "{text}");
    }
}

#[test]
fn keys_are_files_that_are_there_or_kept_as_they_are() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Validation]\nSecureBootKey=keys/../a.key\nSignExpectedPcrKey=pkcs11:x;y\n",
        ),
        ("a.key", ""),
    ]);
    let key = fixture.path("a.key");
    assert_eq!(
        shown(&fixture, "SecureBootKey"),
        [key.display().to_string()]
    );
    assert_eq!(shown(&fixture, "SignExpectedPcrKey"), ["pkcs11:x;y"]);
    fs_err::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let errors = load(&fixture.invocation).unwrap_err();
    assert!(
        matches!(
            errors.errors(),
            [RecipeError::OpenSecret { mode: 0o644, .. }]
        ),
        "{errors}"
    );
}

#[test]
fn packages_are_sorted_by_class_within_each_source() {
    let fixture = Fixture::new(&[(
        "mkosi.conf",
        "[Content]\nPackages=b /x.deb (a if b)\nPackages=a b\n",
    )])
    .with("Packages", "c a");
    assert_eq!(
        shown(&fixture, "Packages"),
        ["a", "b", "b", "/x.deb", "(a if b)", "a", "c"]
    );
}

#[test]
fn command_line_is_taken_as_it_is_typed() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nImageId=%%d\n")]).with("Output", "x%d");
    assert_eq!(shown(&fixture, "ImageId"), ["%d"]);
    assert_eq!(shown(&fixture, "Output"), ["x%d"]);
}

#[test]
fn highest_version_of_the_language_counts() {
    let text = "[Config]\nMinimumVersion=25\nMinimumVersion=26~devel\nMinimumVersion=24\nMinimumVersion=\n";
    let fixture = Fixture::new(&[("mkosi.conf", text)]);
    assert_eq!(shown(&fixture, "MinimumVersion"), ["26~devel"]);
}

#[test]
fn empty_assignments_clear_what_mkosi_lets_them() {
    let text = "[Content]\nSourceDateEpoch=\n[Output]\nFormat=\nSplitArtifacts=\nImageId=\n";
    let mut fixture = Fixture::new(&[("mkosi.conf", text)]);
    let environment = &mut fixture.invocation.environment;
    environment.insert("SOURCE_DATE_EPOCH".to_owned(), "7".to_owned());
    for (setting, expected) in [
        ("SourceDateEpoch", &[][..]),
        ("Format", &["disk"]),
        ("SplitArtifacts", &[]),
        ("ImageId", &[]),
    ] {
        assert_eq!(shown(&fixture, setting), expected, "{setting}");
    }
}
