//! Foreign programs judge the tutorial's images.

use openssl::base64;
use openssl::hash::MessageDigest;
use openssl::x509::X509;
use serde::Deserialize;
use tempfile::TempDir;

use crate::ddi::{Image, ROOT, ROOT_VERITY, ROOT_VERITY_SIG, root_hash};
use crate::harness;
use crate::require::{self, tool};
use crate::tutorial;

/// The content of a verity signature partition (Discoverable Disk Image specification).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignaturePartition {
    root_hash: String,
    certificate_fingerprint: String,
    signature: String,
}

fn extension() -> Result<Image, String> {
    require::building()?;
    let sfdisk = tool("sfdisk")?;
    Ok(Image::read(&sfdisk, tutorial::signed().output("btrfs.raw")))
}

fn signature(image: &Image) -> SignaturePartition {
    let bytes = fs_err::read(image.extract(ROOT_VERITY_SIG)).unwrap();
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    assert_eq!(bytes[end..], vec![0; bytes.len() - end]);
    serde_json::from_slice(&bytes[..end]).unwrap()
}

#[test]
fn sfdisk_finds_no_error_in_the_partition_tables() {
    require!(require::building());
    let sfdisk = require!(tool("sfdisk"));
    for name in ["btrfs.raw", "image.raw"] {
        let path = tutorial::signed().output(name);
        let verdict = sfdisk.text(&["--verify".as_ref(), path.as_os_str()]);
        let found_none = verdict.lines().any(|line| line == "No errors detected.");
        assert!(found_none, "{name}: {verdict}");
    }
}

#[test]
fn extension_has_data_verity_and_signature() {
    let image = require!(extension());
    assert_eq!(image.types(), [ROOT, ROOT_VERITY, ROOT_VERITY_SIG]);
}

#[test]
fn extension_without_a_key_has_data_alone() {
    require!(require::building());
    let sfdisk = require!(tool("sfdisk"));
    let image = Image::read(&sfdisk, tutorial::initrd().output("btrfs.raw"));
    assert_eq!(image.types(), [ROOT]);
}

#[test]
fn fsck_erofs_accepts_the_data() {
    let image = require!(extension());
    let fsck = require!(tool("fsck.erofs"));
    // The first that knows fragments.
    if require::erofs_utils(&fsck) < (1, 6) {
        return require::say_skipped("this fsck.erofs is older than 1.6");
    }
    fsck.output(&[image.extract(ROOT)]);
}

#[test]
fn veritysetup_verifies_the_data_with_the_root_hash_of_the_uuids() {
    let image = require!(extension());
    let veritysetup = require!(tool("veritysetup"));
    let (data, hash_tree) = (image.extract(ROOT), image.extract(ROOT_VERITY));
    veritysetup.output(&[
        "verify".as_ref(),
        data.as_os_str(),
        hash_tree.as_os_str(),
        root_hash(&image).as_ref(),
    ]);
}

#[test]
fn signature_partition_names_the_root_hash_and_the_certificate() {
    let image = require!(extension());
    let signature = signature(&image);
    assert_eq!(signature.root_hash, root_hash(&image));
    let certificate = fs_err::read(tutorial::signed().certificate()).unwrap();
    let digest = X509::from_pem(&certificate)
        .unwrap()
        .digest(MessageDigest::sha256())
        .unwrap();
    let fingerprint: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature.certificate_fingerprint, fingerprint);
}

#[test]
fn openssl_verifies_the_signature_of_the_root_hash() {
    let image = require!(extension());
    let openssl = require!(tool("openssl"));
    let signature = signature(&image);
    let directory = TempDir::new_in(harness::directory()).unwrap();
    let (message, pkcs7) = (
        directory.path().join("message"),
        directory.path().join("pkcs7"),
    );
    fs_err::write(&message, &signature.root_hash).unwrap();
    fs_err::write(&pkcs7, base64::decode_block(&signature.signature).unwrap()).unwrap();
    // The call that systemd-dissect makes.
    let verified = openssl.output(&[
        "smime".as_ref(),
        "-verify".as_ref(),
        "-binary".as_ref(),
        "-inform".as_ref(),
        "der".as_ref(),
        "-in".as_ref(),
        pkcs7.as_os_str(),
        "-content".as_ref(),
        message.as_os_str(),
        "-certfile".as_ref(),
        tutorial::signed().certificate().as_os_str(),
        "-nointern".as_ref(),
        "-noverify".as_ref(),
    ]);
    assert_eq!(verified, signature.root_hash.as_bytes());
}

/// The unsigned one: dissecting a signed image sets up dm-verity, which not every kernel has.
#[test]
fn systemd_dissect_takes_the_unsigned_image_for_an_extension() {
    require!(require::building());
    if !require::is_root() {
        return require::say_skipped("systemd-dissect needs root for a loop device");
    }
    require!(require::mountable("erofs"));
    let dissect = require!(tool("systemd-dissect"));
    let image = tutorial::initrd().output("btrfs.raw");
    let found = dissect.output(&["--json=short".as_ref(), image.as_os_str()]);
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    assert_eq!(found["useSystemExtension"], true, "{found}");
}

#[test]
fn systemd_dissect_validates_the_signed_extension() {
    let image = require!(extension());
    let dissect = require!(tool("systemd-dissect"));
    if !dissect.text(&["--help"]).contains("--validate") {
        return require::say_skipped("this systemd-dissect is older than 254");
    }
    dissect.output(&[
        "--validate".as_ref(),
        "--image-policy=root=signed".as_ref(),
        image.path().as_os_str(),
    ]);
}

#[test]
fn kernel_mounts_the_data_with_roots_files() {
    let image = require!(extension());
    if !require::is_root() {
        return require::say_skipped("a loop mount needs root");
    }
    require!(require::mountable("erofs"));
    let unshare = require!(tool("unshare"));
    let (offset_bytes, size_bytes) = image.extent(ROOT);
    let directory = TempDir::new_in(harness::directory()).unwrap();
    let script = format!(
        "mount -t erofs -o ro,loop,offset={offset_bytes},sizelimit={size_bytes} \"$1\" \"$2\" && cd \"$2\" \
         && stat -c '%n %U:%G %a' usr/lib/extension-release.d/extension-release.btrfs usr/bin/btrfs && ls"
    );
    let listed = unshare.text(&[
        "--mount".as_ref(),
        "sh".as_ref(),
        "-c".as_ref(),
        script.as_ref(),
        "sh".as_ref(),
        image.path().as_os_str(),
        directory.path().as_os_str(),
    ]);
    assert_eq!(
        listed,
        "usr/lib/extension-release.d/extension-release.btrfs root:root 644\n\
         usr/bin/btrfs root:root 755\n\
         usr\n"
    );
}

#[test]
fn cpio_lists_the_initrd() {
    require!(require::building());
    let (zstd, cpio) = (require!(tool("zstd")), require!(tool("cpio")));
    let compressed = tutorial::initrd().output("initrd.cpio.zst");
    let directory = TempDir::new_in(harness::directory()).unwrap();
    let archive = directory.path().join("initrd.cpio");
    zstd.output(&[
        "-d".as_ref(),
        "-q".as_ref(),
        "-o".as_ref(),
        archive.as_os_str(),
        compressed.as_os_str(),
    ]);
    let listed = cpio.text(&[
        "--list".as_ref(),
        "--quiet".as_ref(),
        "--verbose".as_ref(),
        "--numeric-uid-gid".as_ref(),
        "--file".as_ref(),
        archive.as_os_str(),
    ]);
    let owners_of = |name: &str| -> Vec<_> {
        listed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields.get(8) == Some(&name))
            .map(|fields| (fields[2].to_owned(), fields[3].to_owned()))
            .collect()
    };
    for name in ["init", "etc/initrd-release", "usr/lib/systemd/systemd"] {
        assert_eq!(
            owners_of(name),
            [("0".to_owned(), "0".to_owned())],
            "{name}"
        );
    }
    assert_eq!(owners_of("."), []);
}
