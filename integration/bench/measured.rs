//! What the benchmarks share: how they start and end, the time that processors took, and the middle of many times.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};

/// Why nothing was measured: the person who measures reads it, and nothing else does.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Calls `measure` with the command line, and says what failed.
pub(crate) fn run(measure: impl FnOnce(&[String]) -> Result<(), Failure>) -> ExitCode {
    // Cargo passes `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what all children that have ended took.
pub(crate) fn children() -> Result<Usage, Failure> {
    Ok(getrusage(UsageWho::RUSAGE_CHILDREN)?)
}

/// Returns the CPU time of a usage.
pub(crate) fn processor_time(usage: &Usage) -> Result<Duration, Failure> {
    let microseconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .iter()
        .sum::<i64>();
    Ok(Duration::from_micros(microseconds.try_into()?))
}

/// Returns the middle one of `values`, the default where there is none.
pub(crate) fn median<T: Ord + Default>(values: impl IntoIterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.into_iter().collect();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    sorted.into_iter().nth(middle).unwrap_or_default()
}
