//! Images for the tests of reading them.

use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use openssl::x509::X509;

use crate::ddi::read::Image;
use crate::ddi::{Layout, PartitionArchitecture, SectorSize, VerityMode, assemble};
use crate::format::erofs;
use crate::format::read_at::ImageBytes;
use crate::signing::{KeyOptions, KeyPair, Signer, generate, write_key_pair};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// What protects an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verity {
    None,
    Hash,
    Deferred,
    Signed,
}

/// Returns the key of all signed images: making one takes longer than all else.
pub(crate) fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| generate(&KeyOptions::new("overcoat of a test")).unwrap())
}

pub(crate) fn certificate() -> X509 {
    X509::from_pem(&key().certificate_pem).unwrap()
}

/// Returns a tree of a few files, one of which has several blocks.
pub(crate) fn tree() -> FileTree {
    let then = Timestamp::from_seconds(1_700_000_000);
    let mut tree = FileTree::new(Entry::directory(then)).unwrap();
    let content: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let release = b"ID=_any\nARCHITECTURE=x86-64\n".to_vec();
    let entries = [
        ("usr", EntryKind::Directory),
        ("usr/lib", EntryKind::Directory),
        ("usr/lib/extension-release.d", EntryKind::Directory),
        (
            "usr/lib/extension-release.d/extension-release.test",
            EntryKind::Regular(Content::from_bytes(release)),
        ),
        (
            "usr/lib/large",
            EntryKind::Regular(Content::from_bytes(content)),
        ),
        ("usr/lib/link", EntryKind::Symlink(b"large".to_vec())),
    ];
    for (path, kind) in entries {
        let mode = if matches!(kind, EntryKind::Directory) {
            0o755
        } else {
            0o644
        };
        let entry = Entry::new(kind, mode, then);
        tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
    }
    tree
}

pub(crate) fn file_system(tree: &FileTree) -> Vec<u8> {
    let options = erofs::Options {
        uuid: uuid::Uuid::from_u128(7),
        build_time: Timestamp::from_seconds(1_700_000_000),
        volume_name: "test".into(),
    };
    let mut image = Vec::new();
    erofs::Plan::new(tree, &options)
        .unwrap()
        .write(&mut image)
        .unwrap();
    image
}

pub(crate) fn image_of(payload: &[u8], verity: Verity, sector: SectorSize) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let signer = (verity == Verity::Signed).then(|| signer(directory.path()));
    let layout = Layout {
        architecture: PartitionArchitecture::named("x86-64").unwrap(),
        name: "test",
        seed: None,
        payload_size_bytes: None,
        sector,
        verity: match (verity, &signer) {
            (Verity::None, _) => VerityMode::None,
            (Verity::Hash, _) => VerityMode::Hash,
            (_, Some(signer)) => VerityMode::Signed(signer),
            (_, None) => VerityMode::Deferred,
        },
    };
    let mut file = Cursor::new(Vec::new());
    assemble(&mut file, &layout, |output| output.write_all(payload)).unwrap();
    file.into_inner()
}

fn signer(directory: &Path) -> Signer {
    write_key_pair(directory, key(), crate::signing::Overwrite::Refuse).unwrap();
    Signer::from_files(&directory.join("mkosi.key"), &directory.join("mkosi.crt")).unwrap()
}

/// Returns the signed image of [`tree`].
pub(crate) fn signed() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || image_of(&file_system(&tree()), Verity::Signed, SectorSize::Bytes512);
    IMAGE.get_or_init(make).clone()
}

pub(crate) fn opened(image: Vec<u8>) -> Image {
    Image::open(Arc::new(ImageBytes::new(image))).unwrap()
}
