//! The supervisor: in the sandbox's user and mount namespaces, but outside of its pid namespace, so that the program
//! can neither see nor signal it. It starts the init process, records ownership or makes the program's connections, and
//! tells the launcher the outcome.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, getppid, read, setresgid, setresuid};

use crate::init::{self, Ended, InitEnds, Said};
use crate::limits::{Grouped, Limit};
use crate::namespaces;
use crate::ownership::OwnerRecord;
use crate::report::{Answer, At, Failure, Step, run_process, write_line};
use crate::spec::{Network, OwnershipRecording, Spec};
use crate::sys::process::{Fork, clone_process, exit_now};
use crate::{caps, egress, ownership, sys};

/// The supervisor's ends of the launcher's pipes.
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

/// Runs the supervisor in the process that was cloned for it.
pub(crate) fn run(spec: &Spec, launcher: Pid, ends: Ends) -> ! {
    let report = ends.report.as_fd();
    run_process(report, || {
        let (init, socket, host_proc) = start_init(spec, launcher, &ends)?;
        let outcome = ends.outcome.as_fd();
        run_process(outcome, || {
            supervise(spec, outcome, init, socket.as_fd(), host_proc)
        })
    })
}

fn start_init(spec: &Spec, launcher: Pid, ends: &Ends) -> Result<(Pid, OwnedFd, OwnedFd), Failure> {
    die_with(launcher)?;
    let mut byte = [0];
    if read(&ends.mapped, &mut byte).during(Step::MapIds)? == 0 {
        // The launcher could not map the ids; it knows why.
        exit_now(0);
    }
    let grouped = Grouped::from_byte(byte[0]);
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).during(Step::MapIds)?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).during(Step::MapIds)?;
    // Changing credentials clears the death signal (prctl(2)).
    die_with(launcher)?;
    if grouped.is_in_group {
        // The namespace that this process was cloned into names groups from the launcher's on, as `/..`.
        unshare(CloneFlags::CLONE_NEWCGROUP).during(Step::CloneNamespaces)?;
    }
    // Init will pivot this process away from the host's tree too, since they share the mount namespace.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let host_proc = open("/proc", flags, Mode::empty()).at(Step::OpenDescriptors, "/proc")?;
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .during(Step::OpenDescriptors)?;
    match clone_process(namespaces::of_init(spec)).during(Step::CloneNamespaces)? {
        Fork::Parent { child } => Ok((child, ours, host_proc)),
        Fork::Child => {
            drop((ours, host_proc));
            init::run(
                spec,
                grouped,
                InitEnds {
                    report: ends.report.as_fd(),
                    socket: theirs.as_fd(),
                    watch: ends.watch.as_fd(),
                },
            )
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
    spec: &Spec,
    outcome: BorrowedFd<'_>,
    init: Pid,
    socket: BorrowedFd<'_>,
    host_proc: OwnedFd,
) -> Result<Infallible, Failure> {
    // This also closes the report: from here on it belongs to the init process and the program.
    sys::fds::close_all_but(&[outcome, socket, host_proc.as_fd()]).during(Step::OpenDescriptors)?;
    match (&spec.network, spec.ownership) {
        (Network::Scoped(_), _) => caps::keep_tracing()?,
        (_, OwnershipRecording::Off) => caps::drop_all()?,
        _ => {}
    }
    let (mut records, mut refused) = (Vec::new(), Vec::new());
    let mut heard = init::hear(socket).during(Step::Supervise)?;
    if let Some((Said::Listener, listener)) = heard {
        let listener = listener.ok_or_else(|| Failure::of(Step::PassListener, Errno::EBADF))?;
        match &spec.network {
            Network::Scoped(scope) => {
                refused = egress::answer(scope, listener, host_proc)
                    .map_err(|error| Failure::from_chain(Step::AnswerConnections, &error))?;
            }
            Network::None | Network::Host => records = record(spec, listener, host_proc)?,
        }
        heard = init::hear(socket).during(Step::Supervise)?;
    }
    waitpid(init, None).during(Step::Supervise)?;
    // Without a status the init process was killed, which an empty outcome says.
    if let Some((Said::Ended(Ended { status, crowded }), _)) = heard {
        let limits_reached = Vec::from_iter(crowded.then_some(Limit::Processes));
        let answer = Answer::Finished {
            status,
            records,
            refused,
            limits_reached,
        };
        write_line(outcome, &answer).during(Step::Supervise)?;
    }
    exit_now(0)
}

/// Answers the program's recorded calls until no process is left that makes any. The recorder gives up the capabilities
/// that it does not need.
fn record(spec: &Spec, listener: OwnedFd, host_proc: OwnedFd) -> Result<Vec<OwnerRecord>, Failure> {
    ownership::Supervisor::new(listener, host_proc)
        .run(&spec.entry_owners)
        .map_err(|error| Failure::from_chain(Step::Supervise, &error))
}
