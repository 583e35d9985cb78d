//! What becomes of a record when its inode is renamed, linked, deleted, or given away again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nix::unistd::unlink;
use overcoat_sandbox::ownership::OwnerRecord;

use crate::owners::{CAP_NET_RAW, CAPABILITY, mode, own, own_link, owner_on_disk};
use crate::{Check, Scenario, raw};

pub(crate) static ALL: &[Scenario] = &[
    Scenario {
        name: "records_follow_names",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            fs::write(file("old"), "").unwrap();
            own(&file("old"), 1, 2);
            fs::rename(file("old"), file("renamed")).unwrap();
            fs::hard_link(file("renamed"), file("linked")).unwrap();
            own(&file("linked"), 3, 4);
            assert_eq!(fs::metadata(file("renamed")).unwrap().uid(), 3);
            fs::write(file("replaced"), "").unwrap();
            own(&file("replaced"), 5, 6);
            fs::write(file("new"), "").unwrap();
            fs::rename(file("new"), file("replaced")).unwrap();
            assert_eq!(fs::metadata(file("replaced")).unwrap().uid(), 0);
        },
        check: Check::Records(|directory, _| {
            for (name, owner) in [
                ("renamed", Some((3, 4))),
                ("linked", Some((3, 4))),
                ("replaced", None),
            ] {
                assert_eq!(owner_on_disk(&directory.join(name)), owner, "{name}");
            }
        }),
    },
    Scenario {
        name: "a_number_that_is_used_again_has_no_owner",
        prepare: |_| {},
        program: |directory| {
            for round in 0..200 {
                let (link, file) = (directory.join("link"), directory.join("file"));
                symlink("x", &link).unwrap();
                own_link(&link, 1, 2).unwrap();
                fs::write(&file, "").unwrap();
                own(&file, 1, 2);
                unlink(&link).unwrap();
                unlink(&file).unwrap();
                symlink("y", &link).unwrap();
                fs::write(&file, "").unwrap();
                for path in [&link, &file] {
                    let found = fs::symlink_metadata(path).unwrap();
                    assert_eq!((found.uid(), found.gid()), (0, 0), "round {round}");
                }
                unlink(&link).unwrap();
                unlink(&file).unwrap();
            }
            symlink("z", directory.join("link")).unwrap();
            own_link(&directory.join("link"), 3, 4).unwrap();
        },
        check: Check::Records(|directory, records| {
            let path = directory.join("link");
            assert_eq!(
                records,
                [OwnerRecord {
                    path,
                    uid: 3,
                    gid: 4
                }]
            );
        }),
    },
    Scenario {
        name: "giving_away_clears_set_ids_and_capabilities_of_files_alone",
        prepare: |_| {},
        program: |directory| {
            let file = |name: &str| directory.join(name);
            fs::write(file("program"), "").unwrap();
            fs::create_dir(file("directory")).unwrap();
            for name in ["program", "directory"] {
                let permissions = fs::Permissions::from_mode(0o6755);
                fs::set_permissions(file(name), permissions).unwrap();
            }
            raw::set(&file("program"), CAPABILITY, &CAP_NET_RAW, 0).unwrap();
            own(&file("program"), 1, 2);
            own(&file("directory"), 1, 2);
            // As packages do: first the owner, then the mode.
            fs::write(file("again"), "").unwrap();
            own(&file("again"), 1, 2);
            let permissions = fs::Permissions::from_mode(0o4750);
            fs::set_permissions(file("again"), permissions).unwrap();
        },
        check: Check::Records(|directory, _| {
            let file = |name: &str| directory.join(name);
            assert_eq!(mode(&file("program")), 0o755);
            assert_eq!(raw::get(&file("program"), CAPABILITY), None);
            assert_eq!(mode(&file("directory")), 0o6755);
            assert_eq!(mode(&file("again")), 0o4750);
            assert_eq!(owner_on_disk(&file("again")), Some((1, 2)));
        }),
    },
];
