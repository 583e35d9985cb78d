//! What is seen on a host where the extension is merged: its hierarchies over the host's.

use std::collections::BTreeMap;

use super::Error;
use crate::extension::ExtensionKind;
use crate::tree::{self, ContentError, Entry, EntryKind, FileTree, TreePath};

/// A unit, a script's first line or a list of directories has some hundred bytes; such files are read into memory.
const TEXT_LIMIT_BYTES: u64 = 1 << 20;

/// An extension on its base.
#[derive(Clone, Copy)]
pub(super) struct Merged<'a> {
    pub(super) kind: ExtensionKind,
    pub(super) payload: &'a FileTree,
    pub(super) base: Option<&'a FileTree>,
}

/// Where something of the merged system comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    Payload,
    Base,
}

impl<'a> Merged<'a> {
    /// Returns what is seen at `path`, whose parents are no links.
    pub(super) fn get(&self, path: &TreePath) -> Option<(Origin, &'a Entry)> {
        let of_payload = self.kind.holds(path).then(|| self.payload.get(path));
        match of_payload.flatten() {
            Some(entry) => Some((Origin::Payload, entry)),
            None => Some((Origin::Base, self.base?.get(path)?)),
        }
    }

    /// Follows the links of `path`; `None` when nothing is there.
    pub(super) fn find(&self, path: &TreePath) -> Option<Found<'a>> {
        let resolved = tree::resolve(path, |path| Some(self.get(path)?.1)).ok()?;
        let (origin, entry) = self.get(&resolved.path)?;
        let path = resolved.path;
        resolved.exists.then_some(Found {
            path,
            origin,
            entry,
        })
    }

    /// As [`Merged::find`], of a path as it stands in a file: any text, and absolute.
    pub(super) fn find_text(&self, path: &str) -> Option<Found<'a>> {
        self.find(&walked(path)?)
    }

    /// Returns what lies directly in the directory `path`, by name; whatever links lead there.
    pub(super) fn children(&self, path: &str) -> BTreeMap<Vec<u8>, Found<'a>> {
        let mut children = BTreeMap::new();
        let Some(directory) = self.find_text(path) else {
            return children;
        };
        let of_payload = self.kind.holds(&directory.path).then_some(self.payload);
        let trees = [(Origin::Base, self.base), (Origin::Payload, of_payload)];
        for (origin, tree) in trees {
            for (path, entry) in tree.map_or_else(Vec::new, |tree| tree.children(&directory.path)) {
                let found = Found {
                    path: path.clone(),
                    origin,
                    entry,
                };
                children.insert(path.file_name().to_vec(), found);
            }
        }
        children
    }

    /// Returns what the extension has in its hierarchies.
    pub(super) fn shipped(&self) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        let kind = self.kind;
        let entries = self.payload.iter().skip(1);
        entries.filter(move |(path, _)| kind.holds(path))
    }
}

/// An entry of the merged system.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    /// Without links.
    pub(super) path: TreePath,
    pub(super) origin: Origin,
    pub(super) entry: &'a Entry,
}

impl Found<'_> {
    pub(super) fn is_regular(&self) -> bool {
        matches!(self.entry.kind, EntryKind::Regular(_))
    }
}

/// Returns the text of a file; `None` when it is no file, too large or no text.
pub(super) fn text(entry: &Entry) -> Result<Option<String>, Error> {
    let EntryKind::Regular(content) = &entry.kind else {
        return Ok(None);
    };
    if content.size_bytes() > TEXT_LIMIT_BYTES {
        return Ok(None);
    }
    let bytes = content.read_all().map_err(|source| Error::Read {
        path: content.location(),
        source,
    })?;
    Ok(String::from_utf8(bytes).ok())
}

/// As [`text`], of a host's file: what only root may read counts for nothing.
pub(super) fn readable_text(entry: &Entry) -> Result<Option<String>, Error> {
    match text(entry) {
        Err(Error::Read { source, .. }) if is_denied(&source) => Ok(None),
        read => read,
    }
}

fn is_denied(error: &ContentError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns a path as it stands in a file, with `.` and `..` walked; `None` when it can be no path.
pub(super) fn walked(path: &str) -> Option<TreePath> {
    let mut walked = TreePath::root();
    for name in path.split('/') {
        walked = match name {
            "" | "." => walked,
            ".." => walked.parent().unwrap_or(walked),
            name => walked.join(name.as_bytes()).ok()?,
        };
    }
    Some(walked)
}
