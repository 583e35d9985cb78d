//! File access by Landlock, inside the finished mounts; a Landlock domain forbids later mounts.
//!
//! Rules are on paths of the sandbox: below an overlay the merged path is what counts. Landlock does not cover chmod,
//! chown, utime and extended attributes, so what must not change is mounted read-only as well.
//! See <https://docs.kernel.org/userspace-api/landlock.html>.

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::mount_point;
use crate::report::{At, Failure, Step};
use crate::spec::{FileAccess, LandlockRule};

/// The newest ABI whose access rights this crate was tested with (Linux 6.15). Rights of later ABIs are not handled.
const NEWEST: ABI = ABI::V7;

/// What the kernel enforces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restricted {
    pub(crate) abi: u32,
    pub(crate) scopes: bool,
}

/// Restricts this process and its children to `rules`. Rights that an older kernel does not know are not enforced, and
/// the returned ABI says so; a kernel without Landlock is a failure.
///
/// Network rights are left alone: the network namespace decides about them.
pub(crate) fn restrict(rules: &[LandlockRule]) -> Result<Restricted, Failure> {
    let created = ruleset().map_err(|error| ruleset_failure(&error))?;
    let created = rules.iter().try_fold(created, add_rule)?;
    let status = created
        .restrict_self()
        .map_err(|error| ruleset_failure(&error))?;
    let errno = match status.landlock {
        LandlockStatus::NotImplemented => Errno::ENOSYS,
        LandlockStatus::NotEnabled => Errno::EOPNOTSUPP,
        LandlockStatus::Available { effective_abi, .. }
            if status.ruleset != RulesetStatus::NotEnforced =>
        {
            let abi = (effective_abi as i32).min(NEWEST as i32).unsigned_abs();
            return Ok(Restricted {
                abi,
                scopes: abi >= (ABI::V6 as i32).unsigned_abs(),
            });
        }
        LandlockStatus::Available { .. } => Errno::EOPNOTSUPP,
    };
    Err(Failure::of(Step::RestrictFiles, errno))
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

fn add_rule(created: RulesetCreated, rule: &LandlockRule) -> Result<RulesetCreated, Failure> {
    let step = Step::RestrictFiles;
    let name = rule.path.display().to_string();
    let root = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).at(step, &name)?;
    let target = mount_point::find(root, &rule.path).at(step, &name)?;
    let is_directory = fstat(target.as_fd()).at(step, &name)?.st_mode & SFlag::S_IFMT.bits()
        == SFlag::S_IFDIR.bits();
    // The kernel refuses rights that only directories have on anything else.
    let access = if is_directory {
        rights(rule.access)
    } else {
        rights(rule.access) & AccessFs::from_file(NEWEST)
    };
    created
        .add_rule(PathBeneath::new(target, access))
        .map_err(|error| ruleset_failure(&error).about(name))
}

fn rights(access: FileAccess) -> BitFlags<AccessFs> {
    match access {
        FileAccess::ReadExecute => AccessFs::from_read(NEWEST),
        // Device nodes are recorded, not made. Overlayfs makes its whiteouts itself, outside of the domain.
        FileAccess::ReadWrite => {
            let devices = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
            AccessFs::from_all(NEWEST) & !devices
        }
        // Truncate because shells open the files of proc with O_TRUNC.
        FileAccess::Device => {
            make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | IoctlDev})
        }
    }
}

fn ruleset_failure(error: &RulesetError) -> Failure {
    Failure::from_chain(Step::RestrictFiles, error)
}
