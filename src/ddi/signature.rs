//! What a signature partition holds.

use super::identity::RootHash;
use crate::digest::hexadecimal;
use crate::signing::{self, Signer};

/// Size of the signature partition that `systemd-repart` makes; systemd refuses more than 4 MiB.
pub(super) const SIGNATURE_PARTITION_BYTES: usize = 16 << 10;

/// Returns the text of a signature partition, as the Discoverable Partitions Specification has it.
///
/// Systemd takes the text up to the first NUL and wants nothing but NULs after it.
pub(super) fn signature_json(
    signer: &Signer,
    root_hash: RootHash,
) -> Result<Vec<u8>, signing::Error> {
    let signature = signer.sign(root_hash.to_string().as_bytes())?;
    let fingerprint = hexadecimal(&signer.certificate_fingerprint());
    let signature = openssl::base64::encode_block(&signature);
    // Hex and base64 need no escaping in JSON.
    let json = format!(
        r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{fingerprint}","signature":"{signature}"}}"#
    );
    Ok(json.into_bytes())
}
