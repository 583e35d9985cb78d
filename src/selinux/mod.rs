//! Labels of SELinux, taken from a policy's `file_contexts` and written straight into the tree of an image.
//!
//! Between the stages that make a tree and `format`: neither setfiles nor a kernel with SELinux is needed, and labels
//! that the building kernel does not know are no problem. The files are untrusted as the tree is that holds them:
//! expressions are matched in time linear in the path (`regex`), and lengths and counts are bounded.
//!
//! Format: file_contexts(5); order and substitutions as libselinux has them, see [`FileContexts`].

mod contexts;
mod policy;

pub use self::contexts::{FileContexts, InvalidContexts, Problem};
pub use self::policy::{Error, label, read_file, read_policy};

/// The extended attribute of a label. Its value ends with a NUL, as setfiles writes it.
pub const ATTRIBUTE: &[u8] = b"security.selinux";
