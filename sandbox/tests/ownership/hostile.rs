//! What hostile programs try on the answers to their calls, and on what is made on their behalf.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, fstat, mkdirat, stat};
use nix::unistd::{
    Gid, Uid, chdir, fchown, geteuid, getgroups, getresuid, getuid, pipe, setgroups, setresuid,
    setuid,
};

use crate::identities::become_user;
use crate::owners::{own, owner_on_disk};
use crate::{Check, Scenario, raw};

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "a_parent_that_is_swapped_gets_complete_files_or_none",
        prepare: |directory| {
            for name in ["parent", "elsewhere"] {
                fs::create_dir(directory.join(name)).unwrap();
                fs::write(directory.join(name).join("bystander"), "kept").unwrap();
            }
            symlink("elsewhere", directory.join("link")).unwrap();
        },
        program: |directory| {
            become_user(33);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let exchange = RenameFlags::RENAME_EXCHANGE;
                        renameat2(AT_FDCWD, "parent", AT_FDCWD, "link", exchange).unwrap();
                    }
                });
                for number in 0..500 {
                    let mut options = File::options();
                    let options = options.write(true).create_new(true);
                    options.open(format!("parent/{number}")).unwrap();
                    let parent = raw::open_path(directory);
                    let below = format!("parent/{number}-directory");
                    mkdirat(&parent, below.as_str(), Mode::S_IRWXU).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        },
        check: Check::Records(|directory, _| {
            let mut made = 0;
            let (parent, elsewhere) = match fs::read_link(directory.join("link")) {
                Ok(_) => ("parent", "elsewhere"),
                Err(_) => ("link", "elsewhere"),
            };
            for below in [parent, elsewhere] {
                for entry in fs::read_dir(directory.join(below)).unwrap() {
                    let path = entry.unwrap().path();
                    if path.ends_with("bystander") {
                        assert_eq!(owner_on_disk(&path), None);
                        assert_eq!(fs::read(&path).unwrap(), b"kept");
                    } else {
                        assert_eq!(owner_on_disk(&path), Some((33, 33)), "{}", path.display());
                        made += 1;
                    }
                }
                assert_eq!(owner_on_disk(&directory.join(below)), None);
            }
            assert_eq!(made, 1000);
        }),
    },
    Scenario {
        name: "a_link_in_the_place_of_a_new_file_is_not_followed",
        prepare: |directory| {
            fs::write(directory.join("victim"), "kept").unwrap();
        },
        program: |directory| {
            become_user(33);
            let (new, done) = (directory.join("new"), AtomicBool::new(false));
            let mut made = 0;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let _ = symlink("victim", &new);
                        let _ = fs::remove_file(&new);
                    }
                });
                while made < 300 {
                    match File::options().write(true).create_new(true).open(&new) {
                        Ok(file) => {
                            assert_eq!(fstat(&file).unwrap().st_size, 0);
                            std::io::Write::write_all(&mut &file, b"changed").unwrap();
                            made += 1;
                        }
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists),
                    }
                    let _ = fs::remove_file(&new);
                }
                done.store(true, Ordering::Relaxed);
            });
        },
        check: Check::Records(|directory, _| {
            assert_eq!(fs::read(directory.join("victim")).unwrap(), b"kept");
            assert_eq!(owner_on_disk(&directory.join("victim")), None);
        }),
    },
    Scenario {
        name: "makers_that_are_killed_leave_nothing_unrecorded",
        prepare: |directory| fs::create_dir(directory.join("made")).unwrap(),
        program: |directory| {
            for round in 0..100 {
                let mut child = Command::new("/proc/self/exe")
                    .args(["under-filter", "make-forever"])
                    .arg(directory)
                    .stdin(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::sleep(Duration::from_micros(2000 + 53 * round));
                child.kill().unwrap();
                child.wait().unwrap();
            }
        },
        check: Check::Records(|directory, _| {
            let entries = fs::read_dir(directory.join("made")).unwrap();
            let mut count = 0;
            for entry in entries {
                let path = entry.unwrap().path();
                assert_eq!(owner_on_disk(&path), Some((33, 33)), "{}", path.display());
                count += 1;
            }
            assert!(count > 20, "{count}");
        }),
    },
    Scenario {
        name: "interrupted_calls_make_one_thing_each",
        prepare: |_| {},
        program: |directory| {
            become_user(33);
            raw::interrupt_every(100);
            for number in 0..1000 {
                let path = directory.join(number.to_string());
                fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
                File::options()
                    .write(true)
                    .create_new(true)
                    .open(path.join("file"))
                    .unwrap();
                assert_eq!(getuid(), Uid::from_raw(33));
                assert_eq!(stat(&path).unwrap().st_uid, 33);
            }
            raw::interrupt_every(0);
        },
        check: Check::Records(|directory, _| {
            for number in 0..1000 {
                let path = directory.join(number.to_string());
                assert_eq!(owner_on_disk(&path), Some((33, 33)));
                assert_eq!(owner_on_disk(&path.join("file")), Some((33, 33)));
            }
        }),
    },
    Scenario {
        name: "what_was_written_to_a_new_file_can_be_executed",
        prepare: |_| {},
        program: |directory| {
            become_user(33);
            let program = directory.join("program");
            for _ in 0..400 {
                let mut options = File::options();
                let options = options.write(true).create_new(true).mode(0o755);
                let mut file = options.open(&program).unwrap();
                std::io::Write::write_all(&mut file, b"#!/bin/true\n").unwrap();
                drop(file);
                // Whoever has it open for writing still makes this fail with ETXTBSY.
                assert!(Command::new(&program).status().unwrap().success());
                fs::remove_file(&program).unwrap();
            }
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "a_supervisor_without_descriptors_makes_nothing_unrecorded",
        prepare: |_| setrlimit(Resource::RLIMIT_NOFILE, 48, 48).unwrap(),
        program: |_| {
            become_user(33);
            // Each that is recorded takes one of the supervisor's descriptors.
            let refused = (0..100).find_map(|number| symlink("x", number.to_string()).err());
            assert_eq!(refused.unwrap().raw_os_error(), Some(libc::EMFILE));
            // What takes fewer descriptors than a link, and none for good, may still be made.
            for outcome in [fs::write("file", ""), fs::create_dir("directory")] {
                if let Err(refused) = outcome {
                    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
                }
            }
        },
        check: Check::Records(|directory, records| {
            let mut links = 0;
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_symlink() {
                    links += 1;
                } else {
                    assert_eq!(owner_on_disk(&entry.path()), Some((33, 33)));
                }
            }
            assert!(links > 20, "{links}");
            assert_eq!(records.len(), links);
        }),
    },
    Scenario {
        name: "a_maker_without_descriptors_makes_nothing",
        prepare: |_| {},
        program: |directory| {
            become_user(33);
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
            let refused = File::options()
                .write(true)
                .create_new(true)
                .open(directory.join("file"));
            let refused = refused.unwrap_err();
            setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
            assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
            assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
            fs::write(directory.join("file"), "").unwrap();
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((33, 33)));
        }),
    },
    Scenario {
        name: "answers_reach_only_memory_that_the_caller_may_write",
        prepare: |directory| fs::write(directory.join("file"), [7; 8192]).unwrap(),
        program: |directory| {
            become_user(33);
            fs::write(directory.join("mine"), "").unwrap();
            let path = raw::c_path(&directory.join("mine"));
            let stat_into = |address: usize| {
                let arguments = [raw::address(&path), address as u64, 0, 0, 0, 0];
                raw::call(libc::SYS_stat, arguments)
            };
            let file = directory.join("file");
            let opened = File::options().read(true).write(true).open(&file).unwrap();
            for file in [&File::open(&file).unwrap(), &opened] {
                let shared = raw::map(Some(file), 8192, libc::PROT_READ);
                assert_eq!(stat_into(shared), Err(Errno::EFAULT));
                let arguments = [shared as u64, shared as u64 + 4, shared as u64 + 8, 0, 0, 0];
                let asked = raw::call(libc::SYS_getresuid, arguments);
                assert_eq!(asked, Err(Errno::EFAULT));
            }
            let memory = raw::map(None, 8192, libc::PROT_READ | libc::PROT_WRITE);
            raw::unmap(memory + 4096, 4096);
            assert_eq!(stat_into(memory), Ok(()));
            assert_eq!(stat_into(memory + 4096 - 8), Err(Errno::EFAULT));
            for top in [usize::MAX, usize::MAX - 143, 1 << 63, (1 << 47) - 8] {
                assert_eq!(stat_into(top), Err(Errno::EFAULT), "{top:#x}");
            }
            assert_eq!(fs::read(&file).unwrap(), [7; 8192]);
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "memory_that_vanishes_harms_nobody",
        prepare: |_| {},
        program: |directory| {
            become_user(33);
            fs::write(directory.join("mine"), "").unwrap();
            let path = raw::c_path(&directory.join("mine"));
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let memory = raw::map(None, 4096, access);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        raw::unmap(memory, 4096);
                        raw::map_again(memory, 4096, access);
                    }
                });
                for _ in 0..2000 {
                    let arguments = [raw::address(&path), memory as u64, 0, 0, 0, 0];
                    let asked = raw::call(libc::SYS_stat, arguments);
                    assert!(matches!(asked, Ok(()) | Err(Errno::EFAULT)), "{asked:?}");
                    let arguments = [
                        memory as u64,
                        libc::O_CREAT.cast_unsigned().into(),
                        0,
                        0,
                        0,
                        0,
                    ];
                    let opened = raw::call(libc::SYS_open, arguments);
                    assert!(
                        matches!(opened, Err(Errno::ENOENT | Errno::EFAULT)),
                        "{opened:?}"
                    );
                }
                done.store(true, Ordering::Relaxed);
            });
            assert_eq!(stat(path.as_c_str()).unwrap().st_uid, 33);
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "forged_limits_make_nobody_but_who_was_there",
        prepare: |_| {},
        program: |directory| {
            setuid(Uid::from_raw(33)).unwrap();
            // The filter looks at the low half of the address, which is none here.
            let access = libc::PROT_READ | libc::PROT_WRITE;
            raw::map_again(1 << 32, 4096, access);
            let set_limit = |soft: u64, hard: u64| {
                raw::write_volatile(1 << 32, &[soft.to_ne_bytes(), hard.to_ne_bytes()].concat());
                let resource = u64::from(libc::RLIMIT_LOCKS);
                raw::call(libc::SYS_prlimit64, [0, resource, 1 << 32, 0, 0, 0]).unwrap();
            };
            let (mine, hard) = getrlimit(Resource::RLIMIT_LOCKS).unwrap();
            let mark = mine & !0xffff_ffff;
            for (limit, user) in [
                (mark, 0),
                (mark | 2, 0),
                (mark | 0xffff_ffff, 0),
                (u64::MAX, 0),
                (0, 0),
                (mark + (1 << 32) + 1, 0),
                (mine, 33),
            ] {
                set_limit(limit, hard);
                assert_eq!(getuid(), Uid::from_raw(user), "{limit:#x}");
                fs::write(directory.join(format!("{limit:x}")), "").unwrap();
            }
            assert_eq!(getresuid().unwrap().saved, Uid::from_raw(33));
            // Who cannot be remembered does not change.
            set_limit(mark, mark);
            assert_eq!(setuid(Uid::from_raw(34)), Err(Errno::EPERM));
            assert_eq!(getuid(), Uid::from_raw(0));
        },
        check: Check::Records(|directory, _| {
            let mut owned = 0;
            for entry in fs::read_dir(directory).unwrap() {
                let owner = owner_on_disk(&entry.unwrap().path());
                assert!(matches!(owner, None | Some((33, 0))));
                owned += usize::from(owner.is_some());
            }
            assert_eq!(owned, 1);
        }),
    },
    Scenario {
        name: "too_many_ids_are_refused_and_those_before_stay",
        prepare: |_| {},
        program: |_| {
            let groups: Vec<Gid> = (0..65536).map(Gid::from_raw).collect();
            let mut accepted = 0;
            let refused = loop {
                setuid(Uid::from_raw(0)).unwrap();
                let groups: Vec<Gid> = groups
                    .iter()
                    .map(|gid| Gid::from_raw(gid.as_raw() + accepted))
                    .collect();
                match setgroups(&groups) {
                    Ok(()) => accepted += 1,
                    Err(errno) => break errno,
                }
            };
            assert_eq!((refused, accepted), (Errno::ENOMEM, 63));
            assert_eq!(getgroups().unwrap()[0], Gid::from_raw(62));
            assert_eq!(getuid(), Uid::from_raw(0));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "descriptors_that_name_no_file_are_given_to_nobody",
        prepare: |_| {},
        program: |_| {
            let (reader, _writer) = pipe().unwrap();
            let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            let owner = (Some(Uid::from_raw(33)), Some(Gid::from_raw(34)));
            assert_eq!(fchown(&reader, owner.0, owner.1), Ok(()));
            assert_eq!(fchown(&socket, owner.0, owner.1), Ok(()));
            for _ in 0..4097 {
                let (reader, _writer) = pipe().unwrap();
                assert_eq!(fchown(&reader, owner.0, owner.1), Ok(()));
            }
        },
        check: Check::Records(|_, records| assert_eq!(records, [])),
    },
    Scenario {
        name: "a_process_that_shows_its_memory_to_nobody_is_recorded",
        prepare: |_| {},
        program: |directory| {
            set_dumpable(false).unwrap();
            fs::write(directory.join("file"), "").unwrap();
            own(&directory.join("file"), 1, 2);
            become_user(33);
            fs::write(directory.join("users"), "").unwrap();
            assert_eq!(getuid(), Uid::from_raw(33));
            assert_eq!(stat("file").unwrap().st_uid, 1);
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((1, 2)));
            assert_eq!(owner_on_disk(&directory.join("users")), Some((33, 33)));
        }),
    },
    Scenario {
        name: "a_child_that_shares_memory_has_ids_of_its_own",
        prepare: |_| {},
        program: |directory| {
            let (root, user) = (Uid::from_raw(0), Uid::from_raw(33));
            setresuid(user, root, root).unwrap();
            assert!(raw::spawn_with_real_ids(c"/usr/bin/id -u > child"));
            assert_eq!(geteuid(), root);
            assert_eq!(fs::read(directory.join("child")).unwrap(), b"33\n");
            assert_eq!(stat("child").unwrap().st_uid, 33);
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("child")), Some((33, 0)));
        }),
    },
    Scenario {
        name: "a_thread_means_its_own_directory_and_descriptors",
        prepare: |directory| {
            for name in ["first", "second"] {
                fs::create_dir(directory.join(name)).unwrap();
                fs::write(directory.join(name).join("file"), "").unwrap();
            }
        },
        program: |_| {
            chdir("first").unwrap();
            let first = File::open("file").unwrap();
            let number = first.as_raw_fd();
            let own_by_number = move |id| {
                let number = u64::from(number.cast_unsigned());
                raw::call(libc::SYS_fchown, [number, id, 0, 0, 0, 0]).unwrap();
                own(Path::new("."), u32::try_from(id).unwrap(), 0);
            };
            let thread = std::thread::spawn(move || {
                unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_FILES).unwrap();
                chdir("../second").unwrap();
                raw::replace(number, &File::open("file").unwrap());
                own_by_number(2);
            });
            thread.join().unwrap();
            own_by_number(1);
        },
        check: Check::Records(|directory, _| {
            for (name, uid) in [("first", 1), ("second", 2)] {
                assert_eq!(owner_on_disk(&directory.join(name)), Some((uid, 0)));
                assert_eq!(
                    owner_on_disk(&directory.join(name).join("file")),
                    Some((uid, 0))
                );
            }
        }),
    },
    Scenario {
        name: "a_user_makes_no_programs_of_groups_of_others",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            for (name, group) in [("own", 40), ("others", 50)] {
                fs::create_dir(file(name)).unwrap();
                own(&file(name), 0, group);
                fs::set_permissions(file(name), fs::Permissions::from_mode(0o2777)).unwrap();
            }
            nix::sys::stat::umask(Mode::empty());
            fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o2775)
                .open(file("others/roots"))
                .unwrap();
            become_user(33);
            for (name, mode) in [
                ("own/file", 0o2775),
                ("others/file", 0o2775),
                ("others/unexecutable", 0o2664),
                ("file", 0o2775),
            ] {
                File::options()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(file(name))
                    .unwrap();
            }
        },
        check: Check::Records(|directory, _| {
            for (name, mode) in [
                ("others/roots", 0o2775),
                ("own/file", 0o2775),
                ("others/file", 0o775),
                ("others/unexecutable", 0o2664),
                ("file", 0o2775),
            ] {
                assert_eq!(crate::owners::mode(&directory.join(name)), mode, "{name}");
            }
        }),
    },
];

/// What `makers_that_are_killed_leave_nothing_unrecorded` kills.
pub(crate) fn make_forever(directory: &Path) {
    become_user(33);
    let made = directory.join("made");
    for number in 0.. {
        let name = |kind| made.join(format!("{kind}-{}-{number}", std::process::id()));
        fs::write(name("file"), "x").unwrap();
        fs::create_dir(name("directory")).unwrap();
    }
}
