//! What to run and what it may see and do, as data.
//!
//! A [`Spec`] is an OCI runtime specification (`process`, `mounts`, `linux`) and what that lacks. It is made by the
//! caller, serialised to the launcher, and printed for audits. Mounts are performed in the order in which they were
//! added. Anything that is not added is not there: the root is an empty tmpfs.
//!
//! Host paths are trusted: symbolic links in them are followed. Never name a path inside an untrusted tree as the
//! source of a mount. Paths inside the sandbox are never followed through symbolic links.

mod builder;
mod finish;
mod limits;

use std::path::PathBuf;
use std::time::Duration;

use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

use crate::egress::NetworkScope;
use crate::limits::TmpfsLimits;
use crate::ownership::OwnerRecord;
use crate::seccomp::Profile;

/// One program and its confinement.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spec {
    /// The part that the OCI runtime specification has words for.
    pub oci: oci::Spec,
    pub network: Network,
    pub ids: IdMapping,
    pub ownership: OwnershipRecording,
    /// Owners that were recorded of what cannot carry a record, when the tree below was made.
    pub entry_owners: Vec<OwnerRecord>,
    /// Directories, files and symbolic links made between the mounts.
    pub entries: Vec<RootEntry>,
    /// What may be done below which directory of the sandbox, enforced by Landlock; nothing else may be touched.
    pub landlock: Vec<LandlockRule>,
    /// Whether a kernel that lacks a part of Landlock will do.
    pub strictness: Strictness,
    /// The newest ABI of Landlock that is used, as if the kernel were older. For tests: [`Enforcement`] tells of it.
    ///
    /// [`Enforcement`]: crate::Enforcement
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretended_landlock_abi: Option<u32>,
    /// The directory of a control group (cgroup v2) of the host in which the sandbox gets a group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_group: Option<PathBuf>,
    /// How much the temporary file systems hold together; as much as the kernel's default without it.
    pub temporary_files: Option<TmpfsLimits>,
    /// The time after which the program and all its children are killed.
    pub wall_clock_limit: Option<Duration>,
    /// Makes fsync and its kin succeed without effect: the tree is thrown away when the step fails.
    pub suppress_sync: bool,
    /// The caller's own system call filter, beside ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<Profile>,
    /// What the program reads from its standard input.
    pub input: StandardInput,
    /// Arguments and variables that are not UTF-8, which OCI cannot say; [`Spec::spawn`] refuses them.
    #[serde(skip)]
    not_utf8: Vec<std::ffi::OsString>,
}

/// Which network the program has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// An empty network namespace in which only loopback is up.
    None,
    /// The network namespace of the caller, of which the program reaches what the scope has. It has no sockets but TCP and
    /// UDP, and serves nobody.
    Scoped(NetworkScope),
    /// The network namespace of the caller.
    Host,
}

/// What becomes of a program that this kernel cannot confine as promised.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// It is not run.
    #[default]
    Required,
    /// It is run without the parts of Landlock that the kernel lacks; [`Enforcement`](crate::Enforcement) names them.
    BestEffort,
}

/// What the program reads from its standard input.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandardInput {
    /// Nothing.
    #[default]
    Empty,
    /// A pipe, see [`Spec::run_attached`].
    Pipe,
}

/// Which ids the program's user namespace has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdMapping {
    /// Only 0, which is the caller.
    #[default]
    Single,
    /// 0 to 65535, which are the caller's ids of the same numbers.
    Range,
}

/// Whether calls that one mapped id makes impossible (chown, mknod, ACLs, changing ids) are recorded.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnershipRecording {
    Off,
    /// They are, but programs that ask for the owner of a file are told 0. For compilers, which ask for the status of
    /// many files and do not care whose they are.
    Record,
    /// They are, and stat, getxattr and listxattr tell what was recorded.
    RecordAndAnswer,
    /// Only devices are, which no mapping makes possible.
    Devices,
}

/// Something made in the sandbox's tree before it is sealed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RootEntry {
    pub path: PathBuf,
    /// How many of the OCI mounts are performed before it is made.
    pub after_mounts: usize,
    pub kind: EntryKind,
}

/// What a [`RootEntry`] is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    Directory,
    Symlink { target: PathBuf },
    File { contents: FileContents },
}

/// The bytes of a small file, printed as text when they are text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FileContents {
    Text(String),
    Bytes(Vec<u8>),
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
    /// Lower directories, the topmost first: at least one, and at most the 500 that the kernel takes.
    pub lowers: Vec<PathBuf>,
    /// Where changes go; read-only without it.
    pub upper: Option<PathBuf>,
    /// An empty directory on the upper's file system, fresh for each mount.
    pub work: Option<PathBuf>,
}

impl FileContents {
    /// Returns the bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}
