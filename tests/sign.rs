use crate::harness::World;

/// Returns a world with an extension that is to be signed, and a key.
fn deferred() -> World {
    let world = World::new();
    world.write(
        "mkosi.conf",
        "[Output]\nFormat=sysext\nOutput=tools\n[Content]\nExtraTrees=tree\n[Validation]\nVerity=defer\n",
    );
    world.write("tree/usr/bin/tool", "#!/bin/sh\n");
    let build = world.run(&["-f"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert_eq!(world.run(&["genkey"]).status, Some(0));
    world
}

#[test]
fn image_is_signed_later_as_if_it_had_been_signed_at_once() {
    let world = deferred();
    let root_hash = fs_err::read_to_string(world.path("tools.roothash")).unwrap();
    let signed = world.run(&["sign", "tools.raw"]);
    assert_eq!(signed.status, Some(0), "{}", signed.stderr);
    assert_eq!(
        signed.stderr,
        format!("signed tools.raw: root hash {root_hash}\n")
    );
    let later = fs_err::read(world.path("tools.raw")).unwrap();
    let build = world.run(&["-f", "--verity=signed"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    assert!(fs_err::read(world.path("tools.raw")).unwrap() == later);
    world.run(&["sign", "tools.raw"]).assert_failed(
        1,
        "error: signing the image `tools.raw`\n  caused by: it is signed already\n\n\
         hint: `--force` signs it again\n",
    );
    let again = world.run(&["sign", "--force", "--json", "tools.raw"]);
    let event: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(event["event"], "image-signed");
    assert_eq!(event["root_hash"], root_hash);
    assert!(fs_err::read(world.path("tools.raw")).unwrap() == later);
}

#[test]
fn checksums_are_those_of_the_signed_image() {
    let world = deferred();
    let build = world.run(&["-f", "--checksum=yes"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let sums = || fs_err::read_to_string(world.path("tools.SHA256SUMS")).unwrap();
    let before = sums();
    world.write("tools.SHA256SUMS.gpg", "");
    let root_hash = fs_err::read_to_string(world.path("tools.roothash")).unwrap();
    let signed = world.run(&["sign", "tools.raw"]);
    assert_eq!(
        signed.stderr,
        format!(
            "signed tools.raw: root hash {root_hash}\nupdated tools.SHA256SUMS\n\
             warning: tools.SHA256SUMS.gpg is the signature of the checksums as they were before; sign them again with \
             `gpg --detach-sign`\n"
        )
    );
    assert_eq!(signed.status, Some(0));
    assert_ne!(sums(), before);
    let build = world.run(&["-f", "--checksum=yes", "--verity=signed"]);
    assert_eq!(build.status, Some(0), "{}", build.stderr);
    let image = |sums: String| sums.lines().next().map(str::to_owned);
    let at_once = image(sums());
    let again = world.run(&["-f", "--checksum=yes"]);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    world.run(&["sign", "tools.raw"]);
    assert_eq!(image(sums()), at_once);
}

#[test]
fn what_cannot_be_signed_is_told() {
    let world = deferred();
    world.run(&["sign", "absent.raw"]).assert_failed(
        1,
        "error: opening the image `absent.raw`\n  caused by: No such file or directory (os error 2)\n",
    );
    world.run(&["sign", "mkosi.conf"]).assert_failed(
        1,
        "error: signing the image `mkosi.conf`\n  caused by: there is no partition table in it\n",
    );
    world
        .run(&["sign", "--verity-key=absent", "tools.raw"])
        .assert_failed(
            2,
            "error: reading the signing key `absent`\n  caused by: No such file or directory (os error 2)\n\n\
             hint: make a key and its certificate with `overcoat genkey`\n",
        );
    world.run(&["--json", "sign", "tools.raw"]).assert_failed(
        2,
        "error: unexpected argument `tools.raw` after the verb\n\nhint: `overcoat --help` lists the options\n",
    );
    let help = world.run(&["sign", "--help"]);
    assert_eq!(help.status, Some(0), "{}", help.stderr);
    assert_eq!(help.stdout.matches("--verity-certificate").count(), 1);
}
