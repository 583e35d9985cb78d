//! What the extension hides of its base, and what differs.

use super::finding::item;
use super::merged::Merged;
use super::{Error, Finding};
use crate::extension::{self, FindingItem};
use crate::tree::{DeviceNumber, Entry, EntryKind, FileTree, TreePath};

/// By which overlayfs knows a directory that hides those below, and other marks of its own.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

pub(super) fn check(merged: &Merged<'_>) -> Result<Vec<Finding>, Error> {
    let mut findings: Vec<Finding> = whiteouts(merged).into_iter().collect();
    let Some(base) = merged.base else {
        return Ok(findings);
    };
    let kind = merged.kind;
    let shipped = merged
        .payload
        .clone()
        .retain(|path, _| path.is_root() || kind.holds(path));
    let compare = |source| Error::Compare { source };
    let lints = extension::shadowing(base, &shipped).map_err(compare)?;
    for lint in lints {
        let mut finding = Finding::from(lint.finding());
        for item in &mut finding.items {
            describe(item, &shipped, base);
        }
        findings.push(finding);
    }
    let equal_count = extension::difference(base, &shipped)
        .map_err(compare)?
        .equal_count;
    if equal_count > 0 {
        let reason = format!("{equal_count} entries of the base are in the extension once more");
        let remedy =
            "build it with `Overlay=yes` and `BaseTrees=` on this base, which leaves them out";
        findings.push(Finding::new("equal-to-base", reason).remedy(remedy));
    }
    Ok(findings)
}

/// Says what differs between what a place is in both trees.
fn describe(item: &mut FindingItem, payload: &FileTree, base: &FileTree) {
    let Ok(path) = TreePath::new(&item.path) else {
        return;
    };
    if let (Some(mine), Some(other)) = (payload.get(&path), base.get(&path)) {
        item.reason = Some(difference(mine, other));
    }
}

/// Says in what `mine` differs from the base's `other`.
fn difference(mine: &Entry, other: &Entry) -> String {
    let mut parts = Vec::new();
    match (&mine.kind, &other.kind) {
        (EntryKind::Regular(one), EntryKind::Regular(two)) => {
            match (one.size_bytes(), two.size_bytes()) {
                (one, two) if one == two => {}
                (one, two) => parts.push(format!("{one} bytes for {two}")),
            }
        }
        (EntryKind::Symlink(one), EntryKind::Symlink(two)) if one != two => {
            let text = String::from_utf8_lossy;
            parts.push(format!("a link to `{}` for `{}`", text(one), text(two)));
        }
        (one, two) if std::mem::discriminant(one) != std::mem::discriminant(two) => {
            parts.push(format!("{} for {}", type_of(one), type_of(two)));
        }
        _ => {}
    }
    if mine.mode != other.mode {
        parts.push(format!("mode {:04o} for {:04o}", mine.mode, other.mode));
    }
    if (mine.uid, mine.gid) != (other.uid, other.gid) {
        let (one, two) = ((mine.uid, mine.gid), (other.uid, other.gid));
        parts.push(format!("owner {}:{} for {}:{}", one.0, one.1, two.0, two.1));
    }
    if mine.xattrs != other.xattrs {
        parts.push("other attributes".to_owned());
    }
    match parts.is_empty() {
        true => "other bytes of the same length".to_owned(),
        false => parts.join(", "),
    }
}

fn type_of(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => "a directory",
        EntryKind::Regular(_) => "a file",
        EntryKind::Symlink(_) => "a link",
        EntryKind::CharacterDevice(_) | EntryKind::BlockDevice(_) => "a device",
        EntryKind::Fifo => "a FIFO",
        EntryKind::Socket => "a socket",
    }
}

fn whiteouts(merged: &Merged<'_>) -> Option<Finding> {
    let is_mark = |entry: &Entry| {
        let nothing = DeviceNumber { major: 0, minor: 0 };
        let is_whiteout =
            matches!(&entry.kind, EntryKind::CharacterDevice(device) if *device == nothing);
        let mut names = entry.xattrs.keys();
        is_whiteout || names.any(|name| OVERLAY.iter().any(|prefix| name.starts_with(prefix)))
    };
    let marks = merged.shipped().filter(|(_, entry)| is_mark(entry));
    let items: Vec<_> = marks.map(|(path, _)| item(path, None)).collect();
    if items.is_empty() {
        return None;
    }
    let reason = "marks by which a layer deletes are in the extension, and systemd sees to it that they delete nothing";
    let remedy = "delete it in the base, or mask it where that is possible";
    Some(Finding::new("whiteout", reason).remedy(remedy).items(items))
}
