//! The launcher: the program re-executed, single-threaded, between the caller and the sandbox.
//!
//! It clones the first process into new namespaces, maps the ids, and then watches three things: the caller's socket (its
//! end means that the caller died or wants the sandbox killed), the set-up report, and the outcome. It returns when no
//! process of the sandbox is left.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, dup2_stdin, pipe2, setgroups, write};

use crate::first::{self, Ends};
use crate::idmap;
use crate::idrange;
use crate::limits::Limit;
use crate::limits::cgroup::ControlGroup;
use crate::limits::watch::Watched;
use crate::namespaces;
use crate::report::{
    Answer, At, Enforcement, Failure, LONGEST_MESSAGE, ProgramStatus, Request, Step, read_framed,
    run_process, write_framed,
};
use crate::spec::Spec;
use crate::sys::process::{Fork, clone_process};
use crate::trials;

/// The name under which the program is started to become a launcher.
pub(crate) const NAME: &str = "overcoat-sandbox-launcher";

/// Becomes the sandbox launcher when this process was started as one, and returns its exit status.
///
/// `main` calls it before anything else, because the launcher must be single-threaded when it clones namespaces.
pub fn become_launcher_if_asked() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    if name != NAME {
        return None;
    }
    // A caller that is gone is the only one to whom a failure here could be told.
    Some(match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn serve() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let null = open(
        "/dev/null",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    dup2_stdin(null)?;
    match read_framed(&control)? {
        Some(Request::Run(spec)) => {
            let answer = match check_single_threaded() {
                Ok(()) => {
                    let mut caller = Remote {
                        control: &control,
                        is_gone: false,
                    };
                    run(&spec, &mut caller, (), |()| Ok(()))
                }
                Err(failure) => Answer::Failed(failure),
            };
            write_framed(&control, &answer)
        }
        Some(Request::TryRange) => write_framed(&control, &idrange::enter()),
        Some(Request::Probe { state_directory }) => {
            write_framed(&control, &trials::run_all(&state_directory))
        }
        None => Ok(()),
    }
}

/// Cloning would copy the locks of other threads in whatever state they are.
pub(crate) fn check_single_threaded() -> Result<(), Failure> {
    let step = Step::CloneNamespaces;
    let tasks = nix::dir::Dir::open(
        "/proc/self/task",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .at(step, "/proc/self/task")?;
    let threads = tasks
        .into_iter()
        .flatten()
        .filter(|entry| !entry.file_name().to_bytes().starts_with(b"."))
        .count();
    if threads == 1 {
        Ok(())
    } else {
        Err(Failure::of(step, Errno::EINVAL)
            .explained(Some(format!("the launcher has {threads} threads"))))
    }
}

/// Who wants the sandbox.
pub(crate) trait Caller {
    /// Is told when the program is about to be executed.
    fn started(&mut self, enforcement: Enforcement);

    /// Returns what to wait for on the caller's behalf.
    fn descriptors(&self) -> Vec<PollFd<'_>>;

    /// Looks at what became of each of those, and tells whether the sandbox is to be ended.
    fn attend(&mut self, events: &[PollFlags]) -> bool;
}

/// The caller is another process, at the other end of a socket.
#[derive(Debug)]
struct Remote<'a> {
    control: &'a UnixStream,
    is_gone: bool,
}

impl Caller for Remote<'_> {
    fn started(&mut self, enforcement: Enforcement) {
        // A caller that is gone is noticed on the same socket while the outcome is awaited.
        let _ = write_framed(self.control, &Answer::Started(enforcement));
    }

    fn descriptors(&self) -> Vec<PollFd<'_>> {
        match self.is_gone {
            true => Vec::new(),
            false => vec![PollFd::new(self.control.as_fd(), PollFlags::POLLIN)],
        }
    }

    fn attend(&mut self, events: &[PollFlags]) -> bool {
        // The caller says nothing more after its request, so this is the end of its socket.
        self.is_gone |= events.iter().any(|events| !events.is_empty());
        self.is_gone
    }
}

/// A sandbox that was started, and what it is heard through.
#[derive(Debug)]
struct Started {
    first: Pid,
    deadline: Option<Instant>,
    report: OwnedFd,
    outcome: OwnedFd,
    watched: Watched,
}

fn start<T>(
    spec: &Spec,
    given: T,
    prepare_child: impl FnOnce(T) -> Result<(), Failure>,
) -> Result<Started, Failure> {
    // Processes of the sandbox whose parent was killed become ours, so that we can wait until they are gone.
    set_child_subreaper(true).during(Step::WatchParent)?;
    // Root can drop its groups; an ordinary user's come along, and reach only what is mounted.
    match setgroups(&[]) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(Failure::of(Step::MapIds, errno)),
    }
    let pipe = || pipe2(OFlag::O_CLOEXEC).during(Step::OpenDescriptors);
    let (report, report_writer) = pipe()?;
    let (outcome, outcome_writer) = pipe()?;
    let (mapped_reader, mapped) = pipe()?;
    let (mut watched, watch) = Watched::new(spec)?;
    // Not to be dropped in the child, which would remove it.
    let group = ControlGroup::make(spec);
    let deadline = spec
        .wall_clock_limit
        .and_then(|limit| Instant::now().checked_add(limit));
    let namespaces = namespaces::of_first(spec);
    let first = match clone_process(namespaces).during(Step::CloneNamespaces)? {
        Fork::Parent { child } => child,
        Fork::Child => {
            drop((report, outcome, mapped, watched));
            let ends = Ends {
                mapped: mapped_reader,
                report: report_writer,
                outcome: outcome_writer,
                watch,
            };
            if let Err(failure) = prepare_child(given) {
                run_process(ends.report.as_fd(), || Err(failure));
            }
            first::run(spec, &ends)
        }
    };
    let linux = spec.oci.linux().clone().unwrap_or_default();
    idmap::write_mappings(first, &linux, spec.ids)
        .and_then(|()| {
            let grouped = watched.enter_group(group, first);
            write(&mapped, &[grouped.to_byte()]).during(Step::MapIds)
        })
        .inspect_err(|_| end(first))?;
    Ok(Started {
        first,
        deadline,
        report,
        outcome,
        watched,
    })
}

/// Why the sandbox was ended before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    ByCaller,
    TimeOver,
    Exceeded(Limit),
}

/// Reads what the sandbox says, and meanwhile ends it when the caller goes away, the time is over or a limit exceeded.
struct Watch<'a> {
    caller: &'a mut dyn Caller,
    first: Pid,
    deadline: Option<Instant>,
    watched: Watched,
    ended: Option<Ended>,
}

/// Runs a sandbox to its end, in a process with one thread. `prepare_child` is called with what is `given` in the first
/// process of it, and here that is dropped.
pub(crate) fn run<T>(
    spec: &Spec,
    caller: &mut dyn Caller,
    given: T,
    prepare_child: impl FnOnce(T) -> Result<(), Failure>,
) -> Answer {
    let started = match start(spec, given, prepare_child) {
        Ok(started) => started,
        Err(failure) => return Answer::Failed(failure),
    };
    let mut watch = Watch {
        caller,
        first: started.first,
        deadline: started.deadline,
        watched: started.watched,
        ended: None,
    };
    let answer = watch.follow(started.report, started.outcome);
    end(started.first);
    match (watch.ended, answer) {
        // A program that ended in the same moment has ended by itself.
        (
            _,
            Ok(Answer::Finished {
                status,
                records,
                refused,
                limits_reached,
            }),
        ) => Answer::Finished {
            status,
            records,
            refused,
            limits_reached: watch.reached(status, limits_reached),
        },
        (None, Ok(Answer::Lost) | Err(_)) if watch.watched.was_killed_for_memory() => {
            finished(ProgramStatus::LimitExceeded(Limit::Memory))
        }
        (None, Ok(answer)) => answer,
        (Some(Ended::ByCaller), _) => finished(ProgramStatus::Killed),
        (Some(Ended::TimeOver), _) => finished(ProgramStatus::TimedOut),
        (Some(Ended::Exceeded(limit)), _) => finished(ProgramStatus::LimitExceeded(limit)),
        (None, Err(failure)) => Answer::Failed(failure),
    }
}

impl Watch<'_> {
    fn follow(&mut self, report: OwnedFd, outcome: OwnedFd) -> Result<Answer, Failure> {
        match self.read_line_by_line(report)?.pop() {
            Some(Answer::Started(enforcement)) => {
                self.caller.started(enforcement);
            }
            Some(failed) => return Ok(failed),
            None => return Ok(Answer::Lost),
        }
        let answers = self.read_line_by_line(outcome)?;
        Ok(answers.into_iter().next_back().unwrap_or(Answer::Lost))
    }

    /// Reads messages until all writers have closed.
    fn read_line_by_line(&mut self, from: OwnedFd) -> Result<Vec<Answer>, Failure> {
        let step = Step::Supervise;
        let mut file = File::from(from);
        let mut text = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            self.wait_for(file.as_fd()).during(step)?;
            let count = file.read(&mut buffer).during(step)?;
            if count == 0 {
                break;
            }
            text.extend_from_slice(&buffer[..count]);
            if text.len() > LONGEST_MESSAGE {
                return Err(Failure::of(step, Errno::EMSGSIZE));
            }
        }
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).during(step))
            .collect()
    }

    fn wait_for(&mut self, file: BorrowedFd<'_>) -> nix::Result<()> {
        loop {
            let mut fds = vec![PollFd::new(file, PollFlags::POLLIN)];
            fds.extend(self.caller.descriptors());
            match poll(&mut fds, self.time_left()) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            let events = revents(&fds);
            drop(fds);
            // First, so that output is copied while the sandbox has much to say.
            if self.caller.attend(&events[1..]) {
                self.end(Ended::ByCaller);
            }
            if !events[0].is_empty() {
                return Ok(());
            }
            if self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
            {
                self.end(Ended::TimeOver);
            } else if self.ended.is_none()
                && let Some(limit) = self.watched.look()
            {
                self.end(Ended::Exceeded(limit));
            }
        }
    }

    fn time_left(&self) -> PollTimeout {
        if self.ended.is_some() {
            return PollTimeout::NONE;
        }
        let times = [self.deadline, self.watched.next_look()];
        let Some(until) = times.into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the time is over when the poll returns.
        PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
    }

    /// Returns the limits that a program has reached which ended by itself.
    fn reached(&mut self, status: ProgramStatus, mut reached: Vec<Limit>) -> Vec<Limit> {
        if status.success() {
            return Vec::new();
        }
        // A shell that runs the program gives the signal's number on like this.
        let by_signal = [
            ProgramStatus::Signaled(libc::SIGXFSZ),
            ProgramStatus::Exited(128 + libc::SIGXFSZ),
        ];
        if by_signal.contains(&status) {
            reached.push(Limit::FileSize);
        }
        if reached.is_empty() && self.watched.was_refused_processes() {
            reached.push(Limit::Processes);
        }
        if self.watched.was_killed_for_memory() {
            reached.push(Limit::Memory);
        }
        if self.watched.temporary_files_are_full() {
            reached.push(Limit::TemporaryFiles);
        }
        reached
    }

    fn end(&mut self, reason: Ended) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            // With init all of the pid namespace dies, and init with the supervisor.
            let _ = kill(self.first, Signal::SIGKILL);
        }
    }
}

/// Returns what poll(2) said of each descriptor.
pub(crate) fn revents(fds: &[PollFd<'_>]) -> Vec<PollFlags> {
    fds.iter()
        .map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
        .collect()
}

/// Kills the first process and waits until no process of the sandbox is left.
fn end(first: Pid) {
    let _ = kill(first, Signal::SIGKILL);
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
}

fn finished(status: ProgramStatus) -> Answer {
    Answer::Finished {
        status,
        records: Vec::new(),
        refused: Vec::new(),
        limits_reached: Vec::new(),
    }
}
