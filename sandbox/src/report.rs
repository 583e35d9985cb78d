//! What the processes of a sandbox tell each other: requests to the launcher, failures, and the outcome.
//!
//! Everything is JSON. Between the caller and the launcher each message has a length in front; the pipes inside the
//! launcher carry one line for each message. All lengths are bounded, because a message may quote untrusted names.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use nix::errno::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::{EnforcedLimit, Limit};
use crate::ownership::OwnerRecord;
use crate::spec::{Network, Spec};
use crate::sys::process::exit_now;

/// Exit status of a process of the launcher whose set-up failed. Nobody reads it: the report says more.
const SET_UP_FAILED: i32 = 125;

/// The longest message. Ownership records are the bulk: as many as are held fit, each with the longest path, of which
/// a byte takes up to four.
pub(crate) const LONGEST_MESSAGE: usize = 256 << 20;

/// What the caller asks of the launcher.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Request {
    Run(Box<Spec>),
    Probe {
        state_directory: PathBuf,
    },
    /// To enter a namespace of a range of ids, of which the launcher is the last process.
    TryRange,
}

/// What the launcher answers to [`Request::Run`]: `Started` and then one of the others, or `Failed` alone.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Answer {
    /// The program is about to be executed.
    Started(Enforcement),
    /// The sandbox could not be set up, or its recording failed.
    Failed(Failure),
    Finished {
        status: ProgramStatus,
        records: Vec<OwnerRecord>,
        refused: Vec<SocketAddr>,
        limits_reached: Vec<Limit>,
    },
    /// A process of the launcher ended without saying why.
    Lost,
}

/// A step of building the sandbox that failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
    /// The path, capability or option that the step was about.
    pub(crate) object: Option<String>,
    /// The kernel's own explanation, when it gives one.
    pub(crate) detail: Option<String>,
}

/// The steps of building a sandbox, in the order in which they are done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Step {
    ReadKernelVersion,
    SetAttribute,
    ReadSpec,
    OpenDescriptors,
    CloneNamespaces,
    MapIds,
    WatchParent,
    IsolateMounts,
    MakeRoot,
    OpenSource,
    FindMountPoint,
    MakeEntry,
    MountOverlay,
    MountFileSystem,
    MountProc,
    AttachMount,
    ProtectProc,
    EnterRoot,
    BringLoopbackUp,
    SetHostname,
    CloneProgram,
    StartSession,
    SetLimit,
    EnterWorkingDirectory,
    DropCapabilities,
    SetNoNewPrivileges,
    RequireLandlock,
    RestrictFiles,
    FilterCalls,
    PassListener,
    Supervise,
    AnswerConnections,
    Watch,
    Execute,
}

impl Step {
    /// Returns what the step does, as a fragment that an object may follow.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ReadKernelVersion => "finding the kernel new enough, which is",
            Self::SetAttribute => "setting a user extended attribute of",
            Self::ReadSpec => "reading the specification",
            Self::OpenDescriptors => "opening the launcher's descriptors",
            Self::CloneNamespaces => "making the namespaces",
            Self::MapIds => "mapping the user and group id",
            Self::WatchParent => "tying the process to its parent",
            Self::IsolateMounts => "cutting the mounts off from the host",
            Self::MakeRoot => "making the root",
            Self::OpenSource => "opening the source of a mount",
            Self::FindMountPoint => "finding or making the mount point",
            Self::MakeEntry => "making",
            Self::MountOverlay => "mounting the overlay on",
            Self::MountFileSystem => "mounting the file system on",
            Self::MountProc => "mounting proc on",
            Self::AttachMount => "attaching the mount on",
            Self::ProtectProc => "protecting",
            Self::EnterRoot => "entering the root",
            Self::BringLoopbackUp => "bringing the loopback interface up",
            Self::SetHostname => "setting the host name",
            Self::CloneProgram => "cloning the program's process",
            Self::StartSession => "starting a session",
            Self::SetLimit => "setting the resource limit",
            Self::EnterWorkingDirectory => "entering the working directory",
            Self::DropCapabilities => "dropping capabilities",
            Self::SetNoNewPrivileges => "setting no_new_privs",
            Self::RequireLandlock => "finding Landlock new enough, whose ABI is",
            Self::RestrictFiles => "restricting file access with Landlock",
            Self::FilterCalls => "installing the seccomp filter",
            Self::PassListener => "passing the seccomp listener",
            Self::Supervise => "recording ownership",
            Self::AnswerConnections => "answering connections",
            Self::Watch => "watching what the program uses",
            Self::Execute => "executing",
        }
    }
}

/// How the program ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramStatus {
    Exited(i32),
    Signaled(i32),
    /// The wall-clock limit of the specification passed.
    TimedOut,
    /// All processes were killed because together they used more than the specification lets them.
    LimitExceeded(Limit),
    /// A [`Killer`](crate::Killer) was used.
    Killed,
}

impl ProgramStatus {
    /// Says whether the program exited with status 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

/// What was enforced on the program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Enforcement {
    /// The Landlock ABI that was used, at most the newest that this crate knows; 0 when Landlock was not.
    pub landlock_abi: u32,
    /// Whether signals and abstract sockets of outside processes are out of reach by Landlock (ABI 6).
    pub landlock_scopes: bool,
    /// Whether a kernel older than this one was pretended, which only tests ask for.
    pub landlock_pretended: bool,
    /// What a promise needs and this kernel lacks; always empty unless best effort was asked for.
    pub missing: Vec<String>,
    pub network: Network,
    pub seccomp: bool,
    pub ownership_recorded: bool,
    pub sync_suppressed: bool,
    /// What holds the program to its limits.
    #[serde(default)]
    pub limits: Vec<EnforcedLimit>,
    /// The names of the capabilities that were left.
    pub capabilities: Vec<String>,
}

/// Names the step and the object of an error.
pub(crate) trait At<T> {
    fn at(self, step: Step, object: impl ToString) -> Result<T, Failure>;
    fn during(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: Step, object: impl ToString) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, &error.into()).about(object))
    }

    fn during(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, &error.into()))
    }
}

impl Failure {
    pub(crate) fn new(step: Step, error: &io::Error) -> Self {
        Self {
            step,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            object: None,
            detail: None,
        }
    }

    pub(crate) fn of(step: Step, errno: Errno) -> Self {
        Self::new(step, &errno.into())
    }

    /// Takes the errno from the sources of an error that is not one itself, and its message as the detail.
    pub(crate) fn from_chain(step: Step, error: &(dyn std::error::Error + 'static)) -> Self {
        let message = error.to_string();
        let mut source = Some(error);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return Self::new(step, io).explained(Some(message));
            }
            if let Some(errno) = error.downcast_ref::<Errno>() {
                return Self::of(step, *errno).explained(Some(message));
            }
            source = error.source();
        }
        Self::of(step, Errno::EPROTO).explained(Some(message))
    }

    pub(crate) fn about(mut self, object: impl ToString) -> Self {
        self.object = Some(object.to_string());
        self
    }

    pub(crate) fn explained(mut self, detail: Option<String>) -> Self {
        self.detail = detail;
        self
    }
}

/// Writes a message with its length in front.
pub(crate) fn write_framed(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(text);
    to.write_all(&frame)
}

/// Reads a message with its length in front; `None` when the other side closed before one began.
pub(crate) fn read_framed<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < length.len() {
        match from.read(&mut length[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > LONGEST_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Memory is taken as the message comes, not on the word of its length.
    let mut text = Vec::new();
    if from.take(length as u64).read_to_end(&mut text)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Writes a message as one line of a pipe.
pub(crate) fn write_line(to: BorrowedFd<'_>, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match nix::unistd::write(to, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Runs one of the launcher's cloned processes: reports its failure, and never returns into the frames that were
/// copied from its parent.
pub(crate) fn run_process(
    report: BorrowedFd<'_>,
    body: impl FnOnce() -> Result<Infallible, Failure>,
) -> ! {
    let result = catch_unwind(AssertUnwindSafe(body));
    if let Ok(Err(failure)) = result {
        // When nobody listens any more, the exit status alone has to do.
        let _ = write_line(report, &Answer::Failed(failure));
    }
    exit_now(SET_UP_FAILED)
}

#[cfg(test)]
mod tests {
    use super::{Answer, read_framed};

    #[test]
    fn a_length_without_its_message_is_an_end() {
        let longest = (256_u32 << 20).to_le_bytes();
        let kind_of = |bytes: &[u8]| read_framed::<Answer>(bytes).unwrap_err().kind();
        assert_eq!(kind_of(&longest), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(&longest[..3]), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(kind_of(&[0xff; 4]), std::io::ErrorKind::InvalidData);
        assert!(read_framed::<Answer>(&[][..]).unwrap().is_none());
    }
}
