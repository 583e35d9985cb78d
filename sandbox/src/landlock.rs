//! File access by Landlock, inside the finished mounts; a Landlock domain forbids later mounts.
//!
//! Rules are on paths of the sandbox: below an overlay the merged path is what counts. Landlock does not cover chmod,
//! chown, utime and extended attributes, so what must not change is mounted read-only as well.
//! See <https://docs.kernel.org/userspace-api/landlock.html>.
//!
//! What Landlock can do grows with the kernel. [`LEVELS`] says what each of its ABIs adds, and what keeps a promise where
//! the kernel is older. A level that nothing else stands in for is needed: without it nothing is run, unless the
//! specification asks for [`Strictness::BestEffort`].

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::mount_point;
use crate::report::{At, Failure, Step};
use crate::spec::{FileAccess, LandlockRule, Network, Spec, Strictness};
use crate::sys;

/// The newest ABI whose access rights this crate was tested with (Linux 6.15). Rights of later ABIs are not handled.
const NEWEST: u32 = 7;

/// What one ABI of Landlock adds.
#[derive(Clone, Copy, Debug)]
struct Level {
    abi: u32,
    /// The first version of Linux that has it.
    linux: &'static str,
    /// What it enforces.
    enforces: &'static str,
    /// What keeps the promise where the kernel lacks it.
    otherwise: Otherwise,
}

/// What there is in place of a level.
#[derive(Clone, Copy, Debug)]
enum Otherwise {
    /// Other layers, so that the level is a second one.
    Kept(&'static str),
    /// Other layers, but for a program that has the caller's network.
    KeptWithoutHostNetwork(&'static str),
    /// Nothing that would do.
    Nothing,
    /// Nothing, and no promise is made.
    NotPromised,
}

/// The promise of each level, and who else keeps it.
const LEVELS: [Level; NEWEST as usize] = [
    Level {
        abi: 1,
        linux: "5.13",
        enforces: "rules on files",
        // Mounts keep files apart as well, but would have no second layer behind them.
        otherwise: Otherwise::Nothing,
    },
    Level {
        abi: 2,
        linux: "5.19",
        enforces: "rules on files that are moved or linked to another directory",
        // Without it rules on files refuse every such move (EXDEV), so that no package manager works.
        otherwise: Otherwise::Nothing,
    },
    Level {
        abi: 3,
        linux: "6.2",
        enforces: "rules on files that are truncated",
        otherwise: Otherwise::Kept("read-only mounts"),
    },
    Level {
        abi: 4,
        linux: "6.7",
        enforces: "no TCP of a program's own with a scoped network",
        otherwise: Otherwise::Kept("seccomp and the supervisor"),
    },
    Level {
        abi: 5,
        linux: "6.10",
        enforces: "rules on device ioctls",
        otherwise: Otherwise::Kept("harmless devices, nodev mounts and seccomp"),
    },
    Level {
        abi: 6,
        linux: "6.12",
        enforces: "no signals and abstract sockets beyond the sandbox",
        // Without a network of its own there are no foreign abstract sockets, and with a scoped one no such sockets.
        otherwise: Otherwise::KeptWithoutHostNetwork("namespaces and seccomp"),
    },
    Level {
        abi: 7,
        linux: "6.15",
        enforces: "denials in the audit log",
        otherwise: Otherwise::NotPromised,
    },
];

/// What the kernel enforces.
#[derive(Clone, Debug)]
pub(crate) struct Restricted {
    /// The ABI that was used, 0 for none.
    pub(crate) abi: u32,
    pub(crate) scopes: bool,
    /// What was needed and is not enforced.
    pub(crate) missing: Vec<String>,
}

/// Restricts this process and its children to the rules of `spec`.
///
/// What an older kernel does not know is not enforced. That is a failure where the level is needed, as is a kernel without
/// Landlock, unless the specification asks for best effort.
///
/// Network rights are handled with a scoped network only, where the supervisor makes all connections: the program itself
/// may make none. Elsewhere the network namespace decides, or a person has given the host's network away.
pub(crate) fn restrict(spec: &Spec) -> Result<Restricted, Failure> {
    let kernel = kernel_abi(spec.pretended_landlock_abi);
    let abi = kernel.unwrap_or(0);
    let needed: Vec<&Level> = lacking(abi)
        .filter(|level| level.is_needed(&spec.network))
        .collect();
    if spec.strictness == Strictness::Required
        && let Some(level) = needed.first()
    {
        kernel.map_err(|errno| Failure::of(Step::RestrictFiles, errno))?;
        return Err(Failure::of(Step::RequireLandlock, Errno::EOPNOTSUPP)
            .about(abi)
            .explained(Some(level.to_string())));
    }
    let missing = missing(abi, &spec.network);
    // At ABI 1 the rules would break every package manager.
    if abi < 2 {
        return Ok(Restricted {
            abi: 0,
            scopes: false,
            missing,
        });
    }
    enforce(abi, &spec.landlock, &spec.network)?;
    Ok(Restricted {
        abi,
        scopes: abi >= 6,
        missing,
    })
}

/// Returns what a promise needs for a program with this network and the kernel lacks; with
/// [`Strictness::BestEffort`](crate::Strictness::BestEffort) it is run all the same.
pub fn missing_protection(network: &Network) -> Vec<String> {
    missing(kernel_abi(None).unwrap_or(0), network)
}

fn missing(abi: u32, network: &Network) -> Vec<String> {
    let needed = lacking(abi).filter(|level| level.is_needed(network));
    needed.map(ToString::to_string).collect()
}

/// Returns what the kernel's Landlock is and lacks, in words.
pub(crate) fn describe(abi: u32) -> String {
    let lacks: Vec<String> = lacking(abi)
        .map(|level| match level.otherwise {
            Otherwise::Kept(other) => format!("{level}, kept by {other}"),
            Otherwise::KeptWithoutHostNetwork(other) => {
                format!("{level}, kept by {other}, but not with the host's network")
            }
            Otherwise::Nothing => level.to_string(),
            Otherwise::NotPromised => format!("{level}, which no promise needs"),
        })
        .collect();
    match lacks.as_slice() {
        [] => format!("ABI {abi}"),
        lacks => format!("ABI {abi}, which lacks: {}", lacks.join("; ")),
    }
}

impl Level {
    fn is_needed(&self, network: &Network) -> bool {
        match self.otherwise {
            Otherwise::Kept(_) | Otherwise::NotPromised => false,
            Otherwise::KeptWithoutHostNetwork(_) => *network == Network::Host,
            Otherwise::Nothing => true,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            abi,
            linux,
            enforces,
            ..
        } = self;
        write!(f, "{enforces} (Landlock ABI {abi}, Linux {linux})")
    }
}

/// Returns the levels that `abi` does not have.
fn lacking(abi: u32) -> impl Iterator<Item = &'static Level> {
    LEVELS.iter().filter(move |level| level.abi > abi)
}

/// Returns the newest ABI that the kernel and this crate know, or one pretended to be so.
fn kernel_abi(pretended: Option<u32>) -> Result<u32, Errno> {
    let abi = sys::landlock::abi()?;
    match pretended {
        Some(0) => Err(Errno::ENOSYS),
        pretended => Ok(abi.min(pretended.unwrap_or(NEWEST)).min(NEWEST)),
    }
}

fn enforce(abi: u32, rules: &[LandlockRule], network: &Network) -> Result<(), Failure> {
    let abi = ABI::from(abi.cast_signed());
    let created = ruleset(abi, network).map_err(|error| ruleset_failure(&error))?;
    let created = rules
        .iter()
        .try_fold(created, |created, rule| add_rule(created, abi, rule))?;
    let status = created
        .restrict_self()
        .map_err(|error| ruleset_failure(&error))?;
    // The kernel has said that it knows this ABI, so anything less is no older kernel.
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        _ => Err(Failure::of(Step::RestrictFiles, Errno::EPROTO)),
    }
}

fn ruleset(abi: ABI, network: &Network) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    let tcp = AccessNet::from_all(abi);
    if matches!(network, Network::Scoped(_)) && !tcp.is_empty() {
        ruleset = ruleset.handle_access(tcp)?;
    }
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    ruleset.create()
}

fn add_rule(
    created: RulesetCreated,
    abi: ABI,
    rule: &LandlockRule,
) -> Result<RulesetCreated, Failure> {
    let step = Step::RestrictFiles;
    let name = rule.path.display().to_string();
    let root = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).at(step, &name)?;
    let target = mount_point::find(root, &rule.path).at(step, &name)?;
    let is_directory = fstat(target.as_fd()).at(step, &name)?.st_mode & SFlag::S_IFMT.bits()
        == SFlag::S_IFDIR.bits();
    // The kernel refuses rights that only directories have on anything else.
    let access = if is_directory {
        rights(rule.access, abi)
    } else {
        rights(rule.access, abi) & AccessFs::from_file(abi)
    };
    created
        .add_rule(PathBeneath::new(target, access))
        .map_err(|error| ruleset_failure(&error).about(name))
}

fn rights(access: FileAccess, abi: ABI) -> BitFlags<AccessFs> {
    let all = AccessFs::from_all(abi);
    match access {
        FileAccess::ReadExecute => AccessFs::from_read(abi),
        // Device nodes are recorded, not made. Overlayfs makes its whiteouts itself, outside of the domain.
        FileAccess::ReadWrite => {
            let devices = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
            all & !devices
        }
        // Truncate because shells open the files of proc with O_TRUNC.
        FileAccess::Device => {
            make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | IoctlDev}) & all
        }
    }
}

fn ruleset_failure(error: &RulesetError) -> Failure {
    Failure::from_chain(Step::RestrictFiles, error)
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, describe, lacking, missing};
    use crate::spec::Network;

    #[test]
    fn levels_are_in_the_order_of_their_abis() {
        let abis: Vec<u32> = LEVELS.iter().map(|level| level.abi).collect();
        assert_eq!(abis, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn the_oldest_abi_that_suffices_depends_on_the_network() {
        let suffices = |abi, network: &Network| !lacking(abi).any(|level| level.is_needed(network));
        for (network, oldest) in [(Network::None, 2), (Network::Host, 6)] {
            for abi in 0..=7 {
                assert_eq!(suffices(abi, &network), abi >= oldest, "{abi} {network:?}");
            }
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_said_with_what_stands_in() {
        assert_eq!(describe(7), "ABI 7");
        assert_eq!(missing(2, &Network::None), [""; 0]);
        assert_eq!(
            missing(1, &Network::None),
            [
                "rules on files that are moved or linked to another directory (Landlock ABI 2, Linux 5.19)"
            ]
        );
        assert_eq!(
            describe(6),
            "ABI 6, which lacks: denials in the audit log (Landlock ABI 7, Linux 6.15), which no promise needs"
        );
    }
}
