//! Running a specification from a process that may have threads: everything delicate happens in the launcher.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use crate::error::Error;
use crate::launcher;
use crate::limits::Limit;
use crate::ownership::OwnerRecord;
use crate::report::{Answer, Enforcement, ProgramStatus, Request, read_framed, write_framed};
use crate::spec::{Spec, StandardInput};

/// A program that runs confined. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    launcher: Child,
    control: Arc<UnixStream>,
    stdout: Option<File>,
    stderr: Option<File>,
    enforcement: Enforcement,
}

/// Ends a running program from anywhere.
#[derive(Clone, Debug)]
pub struct Killer {
    control: Arc<UnixStream>,
}

/// How a program ended, and what was true of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    pub status: ProgramStatus,
    pub enforcement: Enforcement,
    /// Owners of entries that cannot carry extended attributes: links, sockets and pipes.
    pub records: Vec<OwnerRecord>,
    /// The first addresses that a scoped network refused.
    pub refused: Vec<SocketAddr>,
    /// Limits that were reached, of a program that did not succeed: they may be why.
    pub limits_reached: Vec<Limit>,
}

impl Spec {
    /// Builds the sandbox and executes the program in it. Failures of either are returned here.
    ///
    /// The program's standard input is empty. Its output waits in pipes, so it must be read.
    pub fn spawn(&self) -> Result<Running, Error> {
        let mut spec = self.for_launcher()?;
        spec.input = StandardInput::Empty;
        let request = Request::Run(Box::new(spec));
        let (mut launcher, control) = start_launcher(&request, Stdio::piped)?;
        let stdout = launcher.stdout.take().map(OwnedFd::from).map(File::from);
        let stderr = launcher.stderr.take().map(OwnedFd::from).map(File::from);
        let enforcement = match receive(&control, &mut launcher)? {
            Answer::Started(enforcement) => enforcement,
            other => {
                reap(&control, &mut launcher);
                return Err(unexpected(other));
            }
        };
        Ok(Running {
            launcher,
            control: Arc::new(control),
            stdout,
            stderr,
            enforcement,
        })
    }
}

impl Running {
    /// Takes the reader of the program's standard output; none the second time.
    pub fn take_stdout(&mut self) -> Option<File> {
        self.stdout.take()
    }

    /// Takes the reader of the program's standard error; none the second time.
    pub fn take_stderr(&mut self) -> Option<File> {
        self.stderr.take()
    }

    /// Returns what is enforced on the program.
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Returns a handle that ends the program and all its children.
    pub fn killer(&self) -> Killer {
        Killer {
            control: Arc::clone(&self.control),
        }
    }

    /// Waits until the program and all its children are gone. Output that was not taken is thrown away.
    pub fn wait(mut self) -> Result<Outcome, Error> {
        let unread = [self.stdout.take(), self.stderr.take()];
        let answer = thread::scope(|scope| {
            for mut output in unread.into_iter().flatten() {
                // The count of what nobody wanted, or why it could not be read, interests nobody either.
                scope.spawn(move || drop(io::copy(&mut output, &mut io::sink())));
            }
            receive(&self.control, &mut self.launcher)
        })?;
        match answer {
            Answer::Finished {
                status,
                records,
                refused,
                limits_reached,
            } => Ok(Outcome {
                status,
                enforcement: self.enforcement.clone(),
                records,
                refused,
                limits_reached,
            }),
            other => Err(unexpected(other)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        reap(&self.control, &mut self.launcher);
    }
}

impl Killer {
    /// Kills the program and all its children. [`Running::wait`] then returns [`ProgramStatus::Killed`], unless the
    /// program has ended before.
    pub fn kill(&self) {
        // The launcher takes the end of the stream as the order. When it has gone already, all is done.
        let _ = self.control.shutdown(Shutdown::Write);
    }
}

/// Starts this program again as the launcher, and sends it the request.
pub(crate) fn start_launcher(
    request: &Request,
    output: impl Fn() -> Stdio,
) -> Result<(Child, UnixStream), Error> {
    let start = |source| Error::StartLauncher { source };
    let (ours, theirs) = UnixStream::pair().map_err(start)?;
    let mut launcher = Command::new("/proc/self/exe")
        .arg0(launcher::NAME)
        .env_clear()
        .current_dir("/")
        // Signals of the terminal go to the caller alone, which decides what becomes of the sandbox.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(output())
        .stderr(output())
        .spawn()
        .map_err(start)?;
    if let Err(source) = write_framed(&ours, request) {
        reap(&ours, &mut launcher);
        return Err(Error::Launcher { source });
    }
    Ok((launcher, ours))
}

/// Reads the next answer; its absence is explained by how the launcher ended.
pub(crate) fn receive<T: serde::de::DeserializeOwned>(
    control: &UnixStream,
    launcher: &mut Child,
) -> Result<T, Error> {
    match read_framed(control) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            let status = launcher
                .wait()
                .map_err(|source| Error::Launcher { source })?;
            Err(Error::LauncherEnded { status })
        }
        Err(source) => {
            reap(control, launcher);
            Err(Error::Launcher { source })
        }
    }
}

/// Tells the launcher to end everything, and waits for it.
pub(crate) fn reap(control: &UnixStream, launcher: &mut Child) {
    let _ = control.shutdown(Shutdown::Both);
    // It is our child and nobody else waits for it; a failure would mean that it is gone already.
    let _ = launcher.wait();
}

pub(crate) fn unexpected(answer: Answer) -> Error {
    match answer {
        Answer::Failed(failure) => failure.into(),
        Answer::Lost | Answer::Started(_) | Answer::Finished { .. } => Error::Lost,
    }
}
