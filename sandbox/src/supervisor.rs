//! The supervisor: in the sandbox's user and mount namespaces, but outside of its pid namespace, so that the program
//! can neither see nor signal it. It starts the init process, records ownership, and tells the launcher the outcome.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, getppid, read, setresgid, setresuid};

use crate::caps;
use crate::init::{self, Said};
use crate::namespaces;
use crate::report::{Answer, At, Failure, OwnerRecord, Step, run_process, write_line};
use crate::spec::Spec;
use crate::sys;
use crate::sys::process::{Fork, clone_process, exit_now};

/// The supervisor's ends of the launcher's pipes.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Readable when the ids are mapped.
    pub(crate) mapped: OwnedFd,
    /// Takes what set-up has to say; its end means that the program is being executed.
    pub(crate) report: OwnedFd,
    /// Takes how the program ended, and what was recorded.
    pub(crate) outcome: OwnedFd,
}

/// Runs the supervisor in the process that was cloned for it.
pub(crate) fn run(spec: &Spec, launcher: Pid, ends: Ends) -> ! {
    let report = ends.report.as_fd();
    run_process(report, || {
        let (init, socket) = start_init(spec, launcher, &ends)?;
        let outcome = ends.outcome.as_fd();
        run_process(outcome, || supervise(outcome, init, socket.as_fd()))
    })
}

fn start_init(spec: &Spec, launcher: Pid, ends: &Ends) -> Result<(Pid, OwnedFd), Failure> {
    die_with(launcher)?;
    let mut byte = [0];
    if read(&ends.mapped, &mut byte).during(Step::MapIds)? == 0 {
        // The launcher could not map the ids; it knows why.
        exit_now(0);
    }
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).during(Step::MapIds)?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).during(Step::MapIds)?;
    // Changing credentials clears the death signal (prctl(2)).
    die_with(launcher)?;
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .during(Step::OpenDescriptors)?;
    match clone_process(namespaces::of_init(spec)).during(Step::CloneNamespaces)? {
        Fork::Parent { child } => Ok((child, ours)),
        Fork::Child => {
            drop(ours);
            init::run(spec, ends.report.as_fd(), theirs.as_fd())
        }
    }
}

/// Asks to be killed when the launcher dies, and checks that it has not died before.
fn die_with(launcher: Pid) -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL).during(Step::WatchParent)?;
    if getppid() != launcher {
        return Err(Failure::of(Step::WatchParent, Errno::ESRCH));
    }
    Ok(())
}

fn supervise(
    outcome: BorrowedFd<'_>,
    init: Pid,
    socket: BorrowedFd<'_>,
) -> Result<Infallible, Failure> {
    // This also closes the report: from here on it belongs to the init process and the program.
    sys::fds::close_all_but(&[outcome, socket]).during(Step::OpenDescriptors)?;
    caps::keep(&caps::SUPERVISOR.iter().copied().collect())?;
    let mut records = Vec::new();
    let mut heard = init::hear(socket).during(Step::Supervise)?;
    if let Some((Said::Listener, listener)) = heard {
        records = record(listener)?;
        heard = init::hear(socket).during(Step::Supervise)?;
    }
    waitpid(init, None).during(Step::Supervise)?;
    // Without a status the init process was killed, which an empty outcome says.
    if let Some((Said::Ended(status), _)) = heard {
        let answer = Answer::Finished { status, records };
        write_line(outcome, &answer).during(Step::Supervise)?;
    }
    exit_now(0)
}

fn record(_listener: Option<OwnedFd>) -> Result<Vec<OwnerRecord>, Failure> {
    // Without a recorder, going on would give the image wrong owners.
    Err(Failure::of(Step::Supervise, Errno::ENOSYS))
}
