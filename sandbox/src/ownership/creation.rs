//! Making what would not belong to root: by a process that has become another user, in a directory whose group or
//! default ACL is recorded, and device nodes.
//!
//! All else the kernel makes itself. Where the supervisor makes it, the caller's mask and flags apply as in the kernel;
//! what is there already is left to the kernel, whose answer is an error or the opened file. A new file is opened here,
//! and given to its maker, because it may be one that its mode does not let anybody open.
//!
//! Not covered: sockets that bind(2) makes, and a file made through a dangling symbolic link.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

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
use super::records::Records;
use super::tracee::Tracee;

/// `struct open_how` of `linux/openat2.h`: three 64-bit fields. Later versions are longer.
const STRUCTURE_SIZE: u64 = 24;

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
    /// An opened file, which has to be closed when a program is executed if so.
    File {
        descriptor: OwnedFd,
        close_on_exec: bool,
    },
}

impl NewEntry {
    /// Reads what is to be made, and where; `None` when the kernel can make it, or gives the right error.
    ///
    /// # Errors
    /// ESRCH when the caller is gone; for devices, which the kernel would refuse, all that mknod(2) can fail with.
    pub(super) fn gather(
        tracee: &Tracee,
        creation: Creation,
        caller: &Credentials,
        home: &Home,
        records: &Records,
    ) -> Result<Option<Self>, Refusal> {
        let is_device = matches!(creation.what, NewInode::Device { .. });
        match Self::find(tracee, creation, caller, home, records) {
            Err(Refusal::Caller(errno)) if !is_device && errno != Errno::ESRCH => Ok(None),
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
        let parent = home.open(locate(tracee, creation.directory, parent, resolve)?)?;
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
        let default_acl = recorded_default_acl(&parent)?;
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
        }))
    }

    /// Makes the inode and records what the kernel cannot give it; `None` when its name is taken.
    pub(super) fn make(self, records: &mut Records) -> Result<Option<Made>, Refusal> {
        let (inode, made) = match self.make_bare() {
            // The kernel opens what is there, or says that it is.
            Err(Errno::EEXIST) if !matches!(self.kind, Kind::Device { .. }) => return Ok(None),
            other => other?,
        };
        if let Err(refusal) = self.record(&inode, records) {
            self.remove();
            return Err(refusal);
        }
        Ok(Some(made))
    }

    /// Makes the inode under the caller's mask and not with it applied: a default ACL that the kernel knows takes the
    /// mask's place.
    fn make_bare(&self) -> Result<(Inode, Made), Errno> {
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

    fn make_under_mask(&self) -> Result<(Inode, Made), Errno> {
        let parent = self.parent.descriptor().as_fd();
        let name = self.name.as_c_str();
        let create =
            |flags: OFlag, mode| openat(parent, name, flags | OFlag::O_CLOEXEC, self.mode(mode));
        let opened = |descriptor: OwnedFd, flags: OFlag| {
            let made = Made::File {
                descriptor: descriptor.try_clone().map_err(|_| Errno::EMFILE)?,
                close_on_exec: flags.contains(OFlag::O_CLOEXEC),
            };
            Ok((Inode::by_open_file(descriptor), made))
        };
        match &self.kind {
            &Kind::File { flags, mode } => {
                let exclusive = OFlag::O_CREAT | OFlag::O_EXCL;
                opened(create(flags | exclusive, mode)?, flags)
            }
            &Kind::Unnamed { flags, mode } => opened(create(flags, mode)?, flags),
            &Kind::Device { mode, .. } => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                Ok((Inode::by_open_file(create(flags, mode)?), Made::Entry))
            }
            &Kind::Directory { mode } => {
                mkdirat(parent, name, self.mode(mode))?;
                self.find_again()
            }
            Kind::SymbolicLink { contents } => {
                symlinkat(contents.as_c_str(), parent, name)?;
                self.find_again()
            }
            &Kind::Node { mode } => {
                let kind = SFlag::from_bits_truncate(mode & libc::S_IFMT);
                mknodat(parent, name, kind, self.mode(mode), 0)?;
                self.find_again()
            }
        }
    }

    /// Opens what was made. If another thread has put something else there meanwhile, that gets the owner, which the
    /// thread could have given to it itself.
    fn find_again(&self) -> Result<(Inode, Made), Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let parent = self.parent.descriptor();
        let found = openat(parent, self.name.as_c_str(), flags, Mode::empty())?;
        Ok((Inode::by_path(found), Made::Entry))
    }

    /// Returns the mode to ask the kernel for.
    fn mode(&self, mode: u32) -> Mode {
        let mode = mode & 0o7777;
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
            Self::Structure { size, .. } if size < STRUCTURE_SIZE => Err(Errno::EINVAL),
            Self::Structure { address, .. } => {
                let length = usize::try_from(STRUCTURE_SIZE).expect("a small number");
                let bytes = tracee.read_bytes(address, length)?;
                let field = |index: usize| {
                    let field = &bytes[8 * index..8 * (index + 1)];
                    u64::from_ne_bytes(field.try_into().expect("8 bytes were taken"))
                };
                // Flags above the 32nd bit are none of those that make a file.
                let flags = c_int::try_from(field(0)).map_err(|_| Errno::EINVAL)?;
                let mode = u32::try_from(field(1)).map_err(|_| Errno::EINVAL)?;
                let resolve = ResolveFlag::from_bits(field(2)).ok_or(Errno::EINVAL)?;
                Ok((OFlag::from_bits_retain(flags), mode, resolve))
            }
        }
    }
}

fn locate(
    tracee: &Tracee,
    directory: RawFd,
    path: CString,
    resolve: ResolveFlag,
) -> Result<Place, Errno> {
    if resolve.is_empty() {
        tracee.locate_path(directory, path, true)
    } else {
        tracee.locate_resolved(directory, path, true, resolve)
    }
}

fn recorded_default_acl(directory: &Inode) -> Result<Option<Acl>, Errno> {
    let Some(value) = super::reading::record(directory, attributes::DEFAULT_ACL)? else {
        return Ok(None);
    };
    Ok(Acl::from_bytes(&value).ok())
}
