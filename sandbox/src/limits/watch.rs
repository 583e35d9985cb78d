//! Looking at what a sandbox uses, from the launcher.
//!
//! The first look comes after the time in which small programs are done, so that it costs them nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::Pid;

use super::cgroup::ControlGroup;
use super::tmpfs::{self, TmpfsUsage};
use super::usage::{self, Count, Usage};
use super::{Grouped, Limit};
use crate::report::{At, Failure, Step};
use crate::spec::Spec;
use crate::sys;

/// What the init process hands to the launcher, with a descriptor.
const PROC: &[u8] = b"proc";
const TMPFS: &[u8] = b"tmpfs";

const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// A look must not take more than this part of the time.
const SHARE: u32 = 20;
/// More memory than all processors of most machines fill in a second.
const BYTES_PER_SECOND: u64 = 8 << 30;

/// The launcher's view of a running sandbox.
#[derive(Debug)]
pub(crate) struct Watched {
    processes: Option<u64>,
    memory_bytes: Option<u64>,
    /// How many processes of ours are in the sandbox's control group: init, and the supervisor if there is one.
    own_processes: u64,
    socket: OwnedFd,
    proc: Option<OwnedFd>,
    tmpfs: Option<OwnedFd>,
    group: Option<ControlGroup>,
    next_look: Instant,
}

impl Watched {
    /// Returns the view of a sandbox that is about to start, and the socket by which its init process opens it.
    pub(crate) fn new(spec: &Spec) -> Result<(Self, OwnedFd), Failure> {
        let (ours, theirs) = sys::socket::pair().during(Step::OpenDescriptors)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).during(Step::OpenDescriptors)?;
        let watched = Self {
            processes: spec.process_limit(),
            memory_bytes: spec.memory_limit(),
            own_processes: 1 + u64::from(spec.is_supervised()),
            socket: ours,
            proc: None,
            tmpfs: None,
            group: None,
            next_look: Instant::now() + FIRST_LOOK,
        };
        Ok((watched, theirs))
    }

    /// Moves the first process into the sandbox's control group, if there is one, and returns what that holds.
    pub(crate) fn enter_group(&mut self, group: Option<ControlGroup>, first: Pid) -> Grouped {
        // A kernel that refuses is one without the group; what was made is removed.
        self.group = group.filter(|group| group.add(first).is_ok());
        let Some(group) = &self.group else {
            return Grouped::default();
        };
        if group.holds_memory {
            self.memory_bytes = None;
        }
        Grouped {
            is_in_group: true,
            processes: group.holds_processes,
            memory: group.holds_memory,
        }
    }

    /// Tells whether the kernel killed processes because their control group had too much memory.
    pub(crate) fn was_killed_for_memory(&self) -> bool {
        self.group
            .as_ref()
            .is_some_and(ControlGroup::killed_for_memory)
    }

    /// Tells whether the kernel refused processes because their control group had too many.
    pub(crate) fn was_refused_processes(&self) -> bool {
        self.group
            .as_ref()
            .is_some_and(ControlGroup::refused_processes)
    }

    /// Returns when to look next, if there is anything to look for.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let has_limits = self.processes.is_some() || self.memory_bytes.is_some();
        has_limits.then_some(self.next_look)
    }

    /// Looks, when it is time for it, and returns the limit that is exceeded.
    pub(crate) fn look(&mut self) -> Option<Limit> {
        let started = Instant::now();
        if self.next_look().is_none_or(|next_look| started < next_look) {
            return None;
        }
        self.receive();
        let tmpfs_bytes = self.tmpfs_usage().map_or(0, |usage| usage.bytes);
        let mut usage = self.usage(Count::Whole);
        if self.exceeded(usage, tmpfs_bytes) == Some(Limit::Memory) {
            usage = self.usage(Count::Shared);
        }
        self.next_look = started
            + self
                .pause(usage, tmpfs_bytes)
                .max(started.elapsed() * SHARE);
        self.exceeded(usage, tmpfs_bytes)
    }

    /// Tells whether nothing more goes into the temporary file systems.
    pub(crate) fn temporary_files_are_full(&mut self) -> bool {
        self.receive();
        self.tmpfs_usage().is_some_and(|usage| usage.full)
    }

    fn tmpfs_usage(&self) -> Option<TmpfsUsage> {
        tmpfs::usage(self.tmpfs.as_ref()?.as_fd()).ok()
    }

    fn usage(&self, count: Count) -> Usage {
        if let (Some(group), None) = (&self.group, self.memory_bytes)
            && group.holds_processes
        {
            return Usage {
                tasks: group
                    .processes()
                    .unwrap_or(0)
                    .saturating_sub(self.own_processes),
                memory_bytes: 0,
            };
        }
        // Without init, proc cannot be read: the sandbox is at its end.
        let usage = self
            .proc
            .as_ref()
            .map(|proc| usage::of_namespace(proc, count));
        usage.and_then(Result::ok).unwrap_or_default()
    }

    fn exceeded(&self, usage: Usage, tmpfs_bytes: u64) -> Option<Limit> {
        if self.processes.is_some_and(|most| usage.tasks > most) {
            return Some(Limit::Processes);
        }
        let memory_bytes = usage.memory_bytes.saturating_add(tmpfs_bytes);
        let exceeded = self.memory_bytes.is_some_and(|most| memory_bytes > most);
        exceeded.then_some(Limit::Memory)
    }

    /// Returns how long the sandbox cannot take to reach a limit.
    fn pause(&self, usage: Usage, tmpfs_bytes: u64) -> Duration {
        let Some(most) = self.memory_bytes else {
            return LONGEST_PAUSE;
        };
        let left = most.saturating_sub(usage.memory_bytes.saturating_add(tmpfs_bytes));
        let pause = Duration::from_micros(left / (BYTES_PER_SECOND / 1_000_000));
        pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    fn receive(&mut self) {
        let mut buffer = [0; 16];
        // Nothing yet, or nobody left: both mean that there is no more to see.
        while let Ok((count, Some(descriptor))) =
            sys::socket::receive(self.socket.as_fd(), &mut buffer)
        {
            match &buffer[..count] {
                PROC => self.proc = Some(descriptor),
                TMPFS => self.tmpfs = Some(descriptor),
                _ => {}
            }
        }
    }
}

/// Lets the launcher see the processes of the pid namespace that `proc` is of.
pub(crate) fn show_processes(socket: BorrowedFd<'_>, proc: BorrowedFd<'_>) -> Result<(), Failure> {
    sys::socket::send(socket, PROC, Some(proc)).during(Step::Watch)
}

/// Lets the launcher see how full a tmpfs is.
pub(crate) fn show_tmpfs(socket: BorrowedFd<'_>, tmpfs: BorrowedFd<'_>) -> Result<(), Failure> {
    sys::socket::send(socket, TMPFS, Some(tmpfs)).during(Step::Watch)
}
