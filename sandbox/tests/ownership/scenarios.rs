//! What programs do to the recorder, and what must come of it.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{Gid, Uid, chown, fchown, fchownat, mkfifo};
use overcoat_sandbox::ownership::OwnerRecord;
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, DEVICE, OWNER, Owner};

use crate::Scenario;
use crate::raw;

const ACCESS: &CStr = c"system.posix_acl_access";
const DEFAULT: &CStr = c"system.posix_acl_default";
const CAPABILITY: &CStr = c"security.capability";
/// `cap_net_raw+ep`, version 2 of `struct vfs_cap_data`.
const CAP_NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

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
        check: |directory, records| {
            for (name, owner) in [
                ("plain", Some((1, 2))),
                ("directory", Some((3, u32::MAX - 1))),
                ("kept", Some((5, 7))),
                ("reset", None),
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
        },
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
        check: |directory, records| {
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
        },
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
            ] {
                fs::write(directory.join(name), "").unwrap();
            }
            symlink("/etc/b", directory.join("root/absolute")).unwrap();
        },
        program: |directory| {
            let outside = raw::open_path(&directory.join("outside"));
            nix::unistd::chroot(&directory.join("root")).unwrap();
            std::env::set_current_dir("/etc").unwrap();
            own(Path::new("/etc/a"), 1, 1);
            own(Path::new("/absolute"), 2, 2);
            own(Path::new("../../../../d"), 3, 3);
            let owner = (Some(Uid::from_raw(4)), Some(Gid::from_raw(4)));
            fchownat(&outside, "c", owner.0, owner.1, AtFlags::empty()).unwrap();
            symlink("etc", "/link").unwrap();
            own_link(Path::new("/link"), 5, 5).unwrap();
            mknod("/null", SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
        },
        check: |directory, records| {
            for (name, owner) in [
                ("root/etc/a", Some((1, 1))),
                ("root/etc/b", Some((2, 2))),
                ("root/d", Some((3, 3))),
                ("outside/c", Some((4, 4))),
                ("root/etc/c", None),
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
        },
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
        check: |directory, _| {
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
        },
    },
    Scenario {
        name: "records_cannot_be_forged_or_removed",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::write(directory.join("other"), "").unwrap();
        },
        program: |directory| {
            let file = directory.join("file");
            own(&file, 1, 2);
            let forged = [0; 8];
            for name in [
                OWNER,
                DEVICE,
                ACCESS_ACL,
                c"user.overcoat.",
                c"user.overcoat.new",
            ] {
                assert_eq!(raw::set(&file, name, &forged, 0), Err(Errno::EPERM));
                assert_eq!(raw::remove(&file, name), Err(Errno::EPERM));
                let opened = File::open(&file).unwrap();
                assert_eq!(
                    raw::set_by_descriptor(&opened, name, &forged),
                    Err(Errno::EPERM)
                );
                // setxattrat and removexattrat.
                let path = raw::c_path(&file);
                let structure = [forged.as_ptr().addr() as u64, 8];
                let at = structure.as_ptr().addr() as u64;
                let cwd = libc::AT_FDCWD.cast_unsigned().into();
                let arguments = [cwd, raw::address(&path), 0, raw::address(name), at, 16];
                assert_eq!(raw::call(463, arguments), Err(Errno::EPERM));
                assert_eq!(raw::call(466, arguments), Err(Errno::EPERM));
            }
            flip_names(&directory.join("other"));
        },
        check: |directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((1, 2)));
            assert_eq!(owner_on_disk(&directory.join("other")), None);
            assert_eq!(
                raw::get(&directory.join("other"), c"user.innocent.name").unwrap(),
                [7; 8]
            );
        },
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
            wild_arguments(&file);
        },
        check: |directory, _| {
            let (file, native) = (directory.join("file"), directory.join("native"));
            assert_eq!(raw::get(&file, c"user.x").unwrap(), b"1");
            assert_eq!(raw::get(&file, c"user.empty").unwrap(), b"");
            assert_eq!(raw::get(&file, c"user.by-fd").unwrap(), b"3");
            assert!(raw::get(&native, CAPABILITY).is_some());
            assert_eq!(raw::get(&file, CAPABILITY), raw::get(&native, CAPABILITY));
        },
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
        check: |directory, _| {
            let file = |name: &str| directory.join(name);
            assert_eq!(raw::get(&file("file"), ACCESS_ACL), Some(acl(33)));
            assert_eq!(raw::get(&file("file"), ACCESS), None);
            assert_eq!(mode(&file("file")), 0o651);
            assert_eq!(raw::get(&file("replaced"), ACCESS_ACL), None);
            assert_eq!(raw::get(&file("replaced"), ACCESS), Some(acl(0)));
            assert_eq!(raw::get(&file("removed"), ACCESS_ACL), None);
            assert_eq!(raw::get(&file("directory"), DEFAULT_ACL), Some(acl(34)));
            assert_eq!(raw::get(&file("directory"), DEFAULT), None);
        },
    },
    Scenario {
        name: "read_only_mounts_stay_unchanged",
        prepare: |directory| {
            let mounted = directory.join("ro");
            fs::create_dir(&mounted).unwrap();
            fs::write(mounted.join("file"), "").unwrap();
            let mount = |flags| mount(Some(&mounted), &mounted, None::<&str>, flags, None::<&str>);
            mount(MsFlags::MS_BIND).unwrap();
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(flags | kept_flags(&mounted)).unwrap();
        },
        program: |directory| {
            let file = directory.join("ro/file");
            assert_eq!(
                chown(&file, Some(Uid::from_raw(1)), None),
                Err(Errno::EROFS)
            );
            let opened = File::open(&file).unwrap();
            assert_eq!(
                fchown(&opened, Some(Uid::from_raw(1)), None),
                Err(Errno::EROFS)
            );
            assert_eq!(raw::set(&file, c"user.x", b"", 0), Err(Errno::EROFS));
            assert_eq!(raw::set(&file, ACCESS, &acl(33), 0), Err(Errno::EROFS));
            assert_eq!(raw::remove(&file, ACCESS), Err(Errno::EROFS));
            let made = mknod(
                &directory.join("ro/null"),
                SFlag::S_IFCHR,
                Mode::empty(),
                makedev(1, 3),
            );
            assert_eq!(made, Err(Errno::EROFS));
        },
        check: |directory, records| {
            assert_eq!(owner_on_disk(&directory.join("ro/file")), None);
            assert_eq!(records, []);
        },
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
        check: |directory, records| {
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
        },
    },
    Scenario {
        name: "changing_ids_succeeds_without_effect",
        prepare: |_| {},
        program: |_| {
            nix::unistd::setgroups(&[Gid::from_raw(33)]).unwrap();
            nix::unistd::setresgid(Gid::from_raw(33), Gid::from_raw(33), Gid::from_raw(33))
                .unwrap();
            nix::unistd::setuid(Uid::from_raw(33)).unwrap();
            assert_eq!(nix::unistd::getuid(), Uid::from_raw(0));
        },
        check: |_, _| {},
    },
    Scenario {
        name: "supervisor_is_nobodys_deputy",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::create_dir(directory.join("proc")).unwrap();
        },
        program: |directory| {
            // Links that the caller itself may follow are refused to it too: their text does not tell who follows.
            let opened = File::open(directory).unwrap();
            let own_pid = fs::read_link("/proc/self").unwrap();
            for process in [
                own_pid.display().to_string(),
                nix::unistd::getppid().to_string(),
                "self".into(),
            ] {
                for tail in [
                    format!("fd/{}/file", opened.as_raw_fd()),
                    "cwd/file".into(),
                    "root/etc".into(),
                ] {
                    let path = format!("/proc/{process}/{tail}");
                    let changed = chown(path.as_str(), Some(Uid::from_raw(1)), None);
                    assert!(
                        matches!(changed, Err(Errno::ELOOP | Errno::ENOENT)),
                        "{path}: {changed:?}"
                    );
                }
            }
        },
        check: |directory, records| {
            assert_eq!(owner_on_disk(&directory.join("file")), None);
            assert_eq!(records, []);
        },
    },
    Scenario {
        name: "flipped_paths_name_one_of_both_files",
        prepare: |directory| {
            for name in ["a", "b"] {
                fs::write(directory.join(name), "").unwrap();
            }
            fs::create_dir(directory.join("bystander")).unwrap();
        },
        program: |_| flip_paths(),
        check: |directory, _| {
            assert_eq!(owner_on_disk(&directory.join("a")), Some((1, 1)));
            assert_eq!(owner_on_disk(&directory.join("b")), Some((1, 1)));
            assert_eq!(owner_on_disk(&directory.join("bystander")), None);
        },
    },
    Scenario {
        name: "killed_callers_do_no_harm",
        prepare: |directory| fs::write(directory.join("file"), "").unwrap(),
        program: |directory| {
            for round in 0..150 {
                let mut child = Command::new("/proc/self/exe")
                    .args(["under-filter", "chown-forever"])
                    .arg(directory)
                    .stdin(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::sleep(Duration::from_micros(2000 + 37 * round));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            own(&directory.join("file"), 21, 22);
        },
        check: |directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((21, 22)));
        },
    },
];

/// What [`Scenario::program`] starts in another process.
pub(crate) fn helper(name: &str, directory: &Path) {
    let file = directory.join("file");
    match name {
        "chown-forever" => loop {
            for id in 1..100 {
                own(&file, id, id);
                raw::set(&file, c"user.x", &[7; 4096], 0).ok();
            }
        },
        other => panic!("no helper {other}"),
    }
}

/// Sets an attribute while another thread changes its name between a harmless one and ours.
fn flip_names(file: &Path) {
    let path = raw::c_path(file);
    let mut name = *b"user.innocent.name\0";
    let (address, done) = (
        name.as_mut_ptr().expose_provenance(),
        AtomicBool::new(false),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            flip(
                address,
                b"user.overcoat.owner",
                b"user.innocent.name\0",
                &done,
            )
        });
        for _ in 0..3000 {
            let arguments = [
                raw::address(&path),
                address as u64,
                [7u8; 8].as_ptr().addr() as u64,
                8,
                0,
                0,
            ];
            // Half-written names are refused for reasons of their own.
            let _ = raw::call(libc::SYS_setxattr, arguments);
        }
        done.store(true, Ordering::Relaxed);
    });
    raw::set(file, c"user.innocent.name", &[7; 8], 0).unwrap();
}

/// Changes the owner of a path that another thread changes.
fn flip_paths() {
    let mut path = *b"a\0";
    let (address, done) = (
        path.as_mut_ptr().expose_provenance(),
        AtomicBool::new(false),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| flip(address, b"b", b"a", &done));
        for _ in 0..3000 {
            let cwd = libc::AT_FDCWD.cast_unsigned().into();
            raw::call(libc::SYS_fchownat, [cwd, address as u64, 1, 1, 0, 0]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn flip(address: usize, first: &[u8], second: &[u8], done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        for bytes in [first, second] {
            raw::write_volatile(address, bytes);
        }
    }
}

/// Lengths and pointers that must neither stop nor fill the supervisor.
fn wild_arguments(file: &Path) {
    let path = raw::c_path(file);
    let (path, name) = (raw::address(&path), raw::address(c"user.wild"));
    let value = [0u8; 16];
    let value = value.as_ptr().addr() as u64;
    let long_name = std::ffi::CString::new(vec![b'x'; 256]).unwrap();
    for (arguments, errno) in [
        ([path, name, value, 65537, 0, 0], Errno::E2BIG),
        ([path, name, value, 1 << 47, 0, 0], Errno::E2BIG),
        ([path, name, value, u64::MAX, 0, 0], Errno::E2BIG),
        ([path, name, 0, 8, 0, 0], Errno::EFAULT),
        ([path, name, u64::MAX - 4, 8, 0, 0], Errno::EFAULT),
        ([path, 0, value, 8, 0, 0], Errno::EFAULT),
        ([path, u64::MAX, value, 8, 0, 0], Errno::EFAULT),
        ([0, name, value, 8, 0, 0], Errno::EFAULT),
        (
            [path, raw::address(&long_name), value, 8, 0, 0],
            Errno::ERANGE,
        ),
    ] {
        assert_eq!(
            raw::call(libc::SYS_setxattr, arguments),
            Err(errno),
            "{arguments:?}"
        );
    }
    let long = std::ffi::CString::new(vec![b'x'; 1 << 20]).unwrap();
    let cwd = libc::AT_FDCWD.cast_unsigned().into();
    for (address, errno) in [
        (raw::address(&long), Errno::ENAMETOOLONG),
        (1 << 63, Errno::EFAULT),
    ] {
        let arguments = [cwd, address, 1, 1, 0, 0];
        assert_eq!(raw::call(libc::SYS_fchownat, arguments), Err(errno));
    }
    let structure = [0u64; 512];
    let structure = structure.as_ptr().addr() as u64;
    for (size, errno) in [
        (8, Errno::EINVAL),
        (4097, Errno::E2BIG),
        (u64::MAX, Errno::E2BIG),
    ] {
        assert_eq!(
            raw::call(463, [cwd, path, 0, name, structure, size]),
            Err(errno)
        );
    }
    raw::call(463, [cwd, path, 0, name, structure, 4096]).unwrap();
    assert_eq!(
        raw::call(libc::SYS_fchown, [u64::MAX, 1, 1, 0, 0, 0]),
        Err(Errno::EBADF)
    );
}

/// An access ACL with one named user.
fn acl(user: u32) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 7, user),
        (4, 4, u32::MAX),
        (0x10, 5, u32::MAX),
        (0x20, 1, u32::MAX),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn own(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).unwrap();
}

fn own_link(path: &Path, uid: u32, gid: u32) -> Result<(), Errno> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fchownat(
        AT_FDCWD.as_fd(),
        path,
        owner.0,
        owner.1,
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )
}

fn owner_on_disk(path: &Path) -> Option<(u32, u32)> {
    let Owner { uid, gid } = Owner::from_bytes(&raw::get(path, OWNER)?).unwrap();
    Some((uid, gid))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Mount flags that an unprivileged remount must not drop.
fn kept_flags(path: &Path) -> MsFlags {
    let found = nix::sys::statvfs::statvfs(path).unwrap().flags();
    let mut flags = MsFlags::empty();
    for (found_flag, flag) in [
        (nix::sys::statvfs::FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (nix::sys::statvfs::FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (nix::sys::statvfs::FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (
            nix::sys::statvfs::FsFlags::ST_RELATIME,
            MsFlags::MS_RELATIME,
        ),
        (nix::sys::statvfs::FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
    ] {
        flags.set(flag, found.contains(found_flag));
    }
    flags
}
