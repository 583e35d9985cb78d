//! What a build may leave behind: processes, mounts, locks, files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

use crate::harness::{World, names};

/// How long everything may take to be gone after a kill.
pub(crate) const GONE: Duration = Duration::from_secs(2);
/// Returns the store of builds in `world` that name no other.
pub(crate) fn store_of(world: &World) -> PathBuf {
    world.home().join(".cache/overcoat")
}

pub(crate) fn assert_nothing_lasts(world: &World) {
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

/// Asserts that nobody else reaches a set-id program that a package made, at whatever moment its build ended.
pub(crate) fn assert_is_shut(world: &World) {
    let mut waiting = vec![world.home(), world.path("")];
    while let Some(directory) = waiting.pop() {
        // What shuts out its own owner shuts out everybody.
        let entries = fs_err::read_dir(&directory).into_iter().flatten();
        for entry in entries.flatten() {
            let Ok(metadata) = fs_err::symlink_metadata(entry.path()) else {
                continue;
            };
            let mode = metadata.mode();
            if metadata.is_dir() && mode & 0o011 != 0 {
                waiting.push(entry.path());
            }
            let privileged = metadata.is_file() && mode & 0o6000 != 0;
            assert!(!privileged, "{}: {mode:o}", entry.path().display());
        }
    }
}

pub(crate) fn assert_nothing_is_staged(world: &World) {
    assert!(!world.path("mkosi.output/.overcoat").exists());
    let staging = store_of(world).join("staging");
    assert_eq!(names(&staging), Vec::<String>::new());
}

/// Tries until it works and returns the result, or fails with the last reason.
pub(crate) fn wait_until<T, E: std::fmt::Debug>(
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
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) command: String,
}

/// Returns the processes that are alive.
#[expect(
    clippy::disallowed_methods,
    reason = "processes vanish while they are listed"
)]
pub(crate) fn processes() -> Vec<Process> {
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
pub(crate) fn processes_of(world: &Path) -> Vec<Process> {
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
pub(crate) fn held_locks(store: &Path) -> Vec<PathBuf> {
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
pub(crate) type Files = BTreeMap<PathBuf, (u64, u32, u64, i64)>;

pub(crate) fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = fs_err::read_dir(&directory).into_iter().flatten();
        for path in entries.map(|entry| entry.unwrap().path()) {
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

pub(crate) fn sizes(files: &Files) -> Vec<(&Path, u64)> {
    let sizes = files
        .iter()
        .map(|(path, (_, _, size, _))| (path.as_path(), *size));
    sizes.collect()
}
