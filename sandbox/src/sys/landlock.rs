//! Which Landlock the kernel has: landlock_create_ruleset(2).

use nix::errno::Errno;

/// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
const VERSION: libc::c_int = 1;

/// Returns the newest ABI of the kernel, at least 1. ENOSYS when it was built without Landlock, EOPNOTSUPP when Landlock
/// was not enabled at boot.
pub(crate) fn abi() -> Result<u32, Errno> {
    // SAFETY: with the flag the call takes no attributes and touches no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            VERSION,
        )
    };
    Errno::result(result).map(|abi| u32::try_from(abi).expect("versions are small"))
}
