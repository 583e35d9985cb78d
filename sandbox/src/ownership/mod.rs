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
//! - A program cannot remove our attributes, and can set them only to what a recorded call could have left there.
//!
//! A program reads our attributes as any others, and `cp -a`, or `mv` to another file system, sets what it reads on the
//! copy, which would lose its owner if that were refused. To set a well-formed record is therefore taken as the call
//! that it stands for. Nothing is gained by forging one:
//! - an owner is what chown of the same file records, which succeeds for every id but -1;
//! - an ACL is set as if it had its kernel's name, and recorded only where the kernel cannot keep it;
//! - a device is what mknod makes: only an empty regular file may become one, with a number that mknod could give;
//! - each takes a file of the caller's own, which the calls take too, where the attribute alone takes a writable one.
//!
//! An owner that is set so clears no set-id bits and no file capability, unlike chown: a program copies attributes in
//! the order in which they are listed, and could have set them itself afterwards. What stays refused: to remove a
//! record (chown to 0:0 and removing the ACL do), `capability` and `entries`, which no recorded call leaves, and all
//! other names of ours.
//!
//! Two copies stay incomplete. `cp` and `mv` set the mode last, as an ACL that names nobody, which removes a recorded
//! access ACL, for it cannot be told from the wish to remove it. `tar --xattrs` sets attributes by paths below
//! `/proc/self/fd/N`, which are not followed, so that what it unpacks has none, records or others.
//!
//! When the supervisor dies, the kernel answers the calls with ENOSYS, and the build fails.
//!
//! What a supervisor does is not judged by the program's Landlock domain, which covers neither owners nor attributes
//! but does cover making files: a program can make device placeholders wherever a mount is writable. What it must not
//! touch has to be mounted read-only, which the supervisor is held to as anybody.

pub mod acl;
pub mod attributes;
mod call;
mod creation;
mod credentials;
mod error;
mod identities;
mod inode;
mod owner;
mod place;
mod reading;
mod records;
mod status;
mod supervisor;
mod tracee;
mod xattr;

pub use self::error::Error;
pub use self::records::OwnerRecord;
pub use self::supervisor::Supervisor;
