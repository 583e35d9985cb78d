//! Reads a notification's number and arguments: which call it is, and what it names.

use std::os::fd::RawFd;

use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int};
use nix::errno::Errno;

use super::attributes::{Device, DeviceKind};
use crate::seccomp::{SYS_removexattrat, SYS_setxattrat};
use crate::sys::notify::Notification;

/// A call whose pointers have not been followed yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Call {
    ChangeOwner {
        target: Target,
        change: OwnerChange,
    },
    MakeDevice {
        directory: RawFd,
        path: u64,
        mode: u32,
        device: Device,
    },
    SetAttribute {
        target: Target,
        name: u64,
        value: ValueArgument,
    },
    RemoveAttribute {
        target: Target,
        name: u64,
    },
}

/// What a call acts on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// A descriptor that must not be an `O_PATH` one.
    Descriptor(RawFd),
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
    /// The descriptor as for the calls without a path, as for setxattrat; a null pointer is an empty path.
    Descriptor,
}

/// The ids to change to; `None` keeps what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OwnerChange {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
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

impl Call {
    /// Decodes a notified call. ENOSYS for one that the filter does not send.
    #[expect(
        non_upper_case_globals,
        reason = "two numbers that libc lacks are named like its own"
    )]
    pub(super) fn decode(notification: &Notification) -> Result<Self, Errno> {
        let [a0, a1, a2, a3, a4, a5] = notification.arguments;
        let path = |address, follow| at(AT_FDCWD, address, follow);
        let call = match i64::from(notification.number) {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => change_owner(path(a0, true), a1, a2),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => change_owner(path(a0, false), a1, a2),
            libc::SYS_fchown => change_owner(Target::Descriptor(int(a0)), a1, a2),
            libc::SYS_fchownat => {
                let target = with_flags(a0, a1, int(a4), WhenEmpty::Directory)?;
                change_owner(target, a2, a3)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod => make_device(AT_FDCWD, a0, a1, a2)?,
            libc::SYS_mknodat => make_device(int(a0), a1, a2, a3)?,
            libc::SYS_setxattr => set_attribute(path(a0, true), a1, a2, a3, a4),
            libc::SYS_lsetxattr => set_attribute(path(a0, false), a1, a2, a3, a4),
            libc::SYS_fsetxattr => set_attribute(Target::Descriptor(int(a0)), a1, a2, a3, a4),
            SYS_setxattrat => Self::SetAttribute {
                target: with_flags(a0, a1, int(a2), WhenEmpty::Descriptor)?,
                name: a3,
                value: ValueArgument::Structure {
                    address: a4,
                    size: a5,
                },
            },
            libc::SYS_removexattr => remove_attribute(path(a0, true), a1),
            libc::SYS_lremovexattr => remove_attribute(path(a0, false), a1),
            libc::SYS_fremovexattr => remove_attribute(Target::Descriptor(int(a0)), a1),
            SYS_removexattrat => {
                let target = with_flags(a0, a1, int(a2), WhenEmpty::Descriptor)?;
                remove_attribute(target, a3)
            }
            _ => return Err(Errno::ENOSYS),
        };
        Ok(call)
    }
}

fn change_owner(target: Target, uid: u64, gid: u64) -> Call {
    let id = |argument| Some(unsigned(argument)).filter(|&id| id != u32::MAX);
    Call::ChangeOwner {
        target,
        change: OwnerChange {
            uid: id(uid),
            gid: id(gid),
        },
    }
}

fn make_device(directory: RawFd, path: u64, mode: u64, device: u64) -> Result<Call, Errno> {
    let (mode, device) = (unsigned(mode), unsigned(device));
    let kind = match mode & libc::S_IFMT {
        libc::S_IFCHR => DeviceKind::Character,
        libc::S_IFBLK => DeviceKind::Block,
        _ => return Err(Errno::ENOSYS),
    };
    Ok(Call::MakeDevice {
        directory,
        path,
        mode: mode & 0o7777,
        device: Device {
            kind,
            // `new_decode_dev` of `linux/kdev_t.h`.
            major: device >> 8 & 0xfff,
            minor: device & 0xff | device >> 12 & 0xf_ff00,
        },
    })
}

fn set_attribute(target: Target, name: u64, address: u64, size: u64, flags: u64) -> Call {
    Call::SetAttribute {
        target,
        name,
        value: ValueArgument::Direct {
            address,
            size,
            flags: int(flags),
        },
    }
}

fn remove_attribute(target: Target, name: u64) -> Call {
    Call::RemoveAttribute { target, name }
}

fn at(directory: RawFd, address: u64, follow: bool) -> Target {
    Target::Path {
        directory,
        address,
        follow,
        when_empty: WhenEmpty::Refuse,
    }
}

fn with_flags(
    directory: u64,
    address: u64,
    flags: c_int,
    empty: WhenEmpty,
) -> Result<Target, Errno> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Target::Path {
        directory: int(directory),
        address,
        follow: flags & AT_SYMLINK_NOFOLLOW == 0,
        when_empty: if flags & AT_EMPTY_PATH == 0 {
            WhenEmpty::Refuse
        } else {
            empty
        },
    })
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
            target: at(AT_FDCWD, 7, true),
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
        let expected = Call::MakeDevice {
            directory: 3,
            path: 7,
            mode: 0o666,
            device: Device {
                kind: DeviceKind::Character,
                major: 0x123,
                minor: 0xabcff,
            },
        };
        assert_eq!(call, Ok(expected));
    }
}
