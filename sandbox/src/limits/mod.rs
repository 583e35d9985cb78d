//! Bounds on what a program may use, and who holds it to them.
//!
//! The kernel does where it can: resource limits, the size of the temporary file systems, the largest process id of the
//! pid namespace (Linux 6.14), and a control group where one is delegated. The launcher looks at the rest from outside,
//! a few times a second, and ends the sandbox that uses more.

pub(crate) mod cgroup;
pub(crate) mod processes;
pub(crate) mod tmpfs;
pub(crate) mod usage;
pub(crate) mod watch;

pub use self::cgroup::delegated_control_group;
pub use self::tmpfs::TmpfsLimits;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::Spec;

/// What a program may use; `None` is without bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Processes and threads at the same time.
    pub processes: Option<u64>,
    /// Memory of all processes and of the temporary file systems, of which these may have half.
    pub memory_bytes: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Bytes of each file, also of sparse ones.
    pub file_size_bytes: Option<u64>,
    /// Time by the clock.
    pub wall_clock: Option<Duration>,
}

/// A bound that a program has reached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Limit {
    Processes,
    Memory,
    /// The temporary file systems are full, which have half of the memory.
    TemporaryFiles,
    OpenFiles,
    FileSize,
    WallClock,
}

/// A bound, and what holds a program to it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EnforcedLimit {
    pub limit: Limit,
    pub by: LimitMechanism,
}

/// What holds a program to a [`Limit`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LimitMechanism {
    ControlGroup,
    /// The largest process id of the pid namespace, and the launcher, which looks at what runs.
    PidNamespace,
    /// The launcher, which looks at what runs a few times a second.
    Watch,
    ResourceLimit,
    FileSystem,
}

/// What holds a program to the limits for which the host decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mechanisms {
    pub(crate) processes: LimitMechanism,
    pub(crate) memory: LimitMechanism,
}

/// What a control group holds a sandbox to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Grouped {
    pub(crate) is_in_group: bool,
    pub(crate) processes: bool,
    pub(crate) memory: bool,
}

impl Grouped {
    /// Returns it as the byte in which the launcher tells the first process.
    pub(crate) fn to_byte(self) -> u8 {
        u8::from(self.is_in_group) | u8::from(self.processes) << 1 | u8::from(self.memory) << 2
    }

    pub(crate) fn from_byte(byte: u8) -> Self {
        Self {
            is_in_group: byte & 1 != 0,
            processes: byte & 2 != 0,
            memory: byte & 4 != 0,
        }
    }

    /// Tells whether something is left that has to be looked for in the processes.
    pub(crate) fn leaves_something(self, spec: &Spec) -> bool {
        spec.process_limit().is_some() && !self.processes
            || spec.memory_limit().is_some() && !self.memory
    }
}

/// Builds of large programs with a process for each processor stay far below.
const PROCESSES: u64 = 8192;
/// Package managers of some distributions need more than 1024.
pub(crate) const OPEN_FILES: u64 = 65536;
/// Several times the largest files that builds make: disk images, debug information.
const FILE_SIZE_BYTES: u64 = 64 << 30;
/// A package that waits for input must not hold a build for ever.
const WALL_CLOCK: Duration = Duration::from_secs(60 * 60);

impl Limits {
    /// Returns bounds that every honest build step keeps within, and that this machine survives.
    #[must_use]
    pub fn for_this_machine() -> Self {
        Self {
            processes: Some(PROCESSES),
            // The rest is the host's own.
            memory_bytes: total_memory_bytes().map(|bytes| bytes / 10 * 9),
            open_files: Some(OPEN_FILES),
            file_size_bytes: Some(FILE_SIZE_BYTES),
            wall_clock: Some(WALL_CLOCK),
        }
    }
}

fn total_memory_bytes() -> Option<u64> {
    nix::sys::sysinfo::sysinfo()
        .ok()
        .map(|system| system.ram_total())
}
