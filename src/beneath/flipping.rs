//! Two names that another thread exchanges all the time, for tests.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// How long an attack goes on: thousands of exchanges.
const DURATION: Duration = Duration::from_millis(400);

pub(crate) struct Flipping;

impl Flipping {
    /// Calls `attacked` again and again while `first` and `second` change places.
    pub(crate) fn run(first: &Path, second: &Path, mut attacked: impl FnMut(usize)) {
        Self::run_once(first, second, || {
            let started = Instant::now();
            let mut round = 0;
            while started.elapsed() < DURATION {
                attacked(round);
                round += 1;
            }
        });
    }

    /// Calls `attacked` while `first` and `second` change places.
    pub(crate) fn run_once(first: &Path, second: &Path, attacked: impl FnOnce()) {
        /// Ends the other thread also when the attacked one panics.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop = Stop(&stopped);
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    // What is attacked may have removed one of them.
                    let _ = renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE);
                }
            });
            attacked();
        });
    }
}
