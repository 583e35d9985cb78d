//! Which blocks are taken, and by what.

use super::layout::{BLOCK, BLOCKS_PER_GROUP, DESCRIPTOR_BYTES};

/// Some blocks in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// Hands out blocks from the front to the back.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) count: u32,
    pub(super) group_count: u32,
    /// A bit a block.
    used: Vec<u8>,
    next: u32,
    free: u32,
}

/// There are too few blocks; how many there are missing at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    pub(super) missing: u32,
}

impl Blocks {
    /// Returns the blocks of a file system of `count`, of which the superblocks and their descriptors are taken.
    pub(super) fn new(count: u32) -> Self {
        let group_count = count.div_ceil(BLOCKS_PER_GROUP);
        let descriptor_bytes = u64::from(group_count) * DESCRIPTOR_BYTES as u64;
        let descriptor_blocks = u32::try_from(descriptor_bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let byte_count = usize::try_from(count.div_ceil(8)).unwrap_or(usize::MAX);
        let mut blocks = Self {
            count,
            group_count,
            used: vec![0; byte_count],
            next: 0,
            free: count,
        };
        for group in (0..group_count).filter(|group| has_superblock(*group)) {
            let start = group * BLOCKS_PER_GROUP;
            let end = start.saturating_add(1 + descriptor_blocks).min(count);
            for block in start..end {
                blocks.take(block);
            }
        }
        blocks
    }

    pub(super) fn free_count(&self) -> u32 {
        self.free
    }

    pub(super) fn is_used(&self, block: u32) -> bool {
        let byte = usize::try_from(block / 8).unwrap_or(usize::MAX);
        self.used
            .get(byte)
            .is_none_or(|byte| byte & (1 << (block % 8)) != 0)
    }

    fn take(&mut self, block: u32) {
        let byte = usize::try_from(block / 8).unwrap_or(usize::MAX);
        self.used[byte] |= 1 << (block % 8);
        self.free -= 1;
    }

    /// Takes `count` blocks in a row.
    pub(super) fn row(&mut self, count: u32) -> Result<Run, Full> {
        let mut start = self.next;
        loop {
            let end = start.checked_add(count).filter(|end| *end <= self.count);
            let Some(end) = end else {
                let missing = u64::from(start) + u64::from(count) - u64::from(self.count);
                let missing = u32::try_from(missing).unwrap_or(u32::MAX);
                return Err(Full { missing });
            };
            match (start..end).rev().find(|block| self.is_used(*block)) {
                Some(block) => start = block + 1,
                None => {
                    (start..end).for_each(|block| self.take(block));
                    // What was passed over stays free: nothing smaller comes after that is as large.
                    self.next = end;
                    return Ok(Run { start, count });
                }
            }
        }
    }

    /// Takes `count` blocks in as few rows as there are.
    pub(super) fn rows(&mut self, mut count: u32) -> Result<Vec<Run>, Full> {
        let mut rows = Vec::new();
        while count > 0 {
            while self.next < self.count && self.is_used(self.next) {
                self.next += 1;
            }
            let start = self.next;
            while self.next < self.count && self.next - start < count && !self.is_used(self.next) {
                self.take(self.next);
                self.next += 1;
            }
            let length = self.next - start;
            if length == 0 {
                return Err(Full { missing: count });
            }
            rows.push(Run {
                start,
                count: length,
            });
            count -= length;
        }
        Ok(rows)
    }

    /// Returns the bitmap of a group; blocks behind the last count as used.
    pub(super) fn bitmap(&self, group: u32) -> Vec<u8> {
        let mut bitmap = vec![0; usize::try_from(BLOCK).unwrap_or_default()];
        for (index, byte) in bitmap.iter_mut().enumerate() {
            let first = u64::from(group) * u64::from(BLOCKS_PER_GROUP) + index as u64 * 8;
            for bit in 0..8 {
                let block = u32::try_from(first + bit)
                    .ok()
                    .filter(|block| *block < self.count);
                if block.is_none_or(|block| self.is_used(block)) {
                    *byte |= 1 << bit;
                }
            }
        }
        bitmap
    }

    /// Counts the free blocks of a group.
    pub(super) fn free_in(&self, group: u32) -> u32 {
        let start = group * BLOCKS_PER_GROUP;
        let end = start.saturating_add(BLOCKS_PER_GROUP).min(self.count);
        (start..end)
            .map(|block| u32::from(!self.is_used(block)))
            .sum()
    }
}

/// Tells whether a group has a superblock: the first two, and powers of 3, 5 and 7 (`sparse_super`).
pub(super) fn has_superblock(group: u32) -> bool {
    let is_power = |base: u32| {
        let mut power = base;
        while power < group {
            power = match power.checked_mul(base) {
                Some(power) => power,
                None => return false,
            };
        }
        power == group
    };
    group <= 1 || [3, 5, 7].into_iter().any(is_power)
}

#[cfg(test)]
mod tests {
    use super::has_superblock;

    #[test]
    fn superblocks_are_where_sparse_super_has_them() {
        let found: Vec<u32> = (0..130).filter(|group| has_superblock(*group)).collect();
        assert_eq!(found, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }
}
