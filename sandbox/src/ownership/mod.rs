//! Records what one mapped id cannot express, and makes programs believe in it.
//!
//! The program runs with a single id mapped, so that the kernel refuses to give a file to another id, to make a device
//! node, to keep an ACL that names another id, or to let a process become another user. The seccomp filter sends these
//! calls to a [`Supervisor`] outside the program's pid namespace. It makes the nearest call that the kernel permits, so
//! that everything else about the call is the kernel's own doing, and writes the rest down: in extended attributes of
//! the inode ([`attributes`]), or for inodes that cannot carry these in a table that [`Supervisor::run`] returns.
//! `capture` writes the records into the image.
//!
//! | calls | answered |
//! |---|---|
//! | chown and its kin | made with 0 for each id, then recorded |
//! | mknod of devices | an empty file, on which the device is recorded |
//! | setxattr, removexattr | made; an ACL that the kernel refuses for its ids is recorded |
//! | setuid, setgid, setgroups and their kin | the ids are noted for the process (`credentials`, `identities`) |
//! | getuid and its kin, getgroups | from what was noted |
//! | open that creates, mkdir, symlink, other mknod | made and recorded for who is not root, in a set-group-id directory with a recorded group, and below a recorded default ACL; otherwise left to the kernel |
//! | stat and its kin | the kernel's answer with the recorded owner and device; left to the kernel without a record |
//! | getxattr, listxattr | recorded ACLs are shown as ACLs, our attributes are hidden; otherwise left to the kernel |
//!
//! The last two rows need [`RecordAndAnswer`](crate::OwnershipRecording::RecordAndAnswer).
//!
//! # Rules
//!
//! - **Rename and hard links**: a record belongs to the inode, so that it follows every name. A table entry follows too:
//!   a descriptor is held, which tells the last path.
//! - **Copy-up**: overlayfs copies attributes, and shows the inode under its number, so that both kinds of record
//!   follow. What is recorded of lower links is given with the specification ([`Spec::entry_owners`](crate::Spec)).
//! - **Deletion, and reuse of inode numbers**: an attribute goes with its inode. The held descriptor keeps a deleted
//!   inode alive, so that its number cannot come to mean another one while the table has it.
//! - **Set-id bits and capabilities** are cleared by the kernel at a chown, and kept where the kernel keeps them.
//! - **Creation**: the owner is the process's file system user, the group that of a set-group-id directory or the
//!   process's. A default ACL is inherited in place of the mask.
//! - **Modes**: chmod changes the mode alone. The owner's, mask's and others' permissions of a recorded access ACL are
//!   read from the mode.
//!
//! # Invariants, whoever the caller is
//!
//! - What has an effect is done by the supervisor, on its own copy of what the call names and on the descriptor that it
//!   resolved, never by the kernel (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`), which would read the caller's memory a second
//!   time. The kernel goes on only with calls that it permits to the program by itself, and that the filter could as
//!   well have let pass: stat, getxattr and listxattr, and the creation of what is root's. If another thread changes a
//!   name meanwhile, the program is told of one owner too few, or its own new file lacks one.
//! - A path is walked in the caller's own root, from the caller's own directory, and through no magic link of procfs:
//!   the supervisor may follow links that the caller may not.
//! - Every length is bounded before memory is allocated.
//! - Nothing is done, and nothing written to the caller's memory, before the kernel has confirmed that the call still
//!   waits, because only then do the handles belong to the caller and not to a process that was given its number.
//!   Memory is written through a handle that was opened before that.
//! - Faked ids permit nothing. They take away: a process that gave up root may no longer give files away, make devices
//!   or set capabilities, and not take root back. Its access to files stays root's, of which the kernel knows only one.
//! - A program cannot remove our attributes, and can set them only to what a recorded call could have left there.
//!
//! Where programs see our attributes, `cp -a`, or `mv` to another file system, sets what it reads on the copy, which
//! would lose its owner if that were refused. To set a well-formed record is therefore taken as the call that it stands
//! for. Nothing is gained by forging one:
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
//! # What differs from a build by root
//!
//! - Who has become another user still reads and writes all that root does, may signal root's processes, and gets no
//!   other rights from a set-user-id program that it executes.
//! - `/proc/PID/status`, the peer credentials of sockets and the auxiliary vector show id 0.
//! - A socket that bind(2) makes is root's, as is a file made through a dangling link, or a magic one of procfs.
//! - Ids are a process's, not a thread's, as POSIX has it; the system calls change them for one thread.
//! - Until the supervisor has received a call, a signal whose handler lacks `SA_RESTART` ends it with EINTR, also one
//!   that cannot fail so, as getuid(2). That is how seccomp waits.
//! - Directory entries of placeholders have the type of regular files (`d_type` of readdir(3)).
//!
//! When the supervisor dies, the kernel answers the calls with ENOSYS, and the build fails.
//!
//! What a supervisor does is not judged by the program's Landlock domain, which covers neither owners nor attributes
//! but does cover making files: a program can make new entries wherever a mount is writable. What it must not touch has
//! to be mounted read-only, which the supervisor is held to as anybody.

pub mod acl;
pub mod attributes;
mod call;
mod callers;
mod creation;
mod credentials;
mod error;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
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
pub(crate) use self::tracee::Tracee;
