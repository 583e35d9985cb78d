//! The outer shape of a PKCS#7 signature, of which OpenSSL's interface shows too little.
//!
//! A signature as this program, `openssl smime` and the kernel's own scripts make it has one form for a certificate
//! and a signature value. Comparing with that form finds a change in the parts that no signature covers.

/// Tags of X.690.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// `1.2.840.113549.1.7.2` (signedData) and `1.2.840.113549.1.7.1` (data), with tag and length.
const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
/// `2.16.840.1.101.3.4.2.1` (sha256) with its parameter NULL.
const SHA256: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
/// `1.2.840.113549.1.1.1` (rsaEncryption) with its parameter NULL, and `1.2.840.10045.4.3.2` (ecdsa-with-SHA256).
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const VERSION_1: &[u8] = b"\x02\x01\x01";

/// Who made a signature, and what the signature is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SignerInfo<'a> {
    /// The distinguished name of the certificate's issuer, in DER.
    pub(super) issuer: &'a [u8],
    /// The certificate's serial number, as the bytes of an INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) has_certificates: bool,
    pub(super) has_attributes: bool,
    value: &'a [u8],
}

/// Returns the one signer of a signature; `None` for another shape.
pub(super) fn signer(signature: &[u8]) -> Option<SignerInfo<'_>> {
    let mut content = Reader(Reader(signature).take(SEQUENCE)?);
    content.expect(SIGNED_DATA)?;
    let mut signed = Reader(Reader(content.take(CONTEXT_0)?).take(SEQUENCE)?);
    signed.take(INTEGER)?;
    signed.take(SET)?;
    signed.take(SEQUENCE)?;
    let has_certificates = signed.0.first() == Some(&CONTEXT_0);
    while signed.0.first().is_some_and(|tag| *tag != SET) {
        signed.any()?;
    }
    let mut signers = Reader(signed.take(SET)?);
    let mut signer = Reader(signers.take(SEQUENCE)?);
    signer.take(INTEGER)?;
    let mut certificate = Reader(signer.take(SEQUENCE)?);
    let issuer = certificate.any()?.0;
    let serial = certificate.take(INTEGER)?;
    signer.take(SEQUENCE)?;
    let has_attributes = signer.0.first() == Some(&CONTEXT_0);
    if has_attributes {
        signer.any()?;
    }
    signer.take(SEQUENCE)?;
    let value = signer.take(OCTET_STRING)?;
    signers.0.is_empty().then_some(SignerInfo {
        issuer,
        serial,
        has_certificates,
        has_attributes,
        value,
    })
}

impl SignerInfo<'_> {
    /// Tells whether `signature` is what `openssl smime -sign -nocerts -noattr` gives for this signer and value.
    pub(super) fn is_plain(&self, signature: &[u8]) -> bool {
        [RSA, ECDSA_SHA256].into_iter().any(|algorithm| {
            let certificate = sequence(&[self.issuer, &element(INTEGER, self.serial)].concat());
            let value = element(OCTET_STRING, self.value);
            let parts = [VERSION_1, &certificate, SHA256, algorithm, &value];
            let signers = element(SET, &sequence(&parts.concat()));
            let digests = element(SET, SHA256);
            let signed = sequence(&[VERSION_1, &digests, &sequence(DATA), &signers].concat());
            sequence(&[SIGNED_DATA, &element(CONTEXT_0, &signed)].concat()) == signature
        })
    }
}

fn sequence(content: &[u8]) -> Vec<u8> {
    element(SEQUENCE, content)
}

/// Encodes an element with the shortest length, as DER demands.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let length = content.len().to_be_bytes();
    let used = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match (content.len(), used) {
        (0..128, used) => encoded.push(used.first().copied().unwrap_or(0)),
        (_, used) => {
            encoded.push(0x80 | u8::try_from(used.len()).unwrap_or(0));
            encoded.extend_from_slice(used);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}

/// Takes elements off the front of DER.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Takes an element: all of it, and its content.
    fn any(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let first = usize::from(*self.0.get(1)?);
        let (header, length) = match first.checked_sub(0x80) {
            None => (2, first),
            Some(count @ 1..=4) => {
                let bytes = self.0.get(2..2 + count)?;
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                (2 + count, length)
            }
            Some(_) => return None,
        };
        let (whole, rest) = self.0.split_at_checked(header.checked_add(length)?)?;
        self.0 = rest;
        Some((whole, whole.get(header..)?))
    }

    /// Takes an element with this tag, and returns its content.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.0.first() == Some(&tag))
            .then(|| self.any())??
            .1
            .into()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }
}
