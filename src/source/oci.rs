//! OCI image layouts: the image of one architecture, with every blob checked.
//!
//! Blobs are named by their digests, and what is not what its name says is an error. Layers are applied in order, the
//! lowest first, with their whiteouts.
//!
//! Formats: the OCI image specification 1.1 (image-layout.md, image-index.md, manifest.md, layer.md).

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::{
    Descriptor, DigestAlgorithm, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
    OciLayout,
};
use openssl::hash::MessageDigest;
use rustix::fs::FileType;

use super::Error;
use super::archive::numeric;
use super::kept::{Scratch, keep};
use crate::beneath::Directory;
use crate::digest::hexadecimal;
use crate::format::tar::unpack::{Rules, unpack};
use crate::tree::{
    Content, ContentError, Entry, EntryKind, FileTree, InvalidTreePath, Timestamp, TreePath,
};

/// The files that make a directory a layout.
pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
/// Registries take no document that is longer.
const DOCUMENT_LIMIT_BYTES: u64 = 4 << 20;
/// More than any image has; each takes a file while the image is read.
const LAYER_LIMIT: usize = 500;
/// How deep indexes may lead to others.
const DEPTH_LIMIT: usize = 4;
/// How many documents are looked at until the image is found.
const LOOKED_AT_LIMIT: usize = 1000;

/// An image of a layout, with what another one built on it has in common with it.
#[derive(Clone, Debug)]
pub struct OciImage {
    /// The digest of its manifest, such as `sha256:…`.
    pub digest: String,
    pub manifest: ImageManifest,
    pub configuration: ImageConfiguration,
    /// The configuration as it is written, with what `oci-spec` does not know.
    pub configuration_text: Vec<u8>,
    /// The lowest one first.
    pub layers: Vec<OciLayer>,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct OciLayer {
    pub descriptor: Descriptor,
    /// The digest of the archive that it is when it is not compressed.
    pub diff_id: String,
    /// The layer as it is, compressed or not. Whoever reads it checks its digest.
    pub blob: Content,
}

/// An OCI image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    #[error("`{name}` is not in the layout")]
    Missing { name: String },
    #[error("reading `{name}`")]
    Content { name: String, source: ContentError },
    #[error("`{name}` cannot be understood")]
    Parse {
        name: String,
        source: serde_json::Error,
    },
    #[error("the layout has the version `{found}`, and `1.0.0` was expected")]
    Version { found: String },
    #[error("`{name}` is {found_bytes} bytes long, and {expected_bytes} were expected")]
    Size {
        name: String,
        found_bytes: u64,
        expected_bytes: u64,
    },
    #[error("`{name}` has {found_bytes} bytes, and a document has {limit_bytes} at most")]
    DocumentTooLong {
        name: String,
        found_bytes: u64,
        limit_bytes: u64,
    },
    #[error("`{expected}` is damaged: its digest is `{found}`")]
    Digest { expected: String, found: String },
    #[error("`{digest}` has a digest that is not known; SHA-256, SHA-384 and SHA-512 are")]
    UnknownDigest { digest: String },
    #[error("listing the files of the layout")]
    Files(#[source] crate::beneath::Error),
    #[error("a digest is no name of a file")]
    Name(#[from] InvalidTreePath),
    #[error("the layout has no image for `{architecture}`; it has {found}")]
    NoImage { architecture: String, found: String },
    #[error("the indexes of the layout lead to too many others")]
    TooManyIndexes,
    #[error("the image has {found} layers, and {limit} are the most that are read")]
    TooManyLayers { found: usize, limit: usize },
    #[error("the manifest names {layers} layers, and the configuration {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("the layer `{layer}` decompresses to `{found}`, and `{expected}` was expected")]
    DiffId {
        layer: String,
        expected: String,
        found: String,
    },
    #[error("unpacking the layer `{layer}`")]
    Layer {
        layer: String,
        source: crate::format::tar::unpack::UnpackError,
    },
    #[error("the root of a tree cannot be made")]
    Root(#[from] crate::tree::InsertError),
}

/// Tells whether `tree` is a layout.
pub(super) fn is_layout(tree: &FileTree) -> bool {
    [LAYOUT, INDEX].iter().all(|name| {
        TreePath::new(name)
            .ok()
            .and_then(|path| tree.get(&path))
            .is_some_and(|entry| matches!(entry.kind, EntryKind::Regular(_)))
    })
}

/// Returns the files of the layout in `directory`. Who owns them does not matter, as their digests say what they are.
pub(super) fn files(directory: &Directory) -> Result<FileTree, OciError> {
    let root = Arc::new(directory.try_clone().map_err(OciError::Files)?);
    let mut tree = FileTree::new(Entry::directory(Timestamp::default()))?;
    let mut pending = vec![TreePath::root()];
    while let Some(path) = pending.pop() {
        let names = root
            .directory(&path)
            .and_then(|directory| directory.names())
            .map_err(OciError::Files)?;
        for name in names {
            let path = path.join(&name)?;
            let inode = root.inode(&path).map_err(OciError::Files)?;
            let depth = path.components().count();
            let kind = match inode.file_type() {
                FileType::RegularFile => {
                    let size_bytes = inode.status().stx_size;
                    EntryKind::Regular(Content::from_file(root.clone(), path.clone(), size_bytes))
                }
                // `blobs` and one for each algorithm.
                FileType::Directory if depth <= 2 => {
                    pending.push(path.clone());
                    EntryKind::Directory
                }
                _ => continue,
            };
            tree.insert(path, Entry::new(kind, 0o755, Timestamp::default()))?;
        }
    }
    Ok(tree)
}

/// Finds the image for `architecture`, by Go's name of it, in the layout `tree`. Its layers are not read.
pub(super) fn find(tree: &FileTree, architecture: &str) -> Result<OciImage, OciError> {
    let layout = Layout { tree };
    let version: OciLayout = parse(LAYOUT, &layout.document(LAYOUT)?)?;
    if version.image_layout_version() != "1.0.0" {
        return Err(OciError::Version {
            found: version.image_layout_version().clone(),
        });
    }
    let index: ImageIndex = parse(INDEX, &layout.document(INDEX)?)?;
    let mut search = Search {
        layout,
        architecture,
        seen: Vec::new(),
        looked_at: 0,
    };
    let Some(image) = search.search(&index, 0)? else {
        search.seen.sort();
        search.seen.dedup();
        let found = match search.seen.is_empty() {
            true => "none".to_owned(),
            false => search.seen.join(", "),
        };
        return Err(OciError::NoImage {
            architecture: architecture.to_owned(),
            found,
        });
    };
    Ok(image)
}

/// Returns the tree that the layers of an image make.
pub(super) fn unpacked(
    path: &Path,
    image: &OciImage,
    scratch: &Scratch<'_>,
) -> Result<FileTree, Error> {
    let failed = |source| Error::Oci {
        path: path.into(),
        source,
    };
    let root = Entry::directory(Timestamp::default());
    let mut tree = FileTree::new(root).map_err(|error| failed(error.into()))?;
    // What all layers hold together counts, also what others hide.
    let mut left = *scratch;
    for layer in &image.layers {
        let name = layer.descriptor.digest().to_string();
        let algorithm = algorithm(layer.descriptor.digest()).map_err(failed)?;
        let content = |source| {
            failed(OciError::Content {
                name: name.clone(),
                source,
            })
        };
        let mut reader = layer.blob.open().map_err(content)?;
        let kept = keep(path, &mut reader, algorithm, &left)?;
        check_size(&name, kept.source_bytes, layer.descriptor.size()).map_err(failed)?;
        check_digest(&name, &kept.digest).map_err(failed)?;
        let prefix = name.split(':').next().unwrap_or_default();
        let found = format!("{prefix}:{}", kept.content_digest);
        if found != layer.diff_id {
            return Err(failed(OciError::DiffId {
                layer: name,
                expected: layer.diff_id.clone(),
                found,
            }));
        }
        left.limit_bytes = left.limit_bytes.saturating_sub(kept.bytes.size_bytes());
        unpack(&mut tree, &kept.bytes, Rules::Layer, &numeric).map_err(|source| {
            failed(OciError::Layer {
                layer: name,
                source,
            })
        })?;
    }
    Ok(tree)
}

struct Layout<'a> {
    tree: &'a FileTree,
}

impl Layout<'_> {
    fn content(&self, name: &str) -> Result<Content, OciError> {
        let missing = || OciError::Missing {
            name: name.to_owned(),
        };
        let path = self
            .tree
            .resolve(&TreePath::new(name)?)
            .ok_or_else(missing)?;
        match self.tree.get(&path).map(|entry| &entry.kind) {
            Some(EntryKind::Regular(content)) => Ok(content.clone()),
            _ => Err(missing()),
        }
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, OciError> {
        let content = self.content(name)?;
        if content.size_bytes() > DOCUMENT_LIMIT_BYTES {
            return Err(OciError::DocumentTooLong {
                name: name.to_owned(),
                found_bytes: content.size_bytes(),
                limit_bytes: DOCUMENT_LIMIT_BYTES,
            });
        }
        content.read_all().map_err(|source| OciError::Content {
            name: name.to_owned(),
            source,
        })
    }

    /// Returns the content of a blob, whose digest is not checked yet.
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, OciError> {
        let digest = descriptor.digest();
        let name = format!("blobs/{}/{}", digest.algorithm(), digest.digest());
        let content = self.content(&name)?;
        check_size(&name, content.size_bytes(), descriptor.size())?;
        Ok(content)
    }

    /// Returns a document that is a blob.
    fn blob_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        let name = descriptor.digest().to_string();
        let algorithm = algorithm(descriptor.digest())?;
        let content = self.blob(descriptor)?;
        if content.size_bytes() > DOCUMENT_LIMIT_BYTES {
            return Err(OciError::DocumentTooLong {
                name,
                found_bytes: content.size_bytes(),
                limit_bytes: DOCUMENT_LIMIT_BYTES,
            });
        }
        let mut text = Vec::new();
        content
            .open()
            .and_then(|mut reader| {
                reader
                    .read_to_end(&mut text)
                    .map_err(|source| ContentError::Read {
                        path: content.location(),
                        source,
                    })
            })
            .map_err(|source| OciError::Content {
                name: name.clone(),
                source,
            })?;
        let digest = openssl::hash::hash(algorithm, &text);
        let digest = digest.expect("OpenSSL has the algorithms of SHA-2");
        check_digest(&name, &hexadecimal(&digest))?;
        Ok(text)
    }
}

struct Search<'a> {
    layout: Layout<'a>,
    architecture: &'a str,
    /// The architectures of other images, for messages.
    seen: Vec<String>,
    looked_at: usize,
}

impl Search<'_> {
    /// Returns the first image that is for the architecture, as image-index.md says.
    fn search(&mut self, index: &ImageIndex, depth: usize) -> Result<Option<OciImage>, OciError> {
        if depth > DEPTH_LIMIT {
            return Err(OciError::TooManyIndexes);
        }
        for descriptor in index.manifests() {
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT_LIMIT {
                return Err(OciError::TooManyIndexes);
            }
            if let Some(platform) = descriptor.platform() {
                let (system, architecture) = (platform.os(), platform.architecture());
                if system.to_string() != "linux" || architecture.to_string() != self.architecture {
                    self.seen.push(format!("{system}/{architecture}"));
                    continue;
                }
            }
            let found = match kind(descriptor.media_type()) {
                Document::Index => {
                    let name = descriptor.digest().to_string();
                    let text = self.layout.blob_document(descriptor)?;
                    let nested: ImageIndex = parse(&name, &text)?;
                    self.search(&nested, depth + 1)?
                }
                Document::Manifest => self.image(descriptor)?,
                Document::Other => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the image of a manifest if it is for the architecture.
    fn image(&mut self, descriptor: &Descriptor) -> Result<Option<OciImage>, OciError> {
        let digest = descriptor.digest().to_string();
        let text = self.layout.blob_document(descriptor)?;
        let manifest: ImageManifest = parse(&digest, &text)?;
        // An artifact that is no image has a configuration of another kind.
        if !is_configuration(manifest.config().media_type()) {
            return Ok(None);
        }
        let name = manifest.config().digest().to_string();
        let configuration_text = self.layout.blob_document(manifest.config())?;
        let configuration: ImageConfiguration = parse(&name, &configuration_text)?;
        let (system, architecture) = (configuration.os(), configuration.architecture());
        if system.to_string() != "linux" || architecture.to_string() != self.architecture {
            self.seen.push(format!("{system}/{architecture}"));
            return Ok(None);
        }
        let diff_ids = configuration.rootfs().diff_ids();
        let found = manifest.layers().len();
        if found > LAYER_LIMIT {
            let limit = LAYER_LIMIT;
            return Err(OciError::TooManyLayers { found, limit });
        }
        if diff_ids.len() != found {
            return Err(OciError::LayerCount {
                layers: found,
                diff_ids: diff_ids.len(),
            });
        }
        let layers = manifest.layers().iter().zip(diff_ids);
        let layers = layers
            .map(|(descriptor, diff_id)| {
                Ok(OciLayer {
                    descriptor: descriptor.clone(),
                    diff_id: diff_id.clone(),
                    blob: self.layout.blob(descriptor)?,
                })
            })
            .collect::<Result<_, OciError>>()?;
        Ok(Some(OciImage {
            digest,
            manifest,
            configuration,
            configuration_text,
            layers,
        }))
    }
}

enum Document {
    Index,
    Manifest,
    Other,
}

/// Tells what a document is, by OCI's name of its type or by Docker's.
fn kind(media_type: &MediaType) -> Document {
    match media_type.to_string().as_str() {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => Document::Index,
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => Document::Manifest,
        _ => Document::Other,
    }
}

fn is_configuration(media_type: &MediaType) -> bool {
    matches!(
        media_type.to_string().as_str(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, OciError> {
    serde_json::from_slice(text).map_err(|source| OciError::Parse {
        name: name.to_owned(),
        source,
    })
}

fn algorithm(digest: &oci_spec::image::Digest) -> Result<MessageDigest, OciError> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => Ok(MessageDigest::sha256()),
        DigestAlgorithm::Sha384 => Ok(MessageDigest::sha384()),
        DigestAlgorithm::Sha512 => Ok(MessageDigest::sha512()),
        _ => Err(OciError::UnknownDigest {
            digest: digest.to_string(),
        }),
    }
}

fn check_size(name: &str, found_bytes: u64, expected_bytes: u64) -> Result<(), OciError> {
    if found_bytes == expected_bytes {
        return Ok(());
    }
    Err(OciError::Size {
        name: name.to_owned(),
        found_bytes,
        expected_bytes,
    })
}

/// Checks the digits of a digest against `expected`, which has its algorithm in front.
fn check_digest(expected: &str, digits: &str) -> Result<(), OciError> {
    let (algorithm, expected_digits) = expected.split_once(':').unwrap_or_default();
    if digits == expected_digits {
        return Ok(());
    }
    Err(OciError::Digest {
        expected: expected.to_owned(),
        found: format!("{algorithm}:{digits}"),
    })
}
