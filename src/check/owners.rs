//! Whom files belong to where the extension is merged, and which rights they give.

use super::finding::item;
use super::merged::Merged;
use super::{Error, Finding};
use crate::distribution::static_ids;
use crate::extension::{self, Accounts, OsRelease};
use crate::recipe::Distribution;
use crate::tree::{Entry, EntryKind};

const S_ISUID: u16 = 0o4000;
const S_ISGID: u16 = 0o2000;
const S_ISVTX: u16 = 0o1000;
const WRITABLE: u16 = 0o002;
const CAPABILITY: &[u8] = b"security.capability";

pub(super) fn check(
    merged: &Merged<'_>,
    release: Option<&OsRelease>,
) -> Result<Vec<Finding>, Error> {
    let describe = |source| Error::Describe { source };
    let accounts = Accounts::read(merged.payload, merged.base, merged.kind).map_err(describe)?;
    let id = release
        .and_then(|release| release.get("ID"))
        .unwrap_or_default();
    let distribution = Distribution::named(id).unwrap_or(Distribution::Custom);
    let kind = merged.kind;
    let shipped = merged
        .payload
        .clone()
        .retain(|path, _| path.is_root() || kind.holds(path));
    let allocated = extension::allocated_owners(&shipped, &accounts, static_ids(distribution));
    let mut findings: Vec<Finding> = allocated
        .iter()
        .map(|lint| Finding::from(lint.finding()))
        .collect();
    let mut add = |name, reason: &str, remedy: &str, is: &dyn Fn(&Entry) -> Option<String>| {
        let found = merged.shipped().filter_map(|(path, entry)| {
            let what = is(entry)?;
            Some(item(path, (!what.is_empty()).then_some(what)))
        });
        let items: Vec<_> = found.collect();
        if !items.is_empty() {
            findings.push(Finding::new(name, reason).remedy(remedy).items(items));
        }
    };
    add(
        "set-id",
        "whoever starts these programs gets the rights of their owner or group",
        "see to it that they are meant to; an extension brings them without asking",
        &|entry| set_id(entry),
    );
    add(
        "capabilities",
        "whoever starts these programs gets capabilities",
        "see to it that they are meant to; an extension brings them without asking",
        &|entry| entry.xattrs.contains_key(CAPABILITY).then(String::new),
    );
    add(
        "world-writable",
        "everybody may write here where the hierarchy is mutable, and the mode is that of a mistake",
        "take the right to write from others",
        &|entry| is_world_writable(entry).then(|| format!("mode {:04o}", entry.mode)),
    );
    add(
        "device",
        "hierarchies are mounted so that device nodes cannot be used, and systemd makes those that exist",
        "leave them out",
        &|entry| is_device(entry).then(String::new),
    );
    Ok(findings)
}

fn set_id(entry: &Entry) -> Option<String> {
    if !matches!(entry.kind, EntryKind::Regular(_)) {
        return None;
    }
    let user = (entry.mode & S_ISUID != 0).then(|| format!("user {}", entry.uid));
    // Without the right of the group to execute, the bit once meant mandatory locks.
    let is_group = entry.mode & S_ISGID != 0 && entry.mode & 0o010 != 0;
    let group = is_group.then(|| format!("group {}", entry.gid));
    let parts: Vec<String> = user.into_iter().chain(group).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

fn is_world_writable(entry: &Entry) -> bool {
    let is_sticky = entry.is_directory() && entry.mode & S_ISVTX != 0;
    let has_mode = matches!(entry.kind, EntryKind::Regular(_) | EntryKind::Directory);
    has_mode && !is_sticky && entry.mode & WRITABLE != 0
}

/// A whiteout is told of elsewhere.
fn is_device(entry: &Entry) -> bool {
    match &entry.kind {
        EntryKind::BlockDevice(_) => true,
        EntryKind::CharacterDevice(device) => (device.major, device.minor) != (0, 0),
        _ => false,
    }
}
