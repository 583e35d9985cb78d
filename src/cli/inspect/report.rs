//! What is said of an image, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use openssl::x509::X509;
use serde::Serialize;

use crate::cli::images::{path_of, time_of};
use crate::cli::table::{Align, size, table};
use crate::ddi::read::{
    CertificateText, FoundPartition, Image, PartitionTable, Protection, SignatureError,
    SignaturePartition, TableCopy,
};
use crate::extension::parse_os_release;
use crate::format::file_system::FileSystem;
use crate::tree::{EntryKind, FileTree, TreePath};

/// Where the files lie that say what an image is.
const RELEASE_DIRECTORIES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];
const OS_RELEASE: &str = "usr/lib/os-release";
/// Such a file has a few lines.
const RELEASE_LIMIT_BYTES: u64 = 64 << 10;

/// All that is said of an image besides its entries.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    image: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_table: Option<TableReport>,
    file_system: FileSystemReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    verity: Option<VerityReport>,
    releases: Vec<ReleaseReport>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TableReport {
    sector_size_bytes: u64,
    disk: String,
    /// Whether the table at the start was damaged, and this is the one at the end.
    from_backup: bool,
    partitions: Vec<PartitionReport>,
}

#[derive(Debug, Serialize)]
struct PartitionReport {
    number: u32,
    name: String,
    #[serde(rename = "type")]
    partition_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    designator: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<&'static str>,
    uuid: String,
    offset_bytes: u64,
    size_bytes: u64,
    /// In hex, by the specification's bits.
    attributes: String,
}

#[derive(Debug, Serialize)]
struct FileSystemReport {
    #[serde(rename = "type")]
    kind: &'static str,
    size_bytes: u64,
    block_size_bytes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    label: String,
    created: String,
    inode_count: u64,
    entry_count: usize,
    /// What the files are long in all, hard links once.
    uncompressed_size_bytes: u64,
    compression: Vec<&'static str>,
    features: Vec<FeatureReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_kernel: Option<String>,
}

#[derive(Debug, Serialize)]
struct FeatureReport {
    name: &'static str,
    kernel: String,
}

#[derive(Debug, Serialize)]
struct VerityReport {
    root_hash: String,
    /// Whether the identifiers of the partitions are those that systemd looks for.
    root_hash_is_that_of_partitions: bool,
    salt: String,
    data_block_size_bytes: u32,
    hash_block_size_bytes: u32,
    data_blocks: u64,
    signature: SignatureReport,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum SignatureReport {
    /// There is no partition for one.
    None,
    /// The partition is there and empty.
    Deferred,
    Damaged {
        reason: String,
    },
    Present(Box<PresentSignature>),
}

#[derive(Debug, Serialize)]
struct PresentSignature {
    size_bytes: usize,
    issuer: String,
    serial: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_fingerprint: Option<String>,
    /// Those in the signature, and the one that was given.
    certificates: Vec<CertificateReport>,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    subject: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    not_before: String,
    not_after: String,
    /// Whether its key made the signature.
    signed: bool,
}

#[derive(Debug, Serialize)]
struct ReleaseReport {
    path: String,
    fields: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(
        path: &Path,
        image: &Image,
        file_system: &FileSystem,
        tree: &FileTree,
        certificate: Option<&X509>,
    ) -> Self {
        let mut warnings = Vec::new();
        let payloads = image.payloads();
        let protection = payloads
            .first()
            .and_then(|payload| match image.protection(payload)? {
                Ok(protection) => Some((payload, protection)),
                Err(error) => {
                    warnings.push(format!("the hash tree cannot be used: {error}"));
                    None
                }
            });
        if payloads.len() > 1 {
            warnings.push("only the first of several file systems is shown".to_owned());
        }
        if let Some(damage) = image
            .table()
            .and_then(|table| table.primary_damage.as_ref())
        {
            warnings.push(format!(
                "the partition table at the start of the image is damaged, so the one at its end is shown: {damage}"
            ));
        }
        let verity = protection.map(|(payload, protection)| {
            let uuids = [
                (
                    payload.partition,
                    protection.root_hash.data_partition_uuid(),
                ),
                (payload.verity, protection.root_hash.verity_partition_uuid()),
            ];
            let is_named = uuids
                .iter()
                .all(|(found, uuid)| found.is_some_and(|found| found.partition.uuid == *uuid));
            if !is_named {
                warnings.push(
                    "the root hash is not the one that the UUIDs of the partitions say".to_owned(),
                );
            }
            VerityReport::new(&protection, is_named, certificate)
        });
        Self {
            image: path.to_string_lossy().into_owned(),
            size_bytes: image.bytes().size_bytes(),
            partition_table: image.table().map(TableReport::new),
            file_system: FileSystemReport::new(file_system, tree),
            verity,
            releases: releases(tree),
            warnings,
        }
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn text(&self) -> String {
        let mut lines: Vec<[String; 2]> = Vec::new();
        let mut line = |label: &str, text: String| lines.push([label.to_owned(), text]);
        line(
            "image",
            format!("{}, {}", self.image, size(self.size_bytes)),
        );
        if let Some(table) = &self.partition_table {
            let sector = table.sector_size_bytes;
            line(
                "table",
                format!("GPT of {sector}-byte sectors, disk {}", table.disk),
            );
        } else {
            line("table", "none".to_owned());
        }
        self.file_system.describe(&mut line);
        match &self.verity {
            Some(verity) => verity.describe(&mut line),
            None => line("root hash", "none: there is no hash tree".to_owned()),
        }
        for release in &self.releases {
            line("release", release.path.clone());
            for (key, value) in &release.fields {
                line("", format!("{key}={value}"));
            }
        }
        let mut text = table([Align::Left, Align::Left], &lines);
        if let Some(table) = &self.partition_table {
            let _ = write!(text, "\n{}", table.text());
        }
        text
    }
}

impl TableReport {
    fn new(found: &PartitionTable) -> Self {
        Self {
            sector_size_bytes: found.sector.bytes(),
            disk: found.disk.to_string(),
            from_backup: found.copy == TableCopy::Backup,
            partitions: found.partitions.iter().map(PartitionReport::new).collect(),
        }
    }

    fn text(&self) -> String {
        use Align::{Left, Right};
        let header = ["", "partition", "type", "start", "size", "UUID"].map(str::to_owned);
        let rows = self.partitions.iter().map(|partition| {
            let kind = match (partition.designator, partition.architecture) {
                (Some(designator), Some(architecture)) => format!("{designator} {architecture}"),
                _ => partition.partition_type.clone(),
            };
            [
                partition.number.to_string(),
                partition.name.clone(),
                kind,
                partition.offset_bytes.to_string(),
                size(partition.size_bytes),
                partition.uuid.clone(),
            ]
        });
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
        table([Right, Left, Left, Right, Right, Left], &rows)
    }
}

impl PartitionReport {
    fn new(found: &FoundPartition) -> Self {
        let partition = &found.partition;
        Self {
            number: found.number,
            name: partition.name.clone(),
            partition_type: partition.partition_type.to_string(),
            designator: found.kind.map(|(designator, _)| designator.name()),
            architecture: found.kind.map(|(_, architecture)| architecture.name()),
            uuid: partition.uuid.to_string(),
            offset_bytes: partition.offset_bytes,
            size_bytes: partition.size_bytes,
            attributes: format!("{:#018x}", found.attributes),
        }
    }
}

impl FileSystemReport {
    fn new(file_system: &FileSystem, tree: &FileTree) -> Self {
        let description = file_system.description();
        let mut seen = std::collections::HashSet::new();
        let uncompressed_size_bytes = tree
            .iter()
            .filter(|(_, entry)| matches!(entry.kind, EntryKind::Regular(_)))
            .filter(|(_, entry)| entry.hard_link.is_none_or(|group| seen.insert(group)))
            .fold(0_u64, |size, (_, entry)| {
                size.saturating_add(entry.size_bytes())
            });
        let oldest_kernel = description.oldest_kernel();
        Self {
            kind: description.file_system,
            size_bytes: description.size_bytes,
            block_size_bytes: description.block_size_bytes,
            uuid: description.uuid.map(|uuid| uuid.to_string()),
            label: description.label,
            created: time_of(description.created),
            inode_count: description.inode_count,
            entry_count: tree.entry_count(),
            uncompressed_size_bytes,
            compression: description.compression,
            features: description
                .features
                .iter()
                .map(|feature| FeatureReport {
                    name: feature.name,
                    kernel: feature.kernel.to_string(),
                })
                .collect(),
            oldest_kernel: oldest_kernel.map(|kernel| kernel.to_string()),
        }
    }

    fn describe(&self, line: &mut impl FnMut(&str, String)) {
        let compression = match self.compression.as_slice() {
            [] => "uncompressed".to_owned(),
            used => used.join(", "),
        };
        line(
            "file system",
            format!(
                "{}, {compression}, {}-byte blocks",
                self.kind, self.block_size_bytes
            ),
        );
        if let Some(kernel) = &self.oldest_kernel {
            let features = self.features.iter();
            let features: Vec<_> = features
                .map(|feature| format!("{} {}", feature.name, feature.kernel))
                .collect();
            line(
                "kernel",
                format!("{kernel} or later ({})", features.join(", ")),
            );
        }
        if let Some(uuid) = &self.uuid {
            line("UUID", uuid.clone());
        }
        if !self.label.is_empty() {
            line("label", self.label.clone());
        }
        line("created", self.created.clone());
        line(
            "contents",
            format!(
                "{} entries, {} in files, {} stored",
                self.entry_count,
                size(self.uncompressed_size_bytes),
                size(self.size_bytes)
            ),
        );
    }
}

impl VerityReport {
    fn new(protection: &Protection, is_named: bool, certificate: Option<&X509>) -> Self {
        let superblock = &protection.superblock;
        Self {
            root_hash: protection.root_hash.to_string(),
            root_hash_is_that_of_partitions: is_named,
            salt: crate::digest::hexadecimal(&superblock.salt),
            data_block_size_bytes: superblock.data_block_size,
            hash_block_size_bytes: superblock.hash_block_size,
            data_blocks: superblock.data_blocks,
            signature: match &protection.signature {
                None => SignatureReport::None,
                Some(Err(SignatureError::Empty)) => SignatureReport::Deferred,
                Some(Err(error)) => SignatureReport::Damaged {
                    reason: error.to_string(),
                },
                Some(Ok(signature)) => SignatureReport::of(signature, protection, certificate),
            },
        }
    }

    fn describe(&self, line: &mut impl FnMut(&str, String)) {
        line("root hash", self.root_hash.clone());
        match &self.signature {
            SignatureReport::None => line("signature", "none".to_owned()),
            SignatureReport::Deferred => {
                line("signature", "none yet: its partition is empty".to_owned());
            }
            SignatureReport::Damaged { reason } => line("signature", format!("damaged: {reason}")),
            SignatureReport::Present(signature) => signature.describe(line),
        }
    }
}

impl SignatureReport {
    fn of(
        signature: &SignaturePartition,
        protection: &Protection,
        certificate: Option<&X509>,
    ) -> Self {
        let signer = match signature.signer() {
            Ok(signer) => signer,
            Err(error) => {
                return Self::Damaged {
                    reason: error.to_string(),
                };
            }
        };
        let known = signature.certificates();
        let certificates = known.iter().chain(certificate).filter_map(|certificate| {
            let text = CertificateText::of(certificate).ok()?;
            let signed = signature.verify(protection.root_hash, certificate).is_ok();
            Some(CertificateReport {
                subject: text.subject,
                issuer: text.issuer,
                serial: text.serial,
                fingerprint: text.fingerprint,
                not_before: text.not_before,
                not_after: text.not_after,
                signed,
            })
        });
        Self::Present(Box::new(PresentSignature {
            size_bytes: signature.signature.len(),
            issuer: signer.issuer,
            serial: signer.serial,
            certificate_fingerprint: signature.certificate_fingerprint.clone(),
            certificates: certificates.collect(),
        }))
    }
}

impl PresentSignature {
    fn describe(&self, line: &mut impl FnMut(&str, String)) {
        line(
            "signature",
            format!("PKCS#7, {} bytes, not checked here", self.size_bytes),
        );
        line("signer", format!("issued by {}", self.issuer));
        line("", format!("serial number {}", self.serial));
        if let Some(fingerprint) = &self.certificate_fingerprint {
            line("", format!("fingerprint {fingerprint}"));
        }
        for certificate in &self.certificates {
            let has_signed = if certificate.signed {
                "made"
            } else {
                "did not make"
            };
            line("certificate", certificate.subject.clone());
            line("", format!("fingerprint {}", certificate.fingerprint));
            line(
                "",
                format!(
                    "valid from {} to {}",
                    certificate.not_before, certificate.not_after
                ),
            );
            line("", format!("its key {has_signed} the signature"));
        }
    }
}

/// Returns what the files say that name the system or extension.
fn releases(tree: &FileTree) -> Vec<ReleaseReport> {
    let is_release = |path: &TreePath| {
        let parent = path.parent().map(|parent| parent.to_string());
        path.to_string() == OS_RELEASE
            || (path.file_name().starts_with(b"extension-release.")
                && parent.is_some_and(|parent| RELEASE_DIRECTORIES.contains(&parent.as_str())))
    };
    let files = tree.iter().filter_map(|(path, entry)| match &entry.kind {
        EntryKind::Regular(content) if is_release(path) => Some((path, content)),
        _ => None,
    });
    files
        .filter(|(_, content)| content.size_bytes() <= RELEASE_LIMIT_BYTES)
        .filter_map(|(path, content)| {
            let text = content.read_all().ok()?;
            let fields = parse_os_release(&String::from_utf8_lossy(&text));
            let fields = fields.iter();
            Some(ReleaseReport {
                path: path_of(path),
                fields: fields
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            })
        })
        .collect()
}
