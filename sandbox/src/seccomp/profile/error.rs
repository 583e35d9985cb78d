//! What can be wrong with a profile.

use std::io;

use thiserror::Error;

/// Why a profile is not used. `place` is where in the file, such as `syscalls[3].args[0].op`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    #[error("the profile has not the form of one")]
    Form { source: serde_json::Error },
    #[error("`{place}` has the unknown action `{action}`")]
    UnknownAction { place: String, action: String },
    #[error(
        "`{place}` asks for a supervisor (`SCMP_ACT_NOTIFY`, `listenerPath`), and there is none"
    )]
    Supervisor { place: String },
    #[error("`{place}` has the unknown operator `{operator}`")]
    UnknownOperator { place: String, operator: String },
    #[error("`{place}` has the unknown architecture `{architecture}`")]
    UnknownArchitecture { place: String, architecture: String },
    #[error("`{place}` has the unknown flag `{flag}`")]
    UnknownFlag { place: String, flag: String },
    #[error("`{place}` has the unknown capability `{capability}`")]
    UnknownCapability { place: String, capability: String },
    #[error("`{place}` is `{version}`, not a version of the kernel such as `4.8`")]
    KernelVersion { place: String, version: String },
    #[error("`{place}` is {errno}, which is no error number: these are at most 4095")]
    ErrnoTooLarge { place: String, errno: u32 },
    #[error("`{place}` gives an error number to an action that returns none")]
    SurplusErrno { place: String },
    #[error("`{place}` gives an error's name without its number")]
    ErrnoWithoutNumber { place: String },
    #[error("`{place}` is {index}, and calls have the arguments 0 to 5")]
    ArgumentIndex { place: String, index: u32 },
    #[error("`{place}` has not one of `name` and `names`")]
    Names { place: String },
    #[error("`{place}` refuses `{name}`, which is no known call, so that nothing would be refused")]
    UnknownCall { place: String, name: String },
    #[error("the profile may refuse `execve`, with which the program itself is started")]
    RefusesExecution,
    #[error("the profile makes a filter of {instructions} instructions, and the kernel takes 4096")]
    TooLong { instructions: usize },
    #[error("asking for the kernel's version")]
    Kernel { source: io::Error },
}

impl ProfileError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Form { .. } => Some(
                "a profile is the object `linux.seccomp` of the OCI runtime specification, or a file for Docker's \
                 `--security-opt seccomp=`"
                    .to_owned(),
            ),
            Self::UnknownAction { .. } => Some(
                "the actions are `SCMP_ACT_ALLOW`, `_LOG`, `_ERRNO`, `_TRACE`, `_TRAP`, `_KILL`, `_KILL_THREAD` and \
                 `_KILL_PROCESS`"
                    .to_owned(),
            ),
            Self::Supervisor { .. } => {
                Some("use `SCMP_ACT_ERRNO` for calls that nobody answers".to_owned())
            }
            Self::UnknownOperator { .. } => Some(
                "the operators are `SCMP_CMP_NE`, `_LT`, `_LE`, `_EQ`, `_GE`, `_GT` and `_MASKED_EQ`"
                    .to_owned(),
            ),
            Self::UnknownCapability { .. } => {
                Some("capabilities are written as in capabilities(7): `CAP_SYS_ADMIN`".to_owned())
            }
            Self::ErrnoWithoutNumber { .. } => Some("add `errnoRet`".to_owned()),
            Self::UnknownCall { .. } => Some("calls are named as in syscalls(2)".to_owned()),
            Self::RefusesExecution => {
                Some("allow `execve` whatever its arguments; `execveat` can be refused".to_owned())
            }
            _ => None,
        }
    }
}
