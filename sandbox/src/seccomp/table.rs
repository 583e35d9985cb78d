//! The table: which call, under which conditions, gets which answer, and why.

use libc::c_long;

use super::numbers::{self, FIRST_UNJUDGED};

/// One rule about one system call.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub call: SystemCall,
    /// What must all hold for the row to match; none means that the row always matches.
    pub tests: &'static [Test],
    pub action: Action,
    pub scope: Scope,
    /// Why the rule exists, for people who audit it.
    pub reason: &'static str,
}

/// A system call of the native architecture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemCall {
    constant: &'static str,
    /// The number in the native table.
    pub number: u32,
}

/// A condition on one argument.
///
/// Only the low 32 bits are looked at: every argument tested here is an `int` or `unsigned int` (or a flag word whose
/// flags are there) that the kernel truncates, so that a comparison of all 64 bits could be beaten by setting a bit
/// that the kernel ignores (CVE-2019-10063).
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// `argument & mask == value`.
    Masked { argument: u8, mask: u32, value: u32 },
    /// `argument & mask != 0`.
    AnyBit { argument: u8, mask: u32 },
    /// The argument is none of the values.
    OtherThan {
        argument: u8,
        values: &'static [u32],
    },
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Allow,
    /// The call is not made and returns this error, or success when it is 0.
    Errno(i32),
    /// The ownership recorder makes the call, or one that a single mapped id permits, and answers.
    Notify,
}

/// The policies under which a row is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    Always,
    /// Whenever ownership is recorded.
    Recording,
    /// With [`OwnershipRecording::RecordAndAnswer`](crate::OwnershipRecording::RecordAndAnswer).
    Answering,
    /// With [`OwnershipRecording::Devices`](crate::OwnershipRecording::Devices) as well.
    RecordingDevices,
    /// With [`Policy::suppress_sync`](super::Policy::suppress_sync).
    SuppressSync,
}

impl SystemCall {
    const fn new(constant: &'static str, number: c_long) -> Self {
        assert!(number >= 0 && number < FIRST_UNJUDGED as c_long);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was asserted, at compile time"
        )]
        let number = number as u32;
        Self { constant, number }
    }

    /// Returns the name as in syscalls(2).
    pub fn name(self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }
}

/// Rows that differ only in their system call.
struct Group {
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    scope: Scope,
    reason: &'static str,
}

macro_rules! calls {
    ($($constant:ident)*) => {
        &[$(SystemCall::new(stringify!($constant), numbers::$constant)),*]
    };
}

/// Returns every row, in the order in which they are tried.
pub fn rows() -> impl Iterator<Item = Row> {
    TABLE.iter().flat_map(|group| {
        group.calls.iter().map(|&call| Row {
            call,
            tests: group.tests,
            action: group.action,
            scope: group.scope,
            reason: group.reason,
        })
    })
}

const EPERM: Action = Action::Errno(libc::EPERM);
const ENOSYS: Action = Action::Errno(libc::ENOSYS);
const SUCCEED: Action = Action::Errno(0);

/// Returns a group in force under every policy.
const fn always(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        calls,
        tests,
        action,
        scope: Scope::Always,
        reason,
    }
}

/// Returns a group in force while owners are recorded.
const fn recording(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        scope: Scope::Recording,
        ..always(calls, tests, action, reason)
    }
}

/// Returns a group in force while programs are shown what was recorded.
const fn answering(calls: &'static [SystemCall], reason: &'static str) -> Group {
    Group {
        scope: Scope::Answering,
        ..always(calls, &[], Action::Notify, reason)
    }
}

/// Returns a group in force while devices are recorded, with or without owners.
const fn recording_devices(
    calls: &'static [SystemCall],
    tests: &'static [Test],
    action: Action,
    reason: &'static str,
) -> Group {
    Group {
        scope: Scope::RecordingDevices,
        ..always(calls, tests, action, reason)
    }
}

/// Returns the test that an argument is exactly `value`.
const fn equal(argument: u8, value: u32) -> Test {
    Test::Masked {
        argument,
        mask: u32::MAX,
        value,
    }
}

/// Returns the test that a `mode` argument is of the file type `kind`.
const fn of_type(argument: u8, kind: u32) -> Test {
    Test::Masked {
        argument,
        mask: libc::S_IFMT,
        value: kind,
    }
}

/// Returns the test that the flags of open(2) may make a file.
const fn creates(argument: u8) -> Test {
    Test::AnyBit {
        argument,
        // Of O_TMPFILE, the bit that O_DIRECTORY has not.
        mask: (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned(),
    }
}

/// `CLONE_NEWNS`, `_NEWCGROUP`, `_NEWUTS`, `_NEWIPC`, `_NEWUSER`, `_NEWPID` and `_NEWNET` of `linux/sched.h`.
const NEW_NAMESPACE: u32 = 0x7e02_0000;
/// `CLONE_NEWTIME`, which clone(2) cannot express because the bit is in its signal number.
const NEW_TIME_NAMESPACE: u32 = 0x80;

const NO_NAMESPACE: &str =
    "a namespace of one's own makes most of the kernel reachable for its root";
const NO_MOUNT: &str =
    "the mounts are the confinement; Landlock does not refuse all of the new mount calls";
const NO_MODULE: &str = "the kernel is the host's";
const NO_KEYRING: &str = "keyrings are not namespaced, only their names are";
const NO_OLD_CALL: &str = "obsolete, and without a user that a build could have";
const RECORD_OWNER: &str = "only one id is mapped; the owner is recorded";
const RECORD_DEVICE: &str =
    "making devices takes a privilege of the host; the device number is recorded";
const RECORD_ATTRIBUTE: &str =
    "ACLs that name unmapped ids are recorded, and our records can be neither forged nor removed";
const RECORD_IDENTITY: &str = "only one id is mapped; daemons and maintainer scripts insist on becoming another user, and check that they did";
const KEEP_IDENTITY: &str =
    "this limit has no meaning, and holds who the process has become; pam_limits resets all limits";
const RECORD_CREATOR: &str =
    "what a process makes belongs to the user that it has become, or to the group of the directory";
const SHOW_OWNER: &str = "the kernel knows one owner only; programs are shown the recorded one";

static TABLE: &[Group] = &[
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
        calls![SYS_fanotify_init],
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
            mask: NEW_NAMESPACE | NEW_TIME_NAMESPACE,
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
        calls![SYS_uselib SYS_ustat SYS__sysctl],
        &[],
        EPERM,
        NO_OLD_CALL,
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
    always(
        calls![SYS_ptrace],
        &[],
        Action::Allow,
        "sanitizers abort without it and debuggers need it; the pid namespace, Landlock and the lack of \
         CAP_SYS_PTRACE confine it",
    ),
    // Ownership that one mapped id cannot express.
    #[cfg(target_arch = "x86_64")]
    recording(
        calls![SYS_chown SYS_lchown],
        &[],
        Action::Notify,
        RECORD_OWNER,
    ),
    recording(
        calls![SYS_fchown SYS_fchownat],
        &[],
        Action::Notify,
        RECORD_OWNER,
    ),
    #[cfg(target_arch = "x86_64")]
    recording_devices(
        calls![SYS_mknod],
        &[of_type(1, libc::S_IFCHR), equal(2, 0)],
        Action::Allow,
        WHITEOUT,
    ),
    #[cfg(target_arch = "x86_64")]
    recording_devices(
        calls![SYS_mknod],
        &[of_type(1, libc::S_IFCHR)],
        Action::Notify,
        RECORD_DEVICE,
    ),
    #[cfg(target_arch = "x86_64")]
    recording_devices(
        calls![SYS_mknod],
        &[of_type(1, libc::S_IFBLK)],
        Action::Notify,
        RECORD_DEVICE,
    ),
    recording_devices(
        calls![SYS_mknodat],
        &[of_type(2, libc::S_IFCHR), equal(3, 0)],
        Action::Allow,
        WHITEOUT,
    ),
    recording_devices(
        calls![SYS_mknodat],
        &[of_type(2, libc::S_IFCHR)],
        Action::Notify,
        RECORD_DEVICE,
    ),
    recording_devices(
        calls![SYS_mknodat],
        &[of_type(2, libc::S_IFBLK)],
        Action::Notify,
        RECORD_DEVICE,
    ),
    #[cfg(target_arch = "x86_64")]
    recording(calls![SYS_mknod], &[], Action::Notify, RECORD_CREATOR),
    recording(calls![SYS_mknodat], &[], Action::Notify, RECORD_CREATOR),
    recording(
        calls![SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_setxattrat
            SYS_removexattr SYS_lremovexattr SYS_fremovexattr SYS_removexattrat],
        &[],
        Action::Notify,
        RECORD_ATTRIBUTE,
    ),
    recording(
        calls![SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setfsuid SYS_setfsgid
            SYS_setgroups SYS_getuid SYS_getgid SYS_geteuid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups],
        &[],
        Action::Notify,
        RECORD_IDENTITY,
    ),
    recording(
        calls![SYS_setrlimit],
        &[equal(0, libc::RLIMIT_LOCKS)],
        SUCCEED,
        KEEP_IDENTITY,
    ),
    recording(
        calls![SYS_prlimit64],
        &[
            equal(1, libc::RLIMIT_LOCKS),
            // The new limit's address: without one the limit is read.
            Test::AnyBit {
                argument: 2,
                mask: u32::MAX,
            },
        ],
        SUCCEED,
        KEEP_IDENTITY,
    ),
    recording(
        calls![SYS_prctl],
        &[equal(0, libc::PR_SET_KEEPCAPS.cast_unsigned())],
        Action::Notify,
        RECORD_IDENTITY,
    ),
    recording(
        calls![SYS_prctl],
        &[equal(0, libc::PR_SET_SECUREBITS.cast_unsigned())],
        Action::Notify,
        RECORD_IDENTITY,
    ),
    #[cfg(target_arch = "x86_64")]
    recording(
        calls![SYS_creat SYS_mkdir SYS_symlink],
        &[],
        Action::Notify,
        RECORD_CREATOR,
    ),
    #[cfg(target_arch = "x86_64")]
    recording(
        calls![SYS_open],
        &[creates(1)],
        Action::Notify,
        RECORD_CREATOR,
    ),
    recording(
        calls![SYS_openat],
        &[creates(2)],
        Action::Notify,
        RECORD_CREATOR,
    ),
    recording(
        calls![SYS_openat2 SYS_mkdirat SYS_symlinkat],
        &[],
        Action::Notify,
        RECORD_CREATOR,
    ),
    // What programs see of the records.
    #[cfg(target_arch = "x86_64")]
    answering(calls![SYS_stat SYS_lstat], SHOW_OWNER),
    answering(calls![SYS_fstat SYS_newfstatat SYS_statx], SHOW_OWNER),
    answering(
        calls![SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_getxattrat
            SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_listxattrat],
        "recorded ACLs are shown as the ACLs that they are, and our records are hidden",
    ),
    // Durability of a tree that is thrown away when the step fails.
    Group {
        calls: calls![SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range],
        tests: &[],
        action: SUCCEED,
        scope: Scope::SuppressSync,
        reason: NO_SYNC,
    },
    Group {
        calls: calls![SYS_msync],
        // MS_ASYNC does no work, and unwinders use it to ask whether an address is mapped.
        tests: &[Test::AnyBit {
            argument: 2,
            mask: 4, // MS_SYNC
        }],
        action: SUCCEED,
        scope: Scope::SuppressSync,
        reason: NO_SYNC,
    },
];

const WHITEOUT: &str = "device 0:0 is a whiteout, which the kernel lets anybody make";
const NO_SYNC: &str =
    "a step's tree is thrown away when the step fails, and the image is synced once";
