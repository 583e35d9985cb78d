//! What lies at a path, and the tree of it.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::hash::MessageDigest;
use overcoat_sandbox::ownership::{acl, attributes};
use rustix::fs::FileType;

use super::archive::{OwnerOf, numeric, whole, without_runtime_files};
use super::kept::{Kept, Scratch, digest, keep};
use super::oci::{self, OciImage};
use super::{Error, image};
use crate::beneath::Directory;
use crate::capture::{self, capability};
use crate::format::read_at::{ImageFile, ReadAt};
use crate::format::tar::reader::{Member, is_archive};
use crate::tree::{EntryKind, FileTree};

/// What lies at a path that a recipe names.
#[derive(Debug)]
pub enum Source {
    Directory(Directory),
    /// A directory that is an OCI image layout.
    Layout(Directory),
    File(SourceFile),
}

/// An archive, an image, or any other file.
#[derive(Debug)]
pub struct SourceFile {
    path: PathBuf,
    file: ImageFile,
}

/// The tree of a source.
#[derive(Debug)]
pub struct SourceTree {
    pub tree: FileTree,
    /// The digest of what was read, as [`Source::digest`] gives it.
    pub digest: String,
}

impl Source {
    /// Opens what lies at `path`.
    ///
    /// # Errors
    /// [`Error::Open`] when nothing is there, or neither a directory nor a regular file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match Directory::open(path) {
            Ok(directory) => {
                let is_file = |name| {
                    let found = directory.file_type(name);
                    found.is_ok_and(|found| found == Some(FileType::RegularFile))
                };
                Ok(match is_file(oci::LAYOUT) && is_file(oci::INDEX) {
                    true => Self::Layout(directory),
                    false => Self::Directory(directory),
                })
            }
            Err(error) if error.is_not_directory() => {
                let file = ImageFile::open(path).map_err(|source| Error::Open {
                    path: path.into(),
                    source,
                })?;
                Ok(Self::File(SourceFile {
                    path: path.into(),
                    file,
                }))
            }
            Err(error) => Err(Error::Open {
                path: path.into(),
                source: error.into_cause(),
            }),
        }
    }

    /// Returns a digest of what the tree is made of, without unpacking it; `None` for a directory.
    ///
    /// `architecture` is Go's name of the one that an image of a layout is wanted for.
    ///
    /// # Errors
    /// An [`Error`] when it cannot be read, or a layout has no such image.
    pub fn digest(&self, architecture: &str) -> Result<Option<String>, Error> {
        match self {
            Self::Directory(_) => Ok(None),
            Self::Layout(directory) => Ok(Some(layout_image(directory, architecture)?.digest)),
            Self::File(source) => source.digest().map(Some),
        }
    }

    /// Returns the tree of an archive or an image, with all that is in it, owners and times included.
    ///
    /// # Errors
    /// An [`Error`] that says what is wrong with it, or [`Error::TooLarge`].
    pub fn tree(&self, architecture: &str, scratch: &Scratch<'_>) -> Result<SourceTree, Error> {
        self.tree_owned_by(architecture, scratch, &numeric)
    }

    /// As [`Self::tree`]; `owner` says whose the members of an archive become.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn tree_owned_by(
        &self,
        architecture: &str,
        scratch: &Scratch<'_>,
        owner: &dyn Fn(&Member) -> (u32, u32),
    ) -> Result<SourceTree, Error> {
        match self {
            Self::Directory(directory) => {
                let tree = merged(directory)?;
                let digest = String::new();
                Ok(SourceTree { tree, digest })
            }
            Self::Layout(directory) => {
                let path = directory.host_path();
                let image = layout_image(directory, architecture)?;
                let tree = oci::unpacked(path, &image, scratch)?;
                let digest = image.digest;
                let tree = checked(path, tree, scratch)?;
                Ok(SourceTree { tree, digest })
            }
            Self::File(source) => source.tree(architecture, scratch, owner),
        }
    }

    /// Returns the OCI image that this is; `None` when it is something else.
    ///
    /// # Errors
    /// An [`Error`] when it cannot be read, or the layout has no image for `architecture`.
    pub fn oci_image(
        &self,
        architecture: &str,
        scratch: &Scratch<'_>,
    ) -> Result<Option<OciImage>, Error> {
        match self {
            Self::Directory(_) => Ok(None),
            Self::Layout(directory) => layout_image(directory, architecture).map(Some),
            Self::File(source) => {
                let kept = source.keep(scratch)?;
                if !source.is_tar(&*kept.bytes)? {
                    return Ok(None);
                }
                let layout = whole(&source.path, &kept.bytes, &numeric)?;
                if !oci::is_layout(&layout) {
                    return Ok(None);
                }
                oci::find(&layout, architecture)
                    .map(Some)
                    .map_err(|error| source.bad_image(error))
            }
        }
    }
}

impl SourceFile {
    fn digest(&self) -> Result<String, Error> {
        digest(&mut self.reader()).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })
    }

    fn reader(&self) -> Sequential<'_> {
        Sequential {
            file: &self.file,
            position: 0,
        }
    }

    fn keep(&self, scratch: &Scratch<'_>) -> Result<Kept, Error> {
        let algorithm = MessageDigest::sha256();
        keep(&self.path, &mut self.reader(), algorithm, scratch)
    }

    fn is_tar(&self, bytes: &dyn ReadAt) -> Result<bool, Error> {
        is_archive(bytes).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })
    }

    fn bad_image(&self, source: oci::OciError) -> Error {
        Error::Oci {
            path: self.path.clone(),
            source,
        }
    }

    fn tree(
        &self,
        architecture: &str,
        scratch: &Scratch<'_>,
        owner: OwnerOf<'_>,
    ) -> Result<SourceTree, Error> {
        let kept = self.keep(scratch)?;
        let tree = self.tree_of(&kept.bytes, architecture, scratch, owner)?;
        Ok(SourceTree {
            tree: checked(&self.path, tree, scratch)?,
            digest: kept.digest,
        })
    }

    fn tree_of(
        &self,
        bytes: &Arc<dyn ReadAt>,
        architecture: &str,
        scratch: &Scratch<'_>,
        owner: OwnerOf<'_>,
    ) -> Result<FileTree, Error> {
        if !self.is_tar(&**bytes)? {
            let tree = image::whole(&self.path, bytes)?;
            return tree.ok_or_else(|| Error::NoTree {
                path: self.path.clone(),
            });
        }
        let tree = whole(&self.path, bytes, owner)?;
        if !oci::is_layout(&tree) {
            return Ok(without_runtime_files(tree));
        }
        let image = oci::find(&tree, architecture).map_err(|error| self.bad_image(error))?;
        oci::unpacked(&self.path, &image, scratch)
    }
}

fn layout_image(directory: &Directory, architecture: &str) -> Result<OciImage, Error> {
    oci::files(directory)
        .and_then(|files| oci::find(&files, architecture))
        .map_err(|source| Error::Oci {
            path: directory.host_path().into(),
            source,
        })
}

fn merged(directory: &Directory) -> Result<FileTree, Error> {
    let failed = |source| Error::Directory {
        path: directory.host_path().into(),
        source,
    };
    let directory = directory.try_clone().map_err(|error| Error::Open {
        path: directory.host_path().into(),
        source: error.into_cause(),
    })?;
    capture::merge_directory(directory).map_err(failed)
}

/// Leaves the attributes that belong in an image, as is done with directories, and checks how much there is.
fn checked(path: &Path, mut tree: FileTree, scratch: &Scratch<'_>) -> Result<FileTree, Error> {
    let mut groups = HashSet::new();
    let mut size_bytes = 0_u64;
    for (entry_path, entry) in tree.iter_mut() {
        // Labels and measurements are of the machine that an archive was made on.
        entry.xattrs.retain(|name, _| {
            name.starts_with(b"user.")
                || [capability::ATTRIBUTE, acl::ACCESS, acl::DEFAULT]
                    .iter()
                    .any(|known| name == known.as_bytes())
        });
        let mut names = entry.xattrs.keys();
        if let Some(name) = names.find(|name| attributes::is_reserved(name)) {
            return Err(Error::ReservedAttribute {
                path: path.into(),
                entry: entry_path.clone(),
                attribute: String::from_utf8_lossy(name).into_owned(),
            });
        }
        let is_first = entry.hard_link.is_none_or(|group| groups.insert(group));
        if let EntryKind::Regular(content) = &entry.kind
            && is_first
        {
            size_bytes = size_bytes.saturating_add(content.size_bytes());
        }
    }
    if size_bytes > scratch.limit_bytes {
        return Err(Error::TooLarge {
            path: path.into(),
            limit_bytes: scratch.limit_bytes,
        });
    }
    Ok(tree)
}

/// Reads a file from its start to the end that it had when it was opened.
struct Sequential<'a> {
    file: &'a ImageFile,
    position: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.size_bytes() - self.position;
        let room = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file
            .read_exact_at(&mut buffer[..room], self.position)?;
        self.position += room as u64;
        Ok(room)
    }
}
