//! Our writers: the tree is captured, packed and signed by a process of its own, so that its memory can be told.

use std::path::{Path, PathBuf};
use std::thread;

use overcoat::beneath::Directory;
use overcoat::capture;
use overcoat::ddi::{Layout, PartitionArchitecture, SectorSize, VerityMode, assemble};
use overcoat::format::codec::BlockCodec;
use overcoat::format::file_system::KernelVersion;
use overcoat::format::{erofs, squashfs};
use overcoat::signing::{self, KeyOptions, Overwrite, Signer};
use overcoat::tree::Timestamp;

use crate::measure::Program;
use crate::{Contestant, Failure};

/// Where the first partition starts in our images.
const FIRST_PARTITION_BYTES: u64 = 1 << 20;

const BUILD_TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A way to pack, by its name.
const WAYS: [(&str, FileSystem); 11] = [
    ("erofs uncompressed", FileSystem::Erofs(None)),
    (
        "erofs lz4",
        FileSystem::Erofs(Some((BlockCodec::Lz4, Fragments::Apart))),
    ),
    (
        "erofs lz4 fragments",
        FileSystem::Erofs(Some((BlockCodec::Lz4, Fragments::Packed))),
    ),
    (
        "erofs lz4hc-4 fragments",
        FileSystem::Erofs(Some((BlockCodec::Lz4Hc { level: 4 }, Fragments::Packed))),
    ),
    (
        "erofs lz4hc-9 fragments",
        FileSystem::Erofs(Some((BlockCodec::Lz4Hc { level: 9 }, Fragments::Packed))),
    ),
    (
        "erofs zstd-1 fragments",
        FileSystem::Erofs(Some((BlockCodec::Zstd { level: 1 }, Fragments::Packed))),
    ),
    (
        "erofs zstd-3",
        FileSystem::Erofs(Some((BlockCodec::Zstd { level: 3 }, Fragments::Apart))),
    ),
    (
        "erofs zstd-3 fragments",
        FileSystem::Erofs(Some((BlockCodec::Zstd { level: 3 }, Fragments::Packed))),
    ),
    (
        "erofs zstd-6 fragments",
        FileSystem::Erofs(Some((BlockCodec::Zstd { level: 6 }, Fragments::Packed))),
    ),
    (
        "squashfs zstd-3",
        FileSystem::Squashfs(BlockCodec::Zstd { level: 3 }),
    ),
    ("squashfs lz4", FileSystem::Squashfs(BlockCodec::Lz4)),
];

#[derive(Clone, Copy, Debug)]
enum FileSystem {
    /// Uncompressed without a codec.
    Erofs(Option<(BlockCodec, Fragments)>),
    Squashfs(BlockCodec),
}

/// Whether small files are compressed together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fragments {
    Apart,
    Packed,
}

/// A key and its certificate.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) private_key: PathBuf,
    pub(crate) certificate: PathBuf,
}

pub(crate) fn make_key(directory: &Path) -> Result<Keys, Failure> {
    let pair = signing::generate(&KeyOptions::new("benchmark"))?;
    signing::write_key_pair(directory, &pair, Overwrite::Refuse)?;
    Ok(Keys {
        private_key: directory.join(signing::KEY_FILE),
        certificate: directory.join(signing::CERTIFICATE_FILE),
    })
}

pub(crate) fn contestants(
    tree: &Path,
    scratch: &Path,
    keys: &Keys,
) -> Result<Vec<Contestant>, Failure> {
    let image = scratch.join("ours");
    let program = std::env::current_exe()?;
    let contestant = |(name, file_system): &(&str, FileSystem)| {
        let mut arguments = vec![program.display().to_string(), "--pack".to_owned()];
        arguments.push((*name).to_owned());
        for path in [tree, &image, &keys.private_key, &keys.certificate] {
            arguments.push(path.display().to_string());
        }
        Contestant {
            name: format!("overcoat {name}"),
            program: Program {
                arguments,
                environment: Vec::new(),
            },
            image: image.clone(),
            offset_bytes: FIRST_PARTITION_BYTES,
            file_system: Some(match file_system {
                FileSystem::Erofs(_) => "erofs",
                FileSystem::Squashfs(_) => "squashfs",
            }),
        }
    };
    Ok(WAYS.iter().map(contestant).collect())
}

/// Makes one image: the name of the way, the tree, the image, the private key and the certificate.
pub(crate) fn pack(arguments: &[String]) -> Result<(), Failure> {
    let [name, tree, image, private_key, certificate] = arguments else {
        return Err("usage: --pack NAME TREE IMAGE KEY CERTIFICATE".into());
    };
    let (_, file_system) = WAYS
        .iter()
        .find(|(known, _)| known == name)
        .ok_or("no such way to pack")?;
    let signer = Signer::from_files(Path::new(private_key), Path::new(certificate))?;
    let tree = capture::merge_directory(Directory::open(Path::new(tree))?)?;
    let layout = Layout {
        architecture: PartitionArchitecture::named("x86-64")?,
        name: "benchmark",
        seed: None,
        payload_size_bytes: None,
        sector: SectorSize::default(),
        verity: VerityMode::Signed(&signer),
    };
    let mut file = fs_err::File::create_new(image)?;
    let workers = thread::available_parallelism()?;
    match *file_system {
        FileSystem::Erofs(None) => {
            let plan = erofs::Plan::new(&tree, &erofs_options())?;
            assemble(&mut file, &layout, |output| plan.write(output))?;
        }
        FileSystem::Erofs(Some((codec, fragments))) => {
            let compression = erofs::Compression {
                codec,
                block_bytes: None,
                fragments: fragments == Fragments::Packed,
                deduplicate: true,
                oldest_kernel: KernelVersion::new(6, 12),
            };
            assemble(&mut file, &layout, |output| {
                erofs::write_compressed(&tree, &erofs_options(), &compression, workers, output)
                    .map(drop)
            })?;
        }
        FileSystem::Squashfs(codec) => {
            let plan = squashfs::Plan::new(&tree, &squashfs::Options::new(codec, BUILD_TIME))?;
            assemble(&mut file, &layout, |output| {
                plan.write(workers, output).map(drop)
            })?;
        }
    }
    Ok(())
}

fn erofs_options() -> erofs::Options {
    erofs::Options {
        uuid: uuid::Uuid::nil(),
        build_time: BUILD_TIME,
        volume_name: String::new(),
    }
}
