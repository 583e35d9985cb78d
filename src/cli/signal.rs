//! Interruption: a dedicated thread waits for the signals that end a program, so that no code ever runs in a signal
//! handler.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::exit;

type Cancel = Box<dyn Fn() + Send>;

/// What asks a program to end: the keyboard, whoever stops services, and a terminal that closes.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// What the waiting thread and the rest of the program share.
#[derive(Clone)]
pub(super) struct Interruption {
    shared: Arc<Shared>,
}

struct Shared {
    happened: AtomicBool,
    cancel: Mutex<Option<Cancel>>,
}

impl Interruption {
    /// Blocks [`ENDING`] signals in this thread and those it starts, and waits for them in a thread of its own. Those
    /// that the caller ignores stay ignored, as nohup(1) wants it.
    ///
    /// SIGXFSZ is blocked as well: a file that grows beyond the limit then makes the write fail (setrlimit(2)), and does
    /// not kill the build before it can say so and clean up.
    ///
    /// It must be called before any other thread exists, because a thread keeps the mask it was started with.
    /// Programs inherit the mask too: the sandbox's launcher clears it.
    pub(super) fn watch() -> Result<Self, Errno> {
        // Without proc no signal is known to be ignored.
        let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
        let signals: SigSet = ENDING
            .into_iter()
            .filter(|signal| !is_ignored(*signal, &status))
            .collect();
        (signals | Signal::SIGXFSZ).thread_block()?;
        let interruption = Self {
            shared: Arc::new(Shared {
                happened: AtomicBool::new(false),
                cancel: Mutex::new(None),
            }),
        };
        let watched = interruption.clone();
        thread::spawn(move || {
            while signals.wait().is_ok() {
                if watched.interrupt() == Reaction::ExitNow {
                    exit_now();
                }
            }
        });
        Ok(interruption)
    }

    /// Makes the first signal call `cancel`, which ends the build cleanly; without it the first signal exits at once.
    pub(super) fn on_first(&self, cancel: impl Fn() + Send + 'static) {
        *self.cancel() = Some(Box::new(cancel));
    }

    /// Tells whether a signal came, so that the exit status is [`exit::INTERRUPTED`] whatever error it led to.
    pub(super) fn happened(&self) -> bool {
        self.shared.happened.load(Ordering::SeqCst)
    }

    fn interrupt(&self) -> Reaction {
        let again = self.shared.happened.swap(true, Ordering::SeqCst);
        match (&*self.cancel(), again) {
            (Some(cancel), false) => {
                cancel();
                Reaction::Wait
            }
            _ => Reaction::ExitNow,
        }
    }

    fn cancel(&self) -> std::sync::MutexGuard<'_, Option<Cancel>> {
        self.shared
            .cancel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interruption")
            .field("happened", &self.happened())
            .finish_non_exhaustive()
    }
}

/// Tells whether a process with this `/proc/self/status` ignores `signal` (proc_pid_status(5)).
fn is_ignored(signal: Signal, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal as i32 - 1)) != 0)
}

#[derive(Debug, Eq, PartialEq)]
enum Reaction {
    Wait,
    ExitNow,
}

#[expect(
    clippy::exit,
    reason = "the person asked twice, or nothing needs an orderly end"
)]
fn exit_now() -> ! {
    std::process::exit(i32::from(exit::INTERRUPTED))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn unwatched() -> Interruption {
        Interruption {
            shared: Arc::new(Shared {
                happened: AtomicBool::new(false),
                cancel: Mutex::new(None),
            }),
        }
    }

    #[test]
    fn first_signal_cancels_and_the_second_exits() {
        let interruption = unwatched();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        interruption.on_first(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert!(!interruption.happened());
        assert_eq!(interruption.interrupt(), Reaction::Wait);
        assert!(interruption.happened());
        assert_eq!(interruption.interrupt(), Reaction::ExitNow);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn signals_that_the_caller_ignores_are_known() {
        let status =
            "SigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert!(is_ignored(Signal::SIGHUP, status));
        assert!(is_ignored(Signal::SIGPIPE, status));
        assert!(!is_ignored(Signal::SIGINT, status));
        assert!(!is_ignored(Signal::SIGHUP, ""));
    }

    #[test]
    fn signal_exits_when_nothing_needs_an_orderly_end() {
        assert_eq!(unwatched().interrupt(), Reaction::ExitNow);
    }
}
