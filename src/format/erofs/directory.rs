//! Directory contents: blocks of entries sorted by name, then the names.
//!
//! The kernel searches the blocks by their first name and then within one (`fs/erofs/namei.c`), so all names, `.` and
//! `..` among them, are in the order of their bytes, and no entry is split between blocks.

use super::layout::{BLOCK_BYTES, BLOCK_LENGTH, DIRENT_LENGTH, Dirent};

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

/// Returns the length of the directory that holds `names`, in the order they are written.
pub(super) fn size_bytes<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut full_blocks = 0;
    let mut used = 0;
    for name in names {
        let needed = DIRENT_LENGTH + name.len();
        if used + needed > BLOCK_LENGTH {
            full_blocks += 1;
            used = 0;
        }
        used += needed;
    }
    full_blocks * BLOCK_BYTES + used as u64
}

/// Returns the directory that holds `names`, which are sorted; all blocks but the last are filled up with zeros.
pub(super) fn encode(names: &[Name<'_>]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut rest = names;
    while !rest.is_empty() {
        encoded.resize(encoded.len().next_multiple_of(BLOCK_LENGTH), 0);
        let (block, following) = rest.split_at(count_in_block(rest));
        encode_block(block, &mut encoded);
        rest = following;
    }
    encoded
}

/// Returns how many of `names` the next block holds: at least one, as no name is longer than 255 bytes.
fn count_in_block(names: &[Name<'_>]) -> usize {
    let mut used = 0;
    names
        .iter()
        .take_while(|name| {
            used += DIRENT_LENGTH + name.name.len();
            used <= BLOCK_LENGTH
        })
        .count()
        .max(1)
}

fn encode_block(names: &[Name<'_>], encoded: &mut Vec<u8>) {
    let mut name_offset = names.len() * DIRENT_LENGTH;
    for name in names {
        let dirent = Dirent {
            nid: name.nid,
            nameoff: u16::try_from(name_offset).expect("an offset in a block is below 4096"),
            file_type: name.file_type,
        };
        encoded.extend_from_slice(&dirent.encode());
        name_offset += name.name.len();
    }
    for name in names {
        encoded.extend_from_slice(name.name);
    }
}
