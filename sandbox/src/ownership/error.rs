//! What makes recording fail as a whole. The error of a single call is the caller's to see instead.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::listener;

/// Why owners could not be recorded; the step has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("preparing the ownership recorder: {step}")]
    Prepare {
        step: &'static str,
        #[source]
        source: Errno,
    },
    #[error("giving up capabilities that the ownership recorder does not need")]
    TrimCapabilities {
        #[source]
        source: caps::errors::CapsError,
    },
    #[error(transparent)]
    Listener(#[from] listener::Error),
    #[error("more than {limit} symbolic links, FIFOs or sockets were given to ids other than 0")]
    TooManyRecords { limit: usize },
    #[error("holding on to an inode whose owner was recorded")]
    HoldInode {
        #[source]
        source: Errno,
    },
    #[error("finding the path of a recorded owner, which was `{}`", last_path.display())]
    LocateRecord {
        last_path: PathBuf,
        #[source]
        source: Errno,
    },
}

/// Why a call was not made: the caller is told, or recording ends.
#[derive(Debug)]
pub(super) enum Refusal {
    Caller(Errno),
    Fatal(Error),
}

impl Refusal {
    /// Whether the kernel would fail as well, and may be left to say how.
    ///
    /// It would not where only the supervisor lacks something, and what it did would go unrecorded.
    pub(super) fn is_also_the_kernels(&self) -> bool {
        match self {
            Self::Caller(errno) => !matches!(
                errno,
                Errno::ESRCH | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM
            ),
            Self::Fatal(_) => false,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Caller(errno)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}
