//! Making what would not belong to root: by a process that has become another user, in a directory whose group or
//! default ACL is recorded, and device nodes.
//!
//! All else the kernel makes itself. Where the supervisor makes it, the caller's mask and flags apply as in the kernel;
//! what is there already is left to the kernel, whose answer is an error or the opened file. A new file is opened here,
//! and given to its maker, because it may be one that its mode does not let anybody open.
//!
//! Not covered: sockets that bind(2) makes, and a file made through a dangling symbolic link.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, ResolveFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat, mknodat, umask};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::acl::Acl;
use super::attributes::{self, Device, Owner};
use super::call::{Creation, NewInode, OpenArgument};
use super::credentials::Credentials;
use super::error::Refusal;
use super::inode::Inode;
use super::owner::{owner_of, set_owner};
use super::place::{Home, Name, Place, split};
use super::reading::recorded_acl;
use super::records::Records;
use super::tracee::Tracee;

/// `struct open_how` of `linux/openat2.h`: three 64-bit fields. Later versions are longer.
const STRUCTURE_SIZE: u64 = 24;
/// The kernel takes structures of up to a page.
const STRUCTURE_LIMIT: u64 = 4096;

/// `O_LARGEFILE` as 64-bit kernels have it, and as some programs pass it.
const LARGE_FILE: c_int = 0o100_000;
/// `VALID_OPEN_FLAGS` of `linux/fcntl.h`.
const KNOWN_FLAGS: c_int = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DSYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_PATH
    | libc::O_TMPFILE
    | LARGE_FILE;

/// An inode to make, with its parent directory opened, and what it gets from there.
#[derive(Debug)]
pub(super) struct NewEntry {
    parent: Inode,
    name: CString,
    kind: Kind,
    owner: Owner,
    /// The default ACL of the parent, where the kernel does not know it.
    default_acl: Option<Acl>,
    umask: Mode,
    /// Whether the maker may not make programs that run as the parent's group.
    may_not_set_group_id: bool,
}

#[derive(Debug)]
enum Kind {
    File {
        flags: OFlag,
        mode: u32,
    },
    /// A file without a name (`O_TMPFILE`).
    Unnamed {
        flags: OFlag,
        mode: u32,
    },
    Directory {
        mode: u32,
    },
    SymbolicLink {
        contents: CString,
    },
    Device {
        mode: u32,
        device: Device,
    },
    Node {
        mode: u32,
    },
}

/// What was made.
#[derive(Debug)]
pub(super) enum Made {
    Entry,
    File(NewFile),
}

/// An opened file, which is for its maker.
#[derive(Debug)]
pub(super) struct NewFile {
    entry: NewEntry,
    file: Inode,
    /// Whether it has to be closed when a program is executed.
    pub(super) close_on_exec: bool,
}

impl NewFile {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.descriptor().as_fd()
    }

    /// Removes the file that its maker could not be given.
    pub(super) fn discard(self) {
        self.entry.remove();
    }
}

impl NewEntry {
    /// Reads what is to be made, and where; `None` when the kernel can make it, or gives the right error.
    ///
    /// # Errors
    /// ESRCH when the caller is gone, and for what the supervisor lacks, since the kernel would make it for root; for
    /// devices, which the kernel would refuse, all that mknod(2) can fail with.
    pub(super) fn gather(
        tracee: &Tracee,
        creation: Creation,
        caller: &Credentials,
        home: &Home,
        records: &Records,
    ) -> Result<Option<Self>, Refusal> {
        let is_device = matches!(creation.what, NewInode::Device { .. });
        match Self::find(tracee, creation, caller, home, records) {
            Err(refusal) if !is_device && refusal.is_also_the_kernels() => Ok(None),
            other => other,
        }
    }

    fn find(
        tracee: &Tracee,
        creation: Creation,
        caller: &Credentials,
        home: &Home,
        records: &Records,
    ) -> Result<Option<Self>, Refusal> {
        let Some((kind, resolve)) = Kind::read(tracee, creation.what)? else {
            return Ok(None);
        };
        let path = tracee.read_path(creation.path)?;
        if path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        let (parent, name) = if matches!(kind, Kind::Unnamed { .. }) {
            (path, Name::Entry(c".".to_owned()))
        } else {
            let (parent, name) = split(path.to_bytes());
            (parent, name)
        };
        let follow = kind.follows_parent();
        let parent = home.open(locate(tracee, creation.directory, parent, follow, resolve)?)?;
        let name = kind.accept(name, &parent)?;
        let status = parent.status()?;
        let is_set_gid = status.st_mode & libc::S_ISGID != 0;
        let group = if is_set_gid {
            owner_of(&parent, &status, records)?.gid
        } else {
            caller.groups.filesystem
        };
        let owner = Owner {
            uid: caller.users.filesystem,
            gid: group,
        };
        let default_acl = recorded_acl(&parent, attributes::DEFAULT_ACL)?;
        let is_device = matches!(kind, Kind::Device { .. });
        if owner == Owner::ROOT && default_acl.is_none() && !is_device {
            return Ok(None);
        }
        // Where a range of ids is mapped, the supervisor may write where a caller that is another user may not.
        let may_make_devices =
            || Ok::<_, Errno>(caller.is_privileged_for_files() && tracee.file_system_user()? == 0);
        if is_device && !may_make_devices()? {
            return Err(Errno::EPERM.into());
        }
        Ok(Some(Self {
            parent,
            name,
            kind,
            owner,
            default_acl,
            umask: tracee.umask()?,
            may_not_set_group_id: is_set_gid
                && !caller.is_privileged_for_files()
                && !caller.is_in_group(group),
        }))
    }

    /// Makes the inode and records what the kernel cannot give it; `None` when its name is taken.
    pub(super) fn make(self, records: &mut Records) -> Result<Option<Made>, Refusal> {
        let found = match self.make_bare() {
            // The kernel opens what is there, or says that it is.
            Err(Errno::EEXIST) if !matches!(self.kind, Kind::Device { .. }) => return Ok(None),
            made => made?.map_or_else(|| self.find_again(), Ok),
        };
        let recorded = found
            .map_err(Refusal::from)
            .and_then(|inode| self.record(&inode, records).map(|()| inode));
        let file = match recorded {
            Ok(file) => file,
            Err(refusal) => {
                self.remove();
                return Err(refusal);
            }
        };
        let (Kind::File { flags, .. } | Kind::Unnamed { flags, .. }) = self.kind else {
            return Ok(Some(Made::Entry));
        };
        Ok(Some(Made::File(NewFile {
            entry: self,
            file,
            close_on_exec: flags.contains(OFlag::O_CLOEXEC),
        })))
    }

    /// Makes the inode under the caller's mask and not with it applied: a default ACL that the kernel knows takes the
    /// mask's place.
    ///
    /// Returns the inode if making it has opened it.
    fn make_bare(&self) -> Result<Option<Inode>, Errno> {
        let mask = if self.default_acl.is_some() {
            Mode::empty()
        } else {
            self.umask
        };
        let previous = umask(mask);
        let outcome = self.make_under_mask();
        umask(previous);
        outcome
    }

    fn make_under_mask(&self) -> Result<Option<Inode>, Errno> {
        let parent = self.parent.descriptor().as_fd();
        let name = self.name.as_c_str();
        let create = |flags: OFlag, mode| {
            openat(parent, name, flags | OFlag::O_CLOEXEC, self.mode(mode))
                .map(|file| Some(Inode::by_open_file(file)))
        };
        match &self.kind {
            &Kind::File { flags, mode } => create(flags | OFlag::O_CREAT | OFlag::O_EXCL, mode),
            &Kind::Unnamed { flags, mode } => create(flags, mode),
            &Kind::Device { mode, .. } => {
                create(OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY, mode)
            }
            &Kind::Directory { mode } => mkdirat(parent, name, self.mode(mode)).map(|()| None),
            Kind::SymbolicLink { contents } => {
                symlinkat(contents.as_c_str(), parent, name).map(|()| None)
            }
            &Kind::Node { mode } => {
                let kind = SFlag::from_bits_truncate(mode & libc::S_IFMT);
                mknodat(parent, name, kind, self.mode(mode), 0).map(|()| None)
            }
        }
    }

    /// Opens what was made. If another thread has put something else there meanwhile, that gets the owner, which the
    /// thread could have given to it itself.
    fn find_again(&self) -> Result<Inode, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let parent = self.parent.descriptor();
        openat(parent, self.name.as_c_str(), flags, Mode::empty()).map(Inode::by_path)
    }

    /// Returns the mode to ask the kernel for.
    fn mode(&self, mode: u32) -> Mode {
        let set_group_id = libc::S_ISGID | libc::S_IXGRP;
        // `mode_strip_sgid` of the kernel's `fs/inode.c`, which mkdir ignores the bit before.
        let is_stripped = self.may_not_set_group_id && mode & set_group_id == set_group_id;
        let mode = mode & if is_stripped { 0o5777 } else { 0o7777 };
        Mode::from_bits_truncate(match &self.default_acl {
            Some(acl) => acl.inherited(mode).1,
            None => mode,
        })
    }

    fn record(&self, inode: &Inode, records: &mut Records) -> Result<(), Refusal> {
        if let Kind::Device { device, .. } = &self.kind {
            let outcome = inode.set_attribute(attributes::DEVICE, &device.to_bytes(), 0);
            outcome.map_err(|errno| match errno {
                // Without user attributes it is as without this recorder.
                Errno::EOPNOTSUPP => Errno::EPERM,
                other => other,
            })?;
        }
        if let Some(acl) = &self.default_acl {
            self.record_acls(inode, acl)?;
        }
        if self.owner != Owner::ROOT {
            set_owner(inode, &inode.status()?, self.owner, records)?;
        }
        Ok(())
    }

    fn record_acls(&self, inode: &Inode, default: &Acl) -> Result<(), Errno> {
        let mode = match self.kind {
            Kind::Directory { mode } => {
                inode.set_attribute(attributes::DEFAULT_ACL, &default.to_bytes(), 0)?;
                mode
            }
            Kind::File { mode, .. } | Kind::Unnamed { mode, .. } | Kind::Device { mode, .. } => {
                mode
            }
            Kind::Node { mode } if mode & libc::S_IFMT == libc::S_IFREG => mode,
            // The kernel has no attributes of the user there, nor images ACLs.
            Kind::SymbolicLink { .. } | Kind::Node { .. } => return Ok(()),
        };
        let (access, _) = default.inherited(mode & 0o7777);
        inode.set_attribute(attributes::ACCESS_ACL, &access.to_bytes(), 0)
    }

    /// Removes what was made: it must not stay without what it should have. If another thread has put something else
    /// there meanwhile, it loses what it could have removed itself.
    fn remove(&self) {
        let flags = match self.kind {
            Kind::Unnamed { .. } => return,
            Kind::Directory { .. } => UnlinkatFlags::RemoveDir,
            _ => UnlinkatFlags::NoRemoveDir,
        };
        let _ = unlinkat(self.parent.descriptor(), self.name.as_c_str(), flags);
    }
}

impl Kind {
    /// Reads what the call makes, and the flags with which its path is walked; `None` when it makes nothing.
    fn read(tracee: &Tracee, what: NewInode) -> Result<Option<(Self, ResolveFlag)>, Errno> {
        let kind = match what {
            NewInode::File(argument) => {
                let (flags, mode, resolve) = argument.read(tracee)?;
                return Ok(Self::of_file(flags, mode).map(|kind| (kind, resolve)));
            }
            NewInode::Directory { mode } => Self::Directory { mode },
            NewInode::SymbolicLink { target } => Self::SymbolicLink {
                contents: tracee.read_path(target)?,
            },
            NewInode::Device { mode, device } => Self::Device { mode, device },
            NewInode::Node { mode } => Self::Node { mode },
        };
        Ok(Some((kind, ResolveFlag::empty())))
    }

    fn of_file(flags: OFlag, mode: u32) -> Option<Self> {
        if flags.contains(OFlag::O_PATH) {
            return None;
        }
        if flags.contains(OFlag::O_TMPFILE) {
            return Some(Self::Unnamed { flags, mode });
        }
        // With O_DIRECTORY it is an error since Linux 6.4.
        let creates = flags.contains(OFlag::O_CREAT) && !flags.contains(OFlag::O_DIRECTORY);
        creates.then_some(Self::File { flags, mode })
    }

    /// Whether a symbolic link may stand for the directory. For a file without a name that is all of the path.
    fn follows_parent(&self) -> bool {
        !matches!(self, Self::Unnamed { flags, .. } if flags.contains(OFlag::O_NOFOLLOW))
    }

    /// Returns the name if something of this kind can be made by it.
    fn accept(&self, name: Name, parent: &Inode) -> Result<CString, Errno> {
        match (self, name) {
            (_, Name::Entry(name)) | (Self::Directory { .. }, Name::Directory(name)) => Ok(name),
            (_, Name::Directory(name)) => {
                fstatat(
                    parent.descriptor(),
                    name.as_c_str(),
                    AtFlags::AT_SYMLINK_NOFOLLOW,
                )?;
                Err(Errno::EEXIST)
            }
            (_, Name::Special) => Err(Errno::EEXIST),
        }
    }
}

impl OpenArgument {
    fn read(self, tracee: &Tracee) -> Result<(OFlag, u32, ResolveFlag), Errno> {
        match self {
            Self::Direct { flags, mode } => {
                Ok((OFlag::from_bits_retain(flags), mode, ResolveFlag::empty()))
            }
            Self::Structure { address, size } => {
                if !(STRUCTURE_SIZE..=STRUCTURE_LIMIT).contains(&size) {
                    return Err(Errno::EINVAL);
                }
                let length = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
                parse_structure(&tracee.read_bytes(address, length)?)
            }
        }
    }
}

/// Parses `struct open_how`, with an error for what the kernel refuses in it: unlike the older calls, openat2 does not
/// ignore what it does not know.
pub(super) fn parse_structure(bytes: &[u8]) -> Result<(OFlag, u32, ResolveFlag), Errno> {
    let (fields, _) = bytes.as_chunks();
    let &[flags, mode, resolve, ref later @ ..] = fields else {
        return Err(Errno::EINVAL);
    };
    let [flags, mode, resolve] = [flags, mode, resolve].map(u64::from_ne_bytes);
    let is_known = flags & !u64::from(KNOWN_FLAGS.cast_unsigned()) == 0;
    let rest = bytes.len() % size_of::<u64>();
    let are_zero = later
        .as_flattened()
        .iter()
        .chain(&bytes[bytes.len() - rest..]);
    if !is_known || mode & !0o7777 != 0 || are_zero.copied().any(|byte| byte != 0) {
        return Err(Errno::EINVAL);
    }
    let flags = c_int::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let mode = u32::try_from(mode).map_err(|_| Errno::EINVAL)?;
    let resolve = ResolveFlag::from_bits(resolve).ok_or(Errno::EINVAL)?;
    Ok((OFlag::from_bits_retain(flags), mode, resolve))
}

fn locate(
    tracee: &Tracee,
    directory: RawFd,
    path: CString,
    follow: bool,
    resolve: ResolveFlag,
) -> Result<Place<'_>, Errno> {
    if resolve.is_empty() {
        tracee.locate_path(directory, path, follow)
    } else {
        tracee.locate_resolved(directory, path, follow, resolve)
    }
}
