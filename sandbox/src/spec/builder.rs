//! Putting a [`Spec`] together: each function adds one thing that the program may see or do.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use oci_spec::runtime as oci;

use super::{
    EntryKind, FileAccess, FileContents, IdMapping, LandlockRule, Network, Overlay,
    OwnershipRecording, RootEntry, Spec, StandardInput, Strictness,
};
use crate::defaults;
use crate::ownership::OwnerRecord;
use crate::seccomp::Profile;

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
            strictness: Strictness::Required,
            pretended_landlock_abi: None,
            control_group: None,
            temporary_files: None,
            wall_clock_limit: None,
            suppress_sync: false,
            seccomp_profile: None,
            input: StandardInput::Empty,
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

    /// Shows a directory of the sandbox, with what is mounted below it until then, at a second place.
    ///
    /// What is mounted there is as writable as at the first place, the directory itself is not.
    #[must_use]
    pub fn repeat(self, first: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        self.mount(defaults::REPEAT, first, &inside, ["rbind", "ro"])
            .allow(&inside, FileAccess::ReadExecute)
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

    /// Shows one device node of the host, which the program may open for writing and use the ioctls of.
    ///
    /// The node itself stays as it is: its mode and owner cannot be changed.
    #[must_use]
    pub fn device(self, host: impl AsRef<Path>, inside: impl AsRef<Path>) -> Self {
        // As for the harmless devices, a read-only mount protects the node and not what the device does.
        let options = ["bind", "ro", "nosuid", "noexec"];
        self.mount("bind", host, &inside, options)
            .allow(&inside, FileAccess::Device)
    }

    /// Covers what mounts show at a path, when all mounts are done: a directory is empty then, a file has no bytes.
    ///
    /// What is not there needs no cover. The path must lead through no link.
    #[must_use]
    pub fn mask(mut self, inside: impl AsRef<Path>) -> Self {
        let path = utf8_or_note(inside.as_ref().as_os_str(), &mut self.not_utf8);
        let linux = self.oci.linux_mut().get_or_insert_default();
        linux.masked_paths_mut().get_or_insert_default().push(path);
        self
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
        let linux = self.oci.linux_mut().get_or_insert_default();
        linux.set_namespaces(Some(defaults::namespaces(&network)));
        self.network = network;
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

    /// Chooses what becomes of the program on a kernel that lacks a part of Landlock that a promise needs;
    /// [`Strictness::Required`] without it.
    #[must_use]
    pub fn strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// Uses no more of Landlock than an older kernel has, for tests; 0 is a kernel without it.
    #[must_use]
    pub fn pretend_landlock_abi(mut self, abi: u32) -> Self {
        self.pretended_landlock_abi = Some(abi);
        self
    }

    /// Refuses what `profile` refuses, besides what is refused anyway. It takes the place of an earlier one.
    #[must_use]
    pub fn tighten(mut self, profile: Profile) -> Self {
        self.seccomp_profile = Some(profile);
        self
    }

    /// Chooses what the program reads; nothing without it, and whatever is chosen with [`Spec::spawn`].
    #[must_use]
    pub fn standard_input(mut self, input: StandardInput) -> Self {
        self.input = input;
        self
    }

    /// Makes fsync and its kin succeed without effect.
    #[must_use]
    pub fn suppress_sync(mut self) -> Self {
        self.suppress_sync = true;
        self
    }

    /// Sets the host name that the program sees.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.oci.set_hostname(Some(name.into()));
        self
    }

    /// Chooses the capabilities of the program inside its user namespace, instead of those of a build step.
    #[must_use]
    pub fn capabilities(mut self, capabilities: &[oci::Capability]) -> Self {
        let process = self.oci.process_mut().get_or_insert_default();
        process.set_capabilities(Some(defaults::capabilities(capabilities)));
        self
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

fn utf8_or_note(text: &OsStr, not_utf8: &mut Vec<OsString>) -> String {
    if text.to_str().is_none() {
        not_utf8.push(text.to_owned());
    }
    text.to_string_lossy().into_owned()
}
