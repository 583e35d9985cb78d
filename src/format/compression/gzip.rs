//! One gzip member, deflated in parallel.
//!
//! The input is cut into chunks of a fixed size, each deflated by itself with the end of the one before as its dictionary
//! and ended at a byte boundary (a sync flush), so that the pieces follow each other as one deflate stream. The checksum
//! and the length at the end are of the whole. Several members would be simpler, and not every reader goes on after the
//! first.
//!
//! Formats: RFC 1951, RFC 1952.

use std::io::{self, Write};
use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress, Status};

use crate::format::pipeline;

/// How much is deflated at a time; changing it changes the bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// Room for any chunk, stored if it cannot be compressed (zlib.h, deflateBound()). What deflate makes of its input can
/// depend on where it runs out of room, so it never does.
const DEFLATED_LIMIT_BYTES: usize = CHUNK_BYTES + CHUNK_BYTES / 64 + 64;
/// How far back deflate looks.
const WINDOW_BYTES: usize = 32 << 10;
/// How many chunks wait for a worker.
const WAITING_CHUNKS: usize = 2;

/// A member without name and time: deflate, no flags, time 0, no extra flags, of no known system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A part of the input.
#[derive(Default)]
struct Chunk {
    /// The chunk before, of which the end is the dictionary.
    before: Arc<Vec<u8>>,
    data: Arc<Vec<u8>>,
    is_last: bool,
}

/// A part of the output.
#[derive(Default)]
struct Deflated {
    bytes: Vec<u8>,
    error: Option<CompressError>,
}

/// Has `write` write in a thread of its own, while this one puts what the workers make of it into `out`.
pub(super) fn compress<T: Send, E: Send>(
    out: &mut impl Write,
    level: u32,
    workers: NonZeroUsize,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send,
) -> io::Result<Result<T, E>> {
    let (sender, receiver) = sync_channel(WAITING_CHUNKS);
    std::thread::scope(|scope| {
        let producer = std::thread::Builder::new()
            .name("archive".to_owned())
            .spawn_scoped(scope, move || {
                let mut chunks = Chunks::new(sender);
                let written = write(&mut chunks)?;
                Ok((written, chunks.finish()))
            })?;
        let deflated = deflate(out, level, workers, receiver);
        let produced = match producer.join() {
            Ok(produced) => produced,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // When this side fails the other one does as well, for nobody takes its chunks; the reason is here.
        deflated?;
        match produced {
            Ok((written, trailer)) => out.write_all(&trailer).map(|()| Ok(written)),
            Err(error) => Ok(Err(error)),
        }
    })
}

/// Writes the header and the deflated chunks.
fn deflate(
    out: &mut impl Write,
    level: u32,
    workers: NonZeroUsize,
    chunks: Receiver<Chunk>,
) -> io::Result<()> {
    out.write_all(&HEADER)?;
    pipeline::in_order(
        workers,
        chunks.into_iter(),
        || (),
        |(), chunk: Chunk, deflated: &mut Deflated| {
            // Each chunk has a stream of its own: one that is reset and then given a dictionary still knows something of
            // what it deflated before, and what that was depends on which worker was faster.
            let stream = Compress::new(Compression::new(level), false);
            deflated.bytes.clear();
            deflated.error = deflate_chunk(stream, &chunk, &mut deflated.bytes).err();
        },
        |deflated| match deflated.error.take() {
            Some(error) => Err(error.into()),
            None => out.write_all(&deflated.bytes),
        },
    )
}

fn deflate_chunk(
    mut stream: Compress,
    chunk: &Chunk,
    bytes: &mut Vec<u8>,
) -> Result<(), CompressError> {
    if !chunk.before.is_empty() {
        let start = chunk.before.len().saturating_sub(WINDOW_BYTES);
        stream.set_dictionary(&chunk.before[start..])?;
    }
    let flush = match chunk.is_last {
        true => FlushCompress::Finish,
        false => FlushCompress::Sync,
    };
    loop {
        bytes.reserve(DEFLATED_LIMIT_BYTES);
        let taken = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let status = stream.compress_vec(&chunk.data[taken..], bytes, flush)?;
        // A flush is complete when it leaves room (zlib.h, deflate()).
        let has_room = bytes.len() < bytes.capacity();
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => has_room,
        };
        if is_done {
            return Ok(());
        }
    }
}

/// Cuts what is written into chunks.
struct Chunks {
    sender: SyncSender<Chunk>,
    before: Arc<Vec<u8>>,
    data: Vec<u8>,
    checksum: Crc,
}

impl Chunks {
    fn new(sender: SyncSender<Chunk>) -> Self {
        Self {
            sender,
            before: Arc::default(),
            data: Vec::with_capacity(CHUNK_BYTES),
            checksum: Crc::new(),
        }
    }

    fn send(&mut self, is_last: bool) -> io::Result<()> {
        let data = Arc::new(mem::replace(
            &mut self.data,
            Vec::with_capacity(CHUNK_BYTES),
        ));
        let before = mem::replace(&mut self.before, data.clone());
        let chunk = Chunk {
            before,
            data,
            is_last,
        };
        self.sender
            .send(chunk)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends the rest and returns the checksum and the length of all, which end the member.
    fn finish(mut self) -> [u8; 8] {
        // When nobody takes it, the other side has failed and says why.
        let _ = self.send(true);
        let mut trailer = [0; 8];
        trailer[..4].copy_from_slice(&self.checksum.sum().to_le_bytes());
        // The length is kept modulo 2^32, which is what `amount` is.
        trailer[4..].copy_from_slice(&self.checksum.amount().to_le_bytes());
        trailer
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Sent only when more follows, so that the last chunk is known to be the last.
        if self.data.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.send(false)?;
        }
        let count = bytes.len().min(CHUNK_BYTES - self.data.len());
        self.data.extend_from_slice(&bytes[..count]);
        self.checksum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
