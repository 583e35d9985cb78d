//! On-disk structures, with the kernel's field names and offsets (`fs/squashfs/squashfs_fs.h`). All integers are
//! little-endian. Changing anything here breaks the format.

/// `SQUASHFS_MAGIC`.
pub(super) const SUPER_MAGIC: u32 = 0x7371_7368;
pub(super) const SUPER_LENGTH: usize = 96;
/// `SQUASHFS_METADATA_SIZE`: how much of a table is compressed at once.
pub(super) const METADATA_LENGTH: usize = 8192;
/// The bit in a metadata block's length that says it is stored as it is (`SQUASHFS_COMPRESSED_BIT`).
pub(super) const METADATA_STORED: u16 = 1 << 15;
/// The same in the length of a data block or fragment (`SQUASHFS_COMPRESSED_BIT_BLOCK`).
pub(super) const BLOCK_STORED: u32 = 1 << 24;
/// `SQUASHFS_INVALID_FRAG`.
pub(super) const NO_FRAGMENT: u32 = u32::MAX;
/// `SQUASHFS_INVALID_XATTR`.
pub(super) const NO_XATTRS: u32 = u32::MAX;
/// `SQUASHFS_INVALID_BLK`.
pub(super) const NO_TABLE: u64 = u64::MAX;
/// What directories count for `.` and `..`, which they do not hold.
pub(super) const DOTS_LENGTH: u32 = 3;
/// `SQUASHFS_DIR_COUNT`.
pub(super) const DIRECTORY_RUN_LIMIT: usize = 256;
pub(super) const DIRECTORY_HEADER_LENGTH: usize = 12;
pub(super) const DIRECTORY_ENTRY_LENGTH: usize = 8;
pub(super) const FRAGMENT_ENTRY_LENGTH: usize = 16;
pub(super) const XATTR_ID_LENGTH: usize = 16;
/// `SQUASHFS_XATTR_VALUE_OOL`: the value is elsewhere, and a reference to it in its place.
pub(super) const XATTR_VALUE_ELSEWHERE: u16 = 0x100;

/// `SQUASHFS_FLAGS_*`, as far as they are of use.
pub(super) mod flag {
    pub(in super::super) const DUPLICATES_REMOVED: u16 = 1 << 6;
    pub(in super::super) const EXPORTABLE: u16 = 1 << 7;
    pub(in super::super) const NO_XATTRS: u16 = 1 << 9;
    pub(in super::super) const COMPRESSOR_OPTIONS: u16 = 1 << 10;
}

/// `struct squashfs_super_block`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SuperBlock {
    pub(super) inodes: u32,
    pub(super) mkfs_time: u32,
    pub(super) block_size: u32,
    pub(super) fragments: u32,
    pub(super) compression: u16,
    pub(super) flags: u16,
    pub(super) no_ids: u16,
    pub(super) root_inode: u64,
    pub(super) bytes_used: u64,
    pub(super) id_table_start: u64,
    pub(super) xattr_id_table_start: u64,
    pub(super) inode_table_start: u64,
    pub(super) directory_table_start: u64,
    pub(super) fragment_table_start: u64,
    pub(super) lookup_table_start: u64,
}

/// Where something is in a table: the start of its metadata block within the table, and its offset in what that
/// block becomes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) offset: u16,
}

/// An inode without what follows the structure: a file's block lengths, a directory's index, a link's target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Inode {
    pub(super) mode: u16,
    /// An index into the table of ids.
    pub(super) uid: u16,
    pub(super) gid: u16,
    pub(super) mtime: u32,
    pub(super) inode_number: u32,
    pub(super) nlink: u32,
    pub(super) xattr: u32,
    pub(super) kind: InodeKind,
}

/// What only one type of inode has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InodeKind {
    Directory(DirectoryInode),
    File(FileInode),
    Symlink { symlink_size: u32 },
    BlockDevice { rdev: u32 },
    CharacterDevice { rdev: u32 },
    Fifo,
    Socket,
}

/// Where a directory's entries are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DirectoryInode {
    pub(super) start_block: u32,
    pub(super) offset: u16,
    /// The length of the entries and [`DOTS_LENGTH`].
    pub(super) file_size: u32,
    pub(super) parent_inode: u32,
    /// The number of entries in the index.
    pub(super) i_count: u16,
}

/// Where a file's contents are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileInode {
    pub(super) start_block: u64,
    pub(super) file_size: u64,
    /// How many bytes are in blocks that are not stored because they are zero.
    pub(super) sparse: u64,
    pub(super) fragment: u32,
    /// Where the file's last bytes are in the fragment block.
    pub(super) offset: u32,
}

/// `struct squashfs_fragment_entry`, a block that holds the last bytes of files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FragmentEntry {
    pub(super) start_block: u64,
    pub(super) size: u32,
}

/// `struct squashfs_dir_header`, for at most [`DIRECTORY_RUN_LIMIT`] entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DirectoryHeader {
    /// One less than the number of entries.
    pub(super) count: u32,
    pub(super) start_block: u32,
    pub(super) inode_number: u32,
}

/// `struct squashfs_dir_entry`, without the name that follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DirectoryEntry {
    pub(super) offset: u16,
    /// The difference to the header's `inode_number`.
    pub(super) inode_number: i16,
    /// The type of a basic inode.
    pub(super) kind: u16,
    /// One less than the length of the name.
    pub(super) size: u16,
}

/// `struct squashfs_xattr_id`: where the attributes of an inode are, which several inodes may share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct XattrId {
    pub(super) xattr: Place,
    pub(super) count: u32,
    pub(super) size: u32,
}

/// What follows the type of an attribute, by `type & 0xff`.
pub(super) const XATTR_PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

impl SuperBlock {
    pub(super) fn encode(&self) -> [u8; SUPER_LENGTH] {
        let mut bytes = [0; SUPER_LENGTH];
        let block_log = u16::try_from(self.block_size.trailing_zeros()).expect("it is at most 32");
        put(&mut bytes, 0, SUPER_MAGIC.to_le_bytes());
        put(&mut bytes, 4, self.inodes.to_le_bytes());
        put(&mut bytes, 8, self.mkfs_time.to_le_bytes());
        put(&mut bytes, 12, self.block_size.to_le_bytes());
        put(&mut bytes, 16, self.fragments.to_le_bytes());
        put(&mut bytes, 20, self.compression.to_le_bytes());
        put(&mut bytes, 22, block_log.to_le_bytes());
        put(&mut bytes, 24, self.flags.to_le_bytes());
        put(&mut bytes, 26, self.no_ids.to_le_bytes());
        put(&mut bytes, 28, 4_u16.to_le_bytes());
        put(&mut bytes, 32, self.root_inode.to_le_bytes());
        put(&mut bytes, 40, self.bytes_used.to_le_bytes());
        put(&mut bytes, 48, self.id_table_start.to_le_bytes());
        put(&mut bytes, 56, self.xattr_id_table_start.to_le_bytes());
        put(&mut bytes, 64, self.inode_table_start.to_le_bytes());
        put(&mut bytes, 72, self.directory_table_start.to_le_bytes());
        put(&mut bytes, 80, self.fragment_table_start.to_le_bytes());
        put(&mut bytes, 88, self.lookup_table_start.to_le_bytes());
        bytes
    }

    /// Returns the structure, `None` when it is not one of version 4.0 with a block size that its logarithm agrees with.
    pub(super) fn decode(bytes: &[u8; SUPER_LENGTH]) -> Option<Self> {
        let half = |offset| u16::from_le_bytes(at(bytes, offset));
        let word = |offset| u32::from_le_bytes(at(bytes, offset));
        let long = |offset| u64::from_le_bytes(at(bytes, offset));
        let is_known = word(0) == SUPER_MAGIC
            && (half(28), half(30)) == (4, 0)
            && 1_u32.checked_shl(half(22).into()) == Some(word(12));
        is_known.then_some(Self {
            inodes: word(4),
            mkfs_time: word(8),
            block_size: word(12),
            fragments: word(16),
            compression: half(20),
            flags: half(24),
            no_ids: half(26),
            root_inode: long(32),
            bytes_used: long(40),
            id_table_start: long(48),
            xattr_id_table_start: long(56),
            inode_table_start: long(64),
            directory_table_start: long(72),
            fragment_table_start: long(80),
            lookup_table_start: long(88),
        })
    }
}

impl Place {
    /// Returns the place as superblocks, the export table and attributes have it.
    pub(super) const fn reference(self) -> u64 {
        self.block << 16 | self.offset as u64
    }

    /// Returns the place that [`Place::reference`] gave.
    pub(super) fn of_reference(reference: u64) -> Self {
        let [first, second, ..] = reference.to_le_bytes();
        Self {
            block: reference >> 16,
            offset: u16::from_le_bytes([first, second]),
        }
    }
}

impl InodeKind {
    /// Returns the type of a basic inode, which directories have for an extended one as well.
    pub(super) const fn basic_type(&self) -> u16 {
        match self {
            Self::Directory(_) => 1,
            Self::File(_) => 2,
            Self::Symlink { .. } => 3,
            Self::BlockDevice { .. } => 4,
            Self::CharacterDevice { .. } => 5,
            Self::Fifo => 6,
            Self::Socket => 7,
        }
    }
}

impl FragmentEntry {
    pub(super) fn encode(&self) -> [u8; FRAGMENT_ENTRY_LENGTH] {
        let mut bytes = [0; FRAGMENT_ENTRY_LENGTH];
        put(&mut bytes, 0, self.start_block.to_le_bytes());
        put(&mut bytes, 8, self.size.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FRAGMENT_ENTRY_LENGTH]) -> Self {
        Self {
            start_block: u64::from_le_bytes(at(bytes, 0)),
            size: u32::from_le_bytes(at(bytes, 8)),
        }
    }
}

impl DirectoryHeader {
    pub(super) fn encode(&self) -> [u8; DIRECTORY_HEADER_LENGTH] {
        let mut bytes = [0; DIRECTORY_HEADER_LENGTH];
        put(&mut bytes, 0, self.count.to_le_bytes());
        put(&mut bytes, 4, self.start_block.to_le_bytes());
        put(&mut bytes, 8, self.inode_number.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; DIRECTORY_HEADER_LENGTH]) -> Self {
        Self {
            count: u32::from_le_bytes(at(bytes, 0)),
            start_block: u32::from_le_bytes(at(bytes, 4)),
            inode_number: u32::from_le_bytes(at(bytes, 8)),
        }
    }
}

impl DirectoryEntry {
    pub(super) fn encode(&self) -> [u8; DIRECTORY_ENTRY_LENGTH] {
        let mut bytes = [0; DIRECTORY_ENTRY_LENGTH];
        put(&mut bytes, 0, self.offset.to_le_bytes());
        put(&mut bytes, 2, self.inode_number.to_le_bytes());
        put(&mut bytes, 4, self.kind.to_le_bytes());
        put(&mut bytes, 6, self.size.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; DIRECTORY_ENTRY_LENGTH]) -> Self {
        Self {
            offset: u16::from_le_bytes(at(bytes, 0)),
            inode_number: i16::from_le_bytes(at(bytes, 2)),
            kind: u16::from_le_bytes(at(bytes, 4)),
            size: u16::from_le_bytes(at(bytes, 6)),
        }
    }
}

impl XattrId {
    pub(super) fn encode(&self) -> [u8; XATTR_ID_LENGTH] {
        let mut bytes = [0; XATTR_ID_LENGTH];
        put(&mut bytes, 0, self.xattr.reference().to_le_bytes());
        put(&mut bytes, 8, self.count.to_le_bytes());
        put(&mut bytes, 12, self.size.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; XATTR_ID_LENGTH]) -> Self {
        Self {
            xattr: Place::of_reference(u64::from_le_bytes(at(bytes, 0))),
            count: u32::from_le_bytes(at(bytes, 8)),
            size: u32::from_le_bytes(at(bytes, 12)),
        }
    }
}

/// Returns the `N` bytes at `offset`.
pub(super) fn get<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Returns the `N` bytes at `offset` of a structure, in which they are.
fn at<const N: usize, const LENGTH: usize>(bytes: &[u8; LENGTH], offset: usize) -> [u8; N] {
    get(bytes, offset).expect("fields are within their structures")
}

pub(super) fn put<const N: usize>(target: &mut [u8], offset: usize, bytes: [u8; N]) {
    target[offset..offset + N].copy_from_slice(&bytes);
}
