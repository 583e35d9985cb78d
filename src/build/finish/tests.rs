use super::super::fixture::{TIME, names, path, recipe, text, tree};
use super::{clean_system, complete_system};

#[test]
fn a_system_loses_its_identity_and_what_is_volatile() {
    let installed = tree(&[
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
    let tree = clean_system(installed, TIME).unwrap();
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
fn a_portable_service_says_its_prefixes_and_has_no_entry_point() {
    let (_directory, recipe) =
        recipe("[Output]\nFormat=portable\n[Build]\nEnvironment=\"PORTABLE_PREFIXES=web db\"\n");
    let mut tree = tree(&[
        "usr/",
        "usr/lib/",
        "usr/lib/os-release",
        "usr/lib/systemd/",
        "usr/lib/systemd/systemd",
    ]);
    complete_system(&mut tree, &recipe, TIME).unwrap();
    assert_eq!(
        text(&tree, "usr/lib/os-release"),
        "usr/lib/os-release\nPORTABLE_PREFIXES=\"web db\"\n"
    );
    assert!(tree.get(&path("init")).is_none());
}

#[test]
fn a_release_file_that_is_hard_linked_is_changed_alone() {
    use crate::tree::HardLinkGroup;
    let (_directory, recipe) = recipe("[Output]\nFormat=directory\nImageId=img\n");
    let mut tree = tree(&[
        "etc/",
        "usr/",
        "usr/lib/",
        "usr/lib/os-release",
        "usr/lib/other",
    ]);
    for name in ["usr/lib/os-release", "usr/lib/other"] {
        tree.get_mut(&path(name)).unwrap().hard_link = Some(HardLinkGroup(1));
    }
    complete_system(&mut tree, &recipe, TIME).unwrap();
    assert_eq!(
        tree.get(&path("usr/lib/os-release")).unwrap().hard_link,
        None
    );
    assert_eq!(text(&tree, "usr/lib/other"), "usr/lib/other");
}

#[test]
fn what_a_later_step_leaves_behind_goes_and_what_the_recipe_put_there_stays() {
    let before = tree(&["etc/", "etc/machine-info", "var/", "var/log/"]);
    let after = tree(&[
        "etc/",
        "etc/machine-info",
        "var/",
        "var/log/",
        "var/log/dpkg.log",
    ]);
    let left = super::remove_leftovers(after, Some(&before));
    assert_eq!(
        names(&left),
        ["etc/", "etc/machine-info", "var/", "var/log/"]
    );
}
