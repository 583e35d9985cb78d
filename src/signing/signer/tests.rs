use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::{Error, Signer};
use crate::Hint;
use crate::signing::{KeyOptions, KeyPair, generate};

const CONTENT: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn of(pair: &KeyPair) -> Self {
        let this = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        this.write("key", &pair.key_pem, 0o600);
        this.write("crt", &pair.certificate_pem, 0o644);
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        use std::io::Write;
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs_err::set_permissions(self.path(name), permissions).unwrap();
    }

    fn signer(&self) -> Result<Signer, Error> {
        Signer::from_files(&self.path("key"), &self.path("crt"))
    }
}

fn rsa() -> KeyPair {
    generate(&KeyOptions::new("overcoat of a test")).unwrap()
}

/// Returns `key` with a certificate that only names it; Ed25519 signs without a digest.
fn pair_of(key: &PKey<Private>, digest: MessageDigest) -> KeyPair {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "test").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(key, digest).unwrap();
    KeyPair {
        key_pem: key.private_key_to_pem_pkcs8().unwrap(),
        certificate_pem: builder.build().to_pem().unwrap(),
    }
}

fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// Verifies as systemd does: against the signer's own certificate, without a chain.
fn verifies(signature: &[u8], content: &[u8], certificate: &Path) -> bool {
    let certificate = X509::from_pem(&fs_err::read(certificate).unwrap()).unwrap();
    let mut certificates = Stack::new().unwrap();
    certificates.push(certificate).unwrap();
    let store = X509StoreBuilder::new().unwrap().build();
    let flags = Pkcs7Flags::NOINTERN | Pkcs7Flags::NOVERIFY | Pkcs7Flags::BINARY;
    Pkcs7::from_der(signature)
        .unwrap()
        .verify(&certificates, &store, Some(content), None, flags)
        .is_ok()
}

#[test]
fn an_rsa_signature_verifies_and_is_the_same_twice() {
    let files = Files::of(&rsa());
    let signer = files.signer().unwrap();
    let signature = signer.sign(CONTENT).unwrap();
    assert!(verifies(&signature, CONTENT, &files.path("crt")));
    assert!(!verifies(&signature, b"something else", &files.path("crt")));
    assert!(signer.is_reproducible());
    assert_eq!(signature, signer.sign(CONTENT).unwrap());
}

#[test]
fn a_signature_holds_no_certificate_and_no_attributes() {
    let signature = Files::of(&rsa()).signer().unwrap().sign(CONTENT).unwrap();
    let parsed = Pkcs7::from_der(&signature).unwrap();
    let certificates = parsed.signed().unwrap().certificates();
    assert!(certificates.is_none_or(|found| found.is_empty()));
    // signingTime, 1.2.840.113549.1.9.5, and messageDigest, ….9.4, would be attributes.
    let attribute = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09];
    assert!(!signature.windows(attribute.len()).any(|at| at == attribute));
}

#[test]
fn an_ec_key_signs_and_is_said_to_be_irreproducible() {
    let files = Files::of(&pair_of(
        &ec(Nid::X9_62_PRIME256V1),
        MessageDigest::sha256(),
    ));
    let signer = files.signer().unwrap();
    let signature = signer.sign(CONTENT).unwrap();
    assert!(verifies(&signature, CONTENT, &files.path("crt")));
    assert!(!signer.is_reproducible());
}

#[test]
fn keys_the_kernel_does_not_verify_are_refused() {
    let ed25519 = PKey::generate_ed25519().unwrap();
    let cases = [
        (pair_of(&ed25519, MessageDigest::null()), "Ed25519"),
        (
            pair_of(&ec(Nid::SECP256K1), MessageDigest::sha256()),
            "EC on secp256k1",
        ),
    ];
    for (pair, expected) in cases {
        match Files::of(&pair).signer().unwrap_err() {
            Error::UnsupportedKey { found, .. } => assert_eq!(found, expected),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_key_that_others_may_use_is_refused_and_a_group_may() {
    let pair = rsa();
    for (mode, accepted) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o604, false),
        (0o602, false),
    ] {
        let files = Files::of(&pair);
        files.write("key", &pair.key_pem, 0o600);
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs_err::set_permissions(files.path("key"), permissions).unwrap();
        match files.signer() {
            Ok(_) => assert!(accepted, "{mode:o}"),
            Err(error @ Error::KeyAccessible { .. }) => {
                assert!(!accepted, "{mode:o}");
                let expected = format!("run `chmod 600 {}`", files.path("key").display());
                assert_eq!(error.hint(), Some(expected));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn another_keys_certificate_is_refused() {
    let files = Files::of(&rsa());
    files.write("crt", &rsa().certificate_pem, 0o644);
    assert!(matches!(files.signer(), Err(Error::Mismatch { .. })));
}

#[test]
fn an_encrypted_key_is_refused_without_asking() {
    let pair = rsa();
    let key = PKey::private_key_from_pem(&pair.key_pem).unwrap();
    let files = Files::of(&pair);
    let encrypted = key
        .private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret")
        .unwrap();
    files.write("key", &encrypted, 0o600);
    assert!(matches!(files.signer(), Err(Error::KeyEncrypted { .. })));
}

#[test]
fn files_that_are_no_pem_are_refused() {
    let files = Files::of(&rsa());
    files.write("crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n", 0o644);
    assert!(matches!(
        files.signer(),
        Err(Error::ParseCertificate { .. })
    ));
    files.write("key", b"", 0o600);
    assert!(matches!(files.signer(), Err(Error::ParseKey { .. })));
    fs_err::remove_file(files.path("key")).unwrap();
    let missing = files.signer().unwrap_err();
    assert!(matches!(missing, Error::ReadKey { .. }));
    assert_eq!(
        missing.hint().unwrap(),
        "make a key and its certificate with `overcoat genkey`"
    );
}

#[test]
fn debug_output_holds_no_key() {
    let pair = rsa();
    assert!(!format!("{pair:?}").contains("PRIVATE"));
    let shown = format!("{:?}", Files::of(&pair).signer().unwrap());
    assert!(shown.starts_with("Signer { certificate: X509"), "{shown}");
}

/// What OpenSSL's program signs and accepts, the judge of our signatures.
#[cfg(feature = "integration")]
mod oracle {
    use std::process::Command;

    use super::{CONTENT, Files, rsa};

    fn openssl(files: &Files, arguments: &str) -> std::process::Output {
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(files.directory.path())
            .output()
            .unwrap()
    }

    #[test]
    fn a_signature_is_what_openssl_smime_makes() {
        let files = Files::of(&rsa());
        files.write("content", CONTENT, 0o644);
        let made = openssl(
            &files,
            "smime -sign -nocerts -noattr -binary -in content -inkey key -signer crt -outform der",
        );
        assert_eq!(made.stdout, files.signer().unwrap().sign(CONTENT).unwrap());
    }

    #[test]
    fn openssl_smime_verifies_a_signature() {
        let files = Files::of(&rsa());
        files.write("content", CONTENT, 0o644);
        let signature = files.signer().unwrap().sign(CONTENT).unwrap();
        files.write("signature", &signature, 0o644);
        let verify = "smime -verify -inform der -in signature -content content -certfile crt -nointern -noverify -binary";
        assert!(openssl(&files, verify).status.success());
        files.write("content", b"changed", 0o644);
        assert!(!openssl(&files, verify).status.success());
    }

    #[test]
    fn the_fingerprint_is_what_openssl_x509_shows() {
        let files = Files::of(&rsa());
        let shown = openssl(&files, "x509 -in crt -noout -fingerprint -sha256").stdout;
        let shown = String::from_utf8(shown).unwrap();
        let hex: String = shown
            .split_once('=')
            .unwrap()
            .1
            .trim()
            .replace(':', "")
            .to_lowercase();
        let fingerprint = files.signer().unwrap().certificate_fingerprint();
        let ours: String = fingerprint
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(ours, hex);
    }

    #[test]
    fn a_key_pair_of_mkosi_genkey_is_taken() {
        let files = Files::of(&rsa());
        let made = openssl(
            &files,
            "req -new -x509 -newkey rsa:2048 -keyout key -out crt -days 730 -subj /CN=mkosi -nodes",
        );
        assert!(made.status.success(), "{made:?}");
        assert!(files.signer().unwrap().is_reproducible());
    }

    #[test]
    fn an_rsa_pss_key_is_refused() {
        let files = Files::of(&rsa());
        assert!(
            openssl(&files, "genpkey -algorithm RSA-PSS -out key")
                .status
                .success()
        );
        match files.signer().unwrap_err() {
            super::Error::UnsupportedKey { found, .. } => assert_eq!(found, "RSA-PSS"),
            other => panic!("{other}"),
        }
    }
}
