//! The two archives around a `control` file: ar(5) outside, and a compressed tar inside.

use std::io::{self, Read};

use liblzma::stream as xz;

use super::{Error, shown};

const MAGIC: &[u8] = b"!<arch>\n";
/// The header of an ar member: a name, times, owner and mode that are of no interest, a size, and two bytes.
const HEADER_BYTES: usize = 60;
const NAME_BYTES: usize = 16;
const SIZE: std::ops::Range<usize> = 48..58;
const HEADER_END: &[u8] = b"`\n";

/// The version of the format is some characters; dpkg-deb itself reads no more.
const FORMAT_LIMIT_BYTES: u64 = 64;
/// How much of the decompressed control information is looked at: with its scripts and lists of digests, that of the
/// largest packages has some megabytes.
const CONTROL_ARCHIVE_LIMIT_BYTES: u64 = 64 << 20;
/// A `control` file has some kilobytes; many times that is one that is meant to fill an index.
const CONTROL_LIMIT_BYTES: u64 = 1 << 20;
/// What the decoder of xz may use: `xz -9` needs 65 MiB.
const XZ_MEMORY_LIMIT_BYTES: u64 = 128 << 20;
/// The largest window of a zstd frame, as a power of two: what zstd itself takes without being told to.
const ZSTD_WINDOW_LOG: u32 = 27;

const BLOCK_BYTES: usize = 512;

/// Returns the `control` file of a package.
pub(super) fn control(mut file: impl Read) -> Result<Vec<u8>, Error> {
    if fill::<{ MAGIC.len() }>(&mut file)?.as_slice() != MAGIC {
        return Err(Error::NotPackage);
    }
    let (name, size_bytes) = member(&mut file, "the member `debian-binary`")?;
    if name != "debian-binary" || size_bytes > FORMAT_LIMIT_BYTES {
        return Err(unexpected("the member `debian-binary`", &name));
    }
    let mut format = Vec::new();
    let padded = size_bytes + size_bytes % 2;
    file.by_ref()
        .take(padded)
        .read_to_end(&mut format)
        .map_err(|source| Error::Read { source })?;
    if !format.starts_with(b"2.") {
        let found = shown(
            format
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default(),
        );
        return Err(Error::Format { found });
    }
    const EXPECTED: &str =
        "the member `control.tar`, compressed with gzip, xz or zstd or not at all";
    let (name, size_bytes) = member(&mut file, EXPECTED)?;
    let content = file.take(size_bytes);
    let unreadable = |source: io::Error| Error::Read { source };
    match name.as_str() {
        "control.tar" => control_of_tar(content),
        "control.tar.gz" => control_of_tar(flate2::read::GzDecoder::new(content)),
        "control.tar.xz" => {
            let stream = xz::Stream::new_stream_decoder(XZ_MEMORY_LIMIT_BYTES, xz::CONCATENATED);
            let stream = stream.map_err(|error| unreadable(error.into()))?;
            control_of_tar(liblzma::read::XzDecoder::new_stream(content, stream))
        }
        "control.tar.zst" => {
            let mut decoder = zstd::stream::read::Decoder::new(content).map_err(unreadable)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(unreadable)?;
            control_of_tar(decoder)
        }
        _ => Err(unexpected(EXPECTED, &name)),
    }
}

/// Reads the header of the next member of the outer archive, and returns its name and size.
fn member(file: &mut impl Read, expected: &'static str) -> Result<(String, u64), Error> {
    let header = fill::<HEADER_BYTES>(file)?;
    if !header.ends_with(HEADER_END) {
        return Err(unexpected(expected, &shown(&header[..NAME_BYTES])));
    }
    let name = String::from_utf8_lossy(&header[..NAME_BYTES]);
    // Some programs write a slash at the end of names.
    let name = name.trim_end_matches(' ').trim_end_matches('/').to_owned();
    let size = std::str::from_utf8(&header[SIZE]).ok();
    match size.and_then(|size| size.trim_end_matches(' ').parse().ok()) {
        Some(size_bytes) => Ok((name, size_bytes)),
        None => Err(unexpected(expected, &name)),
    }
}

fn unexpected(expected: &'static str, found: &str) -> Error {
    Error::Member {
        expected,
        found: shown(found.as_bytes()),
    }
}

/// Returns the file `control` of the inner archive.
fn control_of_tar(archive: impl Read) -> Result<Vec<u8>, Error> {
    let mut archive = archive.take(CONTROL_ARCHIVE_LIMIT_BYTES);
    let absent = Error::NoControl {
        limit_bytes: CONTROL_ARCHIVE_LIMIT_BYTES,
    };
    loop {
        let mut header = [0; BLOCK_BYTES];
        match archive.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(absent),
            Err(source) => return Err(Error::Read { source }),
        }
        if header.iter().all(|byte| *byte == 0) {
            return Err(absent);
        }
        let header = TarHeader::read(&header)?;
        if header.is_file && matches!(header.name.as_slice(), b"control" | b"./control") {
            return content(archive, header.size_bytes);
        }
        let skipped = header.size_bytes.next_multiple_of(BLOCK_BYTES as u64);
        let copied = io::copy(&mut archive.by_ref().take(skipped), &mut io::sink());
        copied.map_err(|source| Error::Read { source })?;
    }
}

fn content(archive: impl Read, size_bytes: u64) -> Result<Vec<u8>, Error> {
    if size_bytes > CONTROL_LIMIT_BYTES {
        return Err(Error::ControlTooLong {
            found_bytes: size_bytes,
            limit_bytes: CONTROL_LIMIT_BYTES,
        });
    }
    let mut content = Vec::new();
    archive
        .take(size_bytes)
        .read_to_end(&mut content)
        .map_err(|source| Error::Read { source })?;
    if content.len() as u64 == size_bytes {
        Ok(content)
    } else {
        Err(Error::Archive {
            reason: "it ends within a file",
        })
    }
}

/// What is of interest of the header of a tar member (POSIX.1 ustar).
struct TarHeader {
    name: Vec<u8>,
    size_bytes: u64,
    is_file: bool,
}

impl TarHeader {
    fn read(block: &[u8; BLOCK_BYTES]) -> Result<Self, Error> {
        let bad = |reason| Error::Archive { reason };
        const CHECKSUM: std::ops::Range<usize> = 148..156;
        let sum: u64 = block
            .iter()
            .enumerate()
            // The field itself counts as spaces.
            .map(|(at, byte)| match CHECKSUM.contains(&at) {
                true => u64::from(b' '),
                false => u64::from(*byte),
            })
            .sum();
        if octal(&block[CHECKSUM]) != Some(sum) {
            return Err(bad("the checksum of a header is wrong"));
        }
        let name = &block[..100];
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let size_bytes = octal(&block[124..136])
            .filter(|size| *size <= CONTROL_ARCHIVE_LIMIT_BYTES)
            .ok_or(bad("the size of a member makes no sense"))?;
        Ok(Self {
            name: name.to_owned(),
            size_bytes,
            is_file: matches!(block[156], b'0' | 0),
        })
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}

fn fill<const N: usize>(file: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::NotPackage),
        Err(source) => Err(Error::Read { source }),
    }
}
