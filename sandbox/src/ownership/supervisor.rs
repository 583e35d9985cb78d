//! The loop: receive a call, gather what it names, confirm that it still waits, act, answer.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::attributes;
use super::call::{Buffer, BufferArgument, Call, Creation, StatusFormat, Target};
use super::callers::Callers;
use super::creation::{Made, NewEntry, NewFile};
use super::credentials::Credentials;
use super::error::{Error, Refusal};
use super::identities::{Answered, Identities};
use super::inode::Inode;
use super::owner::change_owner;
use super::place::Home;
use super::reading;
use super::records::{OwnerRecord, Records};
use super::status::recorded_status;
use super::tracee::Tracee;
use super::xattr::{self, NewAttribute};
use crate::listener::Listener;
use crate::sys::notify::{Notification, Reply};

/// The capabilities that the recorded calls take, of those that the program may have, and what it takes to walk its
/// paths and read its memory. Not among them is `CAP_SYS_ADMIN`, with which a program could have attributes set that
/// it must not set itself.
const KEPT_CAPABILITIES: [Capability; 8] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SYS_PTRACE,
];

/// Answers the recorded calls of a sandbox.
#[derive(Debug)]
pub struct Supervisor {
    listener: OwnedFd,
    host_proc: OwnedFd,
}

/// A supervisor whose process was prepared.
#[derive(Debug)]
struct Running {
    listener: Listener,
    home: Home,
    records: Records,
    identities: Identities,
    callers: Callers,
}

/// What a call is answered with when it does not fail.
#[derive(Debug)]
enum Answer {
    Value(i64),
    /// The kernel makes the call.
    Native,
    /// What the caller gets in its memory, by address, and the value.
    Memory {
        writes: Vec<(u64, Vec<u8>)>,
        value: i64,
    },
    Made(Made),
}

impl Supervisor {
    /// Takes the filter's listener, and an `O_PATH` descriptor of a procfs mount of the pid namespace in which the
    /// supervisor runs.
    pub fn new(listener: OwnedFd, host_proc: OwnedFd) -> Self {
        Self {
            listener,
            host_proc,
        }
    }

    /// Answers calls until every task under the filter is gone, then returns the records that are not attributes: those
    /// that were made, and of the `known` ones from before all that were neither changed nor deleted.
    ///
    /// The process must be single-threaded, root of the sandbox's user namespace, in its mount namespace with all
    /// mounts made, with the sandbox's root as its own, and outside its pid namespace. It loses the capabilities that
    /// it does not need, and its working directory.
    ///
    /// # Errors
    ///
    /// Calls fail with ENOSYS from then on, so that the programs cannot go on unrecorded.
    pub fn run(self, known: &[OwnerRecord]) -> Result<Vec<OwnerRecord>, Error> {
        let mut running = self.prepare()?;
        running.records.hold_known(known, &running.home)?;
        let outcome = running.serve();
        let returned = running.home.leave();
        outcome?;
        returned?;
        running.home.stand_in_proc()?;
        running.records.locate(&running.home)
    }

    fn prepare(self) -> Result<Running, Error> {
        let failed = |step| move |source| Error::Prepare { step, source };
        let listener = Listener::new(self.listener)?;
        let (_, limit) =
            getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("reading the descriptor limit"))?;
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit)
            .map_err(failed("raising the descriptor limit"))?;
        trim_capabilities().map_err(|source| Error::TrimCapabilities { source })?;
        let home = Home::new(self.host_proc)?;
        home.stand_in_proc()?;
        Ok(Running {
            listener,
            home,
            records: Records::default(),
            identities: Identities::default(),
            callers: Callers::default(),
        })
    }
}

impl Running {
    fn serve(&mut self) -> Result<(), Error> {
        while let Some(notification) = self.listener.next()? {
            let reply = match self.process(&notification) {
                Ok(Answer::Made(Made::File(file))) => self.give(notification.id, file),
                Ok(Answer::Native) => Reply::Continue,
                Ok(Answer::Value(value) | Answer::Memory { value, .. }) => Reply::Value(value),
                Ok(Answer::Made(Made::Entry)) => Reply::Value(0),
                Err(Refusal::Caller(errno)) => Reply::Error(errno),
                Err(Refusal::Fatal(error)) => return Err(error),
            };
            self.listener.answer(notification.id, reply)?;
        }
        Ok(())
    }

    /// Gives a file to the caller, and returns the answer.
    ///
    /// The supervisor's own descriptor is closed before the caller goes on, which may close the file and execute it,
    /// or expect its lock to be gone.
    fn give(&self, id: u64, file: NewFile) -> Reply {
        let given = self
            .listener
            .give(id, file.descriptor(), file.close_on_exec);
        match given {
            Ok(number) => Reply::Value(number.into()),
            Err(errno) => {
                file.discard();
                Reply::Error(errno)
            }
        }
    }

    fn process(&mut self, notification: &Notification) -> Result<Answer, Refusal> {
        let call = Call::decode(notification)?;
        let thread = notification.thread;
        let known = self.callers.take(thread);
        let was_known = known.is_some();
        let mut tracee = known.unwrap_or_else(|| Tracee::new(self.home.host_proc(), thread));
        let mut outcome = self.act(&tracee, notification.id, call);
        if was_known && matches!(outcome, Err(Refusal::Caller(Errno::ESRCH))) {
            // The handles are those of a thread that had this number before. Nothing was done yet.
            tracee = Tracee::new(self.home.host_proc(), thread);
            outcome = self.act(&tracee, notification.id, call);
        }
        self.callers.keep(tracee);
        outcome
    }

    fn act(&mut self, tracee: &Tracee, id: u64, call: Call) -> Result<Answer, Refusal> {
        let answer = match call {
            Call::ReadStatus {
                target,
                format,
                address,
            } => self.read_status(tracee, target, format, address)?,
            Call::Identify(question) => {
                let caller = self.identities.of(tracee.thread())?;
                let Answered { writes, value } = question.answer(caller)?;
                Answer::Memory { writes, value }
            }
            Call::Create(creation) => self.create(tracee, id, creation)?,
            Call::ReadAttribute { target, name, into } => {
                self.read_attribute(tracee, target, name, into)?
            }
            Call::ListAttributes { target, into } => self.list_attributes(tracee, target, into)?,
            Call::ChangeOwner { target, change } => {
                let place = tracee.locate(target)?;
                self.listener.confirm(id)?;
                let inode = self.home.open(place)?;
                let caller = self.identities.of(tracee.thread())?;
                change_owner(&inode, change, caller, &mut self.records)?;
                Answer::Value(0)
            }
            Call::SetAttribute {
                target,
                name,
                value,
            } => {
                let attribute = NewAttribute::gather(tracee, target, name, value)?;
                self.listener.confirm(id)?;
                let caller = self.identities.of(tracee.thread())?;
                attribute.set(&self.home, caller, &self.records)?;
                Answer::Value(0)
            }
            Call::RemoveAttribute { target, name } => {
                let name = xattr::read_removable_name(tracee, name)?;
                let place = tracee.locate(target)?;
                self.listener.confirm(id)?;
                let inode = self.home.open(place)?;
                let caller = self.identities.of(tracee.thread())?;
                xattr::remove(&name, &inode, caller, &self.records)?;
                Answer::Value(0)
            }
            Call::ChangeIdentity { kind, change } => {
                self.change_identity(tracee, id, |caller, privileged| {
                    caller.change(kind, change, privileged)
                })?
            }
            Call::SetGroups { count, address } => {
                let groups = read_groups(tracee, count, address)?;
                self.change_identity(tracee, id, |caller, privileged| {
                    Ok((caller.with_groups(&groups, privileged)?, 0))
                })?
            }
            Call::KeepCapabilities(keep) => {
                let executable = tracee.executable().filter(|_| keep);
                self.change_identity(tracee, id, |caller, _| {
                    let mut changed = caller.clone();
                    changed.keeps_capabilities = executable;
                    Ok((changed, 0))
                })?;
                Answer::Native
            }
        };
        if let Answer::Memory { writes, .. } = &answer
            && !writes.is_empty()
        {
            let memory = tracee.memory()?;
            self.listener.confirm(id)?;
            for (address, bytes) in writes {
                let outcome = memory.write_all_at(bytes, *address);
                outcome.map_err(|_| Errno::EFAULT)?;
            }
        }
        Ok(answer)
    }

    /// Changes who the caller is; `change` is told who it was, and whether it may become anybody, and returns what the
    /// call returns.
    fn change_identity(
        &mut self,
        tracee: &Tracee,
        id: u64,
        change: impl FnOnce(&Credentials, bool) -> Result<(Credentials, u32), Errno>,
    ) -> Result<Answer, Refusal> {
        let caller = self.identities.of(tracee.thread())?;
        let privileged = caller.is_privileged(|| tracee.executable());
        let (changed, returned) = change(caller, privileged)?;
        self.listener.confirm(id)?;
        self.identities.set(tracee.thread(), changed)?;
        Ok(Answer::Value(returned.into()))
    }

    fn read_status(
        &self,
        tracee: &Tracee,
        target: Target,
        format: StatusFormat,
        address: u64,
    ) -> Result<Answer, Refusal> {
        let Some(inode) = self.find(tracee, target)? else {
            return Ok(Answer::Native);
        };
        Ok(match recorded_status(&inode, format, &self.records)? {
            Some(bytes) => Answer::Memory {
                writes: vec![(address, bytes)],
                value: 0,
            },
            None => Answer::Native,
        })
    }

    fn read_attribute(
        &self,
        tracee: &Tracee,
        target: Target,
        name: u64,
        into: BufferArgument,
    ) -> Result<Answer, Refusal> {
        let name = xattr::read_name(tracee, name)?;
        if attributes::is_reserved(name.to_bytes()) {
            return Err(Errno::ENODATA.into());
        }
        if xattr::acl_record(&name).is_none() {
            return Ok(Answer::Native);
        }
        let Some(inode) = self.find(tracee, target)? else {
            return Ok(Answer::Native);
        };
        let value = reading::shown_value(&inode, &name)?;
        shown(value, || into.read(tracee))
    }

    fn list_attributes(
        &self,
        tracee: &Tracee,
        target: Target,
        into: Buffer,
    ) -> Result<Answer, Refusal> {
        let Some(inode) = self.find(tracee, target)? else {
            return Ok(Answer::Native);
        };
        shown(reading::shown_names(&inode)?, || Ok(into))
    }

    /// Finds the inode that a call asks about; `None` when the kernel knows better what is wrong.
    fn find(&self, tracee: &Tracee, target: Target) -> Result<Option<Inode>, Refusal> {
        let found = tracee
            .locate(target)
            .map_err(Refusal::from)
            .and_then(|place| self.home.open(place));
        match found {
            Ok(inode) => Ok(Some(inode)),
            Err(refusal) if refusal.is_also_the_kernels() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    fn create(&mut self, tracee: &Tracee, id: u64, creation: Creation) -> Result<Answer, Refusal> {
        let caller = self.identities.of(tracee.thread())?;
        let entry = NewEntry::gather(tracee, creation, caller, &self.home, &self.records)?;
        let Some(entry) = entry else {
            return Ok(Answer::Native);
        };
        self.listener.confirm(id)?;
        let made = entry.make(&mut self.records)?;
        Ok(made.map_or(Answer::Native, Answer::Made))
    }
}

fn shown(
    answer: Option<Vec<u8>>,
    buffer: impl FnOnce() -> Result<Buffer, Errno>,
) -> Result<Answer, Refusal> {
    let Some(answer) = answer else {
        return Ok(Answer::Native);
    };
    let value = i64::try_from(answer.len()).expect("attributes are short");
    let writes = buffer()?.take(answer)?.into_iter().collect();
    Ok(Answer::Memory { writes, value })
}

fn read_groups(tracee: &Tracee, count: u32, address: u64) -> Result<Vec<u32>, Errno> {
    let length = 4 * usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let bytes = tracee.read_bytes(address, length)?;
    let (ids, _) = bytes.as_chunks();
    Ok(ids.iter().map(|id| u32::from_ne_bytes(*id)).collect())
}

fn trim_capabilities() -> Result<(), caps::errors::CapsError> {
    let kept = HashSet::from(KEPT_CAPABILITIES);
    let permitted = &caps::read(None, CapSet::Permitted)? & &kept;
    caps::set(None, CapSet::Effective, &permitted)?;
    caps::set(None, CapSet::Inheritable, &HashSet::new())?;
    caps::set(None, CapSet::Permitted, &permitted)
}
