//! What must hold of any key and certificate beside a recipe.

use std::path::Path;

use super::Signer;

/// A file that holds both: whoever is taken for a signer can sign.
pub fn keys(bytes: &[u8]) {
    let name = Path::new("mkosi.key");
    let Ok(signer) = Signer::from_pem(name, bytes, name, bytes) else {
        return;
    };
    // A key that is damaged in a part which is not looked at before.
    let Ok(signature) = signer.sign(b"00") else {
        return;
    };
    assert!(!signature.is_empty());
    signer
        .certificate_pem()
        .expect("what was read can be written");
}
