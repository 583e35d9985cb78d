use proptest::prelude::*;

use super::{BlockCodec, BlockCompressor, BlockDecompressor, BlockFormat, CodecError};

const BLOCK_BYTES: usize = 64 << 10;

const CODECS: [BlockCodec; 8] = [
    BlockCodec::Zstd { level: 3 },
    BlockCodec::Zstd { level: 19 },
    BlockCodec::Lz4,
    BlockCodec::Lz4Hc { level: 9 },
    BlockCodec::Xz { level: 1 },
    BlockCodec::Xz { level: 6 },
    BlockCodec::Zlib { level: 6 },
    BlockCodec::Deflate { level: 9 },
];

const FORMATS: [BlockFormat; 5] = [
    BlockFormat::Zstd,
    BlockFormat::Lz4,
    BlockFormat::Xz,
    BlockFormat::Zlib,
    BlockFormat::Deflate,
];

fn text(length: usize) -> Vec<u8> {
    let words = b"the quick brown fox jumps over the lazy dog; ";
    words.iter().copied().cycle().take(length).collect()
}

/// Bytes that no codec makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn decompressed(format: BlockFormat, block: &[u8], room: usize) -> Result<Vec<u8>, CodecError> {
    let mut output = vec![0; room];
    let length = BlockDecompressor::new(format)?.decompress(block, &mut output)?;
    output.truncate(length);
    Ok(output)
}

#[test]
fn blocks_come_back_as_they_were() {
    for codec in CODECS {
        let mut compressor = BlockCompressor::new(codec, BLOCK_BYTES).unwrap();
        // One compressor for all of them: what went before must not show.
        for input in [text(1), text(BLOCK_BYTES), noise(100), text(4097), text(1)] {
            let mut output = vec![0; 2 * BLOCK_BYTES];
            let length = compressor.compress(&input, &mut output).unwrap().unwrap();
            let block = &output[..length];
            let found = decompressed(codec.format(), block, input.len()).unwrap();
            assert!(found == input, "{codec:?}");
            let mut again = vec![0; 2 * BLOCK_BYTES];
            let mut fresh = BlockCompressor::new(codec, BLOCK_BYTES).unwrap();
            let length = fresh.compress(&input, &mut again).unwrap().unwrap();
            assert!(again[..length] == *block, "{codec:?} remembers");
        }
    }
}

#[test]
fn what_does_not_become_short_enough_is_told() {
    for codec in CODECS {
        let mut compressor = BlockCompressor::new(codec, BLOCK_BYTES).unwrap();
        let mut output = vec![0; BLOCK_BYTES - 1];
        let found = compressor.compress(&noise(BLOCK_BYTES), &mut output);
        assert_eq!(found.unwrap(), None, "{codec:?}");
        // The next block is none the worse for it.
        let length = compressor.compress(&text(5000), &mut output).unwrap();
        let found = decompressed(codec.format(), &output[..length.unwrap()], 5000);
        assert!(found.unwrap() == text(5000), "{codec:?}");
    }
}

#[test]
fn a_compressor_goes_on_wherever_a_block_stopped_to_fit() {
    for codec in CODECS {
        let mut compressor = BlockCompressor::new(codec, BLOCK_BYTES).unwrap();
        let mut output = vec![0; BLOCK_BYTES];
        let input = [text(BLOCK_BYTES / 2), noise(BLOCK_BYTES / 2)].concat();
        let whole = compressor.compress(&input, &mut output).unwrap().unwrap();
        for room in (0..whole).step_by(whole / 50) {
            let found = compressor.compress(&input, &mut output[..room]);
            assert_eq!(found.unwrap(), None, "{codec:?} {room}");
        }
        let again = compressor.compress(&input, &mut output).unwrap();
        assert_eq!(again, Some(whole), "{codec:?}");
    }
}

#[test]
fn blocks_that_are_cut_off_or_too_long_are_errors() {
    for codec in CODECS {
        let mut output = vec![0; BLOCK_BYTES];
        let mut compressor = BlockCompressor::new(codec, BLOCK_BYTES).unwrap();
        let input = text(20_000);
        let length = compressor.compress(&input, &mut output).unwrap().unwrap();
        let cut = decompressed(codec.format(), &output[..length - 1], input.len());
        assert!(cut.is_err(), "{codec:?}");
        let short = decompressed(codec.format(), &output[..length], input.len() - 1);
        assert!(short.is_err(), "{codec:?}");
    }
}

#[test]
fn levels_that_a_codec_does_not_have_are_refused() {
    for (codec, expected) in [
        (
            BlockCodec::Zstd { level: 23 },
            "the zstd compression level is 23, and 1 to 22 were expected",
        ),
        (
            BlockCodec::Lz4Hc { level: 2 },
            "the lz4 compression level is 2, and 3 to 12 were expected",
        ),
        (
            BlockCodec::Xz { level: 10 },
            "the xz compression level is 10, and 0 to 9 were expected",
        ),
        (
            BlockCodec::Zlib { level: 0 },
            "the zlib compression level is 0, and 1 to 9 were expected",
        ),
    ] {
        let error = BlockCompressor::new(codec, BLOCK_BYTES).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decompressed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            if let Ok(found) = decompressed(format, &bytes, 1000) {
                prop_assert!(found.len() <= 1000);
            }
        }
    }
}
