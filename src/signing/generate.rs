//! Makes a signing key and its self-signed certificate.

use std::fmt;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use crate::Hint;

/// The longest common name X.509 allows (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME_CHARACTERS: usize = 64;

/// The X.509 version field counts from zero: this is version 3, which extensions need.
const X509_VERSION_3: i32 = 2;

/// RFC 5280 allows 20 octets of serial number; one bit is left so that it stays positive.
const SERIAL_BITS: i32 = 159;

/// What a new key pair is to be.
#[derive(Clone, Debug)]
pub struct KeyOptions {
    pub common_name: String,
    pub valid_days: u32,
    /// The length of the RSA modulus.
    ///
    /// 2048 is mkosi's and what every firmware's key database, kernel and token takes; nothing a two-year key signs
    /// needs more, and 4096 makes `genkey` take seconds.
    pub bits: u32,
}

/// A private key and its certificate, in PEM form.
pub struct KeyPair {
    pub key_pem: Vec<u8>,
    pub certificate_pem: Vec<u8>,
}

/// A key pair could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    #[error(
        "the common name is {characters} characters long; expected 1 to {MAX_COMMON_NAME_CHARACTERS}"
    )]
    CommonNameLength { characters: usize },
    #[error("a certificate must be valid for at least one day")]
    NotValid,
    #[error("an RSA key of {bits} bits was asked for; expected 2048 to 8192")]
    KeySize { bits: u32 },
    #[error("generating the signing key")]
    Key { source: ErrorStack },
    #[error("making the certificate for `{common_name}`")]
    Certificate {
        common_name: String,
        source: ErrorStack,
    },
}

impl KeyOptions {
    /// Returns the defaults, RSA of 2048 bits valid for 730 days, for the subject `common_name`.
    pub fn new(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            valid_days: 730,
            bits: 2048,
        }
    }
}

/// Makes an RSA key and a self-signed certificate that starts to be valid now.
///
/// RSA, because its PKCS#1 v1.5 signatures are the same bytes every time and every kernel verifies them.
///
/// # Errors
/// A [`GenerateError`] for options X.509 or the kernel would not take, or when OpenSSL refuses.
pub fn generate(options: &KeyOptions) -> Result<KeyPair, GenerateError> {
    check(options)?;
    let key = Rsa::generate(options.bits)
        .and_then(PKey::from_rsa)
        .map_err(|source| GenerateError::Key { source })?;
    let key_pem = key
        .private_key_to_pem_pkcs8()
        .map_err(|source| GenerateError::Key { source })?;
    let certificate_pem = certify(&key, options)
        .and_then(|certificate| certificate.to_pem())
        .map_err(|source| GenerateError::Certificate {
            common_name: options.common_name.clone(),
            source,
        })?;
    Ok(KeyPair {
        key_pem,
        certificate_pem,
    })
}

/// Shows the certificate only, so that no key reaches a log.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field(
                "certificate_pem",
                &String::from_utf8_lossy(&self.certificate_pem),
            )
            .finish_non_exhaustive()
    }
}

impl Hint for GenerateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::CommonNameLength { .. } => {
                Some("give another one with `--genkey-common-name=`".into())
            }
            Self::NotValid => Some("give a number of days with `--genkey-valid-days=`".into()),
            _ => None,
        }
    }
}

fn check(options: &KeyOptions) -> Result<(), GenerateError> {
    let characters = options.common_name.chars().count();
    if !(1..=MAX_COMMON_NAME_CHARACTERS).contains(&characters) {
        return Err(GenerateError::CommonNameLength { characters });
    }
    if options.valid_days == 0 {
        return Err(GenerateError::NotValid);
    }
    // Below 2048 OpenSSL's own security level refuses to verify; above 8192 some kernels' MPI limits are near.
    if !(2048..=8192).contains(&options.bits) {
        let bits = options.bits;
        return Err(GenerateError::KeySize { bits });
    }
    Ok(())
}

fn certify(key: &PKey<Private>, options: &KeyOptions) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", &options.common_name)?;
    let name = name.build();

    let mut builder = X509Builder::new()?;
    builder.set_version(X509_VERSION_3)?;
    builder.set_serial_number(random_serial()?.as_ref())?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    builder.set_not_after(Asn1Time::days_from_now(options.valid_days)?.as_ref())?;
    builder.set_pubkey(key)?;
    // A leaf that signs data and no certificates. The kernel's keyrings find the key by its identifier.
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// Returns a random serial number: the signature names the signer by issuer and serial, so two keys made for the same
/// user must differ in it.
fn random_serial() -> Result<Asn1Integer, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    serial.to_asn1_integer()
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::x509::X509;

    use super::{GenerateError, KeyOptions, generate};

    #[test]
    fn a_certificate_is_a_self_signed_leaf_for_signing() {
        let pair = generate(&KeyOptions::new("overcoat of jo")).unwrap();
        let certificate = X509::from_pem(&pair.certificate_pem).unwrap();
        let text = String::from_utf8(certificate.to_text().unwrap()).unwrap();
        for line in [
            "Version: 3 (0x2)",
            "Issuer: CN = overcoat of jo",
            "Subject: CN = overcoat of jo",
            "Signature Algorithm: sha256WithRSAEncryption",
            "Public-Key: (2048 bit)",
            "X509v3 Basic Constraints: critical",
            "CA:FALSE",
            "X509v3 Key Usage: critical",
            "Digital Signature",
            "X509v3 Subject Key Identifier: ",
        ] {
            let spaced = line.replace(" = ", "=");
            assert!(
                text.contains(line) || text.contains(&spaced),
                "{line}\n{text}"
            );
        }
        let public = certificate.public_key().unwrap();
        assert!(certificate.verify(&public).unwrap());
        let days = certificate
            .not_before()
            .diff(certificate.not_after())
            .unwrap();
        assert_eq!(days.days, 730);
        assert!(*certificate.not_before() <= *Asn1Time::days_from_now(0).unwrap());
    }

    #[test]
    fn impossible_options_are_refused_before_a_key_is_made() {
        let good = KeyOptions::new("x");
        let long = KeyOptions::new("x".repeat(65));
        assert!(matches!(
            generate(&long),
            Err(GenerateError::CommonNameLength { characters: 65 })
        ));
        let expired = KeyOptions {
            valid_days: 0,
            ..good.clone()
        };
        assert!(matches!(generate(&expired), Err(GenerateError::NotValid)));
        let small = KeyOptions { bits: 1024, ..good };
        assert!(matches!(
            generate(&small),
            Err(GenerateError::KeySize { bits: 1024 })
        ));
    }
}
