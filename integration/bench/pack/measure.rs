//! What a program and all that it starts take: a process of its own waits for them and says what the kernel counted.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measured::{Failure, children, processor_time};

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) clock: Duration,
    pub(crate) processor: Duration,
    /// The largest resident set of any of the processes.
    pub(crate) peak_memory_bytes: u64,
}

/// A command line and its environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Program {
    /// Runs it below [`wait_for`].
    pub(crate) fn run(&self) -> Result<Cost, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--wait-for").args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.stderr(Stdio::piped()).output()?;
        let report = String::from_utf8(output.stdout)?;
        let numbers: Vec<u64> = report.split_whitespace().flat_map(str::parse).collect();
        match (output.status.success(), numbers.as_slice()) {
            (true, [clock, processor, memory]) => Ok(Cost {
                clock: Duration::from_micros(*clock),
                processor: Duration::from_micros(*processor),
                peak_memory_bytes: *memory,
            }),
            _ => Err(format!(
                "`{}` failed: {}{report}",
                self.arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            )
            .into()),
        }
    }
}

/// Runs a command line and returns microseconds by the clock and of the processors, and the peak of memory in bytes.
pub(crate) fn wait_for(arguments: &[String]) -> Result<String, Failure> {
    let (program, rest) = arguments.split_first().ok_or("no program")?;
    let begin = Instant::now();
    let output = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .output()?;
    let clock = begin.elapsed();
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said)).into());
    }
    let usage = children()?;
    let processor = processor_time(&usage)?.as_micros();
    let kibibytes = u64::try_from(usage.max_rss())?;
    Ok(format!(
        "{} {processor} {}",
        clock.as_micros(),
        kibibytes * 1024
    ))
}
