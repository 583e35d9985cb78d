//! Directories: entries in runs that share a metadata block of inodes, and an index of the runs.
//!
//! The index is what makes looking a name up in a large directory bearable: without it the kernel decompresses and
//! walks the directory from its start, for each name.

use super::error::Error;
use super::layout::{
    DIRECTORY_ENTRY_LENGTH, DIRECTORY_HEADER_LENGTH, DIRECTORY_RUN_LIMIT, DOTS_LENGTH,
    DirectoryEntry, DirectoryHeader, METADATA_LENGTH, Place,
};
use super::metadata::{MetadataCompressor, Table};
use super::tables::Named;
use crate::tree::TreePath;

/// A directory whose entries were written.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) start_block: u32,
    pub(super) offset: u16,
    pub(super) file_size: u32,
    /// The number of entries in `index`.
    pub(super) i_count: u16,
    pub(super) index: Vec<u8>,
}

/// Entries that follow one header.
struct Run<'n> {
    names: &'n [(&'n [u8], Named)],
    encoded_bytes: usize,
}

impl Listing {
    /// Writes the entries of `names`, which are sorted, of the directory `path`.
    pub(super) fn write<'n>(
        path: &TreePath,
        names: impl Iterator<Item = (&'n [u8], Named)>,
        directories: &mut Table,
        compressor: &mut MetadataCompressor,
    ) -> Result<Self, Error> {
        let too_large = || Error::DirectoryTooLarge { path: path.clone() };
        let names: Vec<_> = names.collect();
        let start = directories.place();
        let mut listing = Self {
            start_block: block_number(start, "table of directories")?,
            offset: start.offset,
            file_size: DOTS_LENGTH,
            i_count: 0,
            index: Vec::new(),
        };
        let mut indexed_block = start.block;
        let mut rest = names.as_slice();
        let mut encoded = Vec::new();
        while let Some((first, _)) = rest.first() {
            let place = directories.place();
            let run = Run::first_of(rest, place.offset);
            if place.block != indexed_block && listing.i_count < u16::MAX {
                indexed_block = place.block;
                listing.add_to_index(place, first)?;
            }
            encoded.clear();
            run.encode(&mut encoded)?;
            directories.append(&encoded, compressor)?;
            let length = u32::try_from(encoded.len()).map_err(|_| too_large())?;
            let file_size = listing.file_size.checked_add(length);
            listing.file_size = file_size.ok_or_else(too_large)?;
            rest = &rest[run.names.len()..];
        }
        Ok(listing)
    }

    /// Appends a `struct squashfs_dir_index`: the run at `place`, as far into the directory as was written, begins
    /// with `name`.
    fn add_to_index(&mut self, place: Place, name: &[u8]) -> Result<(), Error> {
        let start_block = block_number(place, "table of directories")?;
        let size = u32::try_from(name.len() - 1).expect("its length was checked");
        for word in [self.file_size - DOTS_LENGTH, start_block, size] {
            self.index.extend_from_slice(&word.to_le_bytes());
        }
        self.index.extend_from_slice(name);
        self.i_count += 1;
        Ok(())
    }
}

impl<'n> Run<'n> {
    /// Returns the longest run that `names` begin with and that begins at `offset` of a metadata block.
    ///
    /// No entry of it begins in the next block, so that the index leads to the very block with a name.
    fn first_of(names: &'n [(&'n [u8], Named)], offset: u16) -> Self {
        let (_, first) = names[0];
        let mut encoded_bytes = DIRECTORY_HEADER_LENGTH;
        let mut count = 0;
        for (name, inode) in names.iter().take(DIRECTORY_RUN_LIMIT) {
            let is_in_run = inode.place.block == first.place.block
                && difference(*inode, first).is_some()
                && (count == 0 || usize::from(offset) + encoded_bytes < METADATA_LENGTH);
            if !is_in_run {
                break;
            }
            encoded_bytes += DIRECTORY_ENTRY_LENGTH + name.len();
            count += 1;
        }
        Self {
            names: &names[..count],
            encoded_bytes,
        }
    }

    fn encode(&self, encoded: &mut Vec<u8>) -> Result<(), Error> {
        let (_, first) = self.names[0];
        let header = DirectoryHeader {
            count: u32::try_from(self.names.len() - 1).expect("a run has at most 256 names"),
            start_block: block_number(first.place, "table of inodes")?,
            inode_number: first.number,
        };
        encoded.reserve(self.encoded_bytes);
        encoded.extend_from_slice(&header.encode());
        for (name, inode) in self.names {
            let entry = DirectoryEntry {
                offset: inode.place.offset,
                inode_number: difference(*inode, first).expect("they are in one run"),
                kind: inode.kind,
                size: u16::try_from(name.len() - 1).expect("its length was checked"),
            };
            encoded.extend_from_slice(&entry.encode());
            encoded.extend_from_slice(name);
        }
        Ok(())
    }
}

/// Returns how far the number of `inode` is from that of the first in its run.
fn difference(inode: Named, first: Named) -> Option<i16> {
    i16::try_from(i64::from(inode.number) - i64::from(first.number)).ok()
}

/// Returns the start of a block as inodes and directories have it.
fn block_number(place: Place, table: &'static str) -> Result<u32, Error> {
    u32::try_from(place.block).map_err(|_| Error::TableTooLarge { table })
}
