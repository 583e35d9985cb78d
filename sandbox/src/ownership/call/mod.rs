//! The calls that are answered, as their arguments say, before any pointer is followed.

mod decode;

use std::os::fd::RawFd;

use libc::c_int;

use super::attributes::Device;
use super::credentials::{Change, Kind};

/// A call whose pointers have not been followed yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Call {
    ChangeOwner {
        target: Target,
        change: OwnerChange,
    },
    Create(Creation),
    SetAttribute {
        target: Target,
        name: u64,
        value: ValueArgument,
    },
    RemoveAttribute {
        target: Target,
        name: u64,
    },
    ReadAttribute {
        target: Target,
        name: u64,
        into: BufferArgument,
    },
    ListAttributes {
        target: Target,
        into: Buffer,
    },
    ReadStatus {
        target: Target,
        format: StatusFormat,
        address: u64,
    },
    Identify(Question),
    ChangeIdentity {
        kind: Kind,
        change: Change,
    },
    SetGroups {
        count: u32,
        address: u64,
    },
    KeepCapabilities(bool),
}

/// What a call acts on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    Descriptor {
        number: RawFd,
        /// Whether it may be an `O_PATH` one.
        path_only: bool,
    },
    Path {
        directory: RawFd,
        address: u64,
        follow: bool,
        when_empty: WhenEmpty,
    },
}

/// What an empty path means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WhenEmpty {
    Refuse,
    /// The directory descriptor itself, which may be an `O_PATH` one, as for fchownat.
    Directory,
    /// As `Directory`, and a null pointer is an empty path, as for statx since Linux 6.11.
    DirectoryOrNull,
    /// The descriptor as for the calls without a path, as for setxattrat; a null pointer is an empty path.
    Descriptor,
}

/// The ids to change to; `None` keeps what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OwnerChange {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// A new inode, and where its path starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Creation {
    pub(super) directory: RawFd,
    pub(super) path: u64,
    pub(super) what: NewInode,
}

/// The inode that a call makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NewInode {
    /// A file that is opened.
    File(OpenArgument),
    Directory {
        mode: u32,
    },
    SymbolicLink {
        /// The address of its contents.
        target: u64,
    },
    Device {
        mode: u32,
        device: Device,
    },
    /// A FIFO, a socket, or a regular file that is not opened. The mode holds the type.
    Node {
        mode: u32,
    },
}

/// How a new file is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OpenArgument {
    Direct {
        flags: c_int,
        mode: u32,
    },
    /// A `struct open_how`.
    Structure {
        address: u64,
        size: u64,
    },
}

/// Where an attribute's value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ValueArgument {
    Direct {
        address: u64,
        size: u64,
        flags: c_int,
    },
    /// A `struct xattr_args`.
    Structure { address: u64, size: u64 },
}

/// Room for an answer in the caller's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Buffer {
    pub(super) address: u64,
    /// In bytes; 0 asks for the size.
    pub(super) size: u64,
}

/// Where an attribute's value goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BufferArgument {
    Direct(Buffer),
    /// A `struct xattr_args`.
    Structure {
        address: u64,
        size: u64,
    },
}

/// The structure in which a status is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StatusFormat {
    Stat,
    Statx {
        /// How it is synchronised with a server.
        flags: c_int,
        mask: u32,
    },
}

/// Which of its ids a process asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Question {
    Real(Kind),
    Effective(Kind),
    /// Real, effective and saved, each to an address of its own.
    All {
        kind: Kind,
        addresses: [u64; 3],
    },
    Groups {
        count: c_int,
        address: u64,
    },
}
