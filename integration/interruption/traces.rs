//! What a build may leave behind: processes, mounts, locks, files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

use crate::harness::World;

/// How long everything may take to be gone after a kill.
pub(super) const GONE: Duration = Duration::from_secs(2);
/// Returns the store of builds in `world` that name no other.
pub(super) fn store_of(world: &World) -> PathBuf {
    world.home().join(".cache/overcoat")
}

pub(super) fn assert_nothing_lasts(world: &World) {
    let directory = world.path("");
    wait_until(GONE, "processes are left", || {
        let left = processes_of(&directory);
        left.is_empty().then_some(()).ok_or(left)
    });
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let name = directory.to_str().unwrap();
    assert!(!mounts.lines().any(|line| line.contains(name)), "{mounts}");
    assert_eq!(held_locks(&store_of(world)), Vec::<PathBuf>::new());
}

pub(super) fn assert_nothing_is_staged(world: &World) {
    assert!(!world.path("mkosi.output/.overcoat").exists());
    let staging = store_of(world).join("staging");
    assert_eq!(names(&staging), Vec::<String>::new());
}

/// Tries until it works and returns the result, or fails with the last reason.
pub(super) fn wait_until<T, E: std::fmt::Debug>(
    limit: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(reason) => assert!(started.elapsed() < limit, "{what}: {reason:?}"),
        }
        sleep(Duration::from_millis(2));
    }
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) command: String,
}

/// Returns the processes that are alive.
#[expect(
    clippy::disallowed_methods,
    reason = "processes vanish while they are listed"
)]
pub(super) fn processes() -> Vec<Process> {
    let directory = std::fs::read_dir("/proc").unwrap();
    let process = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may hold anything, so what follows is counted from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        (state != "Z").then(|| Process {
            pid: Pid::from_raw(pid),
            parent: Pid::from_raw(parent),
            command: String::from_utf8_lossy(&command).replace('\0', " "),
        })
    };
    directory.flatten().filter_map(process).collect()
}

/// Returns the processes that work on this world: whose environment or mounts name it, and those that such have started
/// or been started by, which are launchers.
#[expect(
    clippy::disallowed_methods,
    reason = "processes vanish while they are listed"
)]
pub(super) fn processes_of(world: &Path) -> Vec<Process> {
    // Of a mount, the path is shown as its file system sees it, which ends like the one we know.
    let name = world.components().rev().nth(1).unwrap();
    let name = name.as_os_str().to_str().unwrap();
    let all = processes();
    let names_it = |process: &&Process| {
        ["environ", "mountinfo"].iter().any(|file| {
            let read = std::fs::read(format!("/proc/{}/{file}", process.pid));
            String::from_utf8_lossy(&read.unwrap_or_default()).contains(name)
        })
    };
    let mut found: BTreeSet<Pid> = all.iter().filter(names_it).map(|one| one.pid).collect();
    for process in &all {
        let launcher = process.command.starts_with("overcoat-sandbox-launcher");
        let related = all.iter().any(|other| {
            found.contains(&other.pid)
                && (other.pid == process.parent || other.parent == process.pid)
        });
        if launcher && related {
            found.insert(process.pid);
        }
    }
    all.into_iter()
        .filter(|process| found.contains(&process.pid))
        .collect()
}

/// Returns the locks of the store that somebody holds.
pub(super) fn held_locks(store: &Path) -> Vec<PathBuf> {
    let archives = store.join("packages/debian~bookworm~x86-64/archives/overcoat.lock");
    let locks = names(&store.join("locks"));
    let locks = locks.iter().map(|name| store.join("locks").join(name));
    let held = |path: &PathBuf| {
        let file = File::options().write(true).open(path).unwrap();
        Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
    };
    locks
        .chain(archives.exists().then_some(archives))
        .filter(held)
        .collect()
}

/// What is in a directory that a build must not change: each path's inode, mode, size and time.
pub(super) type Files = BTreeMap<PathBuf, (u64, u32, u64, i64)>;

pub(super) fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for name in names(&directory) {
            let path = directory.join(name);
            if path.ends_with(".overcoat") {
                continue;
            }
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                waiting.push(path.clone());
            }
            let facts = (
                metadata.ino(),
                metadata.mode(),
                metadata.size(),
                metadata.mtime_nsec(),
            );
            found.insert(path, facts);
        }
    }
    found
}

pub(super) fn sizes(files: &Files) -> Vec<(&Path, u64)> {
    let sizes = files
        .iter()
        .map(|(path, (_, _, size, _))| (path.as_path(), *size));
    sizes.collect()
}

/// Returns the sorted names in a directory, none if it does not exist.
pub(super) fn names(directory: &Path) -> Vec<String> {
    if !directory.exists() {
        return Vec::new();
    }
    let entries = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
