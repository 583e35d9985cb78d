//! Reads a notification's number and arguments: which call it is, and what it names.

use std::os::fd::RawFd;

use libc::{
    AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW, O_CREAT,
    O_TRUNC, O_WRONLY, c_int,
};
use nix::errno::Errno;

use super::{
    Buffer, BufferArgument, Call, Creation, NewInode, OpenArgument, OwnerChange, Question,
    StatusFormat, Target, ValueArgument, WhenEmpty,
};
use crate::ownership::attributes::{Device, DeviceKind};
use crate::ownership::credentials::{Change, GROUPS_LIMIT, Kind};
use crate::seccomp::{SYS_getxattrat, SYS_listxattrat, SYS_removexattrat, SYS_setxattrat};
use crate::sys::notify::Notification;

/// `linux/securebits.h`; libc lacks it.
const SECBIT_KEEP_CAPS: u32 = 1 << 4;

impl Call {
    /// Decodes a notified call. ENOSYS for one that the filter does not send.
    pub(in crate::ownership) fn decode(notification: &Notification) -> Result<Self, Errno> {
        let number = i64::from(notification.number);
        let arguments = notification.arguments;
        #[cfg(target_arch = "x86_64")]
        if let Some(call) = legacy(number, arguments) {
            return call;
        }
        if let Some(call) = about_identity(number, arguments) {
            return call;
        }
        if let Some(call) = about_attributes(number, arguments) {
            return call;
        }
        let [a0, a1, a2, a3, a4, _] = arguments;
        match number {
            libc::SYS_fchown => Ok(change_owner(descriptor(a0), a1, a2)),
            libc::SYS_fchownat => {
                let flags = int(a4);
                check_flags(flags, 0)?;
                let target = with_flags(a0, a1, flags, WhenEmpty::Directory);
                Ok(change_owner(target, a2, a3))
            }
            libc::SYS_fstat => Ok(Self::ReadStatus {
                target: Target::Descriptor {
                    number: int(a0),
                    path_only: true,
                },
                format: StatusFormat::Stat,
                address: a1,
            }),
            libc::SYS_newfstatat => read_status(a0, a1, int(a3), StatusFormat::Stat, a2),
            libc::SYS_statx => {
                let flags = int(a2);
                let format = StatusFormat::Statx {
                    flags: flags & AT_STATX_SYNC_TYPE,
                    mask: unsigned(a3),
                };
                read_status(a0, a1, flags, format, a4)
            }
            libc::SYS_openat => {
                let (flags, mode) = (int(a2), unsigned(a3));
                Ok(open(int(a0), a1, OpenArgument::Direct { flags, mode }))
            }
            libc::SYS_openat2 => {
                let (address, size) = (a2, a3);
                Ok(open(int(a0), a1, OpenArgument::Structure { address, size }))
            }
            libc::SYS_mkdirat => Ok(make_directory(int(a0), a1, a2)),
            libc::SYS_symlinkat => Ok(link_symbolically(a0, int(a1), a2)),
            libc::SYS_mknodat => make_node(int(a0), a1, a2, a3),
            _ => Err(Errno::ENOSYS),
        }
    }
}

/// The calls that newer architectures lack.
#[cfg(target_arch = "x86_64")]
fn legacy(number: i64, [a0, a1, a2, ..]: [u64; 6]) -> Option<Result<Call, Errno>> {
    let status = |follow| Call::ReadStatus {
        target: path(a0, follow),
        format: StatusFormat::Stat,
        address: a1,
    };
    let opened = |flags, mode| {
        let mode = unsigned(mode);
        open(AT_FDCWD, a0, OpenArgument::Direct { flags, mode })
    };
    Some(Ok(match number {
        libc::SYS_chown => change_owner(path(a0, true), a1, a2),
        libc::SYS_lchown => change_owner(path(a0, false), a1, a2),
        libc::SYS_stat => status(true),
        libc::SYS_lstat => status(false),
        libc::SYS_open => opened(int(a1), a2),
        libc::SYS_creat => opened(O_CREAT | O_WRONLY | O_TRUNC, a1),
        libc::SYS_mkdir => make_directory(AT_FDCWD, a0, a1),
        libc::SYS_symlink => link_symbolically(a0, AT_FDCWD, a1),
        libc::SYS_mknod => return Some(make_node(AT_FDCWD, a0, a1, a2)),
        _ => return None,
    }))
}

fn about_identity(number: i64, [a0, a1, a2, ..]: [u64; 6]) -> Option<Result<Call, Errno>> {
    let change = |kind, change| Call::ChangeIdentity { kind, change };
    let all = |kind| {
        let addresses = [a0, a1, a2];
        Call::Identify(Question::All { kind, addresses })
    };
    let pair = || Change::RealEffective(id(a0), id(a1));
    let triple = || Change::RealEffectiveSaved(id(a0), id(a1), id(a2));
    Some(Ok(match number {
        libc::SYS_getuid => Call::Identify(Question::Real(Kind::User)),
        libc::SYS_getgid => Call::Identify(Question::Real(Kind::Group)),
        libc::SYS_geteuid => Call::Identify(Question::Effective(Kind::User)),
        libc::SYS_getegid => Call::Identify(Question::Effective(Kind::Group)),
        libc::SYS_getresuid => all(Kind::User),
        libc::SYS_getresgid => all(Kind::Group),
        libc::SYS_getgroups => {
            let (count, address) = (int(a0), a1);
            Call::Identify(Question::Groups { count, address })
        }
        libc::SYS_setuid => change(Kind::User, Change::Set(unsigned(a0))),
        libc::SYS_setgid => change(Kind::Group, Change::Set(unsigned(a0))),
        libc::SYS_setreuid => change(Kind::User, pair()),
        libc::SYS_setregid => change(Kind::Group, pair()),
        libc::SYS_setresuid => change(Kind::User, triple()),
        libc::SYS_setresgid => change(Kind::Group, triple()),
        libc::SYS_setfsuid => change(Kind::User, Change::Filesystem(id(a0))),
        libc::SYS_setfsgid => change(Kind::Group, Change::Filesystem(id(a0))),
        libc::SYS_setgroups => {
            let (count, address) = (unsigned(a0), a1);
            if count > GROUPS_LIMIT {
                return Some(Err(Errno::EINVAL));
            }
            Call::SetGroups { count, address }
        }
        libc::SYS_prctl if int(a0) == libc::PR_SET_KEEPCAPS => Call::KeepCapabilities(a1 == 1),
        libc::SYS_prctl if int(a0) == libc::PR_SET_SECUREBITS => {
            Call::KeepCapabilities(unsigned(a1) & SECBIT_KEEP_CAPS != 0)
        }
        _ => return None,
    }))
}

#[expect(
    non_upper_case_globals,
    reason = "four numbers that libc lacks are named like its own"
)]
fn about_attributes(
    number: i64,
    [a0, a1, a2, a3, a4, a5]: [u64; 6],
) -> Option<Result<Call, Errno>> {
    let set = |target| Call::SetAttribute {
        target,
        name: a1,
        value: ValueArgument::Direct {
            address: a2,
            size: a3,
            flags: int(a4),
        },
    };
    let remove = |target| Call::RemoveAttribute { target, name: a1 };
    let read = |target| Call::ReadAttribute {
        target,
        name: a1,
        into: BufferArgument::Direct(Buffer {
            address: a2,
            size: a3,
        }),
    };
    let list = |target| Call::ListAttributes {
        target,
        into: Buffer {
            address: a1,
            size: a2,
        },
    };
    let at = || {
        check_flags(int(a2), 0)?;
        Ok(with_flags(a0, a1, int(a2), WhenEmpty::Descriptor))
    };
    let (address, size) = (a4, a5);
    let call = match number {
        libc::SYS_setxattr => set(path(a0, true)),
        libc::SYS_lsetxattr => set(path(a0, false)),
        libc::SYS_fsetxattr => set(descriptor(a0)),
        libc::SYS_removexattr => remove(path(a0, true)),
        libc::SYS_lremovexattr => remove(path(a0, false)),
        libc::SYS_fremovexattr => remove(descriptor(a0)),
        libc::SYS_getxattr => read(path(a0, true)),
        libc::SYS_lgetxattr => read(path(a0, false)),
        libc::SYS_fgetxattr => read(descriptor(a0)),
        libc::SYS_listxattr => list(path(a0, true)),
        libc::SYS_llistxattr => list(path(a0, false)),
        libc::SYS_flistxattr => list(descriptor(a0)),
        SYS_setxattrat => {
            return Some(at().map(|target| Call::SetAttribute {
                target,
                name: a3,
                value: ValueArgument::Structure { address, size },
            }));
        }
        SYS_removexattrat => {
            return Some(at().map(|target| Call::RemoveAttribute { target, name: a3 }));
        }
        SYS_getxattrat => {
            return Some(at().map(|target| Call::ReadAttribute {
                target,
                name: a3,
                into: BufferArgument::Structure { address, size },
            }));
        }
        SYS_listxattrat => {
            return Some(at().map(|target| Call::ListAttributes {
                target,
                into: Buffer {
                    address: a3,
                    size: a4,
                },
            }));
        }
        _ => return None,
    };
    Some(Ok(call))
}

fn change_owner(target: Target, uid: u64, gid: u64) -> Call {
    Call::ChangeOwner {
        target,
        change: OwnerChange {
            uid: id(uid),
            gid: id(gid),
        },
    }
}

fn read_status(
    directory: u64,
    address: u64,
    flags: c_int,
    format: StatusFormat,
    into: u64,
) -> Result<Call, Errno> {
    check_flags(flags, AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)?;
    Ok(Call::ReadStatus {
        target: with_flags(directory, address, flags, WhenEmpty::DirectoryOrNull),
        format,
        address: into,
    })
}

fn open(directory: RawFd, path: u64, argument: OpenArgument) -> Call {
    create(directory, path, NewInode::File(argument))
}

fn make_directory(directory: RawFd, path: u64, mode: u64) -> Call {
    let mode = unsigned(mode) & 0o7777;
    create(directory, path, NewInode::Directory { mode })
}

fn link_symbolically(target: u64, directory: RawFd, path: u64) -> Call {
    create(directory, path, NewInode::SymbolicLink { target })
}

fn make_node(directory: RawFd, path: u64, mode: u64, device: u64) -> Result<Call, Errno> {
    let (mode, device) = (unsigned(mode), unsigned(device));
    let make_device = |kind| NewInode::Device {
        mode: mode & 0o7777,
        device: Device {
            kind,
            // `new_decode_dev` of `linux/kdev_t.h`.
            major: device >> 8 & 0xfff,
            minor: device & 0xff | device >> 12 & 0xf_ff00,
        },
    };
    let what = match mode & libc::S_IFMT {
        libc::S_IFCHR => make_device(DeviceKind::Character),
        libc::S_IFBLK => make_device(DeviceKind::Block),
        // No type is that of a regular file.
        0 => NewInode::Node {
            mode: mode & 0o7777 | libc::S_IFREG,
        },
        libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK => NewInode::Node {
            mode: mode & (0o7777 | libc::S_IFMT),
        },
        libc::S_IFDIR => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    Ok(create(directory, path, what))
}

fn create(directory: RawFd, path: u64, what: NewInode) -> Call {
    Call::Create(Creation {
        directory,
        path,
        what,
    })
}

fn descriptor(number: u64) -> Target {
    Target::Descriptor {
        number: int(number),
        path_only: false,
    }
}

fn path(address: u64, follow: bool) -> Target {
    Target::Path {
        directory: AT_FDCWD,
        address,
        follow,
        when_empty: WhenEmpty::Refuse,
    }
}

fn with_flags(directory: u64, address: u64, flags: c_int, empty: WhenEmpty) -> Target {
    Target::Path {
        directory: int(directory),
        address,
        follow: flags & AT_SYMLINK_NOFOLLOW == 0,
        when_empty: if flags & AT_EMPTY_PATH == 0 {
            WhenEmpty::Refuse
        } else {
            empty
        },
    }
}

/// Refuses flags that no call takes, and those but `more` that not every call takes.
fn check_flags(flags: c_int, more: c_int) -> Result<(), Errno> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | more) == 0 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Reads an id; -1 means none.
fn id(argument: u64) -> Option<u32> {
    Some(unsigned(argument)).filter(|&id| id != u32::MAX)
}

/// Truncates an argument to 32 bits, as the kernel does with all those here that are not pointers or sizes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel ignores the high half"
)]
fn unsigned(argument: u64) -> u32 {
    argument as u32
}

fn int(argument: u64) -> c_int {
    unsigned(argument).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GARBAGE: u64 = 0xdead_beef_0000_0000;

    fn decode(number: libc::c_long, arguments: [u64; 6]) -> Result<Call, Errno> {
        Call::decode(&Notification {
            id: 1,
            thread: 1,
            number: c_int::try_from(number).unwrap(),
            arguments,
        })
    }

    #[test]
    fn high_halves_of_ids_flags_and_descriptors_are_ignored() {
        let keep = GARBAGE | 0xffff_ffff;
        let call = decode(
            libc::SYS_fchownat,
            [GARBAGE | 0xffff_ff9c, 7, keep, GARBAGE | 33, GARBAGE, 0],
        );
        let expected = Call::ChangeOwner {
            target: path(7, true),
            change: OwnerChange {
                uid: None,
                gid: Some(33),
            },
        };
        assert_eq!(call, Ok(expected));
    }

    #[test]
    fn unknown_flags_and_calls_are_refused() {
        assert_eq!(
            decode(libc::SYS_fchownat, [0, 0, 0, 0, 0x800, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(decode(libc::SYS_read, [0; 6]), Err(Errno::ENOSYS));
    }

    #[test]
    fn device_numbers_are_decoded_as_by_the_kernel() {
        let call = decode(libc::SYS_mknodat, [3, 7, 0o020_666, 0xabc1_23ff, 0, 0]);
        let what = NewInode::Device {
            mode: 0o666,
            device: Device {
                kind: DeviceKind::Character,
                major: 0x123,
                minor: 0xabcff,
            },
        };
        assert_eq!(call, Ok(create(3, 7, what)));
    }
}
