//! What a hostile recipe cannot say.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn paths_outside_are_for_the_person_to_name() {
    for (section, setting, value) in [
        ("Output", "OutputDirectory", "/etc"),
        ("Output", "OutputDirectory", "../x"),
        ("Build", "CacheDirectory", "/var/cache"),
        ("Build", "PackageCacheDirectory", "/var/cache"),
        ("Content", "BaseTrees", "/"),
        ("Content", "ExtraTrees", "/etc:/etc"),
        ("Content", "PackageDirectories", "/etc"),
        ("Content", "VolatilePackageDirectories", "/etc"),
        ("Content", "Packages", "/srv/x.deb"),
        ("Build", "SandboxTrees", "/etc:/etc"),
        ("Content", "Packages", "../x.deb"),
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

/// What the error and the hint say for a path of each setting, and the grant that permits it.
#[test]
fn paths_outside_are_permitted_by_the_grant_that_the_hint_names() {
    let outside = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(outside.path()).unwrap();
    fs_err::write(real.join("file"), "A=1\n").unwrap();
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs_err::set_permissions(real.join("file"), secret).unwrap();
    fs_err::create_dir(real.join("tree")).unwrap();
    for (section, setting, name, end, option) in [
        (
            "Output",
            "OutputDirectory",
            "tree",
            ":rw",
            "output-directory",
        ),
        ("Build", "CacheDirectory", "tree", ":rw", "cache-directory"),
        (
            "Build",
            "PackageCacheDirectory",
            "tree",
            ":rw",
            "package-cache-directory",
        ),
        ("Content", "BaseTrees", "tree", "", ""),
        ("Content", "ExtraTrees", "tree", "", ""),
        ("Build", "EnvironmentFiles", "file", "", ""),
        ("Validation", "VerityKey", "file", "", "verity-key"),
        (
            "Validation",
            "VerityCertificate",
            "file",
            "",
            "verity-certificate",
        ),
    ] {
        let path = real.join(name).display().to_string();
        let text = format!("[{section}]\n{setting}={path}\n");
        let fixture = Fixture::new(&[("mkosi.conf", &text)]);
        let message = format!("mkosi.conf:2: `{path}` is outside the recipe's directory");
        assert_eq!(fixture.errors(), [message], "{setting}");
        let option = match option {
            "" => String::new(),
            option => format!(", or name a path with `--{option}`"),
        };
        let hint = format!("to permit it, pass `--allow=path:{path}{end}`{option}");
        assert_eq!(fixture.hints(), [hint], "{setting}");
        fixture.allow(&format!("path:{path}{end}")).load();
        // A grant for another path does not help, nor one to read what is written.
        let other = Fixture::new(&[("mkosi.conf", &text)]).allow("path:/usr:rw");
        assert_eq!(other.errors().len(), 1, "{setting}");
        if end == ":rw" {
            let fixture = Fixture::new(&[("mkosi.conf", &text)]).allow(&format!("path:{path}"));
            assert_eq!(
                fixture.errors(),
                [format!(
                    "mkosi.conf:2: `{path}` is outside the recipe's directory and may be read, but not written"
                )]
            );
        }
    }
}

#[test]
fn directory_to_write_is_made_before_it_is_granted() {
    let outside = tempfile::tempdir().unwrap();
    let path = fs_err::canonicalize(outside.path()).unwrap().join("new");
    let path = path.display();
    let text = format!("[Output]\nOutputDirectory={path}\n");
    assert_eq!(
        Fixture::new(&[("mkosi.conf", &text)]).hints(),
        [format!(
            "to permit it, make `{path}` and pass `--allow=path:{path}:rw`, or name a path with `--output-directory`"
        )]
    );
}

#[test]
fn no_file_of_a_recipe_grants_anything() {
    const OUTSIDE: &str = "[Build]\nEnvironment=HOME\n[Content]\nBaseTrees=/usr\n";
    for (file, text) in [
        ("mkosi.conf", "[Build]\nAllow=path:/usr\n"),
        ("mkosi.conf", "[Config]\nallow=env:HOME\n"),
        ("mkosi.conf", "[Allow]\npath=/usr\n"),
        ("mkosi.local.conf", "[Build]\nAllow=path:/usr,env:HOME\n"),
        (
            "mkosi.conf.d/grants.conf",
            "[Build]\nAllow=path:/usr,env:HOME\n",
        ),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", ""), (file, text)]);
        let warnings = fixture.look_at().warnings;
        assert!(
            matches!(
                warnings[..],
                [RecipeError::UnknownSetting { .. } | RecipeError::UnknownSection { .. }]
            ),
            "{text}: {warnings:?}"
        );
        fixture.write("x.conf", "[Content]\nBaseTrees=/usr\n");
        assert_eq!(
            fixture.with("Include", "x.conf").errors().len(),
            1,
            "{text}"
        );
    }
    let mut fixture = Fixture::new(&[
        (
            "mkosi.conf",
            &format!("{OUTSIDE}[Build]\nEnvironment=OVERCOAT_ALLOW=path:/usr,env:HOME\n"),
        ),
        ("mkosi.env", "OVERCOAT_ALLOW=path:/usr,env:HOME\n"),
        ("mkosi.local.conf", OUTSIDE),
    ]);
    let environment = &mut fixture.invocation.environment;
    environment.insert("HOME".to_owned(), "/home/x".to_owned());
    assert_eq!(
        fixture.errors(),
        [
            "mkosi.local.conf:2: `Environment=HOME` takes a variable of the environment the build is started in",
            "mkosi.local.conf:4: `/usr` is outside the recipe's directory",
            "mkosi.conf:4: `/usr` is outside the recipe's directory",
        ]
    );
}

#[test]
fn variables_of_the_caller_are_taken_when_they_were_granted_or_typed() {
    let recipe = || {
        let text = "[Build]\nEnvironment=TOKEN A=1\n[Output]\nFormat=none\n";
        let mut fixture = Fixture::new(&[("mkosi.conf", text)]);
        for name in ["TOKEN", "OTHER"] {
            let environment = &mut fixture.invocation.environment;
            environment.insert(name.to_owned(), format!("my {name}"));
        }
        fixture
    };
    let variables = |fixture: &Fixture| {
        let project = fixture.load();
        let environment = &project.recipe("main").environment;
        let words = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        recipe().errors(),
        [
            "mkosi.conf:2: `Environment=TOKEN` takes a variable of the environment the build is started in"
        ]
    );
    assert_eq!(
        recipe().hints(),
        [
            "to permit it, pass `--allow=env:TOKEN`, or give it a value with `--environment=TOKEN=VALUE`"
        ]
    );
    assert_eq!(recipe().allow("env:OTHER,env:TOKE").errors().len(), 1);
    assert_eq!(
        variables(&recipe().allow("env:TOKEN")),
        ["A=1", "TOKEN=my TOKEN"]
    );
    let typed =
        Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]).with("Environment", "TOKEN");
    let mut typed = typed;
    let environment = &mut typed.invocation.environment;
    environment.insert("TOKEN".to_owned(), "mine".to_owned());
    assert_eq!(variables(&typed), ["TOKEN=mine"]);
    // Whether it is set decides nothing about the question.
    let absent = Fixture::new(&[("mkosi.conf", "[Build]\nEnvironment=ABSENT\n")]);
    assert_eq!(absent.errors().len(), 1);
    let absent = absent.allow("env:ABSENT").load();
    assert_eq!(
        absent.warnings[0].to_string(),
        "mkosi.conf:2: `Environment=ABSENT` is not set in the environment the build is started in"
    );
}

#[test]
fn network_is_for_the_person_to_grant() {
    let text = "[Build]\nWithNetwork=yes\n[Output]\nFormat=none\n";
    let subimage = ("mkosi.images/x.conf", "[Output]\nFormat=none\n");
    let fixture = Fixture::new(&[("mkosi.conf", text), subimage]);
    assert_eq!(
        fixture.errors(),
        ["mkosi.conf:2: `WithNetwork=yes` asks for the network"]
    );
    assert_eq!(fixture.hints(), ["to permit it, pass `--allow=network`"]);
    fixture.allow("network").load();
    Fixture::new(&[("mkosi.conf", "[Build]\nWithNetwork=no\n")]).load();
    Fixture::new(&[("mkosi.conf", "")])
        .with("WithNetwork", "yes")
        .load();
}

#[test]
fn links_do_not_lead_outside() {
    let outside = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(outside.path()).unwrap();
    fs_err::write(outside.path().join("x.conf"), "[Content]\nPackages=x\n").unwrap();
    fs_err::create_dir(outside.path().join("tree")).unwrap();
    for (link, config, error, grant) in [
        (
            "mkosi.output",
            "",
            "mkosi.output: `{path}` leads to `{real}`, which is outside the recipe's directory",
            "path:{real}:rw",
        ),
        (
            "mkosi.extra",
            "",
            "mkosi.extra: `{path}` leads to `{real}`, which is outside the recipe's directory",
            "path:{real}",
        ),
        (
            "more",
            "[Include]\nInclude=more/x.conf\n",
            "mkosi.conf:2: `more/x.conf` is outside the recipe's directory",
            "path:{real}/x.conf",
        ),
        (
            "mkosi.conf.d",
            "",
            "mkosi.conf.d: `mkosi.conf.d` is outside the recipe's directory",
            "path:{real}",
        ),
        (
            "mkosi.images",
            "",
            "mkosi.images: `mkosi.images` is outside the recipe's directory",
            "path:{real}",
        ),
        (
            "mkosi.profiles/p",
            "[Config]\nProfiles=p\n",
            "mkosi.profiles/p: `mkosi.profiles/p` is outside the recipe's directory",
            "path:{real}",
        ),
        (
            "mkosi.local",
            "",
            "mkosi.local: `mkosi.local` is outside the recipe's directory",
            "path:{real}",
        ),
        (
            "more",
            "[Content]\nBaseTrees=more/tree\n",
            "mkosi.conf:2: `{path}/tree` leads to `{real}/tree`, which is outside the recipe's directory",
            "path:{real}/tree",
        ),
    ] {
        let config = format!("{config}[Output]\nFormat=none\n");
        let fixture = Fixture::new(&[("mkosi.conf", &config)]);
        let path = fixture.path(link);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(outside.path(), &path).unwrap();
        let filled = |text: &str| {
            text.replace("{path}", &path.display().to_string())
                .replace("{real}", &real.display().to_string())
        };
        assert_eq!(fixture.errors(), [filled(error)], "{link}");
        let flag = format!("`--allow={}`", filled(grant));
        assert!(
            fixture.hints()[0].contains(&flag),
            "{link}: {:?}",
            fixture.hints()
        );
        fixture.allow(&filled(grant)).load();
    }
}

#[test]
fn links_out_of_a_granted_directory_are_refused() {
    let granted = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(granted.path()).unwrap();
    fs_err::create_dir(real.join("own")).unwrap();
    symlink("/etc", real.join("link")).unwrap();
    symlink("own", real.join("inside")).unwrap();
    for (name, leads_out) in [
        ("link", true),
        ("link/apt", true),
        ("inside", false),
        ("own/../../x", true),
    ] {
        let path = real.join(name).display().to_string();
        let text = format!("[Content]\nBaseTrees={path}\n");
        let fixture =
            Fixture::new(&[("mkosi.conf", &text)]).allow(&format!("path:{}", real.display()));
        match leads_out {
            true => assert_eq!(fixture.errors().len(), 1, "{name}"),
            false => drop(fixture.load()),
        }
    }
}

#[test]
fn what_is_typed_to_be_included_is_not_written() {
    let shared = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(shared.path()).unwrap();
    fs_err::create_dir(real.join("tree")).unwrap();
    for (setting, may) in [
        ("[Content]\nExtraTrees", true),
        ("[Output]\nOutputDirectory", false),
    ] {
        fs_err::write(real.join("mkosi.conf"), format!("{setting}=tree\n")).unwrap();
        let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")])
            .with("Include", real.to_str().unwrap());
        assert_eq!(load(&fixture.invocation).is_ok(), may, "{setting}");
    }
}

#[test]
fn configuration_is_read_from_small_regular_files_only() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Build]\nEnvironmentFiles=fifo\n")]);
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&fixture.path("fifo"), mode).unwrap();
    assert_eq!(fixture.errors(), ["reading `fifo`"]);
    let fixture = Fixture::new(&[("mkosi.conf", ""), ("mkosi.env", &"#".repeat(1 << 20))]);
    fixture.load();
    fixture.write("mkosi.env", &"#".repeat((1 << 20) + 1));
    assert_eq!(fixture.errors(), ["reading `mkosi.env`"]);
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
    let granted = Fixture::new(&[(
        "mkosi.conf",
        &format!("[Include]\nInclude={file}\n[Output]\nFormat=none\n"),
    )]);
    let real = fs_err::canonicalize(file).unwrap();
    let grant = format!("path:{}", real.display());
    assert_eq!(
        granted.hints(),
        [format!("to permit it, pass `--allow={grant}`")]
    );
    assert_eq!(granted.allow(&grant).load().recipe("main").packages, ["x"]);
    assert_eq!(
        mistakes("[Include]\nInclude=nothing.conf\n"),
        ["mkosi.conf:2: nothing to include at `nothing.conf`"]
    );
    let typed = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]).with("Include", file);
    assert_eq!(typed.load().recipe("main").packages, ["x"]);
}

#[test]
fn what_the_host_has_decides_nothing() {
    for (path, grant) in [
        ("/etc/passwd", "path:/etc/passwd"),
        ("/etc/absent/x", "path:/etc"),
    ] {
        let text = format!("[Match]\nPathExists={path}\n[Output]\nFormat=none\n");
        let fixture = Fixture::new(&[
            ("mkosi.conf", "[Output]\nFormat=none\n"),
            ("mkosi.conf.d/x.conf", &text),
        ]);
        assert_eq!(
            fixture.errors(),
            [format!(
                "mkosi.conf.d/x.conf:2: `PathExists={path}` asks for a path outside the recipe's directory"
            )]
        );
        assert_eq!(
            fixture.hints(),
            [format!("to permit it, pass `--allow={grant}`")]
        );
        fixture.allow(grant).load();
    }
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
fn names_that_become_files_or_arguments_are_checked() {
    for text in [
        "[Output]\nOutput=../x\n",
        "[Output]\nImageId=a/b\n",
        "[Output]\nImageVersion=..\n",
        "[Output]\nOutputExtension=x/y\n",
        "[Config]\nProfiles=../x\n",
        "[Distribution]\nRelease=a[b]\n",
        "[Distribution]\nMirror=x y\n",
        "[Distribution]\nMirror=https://x\n    Trusted: yes\n",
        "[Distribution]\nLocalMirror=-x\n",
        "[Distribution]\nRepositories=-x\n",
        "[Distribution]\nArchitecture=../x86\n",
        "[Content]\nPackages=--allow-unauthenticated\n",
        "[Content]\nPackages=-oDir::Etc=/x\n",
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
            "[Output]\nCompressOutput=xz\nFormat=oci\n",
            "`CompressOutput=xz` is not supported: layers of OCI images are compressed with `gz` or `zstd` only",
        ),
        (
            "[Output]\nCompressOutput=bz2\n",
            "`CompressOutput=bz2` is not supported: outputs are compressed with `zstd`, `xz` or `gz` only",
        ),
        (
            "[Output]\nSplitArtifacts=roothash,kernel-modules-initrd\n",
            "`SplitArtifacts=kernel-modules-initrd` is not supported: this part is not split off yet",
        ),
        (
            "[Distribution]\nArchitecture=tilegx\n",
            "`Architecture=tilegx` is not supported: the distribution does not have it",
        ),
        (
            "[Distribution]\nMirror=file:///srv/mirror\n",
            "`Mirror=file:///srv/mirror` is not supported: repositories in directories are not read yet",
        ),
        (
            "[Distribution]\nLocalMirror=file:///etc\n",
            "`LocalMirror=file:///etc` is not supported: repositories in directories are not read yet",
        ),
        (
            "[Content]\nKernelModules=host\n",
            "`KernelModules=host` is not supported: an image does not depend on the machine that it is built on",
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
";
    let project = Fixture::new(&[("mkosi.conf", text)]).load();
    assert_eq!(project.notes, []);
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
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
