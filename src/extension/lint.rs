//! What the maker of an extension should know about it.

use std::fmt;

use super::owners::AllocatedOwner;

/// Something about an extension that its maker should know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Lint {
    /// Nothing is left to merge.
    EmptyPayload,
    OsReleaseLeftOut,
    PackageDatabaseLeftOut,
    /// Files belong to an id that means something else, or nothing, on other machines.
    AllocatedOwner(AllocatedOwner),
    /// Programs run with the rights of such an id.
    AllocatedSetId(AllocatedOwner),
    /// ACLs let such an id do something.
    AllocatedInAcl(AllocatedOwner),
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
            Self::AllocatedOwner(_) => "allocated-owner",
            Self::AllocatedSetId(_) => "allocated-set-id",
            Self::AllocatedInAcl(_) => "allocated-in-acl",
        }
    }

    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AllocatedSetId(_) => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// Returns what can be done about it, as a sentence fragment.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::AllocatedOwner(_) => Some(
                "fix the number in a `sysusers.d` file of the extension, use a static id, or leave it to root and make \
                 what needs the owner at boot with `tmpfiles.d`",
            ),
            Self::AllocatedSetId(_) => Some(
                "fix the number in a `sysusers.d` file of the extension, use a static id, or leave it to root without \
                 the set-id bit",
            ),
            Self::AllocatedInAcl(_) => Some(
                "fix the number in a `sysusers.d` file of the extension, use a static id, or give the rights at boot \
                 with an `a` line of `tmpfiles.d`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyPayload => {
                f.write_str("the extension adds no file to any of its hierarchies")
            }
            Self::OsReleaseLeftOut => f.write_str(
                "`usr/lib/os-release` is left out, because systemd refuses an extension that has one",
            ),
            Self::PackageDatabaseLeftOut => f.write_str(
                "`usr/lib/sysimage` is left out, because it would hide the host's package database",
            ),
            Self::AllocatedOwner(owner) => {
                let verb = if owner.more == 0 { "belongs" } else { "belong" };
                let (files, kind, account) = (owner.files(), owner.kind, owner.account());
                write!(
                    f,
                    "{files} {verb} to the {kind} {account}, whose number is another {kind}'s or nobody's on {}",
                    owner.elsewhere()
                )
            }
            Self::AllocatedSetId(owner) => {
                let (is, runs) = match owner.more {
                    0 => ("is", "it runs"),
                    _ => ("are", "they run"),
                };
                let (files, kind, account) = (owner.files(), owner.kind, owner.account());
                write!(
                    f,
                    "{files} {is} set-{kind}-id to {account}: {runs} with the rights of whoever has that number on {}",
                    owner.elsewhere()
                )
            }
            Self::AllocatedInAcl(owner) => {
                let names = match owner.more {
                    0 => "the ACL of",
                    _ => "the ACLs of",
                };
                let (files, kind, account) = (owner.files(), owner.kind, owner.account());
                let verb = if owner.more == 0 { "names" } else { "name" };
                write!(
                    f,
                    "{names} {files} {verb} the {kind} {account}, whose number is another {kind}'s or nobody's on {}",
                    owner.elsewhere()
                )
            }
        }
    }
}
