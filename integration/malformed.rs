//! Packages that are archives of attacks: what they hold stays in the image, or they are refused.

use std::os::unix::fs::MetadataExt;

use crate::harness::World;
use crate::interruption::fixture::{Fixture, write_recipe};
use crate::interruption::traces::{assert_is_shut, files};
use crate::repository::{Repository, control_of};

/// What no image may contain.
const SECRET: &str = "the-callers-secret-1d77c0";

/// An entry of a tar archive (POSIX.1-1988 ustar).
struct Member {
    name: Vec<u8>,
    kind: u8,
    mode: u32,
    link: Vec<u8>,
    /// What the header says, whatever the data is.
    size: u64,
    data: Vec<u8>,
}

fn file(name: impl AsRef<[u8]>) -> Member {
    Member {
        name: name.as_ref().to_owned(),
        kind: b'0',
        mode: 0o644,
        link: Vec::new(),
        size: 5,
        data: b"made\n".to_vec(),
    }
}

fn empty(name: impl AsRef<[u8]>, kind: u8, link: impl AsRef<[u8]>) -> Member {
    Member {
        kind,
        link: link.as_ref().to_owned(),
        size: 0,
        data: Vec::new(),
        ..file(name)
    }
}

fn directory(name: &str) -> Member {
    Member {
        mode: 0o755,
        ..empty(name, b'5', "")
    }
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in members {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, &member.name[..member.name.len().min(100)]);
        put(100, format!("{:07o}", member.mode).as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}", member.size).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[member.kind]);
        put(157, &member.link[..member.link.len().min(100)]);
        put(257, b"ustar\x0000");
        // Device numbers 8 and 0: the first disk.
        put(329, b"0000010\x000000000\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(&member.data);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Returns the archive that a `.deb` file is (deb(5)).
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, data) in members {
        archive.extend_from_slice(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                data.len()
            )
            .as_bytes(),
        );
        archive.extend_from_slice(data);
        if data.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

fn control() -> Vec<Member> {
    let text = control_of("hostile").into_bytes();
    vec![Member {
        size: text.len() as u64,
        data: text,
        ..file("./control")
    }]
}

fn package(control: &[Member], data: &[Member]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &tar(control)),
        ("data.tar", &tar(data)),
    ])
}

/// What becomes of a package.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Installed,
    Refused,
}
use End::{Installed, Refused};

/// Returns packages that try to reach `victim`, a directory of the host.
fn packages(victim: &str) -> Vec<(&'static str, Vec<u8>, End)> {
    let up = format!("{}{victim}", "../".repeat(20));
    let data = |members: &[Member]| package(&control(), members);
    let with_control = |members: Vec<Member>| {
        package(
            &control().into_iter().chain(members).collect::<Vec<_>>(),
            &[file("./usr/lib/a")],
        )
    };
    let whole = data(&[
        directory("./usr/"),
        directory("./usr/lib/"),
        file("./usr/lib/a"),
    ]);
    let claims = |size| Member {
        size,
        ..file("./usr/lib/huge")
    };
    vec![
        ("good", whole.clone(), Installed),
        ("parent", data(&[file(format!("{up}/made"))]), Refused),
        (
            "parent below",
            data(&[directory("./usr/"), file(format!("./usr/{up}/made"))]),
            Refused,
        ),
        ("absolute", data(&[file(format!("{victim}/made"))]), Refused),
        (
            "link, then through it",
            data(&[empty("./usr/out", b'2', victim), file("./usr/out/made")]),
            Refused,
        ),
        (
            "link up, then through it",
            data(&[empty("./usr/out", b'2', &up), file("./usr/out/made")]),
            Refused,
        ),
        (
            "link for the root",
            data(&[empty("./", b'2', victim), file("./made")]),
            Installed,
        ),
        (
            "link alone",
            data(&[empty("./usr/out", b'2', format!("{victim}/secret"))]),
            Installed,
        ),
        (
            "hard link",
            data(&[empty("./usr/out", b'1', format!("{victim}/secret"))]),
            Refused,
        ),
        (
            "hard link up",
            data(&[empty("./usr/out", b'1', format!("{up}/secret"))]),
            Refused,
        ),
        ("disk", data(&[empty("./usr/disk", b'4', "")]), Installed),
        (
            "terminal",
            data(&[empty("./usr/terminal", b'3', "")]),
            Installed,
        ),
        ("pipe", data(&[empty("./usr/pipe", b'6', "")]), Installed),
        (
            "set-id",
            data(&[Member {
                mode: 0o6755,
                ..file("./usr/privileged")
            }]),
            Installed,
        ),
        (
            "name of two lines",
            data(&[file("./usr/\n::add-mask::x")]),
            Refused,
        ),
        (
            "names",
            data(&[
                file(b"./usr/\x1b[2J\xff".as_slice()),
                file("./usr/--option"),
            ]),
            Installed,
        ),
        ("says 8 GiB", data(&[claims(0o77_777_777_777)]), Refused),
        ("says 64 KiB", data(&[claims(1 << 16)]), Refused),
        ("unknown kind", data(&[empty("./usr/x", b'Z', "")]), Refused),
        ("cut", whole[..whole.len() - 2000].to_vec(), Refused),
        ("cut in the control", whole[..700].to_vec(), Refused),
        ("nothing", Vec::new(), Refused),
        (
            "no archive",
            b"no archive at all, but longer than a header of one would be, so that it is read\n"
                .to_vec(),
            Refused,
        ),
        (
            "data only",
            ar(&[
                ("debian-binary", b"2.0\n"),
                ("data.tar", &tar(&[file("./usr/a")])),
            ]),
            Refused,
        ),
        (
            "name of a member",
            ar(&[
                ("debian-binary", b"2.0\n"),
                ("../../control.tar", &tar(&control())),
                ("data.tar", &[]),
            ]),
            Refused,
        ),
        (
            "control, up",
            with_control(vec![file(format!("{up}/made"))]),
            Refused,
        ),
        (
            "control, absolute",
            with_control(vec![file(format!("{victim}/made"))]),
            Refused,
        ),
        (
            "control, link",
            with_control(vec![empty("./conffiles", b'2', format!("{victim}/secret"))]),
            Refused,
        ),
        (
            "control, script",
            with_control(vec![empty("./postinst", b'2', format!("{victim}/secret"))]),
            Refused,
        ),
        (
            "control, disk",
            with_control(vec![empty("./postinst", b'4', "")]),
            Installed,
        ),
        (
            "control, other name",
            {
                let text = b"Package: ../../../../x\nVersion: 1.0\nArchitecture: all\nMaintainer: N <n@e.org>\nDescription: x\n".to_vec();
                package(
                    &[Member {
                        size: text.len() as u64,
                        data: text,
                        ..file("./control")
                    }],
                    &[file("./usr/a")],
                )
            },
            Refused,
        ),
    ]
}

#[test]
fn packages_reach_nothing_outside_of_the_image() {
    attack(&[], |_| true);
}

mod range {
    #[test]
    fn packages_reach_nothing_outside_of_the_image() {
        if crate::require::has_range() {
            let real = [
                "link, then through it",
                "hard link",
                "disk",
                "terminal",
                "set-id",
            ];
            super::attack(&["--userns=range"], |name| real.contains(&name));
        }
    }
}

fn attack(options: &'static [&'static str], chosen: impl Fn(&str) -> bool) {
    let mut fixture = require!(Fixture::new());
    fixture.options = options;
    fixture.world.write("victim/secret", SECRET);
    let victim = fixture.world.path("victim");
    let before = files(&victim);
    let mut wrong = Vec::new();
    let packages = packages(victim.to_str().unwrap());
    for (name, bytes, expected) in packages.into_iter().filter(|package| chosen(package.0)) {
        let repository = Repository::of_bytes("hostile", &bytes);
        write_recipe(&fixture.world, &repository);
        let built = fixture.world.finish(fixture.command());
        let end = match built.status {
            Some(0) => Installed,
            Some(1) if built.stderr.contains("error: building the image `main`") => Refused,
            status => panic!("{name}: {status:?}: {}", built.stderr),
        };
        if end != expected {
            wrong.push((name, end));
        }
        assert_eq!(files(&victim), before, "{name}");
        assert_harmless(&fixture.world, name);
        crate::interruption::traces::assert_nothing_lasts(&fixture.world);
        fixture.assert_nothing_is_staged();
        assert_is_shut(&fixture.world);
    }
    assert_eq!(wrong, []);
}

/// Asserts that the output holds no device, and nothing of the host.
fn assert_harmless(world: &World, name: &str) {
    for (path, (_, mode, ..)) in files(&world.path("mkosi.output")) {
        // S_IFCHR and S_IFBLK.
        let is_device = [0o020_000, 0o060_000].contains(&(mode & 0o170_000));
        assert!(!is_device, "{name}: {}", path.display());
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        if metadata.is_file() && metadata.size() < 1 << 20 {
            let text = fs_err::read(&path).unwrap();
            let found = text
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            assert!(!found, "{name}: {}", path.display());
        }
    }
}
