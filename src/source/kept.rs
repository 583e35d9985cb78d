//! Bytes of a source, decompressed, in a file without a name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use liblzma::stream as xz;
use openssl::hash::{Hasher, MessageDigest};
use rustix::fs::Mode;

use super::Error;
use crate::beneath::Directory;
use crate::digest::hexadecimal;
use crate::format::read_at::ReadAt;

const CHUNK_BYTES: usize = 256 << 10;
/// What `xz -9` needs to decompress, several times.
const XZ_MEMORY_LIMIT_BYTES: u64 = 512 << 20;
/// What `zstd --ultra -22` needs, 128 MiB; more has to be asked for when compressing and when decompressing.
const ZSTD_WINDOW_LOG: u32 = 27;
const NAME: &str = "source";

/// Where sources are unpacked, and how much they may hold.
#[derive(Clone, Copy, Debug)]
pub struct Scratch<'a> {
    pub directory: &'a Directory,
    pub limit_bytes: u64,
}

/// What was kept of a source.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Arc<dyn ReadAt>,
    /// Of the source as it is.
    pub(super) digest: String,
    pub(super) source_bytes: u64,
    /// Of what it decompresses to.
    pub(super) content_digest: String,
}

/// Reads `source` to its end and keeps what it decompresses to; `path` names it in errors.
pub(super) fn keep(
    path: &Path,
    source: &mut dyn Read,
    algorithm: MessageDigest,
    scratch: &Scratch<'_>,
) -> Result<Kept, Error> {
    let unread = |source| Error::Read {
        path: path.into(),
        source,
    };
    let unkept = |source| Error::Keep {
        path: path.into(),
        source,
    };
    let file = unnamed(scratch.directory).map_err(unkept)?;
    let mut hashed = BufReader::with_capacity(CHUNK_BYTES, Hashing::new(source, algorithm));
    // A buffer is filled by one call, which may give less than there is, but never nothing before the end.
    let start = hashed.fill_buf().map_err(unread)?;
    let form = Form::of(start);
    let mut content = Hasher::new(algorithm).expect("OpenSSL has the algorithms of SHA-2");
    let mut size_bytes = 0;
    {
        let mut decoder = form.decoder(path, &mut hashed)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unread(error)),
            };
            let bytes = &chunk[..count];
            content
                .update(bytes)
                .map_err(|error| unkept(error.into()))?;
            let end = size_bytes + count as u64;
            if end > scratch.limit_bytes {
                return Err(Error::TooLarge {
                    path: path.into(),
                    limit_bytes: scratch.limit_bytes,
                });
            }
            // Zeros are left out, so that a few bytes that decompress to many take no room.
            if bytes.iter().any(|byte| *byte != 0) {
                file.write_all_at(bytes, size_bytes).map_err(unkept)?;
            }
            size_bytes = end;
        }
    }
    file.set_len(size_bytes).map_err(unkept)?;
    io::copy(&mut hashed, &mut io::sink()).map_err(unread)?;
    let mut hashing = hashed.into_inner();
    Ok(Kept {
        bytes: Arc::new(Unnamed { file, size_bytes }),
        digest: finish(&mut hashing.hasher),
        source_bytes: hashing.count,
        content_digest: finish(&mut content),
    })
}

/// Returns the digest of `source` as it is.
pub(super) fn digest(source: &mut dyn Read) -> io::Result<String> {
    let mut hashing = Hashing::new(source, MessageDigest::sha256());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match hashing.read(&mut chunk) {
            Ok(0) => return Ok(finish(&mut hashing.hasher)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn finish(hasher: &mut Hasher) -> String {
    let digest = hasher.finish();
    hexadecimal(&digest.expect("OpenSSL has the algorithms of SHA-2"))
}

/// Makes a file that goes away with the descriptor.
fn unnamed(directory: &Directory) -> io::Result<File> {
    let file = directory
        .create_file(NAME, Mode::RUSR | Mode::WUSR)
        .map_err(crate::beneath::Error::into_cause)?;
    directory
        .remove_file(NAME)
        .map_err(crate::beneath::Error::into_cause)?;
    Ok(file)
}

struct Hashing<'a> {
    source: &'a mut dyn Read,
    hasher: Hasher,
    count: u64,
}

impl<'a> Hashing<'a> {
    fn new(source: &'a mut dyn Read, algorithm: MessageDigest) -> Self {
        let hasher = Hasher::new(algorithm).expect("OpenSSL has the algorithms of SHA-2");
        Self {
            source,
            hasher,
            count: 0,
        }
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.write_all(&buffer[..count])?;
        self.count += count as u64;
        Ok(count)
    }
}

/// How a source is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Plain,
    Gzip,
    Xz,
    Zstd,
    Unknown(&'static str),
}

impl Form {
    fn of(start: &[u8]) -> Self {
        const MAGICS: [(&[u8], Form); 7] = [
            (b"\x1f\x8b", Form::Gzip),
            (b"\xfd7zXZ\0", Form::Xz),
            (b"\x28\xb5\x2f\xfd", Form::Zstd),
            (b"BZh", Form::Unknown("bzip2")),
            (b"\x04\x22\x4d\x18", Form::Unknown("lz4")),
            (b"LZIP", Form::Unknown("lzip")),
            (b"\x1f\x9d", Form::Unknown("compress")),
        ];
        let found = MAGICS.iter().find(|(magic, _)| start.starts_with(magic));
        let found = found.map_or(Self::Plain, |(_, form)| *form);
        match found {
            // A name in an archive may start like anything.
            Self::Unknown(_) if start.get(257..262) == Some(b"ustar") => Self::Plain,
            found => found,
        }
    }

    fn decoder<'a>(
        self,
        path: &Path,
        source: &'a mut dyn BufRead,
    ) -> Result<Box<dyn Read + 'a>, Error> {
        let unread = |source| Error::Read {
            path: path.into(),
            source,
        };
        Ok(match self {
            Self::Plain => Box::new(source),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
            Self::Xz => {
                let stream =
                    xz::Stream::new_stream_decoder(XZ_MEMORY_LIMIT_BYTES, xz::CONCATENATED);
                let stream = stream.map_err(|error| unread(error.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(source);
                let mut decoder = decoder.map_err(unread)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(unread)?;
                Box::new(decoder)
            }
            Self::Unknown(found) => {
                return Err(Error::UnknownCompression {
                    path: path.into(),
                    found,
                });
            }
        })
    }
}

#[derive(Debug)]
struct Unnamed {
    file: File,
    size_bytes: u64,
}

impl ReadAt for Unnamed {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        // Nobody else has the file, so it ends where it ended.
        self.file.read_exact_at(buffer, offset)
    }
}
