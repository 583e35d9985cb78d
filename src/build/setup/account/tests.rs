//! What a recipe says of root, and days that tools write down.

use super::{clamp_days, set_up_root};
use crate::build::fixture::{TIME, path, recipe, text, tree};
use crate::build::setup::files;
use crate::tree::FileTree;

fn system(passwd: &str, shadow: Option<&str>) -> FileTree {
    let mut tree = tree(&["etc/", "usr/", "usr/lib/"]);
    files::add(&mut tree, "etc/passwd", passwd, 0o644, TIME).unwrap();
    if let Some(shadow) = shadow {
        files::add(&mut tree, "etc/shadow", shadow, 0o640, TIME).unwrap();
    }
    tree
}

fn with(settings: &str, tree: &mut FileTree) {
    let (_directory, recipe) = recipe(&format!("[Output]\n{settings}"));
    set_up_root(tree, &recipe, TIME).unwrap();
}

const PASSWD: &str = "daemon:*:1:1::/:/bin/false\nroot:*:0:0:root:/root:/bin/sh\n";

#[test]
fn roots_line_gets_password_and_shell() {
    let mut tree = system(PASSWD, Some("daemon:*:1::::::\nroot:*:1:0:9:7:::\n"));
    let hash = "$6$salt$hash";
    let settings =
        format!("Format=tar\n[Content]\nRootPassword=hashed:{hash}\nRootShell=/bin/zsh\n");
    with(&settings, &mut tree);
    assert_eq!(
        text(&tree, "etc/passwd"),
        "daemon:*:1:1::/:/bin/false\nroot:x:0:0:root:/root:/bin/zsh\n"
    );
    assert_eq!(
        text(&tree, "etc/shadow"),
        "daemon:*:1::::::\nroot:$6$salt$hash:19675:0:9:7:::\n"
    );
    assert_eq!(tree.get(&path("etc/shadow")).unwrap().mode, 0o640);
    assert_eq!(
        text(&tree, "usr/lib/credstore/passwd.shell.root"),
        "/bin/zsh"
    );
    let secret = "usr/lib/credstore/passwd.hashed-password.root";
    assert_eq!(text(&tree, secret), hash);
    assert_eq!(tree.get(&path(secret)).unwrap().mode, 0o600);
}

#[test]
fn a_plain_password_is_hashed_the_same_in_each_build() {
    let hashed = |settings: &str| {
        let mut tree = system(PASSWD, None);
        with(
            &format!("{settings}[Content]\nRootPassword=secret\n"),
            &mut tree,
        );
        text(&tree, "etc/shadow")
    };
    let line = hashed("Format=tar\n");
    assert!(line.starts_with("root:$6$") && line.ends_with(":19675:0:99999:7:::\n"));
    assert!(!line.contains("secret"));
    assert_eq!(hashed("Format=tar\n"), line);
    assert_ne!(
        hashed("Format=tar\nSeed=0e9a6fe0-68f6-408c-bbeb-136054d20445\n"),
        line
    );
}

#[test]
fn an_initrd_has_no_credentials_for_a_first_boot() {
    let mut tree = system(PASSWD, None);
    with(
        "Format=cpio\n[Content]\nMakeInitrd=yes\nKeymap=us\nRootShell=/bin/zsh\n",
        &mut tree,
    );
    assert!(tree.get(&path("usr/lib/credstore")).is_none());
    let mut tree = system(PASSWD, None);
    with("Format=cpio\n[Content]\nKeymap=us\n", &mut tree);
    assert_eq!(text(&tree, "usr/lib/credstore/firstboot.keymap"), "us");
}

#[test]
fn days_after_the_build_are_lowered_to_it() {
    let mut tree = system(
        PASSWD,
        Some("a:*:19676::::::\nb:*:19674::::::\nc:*:::::::\n"),
    );
    clamp_days(&mut tree, TIME).unwrap();
    assert_eq!(
        text(&tree, "etc/shadow"),
        "a:*:19675::::::\nb:*:19674::::::\nc:*:::::::\n"
    );
}
