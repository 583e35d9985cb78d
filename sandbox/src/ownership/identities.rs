//! Which process has which [`Credentials`].
//!
//! Credentials are inherited by children and kept by execve(2), and the kernel does not tell a supervisor of either. So
//! the number of a process's credentials is left with the process itself: in a resource limit, which the kernel copies
//! to children and keeps for their programs, and which may be changed from outside. `RLIMIT_LOCKS` has had no meaning
//! since Linux 2.4.25 (getrlimit(2)), and is a limit of the process, as POSIX has ids to be one's of the process, so
//! that a child of vfork(2) has its own.
//!
//! The filter has programs believe that they changed this limit, as some do with all limits. One who gets around that
//! becomes a user that a process was before, which gives it nothing: the ids mean nothing to the kernel, and it was
//! allowed to become anybody, or has given that up of its own will.

use std::collections::HashMap;

use nix::errno::Errno;
use nix::sys::resource::Resource;

use super::call::Question;
use super::credentials::Credentials;
use crate::sys::tracee;

const RESOURCE: Resource = Resource::RLIMIT_LOCKS;

/// The high half of a limit whose low half is the number of credentials. No person would choose such a limit.
const MARK: u64 = 0x6f76_6572 << 32;

/// How many ids all remembered credentials may have together: 16 MiB.
const LIMIT: usize = 4 << 20;
/// As how many ids credentials count in addition to their supplementary groups, with the table's own memory.
const IDS: usize = 128;

/// All credentials that any process has had.
#[derive(Debug)]
pub(super) struct Identities {
    known: Vec<Credentials>,
    numbers: HashMap<Credentials, usize>,
    id_count: usize,
}

impl Default for Identities {
    fn default() -> Self {
        let root = Credentials::default();
        Self {
            known: vec![root.clone()],
            numbers: HashMap::from([(root, 0)]),
            id_count: IDS,
        }
    }
}

impl Identities {
    /// Returns the credentials of a thread's process.
    pub(super) fn of(&self, thread: i32) -> Result<&Credentials, Errno> {
        let (soft, _) = tracee::read_limit(thread, RESOURCE)?;
        Ok(number_in(soft)
            .and_then(|number| self.known.get(number))
            .unwrap_or(&self.known[0]))
    }

    /// Changes the credentials of a thread's process. The caller has checked that the thread's call still waits.
    ///
    /// # Errors
    /// ENOMEM when processes have had too many, EPERM when the process has a limit below the mark.
    pub(super) fn set(&mut self, thread: i32, credentials: Credentials) -> Result<(), Errno> {
        let number = self.number_of(credentials)?;
        let (_, hard) = tracee::read_limit(thread, RESOURCE)?;
        let soft = MARK | number as u64;
        if soft > hard {
            return Err(Errno::EPERM);
        }
        tracee::set_limit(thread, RESOURCE, soft, hard)
    }

    fn number_of(&mut self, credentials: Credentials) -> Result<usize, Errno> {
        if let Some(&number) = self.numbers.get(&credentials) {
            return Ok(number);
        }
        let ids = IDS + credentials.supplementary.len();
        if self.id_count + ids > LIMIT {
            return Err(Errno::ENOMEM);
        }
        self.id_count += ids;
        let number = self.known.len();
        self.known.push(credentials.clone());
        self.numbers.insert(credentials, number);
        Ok(number)
    }
}

/// The answer to a question about ids.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Answered {
    /// What goes into the caller's memory, by address.
    pub(super) writes: Vec<(u64, Vec<u8>)>,
    pub(super) value: i64,
}

impl Question {
    /// # Errors
    /// EINVAL when there are more groups than the caller has room for.
    pub(super) fn answer(self, caller: &Credentials) -> Result<Answered, Errno> {
        let value = |id: u32| Answered {
            writes: Vec::new(),
            value: id.into(),
        };
        let bytes = |id: u32| id.to_ne_bytes().to_vec();
        Ok(match self {
            Self::Real(kind) => value(caller.ids(kind).real),
            Self::Effective(kind) => value(caller.ids(kind).effective),
            Self::All { kind, addresses } => {
                let ids = caller.ids(kind);
                let ids = [ids.real, ids.effective, ids.saved].map(bytes);
                Answered {
                    writes: addresses.into_iter().zip(ids).collect(),
                    value: 0,
                }
            }
            Self::Groups { count, address } => {
                let groups = &caller.supplementary;
                let room = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
                if room != 0 && groups.len() > room {
                    return Err(Errno::EINVAL);
                }
                let ids: Vec<u8> = groups.iter().flat_map(|&id| bytes(id)).collect();
                let is_wanted = room != 0 && !ids.is_empty();
                Answered {
                    writes: is_wanted.then_some((address, ids)).into_iter().collect(),
                    value: i64::try_from(groups.len()).expect("there are at most 65536"),
                }
            }
        })
    }
}

fn number_in(limit: u64) -> Option<usize> {
    (limit & !u64::from(u32::MAX) == MARK)
        .then(|| usize::try_from(limit & u64::from(u32::MAX)).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::credentials::{Change, Kind};

    fn user(id: u32) -> Credentials {
        let root = Credentials::default();
        root.change(Kind::User, Change::Set(id), true).unwrap().0
    }

    #[test]
    fn limits_of_people_are_no_numbers() {
        for limit in [0, 1, 1 << 20, u64::MAX, MARK - 1, MARK + (1 << 32)] {
            assert_eq!(number_in(limit), None, "{limit:#x}");
        }
        assert_eq!(number_in(MARK | 7), Some(7));
    }

    #[test]
    fn equal_credentials_have_one_number() {
        let mut identities = Identities::default();
        assert_eq!(identities.number_of(Credentials::default()), Ok(0));
        assert_eq!(identities.number_of(user(33)), Ok(1));
        assert_eq!(identities.number_of(user(34)), Ok(2));
        assert_eq!(identities.number_of(user(33)), Ok(1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut identities = Identities::default();
        let groups: Vec<u32> = (0..65536).collect();
        let mut accepted = 0;
        for id in 1..1000 {
            let credentials = user(id);
            // Only root may set them.
            let credentials = Credentials {
                supplementary: groups.clone().into(),
                ..credentials
            };
            match identities.number_of(credentials) {
                Ok(_) => accepted += 1,
                Err(errno) => {
                    assert_eq!(errno, Errno::ENOMEM);
                    break;
                }
            }
        }
        assert_eq!(accepted, 63);
    }
}
