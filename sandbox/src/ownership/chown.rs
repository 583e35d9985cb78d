//! Changing owners.

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use super::attributes::{self, Owner};
use super::call::OwnerChange;
use super::error::Refusal;
use super::inode::{Inode, carries_attributes, key_of};
use super::records::Records;

/// Makes the change that the kernel permits, then records the rest. 0:0 needs no record and removes it.
pub(super) fn change_owner(
    inode: &Inode,
    change: OwnerChange,
    records: &mut Records,
) -> Result<(), Refusal> {
    inode.change_owner(change)?;
    // After the change: copy-up by overlayfs may have given the inode another number.
    let status = inode.status()?;
    let recorded = recorded_owner(inode, &status, records)?;
    let before = recorded.unwrap_or_default();
    let after = Owner {
        uid: change.uid.unwrap_or(before.uid),
        gid: change.gid.unwrap_or(before.gid),
    };
    if after == before {
        return Ok(());
    }
    if carries_attributes(&status) {
        let outcome = if after == Owner::ROOT {
            inode.remove_attribute(attributes::OWNER)
        } else {
            inode.set_attribute(attributes::OWNER, &after.to_bytes(), 0)
        };
        match outcome {
            Ok(()) => return Ok(()),
            // A file system without user attributes, such as tmpfs before 6.6, or the record is in the table.
            Err(Errno::EOPNOTSUPP | Errno::ENODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    records.set(inode, &status, after)
}

fn recorded_owner(
    inode: &Inode,
    status: &FileStat,
    records: &Records,
) -> Result<Option<Owner>, Errno> {
    if let Some(owner) = records.get(key_of(status)) {
        return Ok(Some(owner));
    }
    if !carries_attributes(status) {
        return Ok(None);
    }
    let mut value = [0; 8];
    let found = match inode.attribute(attributes::OWNER, &mut value) {
        Ok(length) => Owner::from_bytes(&value[..length]).ok(),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => return Ok(None),
        Err(Errno::ERANGE) => None,
        Err(errno) => return Err(errno),
    };
    if found.is_none() {
        // A tree from elsewhere may have anything by our name; a change to 0:0 must not leave it there.
        inode.remove_attribute(attributes::OWNER)?;
    }
    Ok(found)
}
