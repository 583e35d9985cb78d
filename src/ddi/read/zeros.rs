//! Finding what is not zero where nothing should be.

use std::io;

use crate::format::read_at::ReadAt;

/// How much is looked at at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// Returns the offset of the first byte from `start` to `end` that is not zero.
///
/// # Errors
/// What reading failed with.
pub(super) fn first_nonzero(image: &dyn ReadAt, start: u64, end: u64) -> io::Result<Option<u64>> {
    let mut offset = start;
    let mut chunk = Vec::new();
    while offset < end {
        let length = CHUNK_BYTES.min(end - offset);
        chunk.resize(usize::try_from(length).unwrap_or(0), 0);
        image.read_exact_at(&mut chunk, offset)?;
        // Most of it is zero, and that is seen fastest by looking at all of it.
        if chunk.iter().fold(0, |all, byte| all | byte) != 0
            && let Some(found) = chunk.iter().position(|byte| *byte != 0)
        {
            return Ok(Some(offset + found as u64));
        }
        offset += length;
    }
    Ok(None)
}

/// Returns what of `start` to `end` is in none of `used`, in order.
pub(super) fn gaps(start: u64, end: u64, mut used: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    used.sort_unstable();
    let mut gaps = Vec::new();
    let mut reached = start;
    for (used_start, used_end) in used {
        if used_start > reached {
            gaps.push((reached, used_start.min(end)));
        }
        reached = reached.max(used_end);
    }
    if reached < end {
        gaps.push((reached, end));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::{first_nonzero, gaps};
    use crate::format::read_at::ImageBytes;

    #[test]
    fn the_first_byte_that_is_not_zero_is_found() {
        let mut bytes = vec![0; 600_000];
        bytes[0] = 1;
        bytes[500_000] = 1;
        let image = ImageBytes::new(bytes);
        assert_eq!(first_nonzero(&image, 0, 600_000).unwrap(), Some(0));
        assert_eq!(first_nonzero(&image, 1, 600_000).unwrap(), Some(500_000));
        assert_eq!(first_nonzero(&image, 1, 500_000).unwrap(), None);
        assert_eq!(first_nonzero(&image, 500_001, 600_000).unwrap(), None);
    }

    #[test]
    fn gaps_are_what_is_left() {
        assert_eq!(gaps(0, 10, vec![]), [(0, 10)]);
        assert_eq!(gaps(0, 10, vec![(0, 10)]), []);
        assert_eq!(
            gaps(0, 10, vec![(6, 8), (2, 4), (3, 5)]),
            [(0, 2), (5, 6), (8, 10)]
        );
    }
}
