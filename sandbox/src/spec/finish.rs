//! A [`Spec`] as it is run: checked, with the ids of the caller filled in.

use std::path::Path;

use super::{IdMapping, Network, OwnershipRecording, Spec};
use crate::defaults;
use crate::error::Error;
use crate::idrange;
use crate::seccomp;

impl Spec {
    /// Returns the whole specification, as it would be run by the caller now, for audits.
    ///
    /// `oci` is a configuration in the words of OCI, the table of system calls included; the rest is what OCI lacks, with
    /// the reasons for the table's rows. The text is the same each time: sets are sorted.
    pub fn to_json(&self) -> Result<serde_json::Value, Error> {
        let mut spec = self.for_launcher()?;
        let policy = seccomp::Policy::of(&spec);
        let linux = spec.oci.linux_mut().get_or_insert_default();
        linux.set_seccomp(Some(seccomp::oci_form(&policy)));
        let mut value =
            serde_json::to_value(spec).map_err(|source| Error::SerialiseSpec { source })?;
        value["seccomp"] = seccomp::rows_with_reasons(&policy);
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

    /// Tells whether somebody outside answers calls of the program.
    pub(crate) fn is_supervised(&self) -> bool {
        let is_scoped = matches!(self.network, Network::Scoped(_));
        is_scoped || self.ownership != OwnershipRecording::Off
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
        // A filter has one listener, and what answers there does one or the other.
        let is_scoped = matches!(self.network, Network::Scoped(_));
        if is_scoped && self.ownership != OwnershipRecording::Off {
            return Err(Error::RecordingWithScopedNetwork);
        }
        for mount in self.oci.mounts().iter().flatten() {
            check_inside(mount.destination())?;
            let kind = mount.typ().as_deref().unwrap_or_default();
            if kind == "sysfs" && self.network != Network::None {
                return Err(Error::SysfsWithHostNetwork);
            }
            if kind == "bind" {
                check_host(mount.source().as_deref().unwrap_or(Path::new("")))?;
            }
            if kind == defaults::REPEAT {
                check_inside(mount.source().as_deref().unwrap_or(Path::new("")))?;
            }
            if kind == "overlay" {
                for option in mount.options().iter().flatten() {
                    if let Some((_, path)) = option.split_once('=') {
                        check_host(Path::new(path))?;
                    }
                }
            }
        }
        let linux = self.oci.linux().as_ref();
        let masked = linux.and_then(|linux| linux.masked_paths().as_ref());
        for path in masked.into_iter().flatten() {
            check_inside(Path::new(path))?;
        }
        let entries = self.entries.iter().map(|entry| &entry.path);
        let rules = self.landlock.iter().map(|rule| &rule.path);
        entries.chain(rules).try_for_each(|path| check_inside(path))
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
