//! Recorded owners: reading, writing, and changing them as chown(2) does.

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use super::attributes::{self, Owner};
use super::call::OwnerChange;
use super::credentials::Credentials;
use super::error::Refusal;
use super::inode::{Inode, carries_attributes, key_of};
use super::records::Records;

/// Makes the change that the kernel permits, then records the rest.
///
/// # Errors
/// EPERM for what only root may do, when the caller has given up being root. The other errors are the kernel's.
pub(super) fn change_owner(
    inode: &Inode,
    change: OwnerChange,
    caller: &Credentials,
    records: &mut Records,
) -> Result<(), Refusal> {
    if !caller.is_privileged_for_files() {
        let status = inode.status()?;
        check_permission(owner_of(inode, &status, records)?, change, caller)?;
    }
    inode.change_owner(change)?;
    // After the change: copy-up by overlayfs may have given the inode another number.
    let status = inode.status()?;
    let before = owner_of(inode, &status, records)?;
    let after = Owner {
        uid: change.uid.unwrap_or(before.uid),
        gid: change.gid.unwrap_or(before.gid),
    };
    set_owner(inode, &status, after, records)
}

/// Follows `setattr_prepare` of the kernel's `fs/attr.c`.
fn check_permission(owner: Owner, change: OwnerChange, caller: &Credentials) -> Result<(), Errno> {
    let is_owner = caller.users.filesystem == owner.uid;
    let keeps_user = change.uid.is_none_or(|uid| is_owner && uid == owner.uid);
    let may_take_group = change
        .gid
        .is_none_or(|gid| is_owner && (gid == owner.gid || caller.is_in_group(gid)));
    if keeps_user && may_take_group {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Returns the recorded owner of an inode; root's is one without a record, and one whose record is malformed: a tree
/// from elsewhere may have anything by our name.
pub(super) fn owner_of(
    inode: &Inode,
    status: &FileStat,
    records: &Records,
) -> Result<Owner, Errno> {
    if let Some(owner) = records.get(key_of(status)) {
        return Ok(owner);
    }
    if !carries_attributes(status) {
        return Ok(Owner::ROOT);
    }
    let mut value = [0; 8];
    let length = inode.record(attributes::OWNER, &mut value)?;
    Ok(length
        .and_then(|length| Owner::from_bytes(&value[..length]).ok())
        .filter(|owner| owner.is_possible())
        .unwrap_or(Owner::ROOT))
}

/// Records an owner. 0:0 needs no record and removes it.
pub(super) fn set_owner(
    inode: &Inode,
    status: &FileStat,
    owner: Owner,
    records: &mut Records,
) -> Result<(), Refusal> {
    if carries_attributes(status) {
        let outcome = if owner == Owner::ROOT {
            match inode.remove_attribute(attributes::OWNER) {
                Err(Errno::ENODATA) => Ok(()),
                other => other,
            }
        } else {
            inode.set_attribute(attributes::OWNER, &owner.to_bytes(), 0)
        };
        match outcome {
            Ok(()) => return Ok(()),
            // A file system without user attributes, such as tmpfs before 6.6.
            Err(Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    records.set(inode, status, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::credentials::{Change, Kind};

    #[test]
    fn who_is_not_root_may_give_files_to_own_groups_only() {
        let root = Credentials::default().with_groups(&[40], true).unwrap();
        let (grouped, _) = root.change(Kind::Group, Change::Set(33), true).unwrap();
        let (user, _) = grouped.change(Kind::User, Change::Set(33), true).unwrap();
        let mine = Owner { uid: 33, gid: 33 };
        for (owner, uid, gid, expected) in [
            (mine, None, Some(40), Ok(())),
            (mine, Some(33), Some(33), Ok(())),
            (Owner { uid: 33, gid: 7 }, None, Some(7), Ok(())),
            (mine, None, Some(0), Err(Errno::EPERM)),
            (mine, Some(0), None, Err(Errno::EPERM)),
            (Owner::ROOT, None, Some(33), Err(Errno::EPERM)),
            (Owner::ROOT, Some(33), None, Err(Errno::EPERM)),
            (Owner::ROOT, None, None, Ok(())),
        ] {
            let change = OwnerChange { uid, gid };
            assert_eq!(
                check_permission(owner, change, &user),
                expected,
                "{owner:?} {change:?}"
            );
        }
    }
}
