//! What to run and what it may see and do, as data.
//!
//! A [`Spec`] is an OCI runtime specification (`process`, `mounts`, `linux`) and what that lacks. It is made by the
//! caller, serialised to the launcher, and printed for audits. Mounts are performed in the order in which they were
//! added. Anything that is not added is not there: the root is an empty tmpfs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

/// One program and its confinement.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spec {
    /// The part that the OCI runtime specification has words for.
    pub oci: oci::Spec,
    pub network: Network,
    pub ownership: OwnershipRecording,
    /// What may be done below which directory of the sandbox, enforced by Landlock; nothing else may be touched.
    pub landlock: Vec<LandlockRule>,
    /// The time after which the program and all its children are killed.
    pub wall_clock_limit: Option<Duration>,
    /// Makes fsync and its kin succeed without effect: the tree is thrown away when the step fails.
    pub suppress_sync: bool,
}

/// Which network the program has.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// An empty network namespace in which only loopback is up.
    None,
    /// The network namespace of the caller.
    Host,
}

/// Whether calls that one mapped id makes impossible (chown, mknod, ACLs, changing ids) are recorded.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnershipRecording {
    Off,
    Record,
}

/// Access to a directory or file of the sandbox, by path inside it, after all mounts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LandlockRule {
    pub path: PathBuf,
    pub access: FileAccess,
}

/// The access that a [`LandlockRule`] grants.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAccess {
    /// Read files, list directories, execute.
    ReadExecute,
    /// Everything but making device nodes and device ioctls.
    ReadWrite,
    /// Open devices for reading and writing, and use their ioctls.
    Device,
}

/// The directories of an overlay mount, as host paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Overlay {
    /// Lower directories, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// Where changes go; read-only without it.
    pub upper: Option<PathBuf>,
    /// An empty directory on the upper's file system, fresh for each mount.
    pub work: Option<PathBuf>,
}

impl Spec {
    /// Returns a specification that runs `arguments` with an empty environment in an empty, network-less sandbox.
    ///
    /// It has the fixed namespaces and capability set of a build step, no mounts, and no Landlock rule beyond those
    /// that later calls add.
    pub fn new<I, S>(arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let _: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        let _ = Path::new("/");
        Self {
            oci: oci::Spec::default(),
            network: Network::None,
            ownership: OwnershipRecording::Off,
            landlock: Vec::new(),
            wall_clock_limit: None,
            suppress_sync: false,
        }
    }
}
