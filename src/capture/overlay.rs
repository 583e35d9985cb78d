//! The attributes of overlayfs itself, as it names them under `userxattr`.

/// Prefix of overlayfs's own attributes under `userxattr`.
pub(crate) const PREFIX: &str = "user.overlay.";
/// How overlayfs stores an attribute whose own name starts with [`PREFIX`].
pub(crate) const ESCAPE: &str = "user.overlay.overlay.";
pub(super) const OPAQUE: &str = "user.overlay.opaque";
pub(super) const ORIGIN: &str = "user.overlay.origin";
pub(super) const WHITEOUT: &str = "user.overlay.whiteout";
