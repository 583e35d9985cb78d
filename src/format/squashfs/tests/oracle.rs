//! What other implementations make of our images, and we of theirs: `unsquashfs` and `mksquashfs` of squashfs-tools,
//! which must be there, and the kernel, if the tests are root's.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::capture::merge_directory;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn run(program: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) {
    let mut command = Command::new(program);
    for argument in arguments {
        command.arg(argument);
    }
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program} is installed: {error}");
    });
    assert!(output.status.success(), "{program}: {output:?}");
}

/// Describes what is in `directory`, with all attributes: capturing leaves some out.
fn tree_in(directory: &Path) -> Vec<String> {
    let mut tree = merge_directory(Directory::open(directory).unwrap()).unwrap();
    for (path, entry) in tree.iter_mut() {
        entry.xattrs = xattrs_of(&directory.join(path.as_path()));
    }
    describe(&tree)
}

fn xattrs_of(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        // The kernel says so of an image without any.
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        length => length.unwrap(),
    };
    let names = names[..length].split(|byte| *byte == 0);
    let value = |name: &[u8]| {
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        value.truncate(length);
        value
    };
    let names = names.filter(|name| !name.is_empty());
    names.map(|name| (name.to_vec(), value(name))).collect()
}

/// Fails with the first lines that differ.
fn assert_same(found: &[String], expected: &[String], context: &str) {
    let differing = found.iter().zip(expected).find(|(one, other)| one != other);
    assert_eq!(differing, None, "{context}");
    assert_eq!(found.len(), expected.len(), "{context}");
}

/// Makes of a random tree one that whoever runs the tests can extract exactly.
fn extractable(tree: FileTree) -> FileTree {
    let mut tree = expressible(tree).retain(|_, entry| match entry.kind {
        // 0:0 is a whiteout to whoever reads the directory.
        EntryKind::CharacterDevice(DeviceNumber { major, .. }) => is_root() && major > 0,
        EntryKind::BlockDevice(_) => is_root(),
        _ => true,
    });
    for (_, entry) in tree.iter_mut() {
        match entry.kind {
            EntryKind::Symlink(_) => entry.mode = 0o777,
            _ => entry.mode |= 0o700,
        }
        if !matches!(entry.kind, EntryKind::Regular(_) | EntryKind::Directory) {
            entry.xattrs.retain(|name, _| !name.starts_with(b"user."));
        }
        if !is_root() {
            // What belongs to whoever reads a directory is taken for root's.
            (entry.uid, entry.gid) = (0, 0);
            entry.xattrs.clear();
            // No umask takes anything from this.
            if !matches!(entry.kind, EntryKind::Symlink(_)) {
                entry.mode = 0o700;
            }
        }
    }
    tree
}

fn random_trees(count: usize) -> impl Iterator<Item = FileTree> {
    let mut runner = TestRunner::deterministic();
    let trees = file_tree().prop_map(extractable);
    std::iter::repeat_with(move || trees.new_tree(&mut runner).unwrap().current()).take(count)
}

/// A tree with what random ones lack: large directories and files.
fn large() -> FileTree {
    let mut entries = vec![
        (path("many"), Entry::directory(BUILD_TIME)),
        (path("blocks"), file(&bytes(1_000_000))),
        (
            path("holes"),
            file(&[vec![0; 300_000], bytes(10), vec![0; 200_000]].concat()),
        ),
    ];
    let names = (0..2000).map(|index| format!("many/{index:0>100}"));
    entries.extend(names.map(|name| (path(&name), file(name.as_bytes()))));
    extractable(tree_of(entries))
}

fn assert_unsquashfs_accepts(tree: &FileTree, options: &Options) {
    let directory = tempfile::tempdir().unwrap();
    let (image, extracted) = (directory.path().join("image"), directory.path().join("out"));
    fs_err::write(&image, written(tree, options, 2).0).unwrap();
    run("unsquashfs", &[&"-no-progress", &"-d", &extracted, &image]);
    assert_same(&tree_in(&extracted), &describe(tree), "unsquashfs");
}

#[test]
fn unsquashfs_extracts_every_codec() {
    for codec in CODECS {
        assert_unsquashfs_accepts(&extractable(sample()), &options(codec, 4096));
        assert_unsquashfs_accepts(&large(), &options(codec, 128 << 10));
    }
}

#[test]
fn unsquashfs_extracts_any_tree() {
    for (tree, log) in random_trees(9).zip((12..=20).cycle()) {
        assert_unsquashfs_accepts(&tree, &options(ZSTD, 1 << log));
    }
}

/// Forgets which symbolic links are one inode: `mksquashfs` makes several of them, sometimes.
fn without_linked_symlinks(mut tree: FileTree) -> FileTree {
    for (_, entry) in tree.iter_mut() {
        if matches!(entry.kind, EntryKind::Symlink(_)) {
            entry.hard_link = None;
        }
    }
    tree
}

#[test]
fn images_of_mksquashfs_are_read() {
    let variants: [&[&str]; 8] = [
        &["-comp", "gzip"],
        &["-comp", "xz", "-b", "1M"],
        &["-comp", "lz4"],
        &["-comp", "lz4", "-Xhc", "-b", "4K"],
        &[
            "-comp",
            "zstd",
            "-Xcompression-level",
            "1",
            "-always-use-fragments",
        ],
        &["-comp", "zstd", "-Xcompression-level", "1", "-no-fragments"],
        &["-noI", "-noId", "-noD", "-noF", "-noX"],
        &["-comp", "gzip", "-no-exports", "-no-duplicates"],
    ];
    for tree in random_trees(2).chain([large(), extractable(sample())]) {
        let directory = tempfile::tempdir().unwrap();
        let (image, extracted) = (directory.path().join("image"), directory.path().join("out"));
        fs_err::write(&image, image_of(&tree)).unwrap();
        run("unsquashfs", &[&"-no-progress", &"-d", &extracted, &image]);
        let expected = describe(&without_linked_symlinks(tree));
        for variant in variants {
            let made = directory.path().join("made");
            let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&extracted, &made];
            arguments
                .extend([&"-noappend", &"-no-progress"].map(|argument| argument as &dyn AsRef<_>));
            if !is_root() {
                arguments.push(&"-all-root");
            }
            for argument in variant {
                arguments.push(argument);
            }
            run("mksquashfs", &arguments);
            let read = read_tree(&fs_err::read(&made).unwrap());
            let read = read.unwrap_or_else(|error| panic!("{variant:?}: {error}"));
            let read = describe(&without_linked_symlinks(read));
            assert_same(&read, &expected, &format!("{variant:?}"));
        }
    }
}

/// A mounted image, until it is dropped.
struct Mounted {
    directory: tempfile::TempDir,
}

impl Mounted {
    fn new(image: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, point) = (
            directory.path().join("image"),
            directory.path().join("point"),
        );
        fs_err::write(&file, image).unwrap();
        fs_err::create_dir(&point).unwrap();
        run(
            "mount",
            &[&"-t", &"squashfs", &"-o", &"loop,ro", &file, &point],
        );
        Self { directory }
    }

    fn point(&self) -> std::path::PathBuf {
        self.directory.path().join("point")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[&"--lazy", &self.point()]);
    }
}

#[test]
fn the_kernel_mounts_every_codec_and_any_tree() {
    if !is_root() {
        println!("SKIP: a loop mount needs root");
        return;
    }
    let codecs = CODECS.into_iter().cycle();
    let trees = random_trees(10).chain([large(), extractable(sample())]);
    for ((tree, codec), log) in trees.zip(codecs).zip((12..=20).cycle()) {
        let options = options(codec, 1 << log);
        let mounted = Mounted::new(&written(&tree, &options, 2).0);
        let found = tree_in(&mounted.point());
        assert_same(&found, &describe(&tree), &format!("{options:?}"));
    }
}
