//! All that is looked at, in order.

use serde::Serialize;

use super::merged::Merged;
use super::release::{self, Comparison};
use super::size::{self, Sizes};
use super::{Error, Finding, Protection};
use super::{hierarchies, libraries, names, owners, protection, services, shadowing, units};
use crate::extension::{OsRelease, Severity, read_os_release};
use crate::format::elf::{Elf, MAGIC};
use crate::packages::dpkg::InstalledPackage;
use crate::tree::{EntryKind, FileTree, TreePath};

/// The extension that is checked.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of its file or directory.
    pub name: &'a str,
    pub tree: &'a FileTree,
    /// What the image says of itself; `None` for a directory.
    pub protection: Option<&'a Protection>,
    /// The packages in it, where its manifest says them.
    pub packages: &'a [InstalledPackage],
}

/// The host on which the extension will be merged, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Host<'a> {
    pub tree: Option<&'a FileTree>,
    pub release: Option<OsRelease>,
    /// systemd's name.
    pub architecture: Option<String>,
    /// Whether extensions are merged in an initrd.
    pub is_initrd: bool,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub kind: &'static str,
    /// Which extension-release file counts, from the root on.
    pub release_file: Option<String>,
    pub comparison: Vec<Comparison>,
    /// The worst first, then by code.
    pub findings: Vec<Finding>,
    pub sizes: Sizes,
}

/// Where programs are that every system has, to see for which machine it is.
const PROGRAMS: [&str; 5] = [
    "usr/lib/systemd/systemd",
    "usr/bin/sh",
    "bin/sh",
    "usr/bin/busybox",
    "usr/bin/bash",
];
/// Programs that large are not of that kind.
const PROGRAM_LIMIT_BYTES: u64 = 64 << 20;

impl<'a> Host<'a> {
    /// Returns a host of which nothing is known but its os-release.
    pub fn of_release(release: OsRelease) -> Self {
        let architecture = release.get("ARCHITECTURE").map(str::to_owned);
        Self {
            release: Some(release),
            architecture,
            ..Self::default()
        }
    }

    /// Returns the host whose tree this is.
    ///
    /// # Errors
    /// An [`Error`] when it cannot be read.
    pub fn of_tree(tree: &'a FileTree) -> Result<Self, Error> {
        let release = match read_os_release(tree) {
            Ok(release) => Some(release),
            Err(crate::extension::Error::NoOsRelease) => None,
            Err(source) => return Err(Error::Describe { source }),
        };
        let initrd = TreePath::new("etc/initrd-release").expect("a constant path is valid");
        Ok(Self {
            architecture: architecture(tree)?,
            is_initrd: tree.get(&initrd).is_some(),
            tree: Some(tree),
            release,
        })
    }
}

/// Returns systemd's name of the architecture that a tree's programs are for.
fn architecture(tree: &FileTree) -> Result<Option<String>, Error> {
    for program in PROGRAMS {
        let path = TreePath::new(program).expect("a constant path is valid");
        let found = tree.resolve(&path).and_then(|path| tree.get(&path));
        let Some(EntryKind::Regular(content)) = found.map(|entry| &entry.kind) else {
            continue;
        };
        if content.size_bytes() > PROGRAM_LIMIT_BYTES {
            continue;
        }
        let mut head = [0; 64];
        let count = content
            .read_part(0, &mut head)
            .map_err(|source| Error::Read {
                path: content.location(),
                source,
            })?;
        let head = &head[..count];
        let machine = Elf::new(head).and_then(Elf::machine).ok();
        if head.starts_with(MAGIC)
            && let Some(name) = machine.and_then(crate::format::elf::Machine::architecture)
        {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Checks an extension against a host.
///
/// # Errors
/// An [`Error`] when something cannot be read.
pub fn check(subject: &Subject<'_>, host: &Host<'_>) -> Result<Report, Error> {
    let mut findings = Vec::new();
    // 1. Does it fit?
    let described = release::describe(subject, &mut findings)?;
    let comparison = release::compare(&described, host, &mut findings);
    let architecture = described.release.get("ARCHITECTURE");
    if let Some(protection) = subject.protection {
        findings.extend(protection::check(protection, host, architecture)?);
    }
    // 2. What is merged, and what does it hide?
    let merged = Merged {
        kind: described.kind,
        payload: subject.tree,
        base: host.tree,
    };
    findings.extend(hierarchies::check(&merged));
    findings.extend(shadowing::check(&merged)?);
    // 3. Does it work there?
    let architecture = architecture.or(host.architecture.as_deref());
    findings.extend(libraries::check(&merged, architecture)?);
    findings.extend(owners::check(&merged, host.release.as_ref())?);
    findings.extend(units::check(&merged, &described.release)?);
    findings.extend(services::check(&merged)?);
    findings.extend(names::check(&merged));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.rule.code));
    Ok(Report {
        kind: described.kind.name(),
        release_file: described.file.map(|file| format!("/{file}")),
        comparison,
        findings,
        sizes: size::of(subject.tree, subject.packages),
    })
}

impl Report {
    /// Returns how bad the worst is that was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
