//! What to run and what it may see and do, as data.
//!
//! A [`Spec`] is an OCI runtime specification (`process`, `mounts`, `linux`) and what that lacks. It is made by the
//! caller, serialised to the launcher, and printed for audits. Mounts are performed in the order in which they were
//! added. Anything that is not added is not there: the root is an empty tmpfs.
//!
//! Host paths are trusted: symbolic links in them are followed. Never name a path inside an untrusted tree as the
//! source of a mount. Paths inside the sandbox are never followed through symbolic links.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::error::Error;
use crate::idrange;
use crate::ownership::OwnerRecord;

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
    /// The time after which the program and all its children are killed.
    pub wall_clock_limit: Option<Duration>,
    /// Makes fsync and its kin succeed without effect: the tree is thrown away when the step fails.
    pub suppress_sync: bool,
    /// Arguments and variables that are not UTF-8, which OCI cannot say; [`Spec::spawn`] refuses them.
    #[serde(skip)]
    not_utf8: Vec<std::ffi::OsString>,
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

impl Spec {
    /// Returns a specification that runs `arguments` with an empty environment in an empty, network-less sandbox.
    ///
    /// It has the fixed namespaces and capability set of a build step and no mounts. Its only Landlock rule lets the
    /// root be read; each mount adds its own.
    #[must_use]
    pub fn new<I, S>(arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut not_utf8 = Vec::new();
        let arguments = arguments
            .into_iter()
            .map(|argument| utf8_or_note(argument.as_ref(), &mut not_utf8))
            .collect();
        Self {
            oci: defaults::build_step(arguments),
            network: Network::None,
            ids: IdMapping::Single,
            ownership: OwnershipRecording::Off,
            entry_owners: Vec::new(),
            entries: Vec::new(),
            landlock: vec![LandlockRule {
                path: "/".into(),
                access: FileAccess::ReadExecute,
            }],
            wall_clock_limit: None,
            suppress_sync: false,
            not_utf8,
        }
    }

    /// Sets an environment variable; the last value of a name wins.
    #[must_use]
    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let name = utf8_or_note(name.as_ref(), &mut self.not_utf8);
        let value = utf8_or_note(value.as_ref(), &mut self.not_utf8);
        let prefix = format!("{name}=");
        let process = self.oci.process_mut().get_or_insert_default();
        let variables = process.env_mut().get_or_insert_default();
        variables.retain(|variable| !variable.starts_with(&prefix));
        variables.push(prefix + &value);
        self
    }

    /// Sets the directory in which the program starts; `/` without it.
    #[must_use]
    pub fn working_directory(mut self, inside: impl AsRef<Path>) -> Self {
        let process = self.oci.process_mut().get_or_insert_default();
        process.set_cwd(inside.as_ref().to_owned());
        self
    }

    /// Shows a file or directory of the host, with all mounts below it, read-only.
    #[must_use]
    pub fn bind_read_only(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        let options = ["rbind", "ro", "nosuid", "nodev"];
        self.mount("bind", host, &inside, options)
            .allow(&inside, FileAccess::ReadExecute)
    }

    /// Shows a file or directory of the host, with all mounts below it, writable.
    #[must_use]
    pub fn bind(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.mount("bind", host, &inside, ["rbind", "nosuid", "nodev"])
            .allow(&inside, FileAccess::ReadWrite)
    }

    /// Mounts an overlay, read-only when it has no upper directory.
    ///
    /// With one it is `volatile`: nothing is synced, and the same work directory cannot be mounted again.
    #[must_use]
    pub fn overlay(self, inside: impl AsRef<Path>, overlay: &Overlay) -> Self {
        let Overlay {
            lowers,
            upper,
            work,
        } = overlay;
        let mut spec = self;
        let mut option = |key: &str, path: &Path| {
            let path = utf8_or_note(path.as_os_str(), &mut spec.not_utf8);
            format!("{key}={path}")
        };
        let mut options = vec!["nosuid".into(), "nodev".into(), "userxattr".into()];
        options.extend(lowers.iter().map(|lower| option("lowerdir+", lower)));
        options.extend(upper.iter().map(|upper| option("upperdir", upper)));
        options.extend(work.iter().map(|work| option("workdir", work)));
        let access = if upper.is_some() {
            options.push("volatile".into());
            FileAccess::ReadWrite
        } else {
            options.push("ro".into());
            FileAccess::ReadExecute
        };
        spec.mount("overlay", "overlay", &inside, options)
            .allow(&inside, access)
    }

    /// Mounts an empty, writable tmpfs whose root directory has `mode`.
    #[must_use]
    pub fn tmpfs(self, inside: impl AsRef<Path>, mode: u32) -> Self {
        let options = ["nosuid".into(), "nodev".into(), format!("mode={mode:04o}")];
        self.mount("tmpfs", "tmpfs", &inside, options)
            .allow(&inside, FileAccess::ReadWrite)
    }

    /// Makes an empty directory, mode 0755.
    #[must_use]
    pub fn directory(self, inside: impl AsRef<Path>) -> Self {
        self.entry(inside, EntryKind::Directory)
    }

    /// Makes a symbolic link.
    #[must_use]
    pub fn symlink(self, target: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        let target = target.as_ref().to_owned();
        self.entry(inside, EntryKind::Symlink { target })
    }

    /// Makes a small file, mode 0644.
    #[must_use]
    pub fn file(self, inside: impl AsRef<Path>, contents: impl Into<Vec<u8>>) -> Self {
        let contents = match String::from_utf8(contents.into()) {
            Ok(text) => FileContents::Text(text),
            Err(error) => FileContents::Bytes(error.into_bytes()),
        };
        self.entry(inside, EntryKind::File { contents })
    }

    /// Mounts a fresh proc of the sandbox's own processes, with what concerns the host hidden or read-only.
    #[must_use]
    pub fn proc(mut self, inside: impl AsRef<Path>) -> Self {
        let linux = self.oci.linux_mut().get_or_insert_default();
        let below = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| inside.as_ref().join(name).display().to_string())
                .collect()
        };
        let masked = linux.masked_paths_mut().get_or_insert_default();
        masked.extend(below(defaults::MASKED_IN_PROC));
        let read_only = linux.readonly_paths_mut().get_or_insert_default();
        read_only.extend(below(defaults::READ_ONLY_IN_PROC));
        self.mount("proc", "proc", &inside, ["nosuid", "noexec", "nodev"])
            .allow(&inside, FileAccess::Device)
    }

    /// Mounts a small `/dev`: the harmless devices of the host, a private `pts` and `shm`, and the usual links.
    #[must_use]
    pub fn devices(self, inside: impl AsRef<Path>) -> Self {
        let dev = inside.as_ref();
        let options = ["nosuid", "noexec", "mode=0755", "size=64m"];
        let mut spec = self
            .mount("tmpfs", "tmpfs", dev, options)
            .allow(dev, FileAccess::Device);
        for name in defaults::DEVICES {
            let host = Path::new("/dev").join(name);
            // What a device says is written whatever its mount permits. But the node is the host's, and root's sandbox
            // could change its mode.
            let options = ["bind", "ro", "nosuid", "noexec"];
            spec = spec.mount("bind", host, dev.join(name), options);
        }
        for (name, target) in defaults::DEVICE_LINKS {
            spec = spec.symlink(target, dev.join(name));
        }
        // No gid=5: in a user namespace that maps one id, devpts refuses it with EINVAL.
        let pts = [
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=620",
        ];
        spec.mount("devpts", "devpts", dev.join("pts"), pts)
            .tmpfs(dev.join("shm"), 0o1777)
    }

    /// Mounts sysfs read-only. The kernel refuses it unless the network is [`Network::None`].
    #[must_use]
    pub fn sysfs(self, inside: impl AsRef<Path>) -> Self {
        let options = ["ro", "nosuid", "noexec", "nodev"];
        self.mount("sysfs", "sysfs", &inside, options)
            .allow(&inside, FileAccess::ReadExecute)
    }

    /// Chooses the network; [`Network::None`] without it.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        let linux = self.oci.linux_mut().get_or_insert_default();
        linux.set_namespaces(Some(defaults::namespaces(network)));
        self
    }

    /// Chooses whether owners, device numbers and ACLs that one mapped id cannot express are recorded;
    /// [`OwnershipRecording::Off`] without it.
    #[must_use]
    pub fn ownership(mut self, recording: OwnershipRecording) -> Self {
        self.ownership = recording;
        self
    }

    /// Tells the recorder the owners of symbolic links, FIFOs and sockets that are in the sandbox already, by their paths
    /// there. What is not there, or hidden by a mount, is passed over.
    ///
    /// They are among the records that are returned, where the program did not change them.
    #[must_use]
    pub fn entry_owners(mut self, owners: Vec<OwnerRecord>) -> Self {
        self.entry_owners = owners;
        self
    }

    /// Maps the ids 0 to 65535 to the caller's own, instead of 0 alone. So owners, ACLs and changes of ids are real.
    ///
    /// The caller must have them: see [`enter_range_namespace`](crate::enter_range_namespace).
    #[must_use]
    pub fn map_range(mut self) -> Self {
        self.ids = IdMapping::Range;
        self
    }

    /// Makes fsync and its kin succeed without effect.
    #[must_use]
    pub fn suppress_sync(mut self) -> Self {
        self.suppress_sync = true;
        self
    }

    /// Kills the program and all its children after this time.
    #[must_use]
    pub fn wall_clock_limit(mut self, limit: Duration) -> Self {
        self.wall_clock_limit = Some(limit);
        self
    }

    /// Sets the host name that the program sees.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.oci.set_hostname(Some(name.into()));
        self
    }

    /// Sets the soft and hard limit of a resource. A limit above the caller's own hard limit is cut to that.
    #[must_use]
    pub fn resource_limit(mut self, resource: oci::PosixRlimitType, limit: u64) -> Self {
        let process = self.oci.process_mut().get_or_insert_default();
        let mut limits = process.rlimits().clone().unwrap_or_default();
        limits.retain(|other| other.typ() != resource);
        limits.push(defaults::resource_limit(resource, limit));
        process.set_rlimits(Some(limits));
        self
    }

    /// Returns the whole specification, as it would be run by the caller now, for audits.
    ///
    /// The text is the same each time: sets are sorted.
    pub fn to_json(&self) -> Result<serde_json::Value, Error> {
        let mut value = serde_json::to_value(self.for_launcher()?)
            .map_err(|source| Error::SerialiseSpec { source })?;
        if let Some(sets) = value.pointer_mut("/oci/process/capabilities") {
            for set in sets.as_object_mut().into_iter().flatten() {
                if let Some(names) = set.1.as_array_mut() {
                    names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                }
            }
        }
        Ok(value)
    }

    /// Returns the arguments of the program.
    pub fn arguments(&self) -> &[String] {
        let process = self.oci.process().as_ref();
        process
            .and_then(|process| process.args().as_deref())
            .unwrap_or_default()
    }

    /// Checks what the types do not, and fills in the id mapping of the calling process.
    pub(crate) fn for_launcher(&self) -> Result<Self, Error> {
        self.check()?;
        let mut spec = self.clone();
        let linux = spec.oci.linux_mut().get_or_insert_default();
        let (users, groups) = match self.ids {
            IdMapping::Single => (
                vec![defaults::id_mapping(0, nix::unistd::geteuid().as_raw(), 1)],
                vec![defaults::id_mapping(0, nix::unistd::getegid().as_raw(), 1)],
            ),
            IdMapping::Range => {
                let (users, groups) =
                    idrange::own_range().map_err(|refusal| Error::RangeRefused { refusal })?;
                (defaults::identity(&users), defaults::identity(&groups))
            }
        };
        linux.set_uid_mappings(Some(users));
        linux.set_gid_mappings(Some(groups));
        Ok(spec)
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(value) = self.not_utf8.first() {
            return Err(Error::NotUtf8 {
                value: value.clone(),
            });
        }
        if self.arguments().is_empty() {
            return Err(Error::NoProgram);
        }
        for mount in self.oci.mounts().iter().flatten() {
            check_inside(mount.destination())?;
            let kind = mount.typ().as_deref().unwrap_or_default();
            if kind == "sysfs" && self.network == Network::Host {
                return Err(Error::SysfsWithHostNetwork);
            }
            if kind == "bind" {
                check_host(mount.source().as_deref().unwrap_or(Path::new("")))?;
            }
            if kind == "overlay" {
                for option in mount.options().iter().flatten() {
                    if let Some((_, path)) = option.split_once('=') {
                        check_host(Path::new(path))?;
                    }
                }
            }
        }
        let entries = self.entries.iter().map(|entry| &entry.path);
        let rules = self.landlock.iter().map(|rule| &rule.path);
        entries.chain(rules).try_for_each(|path| check_inside(path))
    }

    fn mount<O: Into<String>>(
        mut self,
        kind: &str,
        source: impl AsRef<Path>,
        inside: impl AsRef<Path>,
        options: impl IntoIterator<Item = O>,
    ) -> Self {
        let mut mount = oci::Mount::default();
        mount
            .set_typ(Some(kind.to_owned()))
            .set_source(Some(source.as_ref().to_owned()))
            .set_destination(inside.as_ref().to_owned())
            .set_options(Some(options.into_iter().map(Into::into).collect()));
        self.oci.mounts_mut().get_or_insert_default().push(mount);
        self
    }

    fn entry(mut self, inside: impl AsRef<Path>, kind: EntryKind) -> Self {
        let after_mounts = self.oci.mounts().as_ref().map_or(0, Vec::len);
        self.entries.push(RootEntry {
            path: inside.as_ref().to_owned(),
            after_mounts,
            kind,
        });
        self
    }

    fn allow(mut self, inside: impl AsRef<Path>, access: FileAccess) -> Self {
        self.landlock.push(LandlockRule {
            path: inside.as_ref().to_owned(),
            access,
        });
        self
    }
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

/// Paths inside are walked component by component below the new root, so `..` has no meaning there.
fn check_inside(path: &Path) -> Result<(), Error> {
    use std::path::Component::{Normal, RootDir};
    let plain = path.is_absolute()
        && path
            .components()
            .all(|component| matches!(component, RootDir | Normal(_)));
    if plain {
        Ok(())
    } else {
        Err(Error::InsidePath {
            path: path.to_owned(),
        })
    }
}

/// The launcher's working directory is not the caller's, so a relative path would mean something else there.
fn check_host(path: &Path) -> Result<(), Error> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err(Error::HostPath {
            path: path.to_owned(),
        })
    }
}

fn utf8_or_note(text: &OsStr, not_utf8: &mut Vec<std::ffi::OsString>) -> String {
    if text.to_str().is_none() {
        not_utf8.push(text.to_owned());
    }
    text.to_string_lossy().into_owned()
}
