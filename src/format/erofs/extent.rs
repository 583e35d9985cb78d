//! Where the contents of a compressed file are: physical clusters for runs of logical ones.

use super::layout::BLOCK_BYTES;

/// The length of a logical cluster, the unit in which contents are mapped: a block.
pub(super) const CLUSTER_BYTES: u64 = BLOCK_BYTES;
/// [`CLUSTER_BYTES`] for slices.
pub(super) const CLUSTER_LENGTH: usize = 4096;

/// A part of a file that is stored as one piece, or several equal parts that share that piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    pub(super) first_block: u32,
    /// How many blocks it takes: fewer than clusters if it is compressed, else as many.
    pub(super) blocks: u16,
    /// How many clusters of the file each part has; the last of a file may be cut off by its end.
    pub(super) clusters: u16,
    /// How many parts, one behind the other, this piece stands for.
    pub(super) repetitions: u32,
}

impl Extent {
    pub(super) fn is_compressed(&self) -> bool {
        self.blocks < self.clusters
    }

    /// Returns how many blocks all parts refer to.
    pub(super) fn blocks(&self) -> u32 {
        self.repetitions.saturating_mul(self.blocks.into())
    }

    /// Tells whether `next` starts where this extent ends, on disk as in the file.
    fn precedes(&self, next: &Self) -> bool {
        self.repetitions == 1
            && self.first_block.checked_add(u32::from(self.blocks)) == Some(next.first_block)
    }
}

/// Appends an extent to those of a file, of which `start` is the first.
pub(super) fn push(extents: &mut Vec<Extent>, start: usize, extent: Extent) {
    let is_again = |last: &Extent| {
        (last.first_block, last.blocks, last.clusters)
            == (extent.first_block, extent.blocks, extent.clusters)
    };
    if let Some(last) = extents[start..].last_mut()
        && is_again(last)
        && let Some(repetitions) = last.repetitions.checked_add(extent.repetitions)
    {
        last.repetitions = repetitions;
    } else {
        extents.push(extent);
    }
}

/// Tells whether the extents lie on disk one behind the other, as compact indexes demand.
pub(super) fn are_consecutive(extents: &[Extent]) -> bool {
    extents.last().is_none_or(|last| last.repetitions == 1)
        && extents.windows(2).all(|pair| pair[0].precedes(&pair[1]))
}

/// Tells whether the contents are stored as they are, one block behind the other.
pub(super) fn are_plain(extents: &[Extent]) -> bool {
    are_consecutive(extents) && extents.iter().all(|extent| !extent.is_compressed())
}
