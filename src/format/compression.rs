//! The outer compression of archives: one zstd frame whose bytes do not depend on the machine.
//!
//! libzstd's multi-threaded mode cuts its input into jobs by level alone, so one worker and eight give the same bytes;
//! without workers it takes another path and gives others, which is why there is always at least one. What is written
//! in small pieces or flushed gives the same bytes as well.
//!
//! The frame carries a content checksum, and its window is one that the kernel can unpack as an initrd.

use std::io::Write;
use std::ops::RangeInclusive;

/// The levels that `zstd --ultra` knows. Level 22 has the largest window, 128 MiB, which is also the kernel's limit
/// (ZSTD_WINDOWSIZE_MAX in lib/decompress_unzstd.c); long-distance matching is never asked for and would exceed it.
pub const ZSTD_LEVELS: RangeInclusive<i32> = 1..=22;

/// Compression could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the zstd compression level is {level}, and 1 to 22 were expected")]
    Level { level: i32 },
    #[error("setting up zstd compression of level {level} with {workers} worker threads")]
    SetUp {
        level: i32,
        workers: u32,
        source: std::io::Error,
    },
}

/// Compresses what is written to it. The frame is complete only after [`ZstdEncoder::finish`].
pub struct ZstdEncoder<W: Write> {
    inner: zstd::stream::write::Encoder<'static, W>,
}

/// Returns a writer that compresses into `out`, in `workers` threads beside the caller's; 0 counts as 1.
///
/// # Errors
/// [`Error::Level`] for a level outside [`ZSTD_LEVELS`], [`Error::SetUp`] when there is no memory for it.
pub fn zstd<W: Write>(out: W, level: i32, workers: u32) -> Result<ZstdEncoder<W>, Error> {
    if !ZSTD_LEVELS.contains(&level) {
        return Err(Error::Level { level });
    }
    let encoder = || {
        let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
        encoder.include_checksum(true)?;
        encoder.multithread(workers.max(1))?;
        Ok(encoder)
    };
    let inner = encoder().map_err(|source| Error::SetUp {
        level,
        workers,
        source,
    })?;
    Ok(ZstdEncoder { inner })
}

impl<W: Write> ZstdEncoder<W> {
    /// Ends the frame and returns what it was written into.
    ///
    /// # Errors
    /// The error of writing its last bytes.
    pub fn finish(self) -> std::io::Result<W> {
        self.inner.finish()
    }
}

impl<W: Write> Write for ZstdEncoder<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.inner.write(buffer)
    }

    /// Does nothing: ending a block here would make the bytes depend on when a caller flushes.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<W: Write> std::fmt::Debug for ZstdEncoder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZstdEncoder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::zstd;

    /// Poorly compressible text that fills several jobs at low levels.
    fn sample(size_bytes: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28).to_le_bytes()[0]
        };
        (0..size_bytes).map(|_| next()).collect()
    }

    fn compress(data: &[u8], level: i32, workers: u32, piece_bytes: usize) -> Vec<u8> {
        let mut encoder = zstd(Vec::new(), level, workers).unwrap();
        for piece in data.chunks(piece_bytes) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn bytes_depend_neither_on_workers_nor_on_the_size_of_writes() {
        let data = sample(5 << 20);
        let expected = compress(&data, 1, 1, data.len());
        for (workers, piece_bytes) in [(0, 1 << 20), (1, 999), (2, 70_001), (5, 4 << 20)] {
            let found = compress(&data, 1, workers, piece_bytes);
            assert!(found == expected, "{workers} workers");
        }
        assert!(zstd::decode_all(expected.as_slice()).unwrap() == data);
    }

    #[test]
    fn frame_has_a_checksum_and_a_window_for_the_kernel() {
        for level in [1, 3, 19, 22] {
            let frame = compress(b"x", level, 1, 1);
            // RFC 8878, section 3.1.1: magic, descriptor with the checksum flag in bit 2, window descriptor.
            assert_eq!(frame[..4], [0x28, 0xb5, 0x2f, 0xfd]);
            assert_eq!(frame[4], 0b0000_0100, "level {level}");
            let (exponent, mantissa) = (frame[5] >> 3, u64::from(frame[5] & 7));
            let base = 1_u64 << (10 + exponent);
            let window_bytes = base + base / 8 * mantissa;
            assert!(window_bytes <= 128 << 20, "level {level}: {window_bytes}");
        }
    }

    #[test]
    fn levels_that_would_be_clamped_are_refused() {
        for level in [-1, 0, 23] {
            let error = zstd(Vec::new(), level, 1).unwrap_err().to_string();
            let expected =
                format!("the zstd compression level is {level}, and 1 to 22 were expected");
            assert_eq!(error, expected);
        }
    }
}
