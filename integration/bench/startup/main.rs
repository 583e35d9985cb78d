//! Measures what starting `overcoat sandbox -- /bin/true` costs, against bubblewrap with as many namespaces and much
//! the same mounts:
//!
//! ```text
//! cargo bench --features integration --bench startup -- [ROUNDS [USER_ID]]
//! ```
//!
//! Ours has Landlock, the seccomp filter, cut capabilities and a covered proc as well; bubblewrap (`bwrap`, from the
//! Debian package `bubblewrap`) is told to have none of its own accord. Each of the ROUNDS (default: 300) runs both, in
//! turn and in changing order, so that what else the machine does is spread over both. Root can measure as another
//! user.
//!
//! A run ends when no process of it is left, which this program makes sure of as the reaper of all orphans: the time by
//! the clock includes taking the namespaces down as far as processes wait for it, and CPU time is that of all of them.
#![expect(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

#[path = "../measured.rs"]
mod measured;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use self::measured::{Failure, children, median, processor_time};

const ROUNDS: usize = 300;
const PROGRAM: &str = "/bin/true";

const BUBBLEWRAP: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--ro-bind",
    "/usr",
    "/usr",
    "--ro-bind",
    "/etc/alternatives",
    "/etc/alternatives",
    "--ro-bind",
    "/etc/ld.so.cache",
    "/etc/ld.so.cache",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--tmpfs",
    "/var",
    "--tmpfs",
    "/run",
];

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    clock: Duration,
    processor: Duration,
}

/// One of the two.
#[derive(Debug)]
struct Contestant {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
    costs: Vec<Cost>,
}

fn main() -> ExitCode {
    measured::run(measure)
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    let rounds = arguments.first().map_or(Ok(ROUNDS), |text| text.parse())?;
    let user = arguments.get(1).map(|text| text.parse()).transpose()?;
    set_child_subreaper(true)?;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut bubblewrap = words(BUBBLEWRAP);
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if let Ok(target) = fs_err::read_link(Path::new("/").join(name)) {
            bubblewrap.extend(words(&["--symlink", &target.to_string_lossy()]));
            bubblewrap.push(format!("/{name}"));
        }
    }
    bubblewrap.extend(words(&["--", PROGRAM]));
    let mut contestants = [
        Contestant {
            name: "overcoat sandbox",
            program: env!("CARGO_BIN_EXE_overcoat").to_owned(),
            arguments: words(&["sandbox", "--", PROGRAM]),
            costs: Vec::new(),
        },
        Contestant {
            name: "bwrap",
            program: "bwrap".to_owned(),
            arguments: bubblewrap,
            costs: Vec::new(),
        },
    ];
    for round in 0..rounds {
        for turn in 0..2 {
            let contestant = &mut contestants[(round + turn) % 2];
            let cost = contestant.run(user)?;
            contestant.costs.push(cost);
        }
    }
    println!("{rounds} rounds, median and minimum in milliseconds:");
    let [ours, theirs] = contestants;
    compare("clock", &ours, &theirs, |cost| cost.clock);
    compare("processor", &ours, &theirs, |cost| cost.processor);
    Ok(())
}

impl Contestant {
    fn run(&self, user: Option<u32>) -> Result<Cost, Failure> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let (before, started) = (consumed()?, Instant::now());
        let child = command.spawn()?;
        let child = Pid::from_raw(i32::try_from(child.id())?);
        let mut succeeded = false;
        loop {
            match waitpid(None, None) {
                Ok(WaitStatus::Exited(pid, code)) if pid == child => succeeded = code == 0,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        if !succeeded {
            return Err(format!("`{}` failed", self.program).into());
        }
        Ok(Cost {
            clock: started.elapsed(),
            processor: consumed()? - before,
        })
    }

    /// Returns the median and the minimum of one measure, in milliseconds.
    fn summary(&self, of: fn(&Cost) -> Duration) -> (f64, f64) {
        let values = || self.costs.iter().map(of);
        let milliseconds = |value: Duration| value.as_secs_f64() * 1000.0;
        (
            milliseconds(median(values())),
            milliseconds(values().min().unwrap_or_default()),
        )
    }
}

fn compare(measure: &str, ours: &Contestant, theirs: &Contestant, of: fn(&Cost) -> Duration) {
    let summaries = [ours, theirs].map(|contestant| (contestant.name, contestant.summary(of)));
    for (name, (median, minimum)) in summaries {
        println!("  {measure:<10} {name:<18} {median:>7.2} {minimum:>7.2}");
    }
    let [(_, ours), (_, theirs)] = summaries;
    let (median, minimum) = (ours.0 / theirs.0, ours.1 / theirs.1);
    println!(
        "  {measure:<10} {:<18} {median:>7.2} {minimum:>7.2}",
        "ratio"
    );
}

/// Returns the CPU time of all children that have ended.
fn consumed() -> Result<Duration, Failure> {
    processor_time(&children()?)
}
