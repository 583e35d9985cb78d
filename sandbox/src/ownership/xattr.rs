//! Setting and removing extended attributes.

use std::ffi::{CStr, CString};

use libc::{XATTR_CREATE, XATTR_REPLACE, c_int};
use nix::errno::Errno;
use nix::sys::stat::FileStat;

use super::acl::{self, Acl};
use super::attributes::{self, Device, Malformed, Owner, Record};
use super::call::{Target, ValueArgument};
use super::credentials::Credentials;
use super::error::Refusal;
use super::inode::{Inode, carries_attributes, has_no_contents};
use super::owner::owner_of;
use super::place::{Home, Place};
use super::records::Records;
use super::tracee::Tracee;

/// The attribute of file capabilities (capabilities(7)).
const CAPABILITY: &CStr = c"security.capability";

/// `XATTR_NAME_MAX` of `linux/limits.h`, and the NUL.
const NAME_LIMIT: usize = 256;
/// `XATTR_SIZE_MAX` of `linux/limits.h`.
const VALUE_LIMIT: u64 = 65536;
/// The first version of `struct xattr_args` of `linux/xattr.h`: a 64-bit address, 32-bit size and flags.
pub(super) const STRUCTURE_SIZE: u64 = 16;
/// The kernel takes structures of up to a page.
pub(super) const STRUCTURE_LIMIT: u64 = 4096;

/// An attribute to set.
#[derive(Debug)]
pub(super) struct NewAttribute<'a> {
    place: Place<'a>,
    name: CString,
    value: Vec<u8>,
    flags: c_int,
}

impl<'a> NewAttribute<'a> {
    /// Reads the caller's arguments, with the errors of the kernel's `setxattr_copy`, in its order.
    pub(super) fn gather(
        tracee: &'a Tracee,
        target: Target,
        name: u64,
        value: ValueArgument,
    ) -> Result<Self, Errno> {
        let (address, size, flags) = value.read(tracee)?;
        if flags & !(XATTR_CREATE | XATTR_REPLACE) != 0 {
            return Err(Errno::EINVAL);
        }
        let name = settable(read_name(tracee, name)?)?;
        if size > VALUE_LIMIT {
            return Err(Errno::E2BIG);
        }
        let size = usize::try_from(size).map_err(|_| Errno::E2BIG)?;
        Ok(Self {
            name,
            value: tracee.read_bytes(address, size)?,
            flags,
            place: tracee.locate(target)?,
        })
    }

    /// Sets the attribute, and records an ACL that the kernel cannot keep.
    pub(super) fn set(
        self,
        home: &Home,
        caller: &Credentials,
        records: &Records,
    ) -> Result<(), Refusal> {
        let inode = home.open(self.place)?;
        check_permission(&self.name, &inode, caller, records)?;
        if let Some(record) = Record::named(self.name.to_bytes()) {
            check_record(record, &self.value, &inode)?;
        }
        let outcome = inode.set_attribute(&self.name, &self.value, self.flags);
        let Some(record) = acl_record(&self.name) else {
            return Ok(outcome?);
        };
        match outcome {
            Ok(()) => forget(&inode, record)?,
            // A malformed ACL, or one that names an unmapped id.
            Err(Errno::EINVAL) => record_acl(&inode, &self.name, record, &self.value)?,
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

impl ValueArgument {
    fn read(self, tracee: &Tracee) -> Result<(u64, u64, c_int), Errno> {
        match self {
            Self::Direct {
                address,
                size,
                flags,
            } => Ok((address, size, flags)),
            Self::Structure { address, size } => {
                if size < STRUCTURE_SIZE {
                    return Err(Errno::EINVAL);
                }
                if size > STRUCTURE_LIMIT {
                    return Err(Errno::E2BIG);
                }
                let size = usize::try_from(size).map_err(|_| Errno::E2BIG)?;
                parse_structure(&tracee.read_bytes(address, size)?)
            }
        }
    }
}

/// Parses `struct xattr_args`; fields of a later version must be zero.
pub(super) fn parse_structure(bytes: &[u8]) -> Result<(u64, u64, c_int), Errno> {
    let (address, rest) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
    let (size, rest) = rest.split_first_chunk().ok_or(Errno::EINVAL)?;
    let (flags, later) = rest.split_first_chunk().ok_or(Errno::EINVAL)?;
    if later.iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let size = u64::from(u32::from_ne_bytes(*size));
    Ok((
        u64::from_ne_bytes(*address),
        size,
        c_int::from_ne_bytes(*flags),
    ))
}

/// Reads the name of an attribute to remove, and refuses ours.
pub(super) fn read_removable_name(tracee: &Tracee, address: u64) -> Result<CString, Errno> {
    let name = read_name(tracee, address)?;
    if attributes::is_reserved(name.to_bytes()) {
        return Err(Errno::EPERM);
    }
    Ok(name)
}

/// Returns the name of the attribute to set for one that the caller names: a recorded ACL is the ACL itself.
fn settable(name: CString) -> Result<CString, Errno> {
    let kernels = |name: &str| CString::new(name).expect("the names of ACLs hold no NUL");
    match Record::named(name.to_bytes()) {
        Some(Record::Owner | Record::Device) => Ok(name),
        Some(Record::AccessAcl) => Ok(kernels(acl::ACCESS)),
        Some(Record::DefaultAcl) => Ok(kernels(acl::DEFAULT)),
        Some(Record::Capability | Record::Entries | Record::Mode) => Err(Errno::EPERM),
        None if attributes::is_reserved(name.to_bytes()) => Err(Errno::EPERM),
        None => Ok(name),
    }
}

/// Checks that chown or mknod of the caller's could have left the record on the inode.
fn check_record(record: Record, value: &[u8], inode: &Inode) -> Result<(), Errno> {
    let status = inode.status()?;
    let possible = match record {
        Record::Owner => {
            let owner = Owner::from_bytes(value).map_err(|_| Errno::EINVAL)?;
            if !owner.is_possible() {
                return Err(Errno::EINVAL);
            }
            carries_attributes(&status)
        }
        Record::Device => {
            let device = Device::from_bytes(value).map_err(|_| Errno::EINVAL)?;
            if !device.fits_the_kernel() {
                return Err(Errno::EINVAL);
            }
            has_no_contents(&status)
        }
        _ => false,
    };
    if possible && is_callers_own(&status) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Tells whether the caller may change the inode's owner and ACL, and not only its contents.
///
/// One id is mapped, to 0. Capabilities reach no inode of another, and such a one is shown with the overflow id.
fn is_callers_own(status: &FileStat) -> bool {
    status.st_uid == 0
}

pub(super) fn read_name(tracee: &Tracee, address: u64) -> Result<CString, Errno> {
    let name = tracee.read_string(address, NAME_LIMIT, Errno::ERANGE)?;
    if name.is_empty() {
        return Err(Errno::ERANGE);
    }
    Ok(name)
}

/// Refuses to a caller that has given up being root what only root or the owner may set or remove.
fn check_permission(
    name: &CStr,
    inode: &Inode,
    caller: &Credentials,
    records: &Records,
) -> Result<(), Errno> {
    if caller.is_privileged_for_files() {
        return Ok(());
    }
    let permitted = if acl_record(name).is_some() {
        let owner = owner_of(inode, &inode.status()?, records)?;
        owner.uid == caller.users.filesystem
    } else {
        name != CAPABILITY && !attributes::is_reserved(name.to_bytes())
    };
    if permitted { Ok(()) } else { Err(Errno::EPERM) }
}

/// Removes an attribute, and the record of an ACL.
pub(super) fn remove(
    name: &CStr,
    inode: &Inode,
    caller: &Credentials,
    records: &Records,
) -> Result<(), Errno> {
    check_permission(name, inode, caller, records)?;
    let outcome = inode.remove_attribute(name);
    let Some(record) = acl_record(name) else {
        return outcome;
    };
    match outcome {
        Ok(()) => forget(inode, record),
        Err(Errno::ENODATA) => inode.remove_attribute(record),
        Err(errno) => Err(errno),
    }
}

/// Returns the attribute in which an ACL of the kernel's is recorded.
pub(super) fn acl_record(name: &CStr) -> Option<&'static CStr> {
    match name.to_str() {
        Ok(acl::ACCESS) => Some(attributes::ACCESS_ACL),
        Ok(acl::DEFAULT) => Some(attributes::DEFAULT_ACL),
        _ => None,
    }
}

fn record_acl(inode: &Inode, name: &CStr, record: &CStr, value: &[u8]) -> Result<(), Errno> {
    let acl = Acl::from_bytes(value).map_err(errno_of)?;
    let permissions = acl.permissions().map_err(errno_of)?;
    if !acl.names_other_ids() {
        return Err(Errno::EINVAL);
    }
    let status = inode.status()?;
    if !carries_attributes(&status) {
        return Err(Errno::EOPNOTSUPP);
    }
    if !is_callers_own(&status) {
        return Err(Errno::EPERM);
    }
    let is_access = record == attributes::ACCESS_ACL;
    if !is_access && status.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(Errno::EACCES);
    }
    inode.set_attribute(record, value, 0)?;
    // An ACL that the kernel still has would be the one in force.
    match inode.remove_attribute(name) {
        Ok(()) | Err(Errno::ENODATA) => {}
        Err(errno) => return Err(errno),
    }
    if is_access {
        inode.change_mode(status.st_mode & 0o7000 | permissions)?;
    }
    Ok(())
}

/// Returns what `posix_acl_from_xattr` of the kernel's `fs/posix_acl.c` answers to a malformed ACL.
fn errno_of(malformed: Malformed) -> Errno {
    match malformed {
        Malformed::AclVersion => Errno::EOPNOTSUPP,
        _ => Errno::EINVAL,
    }
}

fn forget(inode: &Inode, record: &CStr) -> Result<(), Errno> {
    match inode.remove_attribute(record) {
        // None there, or none possible: symbolic links and file systems without user attributes.
        Ok(()) | Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fields_of_the_structure_must_be_zero() {
        let mut bytes = vec![0; 24];
        bytes[0] = 7;
        bytes[8] = 5;
        bytes[12] = 1;
        assert_eq!(parse_structure(&bytes), Ok((7, 5, 1)));
        bytes[20] = 1;
        assert_eq!(parse_structure(&bytes), Err(Errno::E2BIG));
        assert_eq!(parse_structure(&bytes[..15]), Err(Errno::EINVAL));
    }
}
