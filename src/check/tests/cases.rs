//! What provokes each finding, and a twin that does not.

/// What is put on the usual extension and base.
pub(super) struct Case {
    pub(super) rule: &'static str,
    pub(super) base: &'static [&'static str],
    pub(super) bad: &'static [&'static str],
    pub(super) good: &'static [&'static str],
    /// Whether nothing of the host is known.
    pub(super) without_base: bool,
    /// Whether the usual extension is left out.
    pub(super) is_bare: bool,
}

const fn case(
    rule: &'static str,
    base: &'static [&'static str],
    bad: &'static [&'static str],
    good: &'static [&'static str],
) -> Case {
    Case {
        rule,
        base,
        bad,
        good,
        without_base: false,
        is_bare: false,
    }
}

const fn without_base(
    rule: &'static str,
    bad: &'static [&'static str],
    good: &'static [&'static str],
) -> Case {
    Case {
        without_base: true,
        ..case(rule, &[], bad, good)
    }
}

const fn bare(
    rule: &'static str,
    bad: &'static [&'static str],
    good: &'static [&'static str],
) -> Case {
    Case {
        is_bare: true,
        ..case(rule, &[], bad, good)
    }
}

/// Defines the extension-release file with these lines.
macro_rules! release {
    ($($line:literal),*) => {
        concat!("usr/lib/extension-release.d/extension-release.x=", $($line, "\n"),*)
    };
}

const FITTING: &[&str] = &[release!("ID=debian", "VERSION_ID=13")];
const SERVICE: &str = "usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\n";
const SERVICE_RELEASE: &str = release!("ID=debian", "VERSION_ID=13");

pub(super) static CASES: &[Case] = &[
    bare("release-missing", &["usr/share/x=1"], FITTING),
    bare(
        "release-ambiguous",
        &[
            "usr/lib/extension-release.d/extension-release.y= !xattr=user.extension-release.strict=0",
            "usr/lib/extension-release.d/extension-release.z= !xattr=user.extension-release.strict=0",
        ],
        &[
            "usr/lib/extension-release.d/extension-release.y= !xattr=user.extension-release.strict=0",
            "usr/lib/extension-release.d/extension-release.z= !xattr=user.extension-release.strict=1",
        ],
    ),
    bare(
        "release-name",
        &[
            "usr/lib/extension-release.d/extension-release.y=ID=debian !xattr=user.extension-release.strict=0",
        ],
        FITTING,
    ),
    case(
        "os-release-shipped",
        &[],
        &["usr/lib/os-release=ID=debian\nVERSION_ID=13\n"],
        &["usr/lib/os-release.d/x=1"],
    ),
    case("id-missing", &[], &[release!("VERSION_ID=13")], FITTING),
    case(
        "id-differs",
        &[],
        &[release!("ID=fedora", "VERSION_ID=13")],
        FITTING,
    ),
    case(
        "id-like",
        &["usr/lib/os-release=ID=mine\nID_LIKE=\"other debian\"\nVERSION_ID=13\n"],
        FITTING,
        &[release!("ID=mine", "VERSION_ID=13")],
    ),
    case(
        "level-differs",
        &["usr/lib/os-release=ID=debian\nVERSION_ID=13\nSYSEXT_LEVEL=2\n"],
        &[release!("ID=debian", "SYSEXT_LEVEL=1", "VERSION_ID=13")],
        &[release!("ID=debian", "SYSEXT_LEVEL=2", "VERSION_ID=12")],
    ),
    case(
        "version-differs",
        &[],
        &[release!("ID=debian", "VERSION_ID=12")],
        FITTING,
    ),
    case(
        "scope-differs",
        &[],
        &[release!(
            "ID=debian",
            "VERSION_ID=13",
            "SYSEXT_SCOPE=initrd"
        )],
        &[release!(
            "ID=debian",
            "VERSION_ID=13",
            "SYSEXT_SCOPE=\"initrd system\""
        )],
    ),
    case(
        "architecture-differs",
        &[],
        &[release!("ID=debian", "VERSION_ID=13", "ARCHITECTURE=arm64")],
        &[release!(
            "ID=debian",
            "VERSION_ID=13",
            "ARCHITECTURE=x86-64"
        )],
    ),
    without_base(
        "host-unknown",
        FITTING,
        &["usr/lib/extension-release.d/extension-release.other="],
    ),
    case("fits-anything", &[], &[release!("ID=_any")], FITTING),
    case(
        "library-missing",
        &["usr/lib64/libx.so.1=ELF machine=arm64"],
        &["usr/bin/x=ELF needed=libx.so.1"],
        &[
            "usr/bin/x=ELF needed=libx.so.1",
            "usr/lib/x86_64-linux-gnu/libx.so.1=ELF",
        ],
    ),
    case(
        "library-version",
        &[],
        &["usr/bin/x=ELF needed=libc.so.6 version=libc.so.6:C_3"],
        &["usr/bin/x=ELF needed=libc.so.6 version=libc.so.6:C_2"],
    ),
    case(
        "library-elsewhere",
        &[],
        &["usr/bin/x=ELF needed=libx.so", "usr/lib/x/libx.so=ELF"],
        &[
            "usr/bin/x=ELF needed=libx.so runpath=$ORIGIN/../lib/x",
            "usr/lib/x/libx.so=ELF",
        ],
    ),
    case(
        "loader-missing",
        &[],
        &["usr/bin/x=ELF interpreter=/lib/ld-musl.so.1"],
        &["usr/bin/x=ELF interpreter=/lib64/ld.so.2"],
    ),
    case(
        "interpreter-missing",
        &[],
        &["usr/bin/x=#!/usr/bin/env -S python3 -u\n !mode=755"],
        &[
            "usr/bin/x=#!/usr/bin/env sh\n !mode=755",
            "usr/share/x/y=#!/none\n",
        ],
    ),
    case(
        "library-older",
        &[
            "usr/lib64/libx.so.1 -> libx.so.1.3",
            "usr/lib64/libx.so.1.3=ELF soname=libx.so.1 defines=X_1 defines=X_3",
        ],
        &[
            "usr/lib64/libx.so.1 -> libx.so.1.2",
            "usr/lib64/libx.so.1.2=ELF soname=libx.so.1 defines=X_1",
        ],
        &[
            "usr/lib64/libx.so.1 -> libx.so.1.4",
            "usr/lib64/libx.so.1.4=ELF soname=libx.so.1 defines=X_1 defines=X_3 defines=X_4",
        ],
    ),
    case(
        "library-needs-cache",
        &[
            "etc/ld.so.conf=include /etc/ld.so.conf.d/*.conf\n",
            "etc/ld.so.conf.d/x.conf=/usr/local/lib\n",
            "usr/local/lib/liby.so=ELF",
        ],
        &["usr/bin/x=ELF needed=libx.so", "usr/local/lib/libx.so=ELF"],
        &["usr/bin/x=ELF needed=liby.so"],
    ),
    case(
        "machine-differs",
        &[],
        &["usr/bin/x=ELF machine=arm64 needed=libc.so.6"],
        &["usr/bin/x=ELF needed=libc.so.6"],
    ),
    case(
        "object-damaged",
        &[],
        &["usr/bin/x=\x7fELF\x02\x01"],
        &["usr/bin/x=ELF"],
    ),
    without_base(
        "base-needed",
        &["usr/bin/x=ELF needed=libc.so.6"],
        &["usr/bin/x=ELF"],
    ),
    case(
        "shadowing",
        &["usr/share/y=1"],
        &["usr/share/y=2"],
        &["usr/share/y=1"],
    ),
    case(
        "metadata-changed",
        &["usr/share/y=1"],
        &["usr/share/y=1 !mode=600"],
        &["usr/share/y=1"],
    ),
    case(
        "directory-replaced",
        &["usr/share/y/z=1"],
        &["usr/share/y=1"],
        &["usr/share/y/a=1"],
    ),
    case(
        "replaced-by-directory",
        &["usr/share/y -> z"],
        &["usr/share/y/a=1"],
        &["usr/share/z/a=1"],
    ),
    case(
        "equal-to-base",
        &["usr/share/y=1"],
        &["usr/share/y=1"],
        &["usr/share/z=1"],
    ),
    case(
        "whiteout",
        &[],
        &["usr/share/y !device=0"],
        &["usr/share/y=1"],
    ),
    case("outside-hierarchies", &[], &["etc/x=1"], &["opt/x=1"]),
    bare(
        "empty-payload",
        &[release!("ID=debian", "VERSION_ID=13"), "usr/share/x/"],
        &["usr/share/x=1"],
    ),
    case(
        "package-database",
        &[],
        &["usr/lib/sysimage/rpm/db=1"],
        &["usr/lib/sysimages/rpm/db=1"],
    ),
    case(
        "allocated-owner",
        &[],
        &["usr/share/y=1 !uid=999"],
        &["usr/share/y=1 !uid=1"],
    ),
    case(
        "allocated-set-id",
        &[],
        &["usr/bin/y=1 !uid=999 !mode=4755"],
        &["usr/bin/y=1 !uid=1 !mode=4755"],
    ),
    case(
        "allocated-in-acl",
        &[],
        &["usr/share/y=1 !xattr=system.posix_acl_access=ACL"],
        &["usr/share/y=1"],
    ),
    case(
        "set-id",
        &[],
        &["usr/bin/y=1 !mode=4755"],
        &["usr/bin/y=1 !mode=755"],
    ),
    case(
        "capabilities",
        &[],
        &["usr/bin/y=1 !xattr=security.capability=x"],
        &["usr/bin/y=1 !xattr=user.x=x"],
    ),
    case(
        "world-writable",
        &[],
        &["usr/share/y=1 !mode=666"],
        &["usr/share/y/ !mode=1777"],
    ),
    case(
        "device",
        &[],
        &["usr/share/y !device=3"],
        &["usr/share/y=1"],
    ),
    case(
        "unit-not-started",
        &[],
        &[
            "usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\n[Install]\nWantedBy=multi-user.target\n",
        ],
        &[
            "usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\n[Install]\nWantedBy=multi-user.target\n",
            "usr/lib/systemd/system/multi-user.target.upholds/x.service -> ../x.service",
        ],
    ),
    case(
        "unit-missing",
        &[],
        &["usr/lib/systemd/system/x.service=[Unit]\nRequires=y.service\n[Service]\nExecStart=sh\n"],
        &[
            "usr/lib/systemd/system/x.service=[Unit]\nRequires=multi-user.target\n[Service]\nExecStart=sh\n",
        ],
    ),
    case(
        "required-by",
        &[],
        &[
            SERVICE,
            "usr/lib/systemd/system/multi-user.target.requires/x.service -> ../x.service",
        ],
        &[
            SERVICE,
            "usr/lib/systemd/system/multi-user.target.wants/x.service -> ../x.service",
        ],
    ),
    case(
        "program-missing",
        &[],
        &["usr/lib/systemd/system/x.service=[Service]\nExecStart=/usr/bin/x --option\n"],
        &["usr/lib/systemd/system/x.service=[Service]\nExecStart=!/usr/bin/sh -c \\\n  x\n"],
    ),
    case(
        "unit-overridden",
        &["etc/systemd/system/x.service -> /dev/null"],
        &[SERVICE],
        &["usr/lib/systemd/system/y.service=[Service]\nExecStart=sh\n"],
    ),
    case(
        "manager-not-reloaded",
        &[],
        &[SERVICE_RELEASE, SERVICE],
        &[SERVICE],
    ),
    case(
        "account-missing",
        &[],
        &["usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\nUser=x\n"],
        &[
            "usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\nUser=x\n",
            "usr/lib/sysusers.d/x.conf=u x -\n",
        ],
    ),
    case(
        "path-missing",
        &[],
        &["usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\nReadWritePaths=/var/lib/x\n"],
        &[
            "usr/lib/systemd/system/x.service=[Service]\nExecStart=sh\nReadWritePaths=/var/lib/x -/srv\nStateDirectory=x\n",
        ],
    ),
    case(
        "made-at-boot",
        &[],
        &["usr/lib/tmpfiles.d/x.conf=d /var/lib/x\n"],
        &["usr/lib/tmpfiles.d/README=x"],
    ),
    case(
        "broken-link",
        &[],
        &["usr/bin/y -> /etc/alternatives/y"],
        &["usr/bin/y -> sh"],
    ),
    case(
        "absolute-link",
        &["etc/y=1"],
        &["usr/share/y -> /etc/y"],
        &["usr/share/y -> /bin/sh"],
    ),
    case(
        "case-collision",
        &["usr/share/name=1"],
        &["usr/share/Name=1"],
        &["usr/share/names=1"],
    ),
    case(
        "command-collision",
        &["usr/sbin/y=1"],
        &["usr/bin/y=1"],
        &["usr/bin/y -> ../sbin/y"],
    ),
    case("odd-name", &[], &["usr/share/a\x01b=1"], &["usr/share/ä=1"]),
];
