//! Attacks on what is reached below a directory, each beside what is allowed. Outside of the directory lies a canary
//! that must stay what and where it is.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::resolution::{self, NO_LINKS, NO_LINKS_OR_MOUNTS};
use super::{Directory, Error, Inode};
use crate::beneath::flipping::Flipping;
use crate::tree::TreePath;

const FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory `tree` and, beside it, the directory `outside` with the file `canary`.
pub(crate) struct World {
    directory: tempfile::TempDir,
    pub(crate) tree: Directory,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tree", "outside"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("outside/canary"), "canary").unwrap();
        let tree = Directory::open(&directory.path().join("tree")).unwrap();
        Self { directory, tree }
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tree.path_of(name)
    }

    pub(crate) fn assert_canary(&self) {
        let canary = self.outside().join("canary");
        assert_eq!(fs::read(&canary).unwrap(), b"canary");
        assert!(fs::symlink_metadata(&canary).unwrap().is_file());
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 1);
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn read(mut file: std::fs::File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn no_name_on_the_way_may_be_a_link() {
    let world = World::new();
    fs::create_dir_all(world.path("a/b")).unwrap();
    fs::write(world.path("a/b/file"), "inside").unwrap();
    symlink("a", world.path("first")).unwrap();
    symlink("b", world.path("a/second")).unwrap();
    symlink("file", world.path("a/b/last")).unwrap();
    symlink(world.outside(), world.path("absolute")).unwrap();
    symlink("../../outside", world.path("a/up")).unwrap();
    let planted = [
        "first/b/file",
        "a/second/file",
        "absolute/canary",
        "a/up/canary",
    ];
    for planted in planted {
        let refused = world.tree.inode(&path(planted)).unwrap_err();
        assert!(refused.is_not_directory(), "{planted}: {refused:?}");
        for way in [NO_LINKS, NO_LINKS_OR_MOUNTS] {
            let by_names = resolution::open_by_names(
                world.tree.as_fd(),
                planted.as_bytes(),
                OFlags::PATH,
                way,
            );
            assert_eq!(by_names.unwrap_err(), Errno::LOOP, "{planted}");
        }
    }
    let link = world.tree.file(&path("a/b/last")).unwrap_err();
    assert!(link.is_not_directory(), "{link:?}");
    for reading in [OFlags::RDONLY, OFlags::PATH | OFlags::DIRECTORY] {
        let last = b"a/b/last";
        let by_names = resolution::open_by_names(world.tree.as_fd(), last, reading, NO_LINKS);
        assert_eq!(by_names.unwrap_err(), Errno::LOOP);
    }
    assert_eq!(read(world.tree.file(&path("a/b/file")).unwrap()), "inside");
    let flags = OFlags::RDONLY;
    let by_names = resolution::open_by_names(world.tree.as_fd(), b"a/b/file", flags, NO_LINKS);
    assert_eq!(read(by_names.unwrap().into()), "inside");
}

#[test]
fn a_path_where_a_name_belongs_is_refused() {
    let world = World::new();
    fs::write(world.path("file"), "inside").unwrap();
    let tree = &world.tree;
    let outside = world.outside().join("canary");
    let absolute = outside.as_os_str().as_encoded_bytes();
    let names: [&[u8]; 7] = [
        b"",
        b".",
        b"..",
        b"../outside/canary",
        b"a/b",
        b"a\0b",
        absolute,
    ];
    for name in names {
        let attempts: [Result<(), Error>; 11] = [
            tree.entry(name).map(drop),
            tree.subdirectory(name).map(drop),
            tree.read(name, 10).map(drop),
            tree.status(name).map(drop),
            tree.create_file(name, FILE).map(drop),
            tree.make_directory(name, Mode::RWXU).map(drop),
            tree.make_symlink(name, "x"),
            tree.link("file", tree, name),
            tree.rename("file", tree, name),
            tree.remove_file(name),
            tree.remove(name),
        ];
        for (number, attempt) in attempts.into_iter().enumerate() {
            let errno = attempt.unwrap_err().errno();
            assert_eq!(errno, Some(Errno::INVAL), "{number} {name:?}");
        }
    }
    world.assert_canary();
    assert_eq!(tree.names().unwrap(), [b"file"]);
}

#[test]
fn names_of_any_bytes_are_names() {
    let world = World::new();
    let tree = &world.tree;
    let names: [&[u8]; 5] = [b"new\nline", b"\x1b[2J", b"\xff\xfe", b"...", b" -rf"];
    for name in names {
        tree.create_file(name, FILE)
            .unwrap()
            .write_all(b"x")
            .unwrap();
        assert_eq!(tree.read(name, 1).unwrap().unwrap(), b"x");
    }
    let mut found = tree.names().unwrap();
    found.sort();
    let mut expected = names.map(<[u8]>::to_vec);
    expected.sort();
    assert_eq!(found, expected);
    for name in names {
        tree.remove(name).unwrap();
    }
    assert_eq!(tree.names().unwrap(), [b""; 0]);
}

#[test]
fn only_regular_files_are_opened_and_nothing_is_waited_for() {
    let world = World::new();
    let tree = &world.tree;
    tree.make_special("fifo", FileType::Fifo, FILE).unwrap();
    tree.make_special("socket", FileType::Socket, FILE).unwrap();
    fs::create_dir(world.path("directory")).unwrap();
    symlink(world.outside().join("canary"), world.path("link")).unwrap();
    let mut others = vec!["fifo", "socket", "directory", "link"];
    // Only root makes devices. Opening this one, of a driver that nobody has, would be ENXIO.
    let number = rustix::fs::makedev(60, 1);
    let block = FileType::BlockDevice;
    if rustix::fs::mknodat(CWD, world.path("device"), block, FILE, number).is_ok() {
        others.push("device");
    }
    for name in others {
        assert!(tree.file(&path(name)).is_err(), "{name}");
        let refused: [Error; 3] = [
            tree.read(name, 10).unwrap_err(),
            tree.open_or_create_file(name, FILE).unwrap_err(),
            tree.entry(name).unwrap().open_file().unwrap_err(),
        ];
        for error in refused {
            assert_eq!(
                error.to_string(),
                format!("opening `{}`", world.path(name).display())
            );
            assert_eq!(error.into_cause().kind(), ErrorKind::InvalidData, "{name}");
        }
    }
    fs::write(world.path("file"), "inside").unwrap();
    assert_eq!(read(tree.file(&path("file")).unwrap()), "inside");
    assert_eq!(tree.read("none", 10).unwrap(), None);
    world.assert_canary();
}

#[test]
fn files_longer_than_the_limit_are_not_read() {
    let world = World::new();
    fs::write(world.path("file"), "12345").unwrap();
    assert_eq!(world.tree.read("file", 5).unwrap().unwrap(), b"12345");
    let refused = world.tree.read("file", 4).unwrap_err();
    assert_eq!(
        refused.into_cause().to_string(),
        "it is longer than 4 bytes"
    );
    let sparse = fs::File::create(world.path("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(world.tree.read("sparse", 1 << 20).is_err());
}

#[test]
fn nothing_is_made_through_a_link() {
    let world = World::new();
    let tree = &world.tree;
    symlink(world.outside().join("canary"), world.path("file")).unwrap();
    symlink(world.outside().join("new"), world.path("dangling")).unwrap();
    symlink(world.outside(), world.path("directory")).unwrap();
    fs::write(world.path("other"), "inside").unwrap();
    for name in ["file", "dangling", "directory"] {
        let exists = [
            tree.create_file(name, FILE).map(drop),
            tree.make_directory(name, Mode::RWXU).map(drop),
            tree.make_symlink(name, "x"),
            tree.make_special(name, FileType::Fifo, FILE).map(drop),
            tree.link("other", tree, name),
        ];
        for attempt in exists {
            assert_eq!(attempt.unwrap_err().errno(), Some(Errno::EXIST), "{name}");
        }
        assert!(tree.open_or_create_file(name, FILE).is_err());
        assert!(tree.subdirectory(name).unwrap_err().is_not_directory());
    }
    // A rename takes the link's place, and leaves what it leads to.
    tree.rename("other", tree, "file").unwrap();
    assert_eq!(tree.read("file", 10).unwrap().unwrap(), b"inside");
    tree.open_or_create_file("new", FILE).unwrap();
    tree.open_or_create_file("new", FILE).unwrap();
    world.assert_canary();
}

#[test]
fn links_are_changed_and_linked_themselves() {
    let world = World::new();
    let canary = world.outside().join("canary");
    let before = fs::metadata(&canary).unwrap();
    symlink(&canary, world.path("link")).unwrap();
    let time = rustix::fs::Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    world.tree.set_times("link", &times).unwrap();
    world.tree.link("link", &world.tree, "second").unwrap();
    assert_eq!(
        world.tree.file_type("second").unwrap(),
        Some(FileType::Symlink)
    );
    let link = world.tree.entry("link").unwrap();
    assert_eq!(
        link.link_target().unwrap(),
        canary.as_os_str().as_encoded_bytes()
    );
    assert_eq!(link.attribute(b"user.x").unwrap(), None);
    let _ = (
        link.set_mode(Mode::empty()),
        link.set_attribute(b"user.x", b"1"),
    );
    world.tree.remove("link").unwrap();
    world.tree.remove_file("second").unwrap();
    let after = fs::metadata(&canary).unwrap();
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(
        Inode::open(&canary).unwrap().attribute_names().unwrap(),
        [b""; 0]
    );
    world.assert_canary();
}

#[test]
fn removing_a_hard_link_leaves_the_other_name() {
    let world = World::new();
    fs::hard_link(world.outside().join("canary"), world.path("file")).unwrap();
    fs::create_dir(world.path("below")).unwrap();
    fs::hard_link(world.outside().join("canary"), world.path("below/file")).unwrap();
    world.tree.remove("below").unwrap();
    world.tree.remove("file").unwrap();
    assert_eq!(world.tree.names().unwrap(), [b""; 0]);
    world.assert_canary();
}

#[test]
fn mount_points_are_not_crossed() {
    let root = Directory::open(Path::new("/")).unwrap();
    assert_eq!(root.entry("proc").unwrap_err().errno(), Some(Errno::XDEV));
    let flags = OFlags::PATH;
    let by_names = resolution::open_by_names(root.as_fd(), b"proc", flags, NO_LINKS_OR_MOUNTS);
    assert_eq!(by_names.unwrap_err(), Errno::XDEV);
    // Nothing below a mount point is removed, nor the mount point changed.
    assert!(root.remove("proc").is_err());
    assert!(Path::new("/proc/self/status").exists());
    let by_names = resolution::open_by_names(root.as_fd(), b"usr", flags, NO_LINKS_OR_MOUNTS);
    assert_eq!(by_names.is_ok(), root.entry("usr").is_ok());
}

#[test]
fn links_lead_where_they_would_in_a_system() {
    let world = World::new();
    fs::create_dir_all(world.path("usr/lib")).unwrap();
    fs::write(world.path("usr/lib/file"), "inside").unwrap();
    for (name, target) in [
        ("absolute", "/usr/lib"),
        ("up", "../../../../usr/lib"),
        ("outside", "../outside"),
        ("magic", "/proc/self/root"),
    ] {
        symlink(target, world.path(name)).unwrap();
    }
    let absolute = world.outside();
    symlink(&absolute, world.path("named")).unwrap();
    for (found, expected) in [("absolute/file", true), ("up/file", true)]
        .into_iter()
        .chain(["outside/canary", "named/canary", "magic/etc"].map(|name| (name, false)))
    {
        let reached = world.tree.inode_as_root(&path(found));
        assert_eq!(reached.is_ok(), expected, "{found}");
    }
}

#[test]
fn a_real_path_is_reached_and_a_link_put_into_it_is_not_followed() {
    let world = World::new();
    fs::create_dir(world.path("a")).unwrap();
    fs::write(world.path("a/canary"), "inside").unwrap();
    let real = fs::canonicalize(world.path("a/canary")).unwrap();
    assert_eq!(
        Inode::open_real(&real).unwrap().read(10).unwrap(),
        b"inside"
    );
    fs::rename(world.path("a"), world.path("b")).unwrap();
    symlink(world.outside(), world.path("a")).unwrap();
    assert!(Inode::open_real(&real).unwrap_err().is_not_directory());
    assert_eq!(Inode::open(&real).unwrap().read(10).unwrap(), b"canary");
}

#[test]
fn an_open_directory_stays_the_same_when_its_path_becomes_another() {
    let world = World::new();
    fs::write(world.path("canary"), "inside").unwrap();
    let moved = world.directory.path().join("moved");
    fs::rename(world.tree.host_path(), &moved).unwrap();
    symlink(world.outside(), world.tree.host_path()).unwrap();
    assert_eq!(world.tree.read("canary", 10).unwrap().unwrap(), b"inside");
    world.tree.create_file("new", FILE).unwrap();
    world.tree.remove("canary").unwrap();
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 1);
    world.assert_canary();
}

#[test]
fn trees_deeper_than_any_path_are_reached() {
    const DEPTH: usize = 5000;
    let world = World::new();
    let mut deep = TreePath::root();
    let mut directory = world.tree.try_clone().unwrap();
    for _ in 0..DEPTH {
        directory = directory.make_directory("d", Mode::RWXU).unwrap();
        deep = deep.join(b"d").unwrap();
    }
    directory
        .create_file("file", FILE)
        .unwrap()
        .write_all(b"deep")
        .unwrap();
    let file = deep.join(b"file").unwrap();
    assert_eq!(read(world.tree.file(&file).unwrap()), "deep");
    assert_eq!(
        world.tree.directory(&deep).unwrap().names().unwrap(),
        [b"file"]
    );
    let flags = OFlags::RDONLY;
    let by_names = resolution::open_by_names(world.tree.as_fd(), file.as_bytes(), flags, NO_LINKS);
    assert_eq!(read(by_names.unwrap().into()), "deep");
    world.tree.remove("d").unwrap();
}

#[test]
fn directories_of_a_hundred_thousand_names_are_listed_and_removed() {
    const COUNT: usize = 100_000;
    let world = World::new();
    let wide = world.tree.make_directory("wide", Mode::RWXU).unwrap();
    for number in 0..COUNT {
        wide.create_file(number.to_string(), FILE).unwrap();
    }
    assert_eq!(wide.names().unwrap().len(), COUNT);
    world.tree.remove("wide").unwrap();
    assert_eq!(world.tree.names().unwrap(), [b""; 0]);
}

#[test]
fn directories_that_shut_out_their_owner_are_reached_and_not_listed() {
    let world = World::new();
    fs::create_dir(world.path("closed")).unwrap();
    fs::set_permissions(world.path("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    let closed = world.tree.entry("closed").unwrap();
    assert_eq!(
        (closed.file_type(), closed.mode()),
        (FileType::Directory, 0)
    );
    if !nix::unistd::geteuid().is_root() {
        let refused = world.tree.subdirectory("closed").unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::ACCESS));
    }
    closed.set_mode(Mode::RWXU).unwrap();
    assert_eq!(
        world.tree.subdirectory("closed").unwrap().names().unwrap(),
        [b""; 0]
    );
}

#[test]
fn attributes_of_any_size_are_read_whole() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let mut sizes = Vec::new();
    for size in [0, 1, 4000, 65536] {
        let value = vec![b'x'; size];
        let file = world.tree.entry("file").unwrap();
        // What a file system takes differs: ext4 gives all attributes of an inode a block.
        if rustix::fs::setxattr(world.path("file"), "user.x", &value, XattrFlags::empty()).is_ok() {
            assert_eq!(file.attribute(b"user.x").unwrap().unwrap(), value);
            sizes.push(size);
        }
        assert_eq!(file.attribute(b"user.none").unwrap(), None);
    }
    assert!(sizes.is_empty() || sizes.starts_with(&[0, 1]), "{sizes:?}");
}

#[test]
fn a_directory_that_becomes_a_link_between_two_calls_leads_nowhere_else() {
    let world = World::new();
    fs::create_dir(world.path("d")).unwrap();
    fs::write(world.path("d/canary"), "inside").unwrap();
    symlink(world.outside(), world.path("link")).unwrap();
    let (mut inside, mut refused) = (0, 0);
    Flipping::run(&world.path("d"), &world.path("link"), |_| {
        for way in ["openat2", "names"] {
            let found = match way {
                "openat2" => world
                    .tree
                    .file(&path("d/canary"))
                    .map_err(|error| error.errno()),
                _ => {
                    let (tree, flags) = (world.tree.as_fd(), OFlags::RDONLY);
                    resolution::open_by_names(tree, b"d/canary", flags, NO_LINKS)
                        .map(Into::into)
                        .map_err(Some)
                }
            };
            match found {
                Ok(file) => {
                    assert_eq!(read(file), "inside", "{way}");
                    inside += 1;
                }
                Err(errno) => {
                    let is_link = matches!(errno, Some(Errno::LOOP | Errno::NOTDIR));
                    assert!(is_link, "{way}: {errno:?}");
                    refused += 1;
                }
            }
        }
        if let Ok(directory) = world.tree.subdirectory("d") {
            directory.create_file("new", FILE).unwrap();
            directory.remove("new").unwrap();
        }
    });
    assert!(inside > 0 && refused > 0, "{inside} {refused}");
    world.assert_canary();
}

#[test]
fn removal_follows_no_link_that_takes_a_directorys_place() {
    let world = World::new();
    for round in 0..50 {
        for name in ["d", "d/below", "e"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        for number in 0..20 {
            fs::write(world.path(&format!("d/below/{number}")), "x").unwrap();
        }
        symlink(world.outside(), world.path("e/link")).unwrap();
        Flipping::run_once(&world.path("d/below"), &world.path("e/link"), || {
            // What is swapped in may stay behind; the next removal takes it.
            let _ = world.tree.remove("d");
        });
        for name in ["d", "e"] {
            world.tree.remove(name).unwrap();
        }
        assert_eq!(world.tree.names().unwrap(), [b""; 0], "{round}");
        world.assert_canary();
    }
}
