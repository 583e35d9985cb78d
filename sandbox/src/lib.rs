//! Runs one program confined: given a [`Spec`], it builds namespaces, mounts, limits, Landlock and seccomp around the
//! program, in a separate single-threaded process, and reports what was enforced.
//!
//! It knows nothing of images. Its vocabulary is the OCI runtime specification's, plus what OCI lacks: Landlock,
//! ownership recording and the network's scope. Only `sys` holds `unsafe`.
#![deny(unsafe_code)]

pub mod ownership;
pub mod seccomp;
mod spec;
mod sys;

pub use self::spec::{FileAccess, LandlockRule, Network, Overlay, OwnershipRecording, Spec};

/// Becomes the sandbox launcher when this process was started as one, and returns its exit status.
///
/// `main` calls it before anything else, because the launcher must be single-threaded when it clones namespaces.
pub fn become_launcher_if_asked() -> Option<std::process::ExitCode> {
    None
}
