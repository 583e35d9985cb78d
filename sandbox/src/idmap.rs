//! Writing the id mappings of a user namespace (user_namespaces(7)): one id, or a range that the caller has.

use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getegid, geteuid, write};
use oci_spec::runtime::{Linux, LinuxIdMapping};

use crate::error::Error;
use crate::report::{At, Failure, Step};
use crate::spec::IdMapping;

/// Writes the mappings of the new user namespace of `process`.
///
/// With one id, changing supplementary groups is forbidden for root as well: without that a process could drop a group
/// that a file's mode excludes, and the kernel refuses an ordinary user's mapping. With a range it stays possible, as
/// the owner of the host has it with the subordinate groups.
pub(crate) fn write_mappings(process: Pid, linux: &Linux, ids: IdMapping) -> Result<(), Failure> {
    let directory = format!("/proc/{process}");
    let users = lines(linux.uid_mappings().as_deref().unwrap_or_default());
    let groups = lines(linux.gid_mappings().as_deref().unwrap_or_default());
    if ids == IdMapping::Single {
        deny_groups(&directory)?;
    }
    write_maps(&directory, &users, &groups)
}

/// Moves the calling process into a user namespace in which it is id 0, with all capabilities over its own files.
///
/// So an ordinary user can read and remove files that steps left with odd modes, such as the `work` directories of
/// overlays. It must be called before the process has threads.
pub fn enter_user_namespace() -> Result<(), Error> {
    let user = geteuid().as_raw();
    let group = getegid().as_raw();
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => {}
        // unshare(2): CLONE_NEWUSER implies CLONE_THREAD, which more than one thread makes invalid.
        Err(nix::errno::Errno::EINVAL) => return Err(Error::Threaded),
        Err(errno) => return Err(Failure::of(Step::CloneNamespaces, errno).into()),
    }
    deny_groups("/proc/self")?;
    write_maps(
        "/proc/self",
        &format!("0 {user} 1\n"),
        &format!("0 {group} 1\n"),
    )?;
    Ok(())
}

fn deny_groups(directory: &str) -> Result<(), Failure> {
    write_file(&format!("{directory}/setgroups"), "deny")
}

fn write_maps(directory: &str, users: &str, groups: &str) -> Result<(), Failure> {
    write_file(&format!("{directory}/uid_map"), users)?;
    write_file(&format!("{directory}/gid_map"), groups)
}

fn write_file(path: &str, text: &str) -> Result<(), Failure> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = open(Path::new(path), flags, Mode::empty()).at(Step::MapIds, path)?;
    // The kernel takes a mapping in one write.
    write(file, text.as_bytes()).at(Step::MapIds, path)?;
    Ok(())
}

fn lines(mappings: &[LinuxIdMapping]) -> String {
    mappings
        .iter()
        .map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size()))
        .collect()
}
