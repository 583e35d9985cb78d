//! What of the extension is merged at all.

use super::Finding;
use super::finding::item;
use super::merged::Merged;
use crate::extension::{ExtensionKind, Severity};
use crate::tree::{Entry, TreePath};

/// The database of installed packages of rpm and zypper, and of dpkg where it lies in `/usr`.
const PACKAGE_DATABASES: [&str; 2] = ["usr/lib/sysimage", "usr/lib/rpm/db"];

pub(super) fn check(merged: &Merged<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(outside(merged));
    let has_files = merged
        .shipped()
        .any(|(path, entry)| !entry.is_directory() && !is_release(merged.kind, path));
    if !has_files {
        let reason = "it adds no file to any of its hierarchies";
        findings
            .push(Finding::new("empty-payload", reason).remedy("nothing is gained by merging it"));
    }
    let databases =
        PACKAGE_DATABASES.map(|path| TreePath::new(path).expect("a constant path is valid"));
    for path in databases.iter().filter(|path| merged.kind.holds(path)) {
        if merged.payload.get(path).is_some() {
            let reason = "it hides the host's own list of what is installed";
            let finding =
                Finding::new("package-database", reason).remedy("leave it out of the extension");
            findings.push(finding.at(path));
        }
    }
    findings
}

fn is_release(kind: ExtensionKind, path: &TreePath) -> bool {
    let directory = TreePath::new(kind.release_directory()).expect("a constant path is valid");
    path.starts_with(&directory)
}

fn entries(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 entry".to_owned()),
        _ => Some(format!("{count} entries")),
    }
}

/// Tells what lies elsewhere: the topmost directories that hold something, or what is at the top.
fn outside(merged: &Merged<'_>) -> Option<Finding> {
    let is_outside = |path: &TreePath| !path.is_root() && !merged.kind.holds(path);
    let leaves = |(path, entry): &(&TreePath, &Entry)| is_outside(path) && !entry.is_directory();
    let count = merged.payload.iter().filter(leaves).count();
    let top = merged.payload.children(&TreePath::root());
    let items: Vec<_> = top
        .iter()
        .filter(|(path, _)| is_outside(path))
        .map(|(path, _)| {
            let below = merged.payload.iter().filter(leaves);
            let count = below.filter(|(below, _)| below.starts_with(path)).count();
            item(path, entries(count))
        })
        .collect();
    if items.is_empty() {
        return None;
    }
    let (kind, hierarchies) = match merged.kind {
        ExtensionKind::Sysext => ("sysext", "`/usr` and `/opt`"),
        ExtensionKind::Confext => ("confext", "`/etc`"),
    };
    let finding = match count {
        0 => Finding::new(
            "outside-hierarchies",
            format!("directories without files lie outside of {hierarchies}, which is all that is merged of a {kind}"),
        )
        .severity(Severity::Note),
        _ => Finding::new(
            "outside-hierarchies",
            format!("{count} entries lie outside of {hierarchies}, which is all that is merged of a {kind}"),
        ),
    };
    let remedy = match merged.kind {
        ExtensionKind::Sysext => {
            "put configuration in a confext, and have other files made at boot with `tmpfiles.d`"
        }
        ExtensionKind::Confext => "put programs and data in a sysext",
    };
    Some(finding.remedy(remedy).items(items))
}
