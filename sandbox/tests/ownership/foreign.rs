//! Trees from elsewhere, in which anything may stand in our records, and ids at the ends of their range.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, fstat, umask};
use nix::unistd::{
    Gid, Uid, chown, getgroups, getresgid, getresuid, setgid, setgroups, setresuid, setuid,
};
use overcoat_sandbox::ownership::attributes::{ACCESS_ACL, DEFAULT_ACL, DEVICE, OWNER};

use crate::owners::{acl, mode, own, owner_on_disk};
use crate::{Check, Scenario, raw};

const ACCESS: &CStr = c"system.posix_acl_access";
const DEFAULT: &CStr = c"system.posix_acl_default";

/// Values that are no owner.
const NO_OWNERS: [&[u8]; 6] = [
    b"",
    b"1234567",
    b"123456789",
    b"\xff\xff\xff\xff\0\0\0\0",
    b"\0\0\0\0\xff\xff\xff\xff",
    &[0xff; 300],
];

/// Values that are no device.
const NO_DEVICES: [&[u8]; 7] = [
    b"",
    b"c 0:0",
    b"c 1:03",
    b"x 1:3",
    b"c 1:3\0",
    b"c 99999999999:1",
    &[b'c'; 300],
];

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "malformed_owners_and_devices_are_those_of_root",
        prepare: |directory| {
            for (number, value) in NO_OWNERS.iter().enumerate() {
                let path = directory.join(format!("owner-{number}"));
                fs::create_dir(&path).unwrap();
                raw::set(&path, OWNER, value, 0).unwrap();
                set_group_id(&path);
            }
            for (number, value) in NO_DEVICES.iter().enumerate() {
                let path = directory.join(format!("device-{number}"));
                fs::write(&path, "").unwrap();
                raw::set(&path, DEVICE, value, 0).unwrap();
            }
        },
        program: |directory| {
            for number in 0..NO_OWNERS.len() {
                let path = directory.join(format!("owner-{number}"));
                let found = fs::metadata(&path).unwrap();
                assert_eq!((found.uid(), found.gid()), (0, 0), "{number}");
                fs::write(path.join("file"), "").unwrap();
                assert_eq!(raw::list(&path, 100).unwrap(), b"");
                chown(&path, Some(Uid::from_raw(7)), None).unwrap();
            }
            for number in 0..NO_DEVICES.len() {
                let path = directory.join(format!("device-{number}"));
                assert!(fs::metadata(&path).unwrap().is_file(), "{number}");
            }
        },
        check: Check::Records(|directory, _| {
            for number in 0..NO_OWNERS.len() {
                let path = directory.join(format!("owner-{number}"));
                assert_eq!(owner_on_disk(&path), Some((7, 0)));
                assert_eq!(owner_on_disk(&path.join("file")), None);
            }
        }),
    },
    Scenario {
        name: "malformed_acls_are_neither_shown_nor_inherited",
        prepare: |directory| {
            for (number, value) in no_acls().iter().enumerate() {
                let path = directory.join(number.to_string());
                fs::create_dir(&path).unwrap();
                raw::set(&path, DEFAULT_ACL, value, 0).unwrap();
                raw::set(&path, ACCESS_ACL, value, 0).unwrap();
            }
            let file = directory.join("file");
            fs::write(&file, "").unwrap();
            // Only directories have one.
            raw::set(&file, DEFAULT_ACL, &acl(33), 0).unwrap();
            raw::set(&file, ACCESS_ACL, &acl(33), 0).unwrap();
            raw::set(&file, ACCESS, &acl(0), 0).unwrap();
        },
        program: |directory| {
            umask(Mode::from_bits_truncate(0o027));
            for number in 0..no_acls().len() {
                let path = directory.join(number.to_string());
                assert_eq!(raw::list(&path, 100).unwrap(), b"", "{number}");
                assert_eq!(raw::get(&path, DEFAULT), None);
                assert_eq!(raw::get(&path, ACCESS), None);
                fs::write(path.join("file"), "").unwrap();
                raw::set(&path, DEFAULT, &acl(33), 0).unwrap();
            }
            let file = directory.join("file");
            let list = raw::list(&file, 100).unwrap();
            assert_eq!(list, b"system.posix_acl_access\0");
            assert_eq!(raw::get(&file, DEFAULT), None);
        },
        check: Check::Records(|directory, _| {
            for number in 0..no_acls().len() {
                let path = directory.join(number.to_string());
                assert_eq!(raw::get(&path, DEFAULT_ACL), Some(acl(33)));
                assert_eq!(mode(&path.join("file")), 0o640, "{number}");
                assert_eq!(raw::get(&path.join("file"), ACCESS_ACL), None);
            }
        }),
    },
    Scenario {
        name: "long_records_and_many_attributes_are_passed_on",
        prepare: |_| {},
        program: |directory| {
            let (below, file) = (directory.join("below"), directory.join("file"));
            fs::create_dir(&below).unwrap();
            let long = long_acl(400);
            raw::set(&below, DEFAULT, &long, 0).unwrap();
            assert_eq!(raw::get(&below, DEFAULT), Some(long.clone()));
            fs::write(below.join("file"), "").unwrap();
            let inherited = raw::get(&below.join("file"), ACCESS).unwrap();
            assert_eq!(inherited.len(), long.len());
            fs::write(&file, "").unwrap();
            own(&file, 1, 2);
            let mut names = 0;
            let refused = (0..100_000).find_map(|number| {
                let name = std::ffi::CString::new(format!("user.{number:0>200}")).unwrap();
                names += name.as_bytes_with_nul().len();
                raw::set(&file, &name, b"", 0).err()
            });
            assert!(matches!(refused, Some(Errno::ENOSPC | Errno::EDQUOT)));
            names -= 206;
            assert_eq!(
                raw::length_of_list(&file).map(isize::cast_unsigned),
                Ok(names)
            );
            assert_eq!(raw::list(&file, 65536).unwrap().len(), names);
            assert_eq!(raw::list(&file, names - 1), Err(Errno::ERANGE));
            own(&file, 3, 4);
        },
        check: Check::Records(|directory, _| {
            assert_eq!(owner_on_disk(&directory.join("file")), Some((3, 4)));
        }),
    },
    Scenario {
        name: "ids_reach_from_0_to_one_below_none",
        prepare: |directory| fs::write(directory.join("file"), "").unwrap(),
        program: |directory| {
            let file = directory.join("file");
            let opened = fs::File::open(&file).unwrap();
            for id in [1, 65534, 65535, 65536, 1 << 31, u32::MAX - 1] {
                own(&file, id, id);
                let found = fstat(&opened).unwrap();
                assert_eq!((found.st_uid, found.st_gid), (id, id));
                let keep = u64::from(u32::MAX);
                let path = raw::c_path(&file);
                let arguments = [raw::address(&path), keep, keep | 7 << 32, 0, 0, 0];
                raw::call(libc::SYS_chown, arguments).unwrap();
                let found = fstat(&opened).unwrap();
                assert_eq!((found.st_uid, found.st_gid), (id, id));
                raw::set(&file, ACCESS, &acl(id), 0).unwrap();
                assert_eq!(raw::get(&file, ACCESS), Some(acl(id)));
                let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
                setgroups(&[group]).unwrap();
                setgid(group).unwrap();
                setresuid(user, user, Uid::from_raw(0)).unwrap();
                let users = getresuid().unwrap();
                let groups = getresgid().unwrap();
                assert_eq!((users.real, users.effective), (user, user));
                assert_eq!(
                    (groups.real, groups.effective, groups.saved),
                    (group, group, group)
                );
                assert_eq!(getgroups().unwrap(), [group]);
                let name = directory.join(id.to_string());
                fs::write(&name, "").unwrap();
                assert_eq!(fs::metadata(&name).unwrap().uid(), id);
                setuid(Uid::from_raw(0)).unwrap();
            }
            assert_eq!(
                raw::set(&file, ACCESS, &acl(u32::MAX), 0),
                Err(Errno::EINVAL)
            );
        },
        check: Check::Records(|directory, _| {
            for id in [1, 65534, 65535, 65536, 1 << 31, u32::MAX - 1] {
                let path = directory.join(id.to_string());
                assert_eq!(owner_on_disk(&path), Some((id, id)));
            }
        }),
    },
];

fn set_group_id(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o2755)).unwrap();
}

/// Values that are no ACL: by their bytes, by their entries, by the order of these.
fn no_acls() -> [Vec<u8>; 6] {
    let good = acl(33);
    let mut unknown_tag = good.clone();
    unknown_tag[4] = 0x40;
    [
        Vec::new(),
        b"\x02".to_vec(),
        good[..4].to_vec(),
        good[..12].to_vec(),
        unknown_tag,
        acl(u32::MAX),
    ]
}

/// An ACL of as many named users.
fn long_acl(users: u32) -> Vec<u8> {
    let short = acl(1);
    let named = (0..users).flat_map(|user| {
        let mut entry = short[12..20].to_vec();
        entry[4..].copy_from_slice(&(1000 + user).to_le_bytes());
        entry
    });
    let mut long = short[..12].to_vec();
    long.extend(named);
    long.extend(&short[20..]);
    long
}
