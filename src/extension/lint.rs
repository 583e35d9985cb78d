//! What the maker of an extension should know about it.

use std::fmt;

use serde::Serialize;

use super::ExtensionKind;
use super::difference::{Change, Shadowed};
use super::left_out::{LeftOut, LeftOutItem, LeftOutKind};
use super::owners::AllocatedOwner;
use crate::tree::TreePath;

/// How many names and lines a message has; the rest are counted, and [`Lint::finding`] has them all.
const SHOWN: usize = 3;

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
    /// Files of the base are hidden by others.
    Shadowing(Vec<TreePath>),
    /// Mode, owner or attributes of what the base has are others.
    MetadataChanged(Vec<TreePath>),
    /// Directories of the base are hidden with all that they hold, by what is no directory.
    DirectoryReplaced(Vec<TreePath>),
    /// What is no directory in the base is one in the extension.
    ReplacedByDirectory(Vec<TreePath>),
    /// What the image deleted of the base is there where the extension is merged.
    Deleted(Vec<TreePath>),
    /// What was changed outside of the extension's hierarchies.
    LeftOut(LeftOut),
    /// Files that hosts have of their own are left out, each with the reason.
    HostFilesLeftOut(Vec<(TreePath, &'static str)>),
    /// Files that were made of base and extension hide the base's, each with the reason.
    CachesKept(Vec<(TreePath, &'static str)>),
    /// Such files are left out, each with the reason.
    CachesLeftOut(Vec<(TreePath, &'static str)>),
}

/// How bad a [`Lint`] is, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is as it should be.
    Note,
    /// It may be meant.
    Warning,
    /// The extension gives rights to whom nobody meant, or does not work.
    Error,
}

/// A [`Lint`] with everything that is known of it, for programs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    pub code: &'static str,
    pub severity: Severity,
    /// What it is, as a sentence fragment.
    pub reason: String,
    /// What can be done about it, as a sentence fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Everything that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<FindingItem>,
}

/// One thing that a [`Finding`] is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FindingItem {
    /// From the root of the system on.
    pub path: String,
    /// What it is where that is not the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Lines or links that bring it about otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<String>,
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
            Self::Shadowing(_) => "shadowing",
            Self::MetadataChanged(_) => "metadata-changed",
            Self::DirectoryReplaced(_) => "directory-replaced",
            Self::ReplacedByDirectory(_) => "replaced-by-directory",
            Self::Deleted(_) => "deleted",
            Self::LeftOut(left_out) => match left_out.kind {
                LeftOutKind::Accounts => "accounts-left-out",
                LeftOutKind::Units => "enabled-units-left-out",
                LeftOutKind::Alternatives => "alternatives-left-out",
                LeftOutKind::Configuration => "configuration-left-out",
                LeftOutKind::ChangedConfiguration => "changed-configuration-left-out",
                LeftOutKind::State => "state-left-out",
                LeftOutKind::Elsewhere => "elsewhere-left-out",
            },
            Self::HostFilesLeftOut(_) => "host-files-left-out",
            Self::CachesKept(_) => "caches-kept",
            Self::CachesLeftOut(_) => "caches-left-out",
        }
    }

    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AllocatedSetId(_) => Severity::Error,
            Self::CachesKept(_) | Self::CachesLeftOut(_) => Severity::Note,
            _ => Severity::Warning,
        }
    }

    /// Returns what can be done about it, as a sentence fragment.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::LeftOut(left_out) => return left_out.remedy(),
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
            Self::Shadowing(_) => Some(
                "if the extension is not meant to replace them, leave the package or tree out that brings them, or \
                 build it on the base that it is merged on",
            ),
            Self::MetadataChanged(_) => Some(
                "give them back what the base has, unless the change is meant for the whole system",
            ),
            Self::DirectoryReplaced(_) => {
                Some("put what takes its place elsewhere, or change the base")
            }
            Self::ReplacedByDirectory(_) => {
                Some("put the files where the base's link leads, or change the base")
            }
            Self::Deleted(_) => Some("delete it in the base, or mask it where that is possible"),
            Self::HostFilesLeftOut(_) => {
                Some("make accounts with `sysusers.d`, and leave the others to the host")
            }
            _ => None,
        };
        text.map(str::to_owned)
    }

    /// Returns everything that is known of it.
    pub fn finding(&self) -> Finding {
        let of_paths = |paths: &[TreePath]| paths.iter().map(|path| item(path, None)).collect();
        let with_reasons = |found: &[(TreePath, &'static str)]| {
            let items = found.iter();
            items
                .map(|(path, reason)| item(path, Some(reason)))
                .collect()
        };
        let items = match self {
            Self::Shadowing(paths)
            | Self::MetadataChanged(paths)
            | Self::DirectoryReplaced(paths)
            | Self::ReplacedByDirectory(paths)
            | Self::Deleted(paths) => of_paths(paths),
            Self::HostFilesLeftOut(found)
            | Self::CachesKept(found)
            | Self::CachesLeftOut(found) => with_reasons(found),
            Self::LeftOut(left_out) => {
                let items = left_out.items.iter();
                let finding = |left_out: &LeftOutItem| FindingItem {
                    remedies: left_out.remedies.clone(),
                    ..item(&left_out.path, left_out.name.as_deref())
                };
                items.map(finding).collect()
            }
            Self::AllocatedOwner(owner)
            | Self::AllocatedSetId(owner)
            | Self::AllocatedInAcl(owner) => vec![item(&owner.first, None)],
            Self::EmptyPayload | Self::OsReleaseLeftOut | Self::PackageDatabaseLeftOut => {
                Vec::new()
            }
        };
        Finding {
            code: self.code(),
            severity: self.severity(),
            reason: self.to_string(),
            remedy: self.remedy(),
            items,
        }
    }

    /// Returns what there is to know of what an extension has otherwise than its base, the worst last.
    pub fn of_shadowing(shadowing: &[Shadowed]) -> Vec<Self> {
        let kinds = [
            (Change::Metadata, Self::MetadataChanged as fn(_) -> _),
            (Change::Content, Self::Shadowing),
            (Change::DirectoryMade, Self::ReplacedByDirectory),
            (Change::DirectoryGone, Self::DirectoryReplaced),
        ];
        let lint = |(change, lint): (Change, fn(Vec<TreePath>) -> Self)| {
            let found = shadowing
                .iter()
                .filter(|shadowed| shadowed.change == change);
            let paths: Vec<TreePath> = found.map(|shadowed| shadowed.path.clone()).collect();
            (!paths.is_empty()).then(|| lint(paths))
        };
        kinds.into_iter().filter_map(lint).collect()
    }
}

fn item(path: &TreePath, reason: Option<&str>) -> FindingItem {
    FindingItem {
        path: format!("/{path}"),
        reason: reason.map(str::to_owned),
        remedies: Vec::new(),
    }
}

/// Lists the first few of `all`, and counts the others.
fn listed(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    match all.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if all.len() <= SHOWN => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN),
    }
}

fn listed_paths<'a>(paths: impl Iterator<Item = &'a TreePath>) -> String {
    listed(paths.map(|path| format!("`/{path}`")))
}

/// Returns the verb for so many.
fn verb<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

impl LeftOut {
    fn remedy(&self) -> Option<String> {
        let lines: Vec<&String> = self.items.iter().flat_map(|item| &item.remedies).collect();
        let such_as = || listed(lines.iter().take(2).map(|line| format!("`{line}`")));
        let usr = match self.extension {
            ExtensionKind::Sysext => "/usr/lib",
            ExtensionKind::Confext => "/etc",
        };
        let it = verb(self.items.len(), "it", "them");
        let is_copied = lines.iter().any(|line| line.starts_with("C "));
        Some(match self.kind {
            LeftOutKind::Accounts => format!(
                "have systemd make {it} at boot, with {} in a file of `/usr/lib/sysusers.d`",
                such_as()
            ),
            LeftOutKind::Units if lines.is_empty() => return None,
            LeftOutKind::Units => format!(
                "ship the link in `/usr`, as {}; in `.upholds` in place of `.wants` it also starts what is merged \
                 later",
                such_as()
            ),
            LeftOutKind::Alternatives if lines.is_empty() => return None,
            LeftOutKind::Alternatives => {
                format!(
                    "have the link made at boot, with {} in a file of `{usr}/tmpfiles.d`",
                    such_as()
                )
            }
            LeftOutKind::Configuration if lines.is_empty() => format!("ship {it} in a confext"),
            LeftOutKind::Configuration => format!(
                "ship {it} in a confext, or below `/usr/share/factory` with {} in a file of `{usr}/tmpfiles.d`",
                such_as()
            ),
            LeftOutKind::ChangedConfiguration => {
                format!("ship {it} in a confext, or change in `/usr` what is read from there")
            }
            LeftOutKind::State if lines.is_empty() => return None,
            LeftOutKind::State if is_copied => format!(
                "have {it} made at boot, with {} in a file of `{usr}/tmpfiles.d` and what is copied below \
                 `/usr/share/factory`",
                such_as()
            ),
            LeftOutKind::State => format!(
                "have {it} made at boot, with {} in a file of `{usr}/tmpfiles.d`",
                such_as()
            ),
            LeftOutKind::Elsewhere => match self.extension {
                ExtensionKind::Sysext => return None,
                ExtensionKind::Confext => {
                    "`Format=sysext` makes an extension of `/usr` and `/opt`".to_owned()
                }
            },
        })
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.items.len();
        let paths = || listed_paths(self.items.iter().map(|item| &item.path));
        let kind = self.extension.name();
        match self.kind {
            LeftOutKind::Accounts => {
                let names = listed(self.items.iter().filter_map(|item| item.name.clone()));
                let is = verb(count, "is", "are");
                write!(
                    f,
                    "{names} {is} made in `/etc`, which a {kind} does not bring"
                )
            }
            LeftOutKind::Units => write!(
                f,
                "{} {} units, which a {kind} does not bring",
                paths(),
                verb(count, "enables, masks or renames", "enable, mask or rename")
            ),
            LeftOutKind::Alternatives => write!(
                f,
                "{}, to which links in `/usr` lead, {} not in the extension",
                paths(),
                verb(count, "is", "are")
            ),
            LeftOutKind::Configuration => write!(
                f,
                "{} {} configuration, which a {kind} does not bring",
                paths(),
                verb(count, "is", "are")
            ),
            LeftOutKind::ChangedConfiguration => write!(
                f,
                "{} of the base {} changed, which a {kind} does not bring",
                paths(),
                verb(count, "is", "are")
            ),
            LeftOutKind::State => write!(
                f,
                "{} {} state, which a {kind} does not bring",
                paths(),
                verb(count, "is", "are")
            ),
            LeftOutKind::Elsewhere => {
                let hierarchies = match self.extension {
                    ExtensionKind::Sysext => "`/usr` and `/opt`",
                    ExtensionKind::Confext => "`/etc`",
                };
                write!(
                    f,
                    "{} {} outside of {hierarchies} and not in the extension",
                    paths(),
                    verb(count, "is", "are")
                )
            }
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
            Self::Shadowing(paths) => write!(
                f,
                "{} {} from the base's, which the extension hides where it is merged",
                listed_paths(paths.iter()),
                verb(paths.len(), "differs", "differ")
            ),
            Self::MetadataChanged(paths) => write!(
                f,
                "{} {} another mode, owner or attributes than in the base, and so {} where the extension is merged",
                listed_paths(paths.iter()),
                verb(paths.len(), "has", "have"),
                verb(paths.len(), "it has", "they have")
            ),
            Self::DirectoryReplaced(paths) => write!(
                f,
                "{} {} in the base: all that the base and other extensions have there is hidden",
                listed_paths(paths.iter()),
                verb(paths.len(), "is a directory", "are directories")
            ),
            Self::ReplacedByDirectory(paths) => write!(
                f,
                "{} {} in the base and hidden by a directory of the extension: what was found through it is found no \
                 more",
                listed_paths(paths.iter()),
                verb(paths.len(), "is no directory", "are no directories")
            ),
            Self::Deleted(paths) => write!(
                f,
                "{} of the base {} deleted, which an extension cannot express",
                listed_paths(paths.iter()),
                verb(paths.len(), "is", "are")
            ),
            Self::LeftOut(left_out) => left_out.fmt(f),
            Self::HostFilesLeftOut(found) => write!(
                f,
                "{} {} left out, because a host has its own",
                listed_paths(found.iter().map(|(path, _)| path)),
                verb(found.len(), "is", "are")
            ),
            Self::CachesKept(found) => write!(
                f,
                "{} {} made of base and extension, and {} that of other extensions",
                listed_paths(found.iter().map(|(path, _)| path)),
                verb(found.len(), "is", "are"),
                verb(found.len(), "hides", "hide")
            ),
            Self::CachesLeftOut(found) => write!(
                f,
                "{} {} left out, because programs do without or make their own",
                listed_paths(found.iter().map(|(path, _)| path)),
                verb(found.len(), "is", "are")
            ),
        }
    }
}
