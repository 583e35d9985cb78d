//! Writers: a [`FileTree`](crate::tree::FileTree) becomes bytes. Pure and deterministic.

pub mod compression;
pub mod cpio;
pub mod directory;
pub mod erofs;
