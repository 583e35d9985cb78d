//! Extended attributes: inline behind their inode, or once in an area that inodes refer to.
//!
//! An attribute is shared when several inodes have it with the same value (SELinux labels, the same ACL on a tree), and
//! when it is so large that it would spread its inode over blocks.

use std::collections::BTreeMap;

use super::error::Error;
use super::layout::{XATTR_ENTRY_LENGTH, XATTR_IBODY_HEADER_LENGTH, XATTR_PREFIXES, align};
use crate::tree::{Entry, TreePath};

/// `XATTR_NAME_MAX` (xattr(7)): no system call can name a longer attribute.
const NAME_LIMIT_BYTES: usize = 255;
/// `e_value_size` has 16 bits, one byte less than `XATTR_SIZE_MAX`.
const VALUE_LIMIT_BYTES: usize = 65_535;
/// Kernels before 6.4 keep the size of an inode's xattrs in 16 bits, although `i_xattr_icount` could express more.
const BODY_LIMIT_BYTES: u64 = 65_532;
/// `h_shared_count` has 8 bits; what is beyond stays inline.
const SHARED_COUNT_LIMIT: usize = 255;
/// Larger attributes are always shared, so that inodes stay small enough to pack. Changes images.
const INLINE_LIMIT_BYTES: u64 = 1024;
/// Shared attributes are referred to by the number of 4-byte units before them.
const UNIT_BYTES: u64 = 4;

/// An attribute as it is stored: the index of its prefix, the rest of its name, and its value.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Attribute<'a> {
    name_index: u8,
    suffix: &'a [u8],
    value: &'a [u8],
}

/// The attributes of one inode, as references into the shared area and inline entries.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    shared: Vec<u32>,
    inline: Vec<Attribute<'a>>,
}

/// The attributes that inodes refer to.
#[derive(Debug, Default)]
pub(super) struct SharedArea<'a> {
    attributes: Vec<Attribute<'a>>,
    size_bytes: u64,
}

impl<'a> Attribute<'a> {
    fn new(path: &TreePath, name: &'a [u8], value: &'a [u8]) -> Result<Self, Error> {
        let unsupported = || Error::UnsupportedXattr {
            path: path.clone(),
            name: String::from_utf8_lossy(name).into_owned(),
        };
        let (name_index, suffix) = XATTR_PREFIXES
            .iter()
            .find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)))
            .ok_or_else(unsupported)?;
        // ACLs have a prefix that is the whole name; of the others, no system call takes an empty name.
        let is_acl = matches!(name_index, 2 | 3);
        if is_acl != suffix.is_empty() || suffix.contains(&0) || name.len() > NAME_LIMIT_BYTES {
            return Err(unsupported());
        }
        if value.len() > VALUE_LIMIT_BYTES {
            return Err(Error::XattrTooLarge {
                path: path.clone(),
                name: String::from_utf8_lossy(name).into_owned(),
                found_bytes: value.len(),
                limit_bytes: VALUE_LIMIT_BYTES,
            });
        }
        Ok(Self {
            name_index,
            suffix,
            value,
        })
    }

    fn size_bytes(&self) -> u64 {
        let unaligned = XATTR_ENTRY_LENGTH + self.suffix.len() + self.value.len();
        align(unaligned as u64, UNIT_BYTES)
    }

    /// Appends `struct erofs_xattr_entry`, the name and the value.
    fn encode(&self, encoded: &mut Vec<u8>) {
        let name_length = u8::try_from(self.suffix.len()).expect("checked on construction");
        let value_length = u16::try_from(self.value.len()).expect("checked on construction");
        encoded.extend_from_slice(&[name_length, self.name_index]);
        encoded.extend_from_slice(&value_length.to_le_bytes());
        encoded.extend_from_slice(self.suffix);
        encoded.extend_from_slice(self.value);
        let unaligned = XATTR_ENTRY_LENGTH + self.suffix.len() + self.value.len();
        let padding = unaligned.next_multiple_of(4) - unaligned;
        encoded.extend_from_slice(&[0; 3][..padding]);
    }
}

impl Body<'_> {
    /// Returns the size of the attributes in the inode, 0 when there are none.
    pub(super) fn size_bytes(&self) -> u64 {
        if self.shared.is_empty() && self.inline.is_empty() {
            return 0;
        }
        let shared = UNIT_BYTES * self.shared.len() as u64;
        let inline: u64 = self.inline.iter().map(Attribute::size_bytes).sum();
        XATTR_IBODY_HEADER_LENGTH as u64 + shared + inline
    }

    /// Returns `i_xattr_icount`: 0, or 1 for the header and 1 for each 4 bytes that follow.
    pub(super) fn icount(&self) -> u16 {
        let Some(entries) = self
            .size_bytes()
            .checked_sub(XATTR_IBODY_HEADER_LENGTH as u64)
        else {
            return 0;
        };
        u16::try_from(1 + entries / UNIT_BYTES).expect("a body is not made above its limit")
    }

    /// Appends `struct erofs_xattr_ibody_header`, the references and the inline entries.
    pub(super) fn encode(&self, encoded: &mut Vec<u8>) {
        if self.size_bytes() == 0 {
            return;
        }
        let mut header = [0; XATTR_IBODY_HEADER_LENGTH];
        header[4] = u8::try_from(self.shared.len()).expect("a body is not made above its limit");
        encoded.extend_from_slice(&header);
        for id in &self.shared {
            encoded.extend_from_slice(&id.to_le_bytes());
        }
        for attribute in &self.inline {
            attribute.encode(encoded);
        }
    }
}

impl SharedArea<'_> {
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Iterates over the encoded entries, in order and without gaps.
    pub(super) fn encoded_entries(&self) -> impl Iterator<Item = Vec<u8>> {
        self.attributes.iter().map(|attribute| {
            let mut encoded = Vec::new();
            attribute.encode(&mut encoded);
            encoded
        })
    }
}

/// Decides which attributes of `inodes` are shared and returns the body of each inode, in order, and the area.
///
/// # Errors
/// [`Error::UnsupportedXattr`], [`Error::XattrTooLarge`] and [`Error::XattrsTooLarge`] for what the format cannot hold.
pub(super) fn lay_out<'a>(
    inodes: &[(&'a TreePath, &'a Entry)],
) -> Result<(Vec<Body<'a>>, SharedArea<'a>), Error> {
    let mut users: BTreeMap<Attribute<'a>, u64> = BTreeMap::new();
    for (path, entry) in inodes {
        for (name, value) in &entry.xattrs {
            *users.entry(Attribute::new(path, name, value)?).or_default() += 1;
        }
    }

    let mut area = SharedArea::default();
    let mut ids: BTreeMap<Attribute<'a>, u32> = BTreeMap::new();
    for (attribute, count) in users {
        if count > 1 || attribute.size_bytes() > INLINE_LIMIT_BYTES {
            let id = u32::try_from(area.size_bytes / UNIT_BYTES)
                .map_err(|_| Error::SharedXattrsTooLarge)?;
            ids.insert(attribute, id);
            area.attributes.push(attribute);
            area.size_bytes += attribute.size_bytes();
        }
    }

    let mut bodies = Vec::with_capacity(inodes.len());
    for (path, entry) in inodes {
        bodies.push(body(path, entry, &ids)?);
    }
    Ok((bodies, area))
}

fn body<'a>(
    path: &TreePath,
    entry: &'a Entry,
    ids: &BTreeMap<Attribute<'a>, u32>,
) -> Result<Body<'a>, Error> {
    let mut body = Body::default();
    for (name, value) in &entry.xattrs {
        let attribute = Attribute::new(path, name, value)?;
        match ids.get(&attribute) {
            Some(id) if body.shared.len() < SHARED_COUNT_LIMIT => body.shared.push(*id),
            _ => body.inline.push(attribute),
        }
    }
    let found_bytes = body.size_bytes();
    if found_bytes > BODY_LIMIT_BYTES {
        return Err(Error::XattrsTooLarge {
            path: path.clone(),
            found_bytes,
            limit_bytes: BODY_LIMIT_BYTES,
        });
    }
    Ok(body)
}
