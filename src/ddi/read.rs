//! Reads images: the partition table, the hash tree and the signature, whoever made them.
//!
//! All of it is untrusted. Every offset and length is checked against the image before it is used, and what is held of
//! an image in memory does not depend on what the image says.

mod der;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod image;
mod signature;
mod table;
mod verify;
mod verity;
mod zeros;

pub use self::image::{Image, OpenError, Payload, Protection};
pub use self::signature::{
    Authenticity, CertificateText, SignatureError, SignaturePartition, SignerName,
};
pub use self::table::{FoundPartition, PartitionTable, TableCopy, TableError};
pub use self::verify::{Finding, Required, Verification, verify};
pub use self::verity::{VerityError, VeritySuperblock};
