//! Where inodes go: a best-fit allocation of metadata blocks.

use std::collections::BTreeSet;

use super::layout::{BLOCK_BYTES, SLOT_BYTES, align};

/// Hands out places in the metadata area, and remembers the room left in its blocks.
#[derive(Debug)]
pub(super) struct MetadataArea {
    /// Room at the ends of blocks: its length and offset, so that the smallest that suffices is found first.
    gaps: BTreeSet<(u64, u64)>,
    /// Where the next block starts.
    end: u64,
}

impl MetadataArea {
    /// Returns an area whose first free byte is `start`.
    pub(super) fn new(start: u64) -> Self {
        let mut area = Self {
            gaps: BTreeSet::new(),
            end: align(start, BLOCK_BYTES),
        };
        area.remember_gap(start);
        area
    }

    /// Returns the offset of a place for `size_bytes`, a multiple of the slot size.
    ///
    /// What fits into a block does not cross into the next one. Inline tails and symbolic links demand that of
    /// themselves; for the fixed part of an extended inode it avoids a kernel bug fixed in 5.9 only (0dcd3c94e024).
    pub(super) fn place(&mut self, size_bytes: u64) -> u64 {
        let size_bytes = align(size_bytes, SLOT_BYTES);
        if let Some(gap) = self.gaps.range((size_bytes, 0)..).next().copied() {
            self.gaps.remove(&gap);
            let (_, offset) = gap;
            self.remember_gap(offset + size_bytes);
            return offset;
        }
        let offset = self.end;
        self.end = align(offset + size_bytes, BLOCK_BYTES);
        self.remember_gap(offset + size_bytes);
        offset
    }

    /// Returns where the last block ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn remember_gap(&mut self, offset: u64) {
        let length = align(offset, BLOCK_BYTES) - offset;
        if length > 0 {
            self.gaps.insert((length, offset));
        }
    }
}
