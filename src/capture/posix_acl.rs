//! POSIX ACL values as the kernel's `system.posix_acl_*` attributes hold them
//! (include/uapi/linux/posix_acl_xattr.h): a version, then entries of tag, permissions and id, all little-endian.

use super::records::little_endian;

pub(crate) const ACCESS: &str = "system.posix_acl_access";
pub(crate) const DEFAULT: &str = "system.posix_acl_default";

const POSIX_ACL_XATTR_VERSION: u32 = 2;
const ACL_USER_OBJ: u16 = 0x01;
const ACL_USER: u16 = 0x02;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_GROUP: u16 = 0x08;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Acl {
    entries: Vec<AclEntry>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct AclEntry {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// An id that an ACL entry names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NamedId {
    User(u32),
    Group(u32),
}

impl Acl {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, &'static str> {
        let (version, entries) = value
            .split_at_checked(4)
            .ok_or("it is shorter than its header")?;
        if little_endian(version) != POSIX_ACL_XATTR_VERSION {
            return Err("its version is not 2");
        }
        let (entries, rest) = entries.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("it ends inside an entry");
        }
        let decode = |entry: &[u8; 8]| {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let permissions = u16::from_le_bytes([entry[2], entry[3]]);
            let known = matches!(
                tag,
                ACL_USER_OBJ | ACL_USER | ACL_GROUP_OBJ | ACL_GROUP | ACL_MASK | ACL_OTHER
            );
            if !known || permissions > 0o7 {
                return Err("an entry has an unknown tag or permission");
            }
            Ok(AclEntry {
                tag,
                permissions,
                id: little_endian(&entry[4..]),
            })
        };
        let entries = entries.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = POSIX_ACL_XATTR_VERSION.to_le_bytes().to_vec();
        for entry in &self.entries {
            value.extend_from_slice(&entry.tag.to_le_bytes());
            value.extend_from_slice(&entry.permissions.to_le_bytes());
            value.extend_from_slice(&entry.id.to_le_bytes());
        }
        value
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Iterates over the ids of the named users and groups.
    pub(crate) fn named_ids(&self) -> impl Iterator<Item = NamedId> {
        self.entries.iter().filter_map(|entry| match entry.tag {
            ACL_USER => Some(NamedId::User(entry.id)),
            ACL_GROUP => Some(NamedId::Group(entry.id)),
            _ => None,
        })
    }

    /// Replaces the ids of the named users and groups by what `translate` answers; its first refusal is returned.
    pub(crate) fn try_map_ids(
        &mut self,
        translate: impl Fn(NamedId) -> Option<u32>,
    ) -> Result<(), u32> {
        for entry in &mut self.entries {
            let named = match entry.tag {
                ACL_USER => NamedId::User(entry.id),
                ACL_GROUP => NamedId::Group(entry.id),
                _ => continue,
            };
            entry.id = translate(named).ok_or(entry.id)?;
        }
        Ok(())
    }

    /// Takes over the permission bits of `mode`, as chmod(2) does to a real access ACL.
    ///
    /// The group bits are those of the mask when there is one (`__posix_acl_chmod_masq` in fs/posix_acl.c).
    pub(crate) fn follow_mode(&mut self, mode: u16) {
        let has_mask = self.entries.iter().any(|entry| entry.tag == ACL_MASK);
        for entry in &mut self.entries {
            entry.permissions = match entry.tag {
                ACL_USER_OBJ => (mode >> 6) & 0o7,
                ACL_MASK => (mode >> 3) & 0o7,
                ACL_GROUP_OBJ if !has_mask => (mode >> 3) & 0o7,
                ACL_OTHER => mode & 0o7,
                _ => entry.permissions,
            };
        }
    }
}
