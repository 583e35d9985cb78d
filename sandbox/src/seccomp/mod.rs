//! The system calls that a confined program may not make, or that somebody else answers: a table of rows with reasons
//! (`table`, and `allowed` for those that it leaves alone), and its translation to a filter program ([`assemble`]).
//!
//! The filter is the last thing that the launcher installs before it executes the program, but for the filter of a
//! person's own [`Profile`], which may refuse what the launcher still has to do. It keeps two invariants:
//! the first row that matches a call decides, and a call that no row names is allowed, provided that it was known when
//! the table was written. See seccomp(2) and the kernel's `Documentation/userspace-api/seccomp_filter.rst`.

mod allowed;
mod assemble;
mod calls;
mod denied;
#[cfg(test)]
mod interpreter;
mod network;
mod numbers;
mod print;
mod profile;
mod recorded;
mod table;
#[cfg(test)]
mod tests;

pub use self::allowed::{Allowed, allowed};
pub(crate) use self::assemble::assemble_seal;
pub use self::assemble::{Policy, assemble};
pub(crate) use self::network::PASSING;
pub(crate) use self::numbers::{
    SYS_getxattrat, SYS_listxattrat, SYS_removexattrat, SYS_setxattrat,
};
pub(crate) use self::print::{oci_form, rows_with_reasons};
pub use self::profile::{Profile, ProfileError};
pub use self::table::{Action, Row, Scope, SystemCall, Test, rows};
pub use crate::sys::seccomp::install;
