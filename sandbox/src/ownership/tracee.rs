//! Reads what a call names: the caller's memory, and handles of its root, directories and descriptors.
//!
//! Nothing here acts on the file system. What was gathered may belong to another process when the caller died
//! meanwhile, so that it is used only after the kernel has confirmed that the call still waits.

use std::cell::OnceCell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use libc::AT_FDCWD;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, ResolveFlag, fcntl, openat};
use nix::sys::stat::{Mode, fstat};

use super::call::{Target, WhenEmpty};
use super::inode::{Inode, Key, key_of};
use super::place::{Place, Start, Walk};
use crate::sys::tracee;

/// `PATH_MAX`, with the NUL.
const PATH_LIMIT: usize = 4096;
/// The kernel's status files are about 1.5 KiB; the lines that are read come first.
const STATUS_LIMIT: u64 = 16 * 1024;
/// Memory is readable by pages, all of which are multiples of this.
const PAGE: u64 = 4096;

/// The calling thread.
///
/// Its handles are opened when they are first needed, because the first costs more than most answers, and stay good for
/// its later calls. When its number was given to another thread, they belong to a dead one: all that is asked of them
/// fails with ESRCH.
#[derive(Debug)]
pub(crate) struct Tracee {
    thread: i32,
    host_proc: Rc<OwnedFd>,
    /// Its directory in /proc.
    directory: OnceCell<OwnedFd>,
    /// What its descriptors are asked for by.
    handle: OnceCell<OwnedFd>,
}

impl Tracee {
    pub(crate) fn new(host_proc: &Rc<OwnedFd>, thread: i32) -> Self {
        Self {
            thread,
            host_proc: Rc::clone(host_proc),
            directory: OnceCell::new(),
            handle: OnceCell::new(),
        }
    }

    pub(crate) fn thread(&self) -> i32 {
        self.thread
    }

    /// Reads a string of less than `limit` bytes; `too_long` is the error for a longer one.
    pub(super) fn read_string(
        &self,
        address: u64,
        limit: usize,
        too_long: Errno,
    ) -> Result<CString, Errno> {
        let mut string = Vec::new();
        while string.len() < limit {
            // Most strings are short, and what follows the page of their end may not be mapped.
            let mut chunk = [0; 256];
            let from = address
                .checked_add(string.len() as u64)
                .ok_or(Errno::EFAULT)?;
            let to_page_end = usize::try_from(PAGE - from % PAGE).unwrap_or(usize::MAX);
            let length = chunk.len().min(to_page_end).min(limit - string.len());
            let read = tracee::read_memory(self.thread, from, &mut chunk[..length])?;
            if read == 0 {
                return Err(Errno::EFAULT);
            }
            if let Ok(end) = CStr::from_bytes_until_nul(&chunk[..read]) {
                string.extend_from_slice(end.to_bytes());
                return Ok(CString::new(string).expect("all chunks before had no NUL"));
            }
            string.extend_from_slice(&chunk[..read]);
        }
        Err(too_long)
    }

    /// Reads exactly `length` bytes, of which the caller has checked that they may be allocated.
    pub(crate) fn read_bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        if length > 0 && tracee::read_memory(self.thread, address, &mut bytes)? != length {
            return Err(Errno::EFAULT);
        }
        Ok(bytes)
    }

    pub(super) fn read_path(&self, address: u64) -> Result<CString, Errno> {
        self.read_string(address, PATH_LIMIT, Errno::ENAMETOOLONG)
    }

    /// Reads the file mode creation mask.
    pub(super) fn umask(&self) -> Result<Mode, Errno> {
        let mask = self.status("Umask:", 8)?;
        Ok(Mode::from_bits_truncate(mask))
    }

    /// Tells the caller's program from others.
    pub(super) fn executable(&self) -> Option<Key> {
        let executable = self.open("exe").ok()?;
        fstat(&executable).ok().map(|status| key_of(&status))
    }

    /// Opens the caller's memory for writing.
    ///
    /// It stays the caller's whatever happens to it, unlike its number, and writing to it is an effect: the caller is
    /// asked for it first, then whether its call still waits.
    pub(crate) fn memory(&self) -> Result<File, Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        self.open_entry("mem", flags).map(File::from)
    }

    /// Finds where a call's target is, as far as this takes no path walk.
    pub(super) fn locate(&self, target: Target) -> Result<Place<'_>, Errno> {
        match target {
            Target::Descriptor {
                number,
                path_only: false,
            } => self.open_descriptor(number),
            Target::Descriptor {
                number,
                path_only: true,
            } => self.descriptor(number).and_then(either),
            Target::Path {
                directory,
                address,
                follow,
                when_empty,
            } => {
                let may_be_null = matches!(
                    when_empty,
                    WhenEmpty::Descriptor | WhenEmpty::DirectoryOrNull
                );
                let path = if address == 0 && may_be_null {
                    CString::default()
                } else {
                    self.read_path(address)?
                };
                if !path.is_empty() {
                    return self.locate_path(directory, path, follow);
                }
                match when_empty {
                    WhenEmpty::Refuse => Err(Errno::ENOENT),
                    WhenEmpty::Descriptor if directory != AT_FDCWD => {
                        self.open_descriptor(directory)
                    }
                    _ => self.directory(directory).and_then(either),
                }
            }
        }
    }

    /// Finds where a path that is not empty leads.
    ///
    /// The links below /proc/self name the supervisor to the supervisor. Only the forms that programs use to reach
    /// their own descriptors are understood, by their text, and mean the caller's; any other way through a magic
    /// link is refused by the walk.
    pub(super) fn locate_path(
        &self,
        directory: RawFd,
        path: CString,
        follow: bool,
    ) -> Result<Place<'_>, Errno> {
        let resolve = ResolveFlag::empty();
        let Some((number, rest)) = own_descriptor(path.to_bytes()) else {
            return self.locate_resolved(directory, path, follow, resolve);
        };
        if rest.is_empty() && !follow {
            return self.locate_resolved(directory, path, follow, resolve);
        }
        let descriptor = self.descriptor(number).map_err(|errno| match errno {
            Errno::EBADF => Errno::ENOENT,
            other => other,
        })?;
        if rest.is_empty() {
            return either(descriptor);
        }
        self.proc_directory()?;
        let below = rest.iter().position(|&byte| byte != b'/');
        let below = below.map_or(&b"."[..], |first| &rest[first..]);
        let below = CString::new(below).expect("a part of a C string holds no NUL");
        Ok(Place::Walk(Walk {
            tracee: self,
            start: Start::Directory(descriptor),
            path: below,
            follow,
            resolve,
        }))
    }

    /// Finds where a path that is not empty leads, by its words alone and as `resolve` says.
    pub(super) fn locate_resolved(
        &self,
        directory: RawFd,
        path: CString,
        follow: bool,
        resolve: ResolveFlag,
    ) -> Result<Place<'_>, Errno> {
        // With these an absolute path starts at the directory too, or is refused.
        let bounded = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_BENEATH;
        let start = if path.to_bytes().starts_with(b"/") && !resolve.intersects(bounded) {
            Start::Root(self.root()?)
        } else {
            Start::Directory(self.directory(directory)?)
        };
        self.proc_directory()?;
        Ok(Place::Walk(Walk {
            tracee: self,
            start,
            path,
            follow,
            resolve,
        }))
    }

    fn open_descriptor(&self, number: RawFd) -> Result<Place<'static>, Errno> {
        let descriptor = self.descriptor(number)?;
        if is_path_only(&descriptor)? {
            return Err(Errno::EBADF);
        }
        Ok(Place::Known(Inode::by_open_file(descriptor)))
    }

    fn directory(&self, number: RawFd) -> Result<OwnedFd, Errno> {
        if number == AT_FDCWD {
            self.open("cwd")
        } else {
            self.descriptor(number)
        }
    }

    /// Returns the caller's own open file description, so that what the caller could do with it is what we can.
    pub(crate) fn descriptor(&self, number: RawFd) -> Result<OwnedFd, Errno> {
        if let Some(handle) = self.handle.get() {
            return tracee::fetch_descriptor(handle, number);
        }
        let handle = match tracee::open_thread(self.thread) {
            // Before 6.9. A thread that has unshared its descriptors from its process is not seen there.
            Err(Errno::EINVAL) => tracee::open_process(self.status("Tgid:", 10)?.cast_signed()),
            other => other,
        }?;
        tracee::fetch_descriptor(self.handle.get_or_init(|| handle), number)
    }

    /// Opens the caller's root. After the call was confirmed, that is right only if the directory in /proc was opened
    /// before.
    pub(super) fn root(&self) -> Result<OwnedFd, Errno> {
        self.open("root")
    }

    fn open(&self, entry: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        self.open_entry(entry, flags)
    }

    fn open_entry(&self, entry: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        openat(self.proc_directory()?, entry, flags, Mode::empty()).map_err(gone_without_entry)
    }

    fn proc_directory(&self) -> Result<&OwnedFd, Errno> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let name = self.thread.to_string();
        let opened = openat(&*self.host_proc, name.as_str(), flags, Mode::empty())
            .map_err(gone_without_entry)?;
        Ok(self.directory.get_or_init(|| opened))
    }

    /// Returns the user whom the kernel takes the caller for where files are concerned.
    pub(super) fn file_system_user(&self) -> Result<u32, Errno> {
        // The real, effective, saved and file system id (proc_pid_status(5)).
        self.status_field("Uid:", |ids| {
            ids.split_ascii_whitespace().nth(3)?.parse().ok()
        })
    }

    fn status(&self, field: &str, radix: u32) -> Result<u32, Errno> {
        self.status_field(field, |value| u32::from_str_radix(value.trim(), radix).ok())
    }

    fn status_field(&self, field: &str, parse: impl Fn(&str) -> Option<u32>) -> Result<u32, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = self.open_entry("status", flags)?;
        let mut text = Vec::new();
        File::from(file)
            .take(STATUS_LIMIT)
            .read_to_end(&mut text)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        find_field(&text, field, parse).ok_or(Errno::ESRCH)
    }
}

/// Returns what `parse` makes of a field of a status file (proc_pid_status(5)).
pub(crate) fn find_field<T>(
    status: &[u8],
    field: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    // The first line is the name of the program, which need not be UTF-8 and cannot hold a newline.
    status
        .split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.strip_prefix(field))
        .find_map(parse)
}

/// The directory of a dead thread is empty, and then gone.
fn gone_without_entry(errno: Errno) -> Errno {
    match errno {
        Errno::ENOENT => Errno::ESRCH,
        other => other,
    }
}

fn either(descriptor: OwnedFd) -> Result<Place<'static>, Errno> {
    Ok(Place::Known(if is_path_only(&descriptor)? {
        Inode::by_path(descriptor)
    } else {
        Inode::by_open_file(descriptor)
    }))
}

fn is_path_only(descriptor: &OwnedFd) -> Result<bool, Errno> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    Ok(flags.contains(OFlag::O_PATH))
}

/// Takes apart the paths that go through a process's own descriptor: its number, and what follows.
pub(super) fn own_descriptor(path: &[u8]) -> Option<(RawFd, &[u8])> {
    let rest = [
        &b"/proc/self/fd/"[..],
        b"/proc/thread-self/fd/",
        b"/dev/fd/",
    ]
    .iter()
    .find_map(|prefix| path.strip_prefix(*prefix))?;
    let end = rest
        .iter()
        .position(|&byte| byte == b'/')
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_through_own_descriptors_are_known_by_their_text() {
        for (path, expected) in [
            ("/proc/self/fd/3", Some((3, ""))),
            ("/proc/thread-self/fd/12", Some((12, ""))),
            ("/dev/fd/0", Some((0, ""))),
            ("/proc/self/fd/", None),
            ("/proc/self/fd/3/", Some((3, "/"))),
            ("/proc/self/fd/3/.", Some((3, "/."))),
            ("/proc/self/fd/3/./x", Some((3, "/./x"))),
            ("/proc/self/fd/+3", None),
            ("/proc/self/fd/-3", None),
            ("/proc/self/fd/99999999999", None),
            ("/proc/self//fd/3", None),
            ("/proc/1/fd/3", None),
            ("proc/self/fd/3", None),
            ("/dev/fd", None),
        ] {
            let expected = expected.map(|(number, rest)| (number, rest.as_bytes()));
            assert_eq!(own_descriptor(path.as_bytes()), expected, "{path}");
        }
    }
}
