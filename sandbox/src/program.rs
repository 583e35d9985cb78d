//! The program's process: gives up what the program must not have, in an order in which each step still can, and
//! executes the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, fstat, makedev, umask};
use nix::unistd::{AccessFlags, access, chdir, dup2_stdin, execve, pipe2, setsid};
use oci_spec::runtime as oci;

use crate::init::{self, Said};
use crate::limits::Mechanisms;
use crate::report::{Answer, At, Enforcement, Failure, Step, run_process, write_line};
use crate::spec::{OwnershipRecording, Spec, StandardInput};
use crate::{caps, landlock, rlimits, seccomp, sys};

/// Where a program without a slash in its name is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Confines the process that was cloned for the program, and executes the program.
pub(crate) fn run(
    spec: &Spec,
    mechanisms: Mechanisms,
    report: BorrowedFd<'_>,
    supervisor: Option<BorrowedFd<'_>>,
) -> ! {
    run_process(report, || {
        let process = spec
            .oci
            .process()
            .as_ref()
            .ok_or_else(|| Failure::of(Step::ReadSpec, Errno::EINVAL))?;
        let program = Program::new(process)?;
        let enforcement = confine(spec, process, mechanisms, supervisor)?;
        write_line(report, &Answer::Started(enforcement)).during(Step::Execute)?;
        sys::fds::set_all_close_on_exec().during(Step::OpenDescriptors)?;
        match &spec.seccomp_profile {
            Some(profile) => program.execute_under(profile),
            None => program.execute(),
        }
    })
}

fn confine(
    spec: &Spec,
    process: &oci::Process,
    mechanisms: Mechanisms,
    supervisor: Option<BorrowedFd<'_>>,
) -> Result<Enforcement, Failure> {
    // A session of its own has no controlling terminal whose input could be forged.
    setsid().during(Step::StartSession)?;
    sys::process::reset_signals().during(Step::StartSession)?;
    let mask = process.user().umask().unwrap_or(0o022);
    umask(Mode::from_bits_truncate(mask));
    if spec.input == StandardInput::Empty {
        reopen_standard_input().during(Step::OpenDescriptors)?;
    }
    rlimits::apply(process.rlimits().as_deref().unwrap_or_default())?;
    chdir(process.cwd()).at(Step::EnterWorkingDirectory, process.cwd().display())?;
    // Without CAP_SYS_ADMIN, Landlock and seccomp take no_new_privs.
    let sets = process.capabilities().clone().unwrap_or_default();
    let capabilities = caps::restrict_program(&sets)?;
    set_pdeathsig(Signal::SIGKILL).during(Step::WatchParent)?;
    set_no_new_privs().during(Step::SetNoNewPrivileges)?;
    // Landlock opens the paths of its rules, so it comes before a filter that could refuse that.
    let restricted = landlock::restrict(spec)?;
    Ok(Enforcement {
        landlock_abi: restricted.abi,
        landlock_scopes: restricted.scopes,
        landlock_pretended: spec.pretended_landlock_abi.is_some(),
        missing: restricted.missing,
        network: spec.network.clone(),
        seccomp: filter_calls(spec, supervisor)?,
        ownership_recorded: spec.ownership != OwnershipRecording::Off,
        sync_suppressed: spec.suppress_sync,
        limits: spec.enforced_limits(mechanisms),
        capabilities,
    })
}

/// Takes `/dev/null` of the sandbox for standard input, or where there is none a pipe without a writer.
///
/// The launcher's is on a mount of the host: Landlock would refuse to open it again as `/dev/stdin`, and the program of
/// a root caller could change the mode of the host's device through it.
fn reopen_standard_input() -> nix::Result<()> {
    match open_null()? {
        Some(null) => dup2_stdin(null),
        None => dup2_stdin(pipe2(OFlag::O_CLOEXEC)?.0),
    }
}

fn open_null() -> nix::Result<Option<OwnedFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let Ok(null) = open("/dev/null", flags, Mode::empty()) else {
        return Ok(None);
    };
    let status = fstat(&null)?;
    let is_device = status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits();
    // A tree may have anything by that name. 1:3 is the null device (null(4)).
    Ok((is_device && status.st_rdev == makedev(1, 3)).then_some(null))
}

/// Installs the filter, and hands its listener to the supervisor if there is one.
///
/// It comes last: the filter applies to the launcher's own next calls as well.
fn filter_calls(spec: &Spec, supervisor: Option<BorrowedFd<'_>>) -> Result<bool, Failure> {
    let policy = seccomp::Policy::of(spec);
    let program = seccomp::assemble(&policy);
    let listener = seccomp::install(&program, supervisor.is_some()).during(Step::FilterCalls)?;
    if let Some((supervisor, listener)) = supervisor.zip(listener) {
        init::say(supervisor, Said::Listener, Some(listener.as_fd())).during(Step::PassListener)?;
    }
    if policy.network_scoped {
        seccomp::install(&seccomp::assemble_seal(), false).during(Step::FilterCalls)?;
    }
    Ok(true)
}

/// What to execute, as C strings.
#[derive(Debug)]
struct Program {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    fn new(process: &oci::Process) -> Result<Self, Failure> {
        let arguments = process.args().as_deref().unwrap_or_default();
        let environment = process.env().as_deref().unwrap_or_default();
        let name = arguments
            .first()
            .ok_or_else(|| Failure::of(Step::ReadSpec, Errno::EINVAL))?;
        let candidates = if name.contains('/') {
            vec![name.clone()]
        } else {
            let path = environment
                .iter()
                .find_map(|variable| variable.strip_prefix("PATH="))
                .unwrap_or(DEFAULT_PATH);
            path.split(':')
                .filter(|directory| !directory.is_empty())
                .map(|directory| format!("{directory}/{name}"))
                .collect()
        };
        Ok(Self {
            candidates: texts(&candidates)?,
            arguments: texts(arguments)?,
            environment: texts(environment)?,
        })
    }

    fn execute(&self) -> Result<Infallible, Failure> {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            let Err(errno) = execve(candidate, &self.arguments, &self.environment);
            match errno {
                Errno::ENOENT | Errno::ENOTDIR => {}
                // As execvp(3): go on, and remember that something was there.
                Errno::EACCES => worst = errno,
                _ => {
                    worst = errno;
                    break;
                }
            }
        }
        Err(self.failure(worst))
    }

    /// Executes the program under a person's own filter.
    ///
    /// That may refuse everything but execve, the report of a failure too. So the program is looked for before, and the
    /// filter is installed after ours and after everything else.
    fn execute_under(&self, profile: &seccomp::Profile) -> Result<Infallible, Failure> {
        let filter = profile.compile();
        let mut worst = Errno::ENOENT;
        let found = self.candidates.iter().find(|candidate| {
            let answer = access(candidate.as_c_str(), AccessFlags::X_OK);
            if answer == Err(Errno::EACCES) {
                worst = Errno::EACCES;
            }
            answer.is_ok()
        });
        let Some(found) = found else {
            return Err(self.failure(worst));
        };
        seccomp::install(&filter, false).during(Step::FilterCalls)?;
        let Err(errno) = execve(found, &self.arguments, &self.environment);
        Err(self.failure(errno))
    }

    fn failure(&self, errno: Errno) -> Failure {
        let name = self.arguments[0].to_string_lossy();
        Failure::of(Step::Execute, errno).about(name)
    }
}

fn texts(texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts
        .iter()
        .map(|text| {
            CString::new(text.as_str())
                .map_err(|_| Failure::of(Step::ReadSpec, Errno::EINVAL).about(text.escape_debug()))
        })
        .collect()
}
