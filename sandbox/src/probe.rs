//! Asking the host what a sandbox needs of it, by really doing each thing once, in a child of the launcher.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::idrange::{IdRange, Stopped};
use crate::refusal;
use crate::report::{Failure, Request};
use crate::spawn::{reap, receive, start_launcher};

/// Something that a sandbox needs of the host, and whether the host has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feature {
    pub name: &'static str,
    pub status: FeatureStatus,
}

/// The name of the feature that one id can be mapped, without which there is no sandbox.
pub const SINGLE_ID: &str = "id mapping";

/// The name of the feature whose detail says which ABI of Landlock the kernel has, and what that lacks.
pub const LANDLOCK: &str = "Landlock";

/// The host's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FeatureStatus {
    /// It works; the text says which version or variant.
    Available(String),
    Missing {
        /// The one reason that fits what was seen.
        cause: String,
        /// What was seen.
        evidence: String,
        /// What to do about it.
        remedy: String,
    },
}

/// What is tried, in the order in which one thing needs the other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Trial {
    KernelVersion,
    UserNamespace,
    IdMapping,
    TmpfsMount,
    OtherNamespaces,
    Overlay,
    UserXattrs,
    ProcMount,
    Landlock,
    SeccompFilter,
    SeccompListener,
}

/// How one trial went.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Tried {
    pub(crate) trial: Trial,
    pub(crate) result: Result<String, Failure>,
}

/// Tries everything that a sandbox needs, with its state in `state_directory`, which must exist.
pub fn features(state_directory: &Path) -> Vec<Feature> {
    match try_all(state_directory) {
        Ok(tried) => tried.into_iter().map(Feature::from).collect(),
        Err(error) => vec![Feature {
            name: "sandbox launcher",
            status: missing(&error, String::new(), "check that `/proc` is mounted"),
        }],
    }
}

/// Tries whether the caller can have a range of ids ([`Spec::map_range`](crate::Spec::map_range)), which no build needs
/// by itself.
pub fn id_range() -> Feature {
    let name = "range of ids";
    let tried =
        start_launcher(&Request::TryRange, Stdio::null).and_then(|(mut launcher, control)| {
            let tried: Result<Result<IdRange, Stopped>, Error> = receive(&control, &mut launcher);
            reap(&control, &mut launcher);
            tried?.map_err(Error::from)
        });
    let status = match tried {
        Ok(range) => FeatureStatus::Available(range.to_string()),
        Err(error) => {
            let source = std::error::Error::source(&error);
            let evidence = source.map_or_else(String::new, ToString::to_string);
            missing(
                &error,
                evidence,
                "check whether `unshare --map-root-user --map-auto true` works",
            )
        }
    };
    Feature { name, status }
}

fn try_all(state_directory: &Path) -> Result<Vec<Tried>, Error> {
    let state_directory = std::path::absolute(state_directory).map_err(|_| Error::HostPath {
        path: PathBuf::from(state_directory),
    })?;
    let request = Request::Probe { state_directory };
    let (mut launcher, control) = start_launcher(&request, Stdio::null)?;
    let tried = receive(&control, &mut launcher);
    reap(&control, &mut launcher);
    tried
}

impl Trial {
    pub(crate) const ALL: [Self; 11] = [
        Self::KernelVersion,
        Self::UserNamespace,
        Self::IdMapping,
        Self::TmpfsMount,
        Self::OtherNamespaces,
        Self::Overlay,
        Self::UserXattrs,
        Self::ProcMount,
        Self::Landlock,
        Self::SeccompFilter,
        Self::SeccompListener,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KernelVersion => "kernel",
            Self::UserNamespace => "user namespaces",
            Self::IdMapping => SINGLE_ID,
            Self::TmpfsMount => "mounts in a user namespace",
            Self::OtherNamespaces => "mount, pid, ipc, uts, cgroup and network namespaces",
            Self::Overlay => "overlayfs in a user namespace",
            Self::UserXattrs => "user extended attributes",
            Self::ProcMount => "proc of a new pid namespace",
            Self::Landlock => LANDLOCK,
            Self::SeccompFilter => "seccomp filters",
            Self::SeccompListener => "seccomp user notification",
        }
    }

    /// What to do when the failure itself does not tell.
    fn remedy(self) -> &'static str {
        match self {
            Self::KernelVersion => "use Linux 5.19 or later",
            Self::UserNamespace
            | Self::IdMapping
            | Self::TmpfsMount
            | Self::OtherNamespaces
            | Self::ProcMount => {
                "check whether `unshare --user --map-root-user --mount --pid --fork --mount-proc true` works"
            }
            Self::Overlay | Self::UserXattrs => {
                "put the state directory on a local file system, such as ext4, xfs or btrfs (or, since Linux 6.6, \
                 tmpfs); in a container, on a volume"
            }
            Self::Landlock => {
                "use a kernel with `CONFIG_SECURITY_LANDLOCK=y` and `landlock` in its `lsm=` list"
            }
            Self::SeccompFilter | Self::SeccompListener => {
                "use a kernel with `CONFIG_SECCOMP_FILTER=y`, outside of another recording sandbox"
            }
        }
    }
}

impl From<Tried> for Feature {
    fn from(Tried { trial, result }: Tried) -> Self {
        let status = match result {
            Ok(detail) => FeatureStatus::Available(detail),
            Err(failure) => {
                let evidence = failure.to_string();
                missing(&Error::from(failure), evidence, trial.remedy())
            }
        };
        Self {
            name: trial.name(),
            status,
        }
    }
}

fn missing(error: &Error, evidence: String, remedy: &str) -> FeatureStatus {
    let seen = [evidence, refusal::evidence()];
    let seen: Vec<String> = seen.into_iter().filter(|text| !text.is_empty()).collect();
    FeatureStatus::Missing {
        cause: error.to_string(),
        evidence: seen.join("; "),
        remedy: error.hint().unwrap_or_else(|| remedy.to_owned()),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step.describe())?;
        if let Some(object) = &self.object {
            write!(f, " `{object}`")?;
        }
        write!(f, ": {}", nix::errno::Errno::from_raw(self.errno))?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    #[test]
    fn a_refused_proc_mount_names_the_container_option() {
        let tried = Tried {
            trial: Trial::ProcMount,
            result: Err(Failure {
                step: Step::MountProc,
                errno: libc::EPERM,
                object: Some("/proc".to_owned()),
                detail: None,
            }),
        };
        let FeatureStatus::Missing {
            evidence, remedy, ..
        } = Feature::from(tried).status
        else {
            panic!("a failure is not a missing feature");
        };
        assert!(evidence.starts_with("mounting proc on `/proc`: EPERM"));
        assert_eq!(
            remedy,
            "in a container, start it with `--security-opt systempaths=unconfined` (Docker) or `--security-opt \
             unmask=ALL` (Podman)"
        );
    }
}
