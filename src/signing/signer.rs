//! A private key with its certificate, and the detached signatures it makes.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::{Id, PKey, Private};
use openssl::stack::Stack;
use openssl::x509::X509;

use crate::Hint;

/// Permission bits that would let every user of the machine read or replace a key.
const OTHERS: u32 = 0o007;

/// Key and certificate files are a few KiB; a larger file is something else, such as a device or an image.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Signs with a private key on behalf of a certificate's subject.
pub struct Signer {
    key: PKey<Private>,
    certificate: X509,
    fingerprint: [u8; 32],
}

/// A key or certificate is not usable, or signing fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("reading the signing key `{path}`")]
    ReadKey {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading the certificate `{path}`")]
    ReadCertificate {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the signing key `{path}` has mode {mode:04o}, which lets others at it; expected none of {OTHERS:04o}"
    )]
    KeyAccessible { path: PathBuf, mode: u32 },
    #[error(
        "`{path}` is {size_bytes} bytes long; a PEM file of at most {MAX_PEM_BYTES} bytes is expected"
    )]
    TooLarge { path: PathBuf, size_bytes: u64 },
    #[error("the signing key `{path}` is encrypted with a passphrase; expected a key without one")]
    KeyEncrypted { path: PathBuf },
    #[error("`{path}` does not hold a private key in PEM form")]
    ParseKey { path: PathBuf, source: ErrorStack },
    #[error("`{path}` does not hold an X.509 certificate in PEM form")]
    ParseCertificate { path: PathBuf, source: ErrorStack },
    #[error(
        "the signing key `{path}` is of type {found}, which dm-verity in the kernel does not verify; expected RSA or EC on P-256, P-384 or P-521"
    )]
    UnsupportedKey { path: PathBuf, found: String },
    #[error("the certificate `{certificate}` was not made for the signing key `{key}`")]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("making a PKCS#7 signature")]
    Sign { source: ErrorStack },
}

impl Signer {
    /// Reads a PEM private key and its PEM certificate.
    ///
    /// # Errors
    /// An [`Error`] when a file cannot be read or parsed, others may access the key, the kernel does not verify its
    /// type, or the certificate is another key's.
    pub fn from_files(key: &Path, certificate: &Path) -> Result<Self, Error> {
        let key_pem = read_key(key)?;
        let certificate_pem = read_certificate_file(certificate)?;
        Self::from_pem(key, &key_pem, certificate, &certificate_pem)
    }

    /// Takes the text of both files.
    pub(super) fn from_pem(
        key: &Path,
        key_pem: &[u8],
        certificate: &Path,
        certificate_pem: &[u8],
    ) -> Result<Self, Error> {
        let parsed_key = parse_key(key, key_pem)?;
        refuse_unsupported(key, &parsed_key)?;
        let parsed_certificate = X509::from_pem(certificate_pem).map_err(|source| {
            let path = certificate.into();
            Error::ParseCertificate { path, source }
        })?;
        let matches = parsed_certificate
            .public_key()
            .is_ok_and(|public| public.public_eq(&parsed_key));
        // A failed comparison leaves its reason in the thread's queue, where a later error would pick it up.
        ErrorStack::get();
        if !matches {
            let (key, certificate) = (key.into(), certificate.into());
            return Err(Error::Mismatch { key, certificate });
        }
        let fingerprint = fingerprint(&parsed_certificate).map_err(|source| {
            let path = certificate.into();
            Error::ParseCertificate { path, source }
        })?;
        Ok(Self {
            key: parsed_key,
            certificate: parsed_certificate,
            fingerprint,
        })
    }

    /// Signs `content`: DER PKCS#7, detached, SHA-256, without attributes and certificates.
    ///
    /// For a verity root hash the content is its lower-case hex text without a newline. The bytes are those of
    /// `openssl smime -sign -nocerts -noattr -binary -outform der`.
    ///
    /// # Errors
    /// [`Error::Sign`] when OpenSSL refuses.
    pub fn sign(&self, content: &[u8]) -> Result<Vec<u8>, Error> {
        let flags =
            Pkcs7Flags::DETACHED | Pkcs7Flags::NOATTR | Pkcs7Flags::BINARY | Pkcs7Flags::NOCERTS;
        Stack::new()
            .and_then(|none| Pkcs7::sign(&self.certificate, &self.key, &none, content, flags))
            .and_then(|signature| signature.to_der())
            .map_err(|source| Error::Sign { source })
    }

    /// Returns the SHA-256 digest of the certificate's DER form.
    pub fn certificate_fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Returns the certificate in PEM form, as `/usr/lib/verity.d/*.crt` holds it.
    ///
    /// # Errors
    /// [`Error::Sign`] when OpenSSL cannot encode it.
    pub fn certificate_pem(&self) -> Result<Vec<u8>, Error> {
        self.certificate
            .to_pem()
            .map_err(|source| Error::Sign { source })
    }

    /// Tells whether signing the same content again gives the same bytes.
    ///
    /// RSA with PKCS#1 v1.5 padding does. ECDSA draws a random nonce, so such an image differs from build to build in
    /// its signature partition, and in nothing else.
    pub fn is_reproducible(&self) -> bool {
        self.key.id() == Id::RSA
    }
}

/// Shows the certificate only, so that no key reaches a log.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::KeyAccessible { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::KeyEncrypted { path } => Some(format!(
                "remove the passphrase with `openssl pkey -in {} -out KEY`",
                path.display()
            )),
            Self::UnsupportedKey { .. } | Self::Mismatch { .. } => {
                Some("make a key and its certificate with `overcoat genkey`".into())
            }
            Self::ReadKey { source, .. } | Self::ReadCertificate { source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Some("make a key and its certificate with `overcoat genkey`".into())
            }
            _ => None,
        }
    }
}

fn read_key(path: &Path) -> Result<Vec<u8>, Error> {
    let read_error = |source| Error::ReadKey {
        path: path.into(),
        source,
    };
    let file = open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    // Asked of the open file and not of its name, so that the answer is about the bytes that are read.
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        let path = path.into();
        return Err(Error::KeyAccessible { path, mode });
    }
    read_limited(path, file, metadata.len())?.map_err(read_error)
}

/// Reads a certificate in PEM form.
///
/// # Errors
/// [`Error::ReadCertificate`], [`Error::TooLarge`] or [`Error::ParseCertificate`].
pub fn read_certificate(path: &Path) -> Result<X509, Error> {
    X509::from_pem(&read_certificate_file(path)?).map_err(|source| {
        let path = path.into();
        Error::ParseCertificate { path, source }
    })
}

fn read_certificate_file(path: &Path) -> Result<Vec<u8>, Error> {
    let read_error = |source| Error::ReadCertificate {
        path: path.into(),
        source,
    };
    let file = open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    read_limited(path, file, metadata.len())?.map_err(read_error)
}

fn open(path: &Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};
    // NONBLOCK: a FIFO in the place of a key must not stall the build.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn read_limited(
    path: &Path,
    file: std::fs::File,
    size_bytes: u64,
) -> Result<std::io::Result<Vec<u8>>, Error> {
    if size_bytes > MAX_PEM_BYTES {
        let path = path.into();
        return Err(Error::TooLarge { path, size_bytes });
    }
    let mut bytes = Vec::new();
    Ok(file
        .take(MAX_PEM_BYTES)
        .read_to_end(&mut bytes)
        .map(|_| bytes))
}

fn parse_key(path: &Path, pem: &[u8]) -> Result<PKey<Private>, Error> {
    // Without a callback OpenSSL would ask for the passphrase on the terminal.
    let mut encrypted = false;
    let parsed = PKey::private_key_from_pem_callback(pem, |_| {
        encrypted = true;
        Err(ErrorStack::get())
    });
    parsed.map_err(|source| {
        let path = path.into();
        if encrypted {
            Error::KeyEncrypted { path }
        } else {
            Error::ParseKey { path, source }
        }
    })
}

fn refuse_unsupported(path: &Path, key: &PKey<Private>) -> Result<(), Error> {
    // The kernel's PKCS#7 parser knows `rsaEncryption` and ECDSA on these curves (crypto/asymmetric_keys), not
    // RSASSA-PSS; Ed25519 has no form without attributes that OpenSSL would make.
    let curve = key.ec_key().ok().and_then(|ec| ec.group().curve_name());
    let found = match (key.id(), curve) {
        (Id::RSA, _) | (Id::EC, Some(Nid::X9_62_PRIME256V1 | Nid::SECP384R1 | Nid::SECP521R1)) => {
            return Ok(());
        }
        (Id::EC, Some(curve)) => format!("EC on {}", curve.short_name().unwrap_or("another curve")),
        (Id::EC, None) => "EC on an unnamed curve".into(),
        (Id::RSA_PSS, _) => "RSA-PSS".into(),
        (Id::ED25519, _) => "Ed25519".into(),
        (Id::ED448, _) => "Ed448".into(),
        (Id::DSA, _) => "DSA".into(),
        (id, _) => Nid::from_raw(id.as_raw())
            .short_name()
            .unwrap_or("unknown")
            .into(),
    };
    let path = path.into();
    Err(Error::UnsupportedKey { path, found })
}

fn fingerprint(certificate: &X509) -> Result<[u8; 32], ErrorStack> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&digest);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
