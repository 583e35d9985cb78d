//! Extended attributes, in the inode where they fit and in a block of their own otherwise.

use uuid::Uuid;

use super::Error;
use super::layout::{BLOCK_BYTES, checksum, put};
use crate::tree::{Entry, TreePath};

const MAGIC: u32 = 0xEA02_0000;
/// `struct ext4_xattr_header` of a block.
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;
/// Room in an inode of 256 bytes after its 160 bytes of fields.
pub(super) const INODE_ROOM: usize = 96;
/// Four zeros end the entries.
const END_BYTES: usize = 4;

/// Names by prefix, `struct ext4_xattr_entry.e_name_index`.
const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];

/// An attribute in its form on disk.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Attribute {
    index: u8,
    /// Entries of a block are sorted by index, length of the name, name.
    name_length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The attributes of an inode.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes(Vec<Attribute>);

impl Attributes {
    /// Takes those of an entry.
    pub(super) fn of(path: &TreePath, entry: &Entry) -> Result<Self, Error> {
        let mut attributes = Vec::new();
        for (name, value) in &entry.xattrs {
            let unsupported = || Error::UnsupportedXattr {
                path: path.clone(),
                name: String::from_utf8_lossy(name).into_owned(),
            };
            let (index, name, value) = match name.as_slice() {
                b"system.posix_acl_access" => (2, &[][..], acl(value).ok_or_else(unsupported)?),
                b"system.posix_acl_default" => (3, &[][..], acl(value).ok_or_else(unsupported)?),
                name => {
                    let found = PREFIXES
                        .into_iter()
                        .find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix)?)));
                    let (index, rest) = found.ok_or_else(unsupported)?;
                    (index, rest, value.clone())
                }
            };
            if name.len() > 255 {
                return Err(unsupported());
            }
            attributes.push(Attribute {
                index,
                name_length: name.len(),
                name: name.to_vec(),
                value,
            });
        }
        attributes.sort();
        let attributes = Self(attributes);
        if attributes.bytes() > BLOCK_BYTES - HEADER_BYTES - END_BYTES {
            return Err(Error::XattrsTooLarge { path: path.clone() });
        }
        Ok(attributes)
    }

    /// Tells whether they need a block of their own.
    pub(super) fn need_block(&self) -> bool {
        self.bytes() > INODE_ROOM - 4 - END_BYTES
    }

    fn bytes(&self) -> usize {
        let sizes = self.0.iter().map(|found| {
            ENTRY_BYTES
                + found.name.len().next_multiple_of(4)
                + found.value.len().next_multiple_of(4)
        });
        sizes.sum()
    }

    /// Returns what follows the fields of an inode.
    pub(super) fn in_inode(&self) -> [u8; INODE_ROOM] {
        let mut room = [0; INODE_ROOM];
        if self.0.is_empty() || self.need_block() {
            return room;
        }
        put(&mut room, 0, &MAGIC.to_le_bytes());
        // Offsets count from the first entry, and hashes are left out.
        self.write(&mut room[4..], 0, false);
        room
    }

    /// Returns the block of attributes that lies at `number`.
    pub(super) fn block(&self, uuid: Uuid, number: u32) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        put(&mut block, 0, &MAGIC.to_le_bytes());
        put(&mut block, 4, &1u32.to_le_bytes());
        put(&mut block, 8, &1u32.to_le_bytes());
        let hash = self.write(&mut block, HEADER_BYTES, true);
        put(&mut block, 12, &hash.to_le_bytes());
        let sum = checksum(uuid, &[&u64::from(number).to_le_bytes(), &block]);
        put(&mut block, 16, &sum.to_le_bytes());
        block
    }

    /// Writes entries from `start` on and values from the end, and returns the hash of all.
    fn write(&self, room: &mut [u8], start: usize, hashed: bool) -> u32 {
        let (mut at, mut end, mut all) = (start, room.len(), 0u32);
        for found in &self.0 {
            let padded = found.value.len().next_multiple_of(4);
            end -= padded;
            let hash = if hashed { found.hash() } else { 0 };
            let offset = u16::try_from(end).unwrap_or_default();
            let offset = if found.value.is_empty() { 0 } else { offset };
            let size = u32::try_from(found.value.len()).unwrap_or_default();
            room[at] = u8::try_from(found.name.len()).unwrap_or_default();
            room[at + 1] = found.index;
            put(room, at + 2, &offset.to_le_bytes());
            put(room, at + 8, &size.to_le_bytes());
            put(room, at + 12, &hash.to_le_bytes());
            put(room, at + ENTRY_BYTES, &found.name);
            put(room, end, &found.value);
            at += ENTRY_BYTES + found.name.len().next_multiple_of(4);
            all = all.rotate_left(16) ^ hash;
        }
        all
    }
}

impl Attribute {
    /// `ext4_xattr_hash_entry`.
    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        let mut value = self.value.clone();
        value.resize(value.len().next_multiple_of(4), 0);
        let (words, _) = value.as_chunks::<4>();
        words.iter().fold(name, |hash, word| {
            hash.rotate_left(16) ^ u32::from_le_bytes(*word)
        })
    }
}

/// Turns an ACL as system calls have it into the form on disk, where only entries of named ids have one.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    const NAMED_USER: u16 = 2;
    const NAMED_GROUP: u16 = 8;
    let entries = value.strip_prefix(&2u32.to_le_bytes()[..])?;
    let (entries, []) = entries.as_chunks::<8>() else {
        return None;
    };
    let mut stored = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        stored.extend_from_slice(&entry[..4]);
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        if matches!(tag, NAMED_USER | NAMED_GROUP) {
            stored.extend_from_slice(&entry[4..]);
        }
    }
    Some(stored)
}
