//! The attributes of overlayfs itself, as it names them under `userxattr`.

use std::ffi::CStr;

/// Prefix of overlayfs's own attributes under `userxattr`.
pub(crate) const PREFIX: &str = "user.overlay.";
/// How overlayfs stores an attribute whose own name starts with [`PREFIX`].
pub(crate) const ESCAPE: &str = "user.overlay.overlay.";
pub(super) const OPAQUE: &CStr = c"user.overlay.opaque";
pub(super) const ORIGIN: &CStr = c"user.overlay.origin";
pub(super) const WHITEOUT: &CStr = c"user.overlay.whiteout";
