//! Who owns what a program makes.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, FdFlag, OFlag, OpenHow, fcntl, openat, openat2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{linkat, mkfifo};
use overcoat_sandbox::ownership::OwnerRecord;
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, DEVICE};

use crate::identities::become_user;
use crate::owners::{acl, mode, own, owner_on_disk};
use crate::{Check, Scenario, raw};

const DEFAULT: &std::ffi::CStr = c"system.posix_acl_default";

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "what_a_user_makes_is_the_users",
        prepare: |directory| fs::write(directory.join("there"), "kept").unwrap(),
        program: |directory| {
            umask(Mode::from_bits_truncate(0o027));
            become_user(33);
            let file = |name: &str| directory.join(name);
            fs::write(file("written"), "text").unwrap();
            assert_eq!(fs::read(file("written")).unwrap(), b"text");
            let mut exclusive = File::options()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(file("exclusive"))
                .unwrap();
            exclusive.write_all(b"a").unwrap();
            exclusive.rewind().unwrap();
            exclusive.write_all(b"b").unwrap();
            let mut text = String::new();
            exclusive.rewind().unwrap();
            exclusive.read_to_string(&mut text).unwrap();
            assert_eq!(text, "ab");
            let again = File::options()
                .write(true)
                .create_new(true)
                .open(file("exclusive"));
            assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
            let unreadable = openat(
                AT_FDCWD,
                "unreadable",
                OFlag::O_CREAT | OFlag::O_WRONLY,
                Mode::empty(),
            );
            let unreadable = unreadable.unwrap();
            let flags = fcntl(&unreadable, FcntlArg::F_GETFD).unwrap();
            assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::empty());
            let closed = OFlag::O_CREAT | OFlag::O_CLOEXEC;
            let how = OpenHow::new().flags(closed).mode(Mode::S_IRUSR);
            let closed = openat2(AT_FDCWD, "closed", how).unwrap();
            let flags = fcntl(&closed, FcntlArg::F_GETFD).unwrap();
            assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
            let kept = File::options()
                .append(true)
                .create(true)
                .open(file("there"));
            kept.unwrap().write_all(b"!").unwrap();
            fs::create_dir(file("directory")).unwrap();
            fs::DirBuilder::new()
                .mode(0o700)
                .create("relative/".as_ref() as &Path)
                .unwrap();
            symlink("nowhere", file("link")).unwrap();
            mkfifo(&file("fifo"), Mode::S_IRUSR | Mode::S_IWGRP).unwrap();
            mknod(&file("node"), SFlag::S_IFREG, Mode::S_IRUSR, 0).unwrap();
            unnamed(directory);
        },
        check: Check::Records(|directory, records| {
            for (name, expected) in [
                ("written", 0o640),
                ("exclusive", 0o600),
                ("unreadable", 0),
                ("closed", 0o400),
                ("directory", 0o750),
                ("relative", 0o700),
                ("node", 0o400),
                ("unnamed", 0o440),
            ] {
                let path = directory.join(name);
                assert_eq!(owner_on_disk(&path), Some((33, 33)), "{name}");
                assert_eq!(mode(&path), expected, "{name}");
            }
            assert_eq!(owner_on_disk(&directory.join("there")), None);
            assert_eq!(fs::read(directory.join("there")).unwrap(), b"kept!");
            let record = |name: &str| OwnerRecord {
                path: directory.join(name),
                uid: 33,
                gid: 33,
            };
            assert_eq!(records, [record("fifo"), record("link")]);
        }),
    },
    Scenario {
        name: "set_group_id_directories_pass_on_their_group",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            fs::create_dir(file("shared")).unwrap();
            own(&file("shared"), 0, 50);
            fs::set_permissions(file("shared"), fs::Permissions::from_mode(0o2775)).unwrap();
            fs::write(file("shared/file"), "").unwrap();
            fs::create_dir(file("shared/below")).unwrap();
            fs::write(file("shared/below/file"), "").unwrap();
            symlink("x", file("shared/link")).unwrap();
            mknod(
                &file("shared/null"),
                SFlag::S_IFCHR,
                Mode::empty(),
                makedev(1, 3),
            )
            .unwrap();
            fs::write(file("moved"), "").unwrap();
            fs::rename(file("moved"), file("shared/moved")).unwrap();
            fs::write(file("shared/reset"), "").unwrap();
            own(&file("shared/reset"), 0, 0);
            become_user(33);
            fs::write(file("shared/users"), "").unwrap();
        },
        check: Check::Records(|directory, records| {
            let shared = directory.join("shared");
            for (name, expected) in [
                ("file", Some((0, 50))),
                ("below", Some((0, 50))),
                ("below/file", Some((0, 50))),
                ("null", Some((0, 50))),
                ("moved", None),
                ("reset", None),
                ("users", Some((33, 50))),
            ] {
                assert_eq!(owner_on_disk(&shared.join(name)), expected, "{name}");
            }
            assert_eq!(mode(&shared.join("below")), 0o2755);
            assert_eq!(raw::get(&shared.join("null"), DEVICE).unwrap(), b"c 1:3");
            let path = shared.join("link");
            assert_eq!(
                records,
                [OwnerRecord {
                    path,
                    uid: 0,
                    gid: 50
                }]
            );
        }),
    },
    Scenario {
        name: "recorded_default_acls_are_inherited",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            umask(Mode::from_bits_truncate(0o077));
            fs::create_dir(file("logs")).unwrap();
            raw::set(&file("logs"), DEFAULT, &acl(33), 0).unwrap();
            fs::write(file("logs/file"), "").unwrap();
            fs::create_dir(file("logs/below")).unwrap();
            let existing = File::options()
                .write(true)
                .create_new(true)
                .open(file("logs/file"));
            assert_eq!(
                existing.unwrap_err().raw_os_error(),
                Some(Errno::EEXIST as i32)
            );
        },
        check: Check::Records(|directory, _| {
            let logs = directory.join("logs");
            // Of the ACL's rw-, (mask) r-x and --x, what the modes 0666 and 0777 ask for; the mask of the process counts no more.
            assert_eq!(mode(&logs.join("file")), 0o640);
            assert_eq!(mode(&logs.join("below")), 0o651);
            let mut inherited = acl(33);
            // The permissions of the mask and of others.
            (inherited[4 + 8 * 3 + 2], inherited[4 + 8 * 4 + 2]) = (4, 0);
            assert_eq!(raw::get(&logs.join("file"), ACCESS_ACL), Some(inherited));
            assert_eq!(raw::get(&logs.join("below"), ACCESS_ACL), Some(acl(33)));
            assert_eq!(raw::get(&logs.join("below"), DEFAULT_ACL), Some(acl(33)));
            assert_eq!(raw::get(&logs.join("file"), DEFAULT_ACL), None);
            assert_eq!(owner_on_disk(&logs.join("file")), None);
        }),
    },
];

/// Makes a file without a name, then gives it one.
fn unnamed(directory: &Path) {
    let file = File::options()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o446)
        .open(directory)
        .unwrap();
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let target = directory.join("unnamed");
    linkat(
        AT_FDCWD,
        link.as_str(),
        AT_FDCWD,
        &target,
        AtFlags::AT_SYMLINK_FOLLOW,
    )
    .unwrap();
}
