//! Runs one program confined: given a [`Spec`], it builds namespaces, mounts, limits, Landlock and seccomp around the
//! program, in a separate single-threaded process, and reports what was enforced.
//!
//! It knows nothing of images. Its vocabulary is the OCI runtime specification's, plus what OCI lacks: Landlock,
//! ownership recording and the network's scope. Only `sys` holds `unsafe`.
#![deny(unsafe_code)]

mod attached;
mod caps;
mod cover;
mod defaults;
mod egress;
mod error;
mod first;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod idmap;
mod idrange;
mod init;
mod kernel;
mod landlock;
mod launcher;
mod limits;
mod listener;
mod mount_point;
mod mounts;
mod namespaces;
mod overlay;
pub mod ownership;
pub mod probe;
mod program;
mod refusal;
mod report;
mod rlimits;
pub mod seccomp;
mod spawn;
mod spec;
mod supervisor;
mod sys;
mod trials;

pub use oci_spec::runtime::{Capability, PosixRlimitType};

pub use self::attached::{Attached, Output, Streams};
pub use self::egress::NetworkScope;
pub use self::error::Error;
pub use self::idmap::enter_user_namespace;
pub use self::idrange::{IdRange, RangeRefusal, enter_range_namespace};
pub use self::landlock::missing_protection;
pub use self::launcher::become_launcher_if_asked;
pub use self::limits::{
    EnforcedLimit, Limit, LimitMechanism, Limits, TmpfsLimits, delegated_control_group,
};
pub use self::ownership::OwnerRecord;
pub use self::refusal::Refusal;
pub use self::report::{Enforcement, ProgramStatus, Step};
pub use self::spawn::{Killer, Outcome, Running};
pub use self::spec::{
    EntryKind, FileAccess, FileContents, IdMapping, LandlockRule, Network, Overlay,
    OwnershipRecording, RootEntry, Spec, StandardInput, Strictness,
};
