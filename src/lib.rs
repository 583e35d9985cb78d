//! Overcoat builds system extension images (sysext, confext), the base images they sit on, and initrds, from mkosi
//! configuration, without root.
//!
//! ```text
//! recipe text ─ recipe ─> Recipe ─ plan ─> Plan ─ build (sandboxed steps over overlayfs) ─> upper layer
//!     ─ capture ─> FileTree ─ format ─> image bytes ─ publish ─> output directory
//! ```
#![forbid(unsafe_code)]

pub mod beneath;
pub mod build;
pub mod capture;
pub mod check;
pub mod cli;
pub mod ddi;
pub mod distribution;
pub mod extension;
pub mod format;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod packages;
pub mod plan;
pub mod publish;
pub mod recipe;
pub mod selinux;
pub mod signing;
pub mod source;
pub mod store;
pub mod tree;

mod digest;
mod hint;

pub use self::hint::Hint;
