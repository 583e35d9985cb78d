//! Reading, compressing and writing the contents of files.

use std::num::NonZeroUsize;

use super::error::Error;
use super::files::{File, Files, Job, RUN_LENGTH};
use super::layout::{BLOCK_STORED, FragmentEntry};
use super::sink::Sink;
use crate::format::codec::{BlockCodec, BlockCompressor};
use crate::format::pipeline;

/// What became of the contents.
#[derive(Debug)]
pub(super) struct Stored {
    /// For each file where its blocks begin in the image.
    pub(super) starts: Vec<u64>,
    /// The blocks of all files, in the order in which they are stored; 0 for one that is all zeros.
    pub(super) block_sizes: Vec<u32>,
    pub(super) fragments: Vec<FragmentEntry>,
}

/// A worker's own.
struct Worker<'a> {
    codec: BlockCodec,
    /// Made when it is first needed.
    compressor: Option<BlockCompressor>,
    /// Room for what is read, with a byte more than a job has: that is how a file that has grown is noticed.
    input: Vec<u8>,
    files: &'a Files<'a>,
}

/// The blocks of a job.
#[derive(Debug, Default)]
struct Packed {
    job: Option<Job>,
    /// As in the image: compressed, one after the other.
    bytes: Vec<u8>,
    /// How many of the bytes are of this job.
    filled: usize,
    sizes: Vec<u32>,
    failure: Option<Error>,
}

impl Stored {
    /// Writes the contents of `files`.
    ///
    /// # Errors
    /// An [`Error`] of reading, compressing or writing.
    pub(super) fn write(
        files: &Files<'_>,
        codec: BlockCodec,
        workers: NonZeroUsize,
        sink: &mut Sink<'_>,
    ) -> Result<Self, Error> {
        let mut stored = Self {
            starts: vec![0; files.count()],
            block_sizes: Vec::new(),
            fragments: Vec::new(),
        };
        pipeline::in_order(
            workers,
            files.jobs(),
            || Worker {
                codec,
                compressor: None,
                input: vec![0; files.block_length().max(RUN_LENGTH) + 1],
                files,
            },
            |worker, job, packed: &mut Packed| {
                packed.begin(job);
                packed.failure = worker.pack(job, packed).err();
            },
            |packed| stored.take(packed, sink),
        )?;
        Ok(stored)
    }

    fn take(&mut self, packed: &mut Packed, sink: &mut Sink<'_>) -> Result<(), Error> {
        if let Some(failure) = packed.failure.take() {
            return Err(failure);
        }
        match packed.job {
            Some(Job::Blocks { file, first, .. }) => {
                if first == 0 {
                    self.starts[file] = sink.position();
                }
                self.block_sizes.extend_from_slice(&packed.sizes);
            }
            Some(Job::Fragment { .. }) => self.fragments.push(FragmentEntry {
                start_block: sink.position(),
                size: packed.sizes[0],
            }),
            None => {}
        }
        sink.put(&packed.bytes[..packed.filled])
    }
}

impl Packed {
    fn begin(&mut self, job: Job) {
        self.job = Some(job);
        self.filled = 0;
        self.sizes.clear();
    }

    /// Compresses `block` and appends it, unless it is all zeros and may be a hole.
    fn append(
        &mut self,
        block: &[u8],
        may_be_hole: bool,
        compressor: &mut BlockCompressor,
    ) -> Result<(), Error> {
        if may_be_hole && is_zero(block) {
            self.sizes.push(0);
            return Ok(());
        }
        let end = self.filled + block.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let room = &mut self.bytes[self.filled..end];
        // One byte less than there is: a block that does not get smaller is stored.
        let compressed = compressor
            .compress(block, &mut room[..block.len() - 1])
            .map_err(|source| Error::Compress { source })?;
        let (length, flag) = match compressed {
            Some(length) => (length, 0),
            None => {
                room.copy_from_slice(block);
                (block.len(), BLOCK_STORED)
            }
        };
        self.filled += length;
        let length = u32::try_from(length).expect("a block has at most 1 MiB");
        self.sizes.push(length | flag);
        Ok(())
    }
}

impl Worker<'_> {
    fn pack(&mut self, job: Job, packed: &mut Packed) -> Result<(), Error> {
        let block_length = self.files.block_length();
        let compressor = compressor(&mut self.compressor, self.codec, self.files)?;
        match job {
            Job::Blocks { file, first, count } => {
                let file = self.files.file(file);
                let offset = first * block_length as u64;
                let rest = file.content.size_bytes() - offset;
                let run = count * block_length as u64;
                let length = usize::try_from(rest.min(run)).expect("a run is short");
                // What follows is looked at only where nothing should.
                let room = length + usize::from(rest <= run);
                read(file, offset, &mut self.input[..room])?;
                for block in self.input[..length].chunks(block_length) {
                    packed.append(block, true, compressor)?;
                }
            }
            Job::Fragment { number } => {
                let mut filled = 0;
                for file in self.files.in_fragment(number) {
                    let (_, length) = self.files.parts(file);
                    read(file, 0, &mut self.input[filled..=filled + length])?;
                    filled += length;
                }
                packed.append(&self.input[..filled], false, compressor)?;
            }
        }
        Ok(())
    }
}

/// Returns `made`, which is made if it is not there.
fn compressor<'m>(
    made: &'m mut Option<BlockCompressor>,
    codec: BlockCodec,
    files: &Files<'_>,
) -> Result<&'m mut BlockCompressor, Error> {
    match made {
        Some(compressor) => Ok(compressor),
        None => BlockCompressor::new(codec, files.block_length())
            .map(|compressor| made.insert(compressor))
            .map_err(|source| Error::Compress { source }),
    }
}

fn read(file: &File<'_>, offset: u64, room: &mut [u8]) -> Result<(), Error> {
    file.content
        .read_part(offset, room)
        .map(|_| ())
        .map_err(|source| Error::ReadContent {
            path: file.path.clone(),
            source,
        })
}

/// Tells whether all bytes are zero; most blocks that are not show it at once.
fn is_zero(block: &[u8]) -> bool {
    block.first() == Some(&0) && block[..block.len() - 1] == block[1..]
}
