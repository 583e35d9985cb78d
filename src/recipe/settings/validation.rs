//! The settings of `[Validation]`.

use super::{Magic, Scope, Section, Setting};
use crate::recipe::names::Rule;
use crate::recipe::values::{Kind, PathRule};

const VERITY: Kind = Kind::ChoiceOrBoolean {
    choices: &["disabled", "hash", "signed", "defer", "auto"],
    yes: "signed",
    no: "disabled",
};

const KEY_SOURCES: Kind = Kind::KeySource(&["file", "engine", "provider"]);

const CERTIFICATE_SOURCES: Kind = Kind::KeySource(&["file", "provider"]);

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        Section::Validation,
        "SecureBoot",
        "secure-boot",
        Kind::Boolean,
        "Sign for UEFI Secure Boot",
    )
    .default("no")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootAutoEnroll",
        "secure-boot-auto-enroll",
        Kind::Boolean,
        "Enrol the Secure Boot keys",
    )
    .default("yes")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootKey",
        "secure-boot-key",
        Kind::Key { secret: true },
        "Secure Boot key",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.key")])
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootKeySource",
        "secure-boot-key-source",
        KEY_SOURCES,
        "Where the Secure Boot key comes from",
    )
    .scope(Scope::Universal)
    .default("file")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootCertificate",
        "secure-boot-certificate",
        Kind::Key { secret: false },
        "Secure Boot certificate",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.crt")])
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootCertificateSource",
        "secure-boot-certificate-source",
        CERTIFICATE_SOURCES,
        "Where the Secure Boot certificate comes from",
    )
    .scope(Scope::Universal)
    .default("file")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SecureBootSignTool",
        "secure-boot-sign-tool",
        Kind::Choice(&["auto", "sbsign", "systemd-sbsign"]),
        "Tool that signs for Secure Boot",
    )
    .default("auto")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "Verity",
        "verity",
        VERITY,
        "Protection by dm-verity: signed, hash, disabled, or auto (signed if there is a key)",
    )
    .default("auto"),
    Setting::new(
        Section::Validation,
        "VerityKey",
        "verity-key",
        Kind::Key { secret: true },
        "Key that signs the root hash",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.key")]),
    Setting::new(
        Section::Validation,
        "VerityKeySource",
        "verity-key-source",
        KEY_SOURCES,
        "Where the verity key comes from",
    )
    .scope(Scope::Universal)
    .default("file")
    .unsupported("keys are read from files only so far", &["file"]),
    Setting::new(
        Section::Validation,
        "VerityCertificate",
        "verity-certificate",
        Kind::Key { secret: false },
        "Certificate of the verity key",
    )
    .scope(Scope::Universal)
    .magic(&[Magic::Path("mkosi.crt")]),
    Setting::new(
        Section::Validation,
        "VerityCertificateSource",
        "verity-certificate-source",
        CERTIFICATE_SOURCES,
        "Where the verity certificate comes from",
    )
    .scope(Scope::Universal)
    .default("file")
    .unsupported("certificates are read from files only so far", &["file"]),
    Setting::new(
        Section::Validation,
        "SignExpectedPcr",
        "sign-expected-pcr",
        Kind::Feature,
        "Sign PCR measurements",
    )
    .default("auto")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SignExpectedPcrKey",
        "sign-expected-pcr-key",
        Kind::Key { secret: true },
        "Key that signs PCR measurements",
    )
    .scope(Scope::Inherit)
    .magic(&[Magic::Path("mkosi.key")])
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SignExpectedPcrKeySource",
        "sign-expected-pcr-key-source",
        KEY_SOURCES,
        "Where the PCR key comes from",
    )
    .scope(Scope::Inherit)
    .default("file")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SignExpectedPcrCertificate",
        "sign-expected-pcr-certificate",
        Kind::Key { secret: false },
        "Certificate of the PCR key",
    )
    .scope(Scope::Inherit)
    .magic(&[Magic::Path("mkosi.crt")])
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SignExpectedPcrCertificateSource",
        "sign-expected-pcr-certificate-source",
        CERTIFICATE_SOURCES,
        "Where the PCR certificate comes from",
    )
    .scope(Scope::Inherit)
    .default("file")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "SignInitrdPCRs",
        "sign-initrd-pcrs",
        Kind::Feature,
        "Sign PCR measurements of initrds",
    )
    .default("auto")
    .no_effect("only bootable images have it, and those are out of scope"),
    Setting::new(
        Section::Validation,
        "Passphrase",
        "passphrase",
        Kind::Path(PathRule {
            secret: true,
            ..PathRule::ANY
        }),
        "File with the passphrase of encrypted partitions",
    )
    .magic(&[Magic::Path("mkosi.passphrase")])
    .no_effect("no partition is encrypted"),
    Setting::new(
        Section::Validation,
        "Checksum",
        "checksum",
        Kind::Boolean,
        "Write `SHA256SUMS` of the outputs",
    )
    .described("yes with `Sign=`"),
    Setting::new(
        Section::Validation,
        "Sign",
        "sign",
        Kind::Boolean,
        "Sign the checksums",
    )
    .default("no"),
    Setting::new(
        Section::Validation,
        "Key",
        "key",
        Kind::Text(Rule::Any),
        "Key that signs the checksums",
    ),
    Setting::new(
        Section::Validation,
        "OpenPGPTool",
        "openpgp-tool",
        Kind::Text(Rule::Any),
        "Tool that signs the checksums",
    )
    .default("gpg"),
];
