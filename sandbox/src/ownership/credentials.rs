//! The ids that a process believes to have, and how calls change them: credentials(7), capabilities(7).
//!
//! In the kernel every process keeps the one mapped id. These are the ids of a root build, in which a process that
//! gives up root loses the privilege to take it back. The rules are those of the kernel's `kernel/sys.c` and
//! `kernel/groups.c`. What a capability permits there is permitted here to a process whose effective id is 0, since a
//! change of ids from and to 0 takes and gives the capabilities. A program that asked to keep them (setpriv does) may go
//! on to change ids, but not those of files. That a process dropped them otherwise is not followed.

use std::sync::Arc;

use nix::errno::Errno;

use super::inode::Key;

/// The most supplementary groups, `NGROUPS_MAX` of `linux/limits.h`.
pub(super) const GROUPS_LIMIT: u32 = 65536;

/// The user or the group ids of a process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// What new files get.
    pub(super) filesystem: u32,
}

/// Who a process is. The default is root without supplementary groups, which every program of a sandbox starts as.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Credentials {
    pub(super) users: Ids,
    pub(super) groups: Ids,
    pub(super) supplementary: Arc<[u32]>,
    /// The executable file of the program that asked to keep its capabilities (`PR_SET_KEEPCAPS`): when a process
    /// executes another, they are gone.
    pub(super) keeps_capabilities: Option<Key>,
}

/// Which ids a call is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    User,
    Group,
}

/// A change of ids; `None` leaves an id as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// setuid(2), setgid(2).
    Set(u32),
    /// setreuid(2), setregid(2).
    RealEffective(Option<u32>, Option<u32>),
    /// setresuid(2), setresgid(2).
    RealEffectiveSaved(Option<u32>, Option<u32>, Option<u32>),
    /// setfsuid(2), setfsgid(2).
    Filesystem(Option<u32>),
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            users: Ids::default(),
            groups: Ids::default(),
            supplementary: Arc::new([]),
            keeps_capabilities: None,
        }
    }
}

impl Credentials {
    /// Whether the process, which runs `executable`, may change ids as it likes: `CAP_SETUID`, `CAP_SETGID`.
    pub(super) fn is_privileged(&self, executable: impl FnOnce() -> Option<Key>) -> bool {
        self.users.effective == 0
            || self.keeps_capabilities.is_some() && self.keeps_capabilities == executable()
    }

    /// Whether permissions of files do not concern the process: `CAP_CHOWN`, `CAP_FOWNER`, `CAP_MKNOD`, `CAP_SETFCAP`.
    pub(super) fn is_privileged_for_files(&self) -> bool {
        self.users.effective == 0 && self.users.filesystem == 0
    }

    /// Whether the process is a member of a group, for files.
    pub(super) fn is_in_group(&self, group: u32) -> bool {
        self.groups.filesystem == group || self.supplementary.contains(&group)
    }

    /// Returns the credentials after a change, and what the call returns.
    ///
    /// # Errors
    /// As the call's: EINVAL for the id -1, EPERM for an id that an unprivileged process may not take.
    pub(super) fn change(
        &self,
        kind: Kind,
        change: Change,
        privileged: bool,
    ) -> Result<(Self, u32), Errno> {
        let (new, returned) = self.ids(kind).change(change, privileged)?;
        let mut changed = self.clone();
        match kind {
            Kind::User => changed.users = new,
            Kind::Group => changed.groups = new,
        }
        Ok((changed, returned))
    }

    /// Returns the credentials with other supplementary groups: setgroups(2).
    ///
    /// # Errors
    /// EPERM for an unprivileged process, EINVAL for the id -1.
    pub(super) fn with_groups(&self, groups: &[u32], privileged: bool) -> Result<Self, Errno> {
        if !privileged {
            return Err(Errno::EPERM);
        }
        if groups.contains(&u32::MAX) {
            return Err(Errno::EINVAL);
        }
        // The kernel keeps them sorted, and returns them so.
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        Ok(Self {
            supplementary: groups.into(),
            ..self.clone()
        })
    }

    pub(super) fn ids(&self, kind: Kind) -> Ids {
        match kind {
            Kind::User => self.users,
            Kind::Group => self.groups,
        }
    }
}

impl Ids {
    fn change(self, change: Change, privileged: bool) -> Result<(Self, u32), Errno> {
        let permit = |id: Option<u32>, among: &[u32]| match id {
            Some(id) if !privileged && !among.contains(&id) => Err(Errno::EPERM),
            _ => Ok(()),
        };
        let mut new = self;
        match change {
            Change::Set(id) => {
                if id == u32::MAX {
                    return Err(Errno::EINVAL);
                }
                permit(Some(id), &[self.real, self.saved])?;
                if privileged {
                    (new.real, new.saved) = (id, id);
                }
                (new.effective, new.filesystem) = (id, id);
            }
            Change::RealEffective(real, effective) => {
                permit(real, &[self.real, self.effective])?;
                permit(effective, &[self.real, self.effective, self.saved])?;
                new.real = real.unwrap_or(self.real);
                new.effective = effective.unwrap_or(self.effective);
                if real.is_some() || effective.is_some_and(|id| id != self.real) {
                    new.saved = new.effective;
                }
                new.filesystem = new.effective;
            }
            Change::RealEffectiveSaved(real, effective, saved) => {
                for id in [real, effective, saved] {
                    permit(id, &[self.real, self.effective, self.saved])?;
                }
                new.real = real.unwrap_or(self.real);
                new.effective = effective.unwrap_or(self.effective);
                new.saved = saved.unwrap_or(self.saved);
                new.filesystem = new.effective;
            }
            Change::Filesystem(id) => {
                // The call cannot fail: it returns the id that was in force, whether or not it is changed.
                let mine = [self.real, self.effective, self.saved, self.filesystem];
                if permit(id, &mine).is_ok() {
                    new.filesystem = id.unwrap_or(self.filesystem);
                }
                return Ok((new, self.filesystem));
            }
        }
        Ok((new, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Option<u32> = None;

    fn ids(real: u32, effective: u32, saved: u32, filesystem: u32) -> Ids {
        Ids {
            real,
            effective,
            saved,
            filesystem,
        }
    }

    #[test]
    fn user_ids_change_as_in_the_kernel() {
        let root = ids(0, 0, 0, 0);
        let daemon = ids(33, 33, 33, 33);
        // As a daemon does that will need root again.
        let resting = ids(0, 33, 0, 33);
        for (before, change, after) in [
            (root, Change::Set(33), Ok(daemon)),
            (daemon, Change::Set(33), Ok(daemon)),
            (daemon, Change::Set(0), Err(Errno::EPERM)),
            (resting, Change::Set(0), Ok(root)),
            (resting, Change::Set(34), Err(Errno::EPERM)),
            (root, Change::Set(u32::MAX), Err(Errno::EINVAL)),
            (
                root,
                Change::RealEffective(KEEP, Some(33)),
                Ok(ids(0, 33, 33, 33)),
            ),
            (
                root,
                Change::RealEffective(Some(33), KEEP),
                Ok(ids(33, 0, 0, 0)),
            ),
            (root, Change::RealEffective(Some(33), Some(33)), Ok(daemon)),
            (
                ids(33, 0, 0, 0),
                Change::RealEffective(KEEP, Some(33)),
                Ok(ids(33, 33, 0, 33)),
            ),
            (resting, Change::RealEffective(KEEP, Some(0)), Ok(root)),
            (
                resting,
                Change::RealEffective(Some(34), KEEP),
                Err(Errno::EPERM),
            ),
            (
                daemon,
                Change::RealEffective(KEEP, Some(0)),
                Err(Errno::EPERM),
            ),
            (
                root,
                Change::RealEffectiveSaved(KEEP, Some(33), KEEP),
                Ok(resting),
            ),
            (
                resting,
                Change::RealEffectiveSaved(KEEP, Some(0), KEEP),
                Ok(root),
            ),
            (
                resting,
                Change::RealEffectiveSaved(Some(33), Some(33), Some(33)),
                Ok(daemon),
            ),
            (
                daemon,
                Change::RealEffectiveSaved(KEEP, KEEP, Some(0)),
                Err(Errno::EPERM),
            ),
            (
                daemon,
                Change::RealEffectiveSaved(KEEP, KEEP, KEEP),
                Ok(daemon),
            ),
            (
                root,
                Change::RealEffectiveSaved(Some(33), KEEP, KEEP),
                Ok(ids(33, 0, 0, 0)),
            ),
        ] {
            let privileged = before.effective == 0;
            let found = before.change(change, privileged);
            assert_eq!(found, after.map(|ids| (ids, 0)), "{before:?} {change:?}");
        }
    }

    #[test]
    fn the_file_system_id_is_returned_whether_or_not_it_changes() {
        let root = Ids::default();
        let daemon = ids(33, 33, 33, 33);
        for (before, id, after) in [
            (root, Some(33), ids(0, 0, 0, 33)),
            (ids(0, 0, 0, 33), Some(0), root),
            (ids(0, 0, 0, 33), KEEP, ids(0, 0, 0, 33)),
            (daemon, Some(0), daemon),
            (daemon, Some(33), daemon),
        ] {
            let found = before.change(Change::Filesystem(id), before.effective == 0);
            assert_eq!(found, Ok((after, before.filesystem)), "{before:?} {id:?}");
        }
    }

    #[test]
    fn groups_follow_the_privilege_of_the_user() {
        let root = Credentials::default();
        let set = Change::Set(33);
        let (with_group, _) = root.change(Kind::Group, set, true).unwrap();
        assert_eq!(with_group.groups, ids(33, 33, 33, 33));
        assert!(with_group.is_privileged(|| None));
        let grouped = with_group.with_groups(&[40, 8], true).unwrap();
        assert_eq!(grouped.supplementary[..], [8, 40]);
        assert!(grouped.is_in_group(33) && grouped.is_in_group(8) && !grouped.is_in_group(0));
        assert_eq!(grouped.with_groups(&[u32::MAX], true), Err(Errno::EINVAL));
        let (switched, _) = grouped.change(Kind::User, set, true).unwrap();
        assert!(!switched.is_privileged(|| None) && !switched.is_privileged_for_files());
        assert_eq!(switched.with_groups(&[], false), Err(Errno::EPERM));
        let refused = switched.change(Kind::Group, Change::Set(0), false);
        assert_eq!(refused, Err(Errno::EPERM));
    }

    #[test]
    fn kept_capabilities_are_those_of_one_program() {
        let keeping = Credentials {
            users: ids(33, 33, 33, 33),
            keeps_capabilities: Some((1, 2)),
            ..Credentials::default()
        };
        assert!(keeping.is_privileged(|| Some((1, 2))));
        assert!(!keeping.is_privileged(|| Some((1, 3))));
        assert!(!keeping.is_privileged(|| None));
        assert!(!keeping.is_privileged_for_files());
    }

    #[test]
    fn a_file_system_id_alone_takes_the_privilege_for_files() {
        let root = Credentials::default();
        let change = Change::Filesystem(Some(33));
        let (changed, _) = root.change(Kind::User, change, true).unwrap();
        assert!(changed.is_privileged(|| None));
        assert!(!changed.is_privileged_for_files());
        assert_eq!(changed.users, ids(0, 0, 0, 33));
    }
}
