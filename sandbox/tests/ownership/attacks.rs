//! What hostile programs try.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Uid, chown, fchown, mkfifo};
use overcoat_sandbox::ownership::attributes::{
    ACCESS_ACL, CAPABILITY, DEFAULT_ACL, DEVICE, ENTRIES, OWNER, Record,
};

use crate::owners::{acl, own, own_link, owner_on_disk};
use crate::{Check, Scenario, raw};

const ACCESS: &CStr = c"system.posix_acl_access";

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "records_cannot_be_malformed_invented_or_removed",
        prepare: |directory| {
            fs::write(directory.join("file"), "x").unwrap();
            fs::write(directory.join("empty"), "").unwrap();
            fs::write(directory.join("other"), "").unwrap();
            fs::create_dir(directory.join("directory")).unwrap();
            symlink("file", directory.join("link")).unwrap();
            mkfifo(&directory.join("fifo"), Mode::S_IRUSR).unwrap();
        },
        program: |directory| {
            let file = directory.join("file");
            own(&file, 1, 2);
            let long = [0; 9];
            let nobody = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
            let no_group = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
            let entries = b"\x07\0\0\0\x08\0\0\0\x01a";
            for (name, path, value, errno) in [
                (OWNER, "file", &b""[..], Errno::EINVAL),
                (OWNER, "file", &long[1..8], Errno::EINVAL),
                (OWNER, "file", &long, Errno::EINVAL),
                (OWNER, "file", &nobody, Errno::EINVAL),
                (OWNER, "file", &no_group, Errno::EINVAL),
                (OWNER, "link", &long[1..], Errno::EPERM),
                (OWNER, "fifo", &long[1..], Errno::EPERM),
                (DEVICE, "file", b"c 1:3", Errno::EPERM),
                (DEVICE, "directory", b"c 1:3", Errno::EPERM),
                (DEVICE, "link", b"c 1:3", Errno::EPERM),
                (DEVICE, "empty", b"c 0:0", Errno::EINVAL),
                (DEVICE, "empty", b"c 01:3", Errno::EINVAL),
                (DEVICE, "empty", b"c 4096:0", Errno::EINVAL),
                (DEVICE, "empty", b"b 0:1048576", Errno::EINVAL),
                (ACCESS_ACL, "file", &acl(33)[..12], Errno::EINVAL),
                (ACCESS_ACL, "file", &acl(u32::MAX), Errno::EINVAL),
                (DEFAULT_ACL, "file", &acl(33), Errno::EACCES),
                (CAPABILITY, "file", &[0; 20], Errno::EPERM),
                (ENTRIES, "directory", entries, Errno::EPERM),
                (c"user.overcoat.", "file", b"", Errno::EPERM),
                (c"user.overcoat.new", "file", b"", Errno::EPERM),
                (c"user.overcoat.owner2", "file", &long[1..], Errno::EPERM),
            ] {
                let path = directory.join(path);
                let refused = raw::set(&path, name, value, 0);
                assert_eq!(refused, Err(errno), "{name:?} of {}", path.display());
                let refused = raw::set_at(&path, name, value);
                assert_eq!(refused, Err(errno), "{name:?} of {}", path.display());
                assert_eq!(raw::remove(&path, name), Err(Errno::EPERM));
                assert_eq!(raw::remove_at(&path, name), Err(Errno::EPERM));
            }
            let opened = File::open(&file).unwrap();
            for (name, errno) in [
                (OWNER, Errno::EINVAL),
                (DEVICE, Errno::EINVAL),
                (ENTRIES, Errno::EPERM),
            ] {
                let refused = raw::set_by_descriptor(&opened, name, &long);
                assert_eq!(refused, Err(errno));
            }
            flip_names(&directory.join("other"));
        },
        check: Check::Records(|directory, records| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((1, 2)));
            for name in ["file", "empty", "other", "directory"] {
                let path = directory.join(name);
                for record in Record::ALL {
                    if (name, record) != ("file", Record::Owner) {
                        assert_eq!(raw::get(&path, record.name()), None, "{record:?} of {name}");
                    }
                }
            }
            assert_eq!(
                raw::get(&directory.join("other"), c"user.innocent.names").unwrap(),
                [7; 8]
            );
            assert_eq!(records, []);
        }),
    },
    Scenario {
        name: "read_only_mounts_stay_unchanged",
        prepare: |directory| {
            let mounted = directory.join("ro");
            fs::create_dir(&mounted).unwrap();
            let mount = |flags| mount(Some("ro"), &mounted, Some("tmpfs"), flags, None::<&str>);
            mount(MsFlags::empty()).unwrap();
            fs::write(mounted.join("file"), "").unwrap();
            mount(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY).unwrap();
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
            assert_eq!(raw::set(&file, OWNER, &[1; 8], 0), Err(Errno::EROFS));
            assert_eq!(raw::set(&file, DEVICE, b"c 1:3", 0), Err(Errno::EROFS));
            let refused = raw::set(&file, ACCESS_ACL, &acl(33), 0);
            assert_eq!(refused, Err(Errno::EROFS));
            let made = mknod(
                &directory.join("ro/null"),
                SFlag::S_IFCHR,
                Mode::empty(),
                makedev(1, 3),
            );
            assert_eq!(made, Err(Errno::EROFS));
        },
        check: Check::Records(|directory, records| {
            assert_eq!(owner_on_disk(&directory.join("ro/file")), None);
            assert_eq!(records, []);
        }),
    },
    Scenario {
        name: "too_many_held_inodes_end_the_recording",
        prepare: |_| {},
        program: |directory| {
            for number in 0..=4096 {
                let link = directory.join(number.to_string());
                symlink("x", &link).unwrap();
                // Deleted ones make room.
                if number == 7 {
                    own_link(&link, 1, 1).unwrap();
                    fs::remove_file(&link).unwrap();
                    symlink("x", &link).unwrap();
                }
                let expected = if number < 4096 {
                    Ok(())
                } else {
                    Err(Errno::ENOSYS)
                };
                assert_eq!(own_link(&link, 1, 1), expected);
            }
        },
        check: Check::Error(
            "more than 4096 symbolic links, FIFOs or sockets were given to ids other than 0",
        ),
    },
    Scenario {
        name: "wild_lengths_and_pointers_are_refused",
        prepare: |directory| fs::write(directory.join("file"), "").unwrap(),
        program: |directory| wild_arguments(&directory.join("file")),
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), None);
        }),
    },
    Scenario {
        name: "supervisor_is_nobodys_deputy",
        prepare: |directory| {
            fs::write(directory.join("file"), "").unwrap();
            fs::create_dir(directory.join("proc")).unwrap();
        },
        program: |directory| {
            // Links that the caller itself may follow are refused to it too, but for the paths of its own descriptors:
            // their text does not tell who follows.
            let opened = File::open(directory).unwrap();
            let own_pid = fs::read_link("/proc/self").unwrap();
            for process in [
                own_pid.display().to_string(),
                nix::unistd::getppid().to_string(),
                "self".into(),
                "self/.".into(),
            ] {
                let descriptor = match process.as_str() {
                    "self" => "99".into(),
                    _ => opened.as_raw_fd().to_string(),
                };
                for tail in [
                    format!("fd/{descriptor}/file"),
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
        check: Check::Records(|directory, records| {
            assert_eq!(owner_on_disk(&directory.join("file")), None);
            assert_eq!(records, []);
        }),
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
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("a")), Some((1, 1)));
            assert_eq!(owner_on_disk(&directory.join("b")), Some((1, 1)));
            assert_eq!(owner_on_disk(&directory.join("bystander")), None);
        }),
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
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((21, 22)));
        }),
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
        "make-forever" => crate::hostile::make_forever(directory),
        other => panic!("no helper {other}"),
    }
}

/// Sets an attribute while another thread changes its name between a harmless one and one that is always refused.
fn flip_names(file: &Path) {
    let path = raw::c_path(file);
    let mut name = *b"user.innocent.names\0\0\0";
    let address = name.as_mut_ptr().expose_provenance();
    let (turns, done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            flip(
                address,
                b"user.overcoat.entries",
                b"user.innocent.names\0\0",
                &turns,
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
    raw::set(file, c"user.innocent.names", &[7; 8], 0).unwrap();
}

/// Changes the owner of a path that another thread changes.
fn flip_paths() {
    let mut path = *b"a\0";
    let address = path.as_mut_ptr().expose_provenance();
    let (turns, done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| flip(address, b"b", b"a", &turns, &done));
        // A busy machine may leave the other thread no time at all, so the calls go on until its changes were seen.
        let (mut calls, mut changes, mut last) = (0, 0, 0);
        while calls < 3000 || changes < 50 {
            let now = turns.load(Ordering::Relaxed);
            changes += u32::from(now != last);
            last = now;
            calls += 1;
            let cwd = libc::AT_FDCWD.cast_unsigned().into();
            raw::call(libc::SYS_fchownat, [cwd, address as u64, 1, 1, 0, 0]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn flip(address: usize, first: &[u8], second: &[u8], turns: &AtomicU32, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        for bytes in [first, second] {
            raw::write_volatile(address, bytes);
            // Counting takes longer than writing, so that it is done after each: both are there for as long.
            turns.fetch_add(1, Ordering::Relaxed);
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
