//! The entries of a directory as an image has them, and the check of its index.

use std::collections::HashMap;

use super::image::{Cursor, Image};
use super::layout::{
    DIRECTORY_ENTRY_LENGTH, DIRECTORY_HEADER_LENGTH, DIRECTORY_RUN_LIMIT, DOTS_LENGTH,
    DirectoryEntry, DirectoryHeader, DirectoryInode, Place,
};
use super::reader::ReadError;

/// `SQUASHFS_NAME_LEN`, less one.
const NAME_LIMIT_BYTES: usize = 255;

/// Reads the entries of a directory one after the other.
#[derive(Debug)]
pub(super) struct Entries<'i> {
    image: &'i Image,
    /// The reference to the directory's inode.
    inode: u64,
    directory: DirectoryInode,
    cursor: Option<Cursor<'i>>,
    /// How many bytes of entries are still to be read, and how many entries before the next header.
    rest_bytes: u32,
    rest_entries: u32,
    start_block: u32,
    /// The name that was read last.
    name: Vec<u8>,
    /// Where the runs of entries are in the directory, for the index.
    runs: HashMap<u32, Run>,
}

/// Entries that follow one header.
#[derive(Debug)]
struct Run {
    place: Place,
    first_name: Vec<u8>,
}

/// What an entry says of an inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// The type of a basic inode.
    pub(super) kind: u16,
}

impl<'i> Entries<'i> {
    pub(super) fn new(
        image: &'i Image,
        inode: u64,
        directory: DirectoryInode,
    ) -> Result<Self, ReadError> {
        let rest_bytes = match directory.file_size {
            // Writers say 0 or 3 of an empty one.
            0 => 0,
            size => size
                .checked_sub(DOTS_LENGTH)
                .ok_or(damaged(inode, "its size is less than any directory's"))?,
        };
        Ok(Self {
            image,
            inode,
            directory,
            cursor: None,
            rest_bytes,
            rest_entries: 0,
            start_block: 0,
            name: Vec::new(),
            runs: HashMap::new(),
        })
    }

    /// Returns the name of the entry that was read last.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Reads the next entry, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Found>, ReadError> {
        if self.rest_entries == 0 && self.rest_bytes == 0 {
            return Ok(None);
        }
        let is_first = self.rest_entries == 0;
        let (begin, place) = match is_first {
            true => self.read_header()?,
            false => (0, Place::default()),
        };
        self.rest_entries -= 1;
        self.take(DIRECTORY_ENTRY_LENGTH)?;
        let encoded = self.cursor()?.array::<DIRECTORY_ENTRY_LENGTH>()?;
        let entry = DirectoryEntry::decode(&encoded);
        let length = usize::from(entry.size) + 1;
        if length > NAME_LIMIT_BYTES {
            return Err(self.damaged("a name in it is longer than 255 bytes"));
        }
        self.take(length)?;
        let name = self.cursor()?.bytes(length)?;
        // No name is empty, so the first one comes after this.
        if self.name >= name {
            return Err(self.damaged("its names are not sorted"));
        }
        self.name = name;
        if is_first && self.directory.i_count > 0 {
            let first_name = self.name.clone();
            self.runs.insert(begin, Run { place, first_name });
        }
        Ok(Some(Found {
            place: Place {
                block: self.start_block.into(),
                offset: entry.offset,
            },
            kind: entry.kind,
        }))
    }

    /// Reads a header; returns how far into the directory and where in the table it is.
    fn read_header(&mut self) -> Result<(u32, Place), ReadError> {
        let begin = self.directory.file_size - DOTS_LENGTH - self.rest_bytes;
        self.take(DIRECTORY_HEADER_LENGTH)?;
        let cursor = self.cursor()?;
        let place = cursor.place();
        let header = DirectoryHeader::decode(&cursor.array::<DIRECTORY_HEADER_LENGTH>()?);
        if header.count as usize >= DIRECTORY_RUN_LIMIT {
            return Err(self.damaged("more than 256 of its entries have one header"));
        }
        self.rest_entries = header.count + 1;
        self.start_block = header.start_block;
        Ok((begin, place))
    }

    /// Checks that each entry of the index, which `index` is at, is of a run of the directory, in their order.
    pub(super) fn check_index(&self, mut index: Cursor<'_>) -> Result<(), ReadError> {
        let mut previous = None;
        for _ in 0..self.directory.i_count {
            let (begin, start_block) = (index.word()?, index.word()?);
            let length = index.word()? as usize;
            if length >= NAME_LIMIT_BYTES || previous >= Some(begin) {
                return Err(self.damaged("its index is not sorted"));
            }
            let name = index.bytes(length + 1)?;
            let is_right = self.runs.get(&begin).is_some_and(|run| {
                run.place.block == u64::from(start_block) && run.first_name == name
            });
            if !is_right {
                return Err(self.damaged("its index leads astray"));
            }
            previous = Some(begin);
        }
        Ok(())
    }

    fn cursor(&mut self) -> Result<&mut Cursor<'i>, ReadError> {
        match &mut self.cursor {
            Some(cursor) => Ok(cursor),
            none => {
                let place = Place {
                    block: self.directory.start_block.into(),
                    offset: self.directory.offset,
                };
                let table_start = self.image.superblock.directory_table_start;
                Ok(none.insert(self.image.cursor(table_start, place)?))
            }
        }
    }

    /// Takes `length` of the bytes that the directory has.
    fn take(&mut self, length: usize) -> Result<(), ReadError> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let rest = self.rest_bytes.checked_sub(length);
        self.rest_bytes = rest.ok_or(self.damaged("its last entry is cut off"))?;
        Ok(())
    }

    fn damaged(&self, reason: &'static str) -> ReadError {
        damaged(self.inode, reason)
    }
}

fn damaged(inode: u64, reason: &'static str) -> ReadError {
    ReadError::Damaged { inode, reason }
}
