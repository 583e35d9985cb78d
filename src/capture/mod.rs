//! lower and upper directories with ownership records become a [`FileTree`](crate::tree::FileTree).
