//! What makes a file tree a system extension: its hierarchies and its extension-release file.
//!
//! Between `capture` and `format`: the upper layer of a build goes in, the tree that is packed comes out. Invariants:
//! the tree holds only what systemd merges, and never an os-release, for which systemd refuses an extension.
//!
//! Specification: systemd-sysext(8), os-release(5), and the matching rules of `extension_release_validate()`.

mod accounts;
mod caches;
mod declared;
mod difference;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod hierarchy;
mod left_out;
mod lint;
mod os_release;
mod owners;
mod release;

pub use self::accounts::{AccountKind, Accounts};
pub use self::caches::{CachePolicy, CacheRow, settle_caches};
pub(crate) use self::declared::Declared;
pub use self::difference::{Change, Payload, Shadowed, difference, shadowing};
pub use self::hierarchy::{Selection, select};
pub use self::left_out::{LeftOut, LeftOutItem, LeftOutKind, left_out};
pub use self::lint::{Finding, FindingItem, Lint, Severity};
pub use self::os_release::{OsRelease, parse_os_release, quoted};
pub use self::owners::{AllocatedOwner, allocated_owners};
pub use self::release::{
    Error, Release, extension_release, file_tree_with_release, read_os_release,
    read_shipped_release, release_path,
};

use crate::tree::TreePath;

/// Which hierarchies an extension adds to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtensionKind {
    /// Adds to `/usr` and `/opt`.
    Sysext,
    /// Adds to `/etc`.
    Confext,
}

impl ExtensionKind {
    /// Returns the directories that an extension of this kind may hold, relative to the root.
    pub fn hierarchies(self) -> &'static [&'static str] {
        match self {
            Self::Sysext => &["opt", "usr"],
            Self::Confext => &["etc"],
        }
    }

    /// Returns the variable that says which kinds of systems may merge an extension of this kind.
    pub fn scope_variable(self) -> &'static str {
        match self {
            Self::Sysext => "SYSEXT_SCOPE",
            Self::Confext => "CONFEXT_SCOPE",
        }
    }

    /// Returns its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sysext => "sysext",
            Self::Confext => "confext",
        }
    }

    /// Tells whether `path` lies in one of its hierarchies, or is one.
    pub(crate) fn holds(self, path: &TreePath) -> bool {
        let first = path.components().next().unwrap_or_default();
        self.hierarchies()
            .iter()
            .any(|hierarchy| hierarchy.as_bytes() == first)
    }

    /// Returns where its extension-release files are.
    pub(crate) fn release_directory(self) -> &'static str {
        match self {
            Self::Sysext => "usr/lib/extension-release.d",
            Self::Confext => "etc/extension-release.d",
        }
    }

    /// Returns what the keys that are this kind's own start with.
    fn key_prefix(self) -> &'static str {
        match self {
            Self::Sysext => "SYSEXT",
            Self::Confext => "CONFEXT",
        }
    }
}
