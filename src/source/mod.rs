//! Trees that a recipe names: directories, tar archives, OCI images, and disk images.
//!
//! All of it is read in process, without a mount and without a program of the host, and becomes a [`FileTree`] with the
//! owners, modes, times, hard links and attributes that are there. Archives and images come from anywhere: what is wrong
//! with them is an error, and what they may take has a bound. They are read into a file without a name first, so that
//! what was checked is what is used, whoever changes the original meanwhile.
//!
//! | source | known by |
//! |---|---|
//! | OCI image | a directory, or an archive of one, with `oci-layout` and `index.json` |
//! | directory | any other one |
//! | tar archive, plain or compressed with gzip, xz or zstd | its first header |
//! | disk image, as [`crate::ddi`] writes it, or EROFS or squashfs by itself | its partition table or superblock |
//!
//! [`FileTree`]: crate::tree::FileTree

mod archive;
mod error;
mod image;
mod kept;
mod oci;
mod open;

pub use self::error::Error;
pub use self::kept::Scratch;
pub use self::oci::{OciError, OciImage, OciLayer};
pub use self::open::{Source, SourceTree};

#[cfg(test)]
mod tests;
