//! Staged outputs move to the output directory; a failed build changes nothing there.
//!
//! Outputs are written below a hidden directory of the output directory, on the same file system, and take their
//! places by rename when the last image is done. A name is exchanged with what was there, so that at every moment it
//! is the old output or the new one.

mod checksums;
mod error;
mod hidden;
mod manifest;
mod outputs;
mod place;

pub use self::checksums::{Refreshed, refresh_checksums};
pub use self::error::Error;
pub(crate) use self::hidden::HIDDEN;
pub use self::manifest::{Manifest, Protected};
pub use self::outputs::{OutputDirectory, Published};
pub use self::place::{check_directory_place, check_file_place, remove_link, remove_output};

#[cfg(test)]
mod tests;
