//! Which files are read, and which of their values wins.

use super::*;

/// Returns the packages of the main image.
fn packages(files: &[(&str, &str)]) -> Vec<String> {
    Fixture::new(files).load().recipe("main").packages.clone()
}

#[test]
fn every_source_adds_its_packages() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Config]\nProfiles=p\n[Content]\nPackages=main\n[Include]\nInclude=more/inc.conf more/dir\n"),
        ("mkosi.conf.d/10-a.conf", "[Content]\nPackages=drop-in\n"),
        ("mkosi.conf.d/20-b/mkosi.conf", "[Content]\nPackages=drop-in-directory\n"),
        ("mkosi.conf.d/20-b/mkosi.conf.d/x.conf", "[Content]\nPackages=nested\n"),
        ("mkosi.conf.d/README", "not read"),
        ("mkosi.profiles/p.conf", "[Content]\nPackages=profile-file\n"),
        ("mkosi.profiles/p/mkosi.conf", "[Content]\nPackages=profile-directory\n"),
        ("mkosi.profiles/q.conf", "[Content]\nPackages=not-selected\n"),
        ("more/inc.conf", "[Content]\nPackages=included\n"),
        ("more/dir/mkosi.conf", "[Content]\nPackages=included-directory\n"),
        ("mkosi.local.conf", "[Content]\nPackages=local\n"),
    ])
    .with("Packages", "typed");
    assert_eq!(
        fixture.load().recipe("main").packages,
        [
            "drop-in",
            "drop-in-directory",
            "included",
            "included-directory",
            "local",
            "main",
            "nested",
            "profile-directory",
            "profile-file",
            "typed",
        ]
    );
}

#[test]
fn later_files_win_and_the_command_line_wins_over_all() {
    let files: &[(&str, &str)] = &[
        ("mkosi.version", "1\n"),
        (
            "mkosi.conf",
            "[Output]\nImageId=a\nImageVersion=2\nOutput=x\n",
        ),
        ("mkosi.conf.d/a.conf", "[Output]\nImageId=b\n"),
        ("mkosi.local.conf", "[Output]\nOutput=y\n"),
    ];
    let project = Fixture::new(files).load();
    let main = project.recipe("main");
    assert_eq!(main.image_id.as_deref(), Some("b"));
    assert_eq!(main.image_version.as_deref(), Some("2"));
    assert_eq!(main.output, "y");
    assert_eq!(
        main.origin("ImageId"),
        Some(&origin_at("mkosi.conf.d/a.conf", 2))
    );
    let project = Fixture::new(files).with("Output", "z").load();
    assert_eq!(project.recipe("main").output, "z");
    assert_eq!(
        project
            .recipe("main")
            .origin("Output")
            .map(ToString::to_string)
            .as_deref(),
        Some("--output")
    );
}

#[test]
fn an_empty_assignment_resets_a_list() {
    assert_eq!(
        packages(&[(
            "mkosi.conf",
            "[Content]\nPackages=a\nPackages=\nPackages=b\n"
        )]),
        ["b"]
    );
    let fixture = Fixture::new(&[("mkosi.conf", "[Content]\nPackages=a\n")])
        .with("Packages", "")
        .with("Packages", "b");
    assert_eq!(fixture.load().recipe("main").packages, ["b"]);
    // An indented list is not a reset.
    assert_eq!(
        packages(&[("mkosi.conf", "[Content]\nPackages=a\nPackages=\n  b\n")]),
        ["a", "b"]
    );
}

#[test]
fn an_empty_assignment_brings_the_default_back() {
    let fixture = Fixture::new(&[(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nFormat=\nImageId=x\nImageId=\n",
    )]);
    let project = fixture.load();
    assert_eq!(project.recipe("main").format, Format::Disk);
    assert_eq!(project.recipe("main").image_id, None);
    assert_eq!(project.recipe("main").output, "image");
}

#[test]
fn packages_are_sorted_and_there_once() {
    assert_eq!(
        packages(&[(
            "mkosi.conf",
            "[Content]\nPackages=b,/usr/bin/z (x if y) a b\n"
        )]),
        ["a", "b", "/usr/bin/z", "(x if y)"]
    );
}

#[test]
fn conditions_decide_whether_a_file_is_read() {
    for (condition, is_read) in [
        ("Distribution=debian", true),
        ("Distribution=ubuntu", false),
        ("Distribution=!ubuntu", true),
        ("Release=bookworm", true),
        ("Architecture=x86-64", true),
        ("Architecture=uefi", true),
        ("HostArchitecture=arm64", false),
        ("Image=main", true),
        ("Format=disk", true),
        ("Bootable=auto", true),
        ("ImageId=ho*", true),
        ("ImageVersion=>=1.2", true),
        ("ImageVersion=<1.2", false),
        ("Profiles=", true),
        ("Profiles=p", false),
        ("Repositories=contrib", true),
        ("Environment=A", true),
        ("Environment=A=1", true),
        ("Environment=A=2", false),
        ("PathExists=mkosi.conf", true),
        ("PathExists=%D/nothing", false),
    ] {
        let drop_in = format!("[Match]\n{condition}\n[Content]\nPackages=x\n");
        let packages = packages(&[
            (
                "mkosi.conf",
                "[Output]\nImageId=hop\nImageVersion=1.10\n[Distribution]\nRepositories=main,contrib\n[Build]\nEnvironment=A=1\n",
            ),
            ("mkosi.conf.d/x.conf", &drop_in),
        ]);
        assert_eq!(!packages.is_empty(), is_read, "{condition}");
    }
}

#[test]
fn conditions_have_mistakes_too() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Assert]\nDistribution=ubuntu\n[Output]\nFormat=none\n",
        ),
        ("mkosi.conf.d/x.conf", "[Match]\nDistributon=debian\n"),
    ]);
    assert_eq!(
        fixture.errors(),
        [
            "mkosi.conf:2: `[Assert]` is not satisfied for image `main`",
            "mkosi.conf.d/x.conf:2: unknown condition `Distributon=` in `[Match]`",
        ]
    );
}

#[test]
fn recipe_may_live_in_a_subdirectory() {
    let fixture = Fixture::new(&[("mkosi/mkosi.conf", "[Output]\nOutputDirectory=out\n")]);
    assert_eq!(
        fixture.load().recipe("main").output_directory,
        fixture.path("mkosi/out")
    );
}

#[test]
fn specifiers_stand_for_the_values_so_far() {
    let fixture = Fixture::new(&[(
        "mkosi.conf",
        "[Output]\nOutputDirectory=out\nImageId=id\nImageVersion=3\nOutput=%i-%v-%d-%r-%a-%t-%I\n[Content]\nBaseTrees=%O/%o %D/a %C/b\n",
    )]);
    let project = fixture.load();
    let output = "id-3-debian-bookworm-x86-64-disk-main";
    assert_eq!(project.recipe("main").output, output);
    assert_eq!(
        project.recipe("main").base_trees,
        [
            fixture.path("out").join(output),
            fixture.path("a"),
            fixture.path("b")
        ]
    );
}

#[test]
fn specifiers_without_a_value_stand_for_nothing() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nOutput=a%v\nImageId=b%z\n")]);
    assert_eq!(fixture.load().recipe("main").output, "a");
    assert_eq!(
        fixture.warnings(),
        [
            "mkosi.conf:2: `%v` in `Output=` stands for `ImageVersion=`, which is not set",
            "mkosi.conf:3: unknown specifier `%z` in `ImageId=`",
        ]
    );
}

#[test]
fn magic_files_are_values() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Content]\nExtraTrees=more:/opt\n"),
        ("mkosi.seed", "0e9a6fe0-9b0f-4a5b-8e7c-b1b5c9d3a6f1\n"),
        ("mkosi.output/.keep", ""),
        ("mkosi.cache/.keep", ""),
        ("mkosi.pkgcache/.keep", ""),
        ("mkosi.extra/a", ""),
        ("mkosi.env", "SOURCE_DATE_EPOCH=7\n"),
    ]);
    let project = fixture.load();
    let main = project.recipe("main");
    assert_eq!(
        main.seed.unwrap().to_string(),
        "0e9a6fe0-9b0f-4a5b-8e7c-b1b5c9d3a6f1"
    );
    assert_eq!(main.output_directory, fixture.path("mkosi.output"));
    assert_eq!(main.cache_directory, Some(fixture.path("mkosi.cache")));
    assert_eq!(
        main.package_cache_directory,
        Some(fixture.path("mkosi.pkgcache"))
    );
    assert_eq!(main.source_date_epoch, Some(7));
    let tree = |source: &str, target: Option<&str>| TreeSource {
        source: fixture.path(source),
        target: target.map(Into::into),
    };
    assert_eq!(
        main.extra_trees,
        [tree("mkosi.extra", None), tree("more", Some("/opt"))]
    );
}

#[test]
fn magic_files_of_unsupported_settings_are_mistakes() {
    let fixture = Fixture::new(&[("mkosi.conf", ""), ("mkosi.configure", "")]);
    let script = fixture.path("mkosi.configure").display().to_string();
    assert_eq!(
        fixture.errors(),
        [format!(
            "mkosi.configure: `ConfigureScripts={script}` is not supported: a recipe is read without running its programs, but for those that print a value"
        )]
    );
}

#[test]
fn local_directory_beats_the_local_file_and_resets_nothing() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Output]\nImageId=main\n[Content]\nPackages=main\n",
        ),
        (
            "mkosi.local/mkosi.conf",
            "[Output]\nImageId=directory\n[Content]\nPackages=directory\n",
        ),
        (
            "mkosi.local.conf",
            "[Output]\nImageId=file\nImageVersion=1\n[Content]\nPackages=\n",
        ),
    ]);
    let project = fixture.load();
    let main = project.recipe("main");
    assert_eq!(main.image_id.as_deref(), Some("directory"));
    assert_eq!(main.image_version.as_deref(), Some("1"));
    assert_eq!(main.packages, ["directory", "main"]);
}

#[test]
fn former_names_are_accepted_with_a_warning() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Config]\nProfile=p\n[Output]\n@ImageId=x\n[Host]\nQemuMem=1G\n",
        ),
        ("mkosi.profiles/p.conf", ""),
        ("mkosi.tools.conf", ""),
    ]);
    let project = fixture.load();
    assert_eq!(project.recipe("main").image_id.as_deref(), Some("x"));
    assert_eq!(
        fixture.warnings(),
        [
            "mkosi.conf:2: `Profile=` is called `Profiles=` now",
            "mkosi.conf:4: `@ImageId=` is called `ImageId=` now",
            "mkosi.conf:6: `QemuMem=` is called `RAM=` now",
            "mkosi.conf:6: `RAM=` belongs in `[Runtime]`, not in `[Host]`",
        ]
    );
}

#[test]
fn source_date_epoch_comes_from_the_nearest_place() {
    let mut fixture = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]);
    assert_eq!(fixture.load().recipe("main").source_date_epoch, None);
    fixture
        .invocation
        .environment
        .insert("SOURCE_DATE_EPOCH".to_owned(), "1".to_owned());
    assert_eq!(fixture.load().recipe("main").source_date_epoch, Some(1));
    fixture.write("mkosi.conf", "[Build]\nEnvironment=SOURCE_DATE_EPOCH=2\n");
    assert_eq!(fixture.load().recipe("main").source_date_epoch, Some(2));
    let fixture = fixture.with("SourceDateEpoch", "3");
    assert_eq!(fixture.load().recipe("main").source_date_epoch, Some(3));
}
