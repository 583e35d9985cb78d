//! Files with a compression around what is in them.

use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::thread;

use super::{WriteError, create, sync};
use crate::beneath::Place;
use crate::format::compression::{self, Codec};

/// How many bytes go to the kernel at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Makes the file at `place` of what `write` writes, compressed with all processors there are.
pub(super) fn write<T: Send, E: From<WriteError> + Send>(
    place: &Place<'_>,
    codec: Codec,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send,
) -> Result<T, E> {
    let file = create(place).map_err(WriteError::from)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let written =
        compression::compress(&mut out, codec, workers, write).map_err(WriteError::from)??;
    let file = out
        .into_inner()
        .map_err(|error| WriteError::from(error.into_error()))?;
    sync(&file).map_err(WriteError::from)?;
    Ok(written)
}
