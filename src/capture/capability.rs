//! File capabilities as the kernel's `security.capability` attribute holds them (capabilities(7)).

pub(crate) const ATTRIBUTE: &str = "security.capability";

/// Revisions and flag of `security.capability` and its sizes in bytes (include/uapi/linux/capability.h).
const VFS_CAP_REVISION_MASK: u32 = 0xff00_0000;
const VFS_CAP_REVISION_1: u32 = 0x0100_0000;
const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
const VFS_CAP_REVISION_3: u32 = 0x0300_0000;
const XATTR_CAPS_SZ_1: usize = 12;
const XATTR_CAPS_SZ_2: usize = 20;
const XATTR_CAPS_SZ_3: usize = 24;

/// A `security.capability` value with the user-namespace root it was bound to, if any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Capability {
    /// Revision 1 or 2, as an image has it.
    pub(super) value: Vec<u8>,
    pub(super) root_id: Option<u32>,
}

impl Capability {
    /// Reads a value of any revision; revision 3 becomes 2, because an image's files belong to no user namespace.
    pub(super) fn decode(value: &[u8]) -> Result<Self, &'static str> {
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

fn little_endian(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller passes four bytes"))
}
