//! Which kernels read what.

use crate::format::file_system::KernelVersion;

/// LZ4 in clusters of more than one block (`BIG_PCLUSTER`), without which blocks of fixed input cannot be stored.
pub(super) const LZ4: KernelVersion = KernelVersion::new(5, 13);
/// Parts of files in the packed inode (`FRAGMENTS`), and clusters that files share (`DEDUPE`).
///
/// An older kernel reads a shared cluster too, but fails when two of its files are read at the same time.
pub(super) const FRAGMENTS: KernelVersion = KernelVersion::new(6, 1);
pub(super) const DEFLATE: KernelVersion = KernelVersion::new(6, 6);
pub(super) const ZSTD: KernelVersion = KernelVersion::new(6, 10);
