//! What a person grants reaches scripts of packages, and nothing else does.

use crate::harness::World;
use crate::hostile::write_extension;
use crate::repository::Repository;
use crate::require::{say_skipped, tool};

const POSTINST: &str = r#"#!/bin/sh
mkdir -p /usr/lib/lent
if sh -c ': <@DEVICE@'; then echo opened; else echo refused; fi >/usr/lib/lent/device
ls -A /dev >/usr/lib/lent/devices
env >/usr/lib/lent/environment
exit 0
"#;

/// Returns a device that whoever tests may open, and that no step has by itself.
fn device() -> Option<&'static str> {
    ["/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/kmsg"]
        .into_iter()
        .find(|path| fs_err::File::open(path).is_ok())
}

#[test]
fn granted_device_is_there_for_scripts_and_granted_variables_are_not() {
    require!(crate::require::building());
    let dpkg_deb = require!(tool("dpkg-deb"));
    let Some(device) = device() else {
        // Root may, and runs the tests as well.
        assert!(!nix::unistd::geteuid().is_root());
        return say_skipped("this user may open no device but the harmless ones");
    };
    let world = World::new();
    let script = POSTINST.replace("@DEVICE@", device);
    let repository = Repository::of(&dpkg_deb, "lent", Some(&script));
    write_extension(&world, &repository, "lent");
    world.write("mkosi.conf.d/token.conf", "[Build]\nEnvironment=TOKEN\n");
    let grant = format!("--allow=device:{device}");
    let found = |name: &str| {
        let path = world.path("mkosi.output/extension/usr/lib/lent").join(name);
        fs_err::read_to_string(path).unwrap()
    };
    // The layer without the device is not taken for the one with it, nor the other way round.
    for (arguments, opened) in [
        (vec!["-f", "--allow=env:TOKEN"], "refused\n"),
        (vec!["-f", "--allow=env:TOKEN", &grant], "opened\n"),
        (vec!["-f", "--allow=env:TOKEN"], "refused\n"),
    ] {
        let mut command = world.command(&arguments);
        command.env("TOKEN", "the-callers-secret");
        let build = world.finish(command);
        assert_eq!(build.status, Some(0), "{}", build.stderr);
        assert_eq!(found("device"), opened, "{arguments:?}");
        assert!(!found("environment").contains("TOKEN"));
        let name = device["/dev/".len()..].split('/').next().unwrap();
        let listed = found("devices").lines().any(|line| line == name);
        assert_eq!(listed, opened == "opened\n", "{arguments:?}");
    }
    assert!(!world.path("mkosi.output/extension/dev/fuse").exists());
}
