//! Watching how much of the disk a build takes while its programs run.
//!
//! Walking trees is slow and asking for free space is not, so trees are walked when the free space has shrunk enough to
//! matter, and now and then in case that others have freed some.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use overcoat_sandbox::{Killer, Spec};

use super::limits::ReachedLimit;
use super::usage::{self, Usage};

/// Every limit of bytes is one of files too: an empty file takes space that file systems do not tell, and memory when
/// the tree is read.
pub(super) const BYTES_PER_FILE: u64 = 16 << 10;

/// How often the free space is asked for.
const PAUSE: Duration = Duration::from_millis(250);
/// How long trees are not walked when the free space gives no reason to.
const WALK_PAUSE: Duration = Duration::from_secs(10);
/// Walking must not take more than this part of the time.
const WALK_SHARE: u32 = 50;
/// What a build leaves free on the disk, if there was more in the beginning.
const RESERVE_BYTES: u64 = 512 << 20;
/// Less is as good as nothing: file systems keep some for themselves.
const FULL_BYTES: u64 = 1 << 20;

/// The disk space of a build.
#[derive(Debug)]
pub(super) struct Disk {
    limit_bytes: Option<u64>,
    /// Where builds work; all that is below is of this build when this build mounts it.
    root: PathBuf,
    reserve_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Layers that this build has finished, with what they have once that is known.
    finished: Vec<(PathBuf, Option<Usage>)>,
    /// What finished programs have added to directories that builds share.
    shared: Usage,
    /// What was used when the trees were walked last, and what was free then.
    used: Usage,
    free: Space,
    free_at_start: Space,
    walked: Instant,
    walk_took: Duration,
}

/// What is free on a file system.
#[derive(Clone, Copy, Debug, Default)]
struct Space {
    bytes: u64,
    files: u64,
    /// Whether the file system has a fixed number of files.
    counts_files: bool,
}

fn space(path: &Path) -> Option<Space> {
    let status = rustix::fs::statvfs(path).ok()?;
    Some(Space {
        bytes: status.f_bavail.saturating_mul(status.f_frsize),
        files: status.f_favail,
        counts_files: status.f_files > 0,
    })
}

/// What a program can write to.
#[derive(Debug)]
pub(super) struct Places<'a> {
    disk: &'a Disk,
    /// With what directories that builds share had before.
    places: Vec<(PathBuf, Usage)>,
}

impl Disk {
    /// Starts counting for a build that works below `root`.
    pub(super) fn new(limit_bytes: Option<u64>, root: PathBuf) -> Self {
        let free = space(&root).unwrap_or_default();
        Self {
            limit_bytes,
            root,
            reserve_bytes: RESERVE_BYTES.min(free.bytes / 4),
            state: Mutex::new(State {
                finished: Vec::new(),
                shared: Usage::default(),
                used: Usage::default(),
                free,
                free_at_start: free,
                walked: Instant::now(),
                walk_took: Duration::ZERO,
            }),
        }
    }

    /// Counts the finished layer at `tree`, which nothing changes any more.
    pub(super) fn keep(&self, tree: &Path) {
        self.lock().finished.push((tree.into(), None));
    }

    /// Returns what the program of `spec`, which is about to start, can fill.
    pub(super) fn places(&self, spec: &Spec) -> Places<'_> {
        let before = |path: &Path| match path.starts_with(&self.root) {
            true => Usage::default(),
            false => usage::of(path, u64::MAX).unwrap_or_default(),
        };
        let places = spec.writable_places().into_iter();
        Places {
            disk: self,
            places: match self.limit_bytes {
                Some(_) => places.map(|path| (path.to_owned(), before(path))).collect(),
                None => Vec::new(),
            },
        }
    }

    /// Tells whether nothing more can be written, for a program that failed.
    pub(super) fn full(&self) -> Option<ReachedLimit> {
        let free = space(&self.root)?;
        let full = free.bytes < FULL_BYTES || (free.counts_files && free.files == 0);
        full.then(|| self.full_with(free))
    }

    fn full_with(&self, free: Space) -> ReachedLimit {
        ReachedLimit::DiskFull {
            path: self.root.clone(),
            free_bytes: free.bytes,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is valid after every statement, so a panic elsewhere does not make it unusable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places<'_> {
    /// Looks until `done` is closed, and kills the program when it takes too much, which is returned.
    pub(super) fn watch(&self, done: &Receiver<()>, killer: &Killer) -> Option<ReachedLimit> {
        let limit_bytes = self.disk.limit_bytes?;
        if self.places.is_empty() {
            return None;
        }
        while done.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            let reached = self.look(limit_bytes);
            if reached.is_some() {
                killer.kill();
                return reached;
            }
        }
        None
    }

    /// Counts what the program has added to directories that builds share, when it has ended.
    pub(super) fn finish(&self) {
        let shared = self
            .places
            .iter()
            .filter(|(path, _)| !path.starts_with(&self.disk.root))
            .map(|place| growth(place, u64::MAX))
            .fold(Usage::default(), Usage::plus);
        let mut state = self.disk.lock();
        state.shared = state.shared.plus(shared);
    }

    fn look(&self, limit_bytes: u64) -> Option<ReachedLimit> {
        let free = space(&self.disk.root)?;
        let mut state = self.disk.lock();
        let most_files = limit_bytes / BYTES_PER_FILE;
        let scarce = free.bytes < self.disk.reserve_bytes;
        if scarce || state.is_due(free, limit_bytes) {
            state.walk(&self.places, free, most_files);
        }
        let used = state.used;
        if used.bytes > limit_bytes {
            return Some(ReachedLimit::Disk {
                used_bytes: used.bytes,
                limit_bytes,
            });
        }
        if used.files > most_files {
            return Some(ReachedLimit::Files { limit: most_files });
        }
        // When others fill the disk, it is not for this build to make room.
        (scarce && used.bytes > self.disk.reserve_bytes).then(|| self.disk.full_with(free))
    }
}

impl State {
    /// Tells whether half of what was left at the last walk may be used by now.
    fn is_due(&self, free: Space, limit_bytes: u64) -> bool {
        let taken = |before: u64, now: u64| before.saturating_sub(now).saturating_mul(2);
        let left_bytes = limit_bytes.saturating_sub(self.used.bytes);
        let left_files = (limit_bytes / BYTES_PER_FILE).saturating_sub(self.used.files);
        let pause = WALK_PAUSE.max(self.walk_took * WALK_SHARE);
        taken(self.free.bytes, free.bytes) >= left_bytes
            || taken(self.free.files, free.files) >= left_files && free.counts_files
            || self.walked.elapsed() >= pause
    }

    fn walk(&mut self, places: &[(PathBuf, Usage)], free: Space, most_files: u64) {
        let started = Instant::now();
        let mut used = self.shared;
        for (path, known) in &mut self.finished {
            let usage = match known {
                Some(usage) => *usage,
                None => usage::of(path, most_files).unwrap_or_default(),
            };
            *known = Some(usage);
            used = used.plus(usage);
        }
        let growths = places.iter().map(|place| growth(place, most_files));
        used = growths.fold(used, Usage::plus);
        if used.disturbed {
            // Who keeps the walker from seeing all is taken for the only one who writes to the disk.
            let taken = self.free_at_start.bytes.saturating_sub(free.bytes);
            used.bytes = used.bytes.max(taken);
        }
        self.used = used;
        self.free = free;
        self.walked = Instant::now();
        self.walk_took = started.elapsed();
    }
}

fn growth((path, before): &(PathBuf, Usage), most_files: u64) -> Usage {
    let most_files = most_files.saturating_add(before.files);
    usage::of(path, most_files)
        .unwrap_or_default()
        .minus(*before)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn filled(directory: &Path, bytes: usize) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("file"), vec![1; bytes]).unwrap();
        directory.to_owned()
    }

    fn looked(disk: &Disk, spec: &Spec, fill: impl FnOnce()) -> Option<ReachedLimit> {
        let places = disk.places(spec);
        fill();
        disk.lock().free = Space {
            bytes: u64::MAX,
            ..Space::default()
        };
        places.look(disk.limit_bytes.unwrap())
    }

    #[test]
    fn finished_layers_and_what_a_program_writes_count_together() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("staging");
        let tree = root.join("1/tree");
        let layer = filled(&directory.path().join("layer"), 600 << 10);
        fs::create_dir_all(&tree).unwrap();
        let disk = Disk::new(Some(1 << 20), root);
        let spec = Spec::new(["/bin/true"]).bind(&tree, "/tree");
        assert_eq!(
            looked(&disk, &spec, || drop(filled(&tree, 600 << 10))),
            None
        );
        disk.keep(&layer);
        match looked(&disk, &spec, || ()) {
            Some(ReachedLimit::Disk {
                used_bytes,
                limit_bytes: 1_048_576,
            }) => assert!(
                (1200 << 10..1300 << 10).contains(&used_bytes),
                "{used_bytes}"
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_in_a_shared_directory_before_is_not_of_this_build() {
        let directory = tempfile::tempdir().unwrap();
        let shared = filled(&directory.path().join("packages"), 2 << 20);
        let root = directory.path().join("staging");
        fs::create_dir(&root).unwrap();
        let disk = Disk::new(Some(1 << 20), root);
        let spec = Spec::new(["/bin/true"]).bind(&shared, "/packages");
        let places = disk.places(&spec);
        fs::write(shared.join("new"), vec![1; 600 << 10]).unwrap();
        assert_eq!(looked(&disk, &spec, || ()), None);
        places.finish();
        let added = disk.lock().shared.bytes;
        assert!((600 << 10..700 << 10).contains(&added), "{added}");
    }

    #[test]
    fn empty_files_have_a_limit_too() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("staging/tree");
        fs::create_dir_all(&tree).unwrap();
        let disk = Disk::new(Some(1 << 20), directory.path().join("staging"));
        let spec = Spec::new(["/bin/true"]).bind(&tree, "/tree");
        let make = || {
            for number in 0..70 {
                fs::write(tree.join(number.to_string()), "").unwrap();
            }
        };
        let found = looked(&disk, &spec, make);
        assert_eq!(found, Some(ReachedLimit::Files { limit: 64 }));
    }

    #[test]
    fn trees_are_walked_when_free_space_shrinks() {
        let disk = Disk::new(Some(1 << 30), std::env::temp_dir());
        let mut state = disk.lock();
        state.free = Space {
            bytes: 10 << 30,
            files: 1_000_000,
            counts_files: true,
        };
        let free = |bytes, files| Space {
            bytes,
            files,
            counts_files: true,
        };
        assert!(!state.is_due(free(10 << 30, 1_000_000), 1 << 30));
        assert!(!state.is_due(free((10 << 30) - (511 << 20), 1_000_000), 1 << 30));
        assert!(state.is_due(free((10 << 30) - (512 << 20), 1_000_000), 1 << 30));
        assert!(state.is_due(free(10 << 30, 1_000_000 - 32_768), 1 << 30));
        state.walked = Instant::now().checked_sub(WALK_PAUSE).unwrap();
        assert!(state.is_due(free(10 << 30, 1_000_000), 1 << 30));
    }
}
