use std::sync::Arc;

use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::PKey;
use openssl::stack::Stack;

use super::{Authenticity, CertificateText, SignatureError, SignaturePartition};
use crate::ddi::RootHash;
use crate::ddi::read::fixture::{certificate, key};
use crate::digest::hexadecimal;
use crate::format::read_at::ImageBytes;
use crate::signing::{KeyOptions, generate};

const ROOT_HASH: RootHash = RootHash::from_bytes([0x5a; 32]);

/// Returns the text of a partition signed with these flags.
fn text(flags: Pkcs7Flags) -> String {
    let key = PKey::private_key_from_pem(&key().key_pem).unwrap();
    let flags = flags | Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY;
    let content = ROOT_HASH.to_string();
    let none = Stack::new().unwrap();
    let signature = Pkcs7::sign(&certificate(), &key, &none, content.as_bytes(), flags).unwrap();
    let signature = openssl::base64::encode_block(&signature.to_der().unwrap());
    let fingerprint = CertificateText::of(&certificate()).unwrap().fingerprint;
    format!(
        r#"{{"rootHash":"{ROOT_HASH}","certificateFingerprint":"{fingerprint}","signature":"{signature}"}}"#
    )
}

fn plain() -> String {
    text(Pkcs7Flags::NOATTR | Pkcs7Flags::NOCERTS)
}

fn read(bytes: impl Into<Vec<u8>>) -> Result<SignaturePartition, SignatureError> {
    SignaturePartition::read(&ImageBytes::new(bytes.into()))
}

#[test]
fn a_signature_in_the_usual_form_is_right_in_every_byte() {
    let signature = read(plain()).unwrap();
    assert_eq!(
        signature.verify(ROOT_HASH, &certificate()).unwrap(),
        Authenticity::Whole
    );
    let signer = signature.signer().unwrap();
    let certificate = CertificateText::of(&certificate()).unwrap();
    assert_eq!(signer.issuer, "CN=overcoat of a test");
    assert_eq!(signer.serial.trim_start_matches("00"), certificate.serial);
    assert_eq!(certificate.subject, "CN=overcoat of a test");
    assert!(signature.certificates().is_empty());
}

#[test]
fn certificates_and_attributes_in_a_signature_are_seen() {
    let signature = read(text(Pkcs7Flags::NOATTR)).unwrap();
    assert_eq!(
        signature.verify(ROOT_HASH, &certificate()).unwrap(),
        Authenticity::SignatureOnly
    );
    assert_eq!(signature.certificates().len(), 1);
    let signature = read(text(Pkcs7Flags::NOCERTS)).unwrap();
    assert_eq!(
        signature.verify(ROOT_HASH, &certificate()).unwrap(),
        Authenticity::SignatureOnly
    );
}

#[test]
fn no_changed_byte_of_a_signature_stays_unseen() {
    let text = plain().into_bytes();
    let certificate = certificate();
    for place in 0..text.len() {
        for bit in [1, 4, 32] {
            let mut changed = text.clone();
            changed[place] ^= bit;
            let verified = read(changed).and_then(|signature| {
                signature.check_root_hash(ROOT_HASH)?;
                signature.verify(ROOT_HASH, &certificate)
            });
            assert!(verified.is_err(), "byte {place} ^ {bit}");
        }
    }
}

#[test]
fn another_root_hash_and_another_key_are_refused() {
    let signature = read(plain()).unwrap();
    let other = RootHash::from_bytes([0; 32]);
    let refused = signature.check_root_hash(other).unwrap_err();
    assert!(
        matches!(refused, SignatureError::OtherRootHash { .. }),
        "{refused}"
    );
    let refused = signature.verify(other, &certificate()).unwrap_err();
    assert!(matches!(refused, SignatureError::Wrong { .. }), "{refused}");
    let stranger = generate(&KeyOptions::new("overcoat of a test")).unwrap();
    let stranger = openssl::x509::X509::from_pem(&stranger.certificate_pem).unwrap();
    let refused = signature.verify(ROOT_HASH, &stranger).unwrap_err();
    assert!(matches!(refused, SignatureError::Wrong { .. }), "{refused}");
}

#[test]
fn what_is_no_signature_partition_is_refused() {
    let fingerprint = hexadecimal(&[0; 32]);
    type Expected = fn(&SignatureError) -> bool;
    let cases: [(String, Expected); 7] = [
        (String::new(), |error| {
            matches!(error, SignatureError::Empty)
        }),
        ("\0\0\0".into(), |error| {
            matches!(error, SignatureError::Empty)
        }),
        ("{}\0 ".into(), |error| {
            matches!(error, SignatureError::NotZero { offset: 3 })
        }),
        ("{}".into(), |error| {
            matches!(error, SignatureError::Json { .. })
        }),
        (plain().replace("rootHash", "RootHash"), |error| {
            matches!(error, SignatureError::Json { .. })
        }),
        (
            format!(
                r#"{{"rootHash":"","signature":"AB==","certificateFingerprint":"{fingerprint}"}}"#
            ),
            |error| matches!(error, SignatureError::Base64),
        ),
        (
            plain().replace("\"signature\":\"", "\"signature\":\"!"),
            |error| matches!(error, SignatureError::Base64),
        ),
    ];
    for (text, expected) in cases {
        let refused = read(text.clone()).unwrap_err();
        assert!(expected(&refused), "{text}: {refused}");
    }
    let signature = read(r#"{"rootHash":"","signature":"AAAA"}"#).unwrap();
    assert!(signature.signer().is_err());
    let refused = signature.verify(ROOT_HASH, &certificate()).unwrap_err();
    assert!(matches!(refused, SignatureError::Pkcs7 { .. }), "{refused}");
    let huge = Arc::new(ImageBytes::new(vec![0; (4 << 20) + 1]));
    let refused = SignaturePartition::read(&*huge).unwrap_err();
    assert!(
        matches!(refused, SignatureError::TooLarge { .. }),
        "{refused}"
    );
}
