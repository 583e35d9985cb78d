//! Writes an image: contents as they are compressed, then the tables that say where they are.

use std::num::NonZeroUsize;

use super::error::Error;
use super::files::Files;
use super::layout::{METADATA_STORED, NO_TABLE, SuperBlock, flag};
use super::metadata::{MetadataCompressor, write_indexed};
use super::options::{Compression, Options, compressor_options};
use super::sink::Sink;
use super::stored::Stored;
use super::tables::{Ids, Nodes};
use super::xattr::Xattrs;
use crate::format::codec::BlockCompressor;
use crate::format::file_system::KernelVersion;
use crate::format::inodes::{self, TreeInode};
use crate::format::output::ImageOutput;
use crate::tree::FileTree;

/// A tree that can be written as squashfs.
#[derive(Debug)]
pub struct Plan<'a> {
    inodes: Vec<TreeInode<'a>>,
    xattrs: Xattrs<'a>,
    ids: Ids,
    options: Options,
    compression: Compression,
    block_length: usize,
    build_time: u32,
}

/// What became of a tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The oldest kernel that reads the image.
    pub kernel: KernelVersion,
    /// The length of the image, a multiple of 4096.
    pub size_bytes: u64,
    pub statistics: Statistics,
}

/// What compression did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// The lengths of all regular files, each inode once.
    pub content_bytes: u64,
    /// What is left of them in the image, without the tables.
    pub stored_bytes: u64,
    /// How many files have their contents together with an equal file, and how long those are.
    pub duplicate_files: u64,
    pub duplicate_bytes: u64,
    /// How many blocks files share.
    pub fragments: u64,
}

impl<'a> Plan<'a> {
    /// Checks that squashfs can hold `tree`.
    ///
    /// # Errors
    /// An [`Error`] that names the entry that it cannot hold; contents are not read.
    pub fn new(tree: &'a FileTree, options: &Options) -> Result<Self, Error> {
        let (block_length, build_time) = options.check()?;
        let compression = Compression::of(options.codec)?;
        let inodes = inodes::collect(tree)?;
        // The root's parent has the number after the last.
        u32::try_from(inodes.len() + 1).map_err(|_| Error::TooManyInodes)?;
        for inode in &inodes {
            let seconds = inode.entry.modified.seconds;
            u32::try_from(seconds).map_err(|_| Error::TimeOutOfRange {
                path: inode.path.clone(),
                seconds,
            })?;
        }
        Ok(Self {
            xattrs: Xattrs::new(&inodes)?,
            ids: Ids::new(&inodes)?,
            inodes,
            options: options.clone(),
            compression,
            block_length,
            build_time,
        })
    }

    /// Writes the image, compressing in `workers` threads; the bytes do not depend on their number.
    ///
    /// # Errors
    /// [`Error::ReadContent`] when a file cannot be read or has changed its length,
    /// [`Error::Write`] when `out` fails, and others for what is too large.
    pub fn write(
        &self,
        workers: NonZeroUsize,
        out: &mut dyn ImageOutput,
    ) -> Result<Summary, Error> {
        let mut sink = Sink::new(out);
        let options = self.write_compressor_options(&mut sink)?;
        let contents_start = sink.position();
        let files = Files::new(&self.inodes, self.block_length, workers)?;
        let stored = Stored::write(&files, self.options.codec, workers, &mut sink)?;
        let stored_bytes = sink.position() - contents_start;

        let compressor = BlockCompressor::new(self.options.codec, self.block_length);
        let compressor = compressor.map_err(|source| Error::Compress { source })?;
        let mut compressor = MetadataCompressor::new(compressor);
        let inode_table_start = sink.position();
        let nodes = Nodes {
            inodes: &self.inodes,
            ids: &self.ids,
            xattrs: &self.xattrs,
            files: &files,
            stored: &stored,
        };
        let placed = nodes.write(&mut compressor, &mut sink)?;
        let mut indexed = |records: &[u8]| -> Result<u64, Error> {
            let starts = write_indexed(records, &mut compressor, &mut sink)?;
            let table_start = sink.position();
            for start in starts {
                sink.put(&start.to_le_bytes())?;
            }
            Ok(table_start)
        };
        let fragments: Vec<_> = stored
            .fragments
            .iter()
            .flat_map(|entry| entry.encode())
            .collect();
        let fragment_table_start = match fragments.is_empty() {
            true => NO_TABLE,
            false => indexed(&fragments)?,
        };
        let lookup_table_start = indexed(&placed.references)?;
        let id_table_start = indexed(&self.ids.encode())?;
        let xattr_id_table_start = self.xattrs.write(&mut compressor, &mut sink)?;
        let superblock = SuperBlock {
            inodes: u32::try_from(self.inodes.len()).expect("their number was checked"),
            mkfs_time: self.build_time,
            block_size: self.options.block_bytes,
            fragments: u32::try_from(stored.fragments.len()).expect("there are fewer than files"),
            compression: self.compression as u16,
            flags: self.flags() | options,
            no_ids: self.ids.count(),
            root_inode: placed.root.reference(),
            bytes_used: sink.position(),
            id_table_start,
            xattr_id_table_start,
            inode_table_start,
            directory_table_start: placed.directory_table_start,
            fragment_table_start,
            lookup_table_start,
        };
        let size_bytes = sink.finish(&superblock)?;
        Ok(Summary {
            kernel: self.compression.kernel(),
            size_bytes,
            statistics: Statistics {
                stored_bytes,
                fragments: stored.fragments.len() as u64,
                ..files.statistics()
            },
        })
    }

    /// Writes what the decompressor is told, and returns the flag that says so.
    fn write_compressor_options(&self, sink: &mut Sink<'_>) -> Result<u16, Error> {
        let Some(options) = compressor_options(self.options.codec) else {
            return Ok(0);
        };
        let length = u16::try_from(options.len()).expect("they are a few words");
        sink.put(&(length | METADATA_STORED).to_le_bytes())?;
        sink.put(&options)?;
        Ok(flag::COMPRESSOR_OPTIONS)
    }

    fn flags(&self) -> u16 {
        let attributes = if self.xattrs.is_empty() {
            flag::NO_XATTRS
        } else {
            0
        };
        flag::DUPLICATES_REMOVED | flag::EXPORTABLE | attributes
    }
}
