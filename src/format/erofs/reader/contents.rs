//! The contents of an inode at any position, whatever its data layout is.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::clusters::{Clusters, Extent, Stored};
use super::decode::Decoder;
use super::{Image, ReadError};
use crate::format::erofs::layout::{FLAT_INLINE, FLAT_PLAIN, Inode};

/// `EROFS_INODE_COMPRESSED_FULL`, `EROFS_INODE_COMPRESSED_COMPACT` and `EROFS_INODE_CHUNK_BASED`.
const COMPRESSED_FULL: u16 = 1;
const COMPRESSED_COMPACT: u16 = 3;
const CHUNK_BASED: u16 = 4;
/// `EROFS_CHUNK_FORMAT_BLKBITS_MASK` and `EROFS_CHUNK_FORMAT_INDEXES`.
const CHUNK_BITS: u32 = 0x1f;
const CHUNK_INDEXES: u32 = 0x20;
/// `EROFS_NULL_ADDR`: nothing is stored, all is zero.
const HOLE: u32 = u32::MAX;

/// Where the contents of an inode are, with what was last decompressed of them.
#[derive(Debug)]
pub(in crate::format::erofs) struct Contents {
    nid: u64,
    size_bytes: u64,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Flat {
        start: u64,
        /// How much lies in blocks; the rest lies behind the inode.
        block_bytes: u64,
        tail_start: u64,
    },
    Chunks {
        table: u64,
        entry_bytes: u64,
        chunk_bytes: u64,
    },
    Compressed(Box<Compressed>),
}

#[derive(Debug)]
struct Compressed {
    clusters: Clusters,
    decoder: Decoder,
    /// The last extent, if it had to be decoded.
    decoded: Decoded,
}

/// An extent's bytes; none when `start` and `end` are the same.
#[derive(Debug, Default)]
struct Decoded {
    start: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl Contents {
    /// Returns the contents of the inode `nid`.
    pub(in crate::format::erofs) fn of(
        image: &Image,
        nid: u64,
        inode: &Inode,
    ) -> Result<Self, ReadError> {
        let body = image.body_offset(nid, inode)?;
        let layout = match inode.data_layout {
            FLAT_PLAIN | FLAT_INLINE => flat(image, nid, inode, body)?,
            COMPRESSED_FULL | COMPRESSED_COMPACT => Layout::Compressed(Box::new(Compressed {
                clusters: Clusters::of(image, nid, inode, body)?,
                decoder: Decoder::new(image.superblock.has_zero_padding(), image.block_bytes()),
                decoded: Decoded::default(),
            })),
            CHUNK_BASED => chunks(image, nid, inode, body)?,
            layout => return Err(ReadError::UnsupportedLayout { nid, layout }),
        };
        Ok(Self {
            nid,
            size_bytes: inode.i_size,
            layout,
        })
    }

    pub(in crate::format::erofs) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Tells whether the packed inode holds a part.
    pub(in crate::format::erofs) fn has_fragment(&self) -> bool {
        match &self.layout {
            Layout::Compressed(compressed) => compressed.clusters.has_fragment(),
            _ => false,
        }
    }

    /// Returns `length` bytes at `offset`, all of which must be there.
    pub(in crate::format::erofs) fn read_exact(
        &mut self,
        image: &Image,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read(image, offset + filled as u64, &mut bytes[filled..])? {
                0 => {
                    return Err(ReadError::Damaged {
                        nid: self.nid,
                        reason: "it ends before what is looked for in it",
                    });
                }
                count => filled += count,
            }
        }
        Ok(bytes)
    }

    /// Reads some bytes at `offset`, none at or after the end.
    pub(in crate::format::erofs) fn read(
        &mut self,
        image: &Image,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError> {
        let remaining = self.size_bytes.saturating_sub(offset);
        let wanted = usize::try_from(remaining).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..wanted];
        match &mut self.layout {
            Layout::Flat {
                start,
                block_bytes,
                tail_start,
            } => {
                let (from, available) = match offset.checked_sub(*block_bytes) {
                    None => (start.saturating_add(offset), *block_bytes - offset),
                    Some(into) => (*tail_start + into, remaining),
                };
                let buffer = first(buffer, available);
                image.read_into(self.nid, from, buffer)?;
                Ok(buffer.len())
            }
            Layout::Chunks {
                table,
                entry_bytes,
                chunk_bytes,
            } => {
                let entry = (offset / *chunk_bytes)
                    .checked_mul(*entry_bytes)
                    .and_then(|into| into.checked_add(*table))
                    // The address is the last four bytes of an entry of either kind.
                    .and_then(|entry| entry.checked_add(*entry_bytes - 4))
                    .unwrap_or(u64::MAX);
                let address = image.read(self.nid, entry, 4)?;
                let address = u32::from_le_bytes(address.try_into().unwrap_or_default());
                let into = offset % *chunk_bytes;
                let buffer = first(buffer, *chunk_bytes - into);
                match address {
                    HOLE => buffer.fill(0),
                    address => {
                        let start = u64::from(address) * image.block_bytes();
                        image.read_into(self.nid, start.saturating_add(into), buffer)?;
                    }
                }
                Ok(buffer.len())
            }
            Layout::Compressed(compressed) => compressed.read(image, self.nid, offset, buffer),
        }
    }
}

impl Compressed {
    fn read(
        &mut self,
        image: &Image,
        nid: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError> {
        if !(self.decoded.start..self.decoded.end).contains(&offset) {
            let extent = self.clusters.extent_at(image, offset)?;
            if let Stored::Fragment { offset: fragment } = extent.stored {
                let from = fragment.saturating_add(offset - extent.start);
                let buffer = first(buffer, extent.end - offset);
                return image.read_packed(nid, from, buffer);
            }
            self.decoded.fill(image, nid, &mut self.decoder, &extent)?;
        }
        let bytes = self.decoded.from(offset);
        let buffer = first(buffer, bytes.len() as u64);
        buffer.copy_from_slice(&bytes[..buffer.len()]);
        Ok(buffer.len())
    }
}

impl Decoded {
    fn fill(
        &mut self,
        image: &Image,
        nid: u64,
        decoder: &mut Decoder,
        extent: &Extent,
    ) -> Result<(), ReadError> {
        // Nothing is kept of an extent that fails.
        self.end = self.start;
        decoder.decode(image, nid, extent, &mut self.bytes)?;
        (self.start, self.end) = (extent.start, extent.end);
        Ok(())
    }

    fn from(&self, offset: u64) -> &[u8] {
        let into = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        self.bytes.get(into..).unwrap_or_default()
    }
}

/// Returns the first `limit` bytes of `buffer`.
fn first(buffer: &mut [u8], limit: u64) -> &mut [u8] {
    let length = usize::try_from(limit).unwrap_or(usize::MAX);
    let length = length.min(buffer.len());
    &mut buffer[..length]
}

fn flat(image: &Image, nid: u64, inode: &Inode, body: u64) -> Result<Layout, ReadError> {
    let block = image.block_bytes();
    let tail_bytes = match inode.data_layout {
        FLAT_INLINE => inode.i_size % block,
        _ => 0,
    };
    if body % block + tail_bytes > block {
        return Err(ReadError::Damaged {
            nid,
            reason: "its tail crosses a block",
        });
    }
    let start = u64::from(inode.i_u) * block;
    let block_bytes = inode.i_size - tail_bytes;
    let end = start.checked_add(block_bytes);
    if block_bytes > 0 && end.is_none_or(|end| end > image.bytes.size_bytes()) {
        return Err(ReadError::OutOfBounds {
            nid,
            offset: start,
            size_bytes: block_bytes,
        });
    }
    Ok(Layout::Flat {
        start,
        block_bytes,
        tail_start: body,
    })
}

fn chunks(image: &Image, nid: u64, inode: &Inode, body: u64) -> Result<Layout, ReadError> {
    let format = inode.i_u & 0xffff;
    if format & !(CHUNK_BITS | CHUNK_INDEXES) != 0 {
        return Err(ReadError::Damaged {
            nid,
            reason: "its chunks have an unknown format",
        });
    }
    let entry_bytes = if format & CHUNK_INDEXES != 0 { 8 } else { 4 };
    Ok(Layout::Chunks {
        table: body.next_multiple_of(entry_bytes),
        entry_bytes,
        // At most 2^(16 + 31) bytes.
        chunk_bytes: image.block_bytes() << (format & CHUNK_BITS),
    })
}

/// The inode that holds fragments, opened when the first is read. What was decompressed last is kept, because files
/// that follow each other in a tree have their fragments next to each other.
#[derive(Debug, Default)]
pub(in crate::format::erofs) struct Packed(Mutex<Option<Contents>>);

impl Packed {
    /// Reads some bytes of a fragment of `nid`.
    pub(in crate::format::erofs) fn read(
        &self,
        image: &Image,
        nid: u64,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ReadError> {
        let damaged = |reason| ReadError::Damaged { nid, reason };
        let mut packed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if packed.is_none() {
            let packed_nid = image.superblock.packed_nid;
            let packed_nid = packed_nid.ok_or_else(|| damaged("there is no inode of fragments"))?;
            let contents = Contents::of(image, packed_nid, &image.inode(packed_nid)?)?;
            if contents.has_fragment() {
                return Err(damaged("the inode of fragments has one itself"));
            }
            *packed = Some(contents);
        }
        let Some(contents) = packed.as_mut() else {
            return Ok(0);
        };
        match contents.read(image, offset, buffer)? {
            0 => Err(damaged("its fragment is not in the inode of fragments")),
            count => Ok(count),
        }
    }
}

/// Reads contents from their start to their end.
#[derive(Debug)]
pub(super) struct ContentStream {
    image: Arc<Image>,
    contents: Contents,
    offset: u64,
}

impl ContentStream {
    pub(super) fn new(image: Arc<Image>, nid: u64) -> Result<Self, ReadError> {
        let inode = image.inode(nid)?;
        let contents = Contents::of(&image, nid, &inode)?;
        Ok(Self {
            image,
            contents,
            offset: 0,
        })
    }
}

impl io::Read for ContentStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .contents
            .read(&self.image, self.offset, buffer)
            .map_err(io::Error::other)?;
        self.offset += count as u64;
        Ok(count)
    }
}
