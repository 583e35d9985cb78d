//! What can fail when a program is run confined, classified once from the step and the errno.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

use crate::idrange::RangeRefusal;
use crate::refusal::Refusal;
use crate::report::{Failure, Step};

/// Why a sandbox could not be built or watched. How the program itself ended is not among these.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the specification names no program")]
    NoProgram,
    #[error("`{}` is not UTF-8, which a specification must be", .value.display())]
    NotUtf8 { value: OsString },
    #[error("the path inside the sandbox `{}` is not absolute and free of `..`", .path.display())]
    InsidePath { path: PathBuf },
    #[error("the host path `{}` is not absolute", .path.display())]
    HostPath { path: PathBuf },
    #[error("sysfs is asked for together with the host's network")]
    SysfsWithHostNetwork,
    #[error("recording ownership is asked for together with a scoped network")]
    RecordingWithScopedNetwork,
    #[error("serialising the specification")]
    SerialiseSpec { source: serde_json::Error },
    #[error("starting the sandbox launcher")]
    StartLauncher { source: io::Error },
    #[error("talking to the sandbox launcher")]
    Launcher { source: io::Error },
    #[error("the sandbox launcher ended early ({status})")]
    LauncherEnded { status: ExitStatus },
    #[error("a process of the sandbox was killed from outside")]
    Lost,
    #[error("entering a user namespace in a process that has threads")]
    Threaded,
    #[error("{refusal}")]
    RangeRefused { refusal: RangeRefusal },
    #[error("{refusal}")]
    NamespacesRefused {
        refusal: Refusal,
        step: Step,
        source: io::Error,
    },
    #[error(
        "mounting proc on `{inside}`, which is refused where the host's own proc is partly hidden"
    )]
    ProcMasked { inside: String, source: io::Error },
    #[error("the kernel has no Landlock")]
    LandlockMissing { source: io::Error },
    #[error("the kernel's Landlock is too old: its ABI is {abi}, which lacks: {lacks}")]
    LandlockTooOld {
        abi: String,
        /// The first thing that is needed and missing, with the versions that have it.
        lacks: String,
        source: io::Error,
    },
    #[error("the kernel refuses the seccomp filter")]
    SeccompRefused { source: io::Error },
    #[error("a symbolic link is in the way of the mount point `{inside}`")]
    SymlinkAtMountPoint { inside: String },
    #[error("mounting the overlay on `{inside}`{}", explained(.detail))]
    MountOverlay {
        inside: String,
        /// The kernel's explanation, where it gives one.
        detail: Option<String>,
        source: io::Error,
    },
    #[error("the program `{program}` is not in the sandbox")]
    ProgramMissing { program: String },
    #[error("executing `{program}`")]
    Execute { program: String, source: io::Error },
    #[error("{}{}{}", .step.describe(), quoted(.object), explained(.detail))]
    SetUp {
        step: Step,
        object: Option<String>,
        detail: Option<String>,
        source: io::Error,
    },
}

impl Error {
    /// Tells whether the host lacks a feature, so that no sandbox can be made on it, whatever is asked for.
    pub fn is_missing_feature(&self) -> bool {
        matches!(
            self,
            Self::RangeRefused { .. }
                | Self::NamespacesRefused { .. }
                | Self::ProcMasked { .. }
                | Self::LandlockMissing { .. }
                | Self::LandlockTooOld { .. }
                | Self::SeccompRefused { .. }
        )
    }

    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RangeRefused { refusal } => Some(refusal.remedy()),
            Self::NamespacesRefused { refusal, .. } => Some(refusal.remedy()),
            Self::ProcMasked { .. } => Some(
                "in a container, start it with `--security-opt systempaths=unconfined` (Docker) or \
                 `--security-opt unmask=ALL` (Podman)"
                    .to_owned(),
            ),
            Self::LandlockMissing { .. } => Some(
                "use a kernel with Landlock (5.13 or later, `CONFIG_SECURITY_LANDLOCK=y`) that lists `landlock` in \
                 `/sys/kernel/security/lsm`; the boot parameter `lsm=` sets that list. `--allow=weaker-sandbox` builds \
                 without it"
                    .to_owned(),
            ),
            Self::LandlockTooOld { .. } => Some(
                "use a newer kernel, or `--allow=weaker-sandbox` to build without what is missing".to_owned(),
            ),
            Self::SeccompRefused { .. } => Some(
                "use a kernel with `CONFIG_SECCOMP_FILTER=y`; in a container, start it with `--security-opt \
                 seccomp=unconfined`"
                    .to_owned(),
            ),
            Self::MountOverlay { .. } => Some(
                "put the state directory on a local file system, such as ext4, xfs or btrfs (or, since Linux 6.6, \
                 tmpfs); in a container, on a volume, since the container's own root is an overlay"
                    .to_owned(),
            ),
            Self::ProgramMissing { .. } => Some(
                "a script's interpreter or a program's dynamic loader that is missing looks the same"
                    .to_owned(),
            ),
            Self::SymlinkAtMountPoint { .. } => Some(
                "remove the link from the tree that is mounted above it".to_owned(),
            ),
            Self::Threaded => Some("call it first in `main`".to_owned()),
            Self::RecordingWithScopedNetwork => Some(
                "download with a scoped network first, and record in another sandbox".to_owned(),
            ),
            Self::SysfsWithHostNetwork => Some(
                "the kernel lets only the owner of a network namespace mount sysfs; leave it out"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure {
            step,
            errno,
            object,
            detail,
        } = failure;
        let source = io::Error::from_raw_os_error(errno);
        let named = object.clone().unwrap_or_default();
        match (step, errno) {
            (Step::Execute, libc::ENOENT) => Self::ProgramMissing { program: named },
            (Step::Execute, _) => Self::Execute {
                program: named,
                source,
            },
            (Step::FindMountPoint | Step::MakeEntry | Step::ProtectProc, libc::ELOOP) => {
                Self::SymlinkAtMountPoint { inside: named }
            }
            (Step::MountProc, libc::EPERM) => Self::ProcMasked {
                inside: named,
                source,
            },
            (Step::RestrictFiles, libc::ENOSYS | libc::EOPNOTSUPP) => {
                Self::LandlockMissing { source }
            }
            (Step::RequireLandlock, _) => Self::LandlockTooOld {
                abi: named,
                lacks: detail.unwrap_or_default(),
                source,
            },
            (Step::FilterCalls, _) => Self::SeccompRefused { source },
            (Step::MountOverlay, _) => Self::MountOverlay {
                inside: named,
                detail,
                source,
            },
            _ => match Refusal::find(step, errno) {
                Some(refusal) => Self::NamespacesRefused {
                    refusal,
                    step,
                    source,
                },
                None => Self::SetUp {
                    step,
                    object,
                    detail,
                    source,
                },
            },
        }
    }
}

fn quoted(object: &Option<String>) -> String {
    object
        .as_ref()
        .map_or_else(String::new, |object| format!(" `{object}`"))
}

fn explained(detail: &Option<String>) -> String {
    detail.as_ref().map_or_else(String::new, |detail| {
        format!(" (the kernel says: {detail})")
    })
}
