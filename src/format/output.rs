//! Where file systems are written to.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// The size of what can be given once more: a block of the usual size, which holds any superblock.
pub const FIRST_BLOCK_BYTES: usize = 4096;

/// Takes an image's bytes in order; the first block may be given once more when the rest is known.
///
/// Superblocks lie at the start and say where things are that come later, so a writer that streams gives a place
/// holder first.
pub trait ImageOutput: Write {
    /// Puts `block` in place of the first bytes, of which at least as many were written before.
    ///
    /// # Errors
    /// The error of seeking or writing.
    fn replace_first_block(&mut self, block: &[u8; FIRST_BLOCK_BYTES]) -> io::Result<()>;

    /// Writes `count` zeros; an output that is a file may leave a hole.
    ///
    /// # Errors
    /// The error of writing.
    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(count), self).map(drop)
    }
}

/// An image that starts where a file starts.
#[derive(Debug)]
pub struct SeekOutput<W: Write + Seek> {
    file: W,
}

impl<W: Write + Seek> SeekOutput<W> {
    /// Returns an output into `file`, which is empty.
    pub fn new(file: W) -> Self {
        Self { file }
    }

    /// Returns the file.
    pub fn into_inner(self) -> W {
        self.file
    }
}

impl<W: Write + Seek> Write for SeekOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W: Write + Seek> ImageOutput for SeekOutput<W> {
    fn replace_first_block(&mut self, block: &[u8; FIRST_BLOCK_BYTES]) -> io::Result<()> {
        let end = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(block)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::{FIRST_BLOCK_BYTES, ImageOutput, SeekOutput};

    #[test]
    fn the_first_block_is_replaced_and_writing_goes_on_at_the_end() {
        let mut output = SeekOutput::new(Cursor::new(Vec::new()));
        output.write_all(&[1; FIRST_BLOCK_BYTES + 2]).unwrap();
        output.replace_first_block(&[2; FIRST_BLOCK_BYTES]).unwrap();
        output.write_all(&[3]).unwrap();
        let expected = [&[2; FIRST_BLOCK_BYTES][..], &[1, 1, 3]].concat();
        assert_eq!(output.into_inner().into_inner(), expected);
    }
}
