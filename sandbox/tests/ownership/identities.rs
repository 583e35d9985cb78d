//! What a process sees of itself after it has become another user.

use std::fs;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{
    Gid, Uid, chown, getegid, geteuid, getgid, getgroups, getresgid, getresuid, getuid, setegid,
    seteuid, setfsgid, setfsuid, setgroups, setresgid, setresuid, setuid,
};

use crate::owners::{CAPABILITY, own, owner_on_disk};
use crate::{Check, Scenario, raw};

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "a_process_sees_the_ids_that_it_asked_for",
        prepare: |_| {},
        program: |_| {
            assert_eq!(getgroups().unwrap(), []);
            assert_eq!((getuid(), getegid()), (Uid::from_raw(0), Gid::from_raw(0)));
            become_user(33);
            let (user, group) = (Uid::from_raw(33), Gid::from_raw(33));
            assert_eq!((getuid(), geteuid()), (user, user));
            assert_eq!((getgid(), getegid()), (group, group));
            let users = getresuid().unwrap();
            assert_eq!(
                (users.real, users.effective, users.saved),
                (user, user, user)
            );
            let groups = getresgid().unwrap();
            assert_eq!(
                (groups.real, groups.effective, groups.saved),
                (group, group, group)
            );
            assert_eq!(getgroups().unwrap(), [Gid::from_raw(8), Gid::from_raw(40)]);
            assert_eq!(setfsuid(user), user);
            assert_eq!(setfsgid(group), group);
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "who_gave_up_root_does_not_get_it_back",
        prepare: |_| {},
        program: |_| {
            become_user(33);
            let (root, root_group) = (Uid::from_raw(0), Gid::from_raw(0));
            assert_eq!(setuid(root), Err(Errno::EPERM));
            assert_eq!(seteuid(root), Err(Errno::EPERM));
            assert_eq!(setresuid(root, root, root), Err(Errno::EPERM));
            assert_eq!(setegid(root_group), Err(Errno::EPERM));
            assert_eq!(setgroups(&[]), Err(Errno::EPERM));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "a_daemon_that_rests_as_a_user_can_become_root_again",
        prepare: |_| {},
        program: |_| {
            seteuid(Uid::from_raw(33)).unwrap();
            assert_eq!((getuid(), geteuid()), (Uid::from_raw(0), Uid::from_raw(33)));
            seteuid(Uid::from_raw(0)).unwrap();
            assert_eq!(geteuid(), Uid::from_raw(0));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "ids_that_nobody_can_have_are_refused",
        prepare: |_| {},
        program: |_| {
            let nobody = u64::from(u32::MAX);
            let refused = Err(Errno::EINVAL);
            assert_eq!(
                raw::call(libc::SYS_setuid, [nobody, 0, 0, 0, 0, 0]),
                refused
            );
            assert_eq!(setgroups(&[Gid::from_raw(u32::MAX)]), refused);
            let too_many = [65537, 0, 0, 0, 0, 0];
            assert_eq!(raw::call(libc::SYS_setgroups, too_many), refused);
            let unmapped = [1, 4096, 0, 0, 0, 0];
            assert_eq!(raw::call(libc::SYS_setgroups, unmapped), Err(Errno::EFAULT));
            setuid(Uid::from_raw(4_000_000_000)).unwrap();
            assert_eq!(getuid(), Uid::from_raw(4_000_000_000));
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "children_and_their_programs_inherit_ids",
        prepare: |_| {},
        program: |directory| {
            let output = Command::new("sh")
                .args(["-c", "id -u; sh -c 'id -g'; (id -G)"])
                .before_becoming_user(33)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "33\n33\n33 8 40\n");
            // Its parent is gone when it asks.
            let script = "(sleep 0.2; id -u > orphan.new; mv orphan.new orphan) & exit 0";
            Command::new("sh")
                .args(["-c", script])
                .stdin(Stdio::null())
                .before_becoming_user(34)
                .status()
                .unwrap();
            let orphan = directory.join("orphan");
            while !orphan.exists() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            assert_eq!(fs::read(orphan).unwrap(), b"34\n");
            assert_eq!(getuid(), Uid::from_raw(0));
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("orphan")), Some((34, 34)));
        }),
    },
    Scenario {
        name: "resetting_all_limits_keeps_ids",
        prepare: |_| {},
        program: |_| {
            become_user(33);
            let infinity = [u64::MAX, u64::MAX];
            let address = infinity.as_ptr().addr() as u64;
            for resource in 0..16 {
                let set = [resource, address, 0, 0, 0, 0];
                let _ = raw::call(libc::SYS_setrlimit, set);
                let set = [0, resource, address, 0, 0, 0];
                let _ = raw::call(libc::SYS_prlimit64, set);
            }
            assert_eq!(getuid(), Uid::from_raw(33));
            assert_eq!(getgroups().unwrap(), [Gid::from_raw(8), Gid::from_raw(40)]);
            let locks = nix::sys::resource::Resource::RLIMIT_LOCKS;
            assert!(nix::sys::resource::getrlimit(locks).is_ok());
        },
        check: Check::Records(|_, _| {}),
    },
    Scenario {
        name: "who_gave_up_root_may_do_no_more_than_an_owner",
        prepare: |directory| {
            for name in ["mine", "of-root"] {
                fs::write(directory.join(name), "").unwrap();
            }
        },
        program: |directory| {
            let (mine, of_root) = (directory.join("mine"), directory.join("of-root"));
            own(&mine, 33, 33);
            become_user(33);
            let group = |gid| Some(Gid::from_raw(gid));
            let root = Some(Uid::from_raw(0));
            assert_eq!(chown(&mine, root, None), Err(Errno::EPERM));
            assert_eq!(chown(&mine, None, group(0)), Err(Errno::EPERM));
            assert_eq!(chown(&of_root, None, group(33)), Err(Errno::EPERM));
            assert_eq!(raw::set(&mine, CAPABILITY, b"x", 0), Err(Errno::EPERM));
            let null = makedev(1, 3);
            let made = mknod(&directory.join("null"), SFlag::S_IFCHR, Mode::empty(), null);
            assert_eq!(made, Err(Errno::EPERM));
            chown(&mine, None, group(40)).unwrap();
            raw::set(&mine, c"user.x", b"1", 0).unwrap();
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("mine")), Some((33, 40)));
            assert_eq!(owner_on_disk(&directory.join("of-root")), None);
        }),
    },
    Scenario {
        name: "tools_that_switch_user_work",
        prepare: |_| {},
        program: |directory| {
            let script = "set -e
                setpriv --reuid 33 --regid 33 --clear-groups sh -c 'id -u > setpriv; id -G >> setpriv'
                perl -e '$( = $) = 34; $< = $> = 34; open F, \">perl\"; print F \"$< $>\\n\"; \
                    $> = 0; print F \"$>\\n\"'";
            let status = Command::new("sh").args(["-c", script]).status().unwrap();
            assert!(status.success());
            let said = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
            assert_eq!(said("setpriv"), "33\n33\n");
            assert_eq!(said("perl"), "34 34\n34\n");
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("setpriv")), Some((33, 33)));
            assert_eq!(owner_on_disk(&directory.join("perl")), Some((34, 34)));
        }),
    },
];

/// Becomes a user whose groups are its own, 8 and 40.
pub(crate) fn become_user(id: u32) {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[Gid::from_raw(40), Gid::from_raw(8)]).unwrap();
    setresgid(group, group, group).unwrap();
    setresuid(user, user, user).unwrap();
}

trait BecomingUser {
    fn before_becoming_user(&mut self, id: u32) -> &mut Self;
}

impl BecomingUser for Command {
    /// Has the child become another user before it executes its program.
    fn before_becoming_user(&mut self, id: u32) -> &mut Self {
        use std::os::unix::process::CommandExt;
        let becoming = move || {
            become_user(id);
            Ok(())
        };
        // SAFETY: the closure makes system calls, and panics, which would end a child that fails anyway. The test
        // program has one thread here.
        unsafe { self.pre_exec(becoming) }
    }
}
