//! Where an image's identifiers come from: the root hash, a seed, or the image's name; never a random source.

use std::fmt;

use openssl::sha::Sha256;
use uuid::Uuid;

use crate::digest::hexadecimal;

/// The hash at the top of a verity tree, which names every byte of the payload.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct RootHash([u8; 32]);

/// The identifier of one partition in the partition table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PartitionUuid(Uuid);

/// Changes every identifier of images without `Seed=`, and the root hash of all; raised when the derivation changes.
const DERIVATION: &[u8] = b"overcoat ddi identity 1";

/// Derives the identifiers that no specification fixes.
///
/// With a seed they depend on seed and name alone, so that they stay the same from version to version of the payload.
/// Without one they depend on the name and the payload's own digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) seed: Option<Uuid>,
    pub(super) name: &'a str,
}

impl RootHash {
    /// Returns the root hash made of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the root hash that 64 hex digits are; `None` for any other text.
    pub fn from_hexadecimal(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(digits) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let value = digit(digits[0])? * 16 + digit(digits[1])?;
            *byte = u8::try_from(value).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns the bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the UUID by which systemd finds the payload's partition: the first half of the hash.
    pub fn data_partition_uuid(&self) -> PartitionUuid {
        PartitionUuid(Uuid::from_bytes(self.halves().0))
    }

    /// Returns the UUID by which systemd finds the hash tree's partition: the second half of the hash.
    pub fn verity_partition_uuid(&self) -> PartitionUuid {
        PartitionUuid(Uuid::from_bytes(self.halves().1))
    }

    fn halves(&self) -> ([u8; 16], [u8; 16]) {
        let mut first = [0; 16];
        let mut second = [0; 16];
        first.copy_from_slice(&self.0[..16]);
        second.copy_from_slice(&self.0[16..]);
        (first, second)
    }
}

/// Shows 64 lower-case hex digits, the form that is signed and written to `.roothash` files.
impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

impl PartitionUuid {
    pub(super) const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the UUID.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for PartitionUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the UUID of the verity superblock in the image with the disk identifier `disk`.
///
/// No hash and no checksum covers it, so it follows from what a checksum does cover, and a change of it is noticed.
pub(super) fn superblock_uuid(disk: Uuid) -> Uuid {
    let identity = Identity {
        seed: Some(disk),
        name: "",
    };
    identity.uuid("verity superblock", &[0; 32])
}

/// Tells whether an identifier was made by a rule, as ours are; other programs draw theirs at random.
pub(super) fn is_derived(uuid: Uuid) -> bool {
    uuid.get_version_num() == 8
}

impl Identity<'_> {
    /// Returns the salt of the verity tree.
    ///
    /// It must be known before the first byte of the payload is seen, so it cannot depend on the payload. Seed or name
    /// suffice: a salt keeps work done against one image from being used against another, and images of one name are
    /// versions of one thing.
    pub(super) fn salt(&self) -> [u8; 32] {
        self.derive(b"verity salt", None)
    }

    /// Returns the UUID for `purpose`, such as the disk's or a partition's.
    pub(super) fn uuid(&self, purpose: &str, payload_digest: &[u8; 32]) -> Uuid {
        let digest = self.derive(purpose.as_bytes(), Some(payload_digest));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // Version 8 of RFC 9562: made by a rule of our own.
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    fn derive(&self, purpose: &[u8], payload_digest: Option<&[u8; 32]>) -> [u8; 32] {
        let origin: &[u8] = match (&self.seed, payload_digest) {
            (Some(seed), _) => seed.as_bytes(),
            (None, Some(digest)) => digest,
            (None, None) => &[],
        };
        let mut hash = Sha256::new();
        for field in [DERIVATION, purpose, self.name.as_bytes(), origin] {
            // With each field's length before it, no two lists of fields give the same input.
            hash.update(&(field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Identity, RootHash};

    const NAME: &str = "nginx_1.2";

    fn counting() -> [u8; 32] {
        std::array::from_fn(|index| u8::try_from(index).unwrap())
    }

    #[test]
    fn partition_uuids_are_the_halves_of_the_root_hash() {
        let root_hash = RootHash::from_bytes(counting());
        assert_eq!(
            root_hash.data_partition_uuid().to_string(),
            "00010203-0405-0607-0809-0a0b0c0d0e0f"
        );
        assert_eq!(
            root_hash.verity_partition_uuid().to_string(),
            "10111213-1415-1617-1819-1a1b1c1d1e1f"
        );
    }

    #[test]
    fn a_seed_makes_identifiers_independent_of_the_payload() {
        let seeded = Identity {
            seed: Some(Uuid::from_u128(1)),
            name: NAME,
        };
        assert_eq!(seeded.uuid("disk", &[1; 32]), seeded.uuid("disk", &[2; 32]));
        let unseeded = Identity {
            seed: None,
            name: NAME,
        };
        assert_ne!(
            unseeded.uuid("disk", &[1; 32]),
            unseeded.uuid("disk", &[2; 32])
        );
    }

    #[test]
    fn name_purpose_and_seed_each_change_an_identifier() {
        let base = Identity {
            seed: None,
            name: NAME,
        };
        let others = [
            Identity {
                name: "nginx_1.3",
                ..base
            }
            .uuid("disk", &[1; 32]),
            Identity {
                seed: Some(Uuid::nil()),
                ..base
            }
            .uuid("disk", &[1; 32]),
            base.uuid("signature", &[1; 32]),
        ];
        for other in others {
            assert_ne!(base.uuid("disk", &[1; 32]), other);
        }
    }

    #[test]
    fn derived_identifiers_are_version_8_uuids() {
        let uuid = Identity {
            seed: None,
            name: NAME,
        }
        .uuid("disk", &[1; 32]);
        assert_eq!(uuid.get_version_num(), 8);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }
}
