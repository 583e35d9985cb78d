//! Decompressing the start of a block, of which the rest does not matter.

use flate2::FlushDecompress;
use liblzma::stream as xz;
use zstd::zstd_safe::{DParameter, InBuffer, OutBuffer, ResetDirective};

use super::{BlockDecompressor, BlockFormat, CodecError, Decoder, XZ_MEMORY_LIMIT_BYTES, length};

/// How far back zstd data may refer, as a power of two: 16 MiB, more than the largest block of any file system.
const ZSTD_WINDOW_LOG_LIMIT: u32 = 24;

impl BlockDecompressor {
    /// Decompresses `input` until `output` is full or the block ends, and returns how many bytes it became.
    ///
    /// What follows in `input` is not looked at.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`] for what does not start as a block of the format.
    pub fn decompress_start(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CodecError> {
        let corrupt = |format| CodecError::Corrupt { format };
        match &mut self.engine {
            Decoder::Lz4 => lz4_start(input, output).ok_or_else(|| corrupt(BlockFormat::Lz4)),
            Decoder::Zstd(context) => {
                let corrupt = |_| corrupt(BlockFormat::Zstd);
                context
                    .reset(ResetDirective::SessionOnly)
                    .map_err(corrupt)?;
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_LIMIT))
                    .map_err(corrupt)?;
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(output);
                loop {
                    let before = (input.pos(), output.pos());
                    let missing = context
                        .decompress_stream(&mut output, &mut input)
                        .map_err(corrupt)?;
                    if missing == 0 || (input.pos(), output.pos()) == before {
                        return Ok(output.pos());
                    }
                }
            }
            Decoder::Xz => {
                let corrupt = |_| corrupt(BlockFormat::Xz);
                let mut stream =
                    xz::Stream::new_stream_decoder(XZ_MEMORY_LIMIT_BYTES, 0).map_err(corrupt)?;
                stream
                    .process(input, output, xz::Action::Run)
                    .map_err(corrupt)?;
                Ok(length(stream.total_out()))
            }
            Decoder::Flate(format, stream) => {
                stream.reset(*format == BlockFormat::Zlib);
                stream
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|_| corrupt(*format))?;
                Ok(length(stream.total_out()))
            }
        }
    }
}

/// Decodes sequences of LZ4: a token, literals, and a copy of at least four bytes of what was decoded before.
///
/// The library's decoder of a part cannot be called without `unsafe`.
fn lz4_start(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let mut input = input.iter();
    let mut written = 0;
    while written < output.len() {
        let Some(token) = input.next() else {
            // Only literals end a block, and then there is no token.
            return Some(written);
        };
        let literals = lz4_length(usize::from(token >> 4), &mut input)?;
        let taken = literals.min(output.len() - written);
        let (found, rest) = input.as_slice().split_at_checked(taken)?;
        output[written..written + taken].copy_from_slice(found);
        input = rest.iter();
        written += taken;
        if written == output.len() || input.as_slice().is_empty() {
            return Some(written);
        }
        let distance = u16::from_le_bytes([*input.next()?, *input.next()?]);
        let copied = lz4_length(usize::from(token & 15), &mut input)?.checked_add(4)?;
        let from = written.checked_sub(distance.into())?;
        if distance == 0 {
            return None;
        }
        // A copy may reach into itself, and then repeats.
        for place in 0..copied.min(output.len() - written) {
            output[written + place] = output[from + place];
        }
        written += copied.min(output.len() - written);
    }
    Some(written)
}

/// Returns a length, to which bytes are added as long as they are 255.
fn lz4_length(start: usize, input: &mut std::slice::Iter<'_, u8>) -> Option<usize> {
    let mut length = start;
    if start == 15 {
        loop {
            let more = *input.next()?;
            length = length.checked_add(more.into())?;
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::format::codec::{BlockCodec, BlockCompressor, BlockDecompressor};

    const CODECS: [BlockCodec; 6] = [
        BlockCodec::Zstd { level: 3 },
        BlockCodec::Lz4,
        BlockCodec::Lz4Hc { level: 9 },
        BlockCodec::Xz { level: 6 },
        BlockCodec::Zlib { level: 6 },
        BlockCodec::Deflate { level: 6 },
    ];

    fn compressed(codec: BlockCodec, block: &[u8]) -> Vec<u8> {
        let mut output = vec![0; block.len() + 1024];
        let mut compressor = BlockCompressor::new(codec, block.len()).unwrap();
        let length = compressor.compress(block, &mut output).unwrap().unwrap();
        output.truncate(length);
        output
    }

    proptest! {
        #[test]
        fn the_start_of_any_block_is_decompressed(
            words in proptest::collection::vec(0..40_u8, 1..3000),
            part in any::<proptest::sample::Index>(),
            after in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let block: Vec<u8> = words.iter().flat_map(|word| [*word; 3]).collect();
            let length = part.index(block.len()) + 1;
            for codec in CODECS {
                let mut input = compressed(codec, &block);
                if length < block.len() {
                    input.extend_from_slice(&after);
                }
                let mut output = vec![0; length];
                let mut decompressor = BlockDecompressor::new(codec.format()).unwrap();
                prop_assert_eq!(decompressor.decompress_start(&input, &mut output).unwrap(), length);
                prop_assert_eq!(&output, &block[..length]);
            }
        }

        #[test]
        fn what_is_no_block_is_an_error_or_bytes(
            input in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for codec in CODECS {
                let mut output = vec![0; 1000];
                let mut decompressor = BlockDecompressor::new(codec.format()).unwrap();
                if let Ok(length) = decompressor.decompress_start(&input, &mut output) {
                    prop_assert!(length <= output.len());
                }
            }
        }
    }

    #[test]
    fn a_block_that_ends_early_gives_what_there_is() {
        for codec in CODECS {
            let input = compressed(codec, &[7; 500]);
            let mut output = vec![0; 1000];
            let mut decompressor = BlockDecompressor::new(codec.format()).unwrap();
            let length = decompressor.decompress_start(&input, &mut output).unwrap();
            assert_eq!(length, 500, "{codec:?}");
        }
    }
}
