//! The filter's listener: calls come out of it, and answers go in.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::kernel;
use crate::sys::notify::{self, Notification, Reply};

/// Since this version receiving fails when no task is left, and does not wait for ever ("seccomp: interrupt
/// SECCOMP_IOCTL_NOTIF_RECV when all users have exited"). It cannot be tried without having all tasks end.
const RECEIVING_ENDS: kernel::Version = (6, 11);

/// What makes answering calls fail as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("preparing to answer system calls: {step}")]
    Prepare {
        step: &'static str,
        #[source]
        source: Errno,
    },
    #[error("this kernel's seccomp notifications are larger than expected")]
    NotificationSize,
    #[error("waiting for a system call to answer")]
    Wait {
        #[source]
        source: Errno,
    },
    #[error("answering a system call")]
    Answer {
        #[source]
        source: Errno,
    },
}

#[derive(Debug)]
pub(crate) struct Listener {
    descriptor: OwnedFd,
    receiving_ends: bool,
}

impl Listener {
    pub(crate) fn new(descriptor: OwnedFd) -> Result<Self, Error> {
        let failed = |step| move |source| Error::Prepare { step, source };
        if !notify::structures_fit().map_err(failed("asking for the size of notifications"))? {
            return Err(Error::NotificationSize);
        }
        match notify::wake_synchronously(descriptor.as_fd()) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(source) => return Err(failed("choosing how callers are woken")(source)),
        }
        let (_, version) = kernel::release().map_err(failed("asking for the kernel's version"))?;
        Ok(Self {
            descriptor,
            receiving_ends: version >= RECEIVING_ENDS,
        })
    }

    /// Waits for the next call; `None` when no task is left.
    pub(crate) fn next(&self) -> Result<Option<Notification>, Error> {
        // Polling before each call costs a tenth of an answer.
        let mut must_wait = !self.receiving_ends;
        loop {
            if must_wait && !self.wait()? {
                return Ok(None);
            }
            match notify::receive(self.descriptor.as_fd()) {
                Ok(notification) => return Ok(Some(notification)),
                Err(Errno::EINTR) => {}
                // The caller died, or it was the last task.
                Err(Errno::ENOENT) => must_wait = true,
                Err(source) => return Err(Error::Wait { source }),
            }
        }
    }

    /// Waits until a call can be received; false when no task is left.
    fn wait(&self) -> Result<bool, Error> {
        loop {
            let mut events = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
            match poll(&mut events, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(source) => return Err(Error::Wait { source }),
            }
            let found = events[0].revents().unwrap_or(PollFlags::empty());
            if found.contains(PollFlags::POLLIN) {
                return Ok(true);
            }
            if found.contains(PollFlags::POLLHUP) {
                return Ok(false);
            }
        }
    }

    /// Fails when the call waits no more. Then the thread's number, and all that was gathered under it, may be another
    /// thread's, so this comes before everything that has an effect.
    pub(crate) fn confirm(&self, id: u64) -> Result<(), Errno> {
        if notify::is_waiting(self.descriptor.as_fd(), id) {
            Ok(())
        } else {
            Err(Errno::ESRCH)
        }
    }

    pub(crate) fn answer(&self, id: u64, reply: Reply) -> Result<(), Error> {
        match notify::answer(self.descriptor.as_fd(), id, reply) {
            // The caller died.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(source) => Err(Error::Answer { source }),
        }
    }

    /// Gives the caller, which goes on waiting, a copy of a descriptor, and returns its number.
    pub(crate) fn give(
        &self,
        id: u64,
        descriptor: BorrowedFd<'_>,
        close_on_exec: bool,
    ) -> Result<RawFd, Errno> {
        let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
        notify::add_descriptor(self.descriptor.as_fd(), id, descriptor, flags)
    }
}
