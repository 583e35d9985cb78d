//! The blocks of directories: lists of names.

use uuid::Uuid;

use super::layout::{BLOCK_BYTES, checksum, put};

/// The checksum of a block poses as an unused entry at its end.
const TAIL_BYTES: usize = 12;
const ROOM: usize = BLOCK_BYTES - TAIL_BYTES;

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) inode: u32,
    /// As the `filetype` feature numbers them.
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
}

fn entry_bytes(name: &[u8]) -> usize {
    8 + name.len().next_multiple_of(4)
}

/// Divides lengths of names into blocks, and returns how many names each has.
fn division<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
    let mut blocks = vec![0];
    let mut used = 0;
    for name in names {
        let bytes = entry_bytes(name);
        if used + bytes > ROOM {
            blocks.push(0);
            used = 0;
        }
        used += bytes;
        if let Some(last) = blocks.last_mut() {
            *last += 1;
        }
    }
    blocks
}

/// Returns how many blocks a directory with these names takes, `.` and `..` among them.
pub(super) fn block_count<'a>(names: impl Iterator<Item = &'a [u8]>) -> u32 {
    let dots: [&[u8]; 2] = [b".", b".."];
    let blocks = division(dots.into_iter().chain(names));
    u32::try_from(blocks.len()).unwrap_or(u32::MAX)
}

/// Returns the blocks of the directory `inode`, at least `least` of them.
pub(super) fn blocks(uuid: Uuid, inode: u32, names: &[Name], least: usize) -> Vec<Vec<u8>> {
    let mut rest = names;
    let division = division(names.iter().map(|name| name.name.as_slice()));
    let mut blocks = Vec::new();
    for count in division.into_iter().chain(std::iter::repeat(0)) {
        if rest.is_empty() && blocks.len() >= least {
            break;
        }
        let (these, others) = rest.split_at(count.min(rest.len()));
        rest = others;
        blocks.push(block(uuid, inode, these));
    }
    blocks
}

fn block(uuid: Uuid, inode: u32, names: &[Name]) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    for (index, name) in names.iter().enumerate() {
        let bytes = match index + 1 == names.len() {
            true => ROOM - at,
            false => entry_bytes(&name.name),
        };
        put(&mut block, at, &name.inode.to_le_bytes());
        put(
            &mut block,
            at + 4,
            &u16::try_from(bytes).unwrap_or_default().to_le_bytes(),
        );
        block[at + 6] = u8::try_from(name.name.len()).unwrap_or_default();
        block[at + 7] = name.kind;
        put(&mut block, at + 8, &name.name);
        at += bytes;
    }
    if names.is_empty() {
        put(
            &mut block,
            4,
            &u16::try_from(ROOM).unwrap_or_default().to_le_bytes(),
        );
    }
    put(&mut block, ROOM + 4, &12u16.to_le_bytes());
    block[ROOM + 7] = 0xDE;
    let sum = checksum(uuid, &[&inode.to_le_bytes(), &[0; 4], &block[..ROOM]]);
    put(&mut block, ROOM + 8, &sum.to_le_bytes());
    block
}
