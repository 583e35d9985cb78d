//! The init process: pid 1 of the sandbox. It builds the tree, starts the program, and reaps what the program leaves.
//! When it ends, the kernel kills everything in its pid namespace.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, sethostname};
use serde::{Deserialize, Serialize};

use crate::first::{self, Ends};
use crate::limits::usage::{self, Count};
use crate::limits::{Grouped, Limit, LimitMechanism, Mechanisms, processes, watch};
use crate::mounts::{Root, file_system, shared_tmpfs};
use crate::ownership::OwnerRecord;
use crate::program;
use crate::report::{Answer, At, Failure, ProgramStatus, Step, run_process, write_line};
use crate::spec::{Network, Spec};
use crate::sys;
use crate::sys::process::{clone_for_execution, exit_now};

/// What the supervisor hears over the socket.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Said {
    /// The seccomp listener comes with this message.
    Listener,
    /// The program has ended.
    Ended(Ended),
}

/// How the program ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Ended {
    pub(crate) status: ProgramStatus,
    /// Whether it failed and left more processes than it may have.
    pub(crate) crowded: bool,
}

impl Ended {
    /// Returns what the launcher is told.
    pub(crate) fn answer(self, records: Vec<OwnerRecord>, refused: Vec<SocketAddr>) -> Answer {
        Answer::Finished {
            status: self.status,
            records,
            refused,
            limits_reached: Vec::from_iter(self.crowded.then_some(Limit::Processes)),
        }
    }
}

/// Tells the supervisor something.
pub(crate) fn say(
    socket: BorrowedFd<'_>,
    said: Said,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    sys::socket::send(socket, &serde_json::to_vec(&said)?, descriptor)
}

/// Waits for the next message; `None` when nobody is left to send one.
pub(crate) fn hear(socket: BorrowedFd<'_>) -> io::Result<Option<(Said, Option<OwnedFd>)>> {
    let mut buffer = [0; 256];
    let (count, descriptor) = sys::socket::receive(socket, &mut buffer)?;
    if count == 0 {
        return Ok(None);
    }
    Ok(Some((
        serde_json::from_slice(&buffer[..count])?,
        descriptor,
    )))
}

/// Who hears how the program ended.
#[derive(Clone, Copy, Debug)]
enum Superior<'a> {
    /// The supervisor, over a socket.
    Supervisor(BorrowedFd<'a>),
    /// The launcher, over its pipe.
    Launcher(BorrowedFd<'a>),
}

impl<'a> Superior<'a> {
    fn descriptor(self) -> BorrowedFd<'a> {
        let (Self::Supervisor(descriptor) | Self::Launcher(descriptor)) = self;
        descriptor
    }

    fn supervisor(self) -> Option<BorrowedFd<'a>> {
        match self {
            Self::Supervisor(socket) => Some(socket),
            Self::Launcher(_) => None,
        }
    }

    fn hear(self, ended: Ended) -> io::Result<()> {
        match self {
            Self::Supervisor(socket) => say(socket, Said::Ended(ended), None),
            Self::Launcher(pipe) => write_line(pipe, &ended.answer(Vec::new(), Vec::new())),
        }
    }
}

/// Runs the init process in the process that the launcher cloned for it.
pub(crate) fn run_alone(spec: &Spec, ends: &Ends) -> ! {
    run_process(ends.report.as_fd(), || {
        let grouped = first::become_root(ends)?;
        let superior = Superior::Launcher(ends.outcome.as_fd());
        close_what_is_the_hosts(superior, ends)?;
        run(spec, grouped, superior, ends)
    })
}

/// Runs the init process in the process that the supervisor cloned for it, to which `socket` leads.
pub(crate) fn run_supervised(
    spec: &Spec,
    grouped: Grouped,
    ends: &Ends,
    socket: BorrowedFd<'_>,
) -> ! {
    run_process(ends.report.as_fd(), || {
        let superior = Superior::Supervisor(socket);
        // Our copy of the supervisor's end of the socket as well, so that it is closed when that one dies.
        close_what_is_the_hosts(superior, ends)?;
        first::die_with_reader(socket)?;
        run(spec, grouped, superior, ends)
    })
}

/// Closes every descriptor of the host: this process never executes a program, so close-on-exec does nothing, and the
/// program could reach them through `/proc/1/fd`.
fn close_what_is_the_hosts(superior: Superior<'_>, ends: &Ends) -> Result<(), Failure> {
    let kept = [
        superior.descriptor(),
        ends.report.as_fd(),
        ends.watch.as_fd(),
    ];
    sys::fds::close_all_but(&kept).during(Step::OpenDescriptors)
}

fn run(
    spec: &Spec,
    grouped: Grouped,
    superior: Superior<'_>,
    ends: &Ends,
) -> Result<Infallible, Failure> {
    let proc = proc_to_count_in(spec, grouped)?;
    let mechanisms = bound(spec, grouped, proc.as_ref());
    build(spec, proc.as_ref(), ends.watch.as_fd())?;
    let report = ends.report.as_fd();
    let program =
        clone_for_execution(|| program::run(spec, mechanisms, report, superior.supervisor()))
            .during(Step::CloneProgram)?;
    serve(spec, program, superior, proc.as_ref())
}

/// Returns a proc of this pid namespace that is attached nowhere, when there is something to count in it.
fn proc_to_count_in(spec: &Spec, grouped: Grouped) -> Result<Option<OwnedFd>, Failure> {
    if !grouped.leaves_something(spec) {
        return Ok(None);
    }
    let proc = file_system("proc", &[], 0).map_err(|failure| failure.about("/proc"))?;
    Ok(Some(proc))
}

/// Lets the kernel bound what it can, and returns what holds the limits for which the host decides.
fn bound(spec: &Spec, grouped: Grouped, proc: Option<&OwnedFd>) -> Mechanisms {
    let bounded = |(most, proc): (u64, &OwnedFd)| processes::bound_namespace(proc.as_fd(), most);
    let processes = if grouped.processes {
        LimitMechanism::ControlGroup
    } else if spec.process_limit().zip(proc).is_some_and(bounded) {
        LimitMechanism::PidNamespace
    } else {
        LimitMechanism::Watch
    };
    let memory = match grouped.memory {
        true => LimitMechanism::ControlGroup,
        false => LimitMechanism::Watch,
    };
    Mechanisms { processes, memory }
}

fn build(spec: &Spec, proc: Option<&OwnedFd>, watched: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut root = Root::make(shared_tmpfs(spec)?)?;
    root.populate(spec)?;
    if let Some(proc) = proc {
        watch::show_processes(watched, proc.as_fd())?;
    }
    if let Some(temporary) = root.temporary() {
        watch::show_tmpfs(watched, temporary)?;
    }
    root.enter()?;
    if spec.network == Network::None {
        sys::net::bring_loopback_up().during(Step::BringLoopbackUp)?;
    }
    if let Some(name) = spec.oci.hostname() {
        sethostname(name).at(Step::SetHostname, name)?;
    }
    // Nothing inside may trace this process, open its executable or its descriptors.
    set_dumpable(false).during(Step::CloneProgram)
}

fn serve(
    spec: &Spec,
    program: Pid,
    superior: Superior<'_>,
    proc: Option<&OwnedFd>,
) -> Result<Infallible, Failure> {
    // The report ends when the program is executed, if nobody else holds it.
    let kept = [superior.descriptor()].into_iter();
    let kept: Vec<BorrowedFd<'_>> = kept.chain(proc.map(AsFd::as_fd)).collect();
    sys::fds::close_all_but(&kept).during(Step::OpenDescriptors)?;
    let status = loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                break ProgramStatus::Exited(code);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                break ProgramStatus::Signaled(signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::of(Step::Supervise, errno)),
        }
    };
    let crowded = !status.success() && is_crowded(spec, proc);
    let ended = Ended { status, crowded };
    superior.hear(ended).during(Step::Supervise)?;
    exit_now(0)
}

/// Tells whether there are more processes than the program may have.
fn is_crowded(spec: &Spec, proc: Option<&OwnedFd>) -> bool {
    let (Some(most), Some(proc)) = (spec.process_limit(), proc) else {
        return false;
    };
    usage::of_namespace(proc, Count::Whole).is_ok_and(|usage| usage.tasks > most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fit_the_buffer_of_the_receiver() {
        let longest = Said::Ended(Ended {
            status: ProgramStatus::Signaled(i32::MIN),
            crowded: false,
        });
        assert!(serde_json::to_vec(&longest).unwrap().len() < 256);
    }
}
