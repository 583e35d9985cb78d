//! Calls without a safe wrapper, with the arguments that a hostile program would use.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub(crate) fn open_path(path: &Path) -> File {
    File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)
        .unwrap()
}

/// Makes any system call.
///
/// The arguments may be wild on purpose: a pointer must be null, unmapped, or to memory that the call may use.
pub(crate) fn call(number: libc::c_long, arguments: [u64; 6]) -> Result<(), Errno> {
    let [a0, a1, a2, a3, a4, a5] = arguments;
    // SAFETY: the calls made through here read their caller's memory and do not write to it; the kernel answers
    // pointers to nothing with EFAULT.
    Errno::result(unsafe { libc::syscall(number, a0, a1, a2, a3, a4, a5) }).map(drop)
}

pub(crate) fn address(string: &CStr) -> u64 {
    string.as_ptr().addr() as u64
}

pub(crate) fn set(path: &Path, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    let path = c_path(path);
    let length = value.len();
    // SAFETY: two C strings and `length` readable bytes, all of which outlive the call.
    let result = unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            length,
            flags,
        )
    };
    Errno::result(result).map(drop)
}

pub(crate) fn set_by_descriptor(file: &File, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let length = value.len();
    // SAFETY: a C string and `length` readable bytes, which outlive the call.
    let result = unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            length,
            0,
        )
    };
    Errno::result(result).map(drop)
}

pub(crate) fn get(path: &Path, name: &CStr) -> Option<Vec<u8>> {
    let path = c_path(path);
    let mut value = vec![0u8; 65536];
    // SAFETY: two C strings, and writable room for as many bytes as stated.
    let result = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    value.truncate(usize::try_from(result).ok()?);
    Some(value)
}

pub(crate) fn remove(path: &Path, name: &CStr) -> Result<(), Errno> {
    let path = c_path(path);
    // SAFETY: two C strings that outlive the call.
    Errno::result(unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// Sets an attribute by setxattrat of Linux 6.13, whose value is in a structure.
pub(crate) fn set_at(path: &Path, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let path = c_path(path);
    let length = u64::try_from(value.len()).unwrap();
    let structure = [value.as_ptr().addr() as u64, length];
    let structure = structure.as_ptr().addr() as u64;
    let cwd = libc::AT_FDCWD.cast_unsigned().into();
    let flags = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned().into();
    let arguments = [cwd, address(&path), flags, address(name), structure, 16];
    call(463, arguments)
}

/// Removes an attribute by removexattrat of Linux 6.13.
pub(crate) fn remove_at(path: &Path, name: &CStr) -> Result<(), Errno> {
    let path = c_path(path);
    let cwd = libc::AT_FDCWD.cast_unsigned().into();
    let flags = libc::AT_SYMLINK_NOFOLLOW.cast_unsigned().into();
    call(466, [cwd, address(&path), flags, address(name), 0, 0])
}

/// Writes to memory that another thread passes to the kernel, which is the race to be tested.
pub(crate) fn write_volatile(address: usize, bytes: &[u8]) {
    let target = std::ptr::with_exposed_provenance_mut::<u8>(address);
    for (index, &byte) in bytes.iter().enumerate() {
        // SAFETY: the scope of the caller keeps the buffer of at least as many bytes alive; only the kernel reads it
        // meanwhile.
        unsafe { target.add(index).write_volatile(byte) };
    }
}

/// Lists attributes, with room for as many bytes.
pub(crate) fn list(path: &Path, room: usize) -> Result<Vec<u8>, Errno> {
    let path = c_path(path);
    let mut names = vec![0u8; room];
    // SAFETY: a C string, and writable room for as many bytes as stated.
    let result = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), room) };
    let length = Errno::result(result)?;
    names.truncate(usize::try_from(length).unwrap());
    Ok(names)
}

/// Asks how long the list of attributes is.
pub(crate) fn length_of_list(path: &Path) -> Result<isize, Errno> {
    let path = c_path(path);
    // SAFETY: a C string; nothing is written to a buffer without length.
    Errno::result(unsafe { libc::llistxattr(path.as_ptr(), std::ptr::null_mut(), 0) })
}

/// Maps private memory, or that of a file, and returns its address. It stays for good.
pub(crate) fn map(file: Option<&File>, length: usize, access: i32) -> usize {
    let (flags, descriptor) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: new memory is asked for, wherever the kernel likes.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, descriptor, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    memory.expose_provenance()
}

/// Maps private memory at an address at which some was unmapped.
pub(crate) fn map_again(address: usize, length: usize, access: i32) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let wanted = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: nothing is replaced.
    let memory = unsafe { libc::mmap(wanted, length, access, flags, -1, 0) };
    assert_eq!(memory.addr(), address);
}

/// Interrupts this process again and again with a signal whose handler does nothing; 0 ends it.
pub(crate) fn interrupt_every(microseconds: libc::suseconds_t) {
    extern "C" fn ignore(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = ignore;
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: the handler touches nothing; the call reads one structure. signal(3) has calls restarted.
    unsafe {
        libc::signal(libc::SIGALRM, handler as libc::sighandler_t);
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()),
            0
        );
    }
}

/// Unmaps memory of [`map`], to which nothing may refer but addresses.
pub(crate) fn unmap(address: usize, length: usize) {
    let memory = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller says that no reference leads there.
    Errno::result(unsafe { libc::munmap(memory, length) }).unwrap();
}

/// Copies bytes to the end of a page that no other follows, and returns their address.
pub(crate) fn at_the_end_of_memory(bytes: &[u8]) -> u64 {
    const PAGE: usize = 4096;
    let memory = map(None, 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE);
    unmap(memory + PAGE, PAGE);
    let address = memory + PAGE - bytes.len();
    write_volatile(address, bytes);
    address as u64
}

/// Makes a descriptor of this thread's table name another file.
pub(crate) fn replace(number: i32, file: &File) {
    // SAFETY: the call touches no memory. Who else knows the number does so in the table of another thread.
    Errno::result(unsafe { libc::dup2(file.as_raw_fd(), number) }).unwrap();
}

/// Runs a script in a child that shares memory with this process until it executes the shell, and makes its real ids
/// its effective ones before. Returns whether it succeeded.
pub(crate) fn spawn_with_real_ids(script: &CStr) -> bool {
    let arguments = [c"sh", c"-c", script].map(CStr::as_ptr);
    let [shell, option, script] = arguments.map(<*const libc::c_char>::cast_mut);
    let arguments = [shell, option, script, std::ptr::null_mut()];
    let environment = [std::ptr::null_mut()];
    let flags = libc::c_short::try_from(libc::POSIX_SPAWN_RESETIDS).unwrap();
    let (mut child, mut status) = (0, 0);
    let mut attributes = std::mem::MaybeUninit::uninit();
    // SAFETY: the attributes are initialised before their use; the strings and the two lists, which end with null,
    // outlive the calls, which do not write there.
    unsafe {
        assert_eq!(libc::posix_spawnattr_init(attributes.as_mut_ptr()), 0);
        assert_eq!(
            libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags),
            0
        );
        let spawned = libc::posix_spawn(
            &raw mut child,
            c"/bin/sh".as_ptr(),
            std::ptr::null(),
            attributes.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        );
        assert_eq!(spawned, 0);
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}
