//! What programs are told of recorded owners, devices and ACLs.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, lstat, makedev, mknod, stat};
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, OWNER};

use crate::copies::run;
use crate::owners::{acl, mode, own, own_link, owner_on_disk};
use crate::{Check, Scenario, raw};

const ACCESS: &CStr = c"system.posix_acl_access";
const DEFAULT: &CStr = c"system.posix_acl_default";

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "every_way_to_ask_tells_the_recorded_owner",
        prepare: |directory| {
            fs::write(directory.join("file"), "four").unwrap();
            symlink("file", directory.join("link")).unwrap();
        },
        program: |directory| {
            let (file, link) = (directory.join("file"), directory.join("link"));
            let before = stat(&file).unwrap();
            own(&file, 1, 2);
            own_link(&link, 3, 4).unwrap();
            let opened = File::open(&file).unwrap();
            let path_only = raw::open_path(&file);
            let empty = AtFlags::AT_EMPTY_PATH;
            for (how, found) in [
                ("stat", stat(&file)),
                ("stat through a link", stat(&link)),
                ("a relative path", stat("file")),
                ("fstat", fstat(&opened)),
                ("fstat of O_PATH", fstat(&path_only)),
                ("an empty path", fstatat(&opened, c"", empty)),
                ("an empty path of O_PATH", fstatat(&path_only, c"", empty)),
                (
                    "a directory",
                    fstatat(File::open(directory).unwrap(), c"file", AtFlags::empty()),
                ),
                (
                    "another way",
                    fstatat(AT_FDCWD, c"./../././file", AtFlags::empty()).or(stat(&file)),
                ),
            ] {
                let found = found.unwrap();
                assert_eq!((found.st_uid, found.st_gid), (1, 2), "{how}");
                assert_eq!((found.st_ino, found.st_size), (before.st_ino, 4), "{how}");
                assert_eq!(found.st_mode, before.st_mode, "{how}");
                assert_eq!(found.st_mtime_nsec, before.st_mtime_nsec, "{how}");
            }
            let owner = |status: FileStat| (status.st_uid, status.st_gid);
            assert_eq!(owner(lstat(&link).unwrap()), (3, 4));
            // The standard library asks with statx.
            let metadata = fs::metadata(&file).unwrap();
            assert_eq!((metadata.uid(), metadata.gid(), metadata.len()), (1, 2, 4));
            let metadata = fs::symlink_metadata(&link).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (3, 4));
            assert!(metadata.is_symlink());
            let metadata = opened.metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (1, 2));
            own(&file, 0, 0);
            assert_eq!(owner(stat(&file).unwrap()), (0, 0));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "errors_and_other_inodes_are_the_kernels",
        prepare: |directory| fs::write(directory.join("file"), "").unwrap(),
        program: |directory| {
            own(&directory.join("file"), 1, 2);
            assert_eq!(stat("none"), Err(Errno::ENOENT));
            assert_eq!(stat("file/x"), Err(Errno::ENOTDIR));
            assert_eq!(stat(""), Err(Errno::ENOENT));
            assert_eq!(stat("x".repeat(300).as_str()), Err(Errno::ENAMETOOLONG));
            let (pipe, _other) = nix::unistd::pipe().unwrap();
            assert_eq!(fstat(&pipe).unwrap().st_uid, 0);
            assert_eq!(
                stat("/proc/self/exe").unwrap().st_mode & libc::S_IFMT,
                libc::S_IFREG
            );
            assert!(stat("/proc/1/root").is_ok() || stat("/proc/1").is_ok());
            let path = raw::c_path(&directory.join("file"));
            for pointer in [0, 1, 4095, u64::MAX - 4095] {
                let arguments = [raw::address(&path), pointer, 0, 0, 0, 0];
                assert_eq!(raw::call(libc::SYS_stat, arguments), Err(Errno::EFAULT));
                let arguments = [pointer, raw::address(&path), 0, 0, 0, 0];
                assert_eq!(raw::call(libc::SYS_stat, arguments), Err(Errno::EFAULT));
            }
            let unopened = [99, raw::address(&path), 0, 0, 0, 0];
            assert_eq!(raw::call(libc::SYS_fstat, unopened), Err(Errno::EBADF));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "placeholders_look_like_devices",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            mknod(&file("null"), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
            mknod(
                &file("disk"),
                SFlag::S_IFBLK,
                Mode::S_IRUSR,
                makedev(259, 70000),
            )
            .unwrap();
            own(&file("disk"), 0, 6);
            let null = stat(&file("null")).unwrap();
            assert_eq!(null.st_mode, libc::S_IFCHR | 0o400);
            assert_eq!((null.st_rdev, null.st_gid), (makedev(1, 3), 0));
            let disk = fs::metadata(file("disk")).unwrap();
            assert!(disk.file_type().is_block_device());
            assert_eq!((disk.rdev(), disk.gid()), (makedev(259, 70000), 6));
            fs::write(file("plain"), "").unwrap();
            assert!(fs::metadata(file("plain")).unwrap().is_file());
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "recorded_acls_are_shown_and_records_hidden",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::create_dir(directory.join("directory")).unwrap();
        },
        program: |directory| {
            let (file, below) = (directory.join("file"), directory.join("directory"));
            own(&file, 1, 2);
            raw::set(&file, c"user.x", b"1", 0).unwrap();
            raw::set(&file, ACCESS, &acl(33), 0).unwrap();
            raw::set(&below, DEFAULT, &acl(34), 0).unwrap();
            assert_eq!(raw::get(&file, ACCESS), Some(acl(33)));
            assert_eq!(raw::get(&below, DEFAULT), Some(acl(34)));
            assert_eq!(raw::get(&file, c"user.x").unwrap(), b"1");
            for record in [OWNER, ACCESS_ACL, DEFAULT_ACL] {
                assert_eq!(raw::get(&file, record), None);
            }
            assert_eq!(
                raw::list(&file, 100).unwrap(),
                b"user.x\0system.posix_acl_access\0"
            );
            assert_eq!(
                raw::list(&below, 100).unwrap(),
                b"system.posix_acl_default\0"
            );
            assert_eq!(raw::list(&file, 8), Err(Errno::ERANGE));
            assert_eq!(raw::length_of_list(&file), Ok(7 + 24));
            // The mode is the ACL's, and the ACL follows the mode.
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o640);
            fs::set_permissions(&file, permissions).unwrap();
            let mut changed = acl(33);
            (changed[4 + 8 * 3 + 2], changed[4 + 8 * 4 + 2]) = (4, 0);
            assert_eq!(raw::get(&file, ACCESS), Some(changed));
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((1, 2)));
            assert_eq!(mode(&directory.join("file")), 0o640);
        }),
    },
    Scenario {
        name: "programs_that_look_at_owners_see_and_keep_them",
        prepare: |_| {},
        program: |directory| {
            run(
                directory,
                "set -e
                install -o 1 -g 2 -m 4750 /bin/true installed
                test \"$(stat -c '%u %g %a' installed)\" = '1 2 4750'
                test \"$(find . -user 1)\" = ./installed
                mkdir from; echo line > from/edited; chown 7:8 from/edited; chmod 640 from/edited
                mknod from/null c 1 3; chown 9 from/null
                sed -i s/line/row/ from/edited
                cp -a from copied; cp -p from/edited preserved; cp from/edited plain
                mkdir extracted; tar -C from -c . | tar -C extracted -xp
                tar -C from --xattrs --acls -c . | tar -C extracted --xattrs --acls -xp
                touch kept; chown 3 kept; chown --from=3 4 kept; chown --from=9 5 kept
                test -c copied/null",
            );
        },
        check: Check::Records(|directory, _| {
            for (name, owner) in [
                ("installed", Some((1, 2))),
                ("from/edited", Some((7, 8))),
                ("copied/edited", Some((7, 8))),
                ("copied/null", Some((9, 0))),
                ("preserved", Some((7, 8))),
                ("plain", None),
                ("extracted/edited", Some((7, 8))),
                ("extracted/null", Some((9, 0))),
                ("kept", Some((4, 0))),
            ] {
                assert_eq!(owner_on_disk(&directory.join(name)), owner, "{name}");
            }
            assert_eq!(mode(&directory.join("installed")), 0o4750);
            assert_eq!(fs::read(directory.join("from/edited")).unwrap(), b"row\n");
        }),
    },
];
