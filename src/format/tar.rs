//! The tar archive of a tree, in the pax form of POSIX.1-2001.
//!
//! Members are sorted by name, parents first, and the root is the first one, `./`. Owners are numbers without names.
//! Of hard links the first name has the data and the others lead to it. What does not fit into the old header (long
//! names, large numbers, parts of seconds, extended attributes) is in an extended header before the member, and only
//! then is there one.
//!
//! Formats: pax(1) of POSIX.1-2017, sections "pax Interchange Format" and "ustar Interchange Format". Extended
//! attributes have the keys that GNU tar, star, Go and container tools share: `SCHILY.xattr.NAME`; access control lists
//! are there as attributes and, for GNU tar's `--acls`, as text (`SCHILY.acl.access`).

pub mod accounts;
mod acl;
#[cfg(test)]
mod fixture;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod header;
pub mod reader;
pub mod unpack;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use self::acl::acl_text;
use self::header::{Header, MemberType};
pub use super::padded::ArchiveError as Error;
use super::padded::PaddedArchive;
use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

/// What members and their data are padded to.
const BLOCK_BYTES: u64 = 512;
/// What the archive is padded to: the record of 20 blocks that every tar writes and some expect.
const RECORD_BYTES: u64 = 20 * BLOCK_BYTES;

/// What of a tree the format cannot express, so that a caller can warn.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    pub sockets: Vec<TreePath>,
}

/// Writes `tree` to `out` and returns what the format could not express.
///
/// # Errors
/// An [`Error`] that names the entry that cannot be read, or [`Error::Write`].
pub fn write(tree: &FileTree, out: &mut dyn Write) -> Result<Lost, Error> {
    let mut archive = Archive {
        members: PaddedArchive::new(out, "tar"),
        linked: HashMap::new(),
    };
    let mut lost = Lost::default();
    for (path, entry) in tree.iter() {
        match entry.kind {
            EntryKind::Socket => lost.sockets.push(path.clone()),
            _ => archive.add(path, entry)?,
        }
    }
    archive.finish()?;
    Ok(lost)
}

struct Archive<'a> {
    members: PaddedArchive<'a>,
    /// The first name of each inode that has several.
    linked: HashMap<HardLinkGroup, Vec<u8>>,
}

impl Archive<'_> {
    fn add(&mut self, path: &TreePath, entry: &Entry) -> Result<(), Error> {
        let name = member_name(path, entry);
        let first = match entry.hard_link {
            Some(group) => self.linked.get(&group).cloned(),
            None => None,
        };
        let (member_type, target, content) = match (&entry.kind, &first) {
            (_, Some(first)) => (MemberType::HardLink, first.as_slice(), None),
            (EntryKind::Regular(content), None) => (MemberType::Regular, &[][..], Some(content)),
            (EntryKind::Symlink(target), None) => (MemberType::Symlink, target.as_slice(), None),
            (EntryKind::Directory, None) => (MemberType::Directory, &[][..], None),
            (EntryKind::CharacterDevice(_), None) => (MemberType::CharacterDevice, &[][..], None),
            (EntryKind::BlockDevice(_), None) => (MemberType::BlockDevice, &[][..], None),
            (EntryKind::Fifo | EntryKind::Socket, None) => (MemberType::Fifo, &[][..], None),
        };
        if let (Some(group), None) = (entry.hard_link, &first) {
            self.linked.insert(group, name.clone());
        }
        let mut records = Records::default();
        let mut header = Header::new(member_type, entry.mode);
        header.name(&name, &mut records);
        header.target(target, &mut records);
        header.owner(entry.uid, entry.gid, &mut records);
        header.time(entry.modified, &mut records);
        header.size(content.map_or(0, Content::size_bytes), &mut records);
        if let (EntryKind::CharacterDevice(number) | EntryKind::BlockDevice(number), None) =
            (&entry.kind, &first)
        {
            header.device(*number, &mut records);
        }
        // The first name has brought the attributes to the inode.
        if first.is_none() {
            records.add_attributes(entry);
        }
        self.put_records(&records, entry.modified, &name)?;
        self.members.put(&header.finish())?;
        if let Some(content) = content {
            self.members.copy(path, content)?;
        }
        self.members.pad(BLOCK_BYTES)
    }

    /// Writes an extended header, a member of its own, if there is something for it.
    fn put_records(
        &mut self,
        records: &Records,
        modified: Timestamp,
        name: &[u8],
    ) -> Result<(), Error> {
        if records.0.is_empty() {
            return Ok(());
        }
        let body = records.to_bytes();
        // A reader that does not know the type makes a file of this name; no reader takes anything else from it.
        let base = name
            .strip_suffix(b"/")
            .unwrap_or(name)
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default();
        let mut header = Header::new(MemberType::ExtendedHeader, 0o644);
        let mut none = Records::default();
        header.name(&[b"PaxHeaders/", base].concat(), &mut none);
        header.time(Timestamp::from_seconds(modified.seconds), &mut none);
        header.size(body.len() as u64, &mut none);
        self.members.put(&header.finish())?;
        self.members.put(&body)?;
        self.members.pad(BLOCK_BYTES)
    }

    fn finish(&mut self) -> Result<(), Error> {
        const END: [u8; 1024] = [0; 1024];
        self.members.put(&END)?;
        self.members.pad(RECORD_BYTES)
    }
}

/// The records of an extended header, sorted by key.
#[derive(Default)]
struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    fn add(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), value.into());
    }

    fn add_attributes(&mut self, entry: &Entry) {
        for (name, value) in &entry.xattrs {
            let key = [b"SCHILY.xattr.", escaped(name).as_slice()].concat();
            self.0.insert(key, value.clone());
        }
        for (name, key) in [
            ("system.posix_acl_access", "SCHILY.acl.access"),
            ("system.posix_acl_default", "SCHILY.acl.default"),
        ] {
            if let Some(text) = entry
                .xattrs
                .get(name.as_bytes())
                .and_then(|value| acl_text(value))
            {
                self.add(key, text);
            }
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            // A record is its length, a space, the key, `=`, the value and a newline; the length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            bytes.extend_from_slice(format!("{length} ").as_bytes());
            bytes.extend_from_slice(key);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }
}

/// Returns a name as it stands in a key, which ends at the first `=` (GNU tar's way, since 1.30).
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => escaped.extend_from_slice(b"%3D"),
            b'%' => escaped.extend_from_slice(b"%25"),
            other => escaped.push(*other),
        }
    }
    escaped
}

/// Returns the name of a member: directories end in a slash.
fn member_name(path: &TreePath, entry: &Entry) -> Vec<u8> {
    if path.is_root() {
        return b"./".to_vec();
    }
    let mut name = path.as_bytes().to_vec();
    if entry.is_directory() {
        name.push(b'/');
    }
    name
}

#[cfg(test)]
mod tests;
