//! Which bytes of which files are compressed together.
//!
//! A file is cut into blocks. One that is shorter than a block shares a fragment block with its neighbours in the tree.
//! The ends of longer files could as well, but that made images larger and reading them slower. Files with the same
//! bytes are stored once.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::error::Error;
use super::layout::{FileInode, NO_FRAGMENT};
use super::stored::Stored;
use super::writer::Statistics;
use crate::format::duplicates::{self, Unreadable};
use crate::format::inodes::TreeInode;
use crate::tree::{Content, EntryKind, TreePath};

/// How much of a file is one job at least: small blocks are not worth a change of threads each.
pub(super) const RUN_LENGTH: usize = 128 * 1024;
/// In place of the number of a file, for an inode that is none or is empty.
const NO_FILE: u32 = u32::MAX;

/// A regular file that is not empty.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) path: &'a TreePath,
    pub(super) content: &'a Content,
    /// An earlier file with the same bytes, or this one.
    original: usize,
    /// Where the sizes of its blocks begin among those of all files.
    first_block: usize,
    /// The fragment block that it is in, and the place in that.
    fragment: Option<(u32, u32)>,
}

/// A fragment block.
#[derive(Debug)]
struct Fragment {
    /// The files in it, as indices into [`Files::small`].
    members: Range<usize>,
    /// How many of the files in [`Files::order`] come before it.
    preceding: usize,
}

/// Something to compress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Job {
    /// Blocks of a file from `first` on.
    Blocks {
        file: usize,
        first: u64,
        count: u64,
    },
    Fragment {
        number: usize,
    },
}

/// The contents of a tree, cut up.
#[derive(Debug)]
pub(super) struct Files<'a> {
    block_length: usize,
    files: Vec<File<'a>>,
    /// For each inode its file.
    of_inodes: Vec<u32>,
    /// The files that are stored, in the order in which they are.
    order: Vec<u32>,
    fragments: Vec<Fragment>,
    small: Vec<u32>,
}

impl<'a> Files<'a> {
    /// Cuts up the files among `inodes`, of which those that may be duplicates are read.
    ///
    /// # Errors
    /// [`Error::ReadContent`], for a file that cannot be read or has changed its length.
    pub(super) fn new(
        inodes: &[TreeInode<'a>],
        block_length: usize,
        workers: NonZeroUsize,
    ) -> Result<Self, Error> {
        let mut cut = Self {
            block_length,
            files: Vec::new(),
            of_inodes: vec![NO_FILE; inodes.len()],
            order: Vec::new(),
            fragments: Vec::new(),
            small: Vec::new(),
        };
        for (inode, number) in inodes.iter().zip(&mut cut.of_inodes) {
            let EntryKind::Regular(content) = &inode.entry.kind else {
                continue;
            };
            if content.size_bytes() == 0 {
                continue;
            }
            *number = u32::try_from(cut.files.len()).expect("there are fewer than inodes");
            cut.files.push(File {
                path: inode.path,
                content,
                original: cut.files.len(),
                first_block: 0,
                fragment: None,
            });
        }
        cut.find_originals(workers)?;
        cut.lay_out();
        Ok(cut)
    }

    pub(super) fn block_length(&self) -> usize {
        self.block_length
    }

    pub(super) fn file(&self, number: usize) -> &File<'a> {
        &self.files[number]
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Iterates over the files in a fragment block.
    pub(super) fn in_fragment(&self, number: usize) -> impl Iterator<Item = &File<'a>> {
        let members = &self.small[self.fragments[number].members.clone()];
        members.iter().map(|file| &self.files[*file as usize])
    }

    /// Returns how much of `file` is in its blocks, and how much in a fragment block.
    pub(super) fn parts(&self, file: &File<'_>) -> (u64, usize) {
        let size_bytes = file.content.size_bytes();
        match usize::try_from(size_bytes) {
            Ok(length) if length < self.block_length => (0, length),
            _ => (size_bytes, 0),
        }
    }

    /// Returns how long all files are, and which are stored together with others.
    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for (number, file) in self.files.iter().enumerate() {
            statistics.content_bytes += file.content.size_bytes();
            if file.original != number {
                statistics.duplicate_files += 1;
                statistics.duplicate_bytes += file.content.size_bytes();
            }
        }
        statistics
    }

    /// Iterates over what is to be compressed, in the order of the image.
    pub(super) fn jobs(&self) -> impl Iterator<Item = Job> {
        let run = (RUN_LENGTH / self.block_length).max(1) as u64;
        let mut fragments = self.fragments.iter().enumerate().peekable();
        (0..=self.order.len()).flat_map(move |place| {
            let mut before = Vec::new();
            while let Some((number, _)) =
                fragments.next_if(|(_, fragment)| fragment.preceding <= place)
            {
                before.push(Job::Fragment { number });
            }
            let file = self.order.get(place).map(|file| *file as usize);
            let count = file.map_or(0, |file| self.block_count(&self.files[file]));
            let blocks = (0..count.div_ceil(run)).map(move |index| Job::Blocks {
                file: file.expect("only a file has blocks"),
                first: index * run,
                count: run.min(count - index * run),
            });
            before.into_iter().chain(blocks)
        })
    }

    /// Returns what the inode number `index` says of its contents, and the sizes of its blocks.
    pub(super) fn inode<'s>(&self, index: usize, stored: &'s Stored) -> (FileInode, &'s [u32]) {
        let number = self.of_inodes[index];
        if number == NO_FILE {
            let empty = FileInode {
                start_block: 0,
                file_size: 0,
                sparse: 0,
                fragment: NO_FRAGMENT,
                offset: 0,
            };
            return (empty, &[]);
        }
        let original = self.files[number as usize].original;
        let file = &self.files[original];
        let (fragment, offset) = file.fragment.unwrap_or((NO_FRAGMENT, 0));
        let count = usize::try_from(self.block_count(file)).expect("their sizes are in memory");
        let sizes = &stored.block_sizes[file.first_block..file.first_block + count];
        let (bytes_in_blocks, _) = self.parts(file);
        let block_bytes = self.block_length as u64;
        let holes = (0..).zip(sizes).filter(|(_, size)| **size == 0);
        let hole_bytes =
            holes.map(|(block, _)| block_bytes.min(bytes_in_blocks - block * block_bytes));
        let inode = FileInode {
            start_block: stored.starts[original],
            file_size: file.content.size_bytes(),
            sparse: hole_bytes.sum(),
            fragment,
            offset,
        };
        (inode, sizes)
    }

    fn block_count(&self, file: &File<'_>) -> u64 {
        let (bytes_in_blocks, _) = self.parts(file);
        bytes_in_blocks.div_ceil(self.block_length as u64)
    }

    fn find_originals(&mut self, workers: NonZeroUsize) -> Result<(), Error> {
        let contents: Vec<_> = self.files.iter().map(|file| file.content).collect();
        let originals = duplicates::originals(&contents, workers);
        let originals = originals.map_err(|Unreadable { file, source }| Error::ReadContent {
            path: self.files[file].path.clone(),
            source,
        })?;
        for (file, original) in self.files.iter_mut().zip(originals) {
            file.original = original;
        }
        Ok(())
    }

    /// Gives the files that are stored their order, and the small ones places in fragment blocks.
    fn lay_out(&mut self) {
        self.order = (0..)
            .zip(&self.files)
            .filter(|(number, file)| *number as usize == file.original)
            .map(|(number, _)| number)
            .collect();
        let (mut block_count, mut filled, mut begin) = (0, 0, 0);
        for place in 0..self.order.len() {
            let number = self.order[place];
            let file = &self.files[number as usize];
            let (_, small_bytes) = self.parts(file);
            let count = self.block_count(file);
            if small_bytes > 0 && filled + small_bytes > self.block_length {
                let members = begin..self.small.len();
                begin = members.end;
                filled = 0;
                self.fragments.push(Fragment {
                    members,
                    preceding: place,
                });
            }
            let file = &mut self.files[number as usize];
            file.first_block = block_count;
            block_count += usize::try_from(count).expect("their sizes will be in memory");
            if small_bytes > 0 {
                let fragment = u32::try_from(self.fragments.len());
                let offset = u32::try_from(filled).expect("a block has at most 1 MiB");
                file.fragment = Some((fragment.expect("there are fewer than files"), offset));
                self.small.push(number);
                filled += small_bytes;
            }
        }
        if begin < self.small.len() {
            self.fragments.push(Fragment {
                members: begin..self.small.len(),
                preceding: self.order.len(),
            });
        }
    }
}
