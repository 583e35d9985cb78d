//! What the maker of an extension should know about it.

use std::fmt;

/// Something about an extension that its maker should know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Lint {
    /// Nothing is left to merge.
    EmptyPayload,
    OsReleaseLeftOut,
    PackageDatabaseLeftOut,
}

/// How bad a [`Lint`] is, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// It may be meant.
    Warning,
    /// The extension gives rights to whom nobody meant, or does not work.
    Error,
}

impl Lint {
    /// Returns the name by which programs tell lints apart; it never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyPayload => "empty-payload",
            Self::OsReleaseLeftOut => "os-release-left-out",
            Self::PackageDatabaseLeftOut => "package-database-left-out",
        }
    }

    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        Severity::Warning
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyPayload => "the extension adds no file to any of its hierarchies",
            Self::OsReleaseLeftOut => {
                "`usr/lib/os-release` is left out, because systemd refuses an extension that has one"
            }
            Self::PackageDatabaseLeftOut => {
                "`usr/lib/sysimage` is left out, because it would hide the host's package database"
            }
        })
    }
}
