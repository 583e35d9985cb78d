//! Interruption: a dedicated thread waits for SIGINT and SIGTERM, so that no code ever runs in a signal handler.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::exit;

type Cancel = Box<dyn Fn() + Send>;

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
    /// Blocks SIGINT and SIGTERM in this thread and those it starts, and waits for them in a thread of its own.
    ///
    /// It must be called before any other thread exists, because a thread keeps the mask it was started with.
    /// Programs inherit the mask too: the sandbox's launcher clears it.
    pub(super) fn watch() -> Result<Self, Errno> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        signals.thread_block()?;
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
    fn signal_exits_when_nothing_needs_an_orderly_end() {
        assert_eq!(unwatched().interrupt(), Reaction::ExitNow);
    }
}
