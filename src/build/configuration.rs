//! Runs the executable files of a configuration, which see the recipe's directory and nothing else of the caller.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use overcoat_sandbox::{IdMapping, ProgramStatus, Running, Spec, Strictness};

use super::policy::{self, Host, Places, SOURCES, StepKind};
use super::run::{STDERR_TAIL_BYTES, keep_tail};
use super::{Error, Limits};
use crate::recipe::{ConfigurationProgram, ConfigurationPrograms};

/// What a value is printed with in any case; more is a mistake.
const OUTPUT_LIMIT_BYTES: usize = 64 << 10;

const STEP: &str = "configuration";

/// Runs each program in a sandbox of its own: no network, no variables of the caller, nothing that it could write to
/// but empty directories.
#[derive(Clone, Copy, Debug)]
pub struct SandboxedPrograms {
    pub strictness: Strictness,
}

impl SandboxedPrograms {
    /// Runs nothing where the host enforces less than is promised.
    pub const STRICT: Self = Self {
        strictness: Strictness::Required,
    };
}

impl ConfigurationPrograms for SandboxedPrograms {
    fn output(
        &self,
        program: &ConfigurationProgram<'_>,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(run(&spec(program).strictness(self.strictness))?)
    }
}

fn spec(program: &ConfigurationProgram<'_>) -> Spec {
    let path = inside(program, program.path).unwrap_or_else(|| SOURCES.into());
    let places = Places {
        sources: Some(program.directory.to_owned()),
        ..Places::default()
    };
    let spec = policy::spec(
        policy::policy(StepKind::Configuration),
        vec![path.display().to_string()],
        &Host::here(),
        &places,
        IdMapping::Single,
        // The person's own bounds are for builds; reading a recipe needs no more than any machine has.
        &Limits::for_this_machine(),
    )
    .working_directory(path.parent().unwrap_or(Path::new(SOURCES)));
    let hidden = program.hidden.iter();
    // A file that prints a secret holds it, and has to be there to be run.
    hidden
        .filter(|hidden| hidden.as_path() != program.path)
        .filter_map(|hidden| inside(program, hidden))
        .fold(spec, Spec::mask)
}

/// Returns where a program finds a path; `None` for the directory itself and what is not in it.
fn inside(program: &ConfigurationProgram<'_>, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(program.directory).ok()?;
    (!below.as_os_str().is_empty()).then(|| Path::new(SOURCES).join(below))
}

/// Runs a program to its end, without a thread: the caller may have to enter a namespace afterwards, which the kernel
/// refuses to a process with threads, and one that was joined may not be gone yet.
fn run(spec: &Spec) -> Result<Vec<u8>, Error> {
    let step = || STEP.to_owned();
    let mut running = spec.spawn().map_err(|source| Error::Sandbox {
        step: step(),
        source,
    })?;
    let (output, stderr_tail) = read(&mut running)?;
    let outcome = running.wait().map_err(|source| Error::SandboxEnded {
        step: step(),
        source,
    })?;
    if outcome.status == ProgramStatus::Exited(0) {
        return Ok(output);
    }
    Err(Error::ProgramFailed {
        step: step(),
        command: spec.arguments().join(" "),
        status: outcome.status,
        stderr_tail: String::from_utf8_lossy(&stderr_tail).trim_end().to_owned(),
        refused: Vec::new(),
    })
}

/// Reads both outputs to their ends: all of the first, and the end of the second.
fn read(running: &mut Running) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let failed = |source: std::io::Error| Error::ReadOutput {
        step: STEP.to_owned(),
        source,
    };
    let mut pipes = [running.take_stdout(), running.take_stderr()];
    let (mut output, mut tail) = (Vec::new(), VecDeque::new());
    let mut buffer = vec![0; 16 << 10];
    while pipes.iter().any(Option::is_some) {
        for index in readable(&pipes).map_err(|errno| failed(errno.into()))? {
            let Some(pipe) = &mut pipes[index] else {
                continue;
            };
            let length = pipe.read(&mut buffer).map_err(failed)?;
            match (length, index) {
                (0, _) => pipes[index] = None,
                (_, 0) => output.extend_from_slice(&buffer[..length]),
                _ => keep_tail(&mut tail, &buffer[..length], STDERR_TAIL_BYTES),
            }
        }
        if output.len() > OUTPUT_LIMIT_BYTES {
            return Err(Error::TooMuchOutput {
                step: STEP.to_owned(),
                limit_bytes: OUTPUT_LIMIT_BYTES,
            });
        }
    }
    Ok((output, tail.into()))
}

/// Waits until pipes have something to read or are at their end, and returns which.
fn readable(pipes: &[Option<File>; 2]) -> nix::Result<Vec<usize>> {
    let open = pipes.iter().enumerate();
    let open: Vec<(usize, &File)> = open
        .filter_map(|(index, pipe)| Some((index, pipe.as_ref()?)))
        .collect();
    let mut polled: Vec<PollFd<'_>> = open
        .iter()
        .map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
        .collect();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let indices = open.iter().map(|(index, _)| *index);
    Ok(indices
        .zip(&polled)
        .filter(|(_, polled)| polled.any().unwrap_or(false))
        .map(|(index, _)| index)
        .collect())
}
