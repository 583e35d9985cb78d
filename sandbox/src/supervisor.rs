//! The supervisor, where calls are recorded or judged: in the sandbox's user and mount namespaces, but outside of its pid
//! namespace, so that the program can neither see nor signal it. It starts the init process, records ownership or makes
//! the program's connections, and tells the launcher the outcome.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::first::{self, Ends};
use crate::init::{self, Said};
use crate::namespaces;
use crate::ownership::OwnerRecord;
use crate::report::{At, Failure, Step, run_process, write_line};
use crate::spec::{Network, Spec};
use crate::sys::process::{Fork, clone_process, exit_now};
use crate::{caps, egress, ownership, sys};

/// Runs the supervisor in the process that was cloned for it.
pub(crate) fn run(spec: &Spec, ends: &Ends) -> ! {
    let report = ends.report.as_fd();
    run_process(report, || {
        let (init, socket, host_proc) = start_init(spec, ends)?;
        let outcome = ends.outcome.as_fd();
        run_process(outcome, || {
            supervise(spec, outcome, init, socket.as_fd(), host_proc)
        })
    })
}

fn start_init(spec: &Spec, ends: &Ends) -> Result<(Pid, OwnedFd, OwnedFd), Failure> {
    let grouped = first::become_root(ends)?;
    // Init will pivot this process away from the host's tree too, since they share the mount namespace.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let host_proc = open("/proc", flags, Mode::empty()).at(Step::OpenDescriptors, "/proc")?;
    let (ours, theirs) = sys::socket::pair().during(Step::OpenDescriptors)?;
    match clone_process(namespaces::of_supervised_init(spec)).during(Step::CloneNamespaces)? {
        Fork::Parent { child } => Ok((child, ours, host_proc)),
        Fork::Child => {
            drop((ours, host_proc));
            init::run_supervised(spec, grouped, ends, theirs.as_fd())
        }
    }
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
    // The recorder gives up by itself what it does not need.
    if matches!(spec.network, Network::Scoped(_)) {
        caps::keep_tracing()?;
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
    if let Some((Said::Ended(ended), _)) = heard {
        write_line(outcome, &ended.answer(records, refused)).during(Step::Supervise)?;
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
