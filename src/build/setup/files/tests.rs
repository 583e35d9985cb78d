//! Files of a system that take no tool to make.

use super::{begin, clean, complete};
use crate::build::fixture::{TIME, names, path, recipe, text, tree};

#[test]
fn a_new_system_has_where_to_boot_from_and_its_machine_id() {
    let settings = "[Content]\nMachineId=0123456789abcdef0123456789ABCDEF\n";
    let (_directory, of_recipe) = recipe(&format!("[Output]\nFormat=tar\n{settings}"));
    let mut system = tree(&["etc/"]);
    begin(&mut system, &of_recipe, TIME).unwrap();
    assert_eq!(
        names(&system),
        [
            "boot/",
            "boot/loader/",
            "boot/loader/entries.srel",
            "efi/",
            "etc/",
            "etc/machine-id"
        ]
    );
    assert_eq!(
        text(&system, "etc/machine-id"),
        "0123456789abcdef0123456789abcdef\n"
    );
    assert_eq!(system.get(&path("efi")).unwrap().mode, 0o500);
    assert_eq!(
        system.get(&path("boot/loader/entries.srel")).unwrap().mode,
        0o600
    );

    let text = format!("[Output]\nFormat=tar\n{settings}BaseTrees=base\n");
    let (_directory, on_base) = recipe(&text);
    let mut system = tree(&["etc/"]);
    begin(&mut system, &on_base, TIME).unwrap();
    assert_eq!(names(&system), ["etc/", "etc/machine-id"]);
}

#[test]
fn any_machine_id_is_the_same_in_each_build_and_another_with_another_seed() {
    let id = |settings: &str| {
        let text = format!("[Output]\nFormat=tar\n{settings}[Content]\nMachineId=random\n");
        let (_directory, recipe) = recipe(&text);
        let mut system = tree(&["etc/"]);
        begin(&mut system, &recipe, TIME).unwrap();
        super::super::super::fixture::text(&system, "etc/machine-id")
    };
    let first = id("");
    assert_eq!(first.len(), 33);
    assert_eq!(id(""), first);
    assert_ne!(id("Seed=0e9a6fe0-68f6-408c-bbeb-136054d20445\n"), first);
}

#[test]
fn consoles_log_root_in_when_the_recipe_says_so() {
    let (_directory, recipe) = recipe("[Output]\nFormat=tar\n[Content]\nAutologin=yes\n");
    let mut system = tree(&["usr/"]);
    complete(&mut system, &recipe, TIME).unwrap();
    let file = "usr/lib/systemd/system/serial-getty@hvc0.service.d/autologin.conf";
    assert_eq!(
        text(&system, file),
        "[Service]\nExecStart=\nExecStart=-agetty -o '-f -p -- \\\\u' --autologin root \
         --keep-baud 115200,57600,38400,9600 - $TERM\nStandardInput=tty\nStandardOutput=tty\n"
    );
}

#[test]
fn a_system_with_systemd_knows_the_time_of_its_build() {
    let (_directory, recipe) = recipe("[Output]\nFormat=tar\n");
    let mut system = tree(&[
        "usr/",
        "usr/lib/",
        "usr/lib/systemd/",
        "usr/lib/systemd/systemd",
    ]);
    complete(&mut system, &recipe, TIME).unwrap();
    assert_eq!(
        system.get(&path("usr/lib/clock-epoch")).unwrap().modified,
        TIME
    );
    let mut other = tree(&["usr/", "usr/lib/"]);
    complete(&mut other, &recipe, TIME).unwrap();
    assert_eq!(names(&other), ["usr/", "usr/lib/"]);
}

#[test]
fn a_hardware_database_of_the_administrator_does_not_hide_the_new_one() {
    let system = tree(&["etc/", "etc/udev/", "etc/udev/hwdb.bin"]);
    let cleaned = clean(system, TIME).unwrap();
    assert_eq!(names(&cleaned), ["etc/", "etc/udev/"]);
}
