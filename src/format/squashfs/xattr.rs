//! Extended attributes: a list for each different set of them, which inodes refer to by its number.

use std::collections::{BTreeMap, HashMap};

use super::error::Error;
use super::image::{Cursor, Image};
use super::layout::{
    NO_TABLE, NO_XATTRS, Place, XATTR_ID_LENGTH, XATTR_PREFIXES, XATTR_VALUE_ELSEWHERE, XattrId,
};
use super::metadata::{MetadataCompressor, Table, write_indexed};
use super::reader::ReadError;
use super::sink::Sink;
use crate::format::budget::Budget;
use crate::format::inodes::TreeInode;
use crate::tree::TreePath;

/// `XATTR_NAME_MAX` and `XATTR_SIZE_MAX` (xattr(7)): no system call can ask for more.
const NAME_LIMIT_BYTES: usize = 255;
const VALUE_LIMIT_BYTES: usize = 65_536;
/// What an attribute takes in a tree besides its name and value.
const ATTRIBUTE_BYTES: u64 = 64;

/// The attributes of a tree, as their numbers by inode.
#[derive(Debug)]
pub(super) struct Xattrs<'a> {
    lists: Vec<&'a BTreeMap<Vec<u8>, Vec<u8>>>,
    /// For each inode the number of its list.
    numbers: Vec<u32>,
}

impl<'a> Xattrs<'a> {
    /// Collects the attributes of `inodes`.
    ///
    /// # Errors
    /// An [`Error`] that names the inode with an attribute that cannot be stored.
    pub(super) fn new(inodes: &[TreeInode<'a>]) -> Result<Self, Error> {
        let mut lists = Vec::new();
        let mut known: HashMap<&BTreeMap<_, _>, u32> = HashMap::new();
        let mut numbers = Vec::with_capacity(inodes.len());
        for inode in inodes {
            let xattrs = &inode.entry.xattrs;
            if xattrs.is_empty() {
                numbers.push(NO_XATTRS);
                continue;
            }
            let number = match known.get(xattrs) {
                Some(number) => *number,
                None => {
                    check(inode.path, xattrs)?;
                    let number = u32::try_from(lists.len())
                        .expect("there are at most as many as inodes, which were counted");
                    lists.push(xattrs);
                    known.insert(xattrs, number);
                    number
                }
            };
            numbers.push(number);
        }
        Ok(Self { lists, numbers })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Returns the number of the list that belongs to the inode `index`.
    pub(super) fn number_of(&self, index: usize) -> u32 {
        self.numbers[index]
    }

    /// Writes the lists and their table, and returns where its header is.
    pub(super) fn write(
        &self,
        compressor: &mut MetadataCompressor,
        sink: &mut Sink<'_>,
    ) -> Result<u64, Error> {
        if self.is_empty() {
            return Ok(NO_TABLE);
        }
        let lists_start = sink.position();
        let mut table = Table::new();
        let mut ids = Vec::new();
        let mut encoded = Vec::new();
        for list in &self.lists {
            encoded.clear();
            for (name, value) in *list {
                encode(name, value, &mut encoded);
            }
            let id = XattrId {
                xattr: table.place(),
                count: u32::try_from(list.len()).expect("its size was checked"),
                size: u32::try_from(encoded.len()).expect("its size was checked"),
            };
            ids.extend_from_slice(&id.encode());
            table.append(&encoded, compressor)?;
            table.drain(sink)?;
        }
        table.end(compressor)?;
        table.drain(sink)?;
        let starts = write_indexed(&ids, compressor, sink)?;
        let header = sink.position();
        sink.put(&lists_start.to_le_bytes())?;
        let count = u32::try_from(self.lists.len()).expect("there are fewer than inodes");
        sink.put(&count.to_le_bytes())?;
        sink.put(&0_u32.to_le_bytes())?;
        for start in starts {
            sink.put(&start.to_le_bytes())?;
        }
        Ok(header)
    }
}

/// Returns the type of the attribute and what follows its prefix.
fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    (0..)
        .zip(XATTR_PREFIXES)
        .find_map(|(number, prefix)| Some((number, name.strip_prefix(prefix)?)))
        .filter(|(_, suffix)| !suffix.is_empty() && !suffix.contains(&0))
}

fn check(path: &TreePath, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
    let mut encoded_bytes = 0_u64;
    for (name, value) in xattrs {
        let shown = || String::from_utf8_lossy(name).into_owned();
        if split(name).is_none() || name.len() > NAME_LIMIT_BYTES {
            return Err(Error::UnsupportedXattr {
                path: path.clone(),
                name: shown(),
            });
        }
        if value.len() > VALUE_LIMIT_BYTES {
            return Err(Error::XattrTooLarge {
                path: path.clone(),
                name: shown(),
                found_bytes: value.len(),
                limit_bytes: VALUE_LIMIT_BYTES,
            });
        }
        encoded_bytes += 8 + (name.len() + value.len()) as u64;
    }
    match u32::try_from(encoded_bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::XattrsTooLarge { path: path.clone() }),
    }
}

/// Appends `struct squashfs_xattr_entry`, the name, `struct squashfs_xattr_val` and the value.
fn encode(name: &[u8], value: &[u8], encoded: &mut Vec<u8>) {
    let (number, suffix) = split(name).expect("it was checked");
    let name_length = u16::try_from(suffix.len()).expect("it was checked");
    let value_length = u32::try_from(value.len()).expect("it was checked");
    encoded.extend_from_slice(&number.to_le_bytes());
    encoded.extend_from_slice(&name_length.to_le_bytes());
    encoded.extend_from_slice(suffix);
    encoded.extend_from_slice(&value_length.to_le_bytes());
    encoded.extend_from_slice(value);
}

/// Reads the list number `number`, which belongs to the inode at `place`.
pub(super) fn read(
    image: &Image,
    number: u32,
    place: Place,
    budget: &mut Budget,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ReadError> {
    let damaged = |reason| ReadError::Damaged {
        inode: place.reference(),
        reason,
    };
    let table = image.xattrs.as_ref().filter(|table| number < table.count);
    let table = table.ok_or_else(|| damaged("its extended attributes are in no table"))?;
    let id = XattrId::decode(&image.record::<XATTR_ID_LENGTH>(&table.ids, number)?);
    let mut cursor = image.cursor(table.lists_start, id.xattr)?;
    let mut xattrs = BTreeMap::new();
    for _ in 0..id.count {
        let [kind_low, kind_high, length_low, length_high] = cursor.array()?;
        let kind = u16::from_le_bytes([kind_low, kind_high]);
        let length = usize::from(u16::from_le_bytes([length_low, length_high]));
        let prefix = XATTR_PREFIXES
            .get(usize::from(kind & !XATTR_VALUE_ELSEWHERE))
            .ok_or_else(|| damaged("an extended attribute has an unknown prefix"))?;
        if prefix.len() + length > NAME_LIMIT_BYTES {
            return Err(damaged("the name of an extended attribute is too long"));
        }
        let mut name = prefix.to_vec();
        name.extend_from_slice(&cursor.bytes(length)?);
        let value_length = cursor.word()?;
        let value = if kind & XATTR_VALUE_ELSEWHERE == 0 {
            value(&mut cursor, value_length, budget)?
        } else {
            let elsewhere = Place::of_reference(u64::from_le_bytes(cursor.array()?));
            let mut cursor = image.cursor(table.lists_start, elsewhere)?;
            let value_length = cursor.word()?;
            value(&mut cursor, value_length, budget)?
        };
        let value = value.ok_or_else(|| damaged("an extended attribute is too long"))?;
        budget.take(name.len() as u64 + ATTRIBUTE_BYTES)?;
        if xattrs.insert(name, value).is_some() {
            return Err(damaged("an extended attribute is there twice"));
        }
    }
    Ok(xattrs)
}

/// Returns a value, `None` for one that is too long.
fn value(
    cursor: &mut Cursor<'_>,
    length: u32,
    budget: &mut Budget,
) -> Result<Option<Vec<u8>>, ReadError> {
    let length = length as usize;
    if length > VALUE_LIMIT_BYTES {
        return Ok(None);
    }
    budget.take(length as u64)?;
    cursor.bytes(length).map(Some)
}
