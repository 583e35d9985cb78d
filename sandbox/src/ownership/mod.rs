//! Records the owners, devices and ACLs that one mapped id cannot express.
//!
//! The program runs with a single id mapped, so that the kernel refuses to give a file to another id, to make a device
//! node, or to keep an ACL that names another id. The seccomp filter sends these calls to a [`Supervisor`] outside the
//! program's pid namespace. It makes the nearest call that the kernel permits, so that everything else about the call
//! is the kernel's own doing, and writes the rest down: in extended attributes of the inode ([`attributes`]), which
//! follow it through renames, hard links and overlayfs copy-up, or for inodes that cannot carry these in a table that
//! [`Supervisor::run`] returns. `capture` writes the records into the image.
//!
//! Invariants, whoever the caller is:
//! - What a call names is read from the caller once. The supervisor acts on its own copy and on the descriptor that it
//!   resolved, and never lets the kernel go on with a call (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`): the kernel would read
//!   the caller's memory a second time, and another thread could have changed a harmless name into one of ours.
//! - A path is walked in the caller's own root, from the caller's own directory, and through no magic link of procfs:
//!   the supervisor may follow links that the caller may not.
//! - Every length is bounded before memory is allocated.
//! - The supervisor uses nothing of the caller before the kernel has confirmed that the call still waits, because only
//!   then do the handles belong to the caller and not to a process that was given its number.
//! - A program cannot set or remove our attributes, except through the calls that are recorded.
//!
//! When the supervisor dies, the kernel answers the calls with ENOSYS, and the build fails.
//!
//! What a supervisor does is not judged by the program's Landlock domain, which covers neither owners nor attributes
//! but does cover making files: a program can make device placeholders wherever a mount is writable. What it must not
//! touch has to be mounted read-only, which the supervisor is held to as anybody.

pub mod acl;
pub mod attributes;
mod call;
mod chown;
mod device;
mod error;
mod inode;
mod place;
mod records;
mod supervisor;
mod tracee;
mod xattr;

pub use self::error::Error;
pub use self::records::OwnerRecord;
pub use self::supervisor::Supervisor;
