//! Encoding and decoding of inodes: a basic form, and an extended one for what the basic one has no room for.

use super::layout::{DirectoryInode, FileInode, Inode, InodeKind, NO_XATTRS, get, put};

/// The part that all inodes begin with.
pub(super) const HEADER_LENGTH: usize = 16;
/// What is added to the type of a basic inode for that of the extended one.
const EXTENDED: u16 = 7;

/// An inode's header and the type that says what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    inode_type: u16,
    mode: u16,
    uid: u16,
    gid: u16,
    mtime: u32,
    inode_number: u32,
}

impl Inode {
    /// Appends the inode and `following`: a file's block lengths, a directory's index or a symbolic link's target.
    pub(super) fn encode(&self, following: &[u8], encoded: &mut Vec<u8>) {
        let extended = self.is_extended();
        let inode_type = self.kind.basic_type() + if extended { EXTENDED } else { 0 };
        for half in [inode_type, self.mode, self.uid, self.gid] {
            encoded.extend_from_slice(&half.to_le_bytes());
        }
        for word in [self.mtime, self.inode_number] {
            encoded.extend_from_slice(&word.to_le_bytes());
        }
        let mut fields = [0; 40];
        let length = match (&self.kind, extended) {
            (InodeKind::Directory(directory), false) => {
                put(&mut fields, 0, directory.start_block.to_le_bytes());
                put(&mut fields, 4, self.nlink.to_le_bytes());
                put(&mut fields, 8, low_half(directory.file_size));
                put(&mut fields, 10, directory.offset.to_le_bytes());
                put(&mut fields, 12, directory.parent_inode.to_le_bytes());
                16
            }
            (InodeKind::Directory(directory), true) => {
                put(&mut fields, 0, self.nlink.to_le_bytes());
                put(&mut fields, 4, directory.file_size.to_le_bytes());
                put(&mut fields, 8, directory.start_block.to_le_bytes());
                put(&mut fields, 12, directory.parent_inode.to_le_bytes());
                put(&mut fields, 16, directory.i_count.to_le_bytes());
                put(&mut fields, 18, directory.offset.to_le_bytes());
                put(&mut fields, 20, self.xattr.to_le_bytes());
                24
            }
            (InodeKind::File(file), false) => {
                put(&mut fields, 0, low_word(file.start_block));
                put(&mut fields, 4, file.fragment.to_le_bytes());
                put(&mut fields, 8, file.offset.to_le_bytes());
                put(&mut fields, 12, low_word(file.file_size));
                16
            }
            (InodeKind::File(file), true) => {
                put(&mut fields, 0, file.start_block.to_le_bytes());
                put(&mut fields, 8, file.file_size.to_le_bytes());
                put(&mut fields, 16, file.sparse.to_le_bytes());
                put(&mut fields, 24, self.nlink.to_le_bytes());
                put(&mut fields, 28, file.fragment.to_le_bytes());
                put(&mut fields, 32, file.offset.to_le_bytes());
                put(&mut fields, 36, self.xattr.to_le_bytes());
                40
            }
            (InodeKind::Symlink { symlink_size }, _) => {
                put(&mut fields, 0, self.nlink.to_le_bytes());
                put(&mut fields, 4, symlink_size.to_le_bytes());
                8
            }
            (InodeKind::BlockDevice { rdev } | InodeKind::CharacterDevice { rdev }, _) => {
                put(&mut fields, 0, self.nlink.to_le_bytes());
                put(&mut fields, 4, rdev.to_le_bytes());
                8
            }
            (InodeKind::Fifo | InodeKind::Socket, _) => {
                put(&mut fields, 0, self.nlink.to_le_bytes());
                4
            }
        };
        encoded.extend_from_slice(&fields[..length]);
        encoded.extend_from_slice(following);
        if extended && !matches!(self.kind, InodeKind::Directory(_) | InodeKind::File(_)) {
            encoded.extend_from_slice(&self.xattr.to_le_bytes());
        }
    }

    fn is_extended(&self) -> bool {
        let is_needed = match &self.kind {
            InodeKind::Directory(directory) => {
                directory.i_count > 0 || u16::try_from(directory.file_size).is_err()
            }
            InodeKind::File(file) => {
                self.nlink > 1
                    || file.sparse > 0
                    || u32::try_from(file.start_block.max(file.file_size)).is_err()
            }
            _ => false,
        };
        is_needed || self.xattr != NO_XATTRS
    }
}

impl Header {
    pub(super) fn decode(bytes: &[u8; HEADER_LENGTH]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self {
            inode_type: u16::from_le_bytes([a, b]),
            mode: u16::from_le_bytes([c, d]),
            uid: u16::from_le_bytes([e, f]),
            gid: u16::from_le_bytes([g, h]),
            mtime: u32::from_le_bytes([i, j, k, l]),
            inode_number: u32::from_le_bytes([m, n, o, p]),
        }
    }

    /// Returns how many bytes [`Header::inode`] takes, `None` for an unknown type.
    pub(super) const fn fields_length(&self) -> Option<usize> {
        match self.inode_type {
            1 | 2 => Some(16),
            3..=5 | 10..=12 => Some(8),
            6 | 7 | 13 | 14 => Some(4),
            8 => Some(24),
            9 => Some(40),
            _ => None,
        }
    }

    /// Tells whether the number of the attributes follows at the very end.
    pub(super) const fn xattr_follows(&self) -> bool {
        matches!(self.inode_type, 10..=14)
    }

    /// Returns the inode whose `fields` follow this header.
    pub(super) fn inode(&self, fields: &[u8]) -> Option<Inode> {
        let half = |offset| get(fields, offset).map(u16::from_le_bytes);
        let word = |offset| get(fields, offset).map(u32::from_le_bytes);
        let long = |offset| get(fields, offset).map(u64::from_le_bytes);
        let (nlink, xattr, kind) = match self.inode_type {
            1 => {
                let directory = DirectoryInode {
                    start_block: word(0)?,
                    offset: half(10)?,
                    file_size: half(8)?.into(),
                    parent_inode: word(12)?,
                    i_count: 0,
                };
                (word(4)?, NO_XATTRS, InodeKind::Directory(directory))
            }
            8 => {
                let directory = DirectoryInode {
                    start_block: word(8)?,
                    offset: half(18)?,
                    file_size: word(4)?,
                    parent_inode: word(12)?,
                    i_count: half(16)?,
                };
                (word(0)?, word(20)?, InodeKind::Directory(directory))
            }
            2 => {
                let file = FileInode {
                    start_block: word(0)?.into(),
                    file_size: word(12)?.into(),
                    sparse: 0,
                    fragment: word(4)?,
                    offset: word(8)?,
                };
                (1, NO_XATTRS, InodeKind::File(file))
            }
            9 => {
                let file = FileInode {
                    start_block: long(0)?,
                    file_size: long(8)?,
                    sparse: long(16)?,
                    fragment: word(28)?,
                    offset: word(32)?,
                };
                (word(24)?, word(36)?, InodeKind::File(file))
            }
            other => {
                let kind = match other {
                    3 | 10 => InodeKind::Symlink {
                        symlink_size: word(4)?,
                    },
                    4 | 11 => InodeKind::BlockDevice { rdev: word(4)? },
                    5 | 12 => InodeKind::CharacterDevice { rdev: word(4)? },
                    6 | 13 => InodeKind::Fifo,
                    7 | 14 => InodeKind::Socket,
                    _ => return None,
                };
                (word(0)?, NO_XATTRS, kind)
            }
        };
        Some(Inode {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            inode_number: self.inode_number,
            nlink,
            xattr,
            kind,
        })
    }
}

/// Returns the low 16 bits; the caller made sure that there are no others.
fn low_half(value: u32) -> [u8; 2] {
    let [first, second, ..] = value.to_le_bytes();
    [first, second]
}

/// Returns the low 32 bits; the caller made sure that there are no others.
fn low_word(value: u64) -> [u8; 4] {
    let [first, second, third, fourth, ..] = value.to_le_bytes();
    [first, second, third, fourth]
}
