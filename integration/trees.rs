//! Whole trees go into each file system and come back from every reader: ours, a foreign one, and the kernel.

mod listing;
mod samples;
mod ways;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use openssl::sha::sha256;
use overcoat::beneath::Directory;
use overcoat::capture;
use overcoat::tree::FileTree;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};
use tempfile::TempDir;

use self::listing::Listing;
use self::ways::WAYS;
use crate::harness;
use crate::private_mounts;
use crate::require::{self, tool};

/// What the largest tree and its images take.
const SPACE_BYTES: u64 = 2 << 30;

/// Returns a directory to extract into: in memory where there is enough of it, and attributes are kept there.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let is_roomy = statvfs(memory)
        .is_ok_and(|status| status.blocks_available() * status.fragment_size() > SPACE_BYTES);
    let directory = TempDir::new_in(memory).ok().filter(|directory| {
        let kept = setxattr(directory.path(), "user.test", b"", XattrFlags::empty());
        is_roomy && kept.is_ok()
    });
    directory.unwrap_or_else(|| TempDir::new_in(harness::directory()).unwrap())
}

fn judge(tree: &FileTree, expected: &Listing) {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let workers = std::thread::available_parallelism().unwrap().get();
    for way in WAYS {
        way.write(tree, workers, &image);
        way.judge(expected, &image, scratch.path());
    }
}

#[test]
fn usr_comes_back_from_each_file_system() {
    let (tree, expected) = samples::host(Path::new("/usr"));
    assert!(expected.0.len() > 1000, "{} entries", expected.0.len());
    judge(&tree, &expected);
}

#[test]
fn hundred_thousand_entries_come_back_from_each_file_system() {
    let tree = samples::many();
    assert_eq!(tree.entry_count(), samples::MANY);
    judge(&tree, &Listing::of_tree(&tree));
}

/// The orders in which files are made.
#[derive(Clone, Copy, Debug)]
enum Order {
    Forward,
    Backward,
    Shuffled,
}

/// Makes the same files below a directory, in an order; what of them is in an image does not depend on it.
fn make(root: &Path, order: Order) {
    const FILES: usize = 1200;
    let mut numbers: Vec<usize> = (0..FILES).collect();
    match order {
        Order::Forward => {}
        Order::Backward => numbers.reverse(),
        // 7 has no factor in common with the number of files.
        Order::Shuffled => numbers.sort_by_key(|number| number * 7 % FILES),
    }
    let mut linked = HashMap::new();
    for number in numbers {
        let directory = root.join(format!("d{}", number % 3));
        fs_err::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{number}-{}", "n".repeat(number % 200)));
        if number % 100 >= 90 {
            // Names of one inode; which of them is made first makes no difference.
            match linked.entry(number % 10) {
                Entry::Occupied(first) => fs_err::hard_link(first.get(), &path).unwrap(),
                Entry::Vacant(none) => {
                    fs_err::write(&path, format!("linked {}\n", number % 10)).unwrap();
                    none.insert(path);
                }
            }
        } else if number % 17 == 0 {
            std::os::unix::fs::symlink(format!("{number}"), &path).unwrap();
        } else {
            let content = format!("content {}\n", number % 400).repeat(number % 500);
            fs_err::write(&path, content).unwrap();
        }
    }
    let time = Timespec {
        tv_sec: 1_600_000_000,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        if fs_err::symlink_metadata(&path).unwrap().is_dir() {
            let entries = fs_err::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
        }
        utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// Makes the files on a file system in each order and adds what became of them: of each way, the digests of the images,
/// and the orders of names that the file system gave.
fn pack(place: &Path, digests: &mut [Vec<[u8; 32]>], orders: &mut Vec<Vec<PathBuf>>) {
    for order in [Order::Forward, Order::Backward, Order::Shuffled] {
        let directory = TempDir::new_in(place).unwrap();
        let root = directory.path().join("root");
        make(&root, order);
        let names = fs_err::read_dir(root.join("d0")).unwrap();
        orders.push(
            names
                .map(|entry| PathBuf::from(entry.unwrap().file_name()))
                .collect(),
        );
        let tree = capture::merge_directory(Directory::open(&root).unwrap()).unwrap();
        let image = directory.path().join("image");
        for (way, digests) in WAYS.iter().zip(digests.iter_mut()) {
            for workers in [1, 8] {
                way.write(&tree, workers, &image);
                digests.push(sha256(&fs_err::read(&image).unwrap()));
            }
        }
    }
}

/// File systems that are made in a file, each with the program that makes it.
const MADE: [(&str, &str); 2] = [("mkfs.ext4", "ext4"), ("mkfs.btrfs", "btrfs")];

#[test]
fn images_depend_neither_on_threads_nor_on_where_files_lie() {
    let mut made = Vec::new();
    for (program, file_system) in MADE {
        if require::is_root() {
            require!(require::mountable(file_system));
            made.push((require!(tool(program)), file_system));
        } else {
            require::say_skipped(&format!("mounting {file_system} needs root"));
        }
    }
    let mut digests = vec![Vec::new(); WAYS.len()];
    let mut orders = Vec::new();
    pack(&harness::directory(), &mut digests, &mut orders);
    pack(Path::new("/dev/shm"), &mut digests, &mut orders);
    for (mkfs, file_system) in made {
        let directory = TempDir::new_in(harness::directory()).unwrap();
        let [image, place] = ["image", "place"].map(|name| directory.path().join(name));
        let file = fs_err::File::create(&image).unwrap();
        file.set_len(256 << 20).unwrap();
        fs_err::create_dir(&place).unwrap();
        mkfs.output(&["-q".as_ref(), image.as_os_str()]);
        private_mounts::within(|| {
            private_mounts::mount(&["-t", file_system, "-o", "loop"], &image, &place);
            pack(&place, &mut digests, &mut orders);
        });
    }
    for (way, mut digests) in WAYS.iter().zip(digests) {
        let count = digests.len();
        digests.dedup();
        assert_eq!(digests.len(), 1, "{} of {count} images", way.name);
    }
    // Otherwise nothing was shown.
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 1);
}
