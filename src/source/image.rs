//! Trees of disk images: a root file system, one of `/usr`, or both.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::ddi::Designator;
use crate::ddi::read::{Finding, Image, OpenError, Payload, Required, verify};
use crate::format::file_system::FileSystem;
use crate::format::read_at::ReadAt;
use crate::tree::{Entry, FileTree, HardLinkGroup, Timestamp, TreePath};

/// Returns what is in the image `bytes`; `None` when it is none.
pub(super) fn whole(path: &Path, bytes: &Arc<dyn ReadAt>) -> Result<Option<FileTree>, Error> {
    let unreadable = |source| Error::Image {
        path: path.into(),
        source,
    };
    let image = match Image::open(bytes.clone()) {
        Err(OpenError::NoImage) => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let payloads = image.payloads();
    if payloads.is_empty() {
        return Err(unreadable(OpenError::NoPayload));
    }
    if payloads.iter().any(|payload| payload.verity.is_some()) {
        check(path, &image)?;
    }
    let mut whole: Option<FileTree> = None;
    for payload in &payloads {
        let tree = FileSystem::open(payload.bytes.clone())
            .and_then(|file_system| file_system.tree())
            .map_err(|source| Error::FileSystem {
                path: path.into(),
                source,
            })?;
        whole = Some(match is_usr(payload) {
            false => tree,
            true => with_usr(whole, &tree).map_err(|source| Error::Join {
                path: path.into(),
                source,
            })?,
        });
    }
    Ok(whole)
}

fn is_usr(payload: &Payload<'_>) -> bool {
    payload
        .partition
        .and_then(|found| found.kind)
        .is_some_and(|(designator, _)| designator == Designator::Usr)
}

/// Fails when a hash tree does not belong to what it protects. What else may be odd about an image of others, such as
/// what lies between its partitions, does not matter here.
fn check(path: &Path, image: &Image) -> Result<(), Error> {
    let required = Required {
        certificate: None,
        root_hash: None,
        workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let matters = |finding: &Finding| {
        matches!(
            finding,
            Finding::Verity { .. }
                | Finding::Blocks { .. }
                | Finding::RootHash { .. }
                | Finding::FileSystem { .. }
                | Finding::Content { .. }
                | Finding::Read { .. }
        )
    };
    match verify(image, &required).findings.into_iter().find(matters) {
        Some(finding) => Err(Error::Damaged {
            path: path.into(),
            source: Box::new(finding),
        }),
        None => Ok(()),
    }
}

/// Returns `below` with `usr` where a running system would mount it.
fn with_usr(below: Option<FileTree>, usr: &FileTree) -> Result<FileTree, crate::tree::InsertError> {
    let mut tree = match below {
        Some(below) => below,
        None => FileTree::new(Entry::directory(Timestamp::default()))?,
    };
    let place = TreePath::new("usr").expect("it is a path inside a tree");
    tree.remove(&place);
    let groups = tree.iter().filter_map(|(_, entry)| entry.hard_link);
    let first_group = groups.map(|HardLinkGroup(group)| group).max();
    for (path, entry) in usr.iter() {
        let path = path
            .components()
            .try_fold(place.clone(), |path, name| path.join(name))
            .expect("components of a tree path are names");
        let mut entry = entry.clone();
        if let (Some(HardLinkGroup(group)), Some(first)) = (&mut entry.hard_link, first_group) {
            *group = group.wrapping_add(first).wrapping_add(1);
        }
        tree.insert(path, entry)?;
    }
    Ok(tree)
}
