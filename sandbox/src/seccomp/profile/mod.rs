//! A person's own profile, in the JSON of the OCI runtime specification's `linux.seccomp` or of Docker's
//! `--security-opt seccomp=FILE`: parsed ([`Profile::parse`]) and compiled to a filter of its own.
//!
//! It can only tighten. Its filter is installed beside ours, and of all filters the kernel takes the strictest answer:
//! nothing that our table refuses is allowed by a profile that allows it. What a profile cannot say exactly is either
//! refused or read in the stricter way:
//!
//! - of several rules that match a call, the strictest counts, wherever it stands;
//! - conditions on different arguments must all hold, those on one argument are alternatives, as runc reads them;
//! - `SCMP_ACT_TRACE` fails with ENOSYS, as it does where nobody traces;
//! - `SCMP_ACT_NOTIFY` is refused, because nobody would answer;
//! - calls that are newer than all that the profile names fail with ENOSYS where its default is an error, so that
//!   programs fall back on older ones.
//!
//! See the runtime specification's `config-linux.md` and seccomp(2).

mod compile;
mod document;
mod error;
mod resolve;
#[cfg(test)]
mod tests;

pub use self::error::ProfileError;

use std::collections::BTreeMap;

use libc::sock_filter;
use serde::{Deserialize, Serialize};

/// A profile as it applies on this host: its conditions on architecture, kernel and capabilities are decided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Profile {
    /// The answer to calls for which no rule matches.
    default: Verdict,
    /// The rules for each call, the strictest first.
    calls: BTreeMap<String, Vec<Rule>>,
    /// Names that are no call's that is known here; passing them over leaves the profile as strict.
    skipped: Vec<String>,
}

/// One answer and when it is given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Rule {
    verdict: Verdict,
    /// What must all hold; none means that the rule always matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
}

/// What is done with a call.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    KillProcess,
    KillThread,
    Trap,
    Errno(u16),
    Log,
    Allow,
}

/// A comparison of one argument, all 64 bits of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Condition {
    argument: u8,
    comparison: Comparison,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Comparison {
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Equal(u64),
    GreaterOrEqual(u64),
    Greater(u64),
    /// The bits of `mask` are those of `value`.
    Masked {
        mask: u64,
        value: u64,
    },
}

impl Verdict {
    /// The place in the order of strictness of seccomp(2), 0 for the strictest.
    fn looseness(self) -> u8 {
        match self {
            Self::KillProcess => 0,
            Self::KillThread => 1,
            Self::Trap => 2,
            Self::Errno(_) => 3,
            Self::Log => 4,
            Self::Allow => 5,
        }
    }

    fn permits(self) -> bool {
        matches!(self, Self::Log | Self::Allow)
    }
}

impl Profile {
    /// Reads a profile from the text of its file, for the programs of a [`Spec`](crate::Spec) on this host.
    ///
    /// # Errors
    /// A [`ProfileError`] that names the place in the file, for what is not understood or could not be enforced.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let document =
            serde_json::from_str(text).map_err(|source| ProfileError::Form { source })?;
        let host = resolve::Host::read()?;
        Self::from_document(&document, &host)
    }

    fn from_document(
        document: &document::Document,
        host: &resolve::Host,
    ) -> Result<Self, ProfileError> {
        let profile = resolve::resolve(document, host)?;
        profile.check_execution()?;
        let instructions = compile::compile(&profile).len();
        if instructions > LONGEST_PROGRAM {
            return Err(ProfileError::TooLong { instructions });
        }
        Ok(profile)
    }

    /// Returns the names that were passed over because no call is known by them. That left the profile as strict as it is
    /// written.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Returns the filter program.
    pub(crate) fn compile(&self) -> Vec<sock_filter> {
        compile::compile(self)
    }

    /// The program itself is executed under the profile, whose rules cannot know where its name lies in memory.
    fn check_execution(&self) -> Result<(), ProfileError> {
        let rules = self.calls.get("execve").map_or(&[][..], Vec::as_slice);
        let always = rules.iter().any(|rule| rule.conditions.is_empty()) || self.default.permits();
        if always && rules.iter().all(|rule| rule.verdict.permits()) {
            Ok(())
        } else {
            Err(ProfileError::RefusesExecution)
        }
    }
}

/// `BPF_MAXINSNS` of `linux/bpf_common.h`.
const LONGEST_PROGRAM: usize = 4096;
