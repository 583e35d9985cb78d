//! Several images: what they pass on, and their order.

use super::*;

#[test]
fn subimages_get_what_the_main_image_passes_on() {
    let fixture = Fixture::new(&[
        (
            "mkosi.conf",
            "\
[Config]
PassEnvironment=A
[Distribution]
Release=trixie
Mirror=https://mirror.example.org/debian
[Output]
ImageVersion=5
CompressLevel=9
Format=cpio
OutputMode=600
[Content]
Packages=only-main
SourceDateEpoch=11
WithDocs=no
[Build]
Environment=A=1 B=2
",
        ),
        (
            "mkosi.images/x.conf",
            "[Output]\nFormat=sysext\nCompressLevel=1\n",
        ),
        (
            "mkosi.images/y/mkosi.conf",
            "[Output]\nFormat=directory\nImageVersion=\n",
        ),
    ]);
    let project = fixture.load();
    assert_eq!(project.names(), ["x", "y", "main"]);
    let x = project.recipe("x");
    assert_eq!(x.release, "trixie");
    assert_eq!(
        x.mirror.as_deref(),
        Some("https://mirror.example.org/debian")
    );
    assert_eq!(x.output_mode, Some(0o600));
    assert_eq!(x.source_date_epoch, Some(11));
    assert_eq!(x.compress_level, 1);
    assert_eq!(x.image_version.as_deref(), Some("5"));
    assert_eq!(x.output_file_name(), "x_5.raw");
    assert_eq!(x.packages, Vec::<String>::new());
    assert!(x.with_docs);
    assert_eq!(
        x.environment.iter().collect::<Vec<_>>(),
        [(&"A".to_owned(), &"1".to_owned())]
    );
    assert_eq!(x.origin("Release"), Some(&origin_at("mkosi.conf", 4)));
    let y = project.recipe("y");
    assert_eq!(y.image_version, None);
    assert_eq!(y.output, "y");
    assert_eq!(y.compress_level, 9);
    assert_eq!(project.recipe("main").output, "image_5");
}

#[test]
fn local_settings_of_the_command_line_are_for_the_main_image() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.images/x/mkosi.conf", "[Output]\nFormat=directory\n"),
    ])
    .with("Format", "cpio")
    .with("Packages", "a")
    .with("Release", "sid")
    .with("ImageVersion", "4");
    let project = fixture.load();
    assert_eq!(project.recipe("x").format, Format::Directory);
    assert_eq!(project.recipe("x").packages, Vec::<String>::new());
    assert_eq!(project.recipe("x").release, "sid");
    assert_eq!(project.recipe("x").output, "x_4");
    assert_eq!(project.recipe("main").format, Format::Cpio);
    assert_eq!(project.recipe("main").packages, ["a"]);
}

/// Makes a project of images, each with its dependencies.
fn graph(images: &[(&str, Option<&str>)]) -> Fixture {
    let fixture = Fixture::new(&[]);
    for (name, dependencies) in images {
        let path = if *name == "main" {
            "mkosi.conf".to_owned()
        } else {
            format!("mkosi.images/{name}/mkosi.conf")
        };
        let config = dependencies
            .map(|names| format!("[Config]\nDependencies={names}\n"))
            .unwrap_or_default();
        fixture.write(&path, &format!("{config}[Output]\nFormat=none\n"));
    }
    fixture
}

#[test]
fn images_are_built_after_what_they_depend_on() {
    for (images, order) in [
        (
            &[("main", None), ("b", None), ("a", None)][..],
            &["a", "b", "main"][..],
        ),
        (
            &[("main", None), ("a", Some("z")), ("z", None)],
            &["z", "a", "main"],
        ),
        (
            &[
                ("main", Some("a")),
                ("a", Some("z")),
                ("b", None),
                ("z", None),
            ],
            &["z", "a", "main"],
        ),
        (&[("main", Some("")), ("a", None)], &["main"]),
    ] {
        assert_eq!(graph(images).load().names(), order, "{images:?}");
    }
}

#[test]
fn circles_and_unknown_images_are_mistakes() {
    let circle = graph(&[
        ("main", None),
        ("a", Some("b")),
        ("b", Some("c")),
        ("c", Some("a")),
    ]);
    assert_eq!(
        circle.errors(),
        ["mkosi.images/c/mkosi.conf:2: images depend on each other in a circle: a -> b -> c -> a"]
    );
    let unknown = graph(&[("main", Some("baes")), ("base", Some("nothing"))]);
    assert_eq!(
        unknown.errors(),
        ["mkosi.conf:2: image `main` depends on `baes`, which does not exist"]
    );
    let errors = load(&unknown.invocation).unwrap_err();
    assert_eq!(
        crate::Hint::hint(&errors).as_deref(),
        Some("did you mean `base`")
    );
}

#[test]
fn images_whose_conditions_fail_are_not_built() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        (
            "mkosi.images/x/mkosi.conf",
            "[Match]\nDistribution=ubuntu\n[Nonsense]\n",
        ),
        ("mkosi.images/y/mkosi.conf", "[Match]\nImage=y\n"),
    ]);
    assert_eq!(fixture.load().names(), ["y", "main"]);
}

#[test]
fn two_images_cannot_write_the_same_output() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nOutput=x\n"),
        ("mkosi.images/x/mkosi.conf", "[Output]\nFormat=directory\n"),
        (
            "mkosi.images/y/mkosi.conf",
            "[Output]\nFormat=directory\nOutput=x.raw\n",
        ),
    ]);
    assert_eq!(fixture.errors(), ["images `x` and `main` both write `x`"]);
    fixture.write("mkosi.images/x/mkosi.conf", "[Output]\nFormat=none\n");
    assert_eq!(
        fixture.errors(),
        ["images `y` and `main` both write `x.raw`"]
    );
}

#[test]
fn a_compressed_extension_is_told_to_be_none_that_systemd_uses() {
    for (format, count) in [("sysext", 1), ("disk", 0)] {
        let text = format!("[Output]\nFormat={format}\nCompressOutput=zstd\n");
        let notes = Fixture::new(&[("mkosi.conf", &text)]).load().notes;
        let texts: Vec<_> = notes.iter().map(|note| note.text.as_str()).collect();
        let told = ["systemd uses no compressed image: it is to be decompressed first"];
        assert_eq!(texts, told[..count]);
    }
}

#[test]
fn output_names_follow_the_format() {
    for (settings, file, link) in [
        ("Format=sysext", "image.raw", Some("image")),
        ("Format=disk", "image.raw", Some("image")),
        (
            "Format=disk\nCompressOutput=xz",
            "image.raw.xz",
            Some("image"),
        ),
        ("Format=directory\nCompressOutput=zstd", "image", None),
        ("Format=cpio", "image.cpio.zst", Some("image")),
        (
            "Format=cpio\nCompressOutput=no",
            "image.cpio",
            Some("image"),
        ),
        ("Format=directory\nImageId=a\nImageVersion=1", "a_1", None),
        (
            "Format=sysext\nOutput=b\nOutputExtension=sysext.raw",
            "b.sysext.raw",
            Some("b"),
        ),
    ] {
        let text = format!("[Output]\n{settings}\n");
        let project = Fixture::new(&[("mkosi.conf", &text)]).load();
        assert_eq!(
            project.recipe("main").output_file_name(),
            file,
            "{settings}"
        );
        assert_eq!(
            project.recipe("main").output_link_name(),
            link,
            "{settings}"
        );
    }
}

#[test]
fn profiles_that_do_not_exist_are_told() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Config]\nProfiles=devel\n"),
        ("mkosi.profiles/debug.conf", ""),
        ("mkosi.profiles/devl.conf", ""),
    ]);
    let warnings = fixture.load().warnings;
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(
        warning.to_string(),
        "mkosi.conf:2: profile `devel` does not exist"
    );
    assert_eq!(warning.hint().as_deref(), Some("did you mean `devl`"));
}

#[test]
fn magic_files_a_subimage_may_not_have_are_passed_over() {
    let fixture = Fixture::new(&[
        ("mkosi.conf", "[Output]\nFormat=none\n"),
        ("mkosi.images/x/mkosi.conf", "[Output]\nFormat=sysext\n"),
        ("mkosi.images/x/mkosi.key", ""),
    ]);
    let project = fixture.load();
    assert_eq!(project.recipe("x").verity_key, None);
    assert_eq!(project.notes, []);
}
