//! Writers: a [`FileTree`](crate::tree::FileTree) becomes bytes. Pure and deterministic. And readers, the other way.

mod budget;
pub mod codec;
pub mod compression;
pub mod cpio;
pub mod directory;
mod duplicates;
pub mod elf;
pub mod erofs;
pub mod ext4;
pub mod file_system;
mod growing;
mod inodes;
pub mod oci;
pub mod output;
mod padded;
pub mod pipeline;
pub mod read_at;
pub mod squashfs;
pub mod tar;

pub use inodes::EntryError;
