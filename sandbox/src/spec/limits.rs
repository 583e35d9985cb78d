//! The limits of a [`Spec`], in the words that OCI has for them.

use std::path::Path;
use std::time::Duration;

use oci_spec::runtime as oci;

use super::Spec;
use crate::defaults;
use crate::limits::processes::SLACK;
use crate::limits::{EnforcedLimit, Limit, LimitMechanism, Limits, Mechanisms, TmpfsLimits};

impl Spec {
    /// Sets all limits; what has none is without bound, but for what the caller's own resource limits give.
    #[must_use]
    pub fn limits(mut self, limits: &Limits) -> Self {
        let linux = self.oci.linux_mut().get_or_insert_default();
        linux.set_resources(resources(limits));
        self.temporary_files = limits.memory_bytes.map(TmpfsLimits::of_memory);
        self.wall_clock_limit = limits.wall_clock;
        // The kernel counts the user's processes in this sandbox, but none of the host's root: for that one, see
        // `limits::processes`.
        let processes = limits.processes.map(|most| most.saturating_add(SLACK));
        self.set_resource_limit(oci::PosixRlimitType::RlimitNproc, processes);
        self.set_resource_limit(oci::PosixRlimitType::RlimitNofile, limits.open_files);
        self.set_resource_limit(oci::PosixRlimitType::RlimitFsize, limits.file_size_bytes);
        self
    }

    /// Gives the sandbox a control group below this one of the host, which then holds it to its limits as far as it can.
    /// Where that fails, limits are held as without it.
    ///
    /// [`delegated_control_group`](crate::delegated_control_group) finds one.
    #[must_use]
    pub fn control_group(mut self, parent: impl AsRef<Path>) -> Self {
        self.control_group = Some(parent.as_ref().to_owned());
        self
    }

    /// Kills the program and all its children after this time.
    #[must_use]
    pub fn wall_clock_limit(mut self, limit: Duration) -> Self {
        self.wall_clock_limit = Some(limit);
        self
    }

    /// Sets the soft and hard limit of a resource. A limit above the caller's own hard limit is cut to that.
    #[must_use]
    pub fn resource_limit(mut self, resource: oci::PosixRlimitType, limit: u64) -> Self {
        self.set_resource_limit(resource, Some(limit));
        self
    }

    /// Returns the directories and files of the host that the program can write to.
    pub fn writable_places(&self) -> Vec<&Path> {
        let mut places = Vec::new();
        for mount in self.oci.mounts().iter().flatten() {
            let options = mount.options().as_deref().unwrap_or_default();
            let named = |key: &str| {
                let mut values = options.iter().filter_map(|option| option.split_once('='));
                values
                    .find(|(name, _)| *name == key)
                    .map(|(_, path)| Path::new(path))
            };
            match mount.typ().as_deref() {
                Some("bind") if !options.iter().any(|option| option == "ro") => {
                    places.extend(mount.source().as_deref());
                }
                Some("overlay") => {
                    places.extend([named("upperdir"), named("workdir")].into_iter().flatten())
                }
                _ => {}
            }
        }
        places
    }

    /// Returns what was set by [`Spec::limits`] and its kin.
    pub fn own_limits(&self) -> Limits {
        let process = self.oci.process().as_ref();
        let rows = process.and_then(|process| process.rlimits().as_ref());
        let resource = |kind| {
            let row = rows.into_iter().flatten().find(|row| row.typ() == kind);
            row.map(oci::PosixRlimit::soft)
        };
        Limits {
            processes: self.process_limit(),
            memory_bytes: self.memory_limit(),
            open_files: resource(oci::PosixRlimitType::RlimitNofile),
            file_size_bytes: resource(oci::PosixRlimitType::RlimitFsize),
            wall_clock: self.wall_clock_limit,
        }
    }

    /// Returns how many processes and threads the program may have at the same time.
    pub(crate) fn process_limit(&self) -> Option<u64> {
        let resources = self.oci.linux().as_ref()?.resources().as_ref()?;
        bound(resources.pids().as_ref()?.limit())
    }

    /// Returns how much memory all processes and the temporary file systems may have.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        let resources = self.oci.linux().as_ref()?.resources().as_ref()?;
        bound(resources.memory().as_ref()?.limit()?)
    }

    /// Returns what holds the program to which limit; `mechanisms` depend on the host.
    pub(crate) fn enforced_limits(&self, mechanisms: Mechanisms) -> Vec<EnforcedLimit> {
        let has = |resource| {
            let process = self.oci.process().as_ref();
            let mut limits = process
                .and_then(|process| process.rlimits().as_ref())
                .into_iter()
                .flatten();
            limits.any(|limit| limit.typ() == resource)
        };
        let rows = [
            (
                Limit::Processes,
                mechanisms.processes,
                self.process_limit().is_some(),
            ),
            (
                Limit::Memory,
                mechanisms.memory,
                self.memory_limit().is_some(),
            ),
            (
                Limit::TemporaryFiles,
                LimitMechanism::FileSystem,
                self.temporary_files.is_some(),
            ),
            (
                Limit::OpenFiles,
                LimitMechanism::ResourceLimit,
                has(oci::PosixRlimitType::RlimitNofile),
            ),
            (
                Limit::FileSize,
                LimitMechanism::ResourceLimit,
                has(oci::PosixRlimitType::RlimitFsize),
            ),
            (
                Limit::WallClock,
                LimitMechanism::Watch,
                self.wall_clock_limit.is_some(),
            ),
        ];
        let set = rows.into_iter().filter(|(.., set)| *set);
        set.map(|(limit, by, _)| EnforcedLimit { limit, by })
            .collect()
    }

    fn set_resource_limit(&mut self, resource: oci::PosixRlimitType, limit: Option<u64>) {
        let process = self.oci.process_mut().get_or_insert_default();
        let mut limits = process.rlimits().clone().unwrap_or_default();
        limits.retain(|other| other.typ() != resource);
        limits.extend(limit.map(|limit| defaults::resource_limit(resource, limit)));
        process.set_rlimits(Some(limits));
    }
}

/// OCI has signed numbers, of which those that are not positive mean no bound.
fn bound(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

fn resources(limits: &Limits) -> Option<oci::LinuxResources> {
    if limits.processes.is_none() && limits.memory_bytes.is_none() {
        return None;
    }
    let signed = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
    let mut resources = oci::LinuxResources::default();
    // The default of the type lists devices, which no control group is asked to forbid here.
    resources
        .set_devices(None)
        .set_pids(limits.processes.map(|most| {
            let mut pids = oci::LinuxPids::default();
            pids.set_limit(signed(most));
            pids
        }))
        .set_memory(limits.memory_bytes.map(|most| {
            let mut memory = oci::LinuxMemory::default();
            memory.set_limit(Some(signed(most)));
            memory
        }));
    Some(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MECHANISMS: Mechanisms = Mechanisms {
        processes: LimitMechanism::PidNamespace,
        memory: LimitMechanism::Watch,
    };

    #[test]
    fn limits_are_found_again_in_the_words_of_oci() {
        let limits = Limits {
            processes: Some(10),
            memory_bytes: Some(1 << 30),
            open_files: Some(20),
            file_size_bytes: None,
            wall_clock: Some(Duration::from_secs(5)),
        };
        let spec = Spec::new(["/bin/true"]).limits(&limits);
        assert_eq!(spec.process_limit(), Some(10));
        assert_eq!(spec.memory_limit(), Some(1 << 30));
        assert_eq!(spec.own_limits(), limits);
        let json = serde_json::to_value(&spec).unwrap();
        for (pointer, expected) in [
            ("/oci/linux/resources/pids/limit", "10"),
            ("/oci/linux/resources/memory/limit", "1073741824"),
            ("/oci/linux/resources/devices", "null"),
            ("/temporary_files/size_bytes", "536870912"),
            ("/wall_clock_limit/secs", "5"),
        ] {
            let found = json
                .pointer(pointer)
                .map_or("null".to_owned(), ToString::to_string);
            assert_eq!(found, expected, "{pointer}");
        }
        let by = |limit| {
            let rows = spec.enforced_limits(MECHANISMS);
            rows.iter().find(|row| row.limit == limit).map(|row| row.by)
        };
        assert_eq!(by(Limit::Processes), Some(LimitMechanism::PidNamespace));
        assert_eq!(by(Limit::OpenFiles), Some(LimitMechanism::ResourceLimit));
        assert_eq!(by(Limit::FileSize), None);
    }

    #[test]
    fn writable_places_are_those_that_a_program_can_fill() {
        let overlay = crate::Overlay {
            lowers: vec!["/lower".into()],
            upper: Some("/upper".into()),
            work: Some("/work".into()),
        };
        let spec = Spec::new(["/bin/true"])
            .bind_read_only("/usr", "/usr")
            .devices("/dev")
            .bind("/srv", "/srv")
            .overlay("/tree", &overlay)
            .tmpfs("/tmp", 0o1777);
        let expected = ["/srv", "/upper", "/work"].map(Path::new);
        assert_eq!(spec.writable_places(), expected);
    }

    #[test]
    fn no_limits_are_no_resources() {
        let spec = Spec::new(["/bin/true"]).limits(&Limits::default());
        assert_eq!((spec.process_limit(), spec.memory_limit()), (None, None));
        assert_eq!(spec.enforced_limits(MECHANISMS), []);
    }
}
