//! Contents of files, decompressed a block at a time.

use std::io::{self, Read};
use std::sync::Arc;

use super::image::Image;
use super::layout::{BLOCK_STORED, FileInode, InodeKind, NO_FRAGMENT, Place};
use super::reader::ReadError;
use crate::tree::StoredContents;

/// How many block sizes are read from the table of inodes at once.
const SIZES_AT_ONCE: u64 = 1024;

/// The image out of which the contents of its tree are read. An inode's number is the reference to its place.
#[derive(Debug)]
pub(super) struct Contents(pub(super) Arc<Image>);

impl StoredContents for Contents {
    fn open(&self, inode: u64) -> io::Result<Box<dyn Read + Send>> {
        match Stream::new(self.0.clone(), inode) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Reads the contents of a file from their start.
#[derive(Debug)]
struct Stream {
    image: Arc<Image>,
    inode: u64,
    file: FileInode,
    /// Where the sizes of the blocks that come are listed, and some that were read.
    sizes_place: Place,
    sizes: std::vec::IntoIter<u32>,
    /// Where the next block is in the image.
    next_block: u64,
    /// How much of the contents was decompressed.
    decoded_bytes: u64,
    /// The block before, and how much of it was read.
    decoded: Vec<u8>,
    taken: usize,
    stored: Vec<u8>,
}

/// Returns how many blocks `file` has; the rest is in a fragment block.
pub(super) fn block_count(file: &FileInode, block_bytes: u32) -> u64 {
    let block_bytes = u64::from(block_bytes);
    match file.fragment {
        NO_FRAGMENT => file.file_size.div_ceil(block_bytes),
        _ => file.file_size / block_bytes,
    }
}

impl Stream {
    fn new(image: Arc<Image>, inode: u64) -> Result<Self, ReadError> {
        let (found, cursor) = image.inode(Place::of_reference(inode))?;
        let InodeKind::File(file) = found.kind else {
            return Err(ReadError::Damaged {
                inode,
                reason: "it is no regular file",
            });
        };
        let sizes_place = cursor.place();
        Ok(Self {
            inode,
            file,
            sizes_place,
            sizes: Vec::new().into_iter(),
            next_block: file.start_block,
            decoded_bytes: 0,
            decoded: Vec::new(),
            taken: 0,
            stored: Vec::new(),
            image,
        })
    }

    /// Decompresses what comes next into `decoded`.
    fn decode(&mut self) -> Result<(), ReadError> {
        let block_bytes = u64::from(self.image.superblock.block_size);
        let rest = self.file.file_size - self.decoded_bytes;
        let expected = usize::try_from(rest.min(block_bytes)).unwrap_or_default();
        self.taken = 0;
        let block = self.decoded_bytes / block_bytes;
        if block < block_count(&self.file, self.image.superblock.block_size) {
            let size = self.size_of(block)?;
            self.decode_block(size, expected)?;
        } else {
            self.decode_end(expected)?;
        }
        self.decoded_bytes += expected as u64;
        Ok(())
    }

    fn size_of(&mut self, block: u64) -> Result<u32, ReadError> {
        if let Some(size) = self.sizes.next() {
            return Ok(size);
        }
        let count = block_count(&self.file, self.image.superblock.block_size) - block;
        let mut cursor = self.image.inode_cursor(self.sizes_place)?;
        let mut sizes = Vec::new();
        for _ in 0..count.min(SIZES_AT_ONCE) {
            sizes.push(cursor.word()?);
        }
        self.sizes_place = cursor.place();
        self.sizes = sizes.into_iter();
        self.sizes
            .next()
            .ok_or(self.damaged("it has too few blocks"))
    }

    fn decode_block(&mut self, size: u32, expected: usize) -> Result<(), ReadError> {
        self.decoded.clear();
        self.decoded.resize(expected, 0);
        if size == 0 {
            return Ok(());
        }
        let offset = self.next_block;
        let length = decode(
            &self.image,
            offset,
            size,
            &mut self.stored,
            &mut self.decoded,
        )?;
        if length != expected {
            return Err(self.damaged("a block of it has another length than it should"));
        }
        let stored_bytes = u64::from(size & !BLOCK_STORED);
        self.next_block = offset.saturating_add(stored_bytes);
        Ok(())
    }

    fn decode_end(&mut self, expected: usize) -> Result<(), ReadError> {
        let entry = self.image.fragment_entry(self.file.fragment)?;
        let stored = &mut self.stored;
        let fragment = self.image.fragment(entry, || {
            let mut decoded = vec![0; self.image.superblock.block_size as usize];
            let length = decode(
                &self.image,
                entry.start_block,
                entry.size,
                stored,
                &mut decoded,
            )?;
            decoded.truncate(length);
            Ok(decoded)
        })?;
        let start = self.file.offset as usize;
        let end = start.saturating_add(expected);
        let part = fragment
            .get(start..end)
            .ok_or(self.damaged("its fragment block is too short"))?;
        self.decoded.clear();
        self.decoded.extend_from_slice(part);
        Ok(())
    }

    fn damaged(&self, reason: &'static str) -> ReadError {
        ReadError::Damaged {
            inode: self.inode,
            reason,
        }
    }
}

/// Decodes the block at `offset` whose length and form is `size` and returns how long it has become.
fn decode(
    image: &Image,
    offset: u64,
    size: u32,
    stored: &mut Vec<u8>,
    decoded: &mut [u8],
) -> Result<usize, ReadError> {
    let length = (size & !BLOCK_STORED) as usize;
    // No writer keeps a block that has become longer.
    if length > image.superblock.block_size as usize {
        return Err(ReadError::Block {
            offset,
            reason: "it is longer than blocks are",
        });
    }
    if size & BLOCK_STORED != 0 {
        let room = decoded.get_mut(..length).ok_or(ReadError::Block {
            offset,
            reason: "it is longer than what it is a part of",
        })?;
        image.read(room, offset)?;
        return Ok(length);
    }
    stored.resize(length, 0);
    image.read(stored, offset)?;
    image.decompress(offset, stored, decoded)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.decoded.len() {
            if self.decoded_bytes == self.file.file_size {
                return Ok(0);
            }
            self.decode().map_err(io::Error::other)?;
        }
        let rest = &self.decoded[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}
