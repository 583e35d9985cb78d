//! The loop: receive a call, gather what it names, confirm that it still waits, act, answer.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

use super::call::{Call, OwnerChange};
use super::chown::change_owner;
use super::device::NewDevice;
use super::error::{Error, Refusal};
use super::place::{Home, Place};
use super::records::{OwnerRecord, Records};
use super::tracee::Tracee;
use super::xattr::{self, NewAttribute};
use crate::sys::notify::{self, Notification};

/// The capabilities that the recorded calls take, of those that the program may have, and what it takes to walk its
/// paths and read its memory. Not among them is `CAP_SYS_ADMIN`, with which a program could have attributes set that
/// it must not set itself.
const KEPT_CAPABILITIES: [Capability; 8] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SYS_PTRACE,
];

/// Answers the recorded calls of a sandbox.
#[derive(Debug)]
pub struct Supervisor {
    listener: OwnedFd,
    host_proc: OwnedFd,
}

/// A supervisor whose process was prepared.
#[derive(Debug)]
struct Running {
    listener: OwnedFd,
    home: Home,
    records: Records,
}

/// A call of which everything was read from the caller.
#[derive(Debug)]
enum Work {
    ChangeOwner { place: Place, change: OwnerChange },
    MakeDevice(NewDevice),
    SetAttribute(NewAttribute),
    RemoveAttribute { place: Place, name: CString },
}

impl Supervisor {
    /// Takes the filter's listener, and an `O_PATH` descriptor of a procfs mount of the pid namespace in which the
    /// supervisor runs.
    pub fn new(listener: OwnedFd, host_proc: OwnedFd) -> Self {
        Self {
            listener,
            host_proc,
        }
    }

    /// Answers calls until every task under the filter is gone, then returns the records that are not attributes.
    ///
    /// The process must be single-threaded, root of the sandbox's user namespace, in its mount namespace with all
    /// mounts made, with the sandbox's root as its own, and outside its pid namespace. It loses the capabilities that
    /// it does not need, and its working directory.
    ///
    /// # Errors
    ///
    /// Calls fail with ENOSYS from then on, so that the programs cannot go on unrecorded.
    pub fn run(self) -> Result<Vec<OwnerRecord>, Error> {
        let mut running = self.prepare()?;
        let outcome = running.serve();
        let returned = running.home.leave();
        outcome?;
        returned?;
        running.home.stand_in_proc()?;
        running.records.locate(&running.home)
    }

    fn prepare(self) -> Result<Running, Error> {
        let failed = |step| move |source| Error::Prepare { step, source };
        if !notify::structures_fit().map_err(failed("asking for the size of notifications"))? {
            return Err(Error::NotificationSize);
        }
        let (_, limit) =
            getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("reading the descriptor limit"))?;
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit)
            .map_err(failed("raising the descriptor limit"))?;
        trim_capabilities().map_err(|source| Error::TrimCapabilities { source })?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let home = Home {
            root: open("/", flags, Mode::empty()).map_err(failed("opening its own root"))?,
            host_proc: self.host_proc,
        };
        home.stand_in_proc()?;
        match notify::wake_synchronously(self.listener.as_fd()) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(source) => return Err(failed("choosing how callers are woken")(source)),
        }
        Ok(Running {
            listener: self.listener,
            home,
            records: Records::default(),
        })
    }
}

impl Running {
    fn serve(&mut self) -> Result<(), Error> {
        while self.wait()? {
            let notification = match notify::receive(self.listener.as_fd()) {
                Ok(notification) => notification,
                // The caller died, or a signal came.
                Err(Errno::ENOENT | Errno::EINTR) => continue,
                Err(source) => return Err(Error::Wait { source }),
            };
            let outcome = match self.process(&notification) {
                Ok(()) => Ok(()),
                Err(Refusal::Caller(errno)) => Err(errno),
                Err(Refusal::Fatal(error)) => return Err(error),
            };
            match notify::answer(self.listener.as_fd(), notification.id, outcome) {
                // The caller died.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(source) => return Err(Error::Answer { source }),
            }
        }
        Ok(())
    }

    /// Waits until a call can be received; false when no task is left. Before 6.11 receiving alone would not notice.
    fn wait(&self) -> Result<bool, Error> {
        loop {
            let mut events = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
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

    fn process(&mut self, notification: &Notification) -> Result<(), Refusal> {
        let call = Call::decode(notification)?;
        let tracee = Tracee::new(self.home.host_proc.as_fd(), notification.thread);
        let work = gather(&tracee, call)?;
        // The thread may have died, and its number and all that was gathered under it may be another's.
        if !notify::is_waiting(self.listener.as_fd(), notification.id) {
            return Err(Errno::ESRCH.into());
        }
        self.perform(work)
    }

    fn perform(&mut self, work: Work) -> Result<(), Refusal> {
        match work {
            Work::ChangeOwner { place, change } => {
                let inode = self.home.open(place)?;
                change_owner(&inode, change, &mut self.records)
            }
            Work::MakeDevice(device) => device.make(&self.home),
            Work::SetAttribute(attribute) => attribute.set(&self.home),
            Work::RemoveAttribute { place, name } => {
                let inode = self.home.open(place)?;
                Ok(xattr::remove(&name, &inode)?)
            }
        }
    }
}

fn gather(tracee: &Tracee<'_>, call: Call) -> Result<Work, Errno> {
    Ok(match call {
        Call::ChangeOwner { target, change } => Work::ChangeOwner {
            place: tracee.locate(target)?,
            change,
        },
        Call::MakeDevice {
            directory,
            path,
            mode,
            device,
        } => Work::MakeDevice(NewDevice::gather(tracee, directory, path, mode, device)?),
        Call::SetAttribute {
            target,
            name,
            value,
        } => Work::SetAttribute(NewAttribute::gather(tracee, target, name, value)?),
        Call::RemoveAttribute { target, name } => Work::RemoveAttribute {
            name: xattr::read_removable_name(tracee, name)?,
            place: tracee.locate(target)?,
        },
    })
}

fn trim_capabilities() -> Result<(), caps::errors::CapsError> {
    let kept = HashSet::from(KEPT_CAPABILITIES);
    let permitted = &caps::read(None, CapSet::Permitted)? & &kept;
    caps::set(None, CapSet::Effective, &permitted)?;
    caps::set(None, CapSet::Inheritable, &HashSet::new())?;
    caps::set(None, CapSet::Permitted, &permitted)
}
