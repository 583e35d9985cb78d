//! Reaching what lies below a directory in which others may have written.
//!
//! Recipes, packages, earlier sandboxes and other users of a shared directory leave symbolic links, FIFOs, devices and
//! mount points where the program expects files of its own, and swap them while it looks. Whatever lies below such a
//! directory is therefore reached through this module alone: from an open [`Directory`], by one name or by a
//! [`TreePath`](crate::tree::TreePath), without following a link, without leaving the directory, and without opening
//! what is neither a directory nor a regular file. What was looked at and what is used are the same inode, because both
//! are one descriptor.
//!
//! Every stage of the pipeline that touches the disk uses it: the store, capture, writing directories, publishing and
//! removal. Paths are left for what a person named, which is opened once as [`Directory::open`] does, and for messages.
//!
//! openat2(2), path_resolution(7).

mod directory;
mod error;
mod inode;
mod place;
mod removal;
mod resolution;

pub use self::directory::Directory;
pub use self::error::Error;
pub use self::inode::{Inode, InodeNumber};
pub use self::place::Place;

#[cfg(test)]
pub(crate) mod flipping;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod users;
