//! Streams an image as it was laid out, front to back.

use std::io::{ErrorKind, Read, Write};

use super::error::Error;
use super::layout::{BLOCK_BYTES, BLOCK_LENGTH, SUPER_OFFSET};
use super::plan::{Plan, PlannedInode};
use super::sink::Sink;
use crate::tree::{Content, EntryKind, TreePath};

impl Plan<'_> {
    /// Writes the image: [`Plan::size_bytes`] bytes, without seeking.
    ///
    /// # Errors
    /// [`Error::OpenContent`] and [`Error::ReadContent`] when a file cannot be read or has changed its length,
    /// [`Error::Write`] when `out` fails.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), Error> {
        let mut sink = Sink::new(out);
        self.write_superblock(&mut sink)?;
        self.write_inodes(&mut sink)?;
        self.write_shared_xattrs(&mut sink)?;
        self.write_blocks(&mut sink)?;
        sink.zero_to(self.size_bytes())?;
        sink.finish()
    }

    fn write_superblock(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.zero_to(SUPER_OFFSET as u64)?;
        sink.put(&self.superblock().encode())
    }

    fn write_inodes(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let mut xattrs = Vec::new();
        for index in &self.metadata_order {
            let inode = &self.inodes[*index];
            sink.zero_to(inode.offset)?;
            let on_disk = self.on_disk(*index);
            sink.put(&on_disk.encode()[..on_disk.length()])?;
            xattrs.clear();
            inode.node.xattrs.encode(&mut xattrs);
            sink.put(&xattrs)?;
            if inode.tail_bytes > 0 {
                self.write_part(*index, Part::Tail, sink)?;
            }
        }
        Ok(())
    }

    fn write_shared_xattrs(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        sink.zero_to(self.shared_xattrs_offset)?;
        for entry in self.shared_xattrs.encoded_entries() {
            sink.put(&entry)?;
        }
        Ok(())
    }

    fn write_blocks(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        for index in &self.data_order {
            sink.zero_to(u64::from(self.inodes[*index].first_block) * BLOCK_BYTES)?;
            self.write_part(*index, Part::Blocks, sink)?;
        }
        Ok(())
    }

    fn write_part(&self, index: usize, part: Part, sink: &mut Sink<'_>) -> Result<(), Error> {
        let inode = &self.inodes[index];
        match &inode.node.tree.entry.kind {
            EntryKind::Directory => sink.put(part.of(inode, &self.encode_directory(index))),
            EntryKind::Symlink(target) => sink.put(part.of(inode, target)),
            EntryKind::Regular(content) => write_content(inode, content, part, sink),
            _ => Ok(()),
        }
    }
}

/// Which of an inode's contents: what is in blocks, or what follows the inode.
#[derive(Clone, Copy, Debug)]
enum Part {
    Blocks,
    Tail,
}

impl Part {
    fn of<'a>(self, inode: &PlannedInode<'_>, contents: &'a [u8]) -> &'a [u8] {
        let split = usize::try_from(inode.block_bytes()).unwrap_or(contents.len());
        let (blocks, tail) = contents.split_at(split.min(contents.len()));
        match self {
            Self::Blocks => blocks,
            Self::Tail => tail,
        }
    }
}

fn write_content(
    inode: &PlannedInode<'_>,
    content: &Content,
    part: Part,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let path = inode.node.tree.path;
    let mut reader = content.open().map_err(|source| Error::OpenContent {
        path: path.clone(),
        source,
    })?;
    let failed = |source| read_error(path, source);
    let (skipped, copied) = match part {
        Part::Blocks => (0, inode.block_bytes()),
        Part::Tail => (inode.block_bytes(), inode.tail_bytes),
    };
    skip(&mut reader, skipped).map_err(failed)?;
    sink.copy(&mut reader, copied)?.map_err(failed)?;
    // The reader fails when a file has grown, but not before its end is asked for.
    let rest = inode.node.size_bytes - skipped - copied;
    skip(&mut reader, rest + 1).map_err(failed)
}

/// Reads up to `size_bytes` and forgets them.
fn skip(reader: &mut dyn Read, size_bytes: u64) -> std::io::Result<()> {
    let mut scratch = [0; BLOCK_LENGTH];
    let mut missing = size_bytes;
    while missing > 0 {
        let limit =
            usize::try_from(missing).map_or(BLOCK_LENGTH, |missing| missing.min(BLOCK_LENGTH));
        match reader.read(&mut scratch[..limit]) {
            Ok(0) => return Ok(()),
            Ok(count) => missing -= count as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_error(path: &TreePath, source: std::io::Error) -> Error {
    Error::ReadContent {
        path: path.clone(),
        source,
    }
}
