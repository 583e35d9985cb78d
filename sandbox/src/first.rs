//! The first process of a sandbox: the supervisor where calls are recorded or judged, and else init. Whichever it is, the
//! launcher maps its ids and is told by it how the program ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, read, setresgid, setresuid};

use crate::limits::Grouped;
use crate::report::{At, Failure, Step};
use crate::spec::Spec;
use crate::sys::process::exit_now;
use crate::{init, supervisor};

/// Its ends of the launcher's pipes.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Readable when the ids are mapped: a byte of [`Grouped`].
    pub(crate) mapped: OwnedFd,
    /// Takes what set-up has to say; its end means that the program is being executed.
    pub(crate) report: OwnedFd,
    /// Takes how the program ended, and what was recorded.
    pub(crate) outcome: OwnedFd,
    /// Takes what the launcher looks at.
    pub(crate) watch: OwnedFd,
}

/// Runs the process that the launcher cloned. It must hold no copy of the launcher's ends.
pub(crate) fn run(spec: &Spec, ends: &Ends) -> ! {
    match spec.is_supervised() {
        true => supervisor::run(spec, ends),
        false => init::run_alone(spec, ends),
    }
}

/// Waits until the launcher has mapped the ids, and becomes root of the new namespaces.
pub(crate) fn become_root(ends: &Ends) -> Result<Grouped, Failure> {
    die_with_reader(ends.report.as_fd())?;
    let mut byte = [0];
    if read(&ends.mapped, &mut byte).during(Step::MapIds)? == 0 {
        // The launcher could not map the ids; it knows why.
        exit_now(0);
    }
    let grouped = Grouped::from_byte(byte[0]);
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).during(Step::MapIds)?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).during(Step::MapIds)?;
    // Changing credentials clears the death signal (prctl(2)).
    die_with_reader(ends.report.as_fd())?;
    if grouped.is_in_group {
        // The namespace that this process was cloned into names groups from the launcher's on, as `/..`.
        unshare(CloneFlags::CLONE_NEWCGROUP).during(Step::CloneNamespaces)?;
    }
    Ok(grouped)
}

/// Asks to be killed when the parent dies, and checks that it has not died before.
///
/// In a new pid namespace the parent has no id to compare. But `written` leads to it, and is broken when it is dead.
pub(crate) fn die_with_reader(written: BorrowedFd<'_>) -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL).during(Step::WatchParent)?;
    let mut fds = [PollFd::new(written, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).during(Step::WatchParent)?;
    if fds[0].any().unwrap_or(true) {
        return Err(Failure::of(Step::WatchParent, Errno::ESRCH));
    }
    Ok(())
}
