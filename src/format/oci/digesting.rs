//! Counting and digesting what goes by.

use std::io::{self, Write};

use openssl::sha::Sha256;

use crate::digest::hexadecimal;

/// Passes on what is written, and knows its length and digest.
pub(super) struct Digesting<W> {
    out: W,
    digest: Sha256,
    size_bytes: u64,
}

/// What has gone by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Digested {
    /// The SHA-256 digest in lower-case hexadecimal.
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            digest: Sha256::new(),
            size_bytes: 0,
        }
    }

    /// Returns where it was written to, and what it was.
    pub(super) fn finish(self) -> (W, Digested) {
        let digested = Digested {
            sha256: hexadecimal(&self.digest.finish()),
            size_bytes: self.size_bytes,
        };
        (self.out, digested)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
