use super::super::fixture::{TIME, names, path, recipe, text, tree};
use super::{complete_system, matches_name, matches_path, remove_files};

#[test]
fn a_system_loses_its_identity_and_what_is_volatile() {
    let (_directory, recipe) = recipe("[Output]\nFormat=directory\n");
    let mut tree = tree(&[
        "dev/",
        "dev/null",
        "etc/",
        "etc/machine-id",
        "run/",
        "run/lock/",
        "var/",
        "var/lib/",
        "var/lib/systemd/",
        "var/lib/systemd/random-seed",
        "var/log/",
        "var/log/alternatives.log",
    ]);
    complete_system(&mut tree, &recipe, TIME).unwrap();
    let expected = [
        "dev/",
        "etc/",
        "etc/machine-id",
        "run/",
        "var/",
        "var/lib/",
        "var/lib/systemd/",
        "var/log/",
    ];
    assert_eq!(names(&tree), expected);
    assert_eq!(text(&tree, "etc/machine-id"), "uninitialized\n");
    assert_eq!(tree.get(&path("etc/machine-id")).unwrap().mode, 0o444);
}

#[test]
fn an_initrd_gets_its_entry_points_unless_it_has_them() {
    let (_directory, recipe) = recipe("[Output]\nFormat=cpio\n[Content]\nMakeInitrd=yes\n");
    let systemd = [
        "etc/",
        "usr/",
        "usr/lib/",
        "usr/lib/systemd/",
        "usr/lib/systemd/systemd",
    ];
    let mut made = tree(&systemd);
    complete_system(&mut made, &recipe, TIME).unwrap();
    assert!(names(&made).contains(&"init -> /usr/lib/systemd/systemd".to_owned()));
    assert!(names(&made).contains(&"etc/initrd-release -> /etc/os-release".to_owned()));
    let mut own = tree(&[&systemd[..], &["init", "etc/initrd-release"]].concat());
    complete_system(&mut own, &recipe, TIME).unwrap();
    assert_eq!(text(&own, "init"), "init");
    assert_eq!(text(&own, "etc/initrd-release"), "etc/initrd-release");
}

#[test]
fn image_id_and_version_replace_those_of_os_release() {
    let (_directory, recipe) = recipe("[Output]\nFormat=directory\nImageId=img\nImageVersion=7\n");
    let mut tree = tree(&["etc/", "usr/", "usr/lib/", "usr/lib/os-release"]);
    complete_system(&mut tree, &recipe, TIME).unwrap();
    assert_eq!(
        text(&tree, "usr/lib/os-release"),
        "usr/lib/os-release\nIMAGE_ID=img\nIMAGE_VERSION=7\n"
    );
}

#[test]
fn package_databases_go_by_setting_format_and_package_manager() {
    let database = [
        "var/",
        "var/lib/",
        "var/lib/apt/",
        "var/lib/dpkg/",
        "var/lib/dpkg/status",
    ];
    let with_dpkg = [&["usr/", "usr/bin/", "usr/bin/dpkg"][..], &database].concat();
    for (settings, names_before, dpkg_stays, apt_stays) in [
        ("Format=directory\n[Content]\n", &database[..], true, true),
        ("Format=cpio\n[Content]\n", &database, false, false),
        ("Format=cpio\n[Content]\n", &with_dpkg, true, false),
        (
            "Format=cpio\n[Content]\nCleanPackageMetadata=no\n",
            &database,
            true,
            true,
        ),
        (
            "Format=directory\n[Content]\nCleanPackageMetadata=yes\n",
            &with_dpkg,
            false,
            false,
        ),
    ] {
        let (_directory, recipe) = recipe(&format!("[Output]\n{settings}"));
        let cleaned = remove_files(tree(names_before), &recipe);
        assert_eq!(
            cleaned.get(&path("var/lib/dpkg/status")).is_some(),
            dpkg_stays,
            "{settings}"
        );
        assert_eq!(
            cleaned.get(&path("var/lib/apt")).is_some(),
            apt_stays,
            "{settings}"
        );
    }
}

#[test]
fn files_named_by_the_recipe_are_removed_with_all_below() {
    let (_directory, recipe) =
        recipe("[Output]\nFormat=directory\n[Content]\nRemoveFiles=/usr/share/d?c usr/*/x.so\n");
    let before = tree(&[
        "usr/",
        "usr/lib/",
        "usr/lib/x.so",
        "usr/share/",
        "usr/share/doc/",
        "usr/share/doc/y",
    ]);
    assert_eq!(
        names(&remove_files(before, &recipe)),
        ["usr/", "usr/lib/", "usr/share/"]
    );
}

#[test]
fn names_match_patterns_as_in_a_shell() {
    for (pattern, name, expected) in [
        ("*.so", "libx.so", true),
        ("*.so", "libx.so.1", false),
        ("a?c", "abc", true),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[]]", "]", true),
        ("[", "[", true),
        ("a*b*c", "axxbyyc", true),
    ] {
        assert_eq!(
            matches_name(pattern.as_bytes(), name.as_bytes()),
            expected,
            "{pattern} {name}"
        );
    }
}

#[test]
fn paths_match_component_by_component() {
    let split =
        |path: &'static str| -> Vec<&'static [u8]> { path.split('/').map(str::as_bytes).collect() };
    assert!(matches_path(&["usr", "*", "doc"], &split("usr/share/doc")));
    assert!(!matches_path(&["usr", "*"], &split("usr/share/doc")));
    assert!(matches_path(&["**", "doc"], &split("usr/share/doc")));
}
