//! An image layout in the making: blobs by digest, and what leads to them (image-layout.md).

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageIndex, MediaType, OciLayoutBuilder, Sha256Digest};
use rustix::fs::Mode;
use serde::Serialize;

use super::Error;
use super::digesting::{Digested, Digesting};
use crate::beneath::{self, Directory, Place};
use crate::tree::{Content, ContentError, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// What a layout consists of.
const NAMES: [&str; 3] = ["blobs", "index.json", "oci-layout"];
const ALGORITHM: &str = "sha256";
/// A blob until its digest is known.
const UNNAMED: &str = "unnamed";
/// The version of the layout's form, which has not changed since it was defined.
const VERSION: &str = "1.0.0";

/// The annotation of the index by which an earlier output is known. It is no part of the image, which has the same
/// digest wherever it is.
const MARK: &str = "overcoat.output";
/// An index of ours is less than a kilobyte.
const INDEX_LIMIT_BYTES: u64 = 1 << 20;

const ANY_FILE: Mode = Mode::from_raw_mode(0o666);
const ANY_DIRECTORY: Mode = Mode::from_raw_mode(0o777);

/// A layout whose blobs are being written.
pub(super) struct Layout {
    top: Directory,
    blobs: Directory,
}

impl Layout {
    /// Makes a layout at `place`.
    pub(super) fn create(place: &Place<'_>) -> Result<Self, Error> {
        let created = |error: beneath::Error| Error::Create {
            path: error.path().into(),
            source: error.into_cause(),
        };
        let top = place
            .directory()
            .make_directory(place.name(), ANY_DIRECTORY)
            .map_err(created)?;
        let blobs = top
            .make_directory("blobs", ANY_DIRECTORY)
            .and_then(|blobs| blobs.make_directory(ALGORITHM, ANY_DIRECTORY))
            .map_err(created)?;
        Ok(Self { top, blobs })
    }

    /// Adds a blob of what `write` writes.
    pub(super) fn add<T>(
        &self,
        write: impl FnOnce(&mut Digesting<BufWriter<&std::fs::File>>) -> Result<T, Error>,
    ) -> Result<(T, Digested), Error> {
        let path = self.blobs.path_of(UNNAMED);
        let failed = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let file = self
            .blobs
            .create_file(UNNAMED, ANY_FILE)
            .map_err(|error| Error::Create {
                path: path.clone(),
                source: error.into_cause(),
            })?;
        let mut out = Digesting::new(BufWriter::with_capacity(1 << 20, &file));
        let written = write(&mut out)?;
        let (mut out, digested) = out.finish();
        out.flush().map_err(failed)?;
        // The rename that publishes the layout must not be there before its bytes.
        file.sync_all().map_err(failed)?;
        self.blobs
            .rename(UNNAMED, &self.blobs, &digested.sha256)
            .map_err(|error| failed(error.into_cause()))?;
        Ok((written, digested))
    }

    /// Adds a blob that is a JSON document, and returns what refers to it.
    pub(super) fn add_json(
        &self,
        value: &impl Serialize,
        media_type: MediaType,
    ) -> Result<Descriptor, Error> {
        let bytes = json(value);
        let ((), digested) = self.add(|out| {
            out.write_all(&bytes).map_err(|source| Error::Write {
                path: self.blobs.path_of(UNNAMED),
                source,
            })
        })?;
        Ok(descriptor(media_type, &digested))
    }

    /// Completes the layout with what leads to the image of `manifest`.
    pub(super) fn finish(self, manifest: Descriptor) -> Result<Finished, Error> {
        let mut index = ImageIndex::default();
        index
            .set_schema_version(2)
            .set_media_type(Some(MediaType::ImageIndex))
            .set_manifests(vec![manifest])
            .set_annotations(Some(HashMap::from([(MARK.to_owned(), "oci".to_owned())])));
        let layout = OciLayoutBuilder::default()
            .image_layout_version(VERSION)
            .build()
            .expect("everything that a layout needs is given");
        for (name, bytes) in [("index.json", json(&index)), ("oci-layout", json(&layout))] {
            let path = self.top.path_of(name);
            let file = self
                .top
                .create_file(name, ANY_FILE)
                .map_err(|error| Error::Create {
                    path: path.clone(),
                    source: error.into_cause(),
                })?;
            (&file)
                .write_all(&bytes)
                .and_then(|()| file.sync_all())
                .map_err(|source| Error::Write { path, source })?;
        }
        Ok(Finished { top: self.top })
    }
}

/// A complete layout.
pub(super) struct Finished {
    top: Directory,
}

impl Finished {
    /// Returns the layout as a tree of which everything has the same time.
    pub(super) fn into_tree(self, time: Timestamp) -> Result<FileTree, Error> {
        let unread = |source: beneath::Error| Error::Compare(ContentError::from(source));
        let path = |text: &str| TreePath::new(text).expect("names of a layout are valid");
        let mut tree = FileTree::new(Entry::directory(time))?;
        for directory in ["blobs", "blobs/sha256"] {
            tree.insert(path(directory), Entry::directory(time))?;
        }
        let top = Arc::new(self.top);
        let blobs = top.directory(&path("blobs/sha256")).map_err(unread)?;
        let blobs = blobs.names().map_err(unread)?;
        let blobs = blobs
            .iter()
            .map(|name| format!("blobs/sha256/{}", String::from_utf8_lossy(name)));
        for name in blobs.chain(["index.json".to_owned(), "oci-layout".to_owned()]) {
            let file = top.file(&path(&name)).map_err(unread)?;
            let length = file.metadata().map_err(|source| ContentError::Read {
                path: top.path_of(&name),
                source,
            })?;
            let content = Content::from_file(top.clone(), path(&name), length.len());
            let entry = Entry::new(EntryKind::Regular(content), 0o644, time);
            tree.insert(path(&name), entry)?;
        }
        Ok(tree)
    }
}

/// Returns what refers to a blob.
pub(super) fn descriptor(media_type: MediaType, blob: &Digested) -> Descriptor {
    let digest: Sha256Digest = blob
        .sha256
        .parse()
        .expect("a digest is 64 hexadecimal digits");
    Descriptor::new(media_type, blob.size_bytes, digest)
}

/// Returns a document whose keys are sorted, so that the bytes are the same each time.
fn json(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("descriptions have keys that are texts");
    serde_json::to_vec(&value).expect("a value of JSON can be written")
}

/// Tells whether at `place` is a layout that [`write_at()`](super::write_at) made and nobody has added to, which a newer
/// one may replace.
pub fn is_output(place: &Place<'_>) -> bool {
    let Ok(top) = place.directory().subdirectory(place.name()) else {
        return false;
    };
    let Ok(mut names) = top.names() else {
        return false;
    };
    names.sort();
    let index = top.read("index.json", INDEX_LIMIT_BYTES).ok().flatten();
    let index = index.and_then(|bytes| ImageIndex::from_reader(bytes.as_slice()).ok());
    names == NAMES.map(|name| name.as_bytes().to_vec())
        && index.is_some_and(|index| {
            let annotations = index.annotations().as_ref();
            index.manifests().len() == 1 && annotations.is_some_and(|all| all.contains_key(MARK))
        })
}

/// Copies `content` whole.
pub(super) fn copy(
    content: &Content,
    out: &mut impl Write,
) -> Result<io::Result<()>, ContentError> {
    let mut reader = content.open()?;
    Ok(io::copy(&mut reader, out).map(drop))
}
