//! Writers: a [`FileTree`](crate::tree::FileTree) becomes bytes. Pure and deterministic.

pub mod codec;
pub mod compression;
pub mod cpio;
pub mod directory;
pub mod erofs;
pub mod output;
pub mod pipeline;
