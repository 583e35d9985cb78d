//! POSIX ACLs as the kernel's `system.posix_acl_*` attributes hold them.
//!
//! `linux/posix_acl_xattr.h`: a 32-bit version, which is 2, then entries of 8 bytes, each a 16-bit tag, 16-bit
//! permissions and a 32-bit id, all little-endian. Records hold the same bytes with the image's ids. See acl(5).

use super::attributes::Malformed;

/// The attributes of the kernel.
pub const ACCESS: &str = "system.posix_acl_access";
pub const DEFAULT: &str = "system.posix_acl_default";

/// Tags of `linux/posix_acl.h`.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// `POSIX_ACL_XATTR_VERSION` of `linux/posix_acl_xattr.h`.
const VERSION: u32 = 2;

/// The entries of a value, in any order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acl {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// An id that an ACL entry names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NamedId {
    User(u32),
    Group(u32),
}

/// Which entries may follow; the order is fixed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Next {
    UserObject,
    Users,
    Groups,
    Other,
    Nothing,
}

impl Acl {
    /// Parses a value, of which only the shape is checked.
    ///
    /// # Errors
    /// For what cannot be split into entries, and for unknown tags and permissions.
    pub fn from_bytes(value: &[u8]) -> Result<Self, Malformed> {
        let (version, entries) = value.split_first_chunk().ok_or(Malformed::AclHeader)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Malformed::AclVersion);
        }
        let (entries, rest) = entries.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Malformed::AclLength);
        }
        let entries = entries.iter().map(Entry::from_bytes);
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for entry in &self.entries {
            value.extend_from_slice(&entry.tag.to_le_bytes());
            value.extend_from_slice(&entry.permissions.to_le_bytes());
            value.extend_from_slice(&entry.id.to_le_bytes());
        }
        value
    }

    /// Tells whether this stands for the absence of an ACL, as setxattr(2) has it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Iterates over the ids of the named users and groups.
    pub fn named_ids(&self) -> impl Iterator<Item = NamedId> {
        self.entries.iter().filter_map(Entry::named_id)
    }

    /// Tells whether any named user or group is another than 0.
    pub fn names_other_ids(&self) -> bool {
        self.named_ids()
            .any(|id| !matches!(id, NamedId::User(0) | NamedId::Group(0)))
    }

    /// Replaces the ids of the named users and groups by what `translate` answers.
    ///
    /// # Errors
    /// The first id that it refuses.
    pub fn try_map_ids(&mut self, translate: impl Fn(NamedId) -> Option<u32>) -> Result<(), u32> {
        for entry in &mut self.entries {
            if let Some(named) = entry.named_id() {
                entry.id = translate(named).ok_or(entry.id)?;
            }
        }
        Ok(())
    }

    /// Takes over the permission bits of `mode`, as chmod(2) does to a real access ACL.
    ///
    /// The group bits are those of the mask when there is one (`__posix_acl_chmod_masq` in fs/posix_acl.c).
    pub fn follow_mode(&mut self, mode: u16) {
        let has_mask = self.entries.iter().any(|entry| entry.tag == MASK);
        for entry in &mut self.entries {
            entry.permissions = match entry.tag {
                USER_OBJ => (mode >> 6) & 0o7,
                MASK => (mode >> 3) & 0o7,
                GROUP_OBJ if !has_mask => (mode >> 3) & 0o7,
                OTHER => mode & 0o7,
                _ => entry.permissions,
            };
        }
    }

    /// Returns the access ACL and the permission bits of an entry made with `mode` in a directory with this default ACL.
    ///
    /// The file mode creation mask plays no part. It follows `posix_acl_create_masq` of the kernel's `fs/posix_acl.c`.
    #[must_use]
    pub fn inherited(&self, mode: u32) -> (Self, u32) {
        let has_mask = self.entries.iter().any(|entry| entry.tag == MASK);
        let mut acl = self.clone();
        let mut permitted = 0;
        for entry in &mut acl.entries {
            let shift = match entry.tag {
                USER_OBJ => 6,
                MASK => 3,
                GROUP_OBJ if !has_mask => 3,
                OTHER => 0,
                _ => continue,
            };
            entry.permissions &= u16::try_from(mode >> shift & 0o7).expect("three bits fit");
            permitted |= u32::from(entry.permissions) << shift;
        }
        (acl, mode & 0o7000 | permitted)
    }

    /// Checks the entries as the kernel does, but with every id allowed, and returns the permission bits that a file
    /// with this access ACL has.
    ///
    /// The kernel refuses a malformed ACL and one with an unmapped id with the same EINVAL, so that only this check
    /// can tell which to record. It follows `posix_acl_valid` of the kernel's `fs/posix_acl.c`.
    ///
    /// # Errors
    /// For entries that are missing, repeated or out of order, and for the id -1.
    pub fn permissions(&self) -> Result<u32, Malformed> {
        let mut next = Next::UserObject;
        let (mut user, mut group, mut mask, mut other) = (0, 0, None, 0);
        let mut needs_mask = false;
        for entry in &self.entries {
            let permissions = u32::from(entry.permissions);
            match (entry.tag, next) {
                (USER_OBJ, Next::UserObject) => (user, next) = (permissions, Next::Users),
                (USER, Next::Users) | (GROUP, Next::Groups) if entry.id != u32::MAX => {
                    needs_mask = true;
                }
                (GROUP_OBJ, Next::Users) => (group, next) = (permissions, Next::Groups),
                (MASK, Next::Groups) => (mask, next) = (Some(permissions), Next::Other),
                (OTHER, Next::Other) => (other, next) = (permissions, Next::Nothing),
                (OTHER, Next::Groups) if !needs_mask => {
                    (other, next) = (permissions, Next::Nothing);
                }
                _ => return Err(Malformed::AclOrder),
            }
        }
        if next != Next::Nothing {
            return Err(Malformed::AclOrder);
        }
        Ok(user << 6 | mask.unwrap_or(group) << 3 | other)
    }
}

impl Entry {
    fn from_bytes(&[t0, t1, p0, p1, id @ ..]: &[u8; 8]) -> Result<Self, Malformed> {
        let tag = u16::from_le_bytes([t0, t1]);
        let permissions = u16::from_le_bytes([p0, p1]);
        let known = matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER);
        if !known || permissions > 0o7 {
            return Err(Malformed::AclEntry);
        }
        Ok(Self {
            tag,
            permissions,
            id: u32::from_le_bytes(id),
        })
    }

    fn named_id(&self) -> Option<NamedId> {
        match self.tag {
            USER => Some(NamedId::User(self.id)),
            GROUP => Some(NamedId::Group(self.id)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSED: u32 = u32::MAX;

    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    fn permissions(value: &[u8]) -> Result<u32, Malformed> {
        Acl::from_bytes(value)?.permissions()
    }

    #[test]
    fn mask_is_the_group_class_of_the_mode() {
        let value = value(&[
            (USER_OBJ, 6, UNUSED),
            (USER, 7, 33),
            (GROUP_OBJ, 4, UNUSED),
            (MASK, 5, UNUSED),
            (OTHER, 1, UNUSED),
        ]);
        let acl = Acl::from_bytes(&value).unwrap();
        assert_eq!(acl.permissions(), Ok(0o651));
        assert!(acl.names_other_ids());
        assert_eq!(acl.to_bytes(), value);
    }

    #[test]
    fn acl_of_mapped_ids_needs_no_record() {
        for entries in [
            vec![
                (USER_OBJ, 6, UNUSED),
                (GROUP_OBJ, 4, UNUSED),
                (OTHER, 4, UNUSED),
            ],
            vec![
                (USER_OBJ, 6, UNUSED),
                (GROUP_OBJ, 4, UNUSED),
                (GROUP, 7, 0),
                (MASK, 4, UNUSED),
                (OTHER, 4, UNUSED),
            ],
        ] {
            let acl = Acl::from_bytes(&value(&entries)).unwrap();
            assert_eq!(acl.permissions(), Ok(0o644));
            assert!(!acl.names_other_ids());
        }
    }

    #[test]
    fn malformed_acls_are_refused_as_by_the_kernel() {
        let base = [
            (USER_OBJ, 6, UNUSED),
            (GROUP_OBJ, 4, UNUSED),
            (OTHER, 4, UNUSED),
        ];
        for entries in [
            vec![],
            vec![base[0]],
            vec![base[1], base[0], base[2]],
            vec![base[0], base[0], base[1], base[2]],
            vec![base[0], base[1], base[2], base[2]],
            vec![base[0], (USER, 7, 33), base[1], base[2]],
            vec![base[0], (GROUP, 7, 33), base[1], (MASK, 7, UNUSED), base[2]],
            vec![
                base[0],
                (USER, 7, UNUSED),
                base[1],
                (MASK, 7, UNUSED),
                base[2],
            ],
        ] {
            let refused = permissions(&value(&entries));
            assert_eq!(refused, Err(Malformed::AclOrder));
        }
        for entry in [(USER, 8, 33), (0x40, 7, 33)] {
            let entries = [base[0], entry, base[1], (MASK, 7, UNUSED), base[2]];
            let refused = permissions(&value(&entries));
            assert_eq!(refused, Err(Malformed::AclEntry));
        }
        assert_eq!(permissions(&[]), Err(Malformed::AclHeader));
        assert_eq!(permissions(&[2, 0, 0]), Err(Malformed::AclHeader));
        assert_eq!(permissions(&[1, 0, 0, 0]), Err(Malformed::AclVersion));
        let mut long = value(&base);
        long.push(0);
        assert_eq!(permissions(&long), Err(Malformed::AclLength));
    }
}
