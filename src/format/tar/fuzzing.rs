//! What must hold of any archive, and of an archive of any tree.

use std::sync::Arc;

use super::unpack::{Rules, unpack};
use super::write;
use crate::format::read_at::{ImageBytes, ReadAt};
use crate::tree::fuzzing::described;
use crate::tree::{Entry, EntryKind, FileTree, Timestamp};

/// Contents that are longer are not read: an archive of a few bytes may say that it has terabytes of zeros.
const READ_LIMIT_BYTES: u64 = 1 << 20;

/// Any bytes are an error or a tree, whose contents have the length that was told, and which is the same in an archive
/// of ours.
pub fn tar_archive(bytes: &[u8]) {
    let Some((first, archive)) = bytes.split_first() else {
        return;
    };
    let rules = match first % 2 {
        0 => Rules::Archive,
        _ => Rules::Layer,
    };
    let Some(tree) = read(archive, rules) else {
        return;
    };
    let mut total_bytes = 0_u64;
    for (_, entry) in tree.iter() {
        if let EntryKind::Regular(content) = &entry.kind {
            total_bytes = total_bytes.saturating_add(content.size_bytes());
        }
    }
    if total_bytes >= READ_LIMIT_BYTES {
        return;
    }
    for (_, entry) in tree.iter() {
        if let EntryKind::Regular(content) = &entry.kind {
            let read = content.read_all().expect("what is in memory can be read");
            assert_eq!(read.len() as u64, content.size_bytes());
        }
    }
    let mut again = Vec::new();
    write(&tree, &mut again).expect("memory can be written to");
    let read = read(&again, Rules::Archive).expect("what was written can be read");
    assert_eq!(described(&read), described(&tree));
}

fn read(archive: &[u8], rules: Rules) -> Option<FileTree> {
    let archive: Arc<dyn ReadAt> = Arc::new(ImageBytes::new(archive));
    let mut tree = FileTree::new(Entry::directory(Timestamp::default())).ok()?;
    unpack(&mut tree, &archive, rules, &|member| {
        (member.uid, member.gid)
    })
    .ok()?;
    Some(tree)
}
