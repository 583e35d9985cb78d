//! Measures what recording ownership costs, in CPU time, against the same work with a range of real ids:
//!
//! ```text
//! cargo bench --features integration --bench recorder -- [DIRECTORY [ROUNDS [WORKLOAD...]]]
//! ```
//!
//! DIRECTORY is where trees and packages are kept for the next time; a tmpfs, so that no disk is measured (default:
//! `/dev/shm/overcoat-bench`). Each of the ROUNDS (default: 7) runs every mode once, in turn, so that what else the
//! machine does is spread over all. Workloads are `install` (Debian packages with daemons and users of their own),
//! `install-compiler`, and `compile` (`./configure && make` of GNU hello); all of them without one.
//!
//! CPU time is that of all processes of a sandbox, launcher and supervisor included. A ratio is the median of a
//! mode's times by the median with real ids. Run it as root, which has a range of ids without `newuidmap`.
#![expect(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

#[path = "../measured.rs"]
mod measured;
mod prepare;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use overcoat_sandbox::{OwnershipRecording, Spec};

use self::measured::{Failure, children, median, processor_time};
use self::prepare::Store;
use self::work::Workload;

/// One way to have owners.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    name: &'static str,
    ownership: OwnershipRecording,
    ids: Ids,
}

/// Who the trees of a mode belong to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ids {
    Real,
    Recorded,
}

/// The reference comes first.
const MODES: [Mode; 3] = [
    Mode {
        name: "range",
        ownership: OwnershipRecording::Devices,
        ids: Ids::Real,
    },
    Mode {
        name: "record",
        ownership: OwnershipRecording::Record,
        ids: Ids::Recorded,
    },
    Mode {
        name: "record-and-answer",
        ownership: OwnershipRecording::RecordAndAnswer,
        ids: Ids::Recorded,
    },
];

const DIRECTORY: &str = "/dev/shm/overcoat-bench";
const ROUNDS: usize = 7;

impl Mode {
    pub(crate) fn apply(self, spec: Spec) -> Spec {
        let spec = spec.ownership(self.ownership);
        match self.ids {
            Ids::Real => spec.map_range(),
            Ids::Recorded => spec,
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = overcoat_sandbox::become_launcher_if_asked() {
        return code;
    }
    measured::run(measure)
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    let mut arguments = arguments.iter();
    let directory = PathBuf::from(arguments.next().map_or(DIRECTORY, String::as_str));
    let rounds = match arguments.next() {
        Some(number) => number.parse()?,
        None => ROUNDS,
    };
    let named: Vec<&String> = arguments.collect();
    let store = Store::open(&directory)?;
    for workload in Workload::all() {
        if named.is_empty() || named.iter().any(|name| *name == workload.name) {
            compare(&store, workload, rounds)?;
        }
    }
    Ok(())
}

fn compare(store: &Store, workload: &Workload, rounds: usize) -> Result<(), Failure> {
    for mode in MODES {
        workload.prepare(store, mode)?;
    }
    let mut times = MODES.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..MODES.len() {
            // Each mode goes first as often as the others, so that what the one before leaves behind is shared, too.
            let index = (round + turn) % MODES.len();
            let spec = workload.spec(store, MODES[index])?;
            let before = consumed()?;
            work::run(&spec)?;
            times[index].push(consumed()? - before);
        }
    }
    println!("{}, {rounds} rounds:", workload.name);
    let reference = median(times[0].iter().copied());
    for (mode, times) in MODES.into_iter().zip(&mut times) {
        times.sort_unstable();
        let median = median(times.iter().copied());
        println!(
            "  {:<18} {:>7.3} s ({:.3} to {:.3})  ratio {:.3}",
            mode.name,
            median.as_secs_f64(),
            times[0].as_secs_f64(),
            times[times.len() - 1].as_secs_f64(),
            median.as_secs_f64() / reference.as_secs_f64(),
        );
    }
    Ok(())
}

/// Returns the CPU time of all children that have ended.
fn consumed() -> Result<Duration, Failure> {
    processor_time(&children()?)
}
