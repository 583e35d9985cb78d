//! Capture: lower and upper directories with ownership records become a [`FileTree`](crate::tree::FileTree).
//!
//! The directories were written by untrusted code through overlayfs (`userxattr`) under a single-id mapping, so the
//! names are reached by descriptor alone, no symbolic link is followed, no mount point is crossed, and what the kernel
//! could not store is read back from the records that the sandbox left (see [`merge`], and
//! [`overcoat_sandbox::ownership::attributes`] for their form). Nothing on disk is changed, copied or locked. What a
//! layer marks as deleted is honoured and reported, and never becomes part of a tree.
//!
//! Overlayfs: <https://docs.kernel.org/filesystems/overlayfs.html>.

pub(crate) mod capability;
mod disk;
mod error;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod inode;
mod layers;
pub(crate) mod overlay;
mod owners;

pub use self::error::Error;
pub use self::layers::{EntryOwner, LayerDirectory, entry_owners, merge, merge_directory};

#[cfg(test)]
mod tests;
