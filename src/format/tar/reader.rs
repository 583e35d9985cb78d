//! Reads tar archives of any producer: the old form, ustar, GNU tar's, and pax with the extensions of GNU tar, star and
//! libarchive.
//!
//! An archive is untrusted. Names are given as they stand there; what they mean in a tree is [`super::unpack`]'s to
//! decide. Contents stay in the archive, of which one header is held at a time, and what its names and attributes may
//! take in memory is bounded by its length.
//!
//! Formats: pax(1) of POSIX.1-2017; "Basic Tar Format" and "Storing Sparse Files" in the manual of GNU tar; tar(5) of
//! libarchive.

mod contents;
mod fields;
mod records;
mod sparse;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use self::contents::Part;
use self::fields::Fields;
use self::records::Records;
use super::accounts::Accounts;
use crate::format::budget::{Budget, OverBudget};
use crate::format::read_at::ReadAt;
use crate::tree::{Content, DeviceNumber, Timestamp};

const BLOCK_BYTES: u64 = 512;
/// What an extended header or a long name may take: attributes have 64 KiB each, and maps of sparse files some MiB.
const EXTENSION_LIMIT_BYTES: u64 = 16 << 20;

/// One member of an archive, as it is written there.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it starts, for messages.
    pub offset_bytes: u64,
    pub name: Vec<u8>,
    pub kind: MemberKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// What the owners were called where the archive was made; empty where that is not said.
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    pub modified: Timestamp,
    /// By full name; access control lists among them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a member is.
#[derive(Clone, Debug)]
pub enum MemberKind {
    Directory,
    Regular(Content),
    /// Another name of the member of this name.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharacterDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
}

/// An archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("reading the archive at byte {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("the archive is damaged at byte {offset}: {reason}")]
    Damaged { offset: u64, reason: &'static str },
    #[error("the archive ends at byte {offset}, before its end is marked")]
    Truncated { offset: u64 },
    #[error("the member at byte {offset} is of the type `{}`, which cannot be read", .flag.escape_ascii())]
    UnsupportedType { offset: u64, flag: u8 },
    #[error("the names and attributes in the archive take too much memory")]
    TooLarge,
}

impl From<OverBudget> for ReadError {
    fn from(_: OverBudget) -> Self {
        Self::TooLarge
    }
}

/// Tells whether `bytes` start with the header of a member.
///
/// # Errors
/// What reading failed with.
pub fn is_archive(bytes: &dyn ReadAt) -> io::Result<bool> {
    if bytes.size_bytes() < BLOCK_BYTES {
        return Ok(false);
    }
    let mut block = [0; 512];
    bytes.read_exact_at(&mut block, 0)?;
    Ok(Fields::new(block).is_some())
}

/// Goes through the members of an archive.
#[derive(Debug)]
pub struct Members {
    bytes: Arc<dyn ReadAt>,
    offset: u64,
    global: Records,
    budget: Budget,
    accounts: Arc<Accounts>,
    is_done: bool,
}

impl Members {
    /// Starts at the first member of the archive `bytes`, which is not compressed.
    ///
    /// `accounts` are those that names without numbers stand for.
    pub fn new(bytes: Arc<dyn ReadAt>, accounts: Arc<Accounts>) -> Self {
        let budget = Budget::of(bytes.size_bytes());
        Self {
            bytes,
            offset: 0,
            global: Records::default(),
            budget,
            accounts,
            is_done: false,
        }
    }

    fn next_member(&mut self) -> Result<Option<Member>, ReadError> {
        let mut extended = self.global.clone();
        let (mut long_name, mut long_target) = (None, None);
        while let Some((offset, fields)) = self.header()? {
            match fields.flag() {
                b'x' | b'X' => {
                    let body = self.extension(offset, &fields)?;
                    extended.add(&body, offset, &self.accounts)?;
                }
                b'g' => {
                    let body = self.extension(offset, &fields)?;
                    self.budget.take(body.len() as u64)?;
                    self.global.add(&body, offset, &self.accounts)?;
                    extended.add(&body, offset, &self.accounts)?;
                }
                b'L' => long_name = Some(until_nul(self.extension(offset, &fields)?)),
                b'K' => long_target = Some(until_nul(self.extension(offset, &fields)?)),
                // The label of a volume is no file.
                b'V' => self.skip(fields.size(offset)?, offset)?,
                _ => {
                    return self
                        .member(offset, &fields, extended, long_name, long_target)
                        .map(Some);
                }
            }
        }
        if long_name.is_some() || long_target.is_some() || !extended.is_only(&self.global) {
            return Err(ReadError::Damaged {
                offset: self.offset,
                reason: "an extended header is about a member that is not there",
            });
        }
        Ok(None)
    }

    /// Returns the next header with its place, `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<(u64, Fields)>, ReadError> {
        let offset = self.offset;
        let block = self.block(offset)?;
        self.offset += BLOCK_BYTES;
        if block == [0; 512] {
            return Ok(None);
        }
        let fields = Fields::new(block).ok_or(ReadError::Damaged {
            offset,
            reason: "there is no header, or its checksum is wrong",
        })?;
        Ok(Some((offset, fields)))
    }

    fn block(&self, offset: u64) -> Result<[u8; 512], ReadError> {
        let mut block = [0; 512];
        self.read(&mut block, offset)?;
        Ok(block)
    }

    fn read(&self, room: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.bytes
            .read_exact_at(room, offset)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => ReadError::Truncated {
                    offset: self.bytes.size_bytes(),
                },
                _ => ReadError::Read { offset, source },
            })
    }

    /// Reads the body of a header that speaks of another member.
    fn extension(&mut self, offset: u64, fields: &Fields) -> Result<Vec<u8>, ReadError> {
        let size_bytes = fields.size(offset)?;
        if size_bytes > EXTENSION_LIMIT_BYTES {
            return Err(ReadError::Damaged {
                offset,
                reason: "an extended header has more than 16 MiB",
            });
        }
        let start = self.offset;
        self.skip(size_bytes, offset)?;
        let length = usize::try_from(size_bytes).map_err(|_| ReadError::TooLarge)?;
        let mut body = vec![0; length];
        self.read(&mut body, start)?;
        Ok(body)
    }

    /// Goes past the body of the member at `offset`.
    fn skip(&mut self, size_bytes: u64, offset: u64) -> Result<(), ReadError> {
        let end = size_bytes
            .checked_next_multiple_of(BLOCK_BYTES)
            .and_then(|padded| self.offset.checked_add(padded));
        match end {
            // Some producers leave out the padding of the last member.
            Some(end) if self.offset + size_bytes <= self.bytes.size_bytes() => {
                self.offset = end;
                Ok(())
            }
            Some(_) => Err(ReadError::Truncated {
                offset: self.bytes.size_bytes(),
            }),
            None => Err(ReadError::Damaged {
                offset,
                reason: "a member is longer than any archive",
            }),
        }
    }

    fn member(
        &mut self,
        offset: u64,
        fields: &Fields,
        extended: Records,
        long_name: Option<Vec<u8>>,
        long_target: Option<Vec<u8>>,
    ) -> Result<Member, ReadError> {
        let header_name = long_name.unwrap_or_else(|| fields.name());
        let name = extended.name(header_name);
        let target = extended
            .target
            .clone()
            .or(long_target)
            .unwrap_or_else(|| fields.target());
        let has_slash = name.ends_with(b"/");
        let kind = match fields.flag() {
            // What old archives have of directories is the slash.
            0 | b'0' if has_slash => MemberKind::Directory,
            0 | b'0' | b'7' | b'S' => MemberKind::Regular(self.content(offset, fields, &extended)?),
            b'1' => MemberKind::HardLink(target),
            b'2' => MemberKind::Symlink(target),
            b'3' => MemberKind::CharacterDevice(extended.device(fields.device(offset)?)),
            b'4' => MemberKind::BlockDevice(extended.device(fields.device(offset)?)),
            b'5' | b'D' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            flag => return Err(ReadError::UnsupportedType { offset, flag }),
        };
        if !matches!(kind, MemberKind::Regular(_)) {
            self.skip_needless_body(offset, fields, &extended)?;
        }
        let attributes = extended.xattrs.iter();
        let attribute_bytes = attributes.map(|(name, value)| name.len() + value.len() + 96);
        self.budget.take_entry(name.len())?;
        self.budget
            .take(attribute_bytes.map(|size| size as u64).sum())?;
        let target_bytes = match &kind {
            MemberKind::HardLink(target) | MemberKind::Symlink(target) => target.len(),
            _ => 0,
        };
        self.budget.take(target_bytes as u64)?;
        Ok(Member {
            offset_bytes: offset,
            name,
            kind,
            mode: fields.mode(offset)?,
            uid: extended.uid.map_or_else(|| fields.uid(offset), Ok)?,
            gid: extended.gid.map_or_else(|| fields.gid(offset), Ok)?,
            user: extended.user.unwrap_or_else(|| fields.user()),
            group: extended.group.unwrap_or_else(|| fields.group()),
            modified: extended
                .modified
                .map_or_else(|| fields.modified(offset), Ok)?,
            xattrs: extended.xattrs,
        })
    }

    /// Goes past the content of a regular file, and returns where it is.
    fn content(
        &mut self,
        offset: u64,
        fields: &Fields,
        extended: &Records,
    ) -> Result<Content, ReadError> {
        let stored_bytes = extended.size.map_or_else(|| fields.size(offset), Ok)?;
        let mut map = None;
        if fields.flag() == b'S' {
            let blocks = self.old_sparse_map(offset, fields)?;
            map = Some((blocks, fields.real_size(offset)?));
        }
        let mut start = self.offset;
        self.skip(stored_bytes, offset)?;
        let mut in_body = stored_bytes;
        if let Some(sparse) = &extended.sparse {
            let real_bytes = sparse.real_bytes.ok_or(ReadError::Damaged {
                offset,
                reason: "a sparse file has no length",
            })?;
            let ranges = match sparse.in_body {
                true => {
                    let (ranges, map_bytes) = self.body_map(start, stored_bytes, offset)?;
                    start += map_bytes;
                    in_body -= map_bytes;
                    ranges
                }
                false => sparse.ranges(offset)?,
            };
            self.budget.take(24 * ranges.len() as u64)?;
            map = Some((ranges, real_bytes));
        }
        let Some((ranges, real_bytes)) = map else {
            let part = Part::whole(self.bytes.clone(), start, stored_bytes);
            return Ok(Content::from_image(Arc::new(part), offset, stored_bytes));
        };
        let part = Part::sparse(self.bytes.clone(), start, in_body, &ranges, real_bytes);
        let part = part.ok_or(ReadError::Damaged {
            offset,
            reason: "the map of a sparse file is not in order",
        })?;
        Ok(Content::from_image(Arc::new(part), offset, real_bytes))
    }

    /// Goes past what follows the header of a member that has no content.
    ///
    /// Some producers give links the length of what they lead to, and some of those let the bytes follow. A header tells
    /// by its checksum that they do not.
    fn skip_needless_body(
        &mut self,
        offset: u64,
        fields: &Fields,
        extended: &Records,
    ) -> Result<(), ReadError> {
        let size_bytes = extended.size.map_or_else(|| fields.size(offset), Ok)?;
        if size_bytes == 0 {
            return Ok(());
        }
        let next = self.block(self.offset)?;
        match next == [0; 512] || Fields::new(next).is_some() {
            true => Ok(()),
            false => self.skip(size_bytes, offset),
        }
    }
}

impl Iterator for Members {
    type Item = Result<Member, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let member = self.next_member().transpose();
        self.is_done = !matches!(member, Some(Ok(_)));
        member
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

#[cfg(test)]
mod tests;
