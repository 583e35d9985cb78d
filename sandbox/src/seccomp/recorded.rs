//! What the ownership recorder does for a program, and what is skipped because the tree may be thrown away.

use super::table::{
    Action, Group, SUCCEED, Scope, Test, answering, calls, creates, equal, of_type, recording,
    recording_devices,
};

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
const WHITEOUT: &str = "device 0:0 is a whiteout, which the kernel lets anybody make";
const NO_SYNC: &str =
    "a step's tree is thrown away when the step fails, and the image is synced once";

pub(super) static RECORDED: &[Group] = &[
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
