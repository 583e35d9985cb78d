//! Runs one program in the sandbox: passes its output on, and makes a readable error of its failure.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use overcoat_sandbox::{Killer, Outcome, ProgramStatus, Spec};

use super::disk::Disk;
use super::limits::ReachedLimit;
use super::protection::Protection;
use super::{Error, Event, Observer};

/// Stops a build from another thread: running programs are killed and no further one is started.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<Mutex<InterruptState>>,
}

#[derive(Debug, Default)]
struct InterruptState {
    triggered: bool,
    running: Option<Killer>,
}

impl Interrupt {
    /// Stops the build.
    pub fn trigger(&self) {
        let mut state = self.lock();
        state.triggered = true;
        if let Some(killer) = state.running.take() {
            killer.kill();
        }
    }

    /// Fails when the build was told to stop.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.lock().triggered {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    fn running(&self, killer: Option<Killer>) {
        let mut state = self.lock();
        match killer {
            Some(killer) if state.triggered => killer.kill(),
            killer => state.running = killer,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InterruptState> {
        // The state is valid after every statement, so a panic elsewhere does not make it unusable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a program is run for, for events and errors.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    pub(super) image: &'a str,
    pub(super) step: &'a str,
    pub(super) protection: &'a Protection,
    pub(super) control_group: Option<&'a Path>,
    pub(super) disk: &'a Disk,
    pub(super) observer: &'a dyn Observer,
    pub(super) interrupt: &'a Interrupt,
}

impl Purpose<'_> {
    pub(super) fn started(&self) {
        self.observer.event(&Event::StepStarted {
            image: self.image,
            step: self.step,
        });
    }

    pub(super) fn progress(&self, item: &str, done: u64, total: u64) {
        self.observer.event(&Event::StepProgress {
            image: self.image,
            step: self.step,
            item,
            done,
            total,
        });
    }

    pub(super) fn output(&self, line: &str) {
        self.observer.event(&Event::StepOutput {
            image: self.image,
            step: self.step,
            line,
        });
    }

    /// Tells that the step is done; `cached` when the store had its result.
    pub(super) fn finished(&self, started: Instant, cached: bool) {
        let elapsed = started.elapsed();
        self.observer.event(&Event::StepFinished {
            image: self.image,
            step: self.step,
            elapsed,
            cached,
        });
    }
}

/// What a program that succeeded left behind.
pub(super) struct Finished {
    pub(super) stdout: String,
    pub(super) outcome: Outcome,
}

/// How much of a program's output is kept for a caller that reads it.
const STDOUT_LIMIT_BYTES: usize = 32 << 20;
/// How much of the end of its error output goes into an error.
pub(super) const STDERR_TAIL_BYTES: usize = 4 << 10;
/// Longer lines are passed on in pieces, so that a program cannot make us hold its output without end.
const LINE_LIMIT_BYTES: u64 = 16 << 10;

/// How much of a program's output is passed on: a flood of it is of use to nobody, and a log may be kept for long.
const SHOWN_LIMIT_BYTES: usize = 64 << 20;

/// Counts what was passed on of a program's output.
#[derive(Default)]
struct Shown(AtomicUsize);

impl Shown {
    /// Tells whether a line is to be passed on, and the person when it is the first that is not.
    fn more(&self, purpose: Purpose<'_>, line: &str) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        if before > SHOWN_LIMIT_BYTES {
            return false;
        }
        let now = self.0.fetch_add(line.len() + 1, Ordering::Relaxed) + line.len() + 1;
        if now <= SHOWN_LIMIT_BYTES {
            return true;
        }
        let text = format!(
            "the step `{}` prints more than {} MiB; the rest is not shown",
            purpose.step,
            SHOWN_LIMIT_BYTES >> 20
        );
        purpose.observer.event(&Event::Warning {
            image: purpose.image,
            text: &text,
        });
        false
    }
}

/// Runs `spec` to its end, giving each line of its output to `on_line`.
///
/// # Errors
/// [`Error::Sandbox`] when it cannot be started, [`Error::SandboxEnded`] when a part of it was killed (by a kernel out
/// of memory, for one), [`Error::LimitReached`] when it used too much, [`Error::ProgramFailed`] when it does not succeed,
/// [`Error::Interrupted`] when the build was stopped.
pub(super) fn run(
    purpose: Purpose<'_>,
    spec: &Spec,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Result<Finished, Error> {
    purpose.interrupt.check()?;
    let step = || purpose.step.to_owned();
    let places = purpose.disk.places(spec);
    let mut confined = purpose.protection.of(spec);
    if let Some(parent) = purpose.control_group {
        confined = confined.control_group(parent);
    }
    let mut running = confined.spawn().map_err(|source| match source {
        // Killed before it could say that the program runs: that is no fault of the host.
        overcoat_sandbox::Error::LauncherEnded { .. } | overcoat_sandbox::Error::Lost => {
            Error::SandboxEnded {
                step: step(),
                source,
            }
        }
        source => Error::Sandbox {
            step: step(),
            source,
        },
    })?;
    purpose.interrupt.running(Some(running.killer()));
    let (stdout, stderr) = (running.take_stdout(), running.take_stderr());
    let killer = running.killer();
    let shown = Shown::default();
    let mut stderr_tail = VecDeque::new();
    let (kept, outcome, filled) = std::thread::scope(|scope| {
        let (running_still, done) = mpsc::channel();
        let (places, shown) = (&places, &shown);
        let watching = scope.spawn(move || places.watch(&done, &killer));
        let tail = &mut stderr_tail;
        let errors = scope.spawn(move || {
            each_line(stderr, |line| {
                if shown.more(purpose, line) {
                    purpose.output(line);
                }
                keep_tail(tail, line.as_bytes(), STDERR_TAIL_BYTES);
                keep_tail(tail, b"\n", STDERR_TAIL_BYTES);
            });
        });
        let mut kept = String::new();
        each_line(stdout, |line| {
            if kept.len() + line.len() < STDOUT_LIMIT_BYTES {
                kept.push_str(line);
                kept.push('\n');
            }
            if shown.more(purpose, line) {
                on_line(line);
            }
        });
        errors.join().expect("reading lines does not panic");
        // A program may close its output and go on.
        let outcome = running.wait();
        drop(running_still);
        let filled = watching.join().expect("watching the disk does not panic");
        (kept, outcome, filled)
    });
    purpose.interrupt.running(None);
    purpose.interrupt.check()?;
    places.finish();
    let outcome = outcome.map_err(|source| Error::SandboxEnded {
        step: step(),
        source,
    })?;
    if outcome.status != ProgramStatus::Exited(0) {
        let stderr_tail = String::from_utf8_lossy(stderr_tail.make_contiguous()).into_owned();
        let command = quoted(displayed(spec.arguments()));
        let limit = filled
            .or_else(|| ReachedLimit::find(&spec.own_limits(), &outcome))
            .or_else(|| purpose.disk.full());
        return Err(match limit {
            Some(reached) => Error::LimitReached {
                step: step(),
                reached,
                command,
                status: outcome.status,
                stderr_tail,
            },
            None => Error::ProgramFailed {
                step: step(),
                command,
                status: outcome.status,
                stderr_tail,
                refused: outcome.refused,
            },
        });
    }
    Ok(Finished {
        stdout: kept,
        outcome,
    })
}

/// Returns what a person would have typed: of a script with a name (`sh -c SCRIPT NAME ARGUMENTS`), what follows it.
fn displayed(arguments: &[String]) -> &[String] {
    match arguments {
        [shell, option, _, named @ ..] if shell == "/bin/sh" && option == "-c" => named,
        all => all,
    }
}

/// Joins arguments so that a shell would take them apart again.
fn quoted(arguments: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    let quote = |argument: &String| match argument.is_empty() || !argument.bytes().all(plain) {
        true => format!("'{}'", argument.replace('\'', "'\\''")),
        false => argument.clone(),
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn each_line(source: Option<File>, mut on_line: impl FnMut(&str)) {
    let Some(source) = source else { return };
    let mut reader = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader
            .by_ref()
            .take(LINE_LIMIT_BYTES)
            .read_until(b'\n', &mut line)
        {
            // A read error on a pipe means that the program is gone; its status tells the rest.
            Ok(0) | Err(_) => return,
            Ok(_) => on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])),
        }
    }
}

/// Adds bytes to the end of what is kept of an output.
pub(super) fn keep_tail(tail: &mut VecDeque<u8>, bytes: &[u8], limit_bytes: usize) {
    tail.extend(bytes);
    let excess = tail.len().saturating_sub(limit_bytes);
    tail.drain(..excess);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use overcoat_sandbox::Strictness;

    use super::super::protection::Protection;
    use super::{
        Disk, Event, Interrupt, Observer, Purpose, SHOWN_LIMIT_BYTES, STDERR_TAIL_BYTES, Shown,
        displayed, keep_tail, quoted,
    };

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Observer for Warnings {
        fn event(&self, event: &Event<'_>) {
            if let Event::Warning { text, .. } = event {
                self.0.lock().unwrap().push((*text).to_owned());
            }
        }
    }

    #[test]
    fn a_flood_of_output_is_passed_on_in_part_and_said_once() {
        let observer = Warnings::default();
        let purpose = Purpose {
            image: "main",
            step: "install",
            protection: &Protection::new(Strictness::Required, None),
            control_group: None,
            disk: &Disk::new(None, "/".into()),
            observer: &observer,
            interrupt: &Interrupt::default(),
        };
        let shown = Shown::default();
        let line = "x".repeat(1023);
        let lines = SHOWN_LIMIT_BYTES >> 10;
        let passed = (0..lines * 2)
            .filter(|_| shown.more(purpose, &line))
            .count();
        assert_eq!(passed, lines);
        assert_eq!(
            *observer.0.lock().unwrap(),
            ["the step `install` prints more than 64 MiB; the rest is not shown"]
        );
    }

    #[test]
    fn commands_are_shown_as_typed_in_a_shell() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            quoted(&words(&["a", "b c", "d'e", ""])),
            "a 'b c' 'd'\\''e' ''"
        );
        let wrapped = words(&["/bin/sh", "-c", "exec \"$@\"", "apt-get", "update"]);
        assert_eq!(quoted(displayed(&wrapped)), "apt-get update");
    }

    #[test]
    fn only_the_end_of_the_error_output_is_kept() {
        let mut tail = VecDeque::new();
        for number in 0..1000 {
            let line = format!("line {number}\n");
            keep_tail(&mut tail, line.as_bytes(), STDERR_TAIL_BYTES);
        }
        assert!(tail.len() <= STDERR_TAIL_BYTES);
        assert!(tail.make_contiguous().ends_with(b"line 999\n"));
    }
}
