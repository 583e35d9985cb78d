//! What users and groups are called where an archive is unpacked: their names count where it has no numbers.

use std::collections::HashMap;

use super::reader::{Member, MemberKind};
use crate::tree::{EntryKind, FileTree, TreePath};

/// A file of accounts has a line of some 50 bytes for each; the file is read into memory.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// Ids by name.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
    /// Whether a name that is not known is root's.
    takes_all: bool,
}

impl Accounts {
    /// Returns accounts for which every name is one, for who does not want to know whose.
    pub(super) fn of_anybody() -> Self {
        Self {
            takes_all: true,
            ..Self::default()
        }
    }

    /// Returns the accounts that a tree has.
    pub fn of_tree(tree: &FileTree) -> Self {
        let mut accounts = Self::default();
        accounts.add_users(&text(tree, "etc/passwd"));
        accounts.add_groups(&text(tree, "etc/group"));
        accounts
    }

    /// Adds the users of a file like `etc/passwd`.
    pub fn add_users(&mut self, text: &[u8]) {
        self.users.extend(parse(text));
    }

    /// Adds the groups of a file like `etc/group`.
    pub fn add_groups(&mut self, text: &[u8]) {
        self.groups.extend(parse(text));
    }

    /// Returns the id of a user.
    pub fn user(&self, name: &[u8]) -> Option<u32> {
        let found = self.users.get(name).copied();
        found.or(self.takes_all.then_some(0))
    }

    /// Returns the id of a group.
    pub fn group(&self, name: &[u8]) -> Option<u32> {
        let found = self.groups.get(name).copied();
        found.or(self.takes_all.then_some(0))
    }

    /// Returns who owns a member: names count for more than numbers.
    pub fn owner(&self, member: &Member) -> (u32, u32) {
        let uid = self.user(&member.user).unwrap_or(member.uid);
        let gid = self.group(&member.group).unwrap_or(member.gid);
        (uid, gid)
    }

    /// Adds those that an archive brings, if `member` is one of the two files.
    pub(super) fn add_member(&mut self, member: &Member) {
        let MemberKind::Regular(content) = &member.kind else {
            return;
        };
        let name = member.name.as_slice();
        let name = name.strip_prefix(b"./").unwrap_or(name);
        let name = name.strip_prefix(b"/").unwrap_or(name);
        let is_passwd = name == b"etc/passwd";
        if !(is_passwd || name == b"etc/group") || content.size_bytes() > FILE_LIMIT_BYTES {
            return;
        }
        // What cannot be read is said when the member is unpacked.
        let text = content.read_all().unwrap_or_default();
        match is_passwd {
            true => self.add_users(&text),
            false => self.add_groups(&text),
        }
    }
}

/// Returns the text of a file, empty when there is none that can be read.
fn text(tree: &FileTree, file: &str) -> Vec<u8> {
    let path = TreePath::new(file)
        .ok()
        .and_then(|path| tree.resolve(&path));
    match path
        .and_then(|path| tree.get(&path))
        .map(|entry| &entry.kind)
    {
        Some(EntryKind::Regular(content)) if content.size_bytes() <= FILE_LIMIT_BYTES => {
            content.read_all().unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Reads lines whose third field is an id; those that cannot be understood are passed over, as libc does.
fn parse(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, u32)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name.to_vec(), id))
    })
}

#[cfg(test)]
mod tests {
    use super::Accounts;
    use crate::format::tar::reader::{Member, MemberKind};
    use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

    #[test]
    fn names_that_the_image_knows_count_for_more_than_numbers() {
        let then = Timestamp::default();
        let path = |name: &str| TreePath::new(name).unwrap();
        let mut tree = FileTree::new(Entry::directory(then)).unwrap();
        tree.insert(path("etc"), Entry::directory(then)).unwrap();
        let text = b"root:x:0:0::/:\nmail:x:8:8::/:\nbad\n:x:5:\n";
        let passwd = EntryKind::Regular(Content::from_bytes(*text));
        tree.insert(path("etc/passwd"), Entry::new(passwd, 0o644, then))
            .unwrap();
        let names = Accounts::of_tree(&tree);
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
                modified: then,
                xattrs: Default::default(),
            };
            assert_eq!(names.owner(&member), (uid, 1001), "{user}");
        }
    }
}
