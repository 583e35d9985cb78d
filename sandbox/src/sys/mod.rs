//! The only unsafe code: one file per family of system calls, thin and without policy.
#![expect(unsafe_code, reason = "the crate denies it everywhere else")]

pub(crate) mod notify;
pub(crate) mod seccomp;
pub(crate) mod tracee;
pub(crate) mod xattr;
