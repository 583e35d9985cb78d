//! The fixed part of a build step's policy, as tables: namespaces, capabilities, limits, devices, hidden files.

use oci_spec::runtime as oci;

use crate::idrange::Extent;
use crate::limits::OPEN_FILES;
use crate::spec::Network;

/// What package managers and their scripts need as root of one mapped id. Nothing here reaches outside the user
/// namespace. Not SYS_ADMIN (mounts), SYS_PTRACE, MKNOD or NET_ADMIN.
const CAPABILITIES: &[oci::Capability] = &[
    // Owners and modes of the tree that is built.
    oci::Capability::Chown,
    oci::Capability::DacOverride,
    oci::Capability::DacReadSearch,
    oci::Capability::Fowner,
    oci::Capability::Fsetid,
    oci::Capability::Setfcap,
    // Maintainer scripts start and stop services and change to system users.
    oci::Capability::Kill,
    oci::Capability::Setgid,
    oci::Capability::Setuid,
    oci::Capability::NetBindService,
    // `dpkg --root` and its kin.
    oci::Capability::SysChroot,
];

/// The type of a mount that shows a directory of the sandbox at a second place.
pub(crate) const REPEAT: &str = "repeat";

/// Devices that hold no state of the host.
pub(crate) const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Links that programs expect in `/dev`, with their targets.
pub(crate) const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Files of proc that show the host's memory, keys and devices. The id 0 of a root caller's sandbox is the host's
/// root for file modes, so modes do not protect them.
pub(crate) const MASKED_IN_PROC: &[&str] = &[
    "acpi",
    "asound",
    "iomem",
    "ioports",
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "scsi",
    "sched_debug",
    "slabinfo",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

/// Files of proc through which the host's kernel is configured; a root caller's sandbox could write them
/// (`core_pattern`, `sysrq-trigger`).
pub(crate) const READ_ONLY_IN_PROC: &[&str] = &[
    "bus",
    "driver",
    "dynamic_debug",
    "fs",
    "irq",
    "mtrr",
    "sys",
    "sysrq-trigger",
];

/// Host name of a sandbox that is not given another.
const HOSTNAME: &str = "overcoat";

/// File mode creation mask of the program.
const UMASK: u32 = 0o022;

/// Returns the OCI part of a build step without mounts.
pub(crate) fn build_step(arguments: Vec<String>) -> oci::Spec {
    let mut user = oci::User::default();
    user.set_umask(Some(UMASK));
    let mut process = oci::Process::default();
    process
        .set_terminal(None)
        .set_user(user)
        .set_args(Some(arguments))
        .set_env(Some(Vec::new()))
        .set_capabilities(Some(capabilities(CAPABILITIES)))
        .set_rlimits(Some(vec![
            resource_limit(oci::PosixRlimitType::RlimitCore, 0),
            resource_limit(oci::PosixRlimitType::RlimitNofile, OPEN_FILES),
            // Where the person may use real-time scheduling, a build could stop the machine with it.
            resource_limit(oci::PosixRlimitType::RlimitRtprio, 0),
        ]))
        .set_no_new_privileges(Some(true));
    let mut linux = oci::Linux::default();
    linux
        .set_resources(None)
        .set_masked_paths(None)
        .set_readonly_paths(None)
        .set_namespaces(Some(namespaces(&Network::None)));
    let mut root = oci::Root::default();
    root.set_path("/".into()).set_readonly(Some(true));
    let mut spec = oci::Spec::default();
    spec.set_version("1.2.0".to_owned())
        .set_root(Some(root))
        .set_hostname(Some(HOSTNAME.to_owned()))
        .set_mounts(Some(Vec::new()))
        .set_process(Some(process))
        .set_linux(Some(linux));
    spec
}

/// Returns the namespaces that a program gets of its own.
pub(crate) fn namespaces(network: &Network) -> Vec<oci::LinuxNamespace> {
    use oci::LinuxNamespaceType as Type;
    let mut types = vec![
        Type::User,
        Type::Mount,
        Type::Pid,
        Type::Ipc,
        Type::Uts,
        Type::Cgroup,
    ];
    if *network == Network::None {
        types.push(Type::Network);
    }
    types
        .into_iter()
        .map(|kind| {
            let mut namespace = oci::LinuxNamespace::default();
            namespace.set_typ(kind);
            namespace
        })
        .collect()
}

/// Returns the mapping of `count` ids from `inside` to those from `host`.
pub(crate) fn id_mapping(inside: u32, host: u32, count: u32) -> oci::LinuxIdMapping {
    oci::LinuxIdMappingBuilder::default()
        .host_id(host)
        .container_id(inside)
        .size(count)
        .build()
        .expect("every field has a default")
}

/// Returns the mappings of `extents` to the same numbers outside.
pub(crate) fn identity(extents: &[Extent]) -> Vec<oci::LinuxIdMapping> {
    let line = |&(first, count): &Extent| id_mapping(first, first, count);
    extents.iter().map(line).collect()
}

/// Returns a limit of which soft and hard value are the same.
pub(crate) fn resource_limit(resource: oci::PosixRlimitType, limit: u64) -> oci::PosixRlimit {
    oci::PosixRlimitBuilder::default()
        .typ(resource)
        .soft(limit)
        .hard(limit)
        .build()
        .expect("every field has a default")
}

/// Returns the names of the capabilities that a program gets unless it is given others, such as `CAP_CHOWN`.
pub(crate) fn capability_names() -> Vec<String> {
    let name = |capability: &oci::Capability| format!("CAP_{capability}");
    CAPABILITIES.iter().map(name).collect()
}

/// Returns the sets of a program that keeps `kept`, none of which it hands on by itself.
pub(crate) fn capabilities(kept: &[oci::Capability]) -> oci::LinuxCapabilities {
    let kept: oci::Capabilities = kept.iter().copied().collect();
    let mut sets = oci::LinuxCapabilities::default();
    sets.set_bounding(Some(kept.clone()))
        .set_effective(Some(kept.clone()))
        .set_permitted(Some(kept))
        .set_inheritable(Some(oci::Capabilities::new()))
        .set_ambient(Some(oci::Capabilities::new()));
    sets
}
