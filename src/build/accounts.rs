//! Who owns the members of an archive in an image that has accounts: names count for more than numbers.

use std::collections::HashMap;

use super::{Error, finish};
use crate::format::tar::reader::Member;
use crate::tree::{EntryKind, FileTree};

/// A file of accounts has a line of some 50 bytes for each; the file is read into memory.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// The accounts of an image by their names.
#[derive(Debug, Default)]
pub(super) struct OwnerNames {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl OwnerNames {
    /// Returns those of `tree`, none when it has no accounts.
    pub(super) fn of(tree: &FileTree) -> Result<Self, Error> {
        Ok(Self {
            users: read(tree, "etc/passwd")?,
            groups: read(tree, "etc/group")?,
        })
    }

    /// Returns who owns a member.
    pub(super) fn owner(&self, member: &Member) -> (u32, u32) {
        let uid = self.users.get(&member.user).unwrap_or(&member.uid);
        let gid = self.groups.get(&member.group).unwrap_or(&member.gid);
        (*uid, *gid)
    }
}

fn read(tree: &FileTree, file: &str) -> Result<HashMap<Vec<u8>, u32>, Error> {
    let path = tree.resolve(&finish::path(file));
    let entry = path.and_then(|path| tree.get(&path));
    let text = match entry.map(|entry| &entry.kind) {
        Some(EntryKind::Regular(content)) if content.size_bytes() <= FILE_LIMIT_BYTES => {
            content.read_all()?
        }
        _ => return Ok(HashMap::new()),
    };
    // The third field is the id in both files; lines that cannot be understood are passed over, as libc does.
    let accounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name.to_vec(), id))
    });
    Ok(accounts.collect())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TIME, path, tree};
    use super::OwnerNames;
    use crate::format::tar::reader::{Member, MemberKind};
    use crate::tree::{Content, Entry, EntryKind};

    #[test]
    fn names_that_the_image_knows_count_for_more_than_numbers() {
        let mut tree = tree(&["etc/"]);
        let text = b"root:x:0:0::/:\nmail:x:8:8::/:\nbad\n:x:5:\n";
        let passwd = EntryKind::Regular(Content::from_bytes(*text));
        tree.insert(path("etc/passwd"), Entry::new(passwd, 0o644, TIME))
            .unwrap();
        let names = OwnerNames::of(&tree).unwrap();
        for (user, uid) in [("mail", 8), ("joe", 1000), ("", 1000)] {
            let member = Member {
                offset_bytes: 0,
                name: Vec::new(),
                kind: MemberKind::Fifo,
                mode: 0,
                uid: 1000,
                gid: 1001,
                user: user.into(),
                group: b"mail".to_vec(),
                modified: TIME,
                xattrs: Default::default(),
            };
            assert_eq!(names.owner(&member), (uid, 1001), "{user}");
        }
    }
}
