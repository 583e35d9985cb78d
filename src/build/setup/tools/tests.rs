//! Which tools are run for what a tree holds.

use std::collections::BTreeSet;

use super::{Call, SetUp};
use crate::build::fixture::{path, recipe, tree};

const TOOLS: &[&str] = &[
    "etc/",
    "etc/locale.gen",
    "usr/",
    "usr/bin/",
    "usr/bin/systemctl",
    "usr/bin/systemd-firstboot",
    "usr/bin/systemd-hwdb",
    "usr/bin/systemd-sysusers",
    "usr/bin/systemd-tmpfiles",
    "usr/lib/",
    "usr/lib/modules/",
    "usr/lib/modules/6.1/",
    "usr/lib/modules/6.1/kernel/",
    "usr/lib/modules/6.1/kernel/a.ko",
    "usr/lib/sysusers.d/",
    "usr/lib/sysusers.d/a.conf",
    "usr/lib/systemd/",
    "usr/lib/systemd/system-preset/",
    "usr/lib/systemd/system-preset/a.preset",
    "usr/lib/tmpfiles.d/",
    "usr/lib/tmpfiles.d/a.conf",
    "usr/lib/udev/",
    "usr/lib/udev/hwdb.d/",
    "usr/lib/udev/hwdb.d/a.hwdb",
    "usr/sbin/",
    "usr/sbin/depmod",
    "usr/sbin/locale-gen",
];

fn set_up(settings: &str, names: &[&str]) -> SetUp {
    let (_directory, recipe) = recipe(settings);
    SetUp::of(&tree(names), &recipe, &BTreeSet::new()).unwrap()
}

fn calls(set_up: &SetUp) -> Vec<String> {
    let line = |call: &Call| call.arguments.join(" ");
    set_up.calls.iter().map(line).collect()
}

#[test]
fn tools_are_run_in_mkosis_order() {
    let found = set_up(
        "[Output]\nFormat=tar\n[Content]\nLocale=C.UTF-8\nHostname=a b\n",
        TOOLS,
    );
    assert_eq!(
        calls(&found),
        [
            "/usr/sbin/locale-gen",
            "/usr/bin/systemd-sysusers",
            "/usr/bin/systemd-tmpfiles --boot --create --remove --exclude-prefix=/tmp \
             --exclude-prefix=/var/tmp --exclude-prefix=/run --exclude-prefix=/proc \
             --exclude-prefix=/sys --exclude-prefix=/dev",
            "/usr/bin/systemctl --root=/ preset-all",
            "/usr/bin/systemctl --root=/ --global preset-all",
            "/usr/bin/systemd-hwdb --usr --strict update",
            "/usr/sbin/depmod --all 6.1",
            "/usr/bin/systemd-firstboot --root=/proc/self/root --force --locale=C.UTF-8 --hostname=a b",
        ]
    );
    assert_eq!(found.missing, [""; 0]);
    let command = found.command().unwrap();
    assert_eq!(command[3..], ["set-up"]);
    assert!(command[2].contains("\nrun '65 73' '/usr/bin/systemd-tmpfiles' '--boot'"));
    assert!(command[2].ends_with("'--hostname=a b'\n"));
}

#[test]
fn a_portable_service_has_no_kernel_and_no_first_boot() {
    let found = set_up("[Output]\nFormat=portable\n[Content]\nHostname=a\n", TOOLS);
    let calls = calls(&found);
    assert!(
        !calls
            .iter()
            .any(|call| call.contains("depmod") || call.contains("firstboot"))
    );
    assert!(calls.iter().any(|call| call.contains("sysusers")));
}

#[test]
fn a_tool_that_is_missing_is_told_only_when_something_is_missed() {
    let without: Vec<&str> = TOOLS
        .iter()
        .copied()
        .filter(|name| !name.contains("bin/"))
        .collect();
    let found = set_up("[Output]\nFormat=tar\n[Content]\nKeymap=us\n", &without);
    assert!(found.command().is_none());
    assert_eq!(
        found.missing,
        [
            "the image has no `locale-gen`: locales are not made",
            "the image has no `systemd-sysusers`: system users are not made",
            "the image has no `systemd-tmpfiles`: directories are not made",
            "the image has no `systemctl`: units are not enabled by presets",
            "the image has no `systemd-hwdb`: the hardware database is not made",
            "the image has no `depmod`: kernel modules are not found by name",
            "the image has no `systemd-firstboot`: locale, keymap, time zone and host name are not set",
        ]
    );
    let nothing = set_up(
        "[Output]\nFormat=tar\n",
        &["usr/", "usr/bin/", "usr/bin/systemctl"],
    );
    assert!(nothing.command().is_none());
    assert_eq!(nothing.missing, [""; 0]);
}

#[test]
fn modules_are_indexed_when_some_are_gone_or_newer_than_the_index() {
    let mut names: Vec<&str> = TOOLS
        .iter()
        .copied()
        .filter(|name| name.contains("depmod") || name.contains("modules"))
        .collect();
    names.extend(["usr/", "usr/lib/", "usr/sbin/"]);
    names.sort_unstable();
    for index in [
        "modules.dep",
        "modules.dep.bin",
        "modules.symbols",
        "modules.symbols.bin",
    ] {
        names.push(match index {
            "modules.dep" => "usr/lib/modules/6.1/modules.dep",
            "modules.dep.bin" => "usr/lib/modules/6.1/modules.dep.bin",
            "modules.symbols" => "usr/lib/modules/6.1/modules.symbols",
            _ => "usr/lib/modules/6.1/modules.symbols.bin",
        });
    }
    let (_directory, recipe) = recipe("[Output]\nFormat=tar\n");
    let mut indexed = tree(&names);
    let of = |tree: &_, changed: &BTreeSet<_>| calls(&SetUp::of(tree, &recipe, changed).unwrap());
    assert_eq!(of(&indexed, &BTreeSet::new()), [""; 0]);
    let changed = BTreeSet::from([path("usr/lib/modules/6.1")]);
    assert_eq!(of(&indexed, &changed), ["/usr/sbin/depmod --all 6.1"]);
    let module = path("usr/lib/modules/6.1/kernel/a.ko");
    indexed.get_mut(&module).unwrap().modified.seconds += 1;
    assert_eq!(
        of(&indexed, &BTreeSet::new()),
        ["/usr/sbin/depmod --all 6.1"]
    );
}

#[test]
fn locales_are_made_when_the_list_names_one() {
    for (list, expected) in [("# de_DE.UTF-8 UTF-8\n\n", 0), (" de_DE.UTF-8 UTF-8", 1)] {
        let (_directory, recipe) = recipe("[Output]\nFormat=tar\n");
        let mut found = tree(&["etc/", "usr/", "usr/sbin/", "usr/sbin/locale-gen"]);
        crate::build::setup::files::add(
            &mut found,
            "etc/locale.gen",
            list,
            0o644,
            Default::default(),
        )
        .unwrap();
        let found = SetUp::of(&found, &recipe, &BTreeSet::new()).unwrap();
        assert_eq!(found.calls.len(), expected, "{list}");
    }
}
