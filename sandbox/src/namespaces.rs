//! Which namespaces (namespaces(7)) each process of the launcher is cloned into.

use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxNamespaceType as Type;

use crate::spec::Spec;

/// Returns the namespaces of the first process: all, but for the pid namespace where that process is the supervisor, which
/// stays outside, invisible to the program.
pub(crate) fn of_first(spec: &Spec) -> CloneFlags {
    match spec.is_supervised() {
        true => of_all(spec) - CloneFlags::CLONE_NEWPID,
        false => of_all(spec),
    }
}

/// Returns the namespaces that begin with the init process of a supervisor.
pub(crate) fn of_supervised_init(spec: &Spec) -> CloneFlags {
    of_all(spec) & CloneFlags::CLONE_NEWPID
}

fn of_all(spec: &Spec) -> CloneFlags {
    let linux = spec.oci.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref());
    let flags = namespaces
        .unwrap_or_default()
        .iter()
        .map(|namespace| match namespace.typ() {
            Type::Mount => CloneFlags::CLONE_NEWNS,
            Type::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            Type::Uts => CloneFlags::CLONE_NEWUTS,
            Type::Ipc => CloneFlags::CLONE_NEWIPC,
            Type::User => CloneFlags::CLONE_NEWUSER,
            Type::Pid => CloneFlags::CLONE_NEWPID,
            Type::Network => CloneFlags::CLONE_NEWNET,
            // Linux has a time namespace; a build step has no use for it.
            Type::Time => CloneFlags::empty(),
        })
        .collect::<CloneFlags>();
    // Without these there is no sandbox, whatever the specification says.
    flags | CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID
}
