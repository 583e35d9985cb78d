//! The extended attributes in which records are kept, and their bytes.
//!
//! The names and bytes are a format: layers in the store carry them, so a change needs a new format version there.
//! In a recorded step they are written by the supervisor only. A step that ran without recording could set them itself,
//! and a layer may be foreign, so that a reader trusts neither their presence nor their bytes.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

/// The prefix of all names. Programs inside can neither set nor remove an attribute that has it.
pub const PREFIX: &str = "user.overcoat.";

/// The owner of a regular file or directory, where it is not 0:0: the bytes of [`Owner::to_bytes`].
pub const OWNER: &CStr = c"user.overcoat.owner";

/// Marks an empty regular file as the placeholder of a device node: the text of [`Device`].
///
/// The file's mode is the node's.
pub const DEVICE: &CStr = c"user.overcoat.device";

/// The access ACL of a file, where it names ids other than 0.
///
/// The value is what `system.posix_acl_access` would have: a little-endian 32-bit version, which is 2, and entries of 8
/// bytes, each a 16-bit tag, 16-bit permissions and a 32-bit id, see acl(5) and `linux/posix_acl_xattr.h`. The file's
/// mode was set to match. A later chmod changes the mode alone, so that permissions of the owner, the mask (or without
/// one the group) and others have to be taken from the mode when the ACL is written to an image.
pub const ACCESS_ACL: &CStr = c"user.overcoat.acl.access";

/// The default ACL of a directory, where it names ids other than 0, with the format of [`ACCESS_ACL`].
///
/// The kernel does not know of it, so that new entries do not inherit it.
pub const DEFAULT_ACL: &CStr = c"user.overcoat.acl.default";

/// A recorded owner.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// Returns the value of [`OWNER`]: uid and gid, 32 bits each, little-endian.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.uid.to_le_bytes());
        bytes[4..].copy_from_slice(&self.gid.to_le_bytes());
        bytes
    }

    /// Parses the value of [`OWNER`]; `None` unless it has exactly 8 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 8] = bytes.try_into().ok()?;
        let (uid, gid) = bytes.split_at(4);
        Some(Self {
            uid: u32::from_le_bytes(uid.try_into().ok()?),
            gid: u32::from_le_bytes(gid.try_into().ok()?),
        })
    }
}

/// A recorded device node, written as `c 1:3` or `b 8:0`.
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

/// A text that is not a [`Device`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a device as `c MAJOR:MINOR` or `b MAJOR:MINOR`, found `{found}`")]
pub struct ParseDeviceError {
    found: String,
}

/// The widths of the kernel's device numbers, `MINORBITS` of `linux/kdev_t.h`.
const MAJOR_LIMIT: u32 = 1 << 12;
const MINOR_LIMIT: u32 = 1 << 20;

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        write!(formatter, "{kind} {}:{}", self.major, self.minor)
    }
}

impl FromStr for Device {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, ParseDeviceError> {
        parse_device(text)
            // One device has one text: no sign, no leading zeros.
            .filter(|device| device.to_string() == text)
            .ok_or_else(|| ParseDeviceError {
                found: text.to_owned(),
            })
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
        major: major.parse().ok().filter(|&major| major < MAJOR_LIMIT)?,
        minor: minor.parse().ok().filter(|&minor| minor < MINOR_LIMIT)?,
    })
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
        assert_eq!(Owner::from_bytes(&owner.to_bytes()), Some(owner));
        assert_eq!(Owner::from_bytes(&[0; 7]), None);
        assert_eq!(Owner::from_bytes(&[0; 9]), None);
    }

    #[test]
    fn devices_have_one_text_each() {
        for text in ["c 1:3", "b 8:0", "c 4095:1048575", "b 0:0"] {
            let device: Device = text.parse().unwrap();
            assert_eq!(device.to_string(), text);
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
            "c 4096:0",
            "c 0:1048576",
            "c -1:0",
        ] {
            assert_eq!(
                text.parse::<Device>().unwrap_err().to_string(),
                format!("expected a device as `c MAJOR:MINOR` or `b MAJOR:MINOR`, found `{text}`")
            );
        }
    }

    #[test]
    fn all_names_have_the_prefix() {
        for name in [OWNER, DEVICE, ACCESS_ACL, DEFAULT_ACL] {
            assert!(name.to_bytes().starts_with(PREFIX.as_bytes()));
        }
    }
}
