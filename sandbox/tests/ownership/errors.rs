//! What making a file fails with: the same for a process that has become another user, whose files the supervisor
//! makes, as for root, whose files the kernel makes.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use libc::{
    O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC,
    O_WRONLY, S_IFBLK, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, SYS_mkdirat, SYS_mknodat,
    SYS_openat, SYS_openat2, SYS_symlinkat, c_int, c_long,
};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, mkfifo};

use crate::identities::become_user;
use crate::owners::owner_on_disk;
use crate::{Check, Scenario, raw};

/// `linux/openat2.h`.
const NO_XDEV: u64 = 0x01;
const NO_MAGICLINKS: u64 = 0x02;
const NO_SYMLINKS: u64 = 0x04;
const BENEATH: u64 = 0x08;
const IN_ROOT: u64 = 0x10;
const CACHED: u64 = 0x20;

const CWD: u64 = 0xffff_ff9c;
/// Made before the filter is there, and by following a link.
const NOT_MADE_BY_NAME: [&str; 9] = [
    "file",
    "directory",
    "link",
    "to-directory",
    "dangling",
    "loop",
    "up",
    "fifo",
    "nowhere",
];

pub(crate) static ALL: &[Scenario] = &[Scenario {
    name: "making_fails_for_a_user_as_it_does_for_root",
    prepare: |directory| {
        for name in ["root", "user"] {
            let below = directory.join(name);
            fs::create_dir_all(below.join("directory")).unwrap();
            fs::write(below.join("file"), "kept").unwrap();
            for (target, link) in [
                ("file", "link"),
                ("directory", "to-directory"),
                ("nowhere", "dangling"),
                ("loop", "loop"),
                ("..", "up"),
            ] {
                symlink(target, below.join(link)).unwrap();
            }
            mkfifo(&below.join("fifo"), Mode::S_IRWXU).unwrap();
        }
    },
    program: |directory| {
        chdir(&directory.join("root")).unwrap();
        make_everything("root");
        become_user(33);
        chdir(&directory.join("user")).unwrap();
        make_everything("user");
    },
    check: Check::Records(|directory, records| {
        let (root, user) = (directory.join("root"), directory.join("user"));
        let mut made = names_below(&root);
        assert_eq!(names_below(&user), made);
        made.retain(|name| !NOT_MADE_BY_NAME.contains(&name.as_str()));
        assert_eq!(made.len(), 23, "{made:?}");
        for name in made {
            let path = user.join(&name);
            let recorded = records.iter().find(|record| record.path == path);
            let owner = owner_on_disk(&path).or(recorded.map(|record| (record.uid, record.gid)));
            assert_eq!(owner, Some((33, 33)), "{name}");
        }
        for name in NOT_MADE_BY_NAME {
            assert_eq!(owner_on_disk(&user.join(name)), None, "{name}");
        }
        assert_eq!(fs::read(user.join("file")).unwrap(), b"kept");
    }),
}];

fn names_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for below in ["", "directory/"] {
        for entry in fs::read_dir(directory.join(below)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            names.push(format!("{below}{name}"));
        }
    }
    names.sort();
    names
}

fn make_everything(who: &str) {
    let expect = |what: &str, number: c_long, arguments: [u64; 6], expected: c_int| {
        let found = raw::call(number, arguments);
        let expected = match expected {
            0 => Ok(()),
            errno => Err(Errno::from_raw(errno)),
        };
        assert_eq!(found, expected, "{what}, for {who}");
    };
    for (path, flags, expected) in OPENED {
        let arguments = [CWD, raw::address(path), bits(*flags), 0o644, 0, 0];
        expect(
            &format!("open of {path:?} with {flags:#o}"),
            SYS_openat,
            arguments,
            *expected,
        );
    }
    for (path, flags, mode, resolve, expected) in RESOLVED {
        let how = [*flags, *mode, *resolve];
        let arguments = [CWD, raw::address(path), address_of(&how), 24, 0, 0];
        expect(
            &format!("openat2 of {path:?} with {how:x?}"),
            SYS_openat2,
            arguments,
            *expected,
        );
    }
    for (path, expected) in DIRECTORIES {
        let arguments = [CWD, raw::address(path), 0o6755, 0, 0, 0];
        expect(
            &format!("mkdir of {path:?}"),
            SYS_mkdirat,
            arguments,
            *expected,
        );
    }
    for (contents, path, expected) in LINKS {
        let arguments = [raw::address(contents), CWD, raw::address(path), 0, 0, 0];
        expect(
            &format!("symlink of {path:?}"),
            SYS_symlinkat,
            arguments,
            *expected,
        );
    }
    for (path, mode, expected) in NODES {
        let arguments = [CWD, raw::address(path), u64::from(*mode), 0, 0, 0];
        expect(
            &format!("mknod of {path:?} with {mode:#o}"),
            SYS_mknodat,
            arguments,
            *expected,
        );
    }
    let create = bits(O_CREAT | O_WRONLY);
    long_names(|what, path, expected| {
        let arguments = [CWD, raw::address(path), create, 0o644, 0, 0];
        expect(what, SYS_openat, arguments, expected);
        expect(
            what,
            SYS_mkdirat,
            [CWD, raw::address(path), 0, 0, 0, 0],
            match expected {
                0 => libc::EEXIST,
                errno => errno,
            },
        );
    });
    let unterminated = raw::at_the_end_of_memory(b"unterminated");
    for pointer in [
        0,
        1,
        1 << 47,
        1 << 63,
        u64::MAX - 4095,
        u64::MAX,
        unterminated,
    ] {
        for (call, arguments) in [
            (SYS_openat, [CWD, pointer, create, 0o644, 0, 0]),
            (SYS_mkdirat, [CWD, pointer, 0o755, 0, 0, 0]),
            (SYS_mknodat, [CWD, pointer, S_IFREG.into(), 0, 0, 0]),
            (
                SYS_symlinkat,
                [pointer, CWD, raw::address(c"to-nothing"), 0, 0, 0],
            ),
            (SYS_openat2, [CWD, raw::address(c"how"), pointer, 24, 0, 0]),
        ] {
            expect(
                &format!("call {call} with {pointer:#x}"),
                call,
                arguments,
                libc::EFAULT,
            );
        }
    }
    let terminated = raw::at_the_end_of_memory(b"terminated\0");
    expect(
        "a name at the end of memory",
        SYS_openat,
        [CWD, terminated, create, 0o644, 0, 0],
        0,
    );
    let misaligned = [0; 32];
    let misaligned = address_of(&misaligned) + 3;
    expect(
        "an empty how",
        SYS_openat2,
        [CWD, raw::address(c"x"), misaligned, 24, 0, 0],
        libc::ENOENT,
    );
    structures(|what, how, size, expected| {
        let arguments = [CWD, raw::address(c"structure"), address_of(how), size, 0, 0];
        expect(what, SYS_openat2, arguments, expected);
    });
    let file = File::open("file").unwrap();
    let descriptor = |file: &File| u64::from(file.as_raw_fd().cast_unsigned());
    let name = raw::address(c"relative");
    expect(
        "a file for a directory",
        SYS_openat,
        [descriptor(&file), name, create, 0, 0, 0],
        libc::ENOTDIR,
    );
    expect(
        "no descriptor",
        SYS_openat,
        [999, name, create, 0, 0, 0],
        libc::EBADF,
    );
    expect(
        "a negative one",
        SYS_openat,
        [u64::MAX, name, create, 0, 0, 0],
        libc::EBADF,
    );
    let below = raw::open_path(Path::new("directory"));
    expect(
        "a directory by its path",
        SYS_openat,
        [descriptor(&below), name, create, 0, 0, 0],
        0,
    );
}

const OPENED: &[(&CStr, c_int, c_int)] = &[
    (c"new", O_CREAT | O_WRONLY, 0),
    (c"new", O_CREAT | O_EXCL, libc::EEXIST),
    (c"file", O_CREAT | O_WRONLY, 0),
    (c"./directory/../again", O_CREAT | O_TRUNC | O_WRONLY, 0),
    (c"to-directory/new", O_CREAT | O_WRONLY, 0),
    (c"directory", O_CREAT, libc::EISDIR),
    (c"directory/.", O_CREAT, libc::EISDIR),
    (c"..", O_CREAT, libc::EISDIR),
    (c"/", O_CREAT, libc::EISDIR),
    (c"trailing/", O_CREAT, libc::EISDIR),
    (c"file/", O_CREAT, libc::EISDIR),
    (c"file/x", O_CREAT, libc::ENOTDIR),
    (c"none/x", O_CREAT, libc::ENOENT),
    (c"loop/x", O_CREAT, libc::ELOOP),
    (c"", O_CREAT, libc::ENOENT),
    (c"directory", O_CREAT | O_DIRECTORY, libc::EINVAL),
    (c"both", O_CREAT | O_DIRECTORY, libc::EINVAL),
    (c"link", O_CREAT, 0),
    (c"link", O_CREAT | O_EXCL, libc::EEXIST),
    (c"link", O_CREAT | O_NOFOLLOW, libc::ELOOP),
    (c"dangling", O_CREAT | O_EXCL, libc::EEXIST),
    (c"dangling", O_CREAT | O_NOFOLLOW, libc::ELOOP),
    (c"dangling", O_CREAT, 0),
    (c"path-only", O_CREAT | O_PATH, libc::ENOENT),
    (c"directory", O_TMPFILE | O_RDWR, 0),
    (c"directory/", O_TMPFILE | O_WRONLY | O_EXCL, 0),
    (c"to-directory", O_TMPFILE | O_RDWR, 0),
    (
        c"to-directory",
        O_TMPFILE | O_RDWR | O_NOFOLLOW,
        libc::ENOTDIR,
    ),
    (c"directory", O_TMPFILE | O_RDONLY, libc::EINVAL),
    (c"directory", O_TMPFILE | O_RDWR | O_CREAT, libc::EINVAL),
    (
        c"directory",
        O_TMPFILE & !O_DIRECTORY | O_RDWR,
        libc::EINVAL,
    ),
    (c"file", O_TMPFILE | O_RDWR, libc::ENOTDIR),
    (c"none", O_TMPFILE | O_RDWR, libc::ENOENT),
    (c"/proc/self/fd/new", O_CREAT, libc::ENOENT),
    (c"/proc/new", O_CREAT, libc::ENOENT),
];

const CREATE: u64 = 0o101;

/// By path, flags, mode and resolve flags.
const RESOLVED: &[(&CStr, u64, u64, u64, c_int)] = &[
    (c"resolved", CREATE, 0o600, 0, 0),
    (c"large", CREATE | 0o100_000, 0o600, 0, 0),
    (c"unknown", CREATE | 1 << 30, 0o600, 0, libc::EINVAL),
    (c"unknown", CREATE | 1 << 40, 0o600, 0, libc::EINVAL),
    (c"mode", CREATE, 0o10_600, 0, libc::EINVAL),
    (c"file", 0, 0o600, 0, libc::EINVAL),
    (c"resolve", CREATE, 0o600, 0x40, libc::EINVAL),
    (c"cached", CREATE, 0o600, CACHED, libc::EAGAIN),
    (c"directory/plain", CREATE, 0o600, NO_SYMLINKS, 0),
    (c"to-directory/x", CREATE, 0o600, NO_SYMLINKS, libc::ELOOP),
    (
        c"/proc/self/cwd/x",
        CREATE,
        0o600,
        NO_MAGICLINKS,
        libc::ELOOP,
    ),
    (c"to-directory/followed", CREATE, 0o600, NO_MAGICLINKS, 0),
    (c"/proc/none", CREATE, 0o600, NO_XDEV, libc::EXDEV),
    (c"directory/near", CREATE, 0o600, NO_XDEV, 0),
    (c"../x", CREATE, 0o600, BENEATH, libc::EXDEV),
    (c"up/x", CREATE, 0o600, BENEATH, libc::EXDEV),
    (c"/x", CREATE, 0o600, BENEATH, libc::EXDEV),
    (c"directory/../beneath", CREATE, 0o600, BENEATH, 0),
    (c"/directory/rooted", CREATE, 0o600, IN_ROOT, 0),
    (c"../../up/clamped", CREATE, 0o600, IN_ROOT, 0),
    (c"x", CREATE, 0o600, BENEATH | IN_ROOT, libc::EINVAL),
    (c"directory", 0o20_200_001, 0o600, BENEATH, 0),
    (c"..", 0o20_200_001, 0o600, BENEATH, libc::EXDEV),
];

const DIRECTORIES: &[(&CStr, c_int)] = &[
    (c"made", 0),
    (c"made", libc::EEXIST),
    (c"slashes//", 0),
    (c"file", libc::EEXIST),
    (c"file/", libc::EEXIST),
    (c"dangling", libc::EEXIST),
    (c"made/.", libc::EEXIST),
    (c"..", libc::EEXIST),
    (c"/", libc::EEXIST),
    (c"none/x", libc::ENOENT),
    (c"", libc::ENOENT),
];

const LINKS: &[(&CStr, &CStr, c_int)] = &[
    (c"anything", c"linked", 0),
    (c"anything", c"linked", libc::EEXIST),
    (c"anything", c"with-slash/", libc::ENOENT),
    (c"anything", c"file/", libc::EEXIST),
    (c"", c"empty", libc::ENOENT),
    (c"anything", c"", libc::ENOENT),
    (c"anything", c".", libc::EEXIST),
];

const NODES: &[(&CStr, u32, c_int)] = &[
    (c"pipe", S_IFIFO | 0o600, 0),
    (c"pipe", S_IFIFO | 0o600, libc::EEXIST),
    (c"socket", S_IFSOCK | 0o600, 0),
    (c"regular", S_IFREG | 0o600, 0),
    (c"untyped", 0o600, 0),
    (c"x", S_IFDIR | 0o600, libc::EPERM),
    (c"x", S_IFLNK | 0o600, libc::EINVAL),
    (c"x/", S_IFIFO | 0o600, libc::ENOENT),
    (c"none/x", S_IFBLK | 0o600, libc::ENOENT),
];

fn long_names(try_it: impl Fn(&str, &CStr, c_int)) {
    let name = |length| CString::new("n".repeat(length)).unwrap();
    let path = |length: usize, name: &str| {
        let dots = "./".repeat(length / 2);
        CString::new(format!("{}{name}", &dots[..length - name.len()])).unwrap()
    };
    try_it("a name of 255 bytes", &name(255), 0);
    try_it("a name of 256 bytes", &name(256), libc::ENAMETOOLONG);
    try_it("a path of 4095 bytes", &path(4094, "long"), 0);
    try_it(
        "a path of 4096 bytes",
        &path(4096, "longer"),
        libc::ENAMETOOLONG,
    );
}

fn structures(try_it: impl Fn(&str, &[u64; 513], u64, c_int)) {
    let mut how = [0; 513];
    (how[0], how[1]) = (CREATE, 0o600);
    for (size, expected) in [
        (0, libc::EINVAL),
        (23, libc::EINVAL),
        (24, 0),
        (25, 0),
        (4096, 0),
        (4097, libc::E2BIG),
        (u64::MAX, libc::E2BIG),
    ] {
        try_it(
            &format!("a structure of {size} bytes"),
            &how,
            size,
            expected,
        );
    }
    how[3] = 1 << 56;
    try_it("what follows the size", &how, 24, 0);
    try_it("what follows the size", &how, 31, 0);
    try_it("a later field", &how, 32, libc::E2BIG);
}

fn bits(flags: c_int) -> u64 {
    flags.cast_unsigned().into()
}

fn address_of<const N: usize>(numbers: &[u64; N]) -> u64 {
    numbers.as_ptr().addr() as u64
}
