use super::super::fixture::{entry, path, put, tree};
use super::{EXPECTED, LeftOut, LeftOutKind, left_out};
use crate::extension::{ExtensionKind, Lint};
use crate::tree::FileTree;

/// What an installed daemon of Debian changes.
fn daemon() -> FileTree {
    let mut tree = tree(&[
        "etc/.pwd.lock",
        "etc/alternatives/web -> /usr/bin/daemon",
        "etc/daemon/daemon.conf",
        "etc/daemon/sub/more.conf",
        "etc/group=root:x:0:\ndaemon:x:998:\nweb:x:997:\n",
        "etc/init.d/daemon",
        "etc/logrotate.d/daemon",
        "etc/nsswitch.conf=new",
        "etc/passwd=root:x:0:0:root:/root:/bin/sh\ndaemon:x:998:998:A daemon:/var/lib/daemon:/usr/sbin/nologin\n",
        "etc/rc2.d/S01daemon -> ../init.d/daemon",
        "etc/shadow=",
        "etc/systemd/system/multi-user.target.wants/daemon.service -> /usr/lib/systemd/system/daemon.service",
        "etc/systemd/system/web.service -> /usr/lib/systemd/system/daemon.service",
        "srv/www/index.html",
        "usr/bin/daemon",
        "usr/lib/systemd/system/daemon.service=[Service]\nExecStart=/usr/bin/daemon\n",
        "var/cache/daemon/",
        "var/lib/daemon/pages/",
        "var/lib/daemon/seed",
        "var/lib/dpkg/status",
        "var/log/daemon/",
    ]);
    entry(&mut tree, "var/lib/daemon").mode = 0o750;
    for name in ["var/lib/daemon", "var/lib/daemon/pages"] {
        entry(&mut tree, name).uid = 998;
        entry(&mut tree, name).gid = 998;
    }
    tree
}

fn base() -> FileTree {
    tree(&[
        "etc/group=root:x:0:\n",
        "etc/logrotate.d/",
        "etc/nsswitch.conf=old",
        "etc/passwd=root:x:0:0:root:/root:/bin/sh\n",
        "etc/systemd/system/",
        "usr/lib/systemd/system/",
        "var/lib/dpkg/status=old",
    ])
}

fn found(payload: &FileTree, kind: ExtensionKind) -> Vec<LeftOut> {
    left_out(payload, Some(&base()), kind).unwrap()
}

/// Returns items of one kind, each as its path and what remedies it.
fn items(found: &[LeftOut], kind: LeftOutKind) -> Vec<String> {
    let of_kind = found.iter().filter(|left_out| left_out.kind == kind);
    let items = of_kind.flat_map(|left_out| &left_out.items);
    items
        .map(|item| format!("{}: {}", item.path, item.remedies.join("; ")))
        .collect()
}

#[test]
fn each_kind_has_its_paths_and_the_lines_that_bring_them_about() {
    let found = found(&daemon(), ExtensionKind::Sysext);
    let kinds: Vec<_> = found.iter().map(|left_out| left_out.kind).collect();
    use LeftOutKind::*;
    assert_eq!(
        kinds,
        [
            Accounts,
            Units,
            Alternatives,
            Configuration,
            ChangedConfiguration,
            State,
            Elsewhere
        ]
    );
    let of = |kind| items(&found, kind);
    assert_eq!(
        of(Accounts),
        [
            "etc/passwd: u daemon - \"A daemon\" /var/lib/daemon /usr/sbin/nologin",
            "etc/group: g web -",
        ]
    );
    assert_eq!(
        of(Units),
        [
            "etc/systemd/system/multi-user.target.wants: \
             /usr/lib/systemd/system/multi-user.target.wants/daemon.service -> ../daemon.service",
            "etc/systemd/system/web.service: /usr/lib/systemd/system/web.service -> daemon.service",
        ]
    );
    assert_eq!(
        of(Alternatives),
        ["etc/alternatives/web: L+ /etc/alternatives/web - - - - /usr/bin/daemon"]
    );
    assert_eq!(
        of(Configuration),
        [
            "etc/daemon: C /etc/daemon - - - -",
            "etc/logrotate.d/daemon: C /etc/logrotate.d/daemon - - - -",
        ]
    );
    assert_eq!(of(ChangedConfiguration), ["etc/nsswitch.conf: "]);
    assert_eq!(
        of(State),
        [
            "var/lib/daemon: d /var/lib/daemon 0750 daemon daemon -; d /var/lib/daemon/pages 0755 daemon daemon -; \
             C /var/lib/daemon/seed - - - -"
        ]
    );
    assert_eq!(of(Elsewhere), ["srv/www: "]);
}

#[test]
fn messages_say_what_it_is_and_what_to_do() {
    let found = found(&daemon(), ExtensionKind::Sysext);
    let text = |left_out: &LeftOut| {
        let lint = Lint::LeftOut(left_out.clone());
        format!("{lint}; {}", lint.remedy().unwrap_or_default())
    };
    let texts: Vec<_> = found.iter().map(text).collect();
    assert_eq!(
        texts,
        [
            "user `daemon` and group `web` are made in `/etc`, which a sysext does not bring; have systemd make them \
             at boot, with `u daemon - \"A daemon\" /var/lib/daemon /usr/sbin/nologin` and `g web -` in a file of \
             `/usr/lib/sysusers.d`",
            "`/etc/systemd/system/multi-user.target.wants` and `/etc/systemd/system/web.service` enable, mask or \
             rename units, which a sysext does not bring; ship the link in `/usr`, as \
             `/usr/lib/systemd/system/multi-user.target.wants/daemon.service -> ../daemon.service` and \
             `/usr/lib/systemd/system/web.service -> daemon.service`; in `.upholds` in place of `.wants` it also \
             starts what is merged later",
            "`/etc/alternatives/web`, to which links in `/usr` lead, is not in the extension; have the link made at boot, \
             with `L+ /etc/alternatives/web - - - - /usr/bin/daemon` in a file of `/usr/lib/tmpfiles.d`",
            "`/etc/daemon` and `/etc/logrotate.d/daemon` are configuration, which a sysext does not bring; ship them \
             in a confext, or below `/usr/share/factory` with `C /etc/daemon - - - -` and \
             `C /etc/logrotate.d/daemon - - - -` in a file of `/usr/lib/tmpfiles.d`",
            "`/etc/nsswitch.conf` of the base is changed, which a sysext does not bring; ship it in a confext, or \
             change in `/usr` what is read from there",
            "`/var/lib/daemon` is state, which a sysext does not bring; have it made at boot, with \
             `d /var/lib/daemon 0750 daemon daemon -` and `d /var/lib/daemon/pages 0755 daemon daemon -` in a file of \
             `/usr/lib/tmpfiles.d` and what is copied below `/usr/share/factory`",
            "`/srv/www` is outside of `/usr` and `/opt` and not in the extension; ",
        ]
    );
}

#[test]
fn what_a_boot_makes_already_is_not_told() {
    let mut payload = daemon();
    for line in [
        "usr/lib/sysusers.d/daemon.conf=u! daemon - \"A daemon\"\ng web -\n",
        "usr/lib/tmpfiles.d/daemon.conf=C+ /etc/daemon - - - -\n\
         L /etc/alternatives/web - - - - /usr/bin/daemon\nd /var/lib/daemon/pages\nf /var/lib/daemon/seed\n",
        "usr/lib/systemd/system/daemon.service=[Service]\nStateDirectory=daemon:link other\n",
        "usr/lib/systemd/system/multi-user.target.wants/daemon.service -> ../daemon.service",
        "usr/lib/systemd/system/web.service -> daemon.service",
    ] {
        put(&mut payload, line);
    }
    let found = found(&payload, ExtensionKind::Sysext);
    let kinds: Vec<_> = found.iter().map(|left_out| left_out.kind).collect();
    use LeftOutKind::*;
    assert_eq!(kinds, [Configuration, ChangedConfiguration, Elsewhere]);
    assert_eq!(
        items(&found, Configuration),
        ["etc/logrotate.d/daemon: C /etc/logrotate.d/daemon - - - -"]
    );
}

#[test]
fn what_every_installation_changes_is_left_out_without_a_word() {
    let lines: Vec<_> = EXPECTED.iter().map(|(path, _)| *path).collect();
    assert_eq!(found(&tree(&lines), ExtensionKind::Sysext), []);
    for (_, reason) in EXPECTED {
        assert!(!reason.is_empty());
    }
}

#[test]
fn a_confext_is_told_of_what_is_outside_of_etc() {
    let found = found(&daemon(), ExtensionKind::Confext);
    let kinds: Vec<_> = found.iter().map(|left_out| left_out.kind).collect();
    assert_eq!(kinds, [LeftOutKind::State, LeftOutKind::Elsewhere]);
    assert_eq!(
        items(&found, LeftOutKind::Elsewhere),
        [
            "srv/www: ",
            "usr/bin/daemon: ",
            "usr/lib/systemd/system/daemon.service: "
        ]
    );
}

#[test]
fn names_that_do_not_fit_into_a_line_are_told_without_one() {
    let payload = tree(&[
        "etc/a b",
        "etc/c%d",
        "etc/passwd=a b:x:1:1:::\nok:x:2:2:100% \"me\":/:\n",
        "var/lib/\u{fffd}",
    ]);
    let found = found(&payload, ExtensionKind::Sysext);
    assert_eq!(
        items(&found, LeftOutKind::Accounts),
        ["etc/passwd: u ok - - / -"]
    );
    assert_eq!(
        items(&found, LeftOutKind::Configuration),
        ["etc/a b: ", "etc/c%d: "]
    );
    assert_eq!(items(&found, LeftOutKind::State), ["var/lib/\u{fffd}: "]);
    assert_eq!(found[0].items[0].path, path("etc/passwd"));
}
