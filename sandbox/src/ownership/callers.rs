//! Which threads called last: opening the handles of one costs more than most answers.

use super::tracee::Tracee;

/// As many as programs that a build runs at once. Each holds two descriptors, and is found by looking at all.
const CALLER_LIMIT: usize = 16;

/// The threads that called last, of which one is often the next.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// The latest comes last.
    threads: Vec<Tracee>,
}

impl Callers {
    pub(super) fn take(&mut self, thread: i32) -> Option<Tracee> {
        let found = |tracee: &Tracee| tracee.thread() == thread;
        let index = self.threads.iter().rposition(found)?;
        Some(self.threads.remove(index))
    }

    pub(super) fn keep(&mut self, tracee: Tracee) {
        if self.threads.len() == CALLER_LIMIT {
            self.threads.remove(0);
        }
        self.threads.push(tracee);
    }
}
