//! Answers to getxattr(2) and listxattr(2): recorded ACLs are shown as the ACLs that they are, and records are hidden,
//! so that a program that copies attributes copies what a root build would have.

use std::ffi::CStr;

use nix::errno::Errno;

use super::acl::{self, Acl};
use super::attributes;
use super::call::{Buffer, BufferArgument};
use super::inode::Inode;
use super::tracee::Tracee;
use super::xattr::{STRUCTURE_LIMIT, STRUCTURE_SIZE, acl_record, parse_structure};

/// `XATTR_SIZE_MAX` of `linux/limits.h`.
const VALUE_LIMIT: usize = 65536;
/// `XATTR_LIST_MAX` of `linux/limits.h`.
const LIST_LIMIT: usize = 65536;

/// Returns the value to show for the attribute `name`; `None` when the kernel's own answer is right.
pub(super) fn shown_value(inode: &Inode, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    let Some(recorded_by) = acl_record(name) else {
        return Ok(None);
    };
    let Some(mut acl) = recorded_acl(inode, recorded_by)? else {
        return Ok(None);
    };
    if recorded_by == attributes::ACCESS_ACL {
        let mode = inode.status()?.st_mode & 0o7777;
        acl.follow_mode(u16::try_from(mode).expect("twelve bits fit"));
    }
    Ok(Some(acl.to_bytes()))
}

/// Returns the names to show, each with a NUL; `None` when the kernel's own answer is right.
pub(super) fn shown_names(inode: &Inode) -> Result<Option<Vec<u8>>, Errno> {
    let length = inode.attributes(&mut [])?;
    if length == 0 {
        return Ok(None);
    }
    let mut names = vec![0; LIST_LIMIT];
    match inode.attributes(&mut names) {
        Ok(length) => names.truncate(length),
        // More than anybody can be told.
        Err(Errno::E2BIG) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let split = || names.split_inclusive(|&byte| byte == 0);
    if !split().any(attributes::is_reserved) {
        return Ok(None);
    }
    let others = split().filter(|name| !attributes::is_reserved(name));
    let mut shown = others.collect::<Vec<_>>().concat();
    for (record, kernels) in [
        (attributes::ACCESS_ACL, acl::ACCESS),
        (attributes::DEFAULT_ACL, acl::DEFAULT),
    ] {
        let is_listed =
            |wanted: &[u8]| split().any(|name| name.strip_suffix(b"\0") == Some(wanted));
        if is_listed(record.to_bytes())
            && !is_listed(kernels.as_bytes())
            && recorded_acl(inode, record)?.is_some()
        {
            shown.extend_from_slice(kernels.as_bytes());
            shown.push(0);
        }
    }
    Ok(Some(shown))
}

/// Reads the ACL that a record holds; `None` without one, and for what the kernel would not have taken: a tree from
/// elsewhere may have anything by our name.
pub(super) fn recorded_acl(inode: &Inode, name: &CStr) -> Result<Option<Acl>, Errno> {
    let Some(value) = record(inode, name)? else {
        return Ok(None);
    };
    let acl = Acl::from_bytes(&value).ok();
    let Some(acl) = acl.filter(|acl| acl.permissions().is_ok()) else {
        return Ok(None);
    };
    let is_of_directories = name == attributes::DEFAULT_ACL;
    let is_directory = || Ok(inode.status()?.st_mode & libc::S_IFMT == libc::S_IFDIR);
    Ok((!is_of_directories || is_directory()?).then_some(acl))
}

fn record(inode: &Inode, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    let Some(length) = inode.record(name, &mut [])? else {
        return Ok(None);
    };
    let mut value = vec![0; length.min(VALUE_LIMIT)];
    // Changed meanwhile by nobody but a step that the records do not concern.
    Ok(inode.record(name, &mut value)?.map(|length| {
        value.truncate(length);
        value
    }))
}

impl BufferArgument {
    pub(super) fn read(self, tracee: &Tracee) -> Result<Buffer, Errno> {
        match self {
            Self::Direct(buffer) => Ok(buffer),
            Self::Structure { address, size } => {
                if !(STRUCTURE_SIZE..=STRUCTURE_LIMIT).contains(&size) {
                    return Err(Errno::EINVAL);
                }
                let size = usize::try_from(size).map_err(|_| Errno::E2BIG)?;
                let (address, size, _) = parse_structure(&tracee.read_bytes(address, size)?)?;
                Ok(Buffer { address, size })
            }
        }
    }
}

impl Buffer {
    /// Checks that the answer has room, and returns what to write where: nothing when only the size was asked for.
    pub(super) fn take(self, answer: Vec<u8>) -> Result<Option<(u64, Vec<u8>)>, Errno> {
        if self.size == 0 {
            Ok(None)
        } else if (answer.len() as u64) > self.size {
            Err(Errno::ERANGE)
        } else {
            Ok(Some((self.address, answer)))
        }
    }
}
