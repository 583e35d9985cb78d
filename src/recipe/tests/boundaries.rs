//! What a hostile recipe cannot say.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Returns the mistakes of a recipe whose `mkosi.conf` is `text`.
fn mistakes(text: &str) -> Vec<String> {
    Fixture::new(&[("mkosi.conf", text)]).errors()
}

#[test]
fn paths_outside_are_for_the_person_to_name() {
    for (section, setting, value) in [
        ("Output", "OutputDirectory", "/etc"),
        ("Output", "OutputDirectory", "../x"),
        ("Build", "CacheDirectory", "/var/cache"),
        ("Build", "PackageCacheDirectory", "/var/cache"),
        ("Content", "BaseTrees", "/"),
        ("Content", "ExtraTrees", "/etc:/etc"),
        ("Build", "EnvironmentFiles", "/etc/environment"),
        ("Validation", "VerityKey", "/etc/shadow"),
        ("Validation", "VerityCertificate", "/etc/shadow"),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", &format!("[{section}]\n{setting}={value}\n"))]);
        let errors = load(&fixture.invocation).unwrap_err();
        let [RecipeError::Outside { origin, .. }] = errors.errors() else {
            panic!("{setting}: {errors}")
        };
        assert_eq!(*origin, origin_at("mkosi.conf", 2), "{setting}");
        if setting != "EnvironmentFiles" {
            Fixture::new(&[("mkosi.conf", "")])
                .with(setting, value)
                .load();
        }
    }
}

#[test]
fn links_do_not_lead_outside() {
    let outside = tempfile::tempdir().unwrap();
    fs_err::write(outside.path().join("x.conf"), "[Content]\nPackages=x\n").unwrap();
    for (link, config, error) in [
        (
            "mkosi.output",
            "",
            "mkosi.output: `{path}` is outside the recipe's directory",
        ),
        (
            "mkosi.extra",
            "",
            "mkosi.extra: `{path}` is outside the recipe's directory",
        ),
        (
            "more",
            "[Include]\nInclude=more/x.conf\n",
            "mkosi.conf:2: `more/x.conf` is outside the recipe's directory",
        ),
        (
            "mkosi.conf.d",
            "",
            "mkosi.conf.d/x.conf: `mkosi.conf.d/x.conf` is outside the recipe's directory",
        ),
        (
            "more",
            "[Content]\nBaseTrees=more/tree\n",
            "mkosi.conf:2: `{path}/tree` is outside the recipe's directory",
        ),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", config)]);
        symlink(outside.path(), fixture.path(link)).unwrap();
        let error = error.replace("{path}", &fixture.path(link).display().to_string());
        assert_eq!(fixture.errors(), [error], "{link}");
    }
}

#[test]
fn output_directory_named_by_the_person_may_be_read_back() {
    let outside = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(&[("mkosi.conf", "[Content]\nBaseTrees=%O/base\n")])
        .with("OutputDirectory", outside.path().to_str().unwrap());
    let project = fixture.load();
    assert_eq!(
        project.recipe("main").base_trees,
        [outside.path().join("base")]
    );
}

#[test]
fn include_stays_inside_unless_it_was_typed() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("x.conf");
    fs_err::write(&file, "[Content]\nPackages=x\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        mistakes(&format!("[Include]\nInclude={file}\n")),
        [format!(
            "mkosi.conf:2: `{file}` is outside the recipe's directory"
        )]
    );
    assert_eq!(
        mistakes("[Include]\nInclude=nothing.conf mkosi-initrd\n"),
        [
            "mkosi.conf:2: nothing to include at `nothing.conf`",
            "mkosi.conf:2: the configuration `mkosi-initrd` that comes with mkosi is not supported",
        ]
    );
    let typed = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]).with("Include", file);
    assert_eq!(typed.load().recipe("main").packages, ["x"]);
}

#[test]
fn what_the_host_has_decides_nothing() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Match]\nPathExists=/etc/passwd\n")]);
    assert_eq!(
        fixture.errors()[0],
        "mkosi.conf:2: the condition `PathExists=` is not supported: the path is outside the recipe's directory"
    );
}

#[test]
fn circles_of_includes_and_links_end() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Include]\nInclude=a.conf a.conf\n"),
        (
            "a.conf",
            "[Include]\nInclude=b.conf\n[Content]\nPackages=a\n",
        ),
        ("b.conf", "[Include]\nInclude=a.conf\n"),
    ]);
    assert_eq!(fixture.load().recipe("main").packages, ["a"]);
    let fixture = Fixture::new(&[("mkosi.conf", ""), ("mkosi.conf.d/x.conf", "")]);
    symlink("..", fixture.path("mkosi.conf.d/loop")).unwrap();
    let errors = load(&fixture.invocation).unwrap_err();
    assert!(
        matches!(errors.errors(), [RecipeError::TooDeep { .. }, ..]),
        "{errors}"
    );
}

#[test]
fn nothing_of_the_recipe_is_run() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", ""),
        ("mkosi.version", "#!/bin/sh\ntouch ran\n"),
    ]);
    let permissions = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(fixture.path("mkosi.version"), permissions).unwrap();
    assert_eq!(
        fixture.errors(),
        ["mkosi.version: `mkosi.version` is executable, and nothing of a recipe is run to read it"]
    );
    assert!(!fixture.path("ran").exists());
}

#[test]
fn names_that_become_files_or_arguments_are_checked() {
    for text in [
        "[Output]\nOutput=../x\n",
        "[Output]\nImageId=a/b\n",
        "[Output]\nImageVersion=..\n",
        "[Output]\nOutputExtension=x/y\n",
        "[Config]\nProfiles=../x\n",
        "[Config]\nDependencies=../x\n",
        "[Distribution]\nRelease=a[b]\n",
        "[Distribution]\nMirror=x y\n",
        "[Distribution]\nMirror=https://x\n    Trusted: yes\n",
        "[Distribution]\nLocalMirror=-x\n",
        "[Distribution]\nRepositories=-x\n",
        "[Distribution]\nArchitecture=../x86\n",
        "[Content]\nPackages=--allow-unauthenticated\n",
        "[Content]\nPackages=-oDir::Etc=/x\n",
        "[Build]\nCacheDirectory=~/x\n",
        "[Build]\nCacheDirectory=$HOME/x\n",
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", text)]);
        let errors = load(&fixture.invocation).unwrap_err();
        let origin = origin_at("mkosi.conf", 2);
        assert!(
            matches!(errors.errors(), [RecipeError::Value { origin: found, .. }] if *found == origin),
            "{text}: {errors}"
        );
    }
    let fixture = Fixture::new(&[
        ("mkosi.conf", ""),
        ("mkosi.images/-x/mkosi.conf", ""),
        ("mkosi.images/main.conf", ""),
    ]);
    assert_eq!(
        fixture.errors(),
        [
            "mkosi.images/-x: `-x` cannot be the name of an image",
            "mkosi.images/main.conf: `main` cannot be the name of an image",
        ]
    );
}

#[test]
fn what_cannot_be_built_is_said_at_its_line() {
    for (text, message) in [
        (
            "[Distribution]\nDistribution=fedora\n",
            "`Distribution=fedora` is not supported: only `debian` and `ubuntu` are built so far",
        ),
        (
            "[Output]\nFormat=uki\n",
            "`Format=uki` is not supported: bootable images are out of scope",
        ),
        (
            "[Output]\nFormat=tar\n",
            "`Format=tar` is not supported: this format is not written yet",
        ),
        (
            "[Output]\nCompressOutput=xz\n",
            "`CompressOutput=xz` is not supported: outputs are compressed with `zstd` only",
        ),
        (
            "[Validation]\nVerity=defer\n",
            "`Verity=defer` is not supported: signing later is not built yet",
        ),
        (
            "[Distribution]\nArchitecture=tilegx\n",
            "`Architecture=tilegx` is not supported: the distribution does not have it",
        ),
        (
            "[Content]\nTimezone=UTC\n",
            "`Timezone=UTC` is not supported: systems are not configured yet",
        ),
    ] {
        assert_eq!(
            mistakes(text),
            [format!("mkosi.conf:2: {message}")],
            "{text}"
        );
    }
}

#[test]
fn neutral_values_of_what_cannot_be_built_are_fine() {
    let text = "\
[Content]
Bootable=no
Autologin=no
Timezone=
SELinuxRelabel=auto
[Output]
ManifestFormat=
SplitArtifacts=uki,kernel
[Runtime]
RAM=4G
SshKey=~/.ssh/id
";
    let project = Fixture::new(&[("mkosi.conf", text)]).load();
    let notes: Vec<String> = project
        .notes
        .iter()
        .map(|note| format!("{}: {}", note.origin, note.text))
        .collect();
    assert_eq!(
        notes,
        [
            "mkosi.conf:10: `RAM=` has no effect: it matters only when an image is run",
            "mkosi.conf:11: `SshKey=` has no effect: it matters only when an image is run",
        ]
    );
}

#[test]
fn a_directory_without_a_recipe_says_so() {
    let fixture = Fixture::new(&[]);
    let errors = load(&fixture.invocation).unwrap_err();
    assert!(
        matches!(errors.errors(), [RecipeError::NoConfiguration { .. }]),
        "{errors}"
    );
}

#[test]
fn specifiers_do_not_fill_the_memory() {
    let doubled = "Release=%r%r\n".repeat(64);
    let errors = mistakes(&format!("[Distribution]\nRelease=a\n{doubled}"));
    assert_eq!(errors.len(), 64 - 7);
    let text = format!(
        "[Output]\nOutputDirectory={}\n[Content]\nEnvironment=A={}\nEnvironment=A=%O\n",
        "a".repeat(3000),
        "%O".repeat(6000)
    );
    let [first, second] = &mistakes(&text)[..] else {
        panic!("two errors were expected");
    };
    let error = "the specifiers in `Environment=` and before stand for more than 16 MiB";
    assert_eq!(*first, format!("mkosi.conf:4: {error}"));
    assert_eq!(*second, format!("mkosi.conf:5: {error}"));
}

#[test]
fn links_that_lead_back_are_followed_to_one_error() {
    let fixture = Fixture::new(&[("mkosi.conf.d/a.conf", "[Content]\nPackages=x\n")]);
    for name in ["b", "c"] {
        symlink("..", fixture.path("mkosi.conf.d").join(name)).unwrap();
    }
    let path = format!("mkosi.conf.d/{}", ["b"; 31].join("/mkosi.conf.d/"));
    assert_eq!(
        fixture.errors(),
        [format!(
            "`{path}/mkosi.conf.d/a.conf` is included too deep, perhaps in a circle"
        )]
    );
}

#[test]
fn files_are_read_in_bounded_number() {
    // Without a circle: each directory has two ways to the next.
    let fixture = Fixture::new(&[("mkosi.conf", "[Content]\nPackages=x\n")]);
    let level = |level: usize| match level {
        0 => fixture.path("mkosi.conf.d"),
        level => fixture.path(&format!("levels/{level}/mkosi.conf.d")),
    };
    for number in 0..13 {
        fs_err::create_dir_all(level(number)).unwrap();
        let next = fixture.path(&format!("levels/{}", number + 1));
        for name in ["a", "b"] {
            symlink(&next, level(number).join(name)).unwrap();
        }
    }
    fs_err::create_dir_all(level(13)).unwrap();
    let [error] = &fixture.errors()[..] else {
        panic!("one error was expected");
    };
    let start = "more than 4096 files of configuration are read, of which `mkosi.conf.d/";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn paths_that_no_file_has_are_refused() {
    let long = "a/".repeat(2048);
    let errors = mistakes(&format!(
        "[Match]\nPathExists=!{long}\n[Output]\nOutputDirectory={long}\n"
    ));
    let expected = format!(
        "mkosi.conf:4: `OutputDirectory=` is `{long}`, expected a path of less than 4096 bytes"
    );
    assert_eq!(errors, [expected]);
}

#[test]
fn images_may_depend_on_each_other_in_a_long_chain() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Config]\nDependencies=i0\n")]);
    fs_err::create_dir(fixture.path("mkosi.images")).unwrap();
    let count = 1000;
    for number in 0..count {
        let text = match number + 1 {
            next if next < count => format!("[Config]\nDependencies=i{next}\n"),
            _ => "[Config]\nDependencies=\n".to_owned(),
        };
        let name = format!("mkosi.images/i{number}.conf");
        fixture.write(&name, &format!("{text}[Output]\nFormat=none\n"));
    }
    assert_eq!(fixture.load().recipes.len(), count + 1);
}
