//! The signature of an image's root hash, and the certificate that it is checked with.

use std::fmt;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name, X509NameRef};
use serde::Deserialize;

use crate::ddi::RootHash;
use crate::digest::hexadecimal;
use crate::format::read_at::ReadAt;

use super::der;
use super::zeros::first_nonzero;

/// Systemd refuses a larger partition (`VERITY_SIG_SIZE`).
const PARTITION_LIMIT_BYTES: u64 = 4 << 20;

/// What a signature partition holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignaturePartition {
    /// As it is written, which is 64 hex digits in images that are in order.
    pub root_hash: String,
    pub certificate_fingerprint: Option<String>,
    /// The PKCS#7 signature in DER.
    pub signature: Vec<u8>,
}

/// A signature partition or a signature in it is not in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    #[error(
        "the signature partition is {size_bytes} bytes long, and 4 MiB is the most that systemd reads"
    )]
    TooLarge { size_bytes: u64 },
    #[error("the signature partition is empty: the root hash was not signed")]
    Empty,
    #[error(
        "the byte at {offset} of the signature partition is not zero, though the text has ended"
    )]
    NotZero { offset: u64 },
    #[error("the signature partition holds no JSON of a signature: {reason}")]
    Json { reason: String },
    #[error("the signature is not in the one form that base64 has for it")]
    Base64,
    #[error("the signature is not PKCS#7 in DER")]
    Pkcs7 { source: ErrorStack },
    #[error("the signature has not one signer")]
    Signers,
    #[error("the signature was not made of this root hash by the certificate's key")]
    Wrong { source: ErrorStack },
    #[error("the signature names the certificate of another issuer or with another serial number")]
    OtherCertificate,
    #[error("the signature is right, but what is around it is not in the usual form")]
    Form,
    #[error(
        "the signature is said to be of the root hash `{found}`, and `{expected}` is the image's"
    )]
    OtherRootHash { found: String, expected: RootHash },
    #[error("the certificate's fingerprint is said to be `{found}`, and is `{expected}`")]
    OtherFingerprint { found: String, expected: String },
    #[error("reading the certificate")]
    Certificate { source: ErrorStack },
    #[error("reading the signature partition")]
    Read { source: std::io::Error },
}

/// The fields in a signature partition, by the specification's names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    root_hash: String,
    certificate_fingerprint: Option<String>,
    signature: String,
}

impl SignaturePartition {
    /// Reads a signature partition.
    ///
    /// # Errors
    /// A [`SignatureError`] that says what is not in order.
    pub fn read(partition: &dyn ReadAt) -> Result<Self, SignatureError> {
        let read = |source| SignatureError::Read { source };
        let size_bytes = partition.size_bytes();
        if size_bytes > PARTITION_LIMIT_BYTES {
            return Err(SignatureError::TooLarge { size_bytes });
        }
        let length = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let bytes = partition.bytes_at(0, length).map_err(read)?;
        let text_end = bytes.iter().position(|byte| *byte == 0);
        let text_end = text_end.unwrap_or(bytes.len());
        if let Some(offset) = first_nonzero(partition, text_end as u64, size_bytes).map_err(read)? {
            return Err(SignatureError::NotZero { offset });
        }
        if text_end == 0 {
            return Err(SignatureError::Empty);
        }
        Self::parse(&bytes[..text_end])
    }

    /// Reads the text in a signature partition.
    pub(super) fn parse(text: &[u8]) -> Result<Self, SignatureError> {
        let fields: Fields =
            serde_json::from_slice(text).map_err(|error| SignatureError::Json {
                reason: error.to_string(),
            })?;
        let signature =
            openssl::base64::decode_block(&fields.signature).map_err(|_| SignatureError::Base64)?;
        if openssl::base64::encode_block(&signature) != fields.signature {
            return Err(SignatureError::Base64);
        }
        Ok(Self {
            root_hash: fields.root_hash,
            certificate_fingerprint: fields.certificate_fingerprint,
            signature,
        })
    }

    /// Checks that it is said to be of `expected`.
    ///
    /// # Errors
    /// [`SignatureError::OtherRootHash`].
    pub fn check_root_hash(&self, expected: RootHash) -> Result<(), SignatureError> {
        if self.root_hash == expected.to_string() {
            return Ok(());
        }
        Err(SignatureError::OtherRootHash {
            found: self.root_hash.clone(),
            expected,
        })
    }

    /// Returns whose certificate the signature names.
    ///
    /// # Errors
    /// [`SignatureError::Signers`] for another shape.
    pub fn signer(&self) -> Result<SignerName, SignatureError> {
        let signer = der::signer(&self.signature).ok_or(SignatureError::Signers)?;
        let issuer = X509Name::from_der(signer.issuer);
        // What failed stays in the thread's queue otherwise, where a later error would pick it up.
        ErrorStack::get();
        Ok(SignerName {
            issuer: issuer.map_or_else(|_| hexadecimal(signer.issuer), |name| text_of(&name)),
            serial: hexadecimal(signer.serial),
        })
    }

    /// Returns the certificates that are in the signature itself.
    pub fn certificates(&self) -> Vec<X509> {
        let parsed = Pkcs7::from_der(&self.signature);
        ErrorStack::get();
        let Ok(parsed) = parsed else {
            return Vec::new();
        };
        let found = parsed.signed().and_then(|signed| signed.certificates());
        found.map_or_else(Vec::new, |found| {
            found.iter().map(|found| found.to_owned()).collect()
        })
    }

    /// Checks that the key of `certificate` made the signature, of `root_hash`.
    ///
    /// # Errors
    /// A [`SignatureError`] that says what is wrong.
    pub fn verify(
        &self,
        root_hash: RootHash,
        certificate: &X509,
    ) -> Result<Authenticity, SignatureError> {
        let parsed =
            Pkcs7::from_der(&self.signature).map_err(|source| SignatureError::Pkcs7 { source })?;
        let signer = der::signer(&self.signature).ok_or(SignatureError::Signers)?;
        // As systemd does it: by this certificate alone, whatever is in the signature, and without a chain of trust.
        let flags = Pkcs7Flags::NOINTERN | Pkcs7Flags::NOVERIFY | Pkcs7Flags::BINARY;
        let checked = Stack::new().and_then(|mut certificates| {
            certificates.push(certificate.clone())?;
            let store = X509StoreBuilder::new()?.build();
            let content = root_hash.to_string();
            parsed.verify(&certificates, &store, Some(content.as_bytes()), None, flags)
        });
        checked.map_err(|source| SignatureError::Wrong { source })?;
        let certificate_text = CertificateText::of(certificate)?;
        if let Some(found) = &self.certificate_fingerprint
            && *found != certificate_text.fingerprint
        {
            return Err(SignatureError::OtherFingerprint {
                found: found.clone(),
                expected: certificate_text.fingerprint,
            });
        }
        let issuer = certificate.issuer_name().to_der();
        let serial = certificate.serial_number().to_bn();
        let (Ok(issuer), Ok(serial)) = (issuer, serial) else {
            return Err(SignatureError::Certificate {
                source: ErrorStack::get(),
            });
        };
        // An INTEGER has a zero in front when its first bit is set.
        let same_serial =
            signer.serial.strip_prefix(&[0]).unwrap_or(signer.serial) == serial.to_vec().as_slice();
        if issuer != signer.issuer || !same_serial {
            return Err(SignatureError::OtherCertificate);
        }
        if signer.is_plain(&self.signature) {
            return Ok(Authenticity::Whole);
        }
        match signer.has_certificates || signer.has_attributes {
            true => Ok(Authenticity::SignatureOnly),
            false => Err(SignatureError::Form),
        }
    }
}

/// How much of a signature partition a right signature vouches for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authenticity {
    /// Every byte: the signature is in the one form that it has without certificates and attributes.
    Whole,
    /// The signature is right; certificates and attributes in it are covered by nothing.
    SignatureOnly,
}

/// Whose certificate a signature names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignerName {
    pub issuer: String,
    /// In hex.
    pub serial: String,
}

/// What a person wants to know of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateText {
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    /// SHA-256 of its DER form, in hex.
    pub fingerprint: String,
    pub not_before: String,
    pub not_after: String,
}

impl CertificateText {
    /// Reads a certificate's fields.
    ///
    /// # Errors
    /// [`SignatureError::Certificate`] when OpenSSL cannot.
    pub fn of(certificate: &X509) -> Result<Self, SignatureError> {
        let read = |source| SignatureError::Certificate { source };
        let digest = certificate.digest(MessageDigest::sha256()).map_err(read)?;
        let serial = certificate.serial_number().to_bn().map_err(read)?;
        Ok(Self {
            subject: text_of(certificate.subject_name()),
            issuer: text_of(certificate.issuer_name()),
            serial: hexadecimal(&serial.to_vec()),
            fingerprint: hexadecimal(&digest),
            not_before: certificate.not_before().to_string(),
            not_after: certificate.not_after().to_string(),
        })
    }
}

/// Returns a distinguished name as `CN=name, O=organisation`.
fn text_of(name: &X509NameRef) -> String {
    let mut text = String::new();
    for entry in name.entries() {
        let key = entry.object().nid().short_name().unwrap_or("?");
        let value = match entry.data().to_string() {
            Ok(value) => value.to_string(),
            Err(_) => hexadecimal(entry.data().as_slice()),
        };
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{separator}{key}={value}"));
    }
    ErrorStack::get();
    text
}

impl fmt::Display for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issuer {}, serial number {}", self.issuer, self.serial)
    }
}

#[cfg(test)]
mod tests;
