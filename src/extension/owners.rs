//! Files that belong to ids which were given out during the build.
//!
//! Installing a package makes users and groups with the next free number. Merged on another machine, the files belong
//! to whoever got that number there. An id is safe when the distribution keeps it for one account, or when a
//! `sysusers.d` file that is merged along, or the base's, asks for the same number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use overcoat_sandbox::ownership::acl::{self, Acl, NamedId};

use super::{AccountKind, Accounts, Lint};
use crate::tree::{Entry, EntryKind, FileTree, TreePath};

/// An id that was given out during the build, and what it owns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllocatedOwner {
    pub kind: AccountKind,
    pub id: u32,
    /// What the extension, on its base, calls it.
    pub name: Option<String>,
    /// Whether the base alone calls it so, and with it each machine that was made from the very same.
    pub is_of_base: bool,
    /// The first of the files, in the tree's order.
    pub first: TreePath,
    /// How many more there are.
    pub more: usize,
}

/// The set-id bits of a mode (inode(7)).
const S_ISUID: u16 = 0o4000;
const S_ISGID: u16 = 0o2000;

/// Returns a lint for each user and each group, in this order and by number, that has rights to something of the
/// extension `tree` and is neither in `static_ids` nor fixed: one for programs that run with its rights, one for what
/// it owns, and one for what ACLs let it do.
pub fn allocated_owners(
    tree: &FileTree,
    accounts: &Accounts,
    static_ids: &[RangeInclusive<u32>],
) -> Vec<Lint> {
    let is_allocated = |kind, id: u32| {
        !static_ids.iter().any(|range| range.contains(&id)) && !accounts.is_fixed(kind, id)
    };
    let mut found: BTreeMap<(AccountKind, u32, Rights), AllocatedOwner> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        for (kind, id, rights) in rights(entry) {
            if !is_allocated(kind, id) {
                continue;
            }
            found
                .entry((kind, id, rights))
                .and_modify(|owner| owner.more += 1)
                .or_insert_with(|| AllocatedOwner {
                    kind,
                    id,
                    name: accounts.name(kind, id).map(str::to_owned),
                    is_of_base: accounts.is_of_base(kind, id),
                    first: path.clone(),
                    more: 0,
                });
        }
    }
    let lint = |((_, _, rights), owner)| match rights {
        Rights::Runs => Lint::AllocatedSetId(owner),
        Rights::Owns => Lint::AllocatedOwner(owner),
        Rights::Allowed => Lint::AllocatedInAcl(owner),
    };
    found.into_iter().map(lint).collect()
}

/// What a file gives to an id or takes from it, the worst first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rights {
    /// Whoever starts the file gets the rights of the id.
    Runs,
    Owns,
    /// An ACL names the id.
    Allowed,
}

/// Returns who has rights to an entry, each once: its owners, and whom its ACLs name.
fn rights(entry: &Entry) -> BTreeSet<(AccountKind, u32, Rights)> {
    let mut found = BTreeSet::new();
    for (kind, id, set_id) in [
        (AccountKind::User, entry.uid, S_ISUID),
        (AccountKind::Group, entry.gid, S_ISGID),
    ] {
        let rights = match entry.kind {
            EntryKind::Regular(_) if entry.mode & set_id != 0 => Rights::Runs,
            _ => Rights::Owns,
        };
        found.insert((kind, id, rights));
    }
    for attribute in [acl::ACCESS, acl::DEFAULT] {
        let value = entry.xattrs.get(attribute.as_bytes());
        // What is no ACL gives nobody any rights: the kernel refuses it.
        let Some(acl) = value.and_then(|value| Acl::from_bytes(value).ok()) else {
            continue;
        };
        found.extend(acl.named_ids().map(|named| match named {
            NamedId::User(id) => (AccountKind::User, id, Rights::Allowed),
            NamedId::Group(id) => (AccountKind::Group, id, Rights::Allowed),
        }));
    }
    found
}

impl AllocatedOwner {
    pub(super) fn files(&self) -> String {
        match self.more {
            0 => format!("`/{}`", self.first),
            more => format!("`/{}` and {more} more", self.first),
        }
    }

    pub(super) fn account(&self) -> String {
        match &self.name {
            Some(name) => format!("`{name}` ({})", self.id),
            None => self.id.to_string(),
        }
    }

    pub(super) fn elsewhere(&self) -> &'static str {
        if self.is_of_base {
            "machines that are not made from this very base"
        } else {
            "other machines"
        }
    }
}

#[cfg(test)]
mod tests;
