//! How much memory the tree of an image may take: names, attributes and the entries themselves.
//!
//! Contents stay in the image, but what is read of the rest can be many times as large as the image: directories
//! repeat a path for each name, inodes share attributes, and metadata may be compressed.

/// What an image of any size may need.
const BASE_BYTES: u64 = 256 << 20;
/// How many times its size an image may need: an empty file takes some 40 bytes there and ten times as much in a tree.
const FACTOR: u64 = 16;
/// What no image may need; it is enough for some eight million names.
const LIMIT_BYTES: u64 = 4 << 30;
/// What an entry takes besides its path, attributes and target.
const ENTRY_BYTES: u64 = 320;

/// What may still be taken.
#[derive(Debug)]
pub(super) struct Budget {
    remaining_bytes: u64,
}

/// The tree of an image would take too much memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OverBudget;

impl Budget {
    /// Returns what an image of this size may need.
    pub(super) fn of(image_bytes: u64) -> Self {
        let needed = image_bytes.saturating_mul(FACTOR);
        Self {
            remaining_bytes: needed.saturating_add(BASE_BYTES).min(LIMIT_BYTES),
        }
    }

    /// Takes some bytes.
    pub(super) fn take(&mut self, size_bytes: u64) -> Result<(), OverBudget> {
        self.remaining_bytes = self
            .remaining_bytes
            .checked_sub(size_bytes)
            .ok_or(OverBudget)?;
        Ok(())
    }

    /// Takes what an entry with a path of this length needs.
    pub(super) fn take_entry(&mut self, path_bytes: usize) -> Result<(), OverBudget> {
        // The tree and the table of hard links both hold the path.
        self.take(ENTRY_BYTES + 2 * path_bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, OverBudget};

    #[test]
    fn a_small_image_has_a_budget_and_a_large_one_a_limit() {
        let mut small = Budget::of(4096);
        assert_eq!(small.take(256 << 20), Ok(()));
        assert_eq!(small.take(16 * 4096), Ok(()));
        assert_eq!(small.take(1), Err(OverBudget));
        let mut large = Budget::of(u64::MAX);
        assert_eq!(large.take(4 << 30), Ok(()));
        assert_eq!(large.take_entry(0), Err(OverBudget));
    }
}
