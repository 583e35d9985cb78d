//! Numbers of system calls: those of the libc crate, and those that it does not name for every target.
//!
//! Calls that are newer than the unification of the tables in Linux 5.1 have one number on all architectures.
#![expect(
    non_upper_case_globals,
    reason = "the names are those of the libc crate's constants, which they complete"
)]

// A definition below takes the place of one of the same name here.
pub(super) use libc::*;

/// Linux 5.14.
pub(super) const SYS_memfd_secret: c_long = 447;
/// Linux 6.8.
pub(super) const SYS_statmount: c_long = 457;
/// Linux 6.8.
pub(super) const SYS_listmount: c_long = 458;
/// Linux 6.8.
pub(super) const SYS_lsm_set_self_attr: c_long = 460;
/// Linux 6.13.
pub(crate) const SYS_setxattrat: c_long = 463;
/// Linux 6.13.
pub(crate) const SYS_getxattrat: c_long = 464;
/// Linux 6.13.
pub(crate) const SYS_listxattrat: c_long = 465;
/// Linux 6.13.
pub(crate) const SYS_removexattrat: c_long = 466;
/// Linux 6.15.
pub(super) const SYS_open_tree_attr: c_long = 467;

/// The first number that no row of the table has judged: 469 is `file_setattr`, the newest call of Linux 6.18.
///
/// Raising it lets programs make newer calls, so each of these must be looked at first.
pub(super) const FIRST_UNJUDGED: u32 = 470;

/// Numbers below [`FIRST_UNJUDGED`] that no call has: the tables of all architectures were unified above them. The first
/// and last of each gap.
#[cfg(target_arch = "x86_64")]
pub(super) const GAPS: &[(u32, u32)] = &[(337, 423)];
#[cfg(target_arch = "aarch64")]
pub(super) const GAPS: &[(u32, u32)] = &[(244, 259), (295, 423)];

// Named by the kernel's headers although no kernel since 2.6 has them.
#[cfg(target_arch = "x86_64")]
pub(super) const SYS_create_module: c_long = 174;
#[cfg(target_arch = "x86_64")]
pub(super) const SYS_get_kernel_syms: c_long = 177;
#[cfg(target_arch = "x86_64")]
pub(super) const SYS_query_module: c_long = 178;
#[cfg(target_arch = "x86_64")]
pub(super) const SYS_sync_file_range: c_long = 277;
#[cfg(target_arch = "aarch64")]
pub(super) const SYS_sync_file_range: c_long = 84;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64` of `linux/audit.h`.
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCHITECTURE: u32 = 0xc000_00b7;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system call table is written for x86_64 and aarch64 only");
