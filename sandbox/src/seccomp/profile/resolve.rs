//! From the file to the rules that apply on this host.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::document::{Argument, Document, Entry, Filter};
use super::{Comparison, Condition, Profile, ProfileError, Rule, Verdict};
use crate::kernel::{self, Version};
use crate::seccomp::calls::{self, Known};

/// What entries can make themselves depend on.
pub(super) struct Host {
    pub(super) kernel: Version,
    /// As Docker's files name it.
    pub(super) architecture: &'static str,
    /// Those of the program, such as `CAP_CHOWN`.
    pub(super) capabilities: Vec<String>,
}

impl Host {
    pub(super) fn read() -> Result<Self, ProfileError> {
        let (_, kernel) = kernel::release().map_err(|errno| ProfileError::Kernel {
            source: errno.into(),
        })?;
        Ok(Self {
            kernel,
            architecture: if cfg!(target_arch = "x86_64") {
                "amd64"
            } else {
                "arm64"
            },
            capabilities: crate::defaults::capability_names(),
        })
    }
}

/// The names of `seccomp.h` of libseccomp, without their prefix.
const ARCHITECTURES: &str = "NATIVE X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 \
                             PARISC PARISC64 PPC PPC64 PPC64LE RISCV64 S390 S390X LOONGARCH64 M68K SH SHEB";
/// Flags of seccomp(2). None is set: the first would loosen, the others concern threads and logs of runtimes.
const FLAGS: &str = "SPEC_ALLOW TSYNC LOG WAIT_KILLABLE_RECV";

pub(super) fn resolve(document: &Document, host: &Host) -> Result<Profile, ProfileError> {
    check_surroundings(document)?;
    let default = verdict(
        &document.default_action,
        document.default_errno_ret,
        document.default_errno.as_deref(),
        ["defaultAction", "defaultErrnoRet", "defaultErrno"],
    )?;
    let mut calls: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    let mut skipped = Vec::new();
    for (index, entry) in document.syscalls.iter().flatten().enumerate() {
        let place = format!("syscalls[{index}]");
        // Before it is asked whether the entry applies: a file is right or wrong on all hosts.
        let rules = rules(entry, &place)?;
        if !applies(entry, host, &place)? {
            continue;
        }
        for (name, place) in names(entry, &place)? {
            match calls::find(name) {
                Some(Known::Native(_)) => calls
                    .entry(name.to_owned())
                    .or_default()
                    .extend(rules.iter().cloned()),
                Some(Known::Foreign) => {}
                None if rules[0].verdict.looseness() >= default.looseness() => {
                    skipped.push(name.to_owned());
                }
                None => {
                    let name = name.to_owned();
                    return Err(ProfileError::UnknownCall { place, name });
                }
            }
        }
    }
    for rules in calls.values_mut() {
        rules.sort_by_key(|rule| rule.verdict.looseness());
    }
    Ok(Profile {
        default,
        calls,
        skipped,
    })
}

/// Checks what has no effect: programs of other architectures are killed by our own filter.
fn check_surroundings(document: &Document) -> Result<(), ProfileError> {
    if document.listener_path.is_some() || document.listener_metadata.is_some() {
        let place = "listenerPath".to_owned();
        return Err(ProfileError::Supervisor { place });
    }
    let check = |architecture: &str, place: String| match is_one_of(
        architecture,
        "SCMP_ARCH_",
        ARCHITECTURES,
    ) {
        true => Ok(()),
        false => Err(ProfileError::UnknownArchitecture {
            place,
            architecture: architecture.to_owned(),
        }),
    };
    for (index, name) in document.architectures.iter().flatten().enumerate() {
        check(name, format!("architectures[{index}]"))?;
    }
    for (index, map) in document.arch_map.iter().flatten().enumerate() {
        check(&map.architecture, format!("archMap[{index}].architecture"))?;
        for (sub, name) in map.sub_architectures.iter().flatten().enumerate() {
            check(name, format!("archMap[{index}].subArchitectures[{sub}]"))?;
        }
    }
    for (index, flag) in document.flags.iter().flatten().enumerate() {
        if !is_one_of(flag, "SECCOMP_FILTER_FLAG_", FLAGS) {
            return Err(ProfileError::UnknownFlag {
                place: format!("flags[{index}]"),
                flag: flag.clone(),
            });
        }
    }
    Ok(())
}

fn is_one_of(name: &str, prefix: &str, known: &str) -> bool {
    let short = name.strip_prefix(prefix);
    known
        .split_ascii_whitespace()
        .any(|known| Some(known) == short)
}

/// Returns the names of an entry with their places; older files have one name an entry.
fn names<'a>(entry: &'a Entry, place: &str) -> Result<Vec<(&'a str, String)>, ProfileError> {
    match (&entry.name, &entry.names) {
        (Some(name), None) => Ok(vec![(name, format!("{place}.name"))]),
        (None, Some(names)) => Ok(names
            .iter()
            .enumerate()
            .map(|(index, name)| (name.as_str(), format!("{place}.names[{index}]")))
            .collect()),
        _ => Err(ProfileError::Names {
            place: place.to_owned(),
        }),
    }
}

/// Returns the rules of an entry, at least one, all of one verdict.
fn rules(entry: &Entry, place: &str) -> Result<Vec<Rule>, ProfileError> {
    let verdict = verdict(
        &entry.action,
        entry.errno_ret,
        entry.errno.as_deref(),
        ["action", "errnoRet", "errno"]
            .map(|field| format!("{place}.{field}"))
            .each_ref()
            .map(String::as_str),
    )?;
    let mut conditions = Vec::new();
    for (index, argument) in entry.args.iter().flatten().enumerate() {
        conditions.push(condition(argument, &format!("{place}.args[{index}]"))?);
    }
    let count = |argument| {
        conditions
            .iter()
            .filter(|other: &&Condition| other.argument == argument)
            .count()
    };
    let alternatives = conditions
        .iter()
        .any(|condition| count(condition.argument) > 1);
    if !alternatives {
        return Ok(vec![Rule {
            verdict,
            conditions,
        }]);
    }
    Ok(conditions
        .into_iter()
        .map(|condition| Rule {
            verdict,
            conditions: vec![condition],
        })
        .collect())
}

fn verdict(
    action: &str,
    number: Option<u32>,
    name: Option<&str>,
    [action_place, number_place, name_place]: [&str; 3],
) -> Result<Verdict, ProfileError> {
    let place = || action_place.to_owned();
    let verdict = match action {
        "SCMP_ACT_KILL_PROCESS" => Verdict::KillProcess,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Verdict::KillThread,
        "SCMP_ACT_TRAP" => Verdict::Trap,
        "SCMP_ACT_ERRNO" => Verdict::Errno(errno(number.unwrap_or(EPERM), number_place)?),
        // The number is what a tracer would be told.
        "SCMP_ACT_TRACE" => return Ok(Verdict::Errno(ENOSYS)),
        "SCMP_ACT_LOG" => Verdict::Log,
        "SCMP_ACT_ALLOW" => Verdict::Allow,
        "SCMP_ACT_NOTIFY" => return Err(ProfileError::Supervisor { place: place() }),
        _ => {
            return Err(ProfileError::UnknownAction {
                place: place(),
                action: action.to_owned(),
            });
        }
    };
    match (verdict, number, name) {
        (Verdict::Errno(_), None, Some(_)) => Err(ProfileError::ErrnoWithoutNumber {
            place: name_place.to_owned(),
        }),
        (Verdict::Errno(_), ..) | (_, None, None) => Ok(verdict),
        (_, number, _) => Err(ProfileError::SurplusErrno {
            place: number.map_or(name_place, |_| number_place).to_owned(),
        }),
    }
}

const EPERM: u32 = libc::EPERM.cast_unsigned();
const ENOSYS: u16 = 38;

/// The kernel cuts larger numbers to this (`MAX_ERRNO` of `linux/err.h`).
const LARGEST_ERRNO: u16 = 4095;

fn errno(number: u32, place: &str) -> Result<u16, ProfileError> {
    u16::try_from(number)
        .ok()
        .filter(|number| *number <= LARGEST_ERRNO)
        .ok_or_else(|| ProfileError::ErrnoTooLarge {
            place: place.to_owned(),
            errno: number,
        })
}

fn condition(argument: &Argument, place: &str) -> Result<Condition, ProfileError> {
    let value = argument.value;
    let comparison = match argument.op.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual(value),
        "SCMP_CMP_LT" => Comparison::Less(value),
        "SCMP_CMP_LE" => Comparison::LessOrEqual(value),
        "SCMP_CMP_EQ" => Comparison::Equal(value),
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual(value),
        "SCMP_CMP_GT" => Comparison::Greater(value),
        "SCMP_CMP_MASKED_EQ" => Comparison::Masked {
            mask: value,
            value: argument.value_two.unwrap_or(0),
        },
        operator => {
            return Err(ProfileError::UnknownOperator {
                place: format!("{place}.op"),
                operator: operator.to_owned(),
            });
        }
    };
    match argument.index {
        0..=5 => Ok(Condition {
            argument: u8::try_from(argument.index).expect("it is at most 5"),
            comparison,
        }),
        index => Err(ProfileError::ArgumentIndex {
            place: format!("{place}.index"),
            index,
        }),
    }
}

/// Tells whether an entry applies: all that it includes is there, and nothing that it excludes.
fn applies(entry: &Entry, host: &Host, place: &str) -> Result<bool, ProfileError> {
    let none = Filter::default();
    let includes = Matched::of(
        entry.includes.as_ref().unwrap_or(&none),
        host,
        &format!("{place}.includes"),
    )?;
    let excludes = Matched::of(
        entry.excludes.as_ref().unwrap_or(&none),
        host,
        &format!("{place}.excludes"),
    )?;
    let included = includes.architecture != Some(false)
        && includes.kernel != Some(false)
        && includes.capabilities.iter().all(|held| *held);
    let excluded = excludes.architecture == Some(true)
        || excludes.kernel == Some(true)
        || excludes.capabilities.contains(&true);
    Ok(included && !excluded)
}

/// How the host compares with a condition; `None` where it says nothing.
struct Matched {
    architecture: Option<bool>,
    kernel: Option<bool>,
    /// Whether each capability that is named is held.
    capabilities: Vec<bool>,
}

impl Matched {
    fn of(filter: &Filter, host: &Host, place: &str) -> Result<Self, ProfileError> {
        let mut capabilities = Vec::new();
        for (index, name) in filter.caps.iter().flatten().enumerate() {
            if caps::Capability::from_str(name).is_err() {
                return Err(ProfileError::UnknownCapability {
                    place: format!("{place}.caps[{index}]"),
                    capability: name.clone(),
                });
            }
            capabilities.push(host.capabilities.contains(name));
        }
        let architecture = filter
            .arches
            .as_ref()
            .filter(|arches| !arches.is_empty())
            .map(|arches| arches.iter().any(|name| name == host.architecture));
        let kernel = match filter.min_kernel.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let version = version(text).ok_or_else(|| ProfileError::KernelVersion {
                    place: format!("{place}.minKernel"),
                    version: text.to_owned(),
                })?;
                Some(host.kernel >= version)
            }
        };
        Ok(Self {
            architecture,
            kernel,
            capabilities,
        })
    }
}

fn version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
