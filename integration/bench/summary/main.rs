//! Measures what `overcoat summary --json` costs on a recipe of 50 images in 500 files and a few that they share:
//!
//! ```text
//! cargo bench --features integration --bench summary -- [ROUNDS [PROGRAM]]
//! ```
//!
//! PROGRAM is another one that reads such recipes, such as mkosi. Each of the ROUNDS (default: 100) runs both in the
//! recipe's directory as `PROGRAM summary --json`, in turn and in changing order, so that what else the machine does is
//! spread over both. The aim is a median below 30 ms.
#![expect(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

#[path = "../measured.rs"]
mod measured;
mod recipe;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use self::measured::{Failure, children, median, processor_time};

const ROUNDS: usize = 100;

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    clock: Duration,
    processor: Duration,
}

#[derive(Debug)]
struct Contestant {
    program: String,
    costs: Vec<Cost>,
}

fn main() -> ExitCode {
    measured::run(measure)
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    let rounds = arguments.first().map_or(Ok(ROUNDS), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let files = recipe::write(directory.path())?;
    let ours = env!("CARGO_BIN_EXE_overcoat").to_owned();
    let mut contestants: Vec<Contestant> = std::iter::once(ours)
        .chain(arguments.get(1).cloned())
        .map(|program| Contestant {
            program,
            costs: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        let count = contestants.len();
        for turn in 0..count {
            let contestant = &mut contestants[(round + turn) % count];
            let cost = contestant.run(directory.path())?;
            contestant.costs.push(cost);
        }
    }
    println!(
        "{} images in {files} files, {rounds} rounds, median and minimum in milliseconds:",
        recipe::IMAGES
    );
    report("clock", &contestants, |cost| cost.clock);
    report("processor", &contestants, |cost| cost.processor);
    Ok(())
}

impl Contestant {
    fn run(&self, directory: &Path) -> Result<Cost, Failure> {
        let (before, started) = (processor_time(&children()?)?, Instant::now());
        let output = Command::new(&self.program)
            .args(["summary", "--json"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()?;
        let clock = started.elapsed();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{}` failed: {errors}", self.program).into());
        }
        Ok(Cost {
            clock,
            processor: processor_time(&children()?)? - before,
        })
    }

    /// Returns the median and the minimum of one measure, in milliseconds.
    fn summary(&self, of: fn(&Cost) -> Duration) -> (f64, f64) {
        let milliseconds = |value: Duration| value.as_secs_f64() * 1000.0;
        let least = self.costs.iter().map(of).min().unwrap_or_default();
        (
            milliseconds(median(self.costs.iter().map(of))),
            milliseconds(least),
        )
    }
}

fn report(measure: &str, contestants: &[Contestant], of: fn(&Cost) -> Duration) {
    let summaries: Vec<(f64, f64)> = contestants
        .iter()
        .map(|contestant| contestant.summary(of))
        .collect();
    for (contestant, (median, minimum)) in contestants.iter().zip(&summaries) {
        let name = Path::new(&contestant.program).file_name();
        let name = name.unwrap_or_default().to_string_lossy();
        println!("  {measure:<10} {name:<18} {median:>8.2} {minimum:>8.2}");
    }
    if let [ours, theirs] = summaries[..] {
        let (median, minimum) = (ours.0 / theirs.0, ours.1 / theirs.1);
        println!(
            "  {measure:<10} {:<18} {median:>8.3} {minimum:>8.3}",
            "ratio"
        );
    }
}
