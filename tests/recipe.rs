//! Wrong recipes: each mistake with its place, all of them at once, and nothing is built.

use std::os::unix::fs::PermissionsExt;

use crate::harness::World;

/// Returns the world of a recipe with this text.
fn world(text: &str) -> World {
    let world = World::new();
    world.write("mkosi.conf", text);
    world
}

const MISTAKES: &str = "\
warning: mkosi.conf:2:1: unknown setting `Releas=` in `[Distribution]`
  2 | Releas=bookworm
    | ^^^^^^ did you mean `Release=`

error: mkosi.conf:5:8: `Format=` is `sysex`, expected one of `confext`, `cpio`, `directory`, `disk`, `esp`, \
`none`, `portable`, `sysext`, `tar`, `uki`, `oci`, `addon`
  5 | Format=sysex
    |        ^^^^^ did you mean `sysext`

error: mkosi.conf:6:9: `Overlay=` is `perhaps`, expected a boolean (`yes` or `no`)
  6 | Overlay=perhaps
    |         ^^^^^^^

error: mkosi.conf:7:6: `Seed=` is `not-a-uuid`, expected a UUID or `random`
  7 | Seed=not-a-uuid
    |      ^^^^^^^^^^

error: mkosi.conf:8:12: `OutputMode=` is `9`, expected octal permission bits up to 1777
  8 | OutputMode=9
    |            ^

error: mkosi.conf:9:15: `CompressLevel=` is `high`, expected a whole number, zero or more
  9 | CompressLevel=high
    |               ^^^^

warning: mkosi.conf:11:1: unknown section `[Nonsense]`
  11 | [Nonsense]
     | ^^^^^^^^^^

error: mkosi.conf:15:10: `Bootable=yes` is not supported: bootable images are out of scope
  15 | Bootable=yes
     |          ^^^

warning: mkosi.conf:16:1: unknown setting `Pakages=` in `[Content]`
  16 | Pakages=bash
     | ^^^^^^^ did you mean `Packages=`

error: mkosi.conf:17:5: `Ssh=always` is not supported: sshd units are not written yet
  17 | Ssh=always
     |     ^^^^^^
";

#[test]
fn every_mistake_is_told_in_the_order_of_the_file() {
    let world = world(
        "[Distribution]\nReleas=bookworm\n\n\
         [Output]\nFormat=sysex\nOverlay=perhaps\nSeed=not-a-uuid\nOutputMode=9\nCompressLevel=high\n\n\
         [Nonsense]\nKey=value\n\n\
         [Content]\nBootable=yes\nPakages=bash\nSsh=always\n",
    );
    world.run(&["-f"]).assert_failed(2, MISTAKES);
    assert!(!world.home().join(".cache").exists());
}

#[test]
fn mistakes_that_different_passes_find_are_in_the_order_of_the_file() {
    world("[Content]\nExtraTrees=/etc\nBaseTrees=%q\n")
        .run(&["-f"])
        .assert_failed(
            2,
            "error: mkosi.conf:2:12: `/etc` is outside the recipe's directory
  2 | ExtraTrees=/etc
    |            ^^^^

hint: to permit it, pass `--allow=path:/etc`

warning: mkosi.conf:3:11: unknown specifier `%q` in `BaseTrees=`
  3 | BaseTrees=%q
    |           ^^

hint: write `%%` for a percent sign
",
        );
}

#[test]
fn word_of_a_list_is_shown_in_its_line_and_below_itself() {
    world(
        "\t[Content]\n\tPackages =\n\t\tbash # a shell\n\n\t\té,\t漢 curl\n\
         \t[Build]\n\tEnvironment=A=x B=漢 1=::y\n\
         \t[Distribution]\n\tRepositories = main,\n\t  con$trib, non-free\n",
    )
    .run(&["-f"])
    .assert_failed(
        2,
        "error: mkosi.conf:5:3: `Packages=` is `é`, expected the name of a package
  5 |         é,  漢 curl
    |         ^

error: mkosi.conf:5:6: `Packages=` is `漢`, expected the name of a package
  5 |         é,  漢 curl
    |             ^^

error: mkosi.conf:7:22: `Environment=` is `1=::y`, expected `NAME=VALUE`
  7 |     Environment=A=x B=漢 1=::y
    |                          ^^^^^

error: mkosi.conf:10:4: `Repositories=` is `con$trib`, expected at most 255 letters, digits and `.`, `_`, `~`, `+`, \
         `:`, `/` or `-`, starting with a letter or digit
  10 |       con$trib, non-free
     |       ^^^^^^^^
",
    );
}

#[test]
fn what_stands_for_nothing_is_marked_alone() {
    let world = world(
        "[Output]\nFormat=none\n[Content]\nFinalizeScripts=absent/*.sh\n\
         [Build]\nCacheKey=&d-&q\nBuildKey=%Z\n",
    );
    let summary = world.run(&["summary"]);
    let marked: Vec<&str> = summary
        .stderr
        .lines()
        .filter(|line| line.contains(" | ") || line.starts_with("warning"))
        .collect();
    assert_eq!(
        marked,
        [
            "warning: mkosi.conf:4:17: `FinalizeScripts=absent/*.sh` matches nothing",
            "  4 | FinalizeScripts=absent/*.sh",
            "    |                 ^^^^^^^^^^^",
            "warning: mkosi.conf:6:13: `&q` in `CacheKey=` stands for nothing",
            "  6 | CacheKey=&d-&q",
            "    |             ^^",
            "warning: mkosi.conf:7:10: unknown specifier `%Z` in `BuildKey=`",
            "  7 | BuildKey=%Z",
            "    |          ^^",
        ]
    );
}

#[test]
fn what_a_build_does_otherwise_is_told_with_its_line() {
    let world = world("[Output]\nFormat=directory\nSeed=random\n[Content]\nExtraTrees=tree\n");
    world.write("tree/usr/x", "");
    let told = world.run(&["-f"]);
    let warning = "warning: mkosi.conf:3:6: `Seed=random` is made of the recipe instead, so that builds repeat
  3 | Seed=random
    |      ^^^^^^
";
    assert!(told.stderr.starts_with(warning), "{}", told.stderr);
}

#[test]
fn strict_makes_errors_of_warnings() {
    let text = "[Output]\nFormat=directory\n[Contents]\nPackages=bash\n";
    let finding = "mkosi.conf:3:1: unknown section `[Contents]`
  3 | [Contents]
    | ^^^^^^^^^^ did you mean `[Content]`
";
    let world = world(text);
    for verb in ["build", "summary", "clean"] {
        world
            .run(&["--strict", verb])
            .assert_failed(2, &format!("error: {finding}"));
    }
    let summary = world.run(&["summary"]);
    assert_eq!(summary.stderr, format!("warning: {finding}"));
    assert_eq!(summary.status, Some(0));
}

#[test]
fn text_of_a_recipe_cannot_act_on_who_reads_about_it() {
    let world = world("[Content]\n::error::x=\u{1b}[31m\n");
    let mut command = world.command(&["summary"]);
    command.env("GITHUB_ACTIONS", "true");
    world.finish(command).assert_failed(
        2,
        "error: mkosi.conf:2:12: a control character (U+001B)
  2 | ::error::x=^[[31m
    |            ^^
",
    );
}

#[test]
fn option_with_a_wrong_value_is_named() {
    world("[Output]\nFormat=cpio\n")
        .run(&["--compress-output=zstdd", "--overlay", "perhaps"])
        .assert_failed(
            2,
            "error: --compress-output: `CompressOutput=` is `zstdd`, expected one of `none`, `zstd`, `xz`, `bz2`, \
             `gz`, `lz4`, `lzma`\n\n\
             hint: did you mean `zstd`\n\n\
             error: --overlay: `Overlay=` is `perhaps`, expected a boolean (`yes` or `no`)\n",
        );
}

#[test]
fn base_tree_that_nothing_makes_is_told_before_the_other_images_are_built() {
    let world = world("[Output]\nFormat=directory\n");
    world.write(
        "mkosi.images/app/mkosi.conf",
        "[Output]\nFormat=sysext\nOverlay=yes\n\n[Content]\nBaseTrees=%D/absent\nPackages=hello\n",
    );
    world.run(&["-f"]).assert_failed(
        2,
        "error: mkosi.images/app/mkosi.conf:6: the base tree `<world>/recipe/absent` does not exist\n\n\
         hint: correct the path, or name the image that makes it in `Dependencies=`\n",
    );
}

#[test]
fn extra_tree_that_is_not_there_is_told_before_anything_is_built() {
    let world = world("[Output]\nFormat=directory\n\n[Content]\nExtraTrees=none\n");
    world.run(&["-f"]).assert_failed(
        2,
        "error: mkosi.conf:5: the tree cannot be read\n  \
         caused by: opening `<world>/recipe/none`\n  \
         caused by: No such file or directory (os error 2)\n",
    );
}

#[test]
fn extension_without_a_base_tree_is_told() {
    world("[Output]\nFormat=sysext\n\n[Content]\nPackages=hello\n")
        .run(&["-f"])
        .assert_failed(
            2,
            "error: mkosi.conf:5: the extension `main` has packages but no base tree to install them on\n\n\
             hint: name the output of an image with `Format=directory` in `BaseTrees=`, such as \
             `BaseTrees=%O/base`\n",
        );
}

const SIGNED: &str = "[Output]\nFormat=sysext\nOverlay=yes\n\n[Content]\nBaseTrees=base\n\n[Validation]\nVerity=signed\n";

#[test]
fn signed_extension_without_a_key_is_told() {
    world(SIGNED).run(&["-f"]).assert_failed(
        2,
        "error: mkosi.conf:9: `Verity=` asks for a signature, but there is no key (`VerityKey=`)\n\n\
         hint: make one with `overcoat genkey`, or name one with `VerityKey=` and `VerityCertificate=`\n",
    );
}

#[test]
fn key_that_others_can_read_or_that_does_not_fit_is_refused() {
    let world = world(SIGNED);
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    let key = world.path("mkosi.key");
    fs_err::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    world.run(&["-f"]).assert_failed(
        2,
        "error: mkosi.key: others may open `mkosi.key`, which is to be secret: its mode is 0644\n\n\
         hint: run `chmod 640 mkosi.key`\n",
    );
    fs_err::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let certificate = fs_err::read(world.path("mkosi.crt")).unwrap();
    assert_eq!(world.run(&["genkey", "-f"]).status, Some(0));
    fs_err::write(world.path("mkosi.crt"), certificate).unwrap();
    world.run(&["-f"]).assert_failed(
        2,
        "error: mkosi.key: the key of the signature cannot be used\n  \
         caused by: the certificate `<world>/recipe/mkosi.crt` was not made for the signing key \
         `<world>/recipe/mkosi.key`\n\n\
         hint: make a key and its certificate with `overcoat genkey`\n",
    );
}

#[test]
fn key_that_is_not_there_is_told_with_the_line_that_names_it() {
    world(&format!(
        "{SIGNED}VerityKey=absent.key\nVerityCertificate=absent.crt\n"
    ))
    .run(&["-f"])
    .assert_failed(
        2,
        "error: mkosi.conf:10: the key of the signature cannot be used\n  \
         caused by: reading the signing key `<world>/recipe/absent.key`\n  \
         caused by: No such file or directory (os error 2)\n\n\
         hint: make a key and its certificate with `overcoat genkey`\n",
    );
}

#[test]
fn place_for_caches_must_be_known() {
    let world = world("[Output]\nFormat=directory\n");
    let mut command = world.command(&["-f"]);
    command.env_remove("HOME");
    world.finish(command).assert_failed(
        1,
        "error: there is no directory for caches\n\n\
         hint: set `HOME` or `XDG_CACHE_HOME`, or name one with `CacheDirectory=`\n",
    );
}
