//! Running a specification in the calling process, for a tool that does nothing else: it is the launcher itself.
//!
//! The program's standard streams are pipes, never the caller's own: whoever has a descriptor of a file can change its
//! mode, and a terminal takes what is typed into it. The bytes are copied, and go through a filter where they are shown
//! to a person.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, read, setpgid, write};

use crate::error::Error;
use crate::launcher::{self, Caller};
use crate::report::{Answer, At, Enforcement, Failure, Step};
use crate::spawn::{Outcome, unexpected};
use crate::spec::{Spec, StandardInput};
use crate::sys;

/// Bytes that a pipe takes without blocking when poll(2) says that it takes some (`PIPE_BUF`).
const WRITTEN_AT_ONCE: usize = 4096;
const READ_AT_ONCE: usize = 64 << 10;

/// What the caller's standard streams are for the program.
#[derive(Debug)]
pub struct Streams<'a> {
    /// What is copied to its standard input, with [`StandardInput::Pipe`].
    pub input: BorrowedFd<'a>,
    pub output: Output<'a>,
    pub errors: Output<'a>,
    /// The signals to this process that end the program. Those that the caller ignores stay ignored.
    pub ending: &'a [Signal],
}

/// Makes other bytes of those of a program. At the end it is given none, and returns what it held back.
type Filter = dyn FnMut(&[u8]) -> Vec<u8>;

/// Where output of the program is copied to.
pub struct Output<'a> {
    pub to: BorrowedFd<'a>,
    /// What is written instead of what the program wrote; that itself without one.
    pub filter: Option<Box<Filter>>,
}

/// How an attached program ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attached {
    pub outcome: Outcome,
    /// The signal that ended it, if this process got one.
    pub signal: Option<Signal>,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl Spec {
    /// Builds the sandbox, runs the program, copies its standard streams, and returns when the program and all its
    /// children are gone. Signals that end it stay blocked.
    ///
    /// The calling process becomes the launcher, so it must have one thread and no children, and should end soon: it
    /// takes the orphans of its children, and as root it gives up its supplementary groups.
    pub fn run_attached(&self, streams: Streams<'_>) -> Result<Attached, Error> {
        let spec = self.for_launcher()?;
        launcher::check_single_threaded()?;
        let (mut local, child) = Local::new(&spec, streams)?;
        let answer = launcher::run(&spec, &mut local, child, ChildEnds::take_over);
        local.copy_the_rest();
        match (answer, local.enforcement) {
            (
                Answer::Finished {
                    status,
                    records,
                    refused,
                    limits_reached,
                },
                Some(enforcement),
            ) => Ok(Attached {
                outcome: Outcome {
                    status,
                    enforcement,
                    records,
                    refused,
                    limits_reached,
                },
                signal: local.signal,
            }),
            (other, _) => Err(unexpected(other)),
        }
    }
}

/// The ends of the streams that the program gets.
#[derive(Debug)]
struct ChildEnds {
    input: OwnedFd,
    output: OwnedFd,
    errors: OwnedFd,
}

impl ChildEnds {
    /// Puts them in the place of the caller's streams, in the first process of the sandbox.
    fn take_over(self) -> Result<(), Failure> {
        // Signals of the terminal go to the caller alone, which decides what becomes of the sandbox.
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).during(Step::StartSession)?;
        dup2_stdin(self.input)
            .and_then(|()| dup2_stdout(self.output))
            .and_then(|()| dup2_stderr(self.errors))
            .during(Step::OpenDescriptors)
    }
}

/// The caller is this process.
#[derive(Debug)]
struct Local<'a> {
    signals: SignalFd,
    signal: Option<Signal>,
    enforcement: Option<Enforcement>,
    copies: Vec<Copy<'a>>,
}

impl<'a> Local<'a> {
    fn new(spec: &Spec, streams: Streams<'a>) -> Result<(Self, ChildEnds), Failure> {
        let step = Step::OpenDescriptors;
        let pipe = || pipe2(OFlag::O_CLOEXEC).during(step);
        let mut copies = Vec::new();
        let input = match spec.input {
            StandardInput::Empty => {
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                open("/dev/null", flags, Mode::empty()).at(step, "/dev/null")?
            }
            StandardInput::Pipe => {
                let (reader, writer) = pipe()?;
                let (from, to) = (End::Theirs(streams.input), End::Ours(writer));
                copies.push(Copy::new(from, to, None)?);
                reader
            }
        };
        let mut copied_to = |output: Output<'a>| {
            let (reader, writer) = pipe()?;
            let (from, to) = (End::Ours(reader), End::Theirs(output.to));
            copies.push(Copy::new(from, to, output.filter)?);
            Ok::<_, Failure>(writer)
        };
        let ends = ChildEnds {
            input,
            output: copied_to(streams.output)?,
            errors: copied_to(streams.errors)?,
        };
        let ending: SigSet = streams
            .ending
            .iter()
            .copied()
            .filter(|signal| !sys::process::is_ignored(*signal))
            .collect();
        ending.thread_block().during(Step::StartSession)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let local = Self {
            signals: SignalFd::with_flags(&ending, flags).during(Step::StartSession)?,
            signal: None,
            enforcement: None,
            copies,
        };
        Ok((local, ends))
    }

    /// Copies what was written before the end, until a signal says that nobody wants it any more.
    fn copy_the_rest(&mut self) {
        self.copies.retain(Copy::is_output);
        while self.signal.is_none() {
            for copy in &mut self.copies {
                copy.read_the_last();
            }
            let mut fds = self.descriptors();
            // The first is for signals.
            if fds.len() == 1 {
                return;
            }
            if !matches!(poll(&mut fds, PollTimeout::NONE), Ok(_) | Err(Errno::EINTR)) {
                return;
            }
            let events = launcher::revents(&fds);
            drop(fds);
            self.attend(&events);
        }
    }
}

impl Caller for Local<'_> {
    fn started(&mut self, enforcement: Enforcement) {
        self.enforcement = Some(enforcement);
    }

    fn descriptors(&self) -> Vec<PollFd<'_>> {
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let copies = self.copies.iter().filter_map(Copy::awaited);
        std::iter::once(signals).chain(copies).collect()
    }

    fn attend(&mut self, events: &[PollFlags]) -> bool {
        let Some((signals, copies)) = events.split_first() else {
            return false;
        };
        let active = self.copies.iter_mut().filter(|copy| copy.ends.is_some());
        for (copy, events) in active.zip(copies) {
            if !events.is_empty() {
                copy.go_on();
            }
        }
        if !signals.is_empty()
            && let Ok(Some(found)) = self.signals.read_signal()
        {
            let number = i32::try_from(found.ssi_signo).unwrap_or_default();
            self.signal = Signal::try_from(number).ok();
        }
        self.signal.is_some()
    }
}

/// One end of a copy: a pipe of ours, or a descriptor of the caller, which others use as well.
#[derive(Debug)]
enum End<'a> {
    Ours(OwnedFd),
    Theirs(BorrowedFd<'a>),
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ours(owned) => owned.as_fd(),
            Self::Theirs(borrowed) => *borrowed,
        }
    }
}

/// Bytes on their way from one descriptor to another.
struct Copy<'a> {
    /// From where and to where, until all is copied.
    ends: Option<(End<'a>, End<'a>)>,
    filter: Option<Box<Filter>>,
    waiting: Vec<u8>,
}

impl fmt::Debug for Copy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl<'a> Copy<'a> {
    fn new(from: End<'a>, to: End<'a>, filter: Option<Box<Filter>>) -> Result<Self, Failure> {
        // Only our own ends: the others are open files that the caller shares with other processes.
        for end in [&from, &to] {
            if let End::Ours(pipe) = end {
                fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).during(Step::OpenDescriptors)?;
            }
        }
        Ok(Self {
            ends: Some((from, to)),
            filter,
            waiting: Vec::new(),
        })
    }

    /// Tells whether it is about what the program writes.
    fn is_output(&self) -> bool {
        matches!(self.ends, Some((_, End::Theirs(_))))
    }

    fn awaited(&self) -> Option<PollFd<'_>> {
        let (from, to) = self.ends.as_ref()?;
        Some(match self.waiting.is_empty() {
            true => PollFd::new(from.as_fd(), PollFlags::POLLIN),
            false => PollFd::new(to.as_fd(), PollFlags::POLLOUT),
        })
    }

    /// Does what poll(2) says can be done without waiting.
    fn go_on(&mut self) {
        match self.waiting.is_empty() {
            true => self.read(),
            false => self.write(),
        }
    }

    fn read(&mut self) {
        let Some((from, _)) = &self.ends else {
            return;
        };
        let mut buffer = vec![0; READ_AT_ONCE];
        match read(from, &mut buffer) {
            Ok(0) => match self.filter.as_mut().map(|filter| filter(&[])) {
                Some(rest) if !rest.is_empty() => self.waiting = rest,
                _ => self.ends = None,
            },
            Ok(count) => {
                buffer.truncate(count);
                self.waiting = match &mut self.filter {
                    Some(filter) => filter(&buffer),
                    None => buffer,
                };
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.ends = None,
        }
    }

    /// Reads once more when everything was written. When nothing is there that was all: nobody is left who could write
    /// more, but for somebody outside who was given a descriptor.
    fn read_the_last(&mut self) {
        if self.waiting.is_empty() {
            self.read();
        }
        if self.waiting.is_empty() {
            self.ends = None;
        }
    }

    fn write(&mut self) {
        let Some((_, to)) = &self.ends else {
            return;
        };
        let most = self.waiting.len().min(WRITTEN_AT_ONCE);
        match write(to, &self.waiting[..most]) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The reader is gone. Without our end of the pipe the program learns of it as it would without us.
            Err(_) => self.ends = None,
        }
    }
}
