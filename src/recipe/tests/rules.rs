//! The rules of the language that decide which files and conditions count, one row each.

use super::*;

/// A recipe that says what holds by the files to remove.
fn removed(fixture: &Fixture) -> Vec<String> {
    let project = fixture.look_at();
    let main = project.images.last().unwrap();
    let values = main.values("RemoveFiles").iter();
    values.map(|sourced| sourced.value.to_string()).collect()
}

const SETTINGS: &str = "[Output]\nFormat=cpio\nImageId=foo\n[Distribution]\nRelease=trixie\n";

#[test]
fn sections_of_conditions_are_combined() {
    for (conditions, is_read) in [
        ("[Match]\nFormat=cpio\nRelease=sid", false),
        ("[Match]\nFormat=|disk\nFormat=|cpio", true),
        ("[Match]\nFormat=|disk\nFormat=|tar", false),
        ("[Match]\nFormat=|cpio\nRelease=sid", false),
        ("[Match]\nFormat=|!disk", true),
        ("[Match]\nFormat=cpio\n[Match]\nRelease=sid", false),
        ("[Match]\nFormat=|cpio\n[Match]\nFormat=|disk", false),
        (
            "[TriggerMatch]\nRelease=sid\n[TriggerMatch]\nRelease=trixie",
            true,
        ),
        ("[TriggerMatch]\nRelease=sid", false),
        (
            "[Match]\nFormat=disk\n[TriggerMatch]\nRelease=trixie",
            false,
        ),
        (
            "[TriggerMatch]\nRelease=trixie\nFormat=disk\n[TriggerMatch]\nFormat=cpio",
            true,
        ),
        ("[TriggerMatch]\nFormat=|disk\nFormat=|tar", false),
        ("[TriggerMatch]", true),
        ("[Match]", true),
        // What comes after a condition that fails is not asked.
        (
            "[Match]\nFormat=disk\nNonsense=x\n[Content]\ngarbage",
            false,
        ),
        (
            "[TriggerMatch]\nFormat=disk\nNonsense=x\n[TriggerMatch]\nFormat=cpio",
            true,
        ),
        ("[Match]\nFormat=cpio\n[Assert]\nFormat=cpio", true),
        ("[Match]\nFormat=disk\n[Assert]\nFormat=disk", false),
        (
            "[TriggerAssert]\nFormat=disk\n[TriggerAssert]\nFormat=cpio",
            true,
        ),
    ] {
        let drop_in = format!("{conditions}\n[Content]\nRemoveFiles=/x\n");
        let fixture = Fixture::new(&[("mkosi.conf", SETTINGS), ("mkosi.conf.d/x.conf", &drop_in)]);
        assert_eq!(!removed(&fixture).is_empty(), is_read, "{conditions}");
    }
}

#[test]
fn conditions_compare_as_their_settings_do() {
    for (condition, holds) in [
        ("ImageId=f*", true),
        ("ImageId=F*", false),
        ("ImageId=[a-f]oo", true),
        // Without a value nothing holds, whatever comes of it is turned round.
        ("ImageVersion=1", false),
        ("ImageVersion=!1", true),
        ("ImageVersion=!=1", true),
        ("Profiles=", true),
        ("Profiles=!p", true),
        ("Image=", false),
        ("PathExists=", false),
        ("PathExists=mkosi.conf", true),
        ("PathExists=!nothing", true),
        ("HostArchitecture=x86-64", true),
        ("HostArchitecture=!x86-64", false),
        ("Environment=A", false),
        ("Release=%r", true),
        ("Profile=", true),
        ("SystemdVersion=>=250", true),
        ("SystemdVersion=<250", false),
        ("SystemdVersion=!<250", true),
        ("SystemdVersion=", false),
    ] {
        let drop_in = format!("[Match]\n{condition}\n[Content]\nRemoveFiles=/x\n");
        let mut fixture =
            Fixture::new(&[("mkosi.conf", SETTINGS), ("mkosi.conf.d/x.conf", &drop_in)]);
        fixture.invocation.host.systemd_version = Some("257".to_owned());
        assert_eq!(!removed(&fixture).is_empty(), holds, "{condition}");
    }
}

#[test]
fn conditions_that_never_hold_are_mistakes() {
    for (condition, expected) in [
        ("Format=cpi", "did you mean `cpio`"),
        ("Format=!|disk", "did you mean `disk`"),
        ("Bootable=enable", "did you mean `enabled`"),
        ("Architecture=x86_64", "did you mean `x86-64`"),
        ("HostArchitecture=x86_64", "did you mean `x86-64`"),
    ] {
        let drop_in = format!("[Match]\n{condition}\n");
        let fixture = Fixture::new(&[("mkosi.conf", SETTINGS), ("mkosi.conf.d/x.conf", &drop_in)]);
        assert_eq!(fixture.errors().len(), 1, "{condition}");
        assert_eq!(fixture.hints(), [expected], "{condition}");
    }
}

#[test]
fn version_of_systemd_that_is_not_known_is_told() {
    let text = "[Match]\nSystemdVersion=>=250\n[Content]\nRemoveFiles=/x\n";
    let fixture = Fixture::new(&[("mkosi.conf", SETTINGS), ("mkosi.conf.d/x.conf", text)]);
    assert_eq!(removed(&fixture), Vec::<String>::new());
    assert_eq!(
        fixture.warnings(),
        [
            "mkosi.conf.d/x.conf:2: the condition `SystemdVersion=` is not supported: the host's version of systemd \
             is not known, so it does not hold"
        ]
    );
}

#[test]
fn profiles_are_directories_and_files() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Config]\nProfiles=p\n"),
        ("mkosi.profiles/p", "[Content]\nRemoveFiles=/plain\n"),
        ("mkosi.profiles/p.conf", "[Content]\nRemoveFiles=/p\n"),
    ]);
    assert_eq!(removed(&fixture), ["/plain", "/p"]);
}

#[test]
fn local_files_beat_what_comes_later() {
    for (local, name, expected) in [
        ("[Output]\nImageId=\n", "ImageId", &[][..]),
        ("[Output]\nFormat=\n", "Format", &["disk"]),
        ("[Content]\nRemoveFiles=\n", "RemoveFiles", &["/main"]),
        (
            "[Content]\nRemoveFiles=/a\n",
            "RemoveFiles",
            &["/main", "/a"],
        ),
        ("[Output]\nImageId=local\n", "ImageId", &["local"]),
    ] {
        let main = "[Output]\nImageId=x\nFormat=cpio\n[Content]\nRemoveFiles=/main\n";
        let fixture = Fixture::new(&[("mkosi.conf", main), ("mkosi.local.conf", local)]);
        let project = fixture.look_at();
        let values: Vec<String> = project.images[0]
            .values(name)
            .iter()
            .map(|sourced| sourced.value.to_string())
            .collect();
        assert_eq!(values, expected, "{local}");
    }
}

#[test]
fn local_files_of_an_image_are_its_own() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.images/a/mkosi.local.conf", "[Output]\nImageId=a\n"),
        ("mkosi.images/b/mkosi.conf", "[Output]\nFormat=cpio\n"),
    ]);
    let project = fixture.load();
    assert_eq!(project.recipe("a").image_id.as_deref(), Some("a"));
    assert_eq!(project.recipe("b").image_id, None);
}

#[test]
fn typed_values_are_taken_as_they_are() {
    let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]).with("Output", "a%d");
    assert_eq!(fixture.load().recipe("main").output, "a%d");
}

#[test]
fn specifier_of_the_directory_is_that_of_the_file() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.conf.d/x.conf", "[Build]\nEnvironment=A=%C B=%P\n"),
    ]);
    let project = fixture.load();
    let environment = &project.recipe("main").environment;
    let path = |path: &str| fixture.path(path).display().to_string();
    assert_eq!(environment["A"], path("mkosi.conf.d"));
    assert_eq!(environment["B"], path("").trim_end_matches('/'));
}

#[test]
fn images_are_called_what_their_entries_are() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.images/a.conf", "[Content]\nExtraTrees=tree\n"),
        ("mkosi.images/b.conf/mkosi.conf", ""),
        ("mkosi.images/c", ""),
        ("mkosi.images/.d/mkosi.conf", ""),
    ]);
    let project = fixture.look_at();
    let names: Vec<&str> = project
        .images
        .iter()
        .map(|image| image.name.as_str())
        .collect();
    assert_eq!(names, [".d", "a", "b", "main"]);
    // Paths of a file start where the program was started.
    let trees = project.images[1].values("ExtraTrees");
    assert_eq!(
        trees[0].value.to_string(),
        fixture.path("tree").display().to_string()
    );
    assert_eq!(
        fixture.errors(),
        ["mkosi.images/.d: `.d` cannot be the name of an image"]
    );
    for name in ["main", "tools", "default-initrd"] {
        let path = format!("mkosi.images/{name}.conf");
        let fixture = Fixture::new(&[("mkosi.conf", ""), (&path, "")]);
        let message = format!("{path}: `{name}` cannot be the name of an image");
        assert_eq!(fixture.errors(), [message]);
    }
}

#[test]
fn images_that_wait_for_nothing_come_first() {
    for (images, order) in [
        (&[("a", "c"), ("b", ""), ("c", "")][..], "c b a main"),
        (
            &[("a", "c b"), ("b", ""), ("c", ""), ("d", "")],
            "c b d a main",
        ),
        (
            &[("a", ""), ("b", "d"), ("c", "b"), ("d", ""), ("e", "a")],
            "a d e b c main",
        ),
        (
            &[("w", "x"), ("x", "y z"), ("y", "z"), ("z", "")],
            "z y x w main",
        ),
    ] {
        let fixture = Fixture::new(&[("mkosi.conf", "[Output]\nFormat=none\n")]);
        for (name, dependencies) in images {
            let text = format!("[Config]\nDependencies={dependencies}\n[Output]\nFormat=none\n");
            fixture.write(&format!("mkosi.images/{name}.conf"), &text);
        }
        assert_eq!(fixture.load().names().join(" "), order);
    }
}

#[test]
fn mistakes_of_images_that_are_not_built_count_as_far_as_they_are_read() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "[Config]\nDependencies=a\n[Output]\nFormat=none\n",
        ),
        ("mkosi.images/a.conf", "[Output]\nFormat=cpio\n"),
        ("mkosi.images/b.conf", "[Config]\nDependencies=nothing\n"),
        ("mkosi.images/c.conf", "[Config]\nDependencies=c\n"),
        ("mkosi.images/d.conf", "[Content]\nBootable=yes\n"),
    ]);
    assert_eq!(fixture.load().names(), ["a", "main"]);
}

#[test]
fn configuration_of_the_program_is_included_by_its_name() {
    for (name, setting, on_debian, on_ubuntu) in [
        ("mkosi-initrd", "Packages", 13, 11),
        ("mkosi-tools", "Packages", 20, 21),
        ("mkosi-vm", "Packages", 12, 12),
        ("mkosi-addon", "Format", 1, 1),
        ("mkosi-obs", "SplitArtifacts", 4, 4),
    ] {
        for (distribution, release, count) in [
            ("debian", "trixie", on_debian),
            ("ubuntu", "noble", on_ubuntu),
        ] {
            let text = format!(
                "[Distribution]\nDistribution={distribution}\nRelease={release}\n[Include]\nInclude={name} {name}\n"
            );
            let project = Fixture::new(&[("mkosi.conf", &text)]).look_at();
            let values = project.images.last().unwrap().values(setting);
            assert_eq!(values.len(), count, "{name} on {distribution}: {values:?}");
            assert!(
                project.warnings.is_empty(),
                "{name}: {:?}",
                project.warnings
            );
        }
    }
}

#[test]
fn configuration_of_the_program_is_not_hidden_by_a_directory() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Include]\nInclude=mkosi-obs\n"),
        ("mkosi-obs/mkosi.conf", "[Content]\nRemoveFiles=/x\n"),
    ]);
    assert_eq!(removed(&fixture), Vec::<String>::new());
}

#[test]
fn files_included_together_are_read_one_in_the_other() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Include]\nInclude=a.conf b.conf a.conf\n"),
        (
            "a.conf",
            "[Content]\nRemoveFiles=/a1\nRemoveFiles=/a2\n[Include]\nInclude=b.conf\n",
        ),
        ("b.conf", "[Content]\nRemoveFiles=/b\n"),
    ]);
    assert_eq!(removed(&fixture), ["/a1", "/b", "/a2"]);
}

#[test]
fn typed_includes_are_read_when_all_options_are_known() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("a.conf", "[Match]\nImageId=x\n[Content]\nRemoveFiles=/a\n"),
    ])
    .with("Include", "a.conf")
    .with("ImageId", "x");
    assert_eq!(removed(&fixture), ["/a"]);
    assert_eq!(
        fixture.look_at().images[0].files,
        [fixture.path("mkosi.conf")]
    );
}
