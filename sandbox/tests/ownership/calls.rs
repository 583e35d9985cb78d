//! What the calls record and return.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{Gid, Uid, chown, fchown, fchownat, mkfifo};
use overcoat_sandbox::ownership::OwnerRecord;
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, DEVICE, OWNER};

use crate::owners::{CAP_NET_RAW, CAPABILITY, acl, mode, own, own_link, owner_on_disk};
use crate::{Check, Scenario, raw};

const ACCESS: &CStr = c"system.posix_acl_access";
const DEFAULT: &CStr = c"system.posix_acl_default";

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "owners_are_recorded_on_files_and_directories",
        prepare: |directory| {
            for name in [
                "plain",
                "kept",
                "reset",
                "by-fd",
                "by-empty-path",
                "by-proc",
                "moved",
            ] {
                fs::write(directory.join(name), "").unwrap();
            }
            for (name, value) in [("foreign", &b"long, not 8 bytes"[..]), ("short", b"x")] {
                fs::write(directory.join(name), "").unwrap();
                raw::set(&directory.join(name), OWNER, value, 0).unwrap();
            }
            fs::create_dir(directory.join("directory")).unwrap();
            fs::set_permissions(directory.join("plain"), fs::Permissions::from_mode(0o6755))
                .unwrap();
        },
        program: |directory| {
            let file = |name: &str| directory.join(name);
            own(&file("plain"), 1, 2);
            own(&file("directory"), 3, u32::MAX - 1);
            own(&file("kept"), 5, 6);
            chown(&file("kept"), None, Some(Gid::from_raw(7))).unwrap();
            own(&file("reset"), 5, 6);
            own(&file("reset"), 0, 0);
            own(&file("foreign"), 0, 0);
            own(&file("short"), 0, 3);
            let opened = File::open(file("by-fd")).unwrap();
            fchown(&opened, Some(Uid::from_raw(8)), Some(Gid::from_raw(9))).unwrap();
            let opened = raw::open_path(&file("by-empty-path"));
            assert_eq!(
                fchown(&opened, Some(Uid::from_raw(8)), None),
                Err(Errno::EBADF)
            );
            fchownat(
                &opened,
                "",
                Some(Uid::from_raw(10)),
                None,
                AtFlags::AT_EMPTY_PATH,
            )
            .unwrap();
            let opened = raw::open_path(&file("by-proc"));
            own(
                &PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())),
                11,
                12,
            );
            own(&file("moved"), 13, 14);
            fs::rename(file("moved"), file("was-moved")).unwrap();
            fs::hard_link(file("was-moved"), file("linked")).unwrap();
            own(Path::new("linked"), 15, 14);
        },
        check: Check::Records(|directory, records| {
            for (name, owner) in [
                ("plain", Some((1, 2))),
                ("directory", Some((3, u32::MAX - 1))),
                ("kept", Some((5, 7))),
                ("reset", None),
                ("foreign", None),
                ("short", Some((0, 3))),
                ("by-fd", Some((8, 9))),
                ("by-empty-path", Some((10, 0))),
                ("by-proc", Some((11, 12))),
                ("was-moved", Some((15, 14))),
                ("linked", Some((15, 14))),
            ] {
                assert_eq!(owner_on_disk(&directory.join(name)), owner, "{name}");
            }
            // The kernel's own chown has cleared the bits.
            assert_eq!(mode(&directory.join("plain")), 0o755);
            assert_eq!(records, []);
        }),
    },
    Scenario {
        name: "owners_of_links_and_fifos_are_returned_with_their_last_path",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            for name in ["moved", "deleted", "reset", "kept"] {
                symlink("target", file(name)).unwrap();
                own_link(&file(name), 5, 6).unwrap();
            }
            fs::rename(file("moved"), file("was-moved")).unwrap();
            fs::remove_file(file("deleted")).unwrap();
            symlink("other", file("deleted")).unwrap();
            own_link(&file("reset"), 0, 0).unwrap();
            fchownat(
                AT_FDCWD,
                &file("kept"),
                None,
                Some(Gid::from_raw(9)),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )
            .unwrap();
            mkfifo(&file("fifo"), Mode::S_IRUSR).unwrap();
            own(&file("fifo"), 7, 8);
            let (pipe, _write_end) = nix::unistd::pipe().unwrap();
            fchown(&pipe, Some(Uid::from_raw(1)), None).unwrap();
        },
        check: Check::Records(|directory, records| {
            let record = |name: &str, uid, gid| OwnerRecord {
                path: directory.join(name),
                uid,
                gid,
            };
            assert_eq!(
                records,
                [
                    record("fifo", 7, 8),
                    record("kept", 5, 9),
                    record("was-moved", 5, 6)
                ]
            );
        }),
    },
    Scenario {
        name: "paths_are_those_of_a_changed_root",
        prepare: |directory| {
            fs::create_dir_all(directory.join("root/etc")).unwrap();
            fs::create_dir(directory.join("outside")).unwrap();
            for name in [
                "root/etc/a",
                "root/etc/b",
                "root/etc/c",
                "outside/c",
                "root/d",
                "root/etc/e",
                "root/f",
            ] {
                fs::write(directory.join(name), "").unwrap();
            }
            symlink("/etc/b", directory.join("root/absolute")).unwrap();
            symlink("/etc/e", directory.join("root/etc/across")).unwrap();
        },
        program: |directory| {
            let outside = raw::open_path(&directory.join("outside"));
            nix::unistd::chroot(&directory.join("root")).unwrap();
            std::env::set_current_dir("/etc").unwrap();
            own(Path::new("/etc/a"), 1, 1);
            own(Path::new("/absolute"), 2, 2);
            own(Path::new("../../../../d"), 3, 3);
            own(Path::new("across"), 6, 6);
            own(Path::new("/../etc/../../f"), 7, 7);
            let owner = (Some(Uid::from_raw(4)), Some(Gid::from_raw(4)));
            fchownat(&outside, "c", owner.0, owner.1, AtFlags::empty()).unwrap();
            symlink("etc", "/link").unwrap();
            own_link(Path::new("/link"), 5, 5).unwrap();
            mknod("/null", SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
        },
        check: Check::Records(|directory, records| {
            for (name, owner) in [
                ("root/etc/a", Some((1, 1))),
                ("root/etc/b", Some((2, 2))),
                ("root/d", Some((3, 3))),
                ("outside/c", Some((4, 4))),
                ("root/etc/c", None),
                ("root/etc/e", Some((6, 6))),
                ("root/f", Some((7, 7))),
            ] {
                assert_eq!(owner_on_disk(&directory.join(name)), owner, "{name}");
            }
            assert_eq!(
                raw::get(&directory.join("root/null"), DEVICE).unwrap(),
                b"c 1:3"
            );
            let path = directory.join("root/link");
            assert_eq!(
                records,
                [OwnerRecord {
                    path,
                    uid: 5,
                    gid: 5
                }]
            );
        }),
    },
    Scenario {
        name: "devices_become_placeholders_and_whiteouts_stay",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            let all = Mode::from_bits_truncate(0o666);
            umask(Mode::from_bits_truncate(0o027));
            mknod(&file("null"), SFlag::S_IFCHR, all, makedev(1, 3)).unwrap();
            mknod("disk", SFlag::S_IFBLK, Mode::empty(), makedev(259, 70000)).unwrap();
            mknod(&file("whiteout"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
            own(&file("null"), 0, 6);
            for (path, errno) in [
                ("null", Errno::EEXIST),
                ("null/", Errno::EEXIST),
                ("none/", Errno::ENOENT),
                ("none/x", Errno::ENOENT),
                ("null/x", Errno::ENOTDIR),
                ("", Errno::ENOENT),
                ("..", Errno::EEXIST),
                ("/", Errno::EEXIST),
                (&"x".repeat(256), Errno::ENAMETOOLONG),
                (&"x/".repeat(2048), Errno::ENAMETOOLONG),
            ] {
                assert_eq!(
                    mknod(path, SFlag::S_IFCHR, all, makedev(1, 3)),
                    Err(errno),
                    "{path}"
                );
            }
        },
        check: Check::Records(|directory, _| {
            let null = directory.join("null");
            assert_eq!(raw::get(&null, DEVICE).unwrap(), b"c 1:3");
            assert_eq!(owner_on_disk(&null), Some((0, 6)));
            assert_eq!(
                (mode(&null), fs::metadata(&null).unwrap().len()),
                (0o640, 0)
            );
            assert_eq!(
                raw::get(&directory.join("disk"), DEVICE).unwrap(),
                b"b 259:70000"
            );
            assert_eq!(mode(&directory.join("disk")), 0);
            let whiteout = fs::metadata(directory.join("whiteout")).unwrap();
            assert!(whiteout.file_type().is_char_device());
            assert_eq!(whiteout.rdev(), 0);
        }),
    },
    Scenario {
        name: "attributes_are_set_as_by_the_kernel",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::write(directory.join("native"), "").unwrap();
            symlink("file", directory.join("link")).unwrap();
            raw::set(&directory.join("native"), CAPABILITY, &CAP_NET_RAW, 0).unwrap();
        },
        program: |directory| {
            let file = directory.join("file");
            let (create, replace) = (libc::XATTR_CREATE, libc::XATTR_REPLACE);
            raw::set(&file, c"user.x", b"1", create).unwrap();
            assert_eq!(raw::set(&file, c"user.x", b"2", create), Err(Errno::EEXIST));
            assert_eq!(
                raw::set(&file, c"user.y", b"2", replace),
                Err(Errno::ENODATA)
            );
            assert_eq!(raw::set(&file, c"user.x", b"2", 4), Err(Errno::EINVAL));
            assert_eq!(raw::set(&file, c"", b"2", 0), Err(Errno::ERANGE));
            assert_eq!(raw::set(&file, c"trusted.x", b"2", 0), Err(Errno::EPERM));
            assert_eq!(
                raw::set(&file, c"nonsense", b"2", 0),
                Err(Errno::EOPNOTSUPP)
            );
            assert_eq!(
                raw::set(&directory.join("link"), c"user.x", b"2", 0),
                Err(Errno::EPERM)
            );
            raw::set(&file, CAPABILITY, &CAP_NET_RAW, 0).unwrap();
            raw::set(&file, c"user.empty", b"", 0).unwrap();
            let opened = File::open(&file).unwrap();
            raw::set_by_descriptor(&opened, c"user.by-fd", b"3").unwrap();
            let opened = raw::open_path(&file);
            assert_eq!(
                raw::set_by_descriptor(&opened, c"user.z", b""),
                Err(Errno::EBADF)
            );
            assert_eq!(raw::remove(&file, c"user.none"), Err(Errno::ENODATA));
        },
        check: Check::Records(|directory, _| {
            let (file, native) = (directory.join("file"), directory.join("native"));
            assert_eq!(raw::get(&file, c"user.x").unwrap(), b"1");
            assert_eq!(raw::get(&file, c"user.empty").unwrap(), b"");
            assert_eq!(raw::get(&file, c"user.by-fd").unwrap(), b"3");
            assert!(raw::get(&native, CAPABILITY).is_some());
            assert_eq!(raw::get(&file, CAPABILITY), raw::get(&native, CAPABILITY));
        }),
    },
    Scenario {
        name: "acls_with_unmapped_ids_are_recorded",
        prepare: |directory| {
            for name in ["file", "replaced", "removed"] {
                fs::write(directory.join(name), "").unwrap();
            }
            fs::create_dir(directory.join("directory")).unwrap();
        },
        program: |directory| {
            let file = |name: &str| directory.join(name);
            raw::set(&file("file"), ACCESS, &acl(33), 0).unwrap();
            raw::set(&file("replaced"), ACCESS, &acl(33), 0).unwrap();
            raw::set(&file("replaced"), ACCESS, &acl(0), 0).unwrap();
            raw::set(&file("removed"), ACCESS, &acl(33), 0).unwrap();
            raw::remove(&file("removed"), ACCESS).unwrap();
            raw::set(&file("directory"), DEFAULT, &acl(34), 0).unwrap();
            assert_eq!(
                raw::set(&file("file"), DEFAULT, &acl(34), 0),
                Err(Errno::EACCES)
            );
            assert_eq!(
                raw::set(&file("file"), ACCESS, &acl(33)[..12], 0),
                Err(Errno::EINVAL)
            );
            assert_eq!(
                raw::set(&file("file"), ACCESS, &acl(u32::MAX), 0),
                Err(Errno::EINVAL)
            );
        },
        check: Check::Records(|directory, _| {
            let file = |name: &str| directory.join(name);
            assert_eq!(raw::get(&file("file"), ACCESS_ACL), Some(acl(33)));
            assert_eq!(raw::get(&file("file"), ACCESS), None);
            assert_eq!(mode(&file("file")), 0o651);
            assert_eq!(raw::get(&file("replaced"), ACCESS_ACL), None);
            assert_eq!(raw::get(&file("replaced"), ACCESS), Some(acl(0)));
            assert_eq!(raw::get(&file("removed"), ACCESS_ACL), None);
            assert_eq!(raw::get(&file("directory"), DEFAULT_ACL), Some(acl(34)));
            assert_eq!(raw::get(&file("directory"), DEFAULT), None);
        }),
    },
    Scenario {
        name: "records_follow_copy_up",
        prepare: |directory| {
            for name in ["lower", "upper", "work", "merged"] {
                fs::create_dir(directory.join(name)).unwrap();
            }
            fs::write(directory.join("lower/file"), "").unwrap();
            symlink("x", directory.join("lower/link")).unwrap();
            let path = |name| directory.join(name).display().to_string();
            let options = format!(
                "lowerdir={},upperdir={},workdir={},userxattr",
                path("lower"),
                path("upper"),
                path("work")
            );
            let merged = directory.join("merged");
            let none = MsFlags::empty();
            mount(
                Some("overlay"),
                &merged,
                Some("overlay"),
                none,
                Some(options.as_str()),
            )
            .unwrap();
        },
        program: |directory| {
            own(&directory.join("merged/file"), 1, 2);
            own_link(&directory.join("merged/link"), 3, 4).unwrap();
        },
        check: Check::Records(|directory, records| {
            assert_eq!(owner_on_disk(&directory.join("merged/file")), Some((1, 2)));
            assert_eq!(owner_on_disk(&directory.join("upper/file")), Some((1, 2)));
            assert_eq!(owner_on_disk(&directory.join("lower/file")), None);
            let path = directory.join("merged/link");
            assert_eq!(
                records,
                [OwnerRecord {
                    path,
                    uid: 3,
                    gid: 4
                }]
            );
        }),
    },
    Scenario {
        name: "calls_of_threads_and_undumpable_processes_are_recorded",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::write(directory.join("other"), "").unwrap();
        },
        program: |directory| {
            nix::sys::prctl::set_dumpable(false).unwrap();
            let (file, other) = (directory.join("file"), directory.join("other"));
            std::thread::spawn(move || {
                own(&file, 1, 2);
                let opened = File::open(other).unwrap();
                fchown(&opened, Some(Uid::from_raw(3)), None).unwrap();
                own(
                    Path::new(&format!("/proc/thread-self/fd/{}", opened.as_raw_fd())),
                    3,
                    4,
                );
                assert_eq!(
                    mknod("disk", SFlag::S_IFBLK, Mode::empty(), makedev(8, 0)),
                    Ok(())
                );
            })
            .join()
            .unwrap();
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((1, 2)));
            assert_eq!(owner_on_disk(&directory.join("other")), Some((3, 4)));
        }),
    },
];
