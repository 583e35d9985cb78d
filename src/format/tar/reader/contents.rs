//! The content of a member, which stays in the archive.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::sparse::Range;
use crate::format::read_at::ReadAt;
use crate::tree::StoredContents;

/// Where the content of one member is.
pub(super) struct Part {
    bytes: Arc<dyn ReadAt>,
    size_bytes: u64,
    /// Sorted; what lies between them is zero.
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Copy)]
struct Piece {
    /// In the content.
    start: u64,
    length: u64,
    /// In the archive.
    place: u64,
}

impl Part {
    pub(super) fn whole(bytes: Arc<dyn ReadAt>, place: u64, size_bytes: u64) -> Self {
        let piece = Piece {
            start: 0,
            length: size_bytes,
            place,
        };
        Self {
            bytes,
            size_bytes,
            pieces: Arc::new([piece]),
        }
    }

    /// Returns a content of which `ranges` are stored one after the other in `stored_bytes` at `place`; `None` when they
    /// overlap, are not sorted, or are more than there is.
    pub(super) fn sparse(
        bytes: Arc<dyn ReadAt>,
        mut place: u64,
        stored_bytes: u64,
        ranges: &[Range],
        size_bytes: u64,
    ) -> Option<Self> {
        let end = place.checked_add(stored_bytes)?;
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut reached = 0;
        for &(start, length) in ranges {
            if start < reached {
                return None;
            }
            reached = start.checked_add(length).filter(|it| *it <= size_bytes)?;
            // The last one may be empty, and says how long the file is.
            if length > 0 {
                pieces.push(Piece {
                    start,
                    length,
                    place,
                });
            }
            place = place.checked_add(length).filter(|it| *it <= end)?;
        }
        Some(Self {
            bytes,
            size_bytes,
            pieces: pieces.into(),
        })
    }

    fn reader(&self, position: u64) -> Reader {
        Reader {
            bytes: self.bytes.clone(),
            pieces: self.pieces.clone(),
            size_bytes: self.size_bytes,
            position,
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes)", self.size_bytes)
    }
}

impl StoredContents for Part {
    fn open(&self, _: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.reader(0)))
    }

    fn open_at(&self, _: u64, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.reader(offset)))
    }
}

struct Reader {
    bytes: Arc<dyn ReadAt>,
    pieces: Arc<[Piece]>,
    size_bytes: u64,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self
            .pieces
            .partition_point(|piece| piece.start + piece.length <= self.position);
        let (end, place) = match self.pieces.get(next) {
            Some(piece) if piece.start <= self.position => (
                piece.start + piece.length,
                Some(piece.place + (self.position - piece.start)),
            ),
            Some(piece) => (piece.start, None),
            None => (self.size_bytes, None),
        };
        let left = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        match place {
            Some(place) => self.bytes.read_exact_at(&mut buffer[..room], place)?,
            None => buffer[..room].fill(0),
        }
        self.position += room as u64;
        Ok(room)
    }
}
