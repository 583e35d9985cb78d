//! The attributes in which our sandbox and `format::directory` keep what the kernel refuses to store for one id.
//!
//! | attribute | on | value |
//! |---|---|---|
//! | `user.overcoat.owner` | files, directories | uid and gid, each 32 bits little-endian |
//! | `user.overcoat.device` | empty regular file | `c MAJOR:MINOR` or `b MAJOR:MINOR` in decimal: the file is that device |
//! | `user.overcoat.acl.access`, `.default` | files, directories | a raw `system.posix_acl_*` value with the image's ids |
//! | `user.overcoat.capability` | files | a raw `security.capability` value, where the real one is not permitted |
//! | `user.overcoat.entries` | directories | owners of its symlinks, FIFOs and sockets, which carry no `user.*` attribute |
//!
//! `user.overcoat.entries` is a sequence, sorted by name, of: uid and gid as above, the name's length in one byte, the
//! name.

use std::collections::BTreeMap;

use crate::tree::DeviceNumber;

pub(crate) const PREFIX: &str = "user.overcoat.";
pub(crate) const OWNER: &str = "user.overcoat.owner";
pub(crate) const DEVICE: &str = "user.overcoat.device";
pub(crate) const ACL_ACCESS: &str = "user.overcoat.acl.access";
pub(crate) const ACL_DEFAULT: &str = "user.overcoat.acl.default";
pub(crate) const CAPABILITY: &str = "user.overcoat.capability";
pub(crate) const ENTRIES: &str = "user.overcoat.entries";

/// Prefix of overlayfs's own attributes under `userxattr`.
pub(crate) const OVERLAY_PREFIX: &str = "user.overlay.";
/// How overlayfs stores an attribute whose own name starts with [`OVERLAY_PREFIX`].
pub(crate) const OVERLAY_ESCAPE: &str = "user.overlay.overlay.";
pub(crate) const OVERLAY_OPAQUE: &str = "user.overlay.opaque";
pub(crate) const OVERLAY_ORIGIN: &str = "user.overlay.origin";
pub(crate) const OVERLAY_WHITEOUT: &str = "user.overlay.whiteout";

/// Revisions and flag of `security.capability` and its sizes in bytes (include/uapi/linux/capability.h).
const VFS_CAP_REVISION_MASK: u32 = 0xff00_0000;
const VFS_CAP_REVISION_1: u32 = 0x0100_0000;
const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
const VFS_CAP_REVISION_3: u32 = 0x0300_0000;
const XATTR_CAPS_SZ_1: usize = 12;
const XATTR_CAPS_SZ_2: usize = 20;
const XATTR_CAPS_SZ_3: usize = 24;

/// An owner as the image has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Which device a placeholder stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Device {
    Character(DeviceNumber),
    Block(DeviceNumber),
}

/// A `security.capability` value with the user-namespace root it was bound to, if any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Capability {
    /// Revision 1 or 2, as an image has it.
    pub(crate) value: Vec<u8>,
    pub(crate) root_id: Option<u32>,
}

impl Owner {
    pub(crate) const ROOT: Self = Self { uid: 0, gid: 0 };

    pub(crate) fn decode(value: &[u8]) -> Result<Self, &'static str> {
        if value.len() != 8 {
            return Err("an owner takes 8 bytes");
        }
        Ok(Self {
            uid: little_endian(&value[..4]),
            gid: little_endian(&value[4..]),
        })
    }

    pub(crate) fn encode(self) -> [u8; 8] {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&self.uid.to_le_bytes());
        value[4..].copy_from_slice(&self.gid.to_le_bytes());
        value
    }
}

impl Device {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, &'static str> {
        const EXPECTED: &str = "`c MAJOR:MINOR` or `b MAJOR:MINOR` was expected";
        let text = std::str::from_utf8(value).map_err(|_| EXPECTED)?;
        let (kind, numbers) = text.split_once(' ').ok_or(EXPECTED)?;
        let (major, minor) = numbers.split_once(':').ok_or(EXPECTED)?;
        let number = DeviceNumber {
            major: decimal(major).ok_or(EXPECTED)?,
            minor: decimal(minor).ok_or(EXPECTED)?,
        };
        match kind {
            "c" if number.major == 0 && number.minor == 0 => {
                Err("`c 0:0` is an overlayfs whiteout, not a device")
            }
            "c" => Ok(Self::Character(number)),
            "b" => Ok(Self::Block(number)),
            _ => Err(EXPECTED),
        }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let (kind, number) = match self {
            Self::Character(number) => ('c', number),
            Self::Block(number) => ('b', number),
        };
        format!("{kind} {}:{}", number.major, number.minor).into_bytes()
    }
}

impl Capability {
    /// Reads a value of any revision; revision 3 becomes 2, because an image's files belong to no user namespace.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, &'static str> {
        if value.len() < 4 {
            return Err("it is shorter than its header");
        }
        let header = little_endian(&value[..4]);
        let revision = header & VFS_CAP_REVISION_MASK;
        match (revision, value.len()) {
            (VFS_CAP_REVISION_1, XATTR_CAPS_SZ_1) | (VFS_CAP_REVISION_2, XATTR_CAPS_SZ_2) => {
                Ok(Self {
                    value: value.into(),
                    root_id: None,
                })
            }
            (VFS_CAP_REVISION_3, XATTR_CAPS_SZ_3) => {
                let flags = header & !VFS_CAP_REVISION_MASK;
                let mut converted = (VFS_CAP_REVISION_2 | flags).to_le_bytes().to_vec();
                converted.extend_from_slice(&value[4..XATTR_CAPS_SZ_2]);
                Ok(Self {
                    value: converted,
                    root_id: Some(little_endian(&value[XATTR_CAPS_SZ_2..])),
                })
            }
            _ => Err("its revision and length do not agree"),
        }
    }
}

/// Reads a `user.overcoat.entries` value.
pub(crate) fn decode_entries(mut value: &[u8]) -> Result<BTreeMap<Vec<u8>, Owner>, &'static str> {
    let mut owners = BTreeMap::new();
    while !value.is_empty() {
        let (header, rest) = value
            .split_at_checked(9)
            .ok_or("it ends inside an owner record")?;
        let (name, rest) = rest
            .split_at_checked(usize::from(header[8]))
            .ok_or("it ends inside a name")?;
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err("it holds what is no file name");
        }
        if owners
            .last_key_value()
            .is_some_and(|(last, _): (&Vec<u8>, _)| last.as_slice() >= name)
        {
            return Err("its names are not sorted");
        }
        owners.insert(name.to_vec(), Owner::decode(&header[..8])?);
        value = rest;
    }
    Ok(owners)
}

/// Makes a `user.overcoat.entries` value; `None` when a name is longer than any file system allows.
pub(crate) fn encode_entries(owners: &BTreeMap<Vec<u8>, Owner>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for (name, owner) in owners {
        value.extend_from_slice(&owner.encode());
        value.push(u8::try_from(name.len()).ok()?);
        value.extend_from_slice(name);
    }
    Some(value)
}

fn decimal(text: &str) -> Option<u32> {
    // `parse` alone takes a leading `+`.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

pub(crate) fn little_endian(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller passes four bytes"))
}
