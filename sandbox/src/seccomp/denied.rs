//! What no program may do, whatever is recorded: the kernel's attack surface, the confinement itself, the host.

use super::table::{Action, ENOSYS, EPERM, Group, Test, always, calls, equal};

/// `CLONE_NEWNS`, `_NEWCGROUP`, `_NEWUTS`, `_NEWIPC`, `_NEWUSER`, `_NEWPID` and `_NEWNET` of `linux/sched.h`. Its
/// `CLONE_NEWTIME` cannot be expressed by clone(2), because the bit is in the signal's number.
const NEW_NAMESPACE: u32 = 0x7e02_0000;
/// `CLONE_VM`, `_FS`, `_FILES`, `_SIGHAND`, `_THREAD` and `_SYSVSEM`: what unshare(2) may take apart.
const NO_NEW_NAMESPACE: u32 = 0x0005_0f00;

/// Of `sys/socket.h`.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
/// A type other than SOCK_STREAM, SOCK_DGRAM and SOCK_RAW, each alone and with SOCK_NONBLOCK and SOCK_CLOEXEC.
const OTHER_TYPE: Test = Test::OtherThan {
    argument: 1,
    values: &[
        1, 0x801, 0x8_0001, 0x8_0801, 2, 0x802, 0x8_0002, 0x8_0802, 3, 0x803, 0x8_0003, 0x8_0803,
    ],
};
/// A protocol other than IPPROTO_IP (the type's own), ICMP, TCP, UDP and ICMPv6.
const OTHER_PROTOCOL: Test = Test::OtherThan {
    argument: 2,
    values: &[0, 1, 6, 17, 58],
};

const NO_NAMESPACE: &str =
    "a namespace of one's own makes most of the kernel reachable for its root";
const NO_MOUNT: &str =
    "the mounts are the confinement; Landlock does not refuse all of the new mount calls";
const NO_MODULE: &str = "the kernel is the host's";
const NO_KEYRING: &str = "keyrings are not namespaced, only their names are";
const NO_IMPLEMENTATION: &str = "a number without a call behind it in any kernel that can run us";
const NO_PROTOCOL: &str =
    "loads a module of the host on demand, and SCTP and MPTCP pass Landlock's rules about TCP by";
const NO_OLD_CALL: &str = "obsolete, and without a user that a build could have";

pub(super) static DENIED: &[Group] = &[
    // Kernel attack surface that no package manager, compiler or script needs.
    always(
        calls![SYS_add_key SYS_request_key SYS_keyctl],
        &[],
        EPERM,
        NO_KEYRING,
    ),
    always(
        calls![SYS_bpf],
        &[],
        EPERM,
        "programs loaded into the kernel outlive and escape a build",
    ),
    always(
        calls![SYS_perf_event_open],
        &[],
        EPERM,
        "measures other processes, and has a long record of holes",
    ),
    always(
        calls![SYS_userfaultfd],
        &[],
        EPERM,
        "stops the kernel in the middle of a copy, which makes its races exploitable",
    ),
    always(
        calls![SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register],
        &[],
        ENOSYS,
        "its operations, setxattr among them, pass this filter by; libraries fall back on ENOSYS",
    ),
    always(
        calls![SYS_kexec_load SYS_kexec_file_load SYS_init_module SYS_finit_module SYS_delete_module],
        &[],
        EPERM,
        NO_MODULE,
    ),
    always(
        calls![SYS_fanotify_init SYS_fanotify_mark],
        &[],
        EPERM,
        "watches and blocks file access of others",
    ),
    always(calls![SYS_kcmp], &[], EPERM, "tells kernel addresses apart"),
    always(
        calls![SYS_migrate_pages SYS_move_pages],
        &[],
        EPERM,
        "places memory of other processes",
    ),
    always(
        calls![SYS_pidfd_getfd],
        &[],
        EPERM,
        "takes open files out of other processes, for which only checkpoints and supervisors have a use",
    ),
    always(
        calls![SYS_vmsplice],
        &[],
        ENOSYS,
        "lends pages to pipes, where holes let read-only files be written; the few users fall back on write",
    ),
    always(
        calls![SYS_memfd_secret],
        &[],
        ENOSYS,
        "takes memory out of the kernel's own reach, so that nothing that watches the build sees it; off by default \
         before Linux 6.5, so programs do without",
    ),
    always(
        calls![SYS_lsm_set_self_attr],
        &[],
        ENOSYS,
        "changes the label that the host's security module gave; too new for a user, and proc does the same",
    ),
    #[cfg(target_arch = "x86_64")]
    always(
        calls![SYS_modify_ldt],
        &[],
        ENOSYS,
        "16-bit segments, of which only emulators of old systems have a use, with a record of holes in the kernel's \
         entry code; kernels may lack it",
    ),
    // The confinement itself.
    always(
        calls![SYS_open_by_handle_at],
        &[],
        EPERM,
        "opens files that no mount of the sandbox shows",
    ),
    always(
        calls![SYS_mount SYS_umount2 SYS_pivot_root SYS_open_tree SYS_open_tree_attr SYS_move_mount SYS_fsopen
            SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr],
        &[],
        EPERM,
        NO_MOUNT,
    ),
    always(
        calls![SYS_statmount SYS_listmount],
        &[],
        EPERM,
        "shows mounts outside the sandbox's root",
    ),
    always(
        calls![SYS_setns],
        &[],
        EPERM,
        "joins a namespace that was not given",
    ),
    always(
        calls![SYS_unshare],
        &[Test::AnyBit {
            argument: 0,
            // Whatever else is unshared, now or by a newer kernel, is a namespace.
            mask: !NO_NEW_NAMESPACE,
        }],
        EPERM,
        NO_NAMESPACE,
    ),
    always(
        calls![SYS_clone],
        &[Test::AnyBit {
            argument: 0,
            mask: NEW_NAMESPACE,
        }],
        EPERM,
        NO_NAMESPACE,
    ),
    always(
        calls![SYS_clone3],
        &[],
        ENOSYS,
        "its flags are in memory, where a filter cannot read them; libraries fall back to clone on ENOSYS",
    ),
    // The host.
    always(
        calls![SYS_quotactl SYS_quotactl_fd SYS_swapon SYS_swapoff SYS_reboot SYS_acct SYS_syslog SYS_vhangup],
        &[],
        EPERM,
        "administers the host",
    ),
    always(
        calls![SYS_settimeofday SYS_clock_settime SYS_adjtimex SYS_clock_adjtime],
        &[],
        EPERM,
        "the clock is the host's",
    ),
    #[cfg(target_arch = "x86_64")]
    always(
        calls![SYS_iopl SYS_ioperm],
        &[],
        EPERM,
        "gives access to the machine's ports",
    ),
    always(
        calls![SYS_nfsservctl SYS_lookup_dcookie],
        &[],
        EPERM,
        NO_OLD_CALL,
    ),
    #[cfg(target_arch = "x86_64")]
    always(
        calls![SYS_uselib SYS_ustat SYS__sysctl SYS_sysfs],
        &[],
        EPERM,
        NO_OLD_CALL,
    ),
    #[cfg(target_arch = "x86_64")]
    always(
        calls![SYS_create_module SYS_get_kernel_syms SYS_query_module SYS_getpmsg SYS_putpmsg SYS_afs_syscall SYS_tuxcall
            SYS_security SYS_vserver SYS_set_thread_area SYS_get_thread_area SYS_epoll_ctl_old SYS_epoll_wait_old],
        &[],
        ENOSYS,
        NO_IMPLEMENTATION,
    ),
    // Calls that are needed, with arguments that are not.
    always(
        calls![SYS_ioctl],
        &[equal(1, 0x5412)],
        EPERM,
        "TIOCSTI types into the terminal of the person who started the build",
    ),
    always(
        calls![SYS_ioctl],
        &[equal(1, 0x541c)],
        EPERM,
        "TIOCLINUX pastes into the console",
    ),
    always(
        calls![SYS_ioctl],
        &[equal(1, 0x5423)],
        EPERM,
        "TIOCSETD turns a terminal into a modem or bus, by code that is loaded on demand and has a record of holes",
    ),
    always(
        calls![SYS_prctl],
        &[equal(0, libc::PR_SET_MM.cast_unsigned())],
        EPERM,
        "moves what proc shows of a process, its executable among it; only checkpoints need it",
    ),
    always(
        calls![SYS_socket],
        &[Test::OtherThan {
            argument: 0,
            // AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Not among them: AF_VSOCK and AF_ALG, which no
            // network namespace confines, AF_PACKET, and the rarely used ones whose modules a socket call loads.
            values: &[0, 1, 2, 10, 16],
        }],
        Action::Errno(libc::EAFNOSUPPORT),
        "not confined by the network namespace, or a rarely used protocol that loads a module of the host",
    ),
    always(
        calls![SYS_socket],
        &[
            equal(0, AF_NETLINK),
            Test::OtherThan {
                argument: 2,
                // NETLINK_ROUTE, which the C library asks for addresses, and NETLINK_AUDIT, to which login programs
                // report. The generic family, netfilter, xfrm, crypto and socket diagnosis are not among them.
                values: &[0, 9],
            },
        ],
        Action::Errno(libc::EPROTONOSUPPORT),
        "configures what a build has no privilege for, by code that is loaded on demand before that is found out",
    ),
    always(
        calls![SYS_socket],
        &[equal(0, AF_INET), OTHER_TYPE],
        Action::Errno(libc::ESOCKTNOSUPPORT),
        NO_PROTOCOL,
    ),
    always(
        calls![SYS_socket],
        &[equal(0, AF_INET6), OTHER_TYPE],
        Action::Errno(libc::ESOCKTNOSUPPORT),
        NO_PROTOCOL,
    ),
    always(
        calls![SYS_socket],
        &[equal(0, AF_INET), OTHER_PROTOCOL],
        Action::Errno(libc::EPROTONOSUPPORT),
        NO_PROTOCOL,
    ),
    always(
        calls![SYS_socket],
        &[equal(0, AF_INET6), OTHER_PROTOCOL],
        Action::Errno(libc::EPROTONOSUPPORT),
        NO_PROTOCOL,
    ),
    always(
        calls![SYS_socketpair],
        &[Test::OtherThan {
            argument: 0,
            values: &[1], // AF_UNIX
        }],
        Action::Errno(libc::EOPNOTSUPP),
        "makes a socket of any family before it finds that only local ones come in pairs",
    ),
    always(
        calls![SYS_personality],
        &[Test::OtherThan {
            argument: 0,
            // The query; PER_LINUX; and alone or with PER_LINUX32 (8, `setarch i686` of cross builds): UNAME26
            // (0x20000, old build scripts) and ADDR_NO_RANDOMIZE (0x40000: `setarch -R`, gdb and
            // ThreadSanitizer). The rest, as READ_IMPLIES_EXEC, emulates systems of which no program is left.
            values: &[u32::MAX, 0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0x4_0008],
        }],
        EPERM,
        "rarely used emulations of other systems",
    ),
];
