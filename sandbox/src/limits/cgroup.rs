//! Control groups (cgroup v2), where one is delegated to the caller.
//!
//! A sandbox gets a group of its own beside that of its caller: the kernel enables controllers only for groups below one
//! that has no processes itself. So the caller, if it is alone in a group that was delegated to it, moves into a group
//! below. Nothing is touched that a service manager keeps for itself; see systemd's document on control group
//! delegation, <https://systemd.io/CGROUP_DELEGATION>.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid, mkdir};

use super::processes::SLACK;
use crate::spec::Spec;
use crate::sys::xattr;

/// The controllers that are of use here.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// The group into which the caller moves.
const CALLER: &str = "overcoat";
/// What the names of sandboxes' groups begin with; the id of the launcher follows.
const SANDBOX: &str = "overcoat-";

/// Returns the directory of a control group below which sandboxes can get theirs, for
/// [`Spec::control_group`](crate::Spec::control_group); `None` where no group is delegated to this process.
///
/// It may move this process into a group below its own, and removes groups that killed launchers left behind.
pub fn delegated_control_group() -> Option<PathBuf> {
    let own = own_group(
        &read(Path::new("/proc/self/mountinfo")).ok()?,
        &read(Path::new("/proc/self/cgroup")).ok()?,
    )?;
    let parent = if own.directory.file_name()? == CALLER {
        own.directory.parent()?.to_owned()
    } else if own.is_top || is_delegated(&own.directory) {
        own.directory
    } else {
        return None;
    };
    remove_left_behind(&parent);
    prepare(&parent)?;
    Some(parent)
}

/// The control group of this process.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct OwnGroup {
    pub(crate) directory: PathBuf,
    /// Whether there is none above it, as in a container.
    is_top: bool,
}

/// Finds the group in `/proc/self/mountinfo` (proc_pid_mountinfo(5)) and `/proc/self/cgroup` (cgroups(7)).
pub(crate) fn own_group(mounts: &str, groups: &str) -> Option<OwnGroup> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // What is mounted may be a part that does not have this process; names with escapes are not worth it.
        let below = Path::new(path).strip_prefix(root).ok()?;
        let is_plain = !point.contains('\\') && is_name(below);
        (after.starts_with("cgroup2 ") && is_plain).then_some(())?;
        Some(Path::new(point).join(below))
    })?;
    Some(OwnGroup {
        directory: mount,
        is_top: path == "/",
    })
}

/// Tells whether a path leads downwards only.
fn is_name(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}

/// Tells whether systemd marked the group as one that its processes may divide.
fn is_delegated(directory: &Path) -> bool {
    let Ok(directory) = CString::new(directory.as_os_str().as_bytes()) else {
        return false;
    };
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0; 2];
        let length = xattr::get(xattr::At::Path(&directory), name, &mut value);
        length == Ok(1) && value[0] == b'1'
    })
}

/// Makes the controllers available to groups below `parent`; `None` when none of them is.
fn prepare(parent: &Path) -> Option<()> {
    let listed = |name: &str| {
        let text = read(&parent.join(name)).unwrap_or_default();
        let words = text.split_ascii_whitespace();
        let known = words.filter_map(|word| CONTROLLERS.into_iter().find(|name| *name == word));
        known.collect::<Vec<_>>()
    };
    let available = listed("cgroup.controllers");
    let enabled = listed("cgroup.subtree_control");
    let missing: Vec<String> = available
        .iter()
        .filter(|name| !enabled.contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    if available.is_empty() {
        return None;
    }
    if missing.is_empty() {
        return Some(());
    }
    let control = parent.join("cgroup.subtree_control");
    let enable = || put(&control, &missing.join(" "));
    match enable() {
        Ok(()) => Some(()),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            let below = parent.join(CALLER);
            match mkdir(&below, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(_) => return None,
            }
            // "0" is the process that writes.
            let enabled = put(&below.join("cgroup.procs"), "0").and_then(|()| enable());
            if enabled.is_err() {
                // Somebody else is in the group too, who was not asked.
                let _ = put(&parent.join("cgroup.procs"), "0");
                let _ = remove(&below);
            }
            enabled.ok()
        }
        Err(_) => None,
    }
}

fn remove_left_behind(parent: &Path) {
    for entry in nix::dir::Dir::open(
        parent,
        nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .into_iter()
    .flat_map(nix::dir::Dir::into_iter)
    .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let launcher = name.strip_prefix(SANDBOX).and_then(|pid| pid.parse().ok());
        let is_gone = |pid| nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
        if launcher.is_some_and(is_gone) {
            // One that has processes stays.
            let _ = remove(&parent.join(name));
        }
    }
}

/// The control group of a sandbox. It is removed when this is dropped, which is when its processes are gone.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    directory: PathBuf,
    /// Whether it bounds processes.
    pub(crate) holds_processes: bool,
    /// Whether it bounds memory.
    pub(crate) holds_memory: bool,
}

impl ControlGroup {
    /// Makes the group that the specification asks for; `None` where it asks for none or the kernel refuses.
    pub(crate) fn make(spec: &Spec) -> Option<Self> {
        let parent = spec.control_group.as_deref()?;
        let directory = parent.join(format!("{SANDBOX}{}", getpid()));
        let make = || mkdir(&directory, Mode::from_bits_truncate(0o755));
        let made = match make() {
            // A launcher of this id was killed.
            Err(Errno::EEXIST) => remove(&directory).and_then(|()| Ok(make()?)),
            made => made.map_err(io::Error::from),
        };
        made.ok()?;
        let mut group = Self {
            directory,
            holds_processes: false,
            holds_memory: false,
        };
        group.holds_processes = spec
            .process_limit()
            .is_some_and(|most| group.set("pids.max", &(most.saturating_add(SLACK)).to_string()));
        group.holds_memory = spec.memory_limit().is_some_and(|most| {
            // Not all kernels have these two; without them more is used, but never without end.
            group.set("memory.swap.max", "0");
            group.set("memory.oom.group", "1");
            group.set("memory.max", &most.to_string())
        });
        Some(group)
    }

    /// Moves a process, which has no children yet, into the group.
    pub(crate) fn add(&self, process: Pid) -> io::Result<()> {
        put(&self.directory.join("cgroup.procs"), &process.to_string())
    }

    /// Returns how many processes and threads are in it.
    pub(crate) fn processes(&self) -> Option<u64> {
        let text = read(&self.directory.join("pids.current")).ok()?;
        text.trim().parse().ok()
    }

    /// Tells whether the kernel refused a process.
    pub(crate) fn refused_processes(&self) -> bool {
        self.holds_processes && self.events("pids.events", "max") > 0
    }

    /// Tells whether the kernel killed for want of memory.
    pub(crate) fn killed_for_memory(&self) -> bool {
        self.holds_memory && self.events("memory.events", "oom_kill") > 0
    }

    fn events(&self, file: &str, name: &str) -> u64 {
        let text = read(&self.directory.join(file)).unwrap_or_default();
        event(&text, name)
    }

    fn set(&self, file: &str, value: &str) -> bool {
        put(&self.directory.join(file), value).is_ok()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Nobody is left; a process that was just waited for may be counted for a moment.
        for _ in 0..20 {
            match remove(&self.directory) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    let _ = put(&self.directory.join("cgroup.kill"), "1");
                    sleep(Duration::from_millis(5));
                }
                _ => return,
            }
        }
    }
}

pub(crate) fn event(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(event, _)| *event == name);
    found.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    OpenOptions::new()
        .read(true)
        .open(path)?
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Writes to a file of the kernel's, which takes all at once and makes none.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn remove(directory: &Path) -> io::Result<()> {
    nix::unistd::unlinkat(
        nix::fcntl::AT_FDCWD,
        directory,
        nix::unistd::UnlinkatFlags::RemoveDir,
    )
    .map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 0:20 / /proc rw - proc proc rw\n\
                          30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

    fn found(mounts: &str, groups: &str) -> Option<(String, bool)> {
        let own = own_group(mounts, groups)?;
        Some((own.directory.to_str().unwrap().to_owned(), own.is_top))
    }

    #[test]
    fn the_own_group_is_found() {
        let hybrid = MOUNTS.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ");
        let bound = MOUNTS.replace(" / /sys/fs/cgroup ", " /user.slice /sys/fs/cgroup ");
        for (mounts, groups, expected) in [
            (MOUNTS, "0::/\n", Some(("/sys/fs/cgroup/", true))),
            (
                MOUNTS,
                "0::/user.slice/a.scope\n",
                Some(("/sys/fs/cgroup/user.slice/a.scope", false)),
            ),
            (
                &hybrid,
                "4:memory:/x\n0::/a\n",
                Some(("/sys/fs/cgroup/unified/a", false)),
            ),
            (
                &bound,
                "0::/user.slice/a.scope\n",
                Some(("/sys/fs/cgroup/a.scope", false)),
            ),
            (&bound, "0::/system.slice\n", None),
            (&bound, "0::/user.slice.d/a.scope\n", None),
            (&bound, "0::/user.slice..\n", None),
            (MOUNTS, "0::/../outside\n", None),
            (MOUNTS, "4:memory:/x\n", None),
            ("", "0::/\n", None),
        ] {
            let expected = expected.map(|(path, is_top)| (path.to_owned(), is_top));
            assert_eq!(found(mounts, groups), expected, "{groups}");
        }
    }

    /// Returns a directory that looks like a control group, with controllers that are `available` and `enabled`.
    fn group(available: &str, enabled: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cgroup.controllers", available),
            ("cgroup.subtree_control", enabled),
        ] {
            let path = directory.path().join(name);
            let mut options = OpenOptions::new();
            let mut file = options.create(true).write(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        directory
    }

    #[test]
    fn controllers_that_are_missing_are_enabled() {
        for (available, enabled, expected, control) in [
            ("cpu memory pids", "", Some(()), "+memory +pids"),
            ("cpu memory pids", "memory", Some(()), "+pidsy"),
            ("memory pids", "pids memory", Some(()), "pids memory"),
            ("cpu", "", None, ""),
        ] {
            let group = group(available, enabled);
            assert_eq!(prepare(group.path()), expected, "{available}");
            // A file, unlike the kernel, keeps what was behind the text that is written.
            let found = read(&group.path().join("cgroup.subtree_control")).unwrap();
            assert_eq!(found, control);
        }
    }

    #[test]
    fn groups_of_dead_launchers_are_removed() {
        let parent = group("", "");
        // Above the largest id that the kernel gives.
        let dead = format!("{SANDBOX}{}", i32::MAX);
        let alive = format!("{SANDBOX}{}", getpid());
        for name in [&dead, &alive, "overcoat-other", "other"] {
            mkdir(&parent.path().join(name), Mode::S_IRWXU).unwrap();
        }
        remove_left_behind(parent.path());
        let exists = |name: &str| parent.path().join(name).exists();
        let found = [&dead, &alive, "overcoat-other", "other"].map(exists);
        assert_eq!(found, [false, true, true, true]);
    }

    #[test]
    fn a_group_that_cannot_be_made_is_none() {
        let spec = Spec::new(["/bin/true"]).control_group("/nowhere");
        assert!(ControlGroup::make(&spec).is_none());
        assert!(ControlGroup::make(&Spec::new(["/bin/true"])).is_none());
    }

    #[test]
    fn a_group_without_controllers_holds_nothing_and_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let limits = crate::Limits::for_this_machine();
        let spec = Spec::new(["/bin/true"])
            .limits(&limits)
            .control_group(parent.path());
        let group = ControlGroup::make(&spec).unwrap();
        assert!(!group.holds_processes && !group.holds_memory);
        drop(group);
        assert_eq!(parent.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn events_are_counted() {
        let text = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n";
        assert_eq!(event(text, "oom_kill"), 3);
        assert_eq!(event(text, "max"), 12);
        assert_eq!(event(text, "none"), 0);
    }
}
