//! The extended attributes in which records are kept: what one mapped id cannot express.
//!
//! This is the documented form of records. They travel with the layers of the store and in `directory` outputs, and
//! whoever reads one of these elsewhere needs this table and nothing more. All have the prefix `user.overcoat.`:
//!
//! | name | on | value | written by | read by |
//! |---|---|---|---|---|
//! | `owner` | regular files, directories | uid and gid, each 32 bits little-endian: 8 bytes | recorder, directory writer | recorder, capture |
//! | `device` | empty regular files | `c MAJOR:MINOR` or `b MAJOR:MINOR`, decimal, without leading zeros, not `c 0:0`: the file stands for that device, and its mode is the device's | recorder, directory writer | capture |
//! | `acl.access` | regular files, directories | what `system.posix_acl_access` would have, with the image's ids: see [`Acl`](super::acl::Acl) | recorder, directory writer | capture |
//! | `acl.default` | directories | as `acl.access`, for `system.posix_acl_default` | recorder, directory writer | capture |
//! | `capability` | regular files | what `security.capability` would have, bound to no user namespace, where the real one is not permitted | directory writer | capture |
//! | `entries` | directories | the owners of its symbolic links, FIFOs and sockets, which cannot have attributes of the user: uid and gid as in `owner`, the length of the name in one byte, the name; one after the other, sorted by name | directory writer | capture |
//! | `mode` | the top directory of a `directory` output | its mode in the image, four octal digits; on disk it lets in nobody but its owner, since set-id programs below it are the owner's own | directory writer | capture |
//!
//! - An owner that is not recorded is 0:0. The owners of what cannot carry a record are returned by the recorder as
//!   [`OwnerRecord`](super::OwnerRecord)s, and the store keeps them beside the layer.
//! - The mode of a file was set to match its access ACL. A later chmod changes the mode alone, so that the permissions
//!   of the owner, the mask (or without one the group) and others come from the mode when the ACL is written to an
//!   image.
//! - `entries` says nothing in a directory that overlayfs copied up: the entries stayed below.
//!
//! The names and bytes are a format, so a change needs a new format version of the store. A step that ran without
//! recording could set them itself, and a layer may be foreign, so that a reader trusts neither their presence nor
//! their bytes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt;

/// The prefix of all names.
pub const PREFIX: &str = "user.overcoat.";

pub const OWNER: &CStr = c"user.overcoat.owner";
pub const DEVICE: &CStr = c"user.overcoat.device";
pub const ACCESS_ACL: &CStr = c"user.overcoat.acl.access";
pub const DEFAULT_ACL: &CStr = c"user.overcoat.acl.default";
pub const CAPABILITY: &CStr = c"user.overcoat.capability";
pub const ENTRIES: &CStr = c"user.overcoat.entries";
pub const MODE: &CStr = c"user.overcoat.mode";

/// The kinds of records, one for each name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Record {
    Owner,
    Device,
    AccessAcl,
    DefaultAcl,
    Capability,
    Entries,
    Mode,
}

impl Record {
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Device,
        Self::AccessAcl,
        Self::DefaultAcl,
        Self::Capability,
        Self::Entries,
        Self::Mode,
    ];

    /// Returns the name of the attribute that holds such a record.
    pub const fn name(self) -> &'static CStr {
        match self {
            Self::Owner => OWNER,
            Self::Device => DEVICE,
            Self::AccessAcl => ACCESS_ACL,
            Self::DefaultAcl => DEFAULT_ACL,
            Self::Capability => CAPABILITY,
            Self::Entries => ENTRIES,
            Self::Mode => MODE,
        }
    }

    /// Finds the record that the attribute `name` holds.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|record| record.name().to_bytes() == name)
    }
}

/// Tells whether an attribute's name has [`PREFIX`], whether or not there is such a record.
pub fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes())
}

/// Why a value is no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum Malformed {
    OwnerLength,
    DeviceText,
    WhiteoutDevice,
    AclHeader,
    AclVersion,
    AclLength,
    AclEntry,
    AclOrder,
    EntryOwner,
    EntryNameLength,
    EntryName,
    EntryOrder,
    Mode,
}

impl Malformed {
    /// Returns the message, as a clause about "it", the value.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OwnerLength => "an owner takes 8 bytes",
            Self::DeviceText => "`c MAJOR:MINOR` or `b MAJOR:MINOR` was expected",
            Self::WhiteoutDevice => "`c 0:0` is an overlayfs whiteout, not a device",
            Self::AclHeader => "it is shorter than its header",
            Self::AclVersion => "its version is not 2",
            Self::AclLength => "it ends inside an entry",
            Self::AclEntry => "an entry has an unknown tag or permission",
            Self::AclOrder => "its entries are not those of an ACL, in their order",
            Self::EntryOwner => "it ends inside an owner record",
            Self::EntryNameLength => "it ends inside a name",
            Self::EntryName => "it holds what is no file name",
            Self::EntryOrder => "its names are not sorted",
            Self::Mode => "it is not four octal digits",
        }
    }
}

/// A recorded owner: an owner as the image has it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// The owner of what has no record.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.uid.to_le_bytes());
        bytes[4..].copy_from_slice(&self.gid.to_le_bytes());
        bytes
    }

    /// Tells whether chown could give a file to these ids: -1 means none.
    pub fn is_possible(self) -> bool {
        self.uid != u32::MAX && self.gid != u32::MAX
    }

    /// Parses the value of [`OWNER`].
    ///
    /// # Errors
    /// Unless it has exactly 8 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let &[u0, u1, u2, u3, g0, g1, g2, g3] = bytes else {
            return Err(Malformed::OwnerLength);
        };
        Ok(Self {
            uid: u32::from_le_bytes([u0, u1, u2, u3]),
            gid: u32::from_le_bytes([g0, g1, g2, g3]),
        })
    }
}

/// A recorded device node, written as `c 1:3` or `b 8:0`.
///
/// The numbers are as wide as an image format may have them, which is wider than Linux's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Device {
    pub kind: DeviceKind,
    pub major: u32,
    pub minor: u32,
}

/// The type of a device node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeviceKind {
    Character,
    Block,
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        write!(formatter, "{kind} {}:{}", self.major, self.minor)
    }
}

/// The widths of the kernel's device numbers, `MINORBITS` of `linux/kdev_t.h`.
const MAJOR_LIMIT: u32 = 1 << 12;
const MINOR_LIMIT: u32 = 1 << 20;

impl Device {
    /// Tells whether mknod could make the device.
    pub fn fits_the_kernel(self) -> bool {
        self.major < MAJOR_LIMIT && self.minor < MINOR_LIMIT
    }

    pub fn to_bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Parses the value of [`DEVICE`].
    ///
    /// # Errors
    /// For a whiteout, and for any text but the one that stands for a device.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let device = std::str::from_utf8(bytes)
            .ok()
            .and_then(parse_device)
            // One device has one text: no sign, no leading zeros.
            .filter(|device| device.to_string().as_bytes() == bytes)
            .ok_or(Malformed::DeviceText)?;
        match device {
            Self {
                kind: DeviceKind::Character,
                major: 0,
                minor: 0,
            } => Err(Malformed::WhiteoutDevice),
            device => Ok(device),
        }
    }
}

fn parse_device(text: &str) -> Option<Device> {
    let (kind, numbers) = text.split_once(' ')?;
    let (major, minor) = numbers.split_once(':')?;
    Some(Device {
        kind: match kind {
            "c" => DeviceKind::Character,
            "b" => DeviceKind::Block,
            _ => return None,
        },
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// Makes the value of [`MODE`]: permission bits with setuid, setgid and sticky.
pub fn mode_to_bytes(mode: u16) -> Vec<u8> {
    format!("{mode:04o}").into_bytes()
}

/// Parses the value of [`MODE`].
///
/// # Errors
/// Unless it is four octal digits.
pub fn mode_from_bytes(bytes: &[u8]) -> Result<u16, Malformed> {
    let digits = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)));
    digits
        .and_then(|digits| u16::from_str_radix(digits, 8).ok())
        .ok_or(Malformed::Mode)
}

/// Parses the value of [`ENTRIES`]: owners by name.
///
/// # Errors
/// Unless it is as [`entries_to_bytes`] makes it.
pub fn entries_from_bytes(mut value: &[u8]) -> Result<BTreeMap<Vec<u8>, Owner>, Malformed> {
    let mut owners = BTreeMap::new();
    while !value.is_empty() {
        let (owner, rest) = value.split_at_checked(8).ok_or(Malformed::EntryOwner)?;
        let (length, rest) = rest.split_first().ok_or(Malformed::EntryOwner)?;
        let (name, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(Malformed::EntryNameLength)?;
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(Malformed::EntryName);
        }
        if owners
            .last_key_value()
            .is_some_and(|(last, _): (&Vec<u8>, _)| last.as_slice() >= name)
        {
            return Err(Malformed::EntryOrder);
        }
        owners.insert(name.to_vec(), Owner::from_bytes(owner)?);
        value = rest;
    }
    Ok(owners)
}

/// Makes the value of [`ENTRIES`]; `None` when a name is longer than any file system allows.
pub fn entries_to_bytes(owners: &BTreeMap<Vec<u8>, Owner>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for (name, owner) in owners {
        value.extend_from_slice(&owner.to_bytes());
        value.push(u8::try_from(name.len()).ok()?);
        value.extend_from_slice(name);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_eight_little_endian_bytes() {
        let owner = Owner {
            uid: 1,
            gid: 0x0102_0304,
        };
        assert_eq!(owner.to_bytes(), [1, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Owner::from_bytes(&owner.to_bytes()), Ok(owner));
        assert_eq!(Owner::from_bytes(&[0; 7]), Err(Malformed::OwnerLength));
        assert_eq!(Owner::from_bytes(&[0; 9]), Err(Malformed::OwnerLength));
    }

    #[test]
    fn devices_have_one_text_each() {
        for text in ["c 1:3", "b 8:0", "c 4294967295:4294967295", "b 0:0"] {
            let device = Device::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(device.to_bytes(), text.as_bytes());
        }
        for text in [
            "",
            "c",
            "c 1",
            "1:3",
            "p 1:3",
            "c 1:3 ",
            "c  1:3",
            "c +1:3",
            "c 01:3",
            "c 4294967296:0",
            "c 0:4294967296",
            "c -1:0",
        ] {
            let parsed = Device::from_bytes(text.as_bytes());
            assert_eq!(parsed, Err(Malformed::DeviceText), "{text}");
        }
        assert_eq!(Device::from_bytes(b"\xff"), Err(Malformed::DeviceText));
        assert_eq!(Device::from_bytes(b"c 0:0"), Err(Malformed::WhiteoutDevice));
    }

    #[test]
    fn every_record_has_a_name_of_its_own() {
        for record in Record::ALL {
            let name = record.name().to_bytes();
            assert!(is_reserved(name));
            assert_eq!(Record::named(name), Some(record));
        }
        assert_eq!(Record::named(b"user.overcoat."), None);
        assert_eq!(Record::named(b"user.overcoat.owner2"), None);
    }

    #[test]
    fn owners_of_entries_are_sorted_by_name() {
        let owners = BTreeMap::from([
            (b"bc".to_vec(), Owner { uid: 9, gid: 10 }),
            (b"a".to_vec(), Owner { uid: 7, gid: 8 }),
        ]);
        let value = b"\x07\0\0\0\x08\0\0\0\x01a\x09\0\0\0\x0a\0\0\0\x02bc";
        assert_eq!(entries_to_bytes(&owners).unwrap(), value);
        assert_eq!(entries_from_bytes(value), Ok(owners));
        let long = BTreeMap::from([(vec![b'x'; 256], Owner::ROOT)]);
        assert_eq!(entries_to_bytes(&long), None);
    }

    #[test]
    fn modes_are_four_octal_digits() {
        for mode in [0, 0o755, 0o7777] {
            assert_eq!(mode_from_bytes(&mode_to_bytes(mode)), Ok(mode));
        }
        for bad in [&b"755"[..], b"00755", b"0758", b"", b"\xff755", b"+755"] {
            assert_eq!(mode_from_bytes(bad), Err(Malformed::Mode), "{bad:?}");
        }
    }
}
