//! The ways to write a tree that are judged, and the programs that read them back.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use overcoat::format::codec::BlockCodec;
use overcoat::format::file_system::{FileSystem, KernelVersion};
use overcoat::format::output::SeekOutput;
use overcoat::format::read_at::ImageFile;
use overcoat::format::{erofs, squashfs};
use overcoat::tree::{FileTree, Timestamp};

use super::listing::{Kept, Listing, Xattrs};
use crate::private_mounts;
use crate::require::{self, tool};

const BUILD_TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A file system to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    made: Made,
    /// The first kernel that mounts it.
    kernel: KernelVersion,
    /// The first release of erofs-utils whose fsck.erofs reads it.
    erofs_utils: (u32, u32),
}

#[derive(Clone, Copy, Debug)]
enum Made {
    Erofs,
    CompressedErofs { codec: BlockCodec, fragments: bool },
    Squashfs(BlockCodec),
}

pub(crate) const WAYS: [Way; 4] = [
    Way {
        name: "erofs",
        made: Made::Erofs,
        kernel: KernelVersion::new(5, 4),
        erofs_utils: (1, 4),
    },
    Way {
        name: "erofs lz4",
        made: Made::CompressedErofs {
            codec: BlockCodec::Lz4,
            fragments: false,
        },
        // Files of equal contents share their blocks.
        kernel: KernelVersion::new(6, 1),
        erofs_utils: (1, 6),
    },
    Way {
        name: "erofs zstd fragments",
        made: Made::CompressedErofs {
            codec: BlockCodec::Zstd { level: 3 },
            fragments: true,
        },
        kernel: KernelVersion::new(6, 10),
        erofs_utils: (1, 8),
    },
    Way {
        name: "squashfs zstd",
        made: Made::Squashfs(BlockCodec::Zstd { level: 3 }),
        kernel: KernelVersion::new(4, 14),
        erofs_utils: (0, 0),
    },
];

impl Way {
    fn is_squashfs(self) -> bool {
        matches!(self.made, Made::Squashfs(_))
    }

    fn file_system(self) -> &'static str {
        if self.is_squashfs() {
            "squashfs"
        } else {
            "erofs"
        }
    }

    /// Writes the image of a tree.
    pub(crate) fn write(self, tree: &FileTree, workers: usize, image: &Path) {
        let workers = NonZeroUsize::new(workers).unwrap();
        let mut file = File::from(fs_err::File::create(image).unwrap());
        let options = erofs::Options {
            uuid: uuid::Uuid::nil(),
            build_time: BUILD_TIME,
            volume_name: String::new(),
        };
        match self.made {
            Made::Erofs => {
                let plan = erofs::Plan::new(tree, &options).unwrap();
                plan.write(&mut file).unwrap();
            }
            Made::CompressedErofs { codec, fragments } => {
                let compression = erofs::Compression {
                    codec,
                    block_bytes: None,
                    fragments,
                    deduplicate: true,
                    oldest_kernel: KernelVersion::new(6, 12),
                };
                let mut out = SeekOutput::new(file);
                erofs::write_compressed(tree, &options, &compression, workers, &mut out).unwrap();
            }
            Made::Squashfs(codec) => {
                let options = squashfs::Options::new(codec, BUILD_TIME);
                let plan = squashfs::Plan::new(tree, &options).unwrap();
                plan.write(workers, &mut SeekOutput::new(file)).unwrap();
            }
        }
    }

    /// Returns what the format itself keeps.
    fn kept(self) -> Kept {
        Kept {
            nanoseconds: !self.is_squashfs(),
            ..Kept::ALL
        }
    }

    /// Has every reader there is read the image, and compares.
    pub(crate) fn judge(self, expected: &Listing, image: &Path, scratch: &Path) {
        self.judge_reader(expected, image);
        if self.is_squashfs() {
            self.judge_unsquashfs(expected, image, scratch);
        } else {
            self.judge_fsck(expected, image, scratch);
        }
        if require::is_root() {
            self.judge_kernel(expected, image, scratch);
        }
    }

    fn judge_reader(self, expected: &Listing, image: &Path) {
        let file = ImageFile::open(image).unwrap();
        let tree = FileSystem::open(Arc::new(file)).unwrap().tree().unwrap();
        let found = Listing::of_tree(&tree);
        expected.assert_same(&found, self.kept(), &format!("our reader of {}", self.name));
    }

    fn judge_unsquashfs(self, expected: &Listing, image: &Path, scratch: &Path) {
        let unsquashfs = require!(tool("unsquashfs"));
        let shell = require!(tool("sh"));
        let extracted = scratch.join("unsquashed");
        let xattrs = match require::is_root() {
            true => "-xattrs",
            false => "-user-xattrs",
        };
        // It takes the bits of the caller's umask from what an ordinary user extracts.
        shell.output(&[
            "-c".as_ref(),
            "umask 0 && exec \"$0\" \"$@\"".as_ref(),
            unsquashfs.path().as_os_str(),
            "-no-progress".as_ref(),
            "-quiet".as_ref(),
            xattrs.as_ref(),
            "-dest".as_ref(),
            extracted.as_os_str(),
            image.as_os_str(),
        ]);
        let kept = Kept {
            owners: require::is_root(),
            xattrs: match require::is_root() {
                true => Xattrs::All,
                false => Xattrs::User,
            },
            sockets: false,
            set_ids: require::is_root(),
            ..self.kept()
        };
        let found = Listing::of_directory(&extracted);
        expected.assert_same(&found, kept, &format!("unsquashfs of {}", self.name));
        fs_err::remove_dir_all(extracted).unwrap();
    }

    fn judge_fsck(self, expected: &Listing, image: &Path, scratch: &Path) {
        let fsck = require!(tool("fsck.erofs"));
        let release = require::erofs_utils(&fsck);
        if release < self.erofs_utils {
            // What it does not know it refuses, by the feature bits.
            let output = std::process::Command::new(fsck.path())
                .arg(image)
                .output()
                .unwrap();
            assert!(!output.status.success(), "{release:?} reads {}", self.name);
            return;
        }
        let extracted = scratch.join("extracted");
        let owner = match require::is_root() {
            true => "--preserve-owner",
            false => "--no-preserve-owner",
        };
        fsck.output(&[
            owner.as_ref(),
            "--preserve-perms".as_ref(),
            std::ffi::OsString::from(format!("--extract={}", extracted.display())).as_os_str(),
            image.as_os_str(),
        ]);
        let kept = Kept {
            owners: require::is_root(),
            xattrs: Xattrs::None,
            // It copies them.
            hard_links: false,
            // It changes the mode before the owner, which takes these away.
            set_ids: false,
            ..self.kept()
        };
        let found = Listing::of_directory(&extracted);
        expected.assert_same(&found, kept, &format!("fsck.erofs of {}", self.name));
        fs_err::remove_dir_all(extracted).unwrap();
    }

    fn judge_kernel(self, expected: &Listing, image: &Path, scratch: &Path) {
        require!(require::mountable(self.file_system()));
        let running = require::running_kernel();
        if running < self.kernel {
            let reason = format!("Linux {running} does not mount {}", self.name);
            return require::say_skipped(&reason);
        }
        let place = scratch.join("mounted");
        fs_err::create_dir(&place).unwrap();
        let found = private_mounts::within(|| {
            private_mounts::mount(&["-t", self.file_system(), "-o", "ro,loop"], image, &place);
            Listing::of_directory(&place)
        });
        fs_err::remove_dir(&place).unwrap();
        expected.assert_same(&found, self.kept(), &format!("the kernel of {}", self.name));
    }
}
