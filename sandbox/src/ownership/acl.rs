//! Checks ACLs as the kernel does, but with every id allowed.
//!
//! The kernel refuses a malformed ACL and one with an unmapped id with the same EINVAL, so that only this check can
//! tell which to record. It follows `posix_acl_from_xattr` and `posix_acl_valid` of the kernel's `fs/posix_acl.c`.

use nix::errno::Errno;

/// What an ACL that passed the check says beyond its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Acl {
    /// The permission bits that a file with this access ACL has.
    pub(super) permissions: u32,
    pub(super) names_other_ids: bool,
}

/// Tags of `linux/posix_acl.h`.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// `POSIX_ACL_XATTR_VERSION` of `linux/posix_acl_xattr.h`.
const VERSION: u32 = 2;

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
    /// Checks the value of `system.posix_acl_access` or `system.posix_acl_default`.
    pub(super) fn check(value: &[u8]) -> Result<Self, Errno> {
        let (version, entries) = value.split_first_chunk().ok_or(Errno::EINVAL)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::EOPNOTSUPP);
        }
        let (entries, rest) = entries.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut next = Next::UserObject;
        let (mut user, mut group, mut mask, mut other) = (0, 0, None, 0);
        let (mut needs_mask, mut names_other_ids) = (false, false);
        for &[tag0, tag1, permission0, permission1, id @ ..] in entries {
            let permissions = u32::from(u16::from_le_bytes([permission0, permission1]));
            if permissions > 0o7 {
                return Err(Errno::EINVAL);
            }
            match (u16::from_le_bytes([tag0, tag1]), next) {
                (USER_OBJ, Next::UserObject) => (user, next) = (permissions, Next::Users),
                (USER, Next::Users) | (GROUP, Next::Groups) => {
                    let id = u32::from_le_bytes(id);
                    if id == u32::MAX {
                        return Err(Errno::EINVAL);
                    }
                    names_other_ids |= id != 0;
                    needs_mask = true;
                }
                (GROUP_OBJ, Next::Users) => (group, next) = (permissions, Next::Groups),
                (MASK, Next::Groups) => (mask, next) = (Some(permissions), Next::Other),
                (OTHER, Next::Other) => (other, next) = (permissions, Next::Nothing),
                (OTHER, Next::Groups) if !needs_mask => {
                    (other, next) = (permissions, Next::Nothing);
                }
                _ => return Err(Errno::EINVAL),
            }
        }
        if next != Next::Nothing {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            permissions: user << 6 | mask.unwrap_or(group) << 3 | other,
            names_other_ids,
        })
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

    #[test]
    fn mask_is_the_group_class_of_the_mode() {
        let acl = Acl::check(&value(&[
            (USER_OBJ, 6, UNUSED),
            (USER, 7, 33),
            (GROUP_OBJ, 4, UNUSED),
            (MASK, 5, UNUSED),
            (OTHER, 1, UNUSED),
        ]));
        let expected = Acl {
            permissions: 0o651,
            names_other_ids: true,
        };
        assert_eq!(acl, Ok(expected));
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
            let expected = Acl {
                permissions: 0o644,
                names_other_ids: false,
            };
            assert_eq!(Acl::check(&value(&entries)), Ok(expected));
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
            vec![base[0], (USER, 8, 33), base[1], (MASK, 7, UNUSED), base[2]],
            vec![base[0], (0x40, 7, 33), base[1], (MASK, 7, UNUSED), base[2]],
        ] {
            assert_eq!(Acl::check(&value(&entries)), Err(Errno::EINVAL));
        }
        assert_eq!(Acl::check(&[]), Err(Errno::EINVAL));
        assert_eq!(Acl::check(&[2, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(Acl::check(&[1, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
        let mut long = value(&base);
        long.push(0);
        assert_eq!(Acl::check(&long), Err(Errno::EINVAL));
    }
}
