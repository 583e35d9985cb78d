//! What the steps of a build may use, and what is said when one of them uses more.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use overcoat_sandbox::{Limit, Outcome, ProgramStatus};

/// What a build may use. Only the person at the command line sets it, never a recipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// What each program that is run may use.
    pub step: overcoat_sandbox::Limits,
    /// What all layers of a build together may have on disk.
    pub disk_bytes: Option<u64>,
}

/// Several times a desktop's image with its debug information.
const DISK_BYTES: u64 = 64 << 30;

impl Limits {
    /// Returns bounds that honest builds keep within, and that this machine survives.
    pub fn for_this_machine() -> Self {
        Self {
            step: overcoat_sandbox::Limits::for_this_machine(),
            disk_bytes: Some(DISK_BYTES),
        }
    }

    /// Returns what the program of a step may use: what each may, or less time when its kind of step has less than usual.
    pub(super) fn of_step(&self, wall_clock: Duration) -> overcoat_sandbox::Limits {
        let usual = overcoat_sandbox::Limits::for_this_machine().wall_clock;
        let own = Some(wall_clock).filter(|own| Some(*own) < usual);
        overcoat_sandbox::Limits {
            wall_clock: [own, self.step.wall_clock].into_iter().flatten().min(),
            ..self.step
        }
    }
}

/// A limit that stopped a step, with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReachedLimit {
    Processes(u64),
    Memory(u64),
    /// The temporary file systems have half of this memory.
    TemporaryFiles(u64),
    FileSize(u64),
    Time(Duration),
    Disk {
        used_bytes: u64,
        limit_bytes: u64,
    },
    /// The number of files that goes with the limit of disk space.
    Files {
        limit: u64,
    },
    /// The file system itself is full, or nearly so.
    DiskFull {
        path: PathBuf,
        free_bytes: u64,
    },
}

impl ReachedLimit {
    /// Returns which of its `limits` a program ran into, as far as its outcome tells.
    pub fn find(limits: &overcoat_sandbox::Limits, outcome: &Outcome) -> Option<Self> {
        let limit = match outcome.status {
            ProgramStatus::TimedOut => return limits.wall_clock.map(Self::Time),
            ProgramStatus::LimitExceeded(limit) => limit,
            _ => *outcome.limits_reached.first()?,
        };
        match limit {
            Limit::Processes => limits.processes.map(Self::Processes),
            Limit::Memory => limits.memory_bytes.map(Self::Memory),
            Limit::TemporaryFiles => limits.memory_bytes.map(Self::TemporaryFiles),
            Limit::FileSize => limits.file_size_bytes.map(Self::FileSize),
            _ => None,
        }
    }

    /// Returns what the person can do about it.
    pub(super) fn hint(&self) -> String {
        let (name, more) = match self {
            Self::Processes(limit) => ("processes", limit.saturating_mul(2).to_string()),
            Self::Memory(limit) | Self::TemporaryFiles(limit) => {
                ("memory", typed(limit.saturating_mul(2)))
            }
            Self::FileSize(limit) => ("file-size", typed(limit.saturating_mul(2))),
            Self::Time(limit) => ("time", format!("{}s", limit.as_secs().saturating_mul(2))),
            Self::Disk { limit_bytes, .. } => ("disk", typed(limit_bytes.saturating_mul(2))),
            Self::Files { limit } => (
                "disk",
                typed(limit.saturating_mul(super::disk::BYTES_PER_FILE * 2)),
            ),
            Self::DiskFull { path, .. } => {
                return format!(
                    "make room on the file system of `{}`, or name a directory on another one with `CacheDirectory=`",
                    path.display()
                );
            }
        };
        format!(
            "if you trust the recipe and its packages, give them more, such as `--limit={name}={more}`"
        )
    }
}

impl fmt::Display for ReachedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes(limit) => {
                write!(f, "had more than the limit of {limit} processes at once")
            }
            Self::Memory(limit) => {
                write!(f, "used more than the limit of {} of memory", size(*limit))
            }
            Self::TemporaryFiles(limit) => write!(
                f,
                "filled its temporary file systems, which have half of the limit of {} of memory",
                size(*limit)
            ),
            Self::FileSize(limit) => {
                write!(f, "made a file larger than the limit of {}", size(*limit))
            }
            Self::Time(limit) => write!(f, "ran longer than the limit of {}", time(*limit)),
            Self::Disk {
                used_bytes,
                limit_bytes,
            } => write!(
                f,
                "made the build use {} of disk space, more than the limit of {}",
                size(*used_bytes),
                size(*limit_bytes)
            ),
            Self::Files { limit } => write!(
                f,
                "made the build have more than {limit} files, which goes with its limit of disk space"
            ),
            Self::DiskFull { path, free_bytes } => write!(
                f,
                "left {} free on the file system of `{}`",
                size(*free_bytes),
                path.display()
            ),
        }
    }
}

const UNITS: [(u64, &str, &str); 4] = [
    (1 << 40, "TiB", "T"),
    (1 << 30, "GiB", "G"),
    (1 << 20, "MiB", "M"),
    (1 << 10, "KiB", "K"),
];

/// Returns a size in the largest unit that it fills, with one decimal unless it is a whole number of it.
fn size(bytes: u64) -> String {
    match UNITS.iter().find(|(unit, ..)| bytes >= *unit) {
        Some((unit, name, _)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((unit, name, _)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

/// Returns a size as it is typed, rounded up.
fn typed(bytes: u64) -> String {
    match UNITS.iter().find(|(unit, ..)| bytes >= *unit) {
        Some((unit, _, suffix)) => format!("{}{suffix}", bytes.div_ceil(*unit)),
        None => bytes.to_string(),
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_with_their_values_and_options() {
        let gib = 1 << 30;
        for (reached, text, option) in [
            (
                ReachedLimit::Processes(8192),
                "had more than the limit of 8192 processes at once",
                "--limit=processes=16384",
            ),
            (
                ReachedLimit::Memory(8 * gib),
                "used more than the limit of 8 GiB of memory",
                "--limit=memory=16G",
            ),
            (
                ReachedLimit::TemporaryFiles(3 << 29),
                "filled its temporary file systems, which have half of the limit of 1.5 GiB of memory",
                "--limit=memory=3G",
            ),
            (
                ReachedLimit::FileSize(gib),
                "made a file larger than the limit of 1 GiB",
                "--limit=file-size=2G",
            ),
            (
                ReachedLimit::Time(Duration::from_secs(5400)),
                "ran longer than the limit of 90 min",
                "--limit=time=10800s",
            ),
            (
                ReachedLimit::Disk {
                    used_bytes: 70 * gib + (1 << 29),
                    limit_bytes: 64 * gib,
                },
                "made the build use 70.5 GiB of disk space, more than the limit of 64 GiB",
                "--limit=disk=128G",
            ),
            (
                ReachedLimit::Files { limit: 65536 },
                "made the build have more than 65536 files, which goes with its limit of disk space",
                "--limit=disk=2G",
            ),
            (
                ReachedLimit::DiskFull {
                    path: "/cache".into(),
                    free_bytes: 300 << 20,
                },
                "left 300 MiB free on the file system of `/cache`",
                "`CacheDirectory=`",
            ),
        ] {
            assert_eq!(reached.to_string(), text);
            assert!(reached.hint().contains(option), "{}", reached.hint());
        }
    }

    #[test]
    fn a_step_that_has_less_time_than_usual_keeps_it() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        let minute = Duration::from_secs(60);
        for (own, given, expected) in [
            (60 * minute, hours(2), hours(2)),
            (60 * minute, None, None),
            (minute, hours(2), Some(minute)),
            (minute, None, Some(minute)),
            (minute, Some(minute / 2), Some(minute / 2)),
        ] {
            let mut limits = Limits::for_this_machine();
            limits.step.wall_clock = given;
            let found = limits.of_step(own).wall_clock;
            assert_eq!(found, expected, "{own:?} {given:?}");
        }
    }

    #[test]
    fn sizes_and_times_are_said_as_a_person_would() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(typed((1 << 30) + 1), "2G");
        assert_eq!(time(Duration::from_secs(3600)), "1 h");
        assert_eq!(time(Duration::from_secs(61)), "61 s");
    }
}
