//! What programs that copy extended attributes do to records.

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use overcoat_sandbox::ownership::OwnerRecord;
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, DEVICE, OWNER, Owner};

use crate::owners::{acl, mode, own, owner_on_disk};
use crate::{Check, Scenario, raw};

const ACCESS: &CStr = c"system.posix_acl_access";

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "setting_a_record_is_the_call_that_it_stands_for",
        prepare: |directory| {
            for name in ["file", "by-fd", "by-at", "set-id", "real", "reset", "null"] {
                fs::write(directory.join(name), "").unwrap();
            }
            fs::create_dir(directory.join("directory")).unwrap();
        },
        program: |directory| {
            let file = |name: &str| directory.join(name);
            let owner = |uid, gid| Owner { uid, gid }.to_bytes();
            let (create, replace) = (libc::XATTR_CREATE, libc::XATTR_REPLACE);
            let missing = raw::set(&file("file"), OWNER, &owner(1, 2), replace);
            assert_eq!(missing, Err(Errno::ENODATA));
            raw::set(&file("file"), OWNER, &owner(1, 2), create).unwrap();
            let there = raw::set(&file("file"), OWNER, &owner(3, 4), create);
            assert_eq!(there, Err(Errno::EEXIST));
            raw::set(&file("directory"), OWNER, &owner(3, 4), 0).unwrap();
            let opened = File::open(file("by-fd")).unwrap();
            raw::set_by_descriptor(&opened, OWNER, &owner(5, 6)).unwrap();
            raw::set_at(&file("by-at"), OWNER, &owner(7, 8)).unwrap();
            fs::set_permissions(file("set-id"), fs::Permissions::from_mode(0o6755)).unwrap();
            raw::set(&file("set-id"), OWNER, &owner(9, 10), 0).unwrap();
            raw::set(&file("reset"), OWNER, &owner(9, 10), 0).unwrap();
            own(&file("reset"), 0, 0);
            raw::set(&file("file"), ACCESS_ACL, &acl(33), 0).unwrap();
            raw::set(&file("directory"), DEFAULT_ACL, &acl(34), 0).unwrap();
            raw::set(&file("real"), ACCESS_ACL, &acl(0), 0).unwrap();
            raw::set(&file("null"), DEVICE, b"c 1:3", 0).unwrap();
        },
        check: Check::Records(|directory, records| {
            let file = |name: &str| directory.join(name);
            for (name, owner) in [
                ("file", Some((1, 2))),
                ("directory", Some((3, 4))),
                ("by-fd", Some((5, 6))),
                ("by-at", Some((7, 8))),
                ("set-id", Some((9, 10))),
                ("reset", None),
            ] {
                assert_eq!(owner_on_disk(&file(name)), owner, "{name}");
            }
            assert_eq!(mode(&file("set-id")), 0o6755);
            assert_eq!(raw::get(&file("file"), ACCESS_ACL), Some(acl(33)));
            assert_eq!(mode(&file("file")), 0o651);
            assert_eq!(raw::get(&file("directory"), DEFAULT_ACL), Some(acl(34)));
            assert_eq!(raw::get(&file("real"), ACCESS_ACL), None);
            assert_eq!(raw::get(&file("real"), ACCESS), Some(acl(0)));
            assert_eq!(raw::get(&file("null"), DEVICE).unwrap(), b"c 1:3");
            assert_eq!(records, []);
        }),
    },
    Scenario {
        name: "copies_keep_owners",
        prepare: make_directories,
        program: |directory| {
            make_originals(directory);
            let file = directory.join("from/acl");
            fs::write(&file, "").unwrap();
            raw::set(&file, ACCESS, &acl(33), 0).unwrap();
            copy_and_move(directory);
        },
        check: Check::Records(|directory, records| {
            check_copies(directory, records);
            for copy in ["copied/acl", "elsewhere/acl"] {
                let copied = raw::get(&directory.join(copy), ACCESS_ACL);
                assert_eq!(copied, Some(acl(33)), "{copy}");
            }
        }),
    },
];

/// Under [`OwnershipRecording::Record`](overcoat_sandbox::OwnershipRecording::Record), where programs see our attributes
/// and copy them.
pub(crate) static WITHOUT_ANSWERS: &[Scenario] = &[Scenario {
    name: "copies_keep_owners_without_answers",
    prepare: make_directories,
    program: |directory| {
        make_originals(directory);
        copy_and_move(directory);
    },
    check: Check::Records(check_copies),
}];

fn make_directories(directory: &Path) {
    for name in ["from", "copied", "elsewhere"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    // A rename into a bind mount is one to another file system.
    let elsewhere = directory.join("elsewhere");
    let (bind, none) = (MsFlags::MS_BIND, None::<&str>);
    mount(Some(&elsewhere), &elsewhere, none, bind, none).unwrap();
}

fn make_originals(directory: &Path) {
    let from = |name: &str| directory.join("from").join(name);
    fs::write(from("file"), "x").unwrap();
    own(&from("file"), 1, 2);
    fs::create_dir(from("directory")).unwrap();
    own(&from("directory"), 3, 4);
    let null = makedev(1, 3);
    mknod(&from("null"), SFlag::S_IFCHR, Mode::S_IRUSR, null).unwrap();
}

fn copy_and_move(directory: &Path) {
    run(directory, "cp -a from/. copied");
    run(directory, "mv from/* elsewhere");
}

fn check_copies(directory: &Path, records: &[OwnerRecord]) {
    for copy in ["copied", "elsewhere"] {
        let copied = |name: &str| directory.join(copy).join(name);
        assert_eq!(owner_on_disk(&copied("file")), Some((1, 2)), "{copy}");
        assert_eq!(owner_on_disk(&copied("directory")), Some((3, 4)), "{copy}");
        let device = raw::get(&copied("null"), DEVICE);
        assert_eq!(device.unwrap(), b"c 1:3", "{copy}");
    }
    assert_eq!(records, []);
}

/// Runs a program without a word on its standard error: what it cannot copy it only warns of.
pub(crate) fn run(directory: &Path, script: &str) {
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{script}: {said}"
    );
}
