//! Which ids of the image the ids on disk stand for.

use std::collections::BTreeMap;

use overcoat_sandbox::ownership::acl::NamedId;
use overcoat_sandbox::ownership::attributes::Owner;

/// The id that stands for every unmapped one (`/proc/sys/kernel/overflowuid`, not writable in a user namespace).
const OVERFLOW_ID: u32 = 65534;

/// How the ids that this process sees on disk are to be read.
///
/// * `Single`: we are an ordinary user, or root of a user namespace that maps nobody else. Our builds ran under that
///   same mapping, where every id is 0: whatever we own is `0:0`, its group included, for another group on disk can
///   only come from a set-group-id directory of the host. What real root owns is `0:0` as well, so that a base tree
///   installed on the host can be read. Any other id is somebody's whose number means nothing to the image, and is
///   refused.
/// * `Numeric`: we are root over many ids, and an id on disk is what it says: a base tree made by root has
///   `root:shadow` files. Our own layers hold only `0:0` and records here too. An id that our namespace does not map
///   shows as [`OVERFLOW_ID`]. Where there are such ids, that user is refused, since it may be anybody; that group on
///   what root owns is root's, as for `Single`; and that group on what another of our ids owns is itself.
#[derive(Clone, Debug)]
pub(super) enum Ids {
    Single { uid: u32, gid: u32 },
    Numeric { uids: IdRanges, gids: IdRanges },
}

/// The inner side of an id mapping: first id to count.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct IdRanges(BTreeMap<u32, u32>);

impl Ids {
    pub(super) fn of_this_process() -> Result<Self, std::io::Error> {
        let uid = nix::unistd::geteuid().as_raw();
        let gid = nix::unistd::getegid().as_raw();
        let uids = IdRanges::parse(&fs_err::read_to_string("/proc/self/uid_map")?);
        let gids = IdRanges::parse(&fs_err::read_to_string("/proc/self/gid_map")?);
        if uid == 0 && !uids.is_single() {
            Ok(Self::Numeric { uids, gids })
        } else {
            Ok(Self::Single { uid, gid })
        }
    }

    /// Returns the image's owner of what `uid` and `gid` own on disk; `None` when that cannot be known.
    pub(super) fn owner(&self, on_disk: Owner) -> Option<Owner> {
        match self {
            Self::Single { uid, .. } if on_disk.uid == *uid => Some(Owner::ROOT),
            Self::Single { gid, .. } => {
                let root = on_disk.uid == 0 && (on_disk.gid == 0 || on_disk.gid == *gid);
                root.then_some(Owner::ROOT)
            }
            Self::Numeric { uids, gids } => {
                let from_host = on_disk.uid == 0 && !gids.names(on_disk.gid);
                let gid = if from_host { 0 } else { on_disk.gid };
                uids.names(on_disk.uid).then_some(Owner {
                    uid: on_disk.uid,
                    gid,
                })
            }
        }
    }

    /// Returns the image's id for one in a real ACL.
    pub(super) fn acl_id(&self, id: NamedId) -> Option<u32> {
        match (self, id) {
            (Self::Single { uid, .. }, NamedId::User(id)) => (id == *uid || id == 0).then_some(0),
            (Self::Single { gid, .. }, NamedId::Group(id)) => (id == *gid || id == 0).then_some(0),
            // The kernel writes an unmapped id as -1 there (posix_acl_to_xattr).
            (Self::Numeric { .. }, NamedId::User(id) | NamedId::Group(id)) => {
                (id != u32::MAX).then_some(id)
            }
        }
    }

    /// Tells whether a file capability bound to the user namespace of `root_id` is one of ours.
    pub(super) fn owns_namespace_of(&self, root_id: u32) -> bool {
        root_id == 0 || matches!(self, Self::Single { uid, .. } if *uid == root_id)
    }
}

impl IdRanges {
    /// Reads `/proc/PID/uid_map`: lines of inner id, outer id and count (user_namespaces(7)).
    pub(super) fn parse(text: &str) -> Self {
        let ranges = text.lines().filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            let first = numbers.next()?.ok()?;
            let count = numbers.nth(1)?.ok()?;
            Some((first, count))
        });
        Self(ranges.collect())
    }

    pub(super) fn is_single(&self) -> bool {
        self.0.values().map(|count| u64::from(*count)).sum::<u64>() <= 1
    }

    /// Tells whether the number alone says which id on disk it is.
    pub(super) fn names(&self, id: u32) -> bool {
        id != OVERFLOW_ID || self.are_all()
    }

    /// Tells whether every id of the host is mapped; -1 is none.
    fn are_all(&self) -> bool {
        let count: u64 = self.0.values().map(|count| u64::from(*count)).sum();
        count >= u64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{IdRanges, Ids, NamedId, Owner};

    fn owner(uid: u32, gid: u32) -> Owner {
        Owner { uid, gid }
    }

    #[test]
    fn a_single_mapping_reads_our_own_and_roots_files_as_root_and_refuses_others() {
        let ids = Ids::Single {
            uid: 1001,
            gid: 1002,
        };
        let cases = [
            (owner(1001, 1002), Some(Owner::ROOT)),
            (owner(1001, 44), Some(Owner::ROOT)),
            (owner(0, 0), Some(Owner::ROOT)),
            (owner(0, 1002), Some(Owner::ROOT)),
            (owner(0, 42), None),
            (owner(65534, 65534), None),
        ];
        for (on_disk, expected) in cases {
            assert_eq!(ids.owner(on_disk), expected, "{on_disk:?}");
        }
        assert_eq!(ids.acl_id(NamedId::User(1001)), Some(0));
        assert_eq!(ids.acl_id(NamedId::Group(1001)), None);
        assert!(ids.owns_namespace_of(1001));
        assert!(!ids.owns_namespace_of(1002));
    }

    #[test]
    fn root_over_many_ids_takes_numbers_and_tells_nobody_from_unmapped_ones() {
        let all = IdRanges::parse("         0          0 4294967295\n");
        let some = IdRanges::parse("0 1000 1\n1 100000 65535\n");
        let few = IdRanges::parse("0 1000 1\n1 100000 999\n");
        let cases = [
            (owner(0, 42), Some(owner(0, 42)), Some(owner(0, 42))),
            (owner(65534, 0), Some(owner(65534, 0)), None),
            (owner(0, 65534), Some(owner(0, 65534)), Some(Owner::ROOT)),
            (
                owner(33, 65534),
                Some(owner(33, 65534)),
                Some(owner(33, 65534)),
            ),
        ];
        for (ranges, is_all) in [(all, true), (some, false), (few, false)] {
            assert!(!ranges.is_single());
            let ids = Ids::Numeric {
                uids: ranges.clone(),
                gids: ranges,
            };
            for (on_disk, of_all, of_some) in cases {
                let expected = if is_all { of_all } else { of_some };
                assert_eq!(ids.owner(on_disk), expected, "{on_disk:?}");
            }
        }
        assert!(IdRanges::parse("0 1000 1\n").is_single());
    }
}
