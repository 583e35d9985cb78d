//! The owners of inodes that cannot carry attributes.
//!
//! The kernel refuses user attributes on symbolic links, FIFOs, sockets and device nodes. A descriptor is held for each
//! of these whose owner was recorded. It finds the inode's path at the end, after renames, and it keeps the inode
//! alive, so that its device and inode number cannot come to mean another one: no generation or birth time is needed
//! to tell them apart.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, fstat};
use serde::{Deserialize, Serialize};

use super::attributes::Owner;
use super::error::{Error, Refusal};
use super::inode::{Inode, Key, carries_attributes, key_of};
use super::place::Home;

/// The owner of an entry that cannot carry it itself.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct OwnerRecord {
    /// The absolute path in the sandbox's root, when its last program ended.
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    pub uid: u32,
    pub gid: u32,
}

/// A path as its bytes, because serde refuses one that is not UTF-8, and a program may name a link so.
mod path_bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PathBuf, D::Error> {
        Vec::deserialize(deserializer).map(|bytes| OsString::from_vec(bytes).into())
    }
}

/// How many inodes are held. Sixty packages of a distribution needed none.
const LIMIT: usize = 4096;

/// The table of held inodes.
#[derive(Debug, Default)]
pub(super) struct Records {
    held: HashMap<Key, Held>,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    descriptor: OwnedFd,
}

impl Records {
    pub(super) fn get(&self, key: Key) -> Option<Owner> {
        self.held.get(&key).map(|held| held.owner)
    }

    /// Records an owner, or forgets it when it is 0:0.
    pub(super) fn set(
        &mut self,
        inode: &Inode,
        status: &FileStat,
        owner: Owner,
    ) -> Result<(), Refusal> {
        let key = key_of(status);
        if owner == Owner::default() {
            self.held.remove(&key);
            return Ok(());
        }
        // Pipes and sockets without a name are in no image.
        if !inode.path()?.as_encoded_bytes().starts_with(b"/") {
            return Ok(());
        }
        if self.held.len() >= LIMIT && !self.held.contains_key(&key) {
            self.forget_deleted();
            if self.held.len() >= LIMIT {
                return Err(Error::TooManyRecords { limit: LIMIT }.into());
            }
        }
        match self.held.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().owner = owner,
            Entry::Vacant(entry) => {
                let descriptor = inode.hold().map_err(|errno| match errno {
                    // The call can be refused, and what it made is removed.
                    Errno::EMFILE | Errno::ENFILE => Refusal::Caller(errno),
                    source => Error::HoldInode { source }.into(),
                })?;
                entry.insert(Held { owner, descriptor });
            }
        }
        Ok(())
    }

    /// Takes over records from before, of inodes that are where they were. The root must be the supervisor's own.
    pub(super) fn hold_known(&mut self, known: &[OwnerRecord], home: &Home) -> Result<(), Error> {
        for record in known {
            let held = match find(home, &record.path) {
                Ok(descriptor) => descriptor,
                // Hidden by a mount, such as what is below /run.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                Err(source) => return Err(Error::HoldInode { source }),
            };
            let status = fstat(&held).map_err(|source| Error::HoldInode { source })?;
            if carries_attributes(&status) {
                continue;
            }
            if self.held.len() >= LIMIT {
                return Err(Error::TooManyRecords { limit: LIMIT });
            }
            let held = Held {
                owner: Owner {
                    uid: record.uid,
                    gid: record.gid,
                },
                descriptor: held,
            };
            self.held.insert(key_of(&status), held);
        }
        Ok(())
    }

    /// Returns the records with their paths, in the order of the paths. The root must be the supervisor's own.
    pub(super) fn locate(mut self, home: &Home) -> Result<Vec<OwnerRecord>, Error> {
        self.forget_deleted();
        let mut records = self
            .held
            .into_values()
            .filter_map(|held| held.locate(home).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        records.sort();
        Ok(records)
    }

    fn forget_deleted(&mut self) {
        self.held
            .retain(|_, held| fstat(&held.descriptor).is_ok_and(|status| status.st_nlink > 0));
    }
}

impl Held {
    /// Asks the kernel for the path, and checks that it leads to the inode: one with several hard links may have lost
    /// the one that it was opened by. `None` for one without a name: what overlayfs shows of a lower directory keeps its
    /// link count when it is deleted.
    fn locate(self, home: &Home) -> Result<Option<OwnerRecord>, Error> {
        let inode = Inode::by_path(self.descriptor);
        let path = inode.path().map(PathBuf::from).unwrap_or_default();
        match leads_to(home, &path, &inode) {
            Ok(()) => Ok(Some(OwnerRecord {
                path,
                uid: self.owner.uid,
                gid: self.owner.gid,
            })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) if has_one_name(&inode) => Ok(None),
            Err(source) => Err(Error::LocateRecord {
                last_path: path,
                source,
            }),
        }
    }
}

fn has_one_name(inode: &Inode) -> bool {
    inode.status().is_ok_and(|status| status.st_nlink <= 1)
}

fn leads_to(home: &Home, path: &Path, inode: &Inode) -> Result<(), Errno> {
    let found = fstat(find(home, path)?)?;
    if key_of(&found) == key_of(&inode.status()?) {
        Ok(())
    } else {
        Err(Errno::ENOENT)
    }
}

/// Opens what an absolute path leads to without following any link.
fn find(home: &Home, path: &Path) -> Result<OwnedFd, Errno> {
    let relative = path.strip_prefix("/").map_err(|_| Errno::ENOENT)?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(home.root(), relative, how)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn paths_that_are_not_utf8_survive_the_report() {
        let record = OwnerRecord {
            path: OsStr::from_bytes(b"/\xff").into(),
            uid: 1,
            gid: 2,
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"path":[47,255],"uid":1,"gid":2}"#);
        assert_eq!(serde_json::from_str::<OwnerRecord>(&text).unwrap(), record);
    }
}
