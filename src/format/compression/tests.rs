use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use super::{Codec, compress};
use crate::digest::hexadecimal;

const CODECS: [Codec; 3] = [
    Codec::Zstd { level: 1 },
    Codec::Xz { level: 0 },
    Codec::Gzip { level: 6 },
];

/// Poorly compressible text that fills several jobs at low levels.
fn sample(size_bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 28).to_le_bytes()[0]
    };
    (0..size_bytes).map(|_| next()).collect()
}

fn compressed(data: &[u8], codec: Codec, workers: usize, piece_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let workers = NonZeroUsize::new(workers).unwrap();
    let written = compress(&mut bytes, codec, workers, |out| {
        for piece in data.chunks(piece_bytes) {
            out.write_all(piece)?;
            out.flush()?;
        }
        Ok::<_, io::Error>(())
    });
    written.unwrap().unwrap();
    bytes
}

fn decompressed(bytes: &[u8], codec: Codec) -> Vec<u8> {
    let mut data = Vec::new();
    match codec {
        Codec::None => Ok(0),
        Codec::Zstd { .. } => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut data),
        Codec::Xz { .. } => liblzma::read::XzDecoder::new(bytes).read_to_end(&mut data),
        // The decoder of one member; what follows would be left.
        Codec::Gzip { .. } => flate2::read::GzDecoder::new(bytes).read_to_end(&mut data),
    }
    .unwrap();
    data
}

#[test]
fn bytes_depend_neither_on_workers_nor_on_the_size_of_writes() {
    let data = sample(5 << 20);
    for codec in CODECS {
        let expected = compressed(&data, codec, 1, data.len());
        for (workers, piece_bytes) in [(1, 1 << 20), (1, 999), (2, 70_001), (5, 4 << 20)] {
            let found = compressed(&data, codec, workers, piece_bytes);
            assert!(found == expected, "{} {workers} workers", codec.name());
        }
        assert!(decompressed(&expected, codec) == data, "{}", codec.name());
    }
}

#[test]
fn inputs_around_the_length_of_a_chunk_come_back() {
    let chunk = 256 << 10;
    for codec in CODECS {
        for size_bytes in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk] {
            let data = sample(size_bytes);
            let bytes = compressed(&data, codec, 2, 100_000);
            assert!(
                decompressed(&bytes, codec) == data,
                "{} {size_bytes}",
                codec.name()
            );
        }
    }
}

#[test]
fn a_zstd_frame_has_a_checksum_and_a_window_for_the_kernel() {
    for level in [1, 3, 19, 22] {
        let frame = compressed(b"x", Codec::Zstd { level }, 1, 1);
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
fn an_xz_stream_has_a_check_and_a_dictionary_for_the_kernel() {
    for level in [0, 3, 6, 9] {
        let stream = compressed(b"x", Codec::Xz { level }, 1, 1);
        // The .xz file format 1.2, sections 2.1.1 and 3.1: magic, flags with CRC-32; block header size, flags with both
        // sizes, two numbers, LZMA2 with one byte of properties: the dictionary's size.
        assert_eq!(stream[..8], *b"\xfd7zXZ\0\x00\x01");
        let header = &stream[12..];
        assert_eq!(header[1], 0b1100_0000, "level {level}");
        let filter = header
            .windows(2)
            .position(|bytes| bytes == [0x21, 1])
            .unwrap();
        let bits = u32::from(header[filter + 2]);
        let dictionary_bytes = (2 | (bits & 1)) << (bits / 2 + 11);
        let expected: u32 = match level {
            0 => 256 << 10,
            3 => 4 << 20,
            _ => 8 << 20,
        };
        assert_eq!(dictionary_bytes, expected, "level {level}");
    }
}

#[test]
fn a_gzip_member_has_neither_name_nor_time() {
    let member = compressed(b"", Codec::Gzip { level: 6 }, 3, 1);
    assert_eq!(
        hexadecimal(&member),
        "1f8b08000000000000ff03000000000000000000"
    );
}

#[test]
fn levels_that_would_be_clamped_are_refused() {
    for (codec, expected) in [
        (
            Codec::Zstd { level: 0 },
            "the zstd compression level is 0, and 1 to 22 were expected",
        ),
        (
            Codec::Zstd { level: 23 },
            "the zstd compression level is 23, and 1 to 22 were expected",
        ),
        (
            Codec::Xz { level: 10 },
            "the xz compression level is 10, and 0 to 9 were expected",
        ),
        (
            Codec::Gzip { level: 0 },
            "the gzip compression level is 0, and 1 to 9 were expected",
        ),
    ] {
        let mut out = Vec::new();
        let refused = compress(&mut out, codec, NonZeroUsize::MIN, |_| {
            Ok::<_, io::Error>(())
        });
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
}

/// Takes a few bytes, and then has no space.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_ends_the_work() {
    let data = sample(8 << 20);
    for codec in CODECS {
        let written = compress(&mut Full(1000), codec, NonZeroUsize::MIN, |out| {
            out.write_all(&data)
        });
        let error = match written {
            Ok(written) => written.unwrap_err(),
            Err(super::Error::Write { source, .. }) => source,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{}", codec.name());
    }
}

#[test]
fn an_error_of_the_archive_is_passed_on() {
    for codec in CODECS {
        let written = compress(&mut Vec::new(), codec, NonZeroUsize::MIN, |out| {
            out.write_all(b"begun").unwrap();
            Err::<(), _>("broken")
        });
        assert_eq!(written.unwrap().unwrap_err(), "broken", "{}", codec.name());
    }
}
