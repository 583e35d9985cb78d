//! The init process: pid 1 of the sandbox. It builds the tree, starts the program, and reaps what the program leaves.
//! When it ends, the kernel kills everything in its pid namespace.

use std::convert::Infallible;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::prctl::{set_dumpable, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, sethostname};
use serde::{Deserialize, Serialize};

use crate::mounts::Root;
use crate::program;
use crate::report::{At, Failure, ProgramStatus, Step, run_process};
use crate::spec::{Network, Spec};
use crate::sys;
use crate::sys::process::{Fork, clone_process, exit_now};

/// What the supervisor hears over the socket.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Said {
    /// The seccomp listener comes with this message.
    Listener,
    /// The program has ended.
    Ended(ProgramStatus),
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

/// Runs the init process in the process that was cloned for it.
pub(crate) fn run(spec: &Spec, report: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> ! {
    run_process(report, || {
        die_with_supervisor(report, socket)?;
        build(spec)?;
        let program = match clone_process(CloneFlags::empty()).during(Step::CloneProgram)? {
            Fork::Parent { child } => child,
            Fork::Child => program::run(spec, report, socket),
        };
        serve(program, socket)
    })
}

/// Asks to be killed when the supervisor dies, and checks that it has not died before.
///
/// In a new pid namespace the parent has no id here to compare, but its end of the socket is closed when it is dead.
/// That needs our copy of its end closed, along with every descriptor of the host: this process never executes a
/// program, so close-on-exec does nothing, and the program could reach them through `/proc/1/fd`.
fn die_with_supervisor(report: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL).during(Step::WatchParent)?;
    sys::fds::close_all_but(&[report, socket]).during(Step::OpenDescriptors)?;
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).during(Step::WatchParent)?;
    if fds[0].any().unwrap_or(true) {
        return Err(Failure::of(Step::WatchParent, Errno::ESRCH));
    }
    Ok(())
}

fn build(spec: &Spec) -> Result<(), Failure> {
    let mut root = Root::make()?;
    root.populate(spec)?;
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

fn serve(program: Pid, socket: BorrowedFd<'_>) -> Result<Infallible, Failure> {
    // The report ends when the program is executed, if nobody else holds it.
    sys::fds::close_all_but(&[socket]).during(Step::OpenDescriptors)?;
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
    say(socket, Said::Ended(status), None).during(Step::Supervise)?;
    exit_now(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fit_the_buffer_of_the_receiver() {
        let longest = Said::Ended(ProgramStatus::Signaled(i32::MIN));
        assert!(serde_json::to_vec(&longest).unwrap().len() < 256);
    }
}
