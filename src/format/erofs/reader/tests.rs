//! Images that mkfs.erofs 1.8.6 has made, of files that are described here.

use std::io::Read;
use std::sync::Arc;

use super::clusters::{Clusters, Stored};
use super::{Image, ReadError, read_tree};
use crate::format::file_system::KernelVersion;
use crate::format::read_at::ImageBytes;
use crate::tree::{EntryKind, FileTree, TreePath};

/// An image, how it is compressed, and the first kernel that reads it.
type Foreign = (
    &'static str,
    &'static [u8],
    &'static [&'static str],
    (u16, u16),
);

const IMAGES: [Foreign; 6] = [
    (
        "-zzstd,3 -C65536 -Efragments,dedupe",
        include_bytes!("tests/foreign/zstd-fragments.erofs"),
        &["zstd"],
        (6, 10),
    ),
    (
        "-zlz4 -C16384 -Eztailpacking",
        include_bytes!("tests/foreign/lz4-tailpacking.erofs"),
        &["lz4"],
        (5, 17),
    ),
    (
        "-zlz4hc -C4096",
        include_bytes!("tests/foreign/lz4hc-compact.erofs"),
        &["lz4"],
        (5, 4),
    ),
    (
        "-zdeflate,6 -C32768 -Eall-fragments,dedupe",
        include_bytes!("tests/foreign/deflate-all-fragments.erofs"),
        &["deflate"],
        (6, 6),
    ),
    (
        "--chunksize=4096 --xattr-prefix=user.long.",
        include_bytes!("tests/foreign/chunks.erofs"),
        &[],
        (6, 4),
    ),
    (
        "-b1024 -zlz4 -Ededupe",
        include_bytes!("tests/foreign/small-blocks.erofs"),
        &["lz4"],
        (6, 4),
    ),
];

fn text(length: usize) -> Vec<u8> {
    let words = b"the same words again and again\n";
    words.iter().copied().cycle().take(length).collect()
}

/// Bytes that no compression makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(state >> 24).unwrap()
    });
    next.take(length).collect()
}

fn expected(name: &str) -> Vec<u8> {
    match name {
        "text" | "twin" => text(30_000),
        "noise" => noise(5000),
        "mixed" => [text(10_000), noise(3000), text(20_000)].concat(),
        "small" => b"small\n".to_vec(),
        "hole" => {
            let mut hole = vec![0; 200_000];
            hole[100_000..100_006].copy_from_slice(b"middle");
            hole
        }
        name => panic!("{name} is in no image"),
    }
}

fn opened(bytes: &[u8]) -> Arc<Image> {
    Arc::new(Image::open(Arc::new(ImageBytes::new(bytes))).unwrap())
}

fn files(tree: &FileTree) -> Vec<(String, Vec<u8>)> {
    let files = tree.iter().filter_map(|(path, entry)| match &entry.kind {
        EntryKind::Regular(content) => Some((path.to_string(), content.read_all().unwrap())),
        _ => None,
    });
    files.collect()
}

#[test]
fn images_of_mkfs_are_read() {
    for (options, bytes, ..) in IMAGES {
        let tree = opened(bytes).tree().unwrap();
        let files = files(&tree);
        assert!(files.len() >= 3, "{options}");
        for (name, found) in files {
            assert!(found == expected(&name), "{options}: {name}");
        }
        let small = tree.get(&TreePath::new("small").unwrap()).unwrap();
        let attribute = small.xattrs.get(b"user.long.prefix.a".as_slice());
        assert_eq!(attribute.unwrap(), b"value", "{options}");
    }
}

#[test]
fn a_superblock_says_how_files_are_compressed_and_which_kernel_reads_them() {
    for (options, bytes, compression, (major, minor)) in IMAGES {
        let description = opened(bytes).description();
        assert_eq!(description.compression, compression, "{options}");
        let kernel = KernelVersion::new(major, minor);
        assert_eq!(description.oldest_kernel(), Some(kernel), "{options}");
        assert_eq!(description.size_bytes, bytes.len() as u64, "{options}");
    }
}

#[test]
fn contents_are_the_same_however_they_are_read() {
    for (options, bytes, ..) in IMAGES {
        let tree = opened(bytes).tree().unwrap();
        for (path, entry) in tree.iter() {
            let EntryKind::Regular(content) = &entry.kind else {
                continue;
            };
            let mut reader = content.open().unwrap();
            let (mut found, mut piece) = (Vec::new(), [0; 777]);
            loop {
                match reader.read(&mut piece).unwrap() {
                    0 => break,
                    count => found.extend_from_slice(&piece[..count]),
                }
            }
            assert!(found == expected(&path.to_string()), "{options}: {path}");
        }
    }
}

#[test]
fn a_damaged_image_is_an_error_or_other_contents() {
    for (options, bytes, ..) in IMAGES {
        for place in (1152..bytes.len()).step_by(37) {
            let mut damaged = bytes.to_vec();
            // Without its checksum, damage to the first block gets past the superblock.
            damaged[1024 + 8] &= !1;
            damaged[place] = damaged[place].wrapping_add(0x55);
            let Ok(tree) = read_tree(&damaged) else {
                continue;
            };
            for (_, entry) in tree.iter() {
                if let EntryKind::Regular(content) = &entry.kind
                    && content.size_bytes() < 1 << 20
                    && let Ok(found) = content.read_all()
                {
                    assert_eq!(found.len() as u64, content.size_bytes(), "{options}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_known_is_named() {
    let (_, bytes, ..) = IMAGES[0];
    type Change = fn(&mut Vec<u8>);
    type Expected = fn(&ReadError) -> bool;
    let cases: [(Change, Expected); 6] = [
        (
            |image| image[1024] ^= 1,
            |error| matches!(error, ReadError::NotErofs),
        ),
        (
            |image| image.truncate(1100),
            |error| matches!(error, ReadError::NotErofs),
        ),
        (
            |image| image[1024 + 81] = 1,
            |error| matches!(error, ReadError::UnsupportedFeatures { bits: 0x100 }),
        ),
        (
            |image| image[1024 + 12] = 17,
            |error| matches!(error, ReadError::UnsupportedBlockSize { bits: 17 }),
        ),
        (
            |image| image[1024 + 86] = 1,
            |error| matches!(error, ReadError::ExtraDevices),
        ),
        (
            |image| image[1024 + 48] ^= 1,
            |error| matches!(error, ReadError::Checksum { .. }),
        ),
    ];
    for (change, expected) in cases {
        let mut image = bytes.to_vec();
        change(&mut image);
        let refused = read_tree(&image).unwrap_err();
        assert!(expected(&refused), "{refused}");
    }
}

#[test]
fn microlzma_is_named() {
    let (_, bytes, ..) = IMAGES[2];
    let image = opened(bytes);
    let tree = image.tree().unwrap();
    let nid = nid_of(&image, &tree, "text");
    let inode = image.inode(nid).unwrap();
    let header = image.body_offset(nid, &inode).unwrap().next_multiple_of(8);
    let mut changed = bytes.to_vec();
    changed[1024 + 8] &= !1;
    changed[usize::try_from(header).unwrap() + 6] = 1;
    let tree = read_tree(&changed).unwrap();
    let text = tree.get(&TreePath::new("text").unwrap()).unwrap();
    let EntryKind::Regular(content) = &text.kind else {
        panic!("it is a file");
    };
    let refused = content.read_all().unwrap_err();
    let messages: Vec<_> =
        std::iter::successors(Some(&refused as &dyn std::error::Error), |error| {
            error.source()
        })
        .map(ToString::to_string)
        .collect();
    let told = format!("inode {nid} is compressed in an unknown way: MicroLZMA is not supported");
    assert!(messages.contains(&told), "{messages:?}");
}

/// Returns the number of an inode, which is what its size and type find.
fn nid_of(image: &Image, tree: &FileTree, name: &str) -> u64 {
    let entry = tree.get(&TreePath::new(name).unwrap()).unwrap();
    (0..1000)
        .find(|nid| {
            image.inode(*nid).is_ok_and(|inode| {
                inode.i_mode == 0o100_000 | entry.mode && inode.i_size == entry.size_bytes()
            })
        })
        .unwrap()
}

#[test]
fn extents_follow_each_other_without_gaps() {
    for (options, bytes, ..) in IMAGES {
        let image = opened(bytes);
        let tree = image.tree().unwrap();
        for (name, _) in files(&tree) {
            let nid = nid_of(&image, &tree, &name);
            let inode = image.inode(nid).unwrap();
            if !matches!(inode.data_layout, 1 | 3) {
                continue;
            }
            let body = image.body_offset(nid, &inode).unwrap();
            let mut clusters = Clusters::of(&image, nid, &inode, body).unwrap();
            let mut offset = 0;
            while offset < inode.i_size {
                let extent = clusters.extent_at(&image, offset).unwrap();
                assert_eq!(extent.start, offset, "{options}: inode {nid}");
                assert!(extent.end > offset && extent.end <= inode.i_size);
                let middle = offset + (extent.end - offset) / 2;
                assert_eq!(clusters.extent_at(&image, middle).unwrap(), extent);
                if matches!(extent.stored, Stored::Fragment { .. }) {
                    assert_eq!(extent.end, inode.i_size);
                }
                offset = extent.end;
            }
        }
    }
}
