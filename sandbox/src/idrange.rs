//! A range of real ids (user_namespaces(7)): 0 to 65535, which are all that distributions give to users and groups.
//!
//! The kernel lets nobody but root map other ids than his own. Root maps the range to itself. For an ordinary user the
//! set-user-id programs newuidmap(1) and newgidmap(1) map it to the subordinate ids that subuid(5) and subgid(5) give
//! him, with 0 as himself. They must run outside of the namespace that they map, as a child that was there before.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::get_no_new_privs;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, Uid, User, getegid, geteuid, getpid, pipe2, read, write};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::launcher::check_single_threaded;
use crate::report::{At, Failure, Step, write_line};
use crate::sys::process::{Fork, clone_process, exit_now};

/// How many ids there are in the range. Above are those that systemd gives to containers and dynamic users, which are
/// of one machine and in no image.
pub(crate) const RANGE_LENGTH: u32 = 1 << 16;

/// Where the programs are looked for: a caller's `PATH` must not choose what maps the ids.
const PROGRAM_DIRECTORIES: [&str; 2] = ["/usr/bin", "/bin"];
/// What the programs have to say fits many times.
const REPORT_LIMIT_BYTES: u64 = 64 << 10;

/// What the ids 0 to 65535 of a sandbox are outside of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum IdRange {
    /// The same ids of the caller's own user namespace, whose root it is.
    Own,
    /// 0 is the caller, and 1 is the first of its subordinate ids.
    Subordinate { first_user: u32, first_group: u32 },
}

/// Why a caller has no range of ids.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum RangeRefusal {
    /// A program that maps ids is not installed.
    ProgramMissing { program: String },
    /// subuid(5) or subgid(5) give the caller too few ids, or none.
    NoSubordinateIds { file: PathBuf, user: String },
    /// The program refused, or the kernel refused it.
    MappingFailed {
        program: String,
        message: String,
        /// Whether `no_new_privs` keeps the program from having its set-user-id bit.
        no_new_privileges: bool,
    },
    /// The caller is root of a user namespace that does not have the range itself.
    TooFewIds { file: PathBuf },
    /// The caller is root of a user namespace in which nobody can change groups.
    GroupsDenied,
    /// The caller is an ordinary user, and has not entered a namespace of its range.
    NotEntered,
}

/// Why the namespace could not be entered, in a form that a launcher can tell its caller.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Stopped {
    Refused(RangeRefusal),
    Failed(Failure),
    Threaded,
}

/// Gives the calling process the ids 0 to 65535, of which it becomes 0, for sandboxes that map them
/// ([`Spec::map_range`](crate::Spec::map_range)).
///
/// Root stays where it is. An ordinary user is moved into a user namespace, with all capabilities over the files of
/// the range, such as those that killed builds left. It must be called before the process has threads.
///
/// # Errors
/// [`Error::RangeRefused`] when this host gives the caller no range. The process may be in an unusable namespace then,
/// and can only report it: see [`probe::id_range`](crate::probe::id_range) for asking first.
pub fn enter_range_namespace() -> Result<IdRange, Error> {
    enter().map_err(Error::from)
}

pub(crate) fn enter() -> Result<IdRange, Stopped> {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        own_range().map_err(Stopped::Refused)?;
        return Ok(IdRange::Own);
    }
    let names = names_of(user);
    let first_user = subordinate_ids(Path::new("/etc/subuid"), &names)?;
    let first_group = subordinate_ids(Path::new("/etc/subgid"), &names)?;
    let mappers = [
        Mapper::find("newuidmap", user.as_raw(), first_user)?,
        Mapper::find("newgidmap", group.as_raw(), first_group)?,
    ];
    check_single_threaded().map_err(|_| Stopped::Threaded)?;
    let child = Child::start(&mappers)?;
    let entered = unshare(CloneFlags::CLONE_NEWUSER).during(Step::CloneNamespaces);
    child.map(entered)?;
    own_range().map_err(Stopped::Refused)?;
    Ok(IdRange::Subordinate {
        first_user,
        first_group,
    })
}

/// The ids of the range that are next to each other in the parent namespace as well: the first, and how many.
pub(crate) type Extent = (u32, u32);

/// Returns the range of users and that of groups, in extents of the calling process's own user namespace: the kernel
/// takes no line of a map that is two lines of the parent's.
pub(crate) fn own_range() -> Result<(Vec<Extent>, Vec<Extent>), RangeRefusal> {
    if !geteuid().is_root() {
        return Err(RangeRefusal::NotEntered);
    }
    let of_map = |file: &str| {
        range_of(&text_of(Path::new(file)))
            .ok_or_else(|| RangeRefusal::TooFewIds { file: file.into() })
    };
    let ranges = (of_map("/proc/self/uid_map")?, of_map("/proc/self/gid_map")?);
    if text_of(Path::new("/proc/self/setgroups")).trim() == "deny" {
        return Err(RangeRefusal::GroupsDenied);
    }
    Ok(ranges)
}

/// Returns the extents that make up the range in a map file, if the inner ids there are all of it.
pub(crate) fn range_of(map: &str) -> Option<Vec<Extent>> {
    let mut lines: Vec<Extent> = map
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
        })
        .collect();
    lines.sort_unstable();
    let (mut extents, mut end) = (Vec::new(), 0);
    // The kernel has no overlapping lines, so each begins where the one before has ended, or leaves a gap.
    for (first, count) in lines {
        if first != end || end == RANGE_LENGTH {
            break;
        }
        let count = count.min(RANGE_LENGTH - end);
        extents.push((first, count));
        end += count;
    }
    (end == RANGE_LENGTH).then_some(extents)
}

/// Returns what subuid(5) may call a user: the login name, or the number.
fn names_of(user: Uid) -> Vec<String> {
    let found = User::from_uid(user).ok().flatten();
    let name = found.map(|user| user.name);
    name.into_iter().chain([user.to_string()]).collect()
}

/// Returns the first id of the first line that gives one of `names` enough ids: the whole range but 0.
fn subordinate_ids(file: &Path, names: &[String]) -> Result<u32, Stopped> {
    find_subordinate_ids(&text_of(file), names).ok_or_else(|| {
        Stopped::Refused(RangeRefusal::NoSubordinateIds {
            file: file.into(),
            user: names[0].clone(),
        })
    })
}

pub(crate) fn find_subordinate_ids(text: &str, names: &[String]) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
        let fits = count >= RANGE_LENGTH - 1 && first.checked_add(RANGE_LENGTH - 1).is_some();
        (fits && names.iter().any(|wanted| wanted == name)).then_some(first)
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that cannot be read gives nobody any ids"
)]
fn text_of(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// A program that writes one of the two maps, and what it is to write.
#[derive(Debug)]
struct Mapper {
    program: PathBuf,
    own_id: u32,
    first_subordinate: u32,
}

impl Mapper {
    fn find(program: &str, own_id: u32, first_subordinate: u32) -> Result<Self, Stopped> {
        let found = PROGRAM_DIRECTORIES
            .iter()
            .map(|directory| Path::new(directory).join(program))
            .find(|path| path.is_file());
        let program = found.ok_or_else(|| {
            Stopped::Refused(RangeRefusal::ProgramMissing {
                program: program.to_owned(),
            })
        })?;
        Ok(Self {
            program,
            own_id,
            first_subordinate,
        })
    }

    fn run(&self, process: Pid) -> Result<(), RangeRefusal> {
        let failed = |message: String| RangeRefusal::MappingFailed {
            program: self.program.display().to_string(),
            message,
            no_new_privileges: get_no_new_privs().unwrap_or(false),
        };
        let numbers = [
            process.as_raw().unsigned_abs(),
            0,
            self.own_id,
            1,
            1,
            self.first_subordinate,
            RANGE_LENGTH - 1,
        ];
        let output = Command::new(&self.program)
            .args(numbers.map(|number| number.to_string()))
            .env_clear()
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        match said.trim() {
            "" => Err(failed(output.status.to_string())),
            said => Err(failed(said.replace('\n', "; "))),
        }
    }
}

/// The process that runs the mappers, outside of the namespace.
#[derive(Debug)]
struct Child {
    pid: Pid,
    release: OwnedFd,
    report: OwnedFd,
}

impl Child {
    fn start(mappers: &[Mapper]) -> Result<Self, Stopped> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).during(Step::OpenDescriptors);
        let (released, release) = pipe()?;
        let (report, report_writer) = pipe()?;
        let parent = getpid();
        match clone_process(CloneFlags::empty()).during(Step::CloneNamespaces)? {
            Fork::Parent { child } => Ok(Self {
                pid: child,
                release,
                report,
            }),
            Fork::Child => {
                drop((release, report));
                // Nobody is left to tell when the report fails.
                let _: Result<Infallible, Failure> =
                    serve(mappers, parent, &released, &report_writer);
                exit_now(0)
            }
        }
    }

    /// Has the maps of this process written, unless it is in no new namespace, and waits for the child in any case.
    fn map(self, entered: Result<(), Failure>) -> Result<(), Stopped> {
        let Self {
            pid,
            release,
            report,
        } = self;
        let told = entered.and_then(|()| {
            write(&release, b"\n").during(Step::MapIds)?;
            read_report(report)
        });
        drop(release);
        waitpid(pid, None).during(Step::MapIds)?;
        told?.map_err(Stopped::Refused)
    }
}

fn serve(
    mappers: &[Mapper],
    process: Pid,
    released: &OwnedFd,
    report: &OwnedFd,
) -> Result<Infallible, Failure> {
    // Without the byte the parent has no namespace, or is dead.
    if read(released, &mut [0]).during(Step::MapIds)? == 1 {
        let result = mappers.iter().try_for_each(|mapper| mapper.run(process));
        write_line(report.as_fd(), &result).during(Step::MapIds)?;
    }
    exit_now(0)
}

fn read_report(from: OwnedFd) -> Result<Result<(), RangeRefusal>, Failure> {
    let mut text = Vec::new();
    File::from(from)
        .take(REPORT_LIMIT_BYTES)
        .read_to_end(&mut text)
        .during(Step::MapIds)?;
    serde_json::from_slice(&text).during(Step::MapIds)
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Refused(refusal) => Self::RangeRefused { refusal },
            Stopped::Failed(failure) => failure.into(),
            Stopped::Threaded => Self::Threaded,
        }
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = RANGE_LENGTH - 1;
        match self {
            Self::Own => write!(f, "0 to {last} of root's own ids"),
            Self::Subordinate {
                first_user,
                first_group,
            } => write!(
                f,
                "0 to {last} through newuidmap: the caller, users from {first_user}, groups from {first_group}"
            ),
        }
    }
}

impl RangeRefusal {
    /// Returns what the caller or the owner of the host can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::ProgramMissing { .. } => {
                "install the package `uidmap` (Debian, Ubuntu) or `shadow-utils` (Fedora)".to_owned()
            }
            Self::NoSubordinateIds { user, .. } => format!(
                "run `sudo usermod --add-subuids 100000-165534 --add-subgids 100000-165534 {user}`, with \
                 numbers that no other line of `/etc/subuid` and `/etc/subgid` has"
            ),
            Self::MappingFailed {
                no_new_privileges: true,
                ..
            } => "start it without `no_new_privs`, under which set-user-id programs cannot work"
                .to_owned(),
            Self::MappingFailed { program, .. } => format!(
                "check that `{program}` is set-user-id root or has its file capability, and that no \
                 container forbids it"
            ),
            Self::TooFewIds { .. } => format!("give the container {RANGE_LENGTH} ids or more"),
            Self::GroupsDenied => {
                "map the groups of the container by newgidmap or as root, which leaves setgroups allowed".to_owned()
            }
            Self::NotEntered => "call `enter_range_namespace` first".to_owned(),
        }
    }
}

impl fmt::Display for RangeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProgramMissing { program } => write!(
                f,
                "`{program}` is not installed, without which an ordinary user has no range of ids"
            ),
            Self::NoSubordinateIds { file, user } => write!(
                f,
                "`{}` gives the user `{user}` no {} subordinate ids in one line",
                file.display(),
                RANGE_LENGTH - 1
            ),
            Self::MappingFailed {
                program, message, ..
            } => write!(f, "`{program}` does not map the range of ids: {message}"),
            Self::TooFewIds { file } => write!(
                f,
                "the ids 0 to {} are not all in this user namespace (`{}`)",
                RANGE_LENGTH - 1,
                file.display()
            ),
            Self::GroupsDenied => {
                f.write_str("this user namespace denies to change groups (`/proc/self/setgroups`)")
            }
            Self::NotEntered => f.write_str("the caller has no range of ids"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_found_in_maps_of_one_or_more_lines() {
        for (map, expected) in [
            ("         0          0 4294967295\n", Some(vec![(0, 65536)])),
            ("0 1000 1\n1 100000 65535\n", Some(vec![(0, 1), (1, 65535)])),
            ("1 100000 70000\n0 1000 1\n", Some(vec![(0, 1), (1, 65535)])),
            ("0 1 65536\n65536 1000 5\n", Some(vec![(0, 65536)])),
            ("0 1000 1\n1 100000 65534\n", None),
            ("0 1000 1\n2 100000 65535\n", None),
            ("0 1000 1\n", None),
            ("", None),
        ] {
            assert_eq!(range_of(map), expected, "{map:?}");
        }
    }

    #[test]
    fn subordinate_ids_are_found_by_name_or_number() {
        let names = ["ann".to_owned(), "1001".to_owned()];
        for (text, expected) in [
            ("ann:100000:65536\n", Some(100_000)),
            ("bob:1:65536\n1001:200000:65535\n", Some(200_000)),
            ("ann:100000:65534\nann:300000:70000\n", Some(300_000)),
            ("ann:100000:65534\n", None),
            ("anna:100000:65536\n#ann:1:65536\n", None),
            ("ann:4294967000:65536\nann:x:65536\nann:5\n", None),
            ("", None),
        ] {
            assert_eq!(find_subordinate_ids(text, &names), expected, "{text:?}");
        }
    }
}
