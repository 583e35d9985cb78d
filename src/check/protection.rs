//! Signature and policy: what the image says of itself before anything in it is read.

use openssl::x509::X509;

use super::merged::readable_text;
use super::report::Host;
use super::{Error, Finding};
use crate::ddi::read::{Image, SignatureError, SignaturePartition};
use crate::ddi::{Designator, RootHash};
use crate::format::file_system::{Description, KernelVersion};
use crate::tree::TreePath;

/// Where systemd looks for certificates that may sign, besides the kernel's keys.
const CERTIFICATES: [&str; 2] = ["etc/verity.d", "usr/lib/verity.d"];
const MODULES: &str = "usr/lib/modules";

/// What is known of the image around a file system.
#[derive(Clone, Debug)]
pub struct Protection {
    /// `None` when the image is the file system.
    pub designator: Option<Designator>,
    /// Of which architecture the partition is.
    pub architecture: Option<&'static str>,
    /// Why the partition table at the start cannot be used.
    pub table_damage: Option<String>,
    /// What is wrong with the hash tree, or the identifiers of the partitions.
    pub hash_tree_damage: Option<String>,
    /// `None` when there is no hash tree.
    pub root_hash: Option<RootHash>,
    pub signature: SignatureState,
    /// The first kernel that reads the file system.
    pub oldest_kernel: Option<KernelVersion>,
}

/// What there is of a signature.
#[derive(Clone, Debug)]
pub enum SignatureState {
    /// There is no partition for one.
    Missing,
    /// The partition is there and empty.
    Empty,
    Damaged {
        reason: String,
    },
    Present(SignaturePartition),
}

impl Protection {
    /// Reads what protects the first file system of `image`.
    pub fn of(image: &Image, description: &Description) -> Self {
        let table = image.table();
        let damage = table.and_then(|table| table.primary_damage.as_ref());
        let mut found = Self {
            designator: None,
            architecture: None,
            table_damage: damage.map(ToString::to_string),
            hash_tree_damage: None,
            root_hash: None,
            signature: SignatureState::Missing,
            oldest_kernel: description.oldest_kernel(),
        };
        let payloads = image.payloads();
        let Some(payload) = payloads.first() else {
            return found;
        };
        if let Some((designator, architecture)) = payload.partition.and_then(|found| found.kind) {
            found.designator = Some(designator);
            found.architecture = Some(architecture.name());
        }
        match image.protection(payload) {
            None => {}
            Some(Err(error)) => found.hash_tree_damage = Some(error.to_string()),
            Some(Ok(protection)) => {
                let root_hash = protection.root_hash;
                let named = [
                    (payload.partition, root_hash.data_partition_uuid()),
                    (payload.verity, root_hash.verity_partition_uuid()),
                ];
                let is_named = named
                    .iter()
                    .all(|(found, uuid)| found.is_some_and(|found| found.partition.uuid == *uuid));
                if !is_named {
                    let reason = "the partitions are not called by the root hash";
                    found.hash_tree_damage = Some(reason.to_owned());
                }
                found.root_hash = Some(root_hash);
                found.signature = match protection.signature {
                    None => SignatureState::Missing,
                    Some(Err(SignatureError::Empty)) => SignatureState::Empty,
                    Some(Err(error)) => SignatureState::Damaged {
                        reason: error.to_string(),
                    },
                    Some(Ok(signature)) => match signature.check_root_hash(root_hash) {
                        Ok(()) => SignatureState::Present(signature),
                        Err(error) => SignatureState::Damaged {
                            reason: error.to_string(),
                        },
                    },
                };
            }
        }
        found
    }
}

pub(super) fn check(
    protection: &Protection,
    host: &Host<'_>,
    architecture: Option<&str>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut add = |finding| findings.push(finding);
    if let Some(damage) = &protection.table_damage {
        let reason = format!(
            "the partition table at the start is damaged, and the one at the end was taken: {damage}"
        );
        add(Finding::new("table-damaged", reason).remedy("build or fetch the image again"));
    }
    if let Some(damage) = &protection.hash_tree_damage {
        let reason = format!("the hash tree will not be used: {damage}");
        add(Finding::new("root-hash-differs", reason).remedy("build or fetch the image again"));
    }
    if let (Some(of_partition), Some(of_release)) = (protection.architecture, architecture)
        && of_partition != of_release
    {
        let reason = format!(
            "the partitions are for `{of_partition}`, and the extension says `{of_release}`"
        );
        add(Finding::new("partition-architecture", reason).remedy("build the image again"));
    }
    if matches!(protection.designator, Some(Designator::Usr)) && protection.root_hash.is_some() {
        let reason = "the file system is in a partition for `/usr`, which systemd up to 257 merges without looking at the \
                      hash tree and the signature";
        let remedy = "put it in a partition for the root, as `Format=sysext` does";
        add(Finding::new("usr-partition", reason).remedy(remedy));
    }
    match &protection.signature {
        _ if protection.root_hash.is_none() && protection.hash_tree_damage.is_none() => {
            let reason = "there is no hash tree, so that nobody notices when the image is changed, and no policy that asks for \
                          one is met";
            let remedy = "build it with `Verity=` other than `no`";
            add(Finding::new("without-hash-tree", reason).remedy(remedy));
        }
        SignatureState::Missing if protection.root_hash.is_some() => {
            let reason = "it is not signed: systemd merges it by default, and refuses it in an initrd and where the image \
                          policy asks for signatures";
            let remedy = "make a key with `overcoat genkey`, or sign it later with `overcoat sign`";
            add(Finding::new("unsigned", reason).remedy(remedy));
        }
        SignatureState::Missing => {}
        SignatureState::Empty => {
            let reason = "the partition for the signature is empty, and systemd does not merge what has one that cannot be \
                          verified";
            add(Finding::new("signature-empty", reason).remedy("sign it with `overcoat sign`"));
        }
        SignatureState::Damaged { reason } => {
            let reason = format!("the signature cannot be used: {reason}");
            add(Finding::new("signature-damaged", reason).remedy("sign it again"));
        }
        SignatureState::Present(signature) => {
            if let Some(root_hash) = protection.root_hash
                && let Some(reason) = unknown_signer(signature, root_hash, host)?
            {
                let remedy = "put the certificate in `/etc/verity.d`, with a name that ends in `.crt`, or among the \
                              kernel's keys";
                add(Finding::new("certificate-unknown", reason).remedy(remedy));
            }
        }
    }
    findings.extend(kernel(protection, host));
    Ok(findings)
}

/// Says why none of the host's certificates is that of the signature.
fn unknown_signer(
    signature: &SignaturePartition,
    root_hash: RootHash,
    host: &Host<'_>,
) -> Result<Option<String>, Error> {
    let Some(tree) = host.tree else {
        return Ok(None);
    };
    let mut count = 0;
    for directory in CERTIFICATES {
        let directory = TreePath::new(directory).expect("a constant path is valid");
        for (path, _) in tree.children(&directory) {
            let found = tree.resolve(path).and_then(|path| tree.get(&path));
            let Some(entry) = found.filter(|_| path.file_name().ends_with(b".crt")) else {
                continue;
            };
            let text = readable_text(entry)?.unwrap_or_default();
            let Ok(certificate) = X509::from_pem(text.as_bytes()) else {
                continue;
            };
            count += 1;
            if signature.verify(root_hash, &certificate).is_ok() {
                return Ok(None);
            }
        }
    }
    Ok(Some(match count {
        0 => "the host has no certificates in `/etc/verity.d` or `/usr/lib/verity.d`: systemd merges the extension only if \
              the kernel knows the certificate"
            .to_owned(),
        _ => format!(
            "none of the host's {count} certificates in `/etc/verity.d` and `/usr/lib/verity.d` is that of the signature: \
             systemd merges the extension only if the kernel knows the certificate"
        ),
    }))
}

fn kernel(protection: &Protection, host: &Host<'_>) -> Option<Finding> {
    let needed = protection.oldest_kernel?;
    let modules = TreePath::new(MODULES).expect("a constant path is valid");
    let kernels = host.tree?.children(&modules);
    let versions = kernels.iter().filter_map(|(path, _)| {
        let name = String::from_utf8_lossy(path.file_name());
        let mut numbers = name.split(['.', '-']).map(str::parse);
        Some(KernelVersion::new(
            numbers.next()?.ok()?,
            numbers.next()?.ok()?,
        ))
    });
    let newest = versions.max()?;
    (newest < needed).then(|| {
        let reason = format!(
            "the file system needs Linux {needed}, and the host's newest kernel is {newest}"
        );
        let remedy = "pack it with an older compression, such as `lz4`";
        Finding::new("kernel-too-old", reason).remedy(remedy)
    })
}
