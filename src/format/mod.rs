//! Writers: a [`FileTree`](crate::tree::FileTree) becomes bytes. Pure and deterministic.

pub mod erofs;
