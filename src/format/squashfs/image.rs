//! The checked view of an image's structures that the reader walks.

use std::sync::{Arc, Mutex, PoisonError};

use super::inode::{HEADER_LENGTH, Header};
use super::layout::{
    FRAGMENT_ENTRY_LENGTH, FragmentEntry, Inode, InodeKind, METADATA_LENGTH, METADATA_STORED,
    NO_TABLE, Place, SUPER_LENGTH, SuperBlock, get,
};
use super::options::{BLOCK_SIZES, Compression};
use super::reader::{ReadError, TARGET_LIMIT_BYTES};
use crate::format::codec::BlockDecompressor;
use crate::format::file_system::{Description, Feature, KernelVersion};
use crate::format::read_at::ReadAt;
use crate::tree::Timestamp;

/// How many metadata blocks are kept decompressed, 512 KiB of them: a directory's inodes are mostly in a few.
const KEPT_METADATA_BLOCKS: usize = 64;
/// How many fragment blocks are kept: files that share one are read one after the other.
const KEPT_FRAGMENTS: usize = 2;

/// An image whose superblock is in order.
#[derive(Debug)]
pub struct Image {
    pub(super) bytes: Arc<dyn ReadAt>,
    pub(super) superblock: SuperBlock,
    pub(super) compression: Compression,
    pub(super) ids: Vec<u32>,
    /// Where the blocks with the fragment entries are.
    fragments: Vec<u64>,
    pub(super) xattrs: Option<XattrTable>,
    kept: Mutex<Kept>,
}

/// Where the lists of attributes are, and the blocks with their ids.
#[derive(Debug)]
pub(super) struct XattrTable {
    pub(super) lists_start: u64,
    pub(super) count: u32,
    pub(super) ids: Vec<u64>,
}

/// What was decompressed, and what decompresses.
#[derive(Debug)]
struct Kept {
    metadata: Vec<Option<MetadataBlock>>,
    fragments: [Option<(FragmentEntry, Arc<[u8]>)>; KEPT_FRAGMENTS],
    next_fragment: usize,
    decompressors: Vec<BlockDecompressor>,
}

/// A metadata block.
#[derive(Clone, Debug)]
struct MetadataBlock {
    start: u64,
    /// Where the block after it starts.
    end: u64,
    bytes: Arc<[u8]>,
}

impl Image {
    /// Opens an image.
    ///
    /// # Errors
    /// A [`ReadError`] that says what of the superblock or the tables it leads to is unknown or damaged.
    pub fn open(bytes: Arc<dyn ReadAt>) -> Result<Self, ReadError> {
        if bytes.size_bytes() < SUPER_LENGTH as u64 {
            return Err(ReadError::NotSquashfs);
        }
        let mut encoded = [0; SUPER_LENGTH];
        bytes
            .read_exact_at(&mut encoded, 0)
            .map_err(|source| ReadError::Read { source })?;
        let superblock = SuperBlock::decode(&encoded).ok_or(ReadError::NotSquashfs)?;
        let compression = Compression::of_number(superblock.compression).ok_or(
            ReadError::UnsupportedCompression {
                number: superblock.compression,
            },
        )?;
        if !BLOCK_SIZES.contains(&superblock.block_size) {
            return Err(ReadError::UnsupportedBlockSize {
                bytes: superblock.block_size,
            });
        }
        if superblock.bytes_used > bytes.size_bytes() {
            return Err(ReadError::CutOff {
                expected_bytes: superblock.bytes_used,
                found_bytes: bytes.size_bytes(),
            });
        }
        if superblock.inode_table_start >= superblock.directory_table_start {
            return Err(ReadError::Superblock {
                reason: "its tables are in the wrong order",
            });
        }
        let mut image = Self {
            bytes,
            superblock,
            compression,
            ids: Vec::new(),
            fragments: Vec::new(),
            xattrs: None,
            kept: Mutex::new(Kept {
                metadata: vec![None; KEPT_METADATA_BLOCKS],
                fragments: [const { None }; KEPT_FRAGMENTS],
                next_fragment: 0,
                decompressors: Vec::new(),
            }),
        };
        image.read_tables()?;
        Ok(image)
    }

    fn read_tables(&mut self) -> Result<(), ReadError> {
        let superblock = self.superblock;
        let id_count = u32::from(superblock.no_ids);
        for start in self.starts(superblock.id_table_start, id_count, 4)? {
            let block = self.metadata_block(start)?;
            let ids = block.bytes.as_chunks::<4>().0;
            self.ids.extend(ids.iter().copied().map(u32::from_le_bytes));
        }
        self.ids.truncate(id_count as usize);
        if superblock.fragments > 0 {
            self.fragments = self.starts(
                superblock.fragment_table_start,
                superblock.fragments,
                FRAGMENT_ENTRY_LENGTH,
            )?;
        }
        if superblock.xattr_id_table_start != NO_TABLE {
            let mut header = [0; 16];
            self.read(&mut header, superblock.xattr_id_table_start)?;
            let count = u32::from_le_bytes(get(&header, 8).unwrap_or_default());
            self.xattrs = Some(XattrTable {
                lists_start: u64::from_le_bytes(get(&header, 0).unwrap_or_default()),
                count,
                ids: self.starts(superblock.xattr_id_table_start + 16, count, 16)?,
            });
        }
        Ok(())
    }

    /// Returns where the blocks of an indexed table of `count` records start.
    fn starts(
        &self,
        index_start: u64,
        count: u32,
        record_length: usize,
    ) -> Result<Vec<u64>, ReadError> {
        let per_block = METADATA_LENGTH / record_length;
        let length = (count as usize).div_ceil(per_block) * 8;
        self.check(index_start, length as u64)?;
        let index = self.bytes.bytes_at(index_start, length);
        let index = index.map_err(|source| ReadError::Read { source })?;
        let starts = index.as_chunks::<8>().0;
        Ok(starts.iter().copied().map(u64::from_le_bytes).collect())
    }

    /// Returns where the blocks of the export table start.
    #[cfg(test)]
    pub(super) fn exported(&self) -> Result<Vec<u64>, ReadError> {
        self.starts(
            self.superblock.lookup_table_start,
            self.superblock.inodes,
            8,
        )
    }

    /// Returns the record number `index` of a table whose blocks are at `starts`.
    pub(super) fn record<const N: usize>(
        &self,
        starts: &[u64],
        index: u32,
    ) -> Result<[u8; N], ReadError> {
        let per_block = METADATA_LENGTH / N;
        let index = index as usize;
        let missing = || ReadError::Superblock {
            reason: "a table has fewer entries than it says",
        };
        let start = starts.get(index / per_block).ok_or_else(missing)?;
        let block = self.metadata_block(*start)?;
        get(&block.bytes, index % per_block * N).ok_or_else(missing)
    }

    /// Returns the entry of a fragment block.
    pub(super) fn fragment_entry(&self, number: u32) -> Result<FragmentEntry, ReadError> {
        if number >= self.superblock.fragments {
            return Err(ReadError::Superblock {
                reason: "there are fewer fragments than a file needs",
            });
        }
        let encoded = self.record::<FRAGMENT_ENTRY_LENGTH>(&self.fragments, number)?;
        Ok(FragmentEntry::decode(&encoded))
    }

    /// Returns the contents of a fragment block, which `decompress` makes if they are not kept.
    pub(super) fn fragment(
        &self,
        entry: FragmentEntry,
        decompress: impl FnOnce() -> Result<Vec<u8>, ReadError>,
    ) -> Result<Arc<[u8]>, ReadError> {
        let kept = |kept: &Kept| {
            let mut fragments = kept.fragments.iter().flatten();
            let found = fragments.find(|(known, _)| *known == entry);
            found.map(|(_, bytes)| bytes.clone())
        };
        if let Some(bytes) = kept(&self.kept()) {
            return Ok(bytes);
        }
        let bytes: Arc<[u8]> = decompress()?.into();
        let mut kept = self.kept();
        let place = kept.next_fragment;
        kept.next_fragment = (place + 1) % KEPT_FRAGMENTS;
        kept.fragments[place] = Some((entry, bytes.clone()));
        Ok(bytes)
    }

    /// Returns a cursor at `place` of the table of inodes.
    pub(super) fn inode_cursor(&self, place: Place) -> Result<Cursor<'_>, ReadError> {
        let table = &self.superblock;
        if place.block >= table.directory_table_start - table.inode_table_start {
            return Err(ReadError::OutOfBounds {
                offset: table.inode_table_start.saturating_add(place.block),
            });
        }
        self.cursor(table.inode_table_start, place)
    }

    /// Returns a cursor at `place` of the table that starts at `table_start`.
    pub(super) fn cursor(&self, table_start: u64, place: Place) -> Result<Cursor<'_>, ReadError> {
        let start = table_start
            .checked_add(place.block)
            .ok_or(ReadError::OutOfBounds { offset: u64::MAX })?;
        let block = self.metadata_block(start)?;
        Ok(Cursor {
            image: self,
            table_start,
            offset: usize::from(place.offset),
            block,
        })
    }

    /// Returns the inode at `place`, and a cursor at what follows its fields.
    pub(super) fn inode(&self, place: Place) -> Result<(Inode, Cursor<'_>), ReadError> {
        let damaged = |reason| ReadError::Damaged {
            inode: place.reference(),
            reason,
        };
        let mut cursor = self.inode_cursor(place)?;
        let header = Header::decode(&cursor.array::<HEADER_LENGTH>()?);
        let mut fields = [0; 40];
        let length = header
            .fields_length()
            .ok_or_else(|| damaged("its type is unknown"))?;
        let fields = &mut fields[..length];
        cursor.read(fields)?;
        let mut inode = header
            .inode(fields)
            .ok_or_else(|| damaged("its type is unknown"))?;
        if header.xattr_follows() {
            let mut end = cursor.clone();
            if let InodeKind::Symlink { symlink_size } = inode.kind {
                if symlink_size > TARGET_LIMIT_BYTES {
                    return Err(damaged("its target is too long"));
                }
                end.bytes(symlink_size as usize)?;
            }
            inode.xattr = end.word()?;
        }
        Ok((inode, cursor))
    }

    /// Fills `buffer` with what is stored at `offset`.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.check(offset, buffer.len() as u64)?;
        self.bytes
            .read_exact_at(buffer, offset)
            .map_err(|source| ReadError::Read { source })
    }

    fn check(&self, offset: u64, length: u64) -> Result<(), ReadError> {
        match offset.checked_add(length) {
            Some(end) if end <= self.superblock.bytes_used => Ok(()),
            _ => Err(ReadError::OutOfBounds { offset }),
        }
    }

    /// Decompresses `input` into `output` and returns how long it became.
    pub(super) fn decompress(
        &self,
        offset: u64,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, ReadError> {
        let failed = |source| ReadError::Decompress { offset, source };
        let unused = self.kept().decompressors.pop();
        let mut decompressor = match unused {
            Some(decompressor) => decompressor,
            None => BlockDecompressor::new(self.compression.format()).map_err(failed)?,
        };
        let outcome = decompressor.decompress(input, output).map_err(failed);
        self.kept().decompressors.push(decompressor);
        outcome
    }

    fn metadata_block(&self, start: u64) -> Result<MetadataBlock, ReadError> {
        let place = usize::try_from(start % KEPT_METADATA_BLOCKS as u64).unwrap_or_default();
        let known = self.kept().metadata[place].clone();
        if let Some(block) = known.filter(|block| block.start == start) {
            return Ok(block);
        }
        let damaged = |reason| ReadError::Metadata {
            offset: start,
            reason,
        };
        let mut header = [0; 2];
        self.read(&mut header, start)?;
        let header = u16::from_le_bytes(header);
        let length = usize::from(header & !METADATA_STORED);
        if length > METADATA_LENGTH {
            return Err(damaged("it is longer than 8192 bytes"));
        }
        let mut stored = [0; METADATA_LENGTH];
        let stored = &mut stored[..length];
        self.read(stored, start + 2)?;
        let mut bytes = [0; METADATA_LENGTH];
        let bytes = if header & METADATA_STORED == 0 {
            let length = self.decompress(start, stored, &mut bytes)?;
            &bytes[..length]
        } else {
            stored
        };
        // Nothing could be found in it, and a chain of such blocks would be long.
        if bytes.is_empty() {
            return Err(damaged("it is empty"));
        }
        let block = MetadataBlock {
            start,
            end: start + 2 + length as u64,
            bytes: Arc::from(bytes),
        };
        self.kept().metadata[place] = Some(block.clone());
        Ok(block)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the superblock says.
    pub fn description(&self) -> Description {
        let superblock = &self.superblock;
        let mut features = vec![
            Feature {
                name: "squashfs 4.0",
                kernel: KernelVersion::new(2, 6),
            },
            Feature {
                name: self.compression.name(),
                kernel: self.compression.kernel(),
            },
        ];
        if self.xattrs.is_some() {
            features.push(Feature {
                name: "extended attributes",
                kernel: KernelVersion::new(2, 6),
            });
        }
        Description {
            file_system: "squashfs",
            size_bytes: superblock.bytes_used,
            block_size_bytes: superblock.block_size,
            uuid: None,
            label: String::new(),
            created: Timestamp::from_seconds(superblock.mkfs_time.into()),
            inode_count: superblock.inodes.into(),
            compression: vec![self.compression.name()],
            features,
        }
    }
}

/// Reads a table from a place on.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'i> {
    image: &'i Image,
    table_start: u64,
    block: MetadataBlock,
    offset: usize,
}

impl Cursor<'_> {
    /// Returns where the next byte is.
    pub(super) fn place(&self) -> Place {
        let (block, offset) = match self.offset {
            METADATA_LENGTH => (self.block.end, 0),
            offset => (self.block.start, offset),
        };
        Place {
            block: block - self.table_start,
            offset: u16::try_from(offset).unwrap_or(u16::MAX),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        let mut filled = 0;
        while filled < buffer.len() {
            // Only the last block of a table is shorter than others.
            if self.offset == METADATA_LENGTH {
                self.block = self.image.metadata_block(self.block.end)?;
                self.offset = 0;
            }
            let rest = self.block.bytes.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                return Err(ReadError::Metadata {
                    offset: self.block.start,
                    reason: "it ends before what is looked for",
                });
            }
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.offset += count;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn word(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Returns `length` bytes, of which the caller made sure that memory can hold them.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
