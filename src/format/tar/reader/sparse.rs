//! The maps of sparse files, of which GNU tar has written four forms.

use super::fields::{Fields, number};
use super::records::decimal;
use super::{BLOCK_BYTES, Members, ReadError};

/// Where a part of a sparse file starts in it, and how long it is; the parts follow each other in the archive.
pub(super) type Range = (u64, u64);

/// What extended headers say of a sparse file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SparseRecords {
    /// The name of the file, where the header has one for readers that do not know sparse files.
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_bytes: Option<u64>,
    /// Whether the map stands before the content (the form 1.0).
    pub(super) in_body: bool,
    /// Offsets and lengths in turn, as the forms 0.0 and 0.1 give them.
    numbers: Vec<u64>,
}

impl SparseRecords {
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()).filter(|name| !name.contains(&0)),
            b"size" | b"realsize" => self.real_bytes = Some(decimal(value)?),
            b"offset" | b"numbytes" => self.numbers.push(decimal(value)?),
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.numbers = numbers.collect::<Option<_>>()?;
            }
            b"major" => match decimal(value)? {
                0 => self.in_body = false,
                1 => self.in_body = true,
                _ => return None,
            },
            // `minor`, `numblocks`: the map says it itself.
            _ => {}
        }
        Some(())
    }

    pub(super) fn ranges(&self, offset: u64) -> Result<Vec<Range>, ReadError> {
        let (pairs, rest) = self.numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ReadError::Damaged {
                offset,
                reason: "the map of a sparse file is not in order",
            });
        }
        Ok(pairs
            .iter()
            .map(|[start, length]| (*start, *length))
            .collect())
    }
}

impl Members {
    /// Reads the map of GNU tar's old form, which goes on in blocks after the header.
    pub(super) fn old_sparse_map(
        &mut self,
        offset: u64,
        fields: &Fields,
    ) -> Result<Vec<Range>, ReadError> {
        let mut ranges = Vec::new();
        let (first, mut goes_on) = fields.sparse_map();
        old_ranges(first, offset, &mut ranges)?;
        while goes_on {
            let block = self.block(self.offset)?;
            self.offset += BLOCK_BYTES;
            self.budget.take(BLOCK_BYTES)?;
            old_ranges(&block[..504], offset, &mut ranges)?;
            goes_on = block[504] != 0;
        }
        Ok(ranges)
    }

    /// Reads the map at the start of the body of `body_bytes` at `start`, and returns it with its own length.
    pub(super) fn body_map(
        &mut self,
        start: u64,
        body_bytes: u64,
        offset: u64,
    ) -> Result<(Vec<Range>, u64), ReadError> {
        let damaged = ReadError::Damaged {
            offset,
            reason: "the map of a sparse file is not in order",
        };
        let mut numbers = Vec::new();
        let mut line: Vec<u8> = Vec::new();
        let mut wanted = None;
        let mut read_bytes = 0;
        while wanted != Some(numbers.len()) {
            if read_bytes + BLOCK_BYTES > body_bytes {
                return Err(damaged);
            }
            let block = self.block(start + read_bytes)?;
            read_bytes += BLOCK_BYTES;
            self.budget.take(BLOCK_BYTES)?;
            for byte in block {
                if wanted == Some(numbers.len()) {
                    break;
                }
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let Some(number) = decimal(&line) else {
                    return Err(damaged);
                };
                line.clear();
                match wanted {
                    None => {
                        wanted = usize::try_from(number)
                            .ok()
                            .and_then(|it| it.checked_mul(2))
                    }
                    Some(_) => numbers.push(number),
                }
                if wanted.is_none() {
                    return Err(damaged);
                }
            }
        }
        let (pairs, _) = numbers.as_chunks::<2>();
        let ranges = pairs.iter().map(|[start, length]| (*start, *length));
        Ok((ranges.collect(), read_bytes))
    }
}

fn old_ranges(table: &[u8], offset: u64, ranges: &mut Vec<Range>) -> Result<(), ReadError> {
    let (entries, _) = table.as_chunks::<24>();
    for entry in entries {
        // Where there are fewer parts than entries, the rest is empty.
        if entry[0] == 0 {
            break;
        }
        let field = |bytes| number(bytes).and_then(|number| u64::try_from(number).ok());
        match (field(&entry[..12]), field(&entry[12..])) {
            (Some(start), Some(length)) => ranges.push((start, length)),
            _ => {
                return Err(ReadError::Damaged {
                    offset,
                    reason: "the map of a sparse file is not in order",
                });
            }
        }
    }
    Ok(())
}
