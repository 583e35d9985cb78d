//! What is written of an image besides its plain format, and what those files are called.

use std::collections::BTreeMap;

use super::{Compression, Format, Recipe, SplitArtifact};
use crate::ddi::{Designator, PartitionArchitecture};
use crate::recipe::repart::{Definition, VerityPart};

/// What else an image's outputs are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outputs {
    /// Whether there is a list of what has changed in its packages.
    pub changelog: bool,
    pub oci: OciOutput,
    /// What signs the checksums.
    pub signature: Option<ChecksumSignature>,
}

/// What an OCI image says of itself, and where it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OciOutput {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub layout: OciLayout,
}

/// How an OCI image lies on disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OciLayout {
    #[default]
    Directory,
    /// A tar archive of that directory.
    Archive,
}

/// How the checksums are signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChecksumSignature {
    /// `gpg`, or a program with the Stateless OpenPGP command line.
    pub tool: String,
    /// What `gpg` knows the key by, or the file that another tool reads it from.
    pub key: Option<String>,
}

impl Recipe {
    /// Tells whether the output is a directory.
    pub fn is_directory_output(&self) -> bool {
        match self.format {
            Format::Directory => true,
            Format::Oci => self.outputs.oci.layout == OciLayout::Directory,
            _ => false,
        }
    }

    /// Returns the name of the file or directory that is made, such as `btrfs.raw`, `initrd.cpio.zst` or `base`.
    pub fn output_file_name(&self) -> String {
        self.uncompressed_file_name() + self.outer_compression().extension()
    }

    /// Returns the compression around the whole output. As mkosi has it, a directory has none whatever the recipe says,
    /// and an OCI image has it around its layer.
    pub fn outer_compression(&self) -> Compression {
        match self.format.is_compressed_whole() {
            true => self.compress_output,
            false => Compression::None,
        }
    }

    /// Returns the name that the output has before it is compressed.
    fn uncompressed_file_name(&self) -> String {
        let extension = self
            .output_extension
            .as_deref()
            .unwrap_or(self.format.extension());
        let mut name = self.output.clone();
        if !extension.is_empty() {
            name.push('.');
            name.push_str(extension);
        }
        name
    }

    /// Returns the name of the file of a partition called `partition`, as `systemd-repart` gives it.
    pub fn partition_file_name(&self, partition: &str) -> String {
        let name = self.uncompressed_file_name();
        let compression = self.outer_compression().extension();
        match name.strip_suffix(".raw") {
            Some(stem) => format!("{stem}.{partition}.raw{compression}"),
            None => format!("{name}.{partition}{compression}"),
        }
    }

    /// Returns the name of the file of a part of the tree.
    pub fn split_file_name(&self, artifact: SplitArtifact) -> Option<String> {
        let extension = match artifact {
            SplitArtifact::Tar => {
                format!("tar{}", self.compress_output.extension())
            }
            SplitArtifact::OsRelease => "osrelease".to_owned(),
            SplitArtifact::Kernel => "vmlinuz".to_owned(),
            SplitArtifact::Initrd => "initrd".to_owned(),
            SplitArtifact::Partitions
            | SplitArtifact::RootHash
            | SplitArtifact::RepartDefinitions => return None,
        };
        Some(format!("{}.{extension}", self.output))
    }

    /// Returns the name of the file of the root hash.
    pub fn root_hash_file_name(&self) -> String {
        format!("{}.roothash", self.output)
    }

    /// Returns the name of the file of digests.
    pub fn checksums_file_name(&self) -> String {
        format!("{}.SHA256SUMS", self.output)
    }

    /// Returns the name of the file with the signature of the digests.
    pub fn signature_file_name(&self) -> String {
        format!("{}.gpg", self.checksums_file_name())
    }

    /// Returns the name of the file with the list of packages.
    pub fn manifest_file_name(&self) -> String {
        format!("{}.manifest", self.output)
    }

    /// Returns the name of the file with what has changed in the packages.
    pub fn changelog_file_name(&self) -> String {
        format!("{}.changelog", self.output)
    }

    /// Tells whether the root hash becomes a file: for who asks for it, and for who is to sign it.
    pub fn wants_root_hash(&self) -> bool {
        let is_data = |definition: &Definition| definition.verity == VerityPart::Data;
        (self.format.has_verity() || self.definitions.iter().any(is_data))
            && (self.verity == super::Verity::Deferred
                || self.split_artifacts.contains(&SplitArtifact::RootHash))
    }

    /// Returns the names of all files that may be made beside the image.
    pub fn artifact_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        if self.manifest {
            names.push(self.manifest_file_name());
        }
        if self.outputs.changelog {
            names.push(self.changelog_file_name());
        }
        let architecture = PartitionArchitecture::named(self.architecture.systemd_name());
        let splits = self.split_artifacts.contains(&SplitArtifact::Partitions);
        if !self.definitions.is_empty() {
            let split = self.definitions.iter().filter(|_| splits);
            let split_names = split.filter_map(|definition| definition.split_name.as_deref());
            names.extend(split_names.map(|name| self.partition_file_name(name)));
        } else if let (Ok(architecture), true, true) =
            (architecture, splits, self.format.is_disk_image())
        {
            let parts = match self.format.has_verity() {
                true => 3,
                false => 1,
            };
            names.extend(
                Designator::OF_ROOT[..parts]
                    .iter()
                    .map(|part| self.partition_file_name(&part.partition_name(architecture))),
            );
        }
        if self.wants_root_hash() {
            names.push(self.root_hash_file_name());
        }
        let parts = self.split_artifacts.iter().copied();
        names.extend(parts.filter_map(|part| self.split_file_name(part)));
        if self.outputs.signature.is_some() {
            names.push(self.signature_file_name());
        }
        names
    }

    /// Returns the name of the directory with the definitions of the partitions, if there is to be one.
    pub fn definitions_name(&self) -> Option<String> {
        let wanted = self
            .split_artifacts
            .contains(&SplitArtifact::RepartDefinitions);
        (wanted && !self.definitions.is_empty()).then(|| format!("{}.repart.d", self.output))
    }

    /// Returns the name of the symbolic link to the output; `None` when the output has that name itself.
    pub fn output_link_name(&self) -> Option<&str> {
        let is_file = !self.is_directory_output() && self.format != Format::None;
        (is_file && self.output_file_name() != self.output).then_some(self.output.as_str())
    }
}
