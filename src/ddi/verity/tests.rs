use proptest::prelude::*;
use uuid::Uuid;

use super::{BLOCK_BYTES, HashTree, HashTreeBuilder};

const SALT: [u8; 32] = [0x5a; 32];

fn tree_of(data: &[u8]) -> Option<HashTree> {
    let mut builder = HashTreeBuilder::new(SALT);
    builder.update(data);
    builder.finish()
}

fn written(tree: &HashTree) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.write_to(&mut bytes, Uuid::from_u128(1)).unwrap();
    bytes
}

fn salted_digest(block: &[u8]) -> [u8; 32] {
    openssl::sha::sha256(&[&SALT[..], block].concat())
}

#[test]
fn no_data_has_no_tree() {
    assert!(tree_of(&[]).is_none());
}

#[test]
fn one_block_is_its_own_root_and_has_no_levels() {
    let data = [7; BLOCK_BYTES];
    let tree = tree_of(&data).unwrap();
    assert_eq!(*tree.root_hash().as_bytes(), salted_digest(&data));
    assert_eq!(written(&tree).len(), BLOCK_BYTES);
}

#[test]
fn two_blocks_have_one_level_of_their_digests() {
    let data = [[1; BLOCK_BYTES], [2; BLOCK_BYTES]].concat();
    let tree = tree_of(&data).unwrap();
    let mut level = [
        salted_digest(&data[..BLOCK_BYTES]),
        salted_digest(&data[BLOCK_BYTES..]),
    ]
    .concat();
    level.resize(BLOCK_BYTES, 0);
    assert_eq!(*tree.root_hash().as_bytes(), salted_digest(&level));
    assert_eq!(written(&tree)[BLOCK_BYTES..], level);
}

#[test]
fn levels_follow_the_number_of_blocks() {
    for (data_blocks, hash_blocks) in [
        (1, 0),
        (2, 1),
        (128, 1),
        (129, 3),
        (128 * 128, 129),
        (128 * 128 + 1, 132),
    ] {
        let tree = tree_of(&vec![0; data_blocks * BLOCK_BYTES]).unwrap();
        assert_eq!(tree.size_bytes(), ((1 + hash_blocks) * BLOCK_BYTES) as u64);
        assert_eq!(written(&tree).len() as u64, tree.size_bytes());
        assert_eq!(tree.data_block_count, data_blocks as u64);
    }
}

#[test]
fn the_superblock_has_its_fields_in_place() {
    let block = written(&tree_of(&[0; 3 * BLOCK_BYTES]).unwrap());
    let mut expected = b"verity\0\0\x01\0\0\0\x01\0\0\0".to_vec();
    expected.extend_from_slice(Uuid::from_u128(1).as_bytes());
    expected.extend_from_slice(b"sha256");
    expected.resize(64, 0);
    expected.extend_from_slice(b"\x00\x10\0\0\x00\x10\0\0\x03\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0");
    expected.extend_from_slice(&SALT);
    expected.resize(BLOCK_BYTES, 0);
    assert_eq!(block[..BLOCK_BYTES], expected);
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_tree(
        data in prop::collection::vec(any::<u8>(), 1..4 * BLOCK_BYTES),
        cuts in prop::collection::vec(1..2 * BLOCK_BYTES, 0..8),
    ) {
        let mut builder = HashTreeBuilder::new(SALT);
        let mut rest = &data[..];
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            builder.update(head);
            rest = tail;
        }
        builder.update(rest);
        let mut padded = data.clone();
        padded.resize(data.len().next_multiple_of(BLOCK_BYTES), 0);
        prop_assert_eq!(written(&builder.finish().unwrap()), written(&tree_of(&padded).unwrap()));
    }
}

/// `veritysetup format` makes the same bytes of the same data, salt and UUID.
#[cfg(feature = "integration")]
#[test]
fn hash_partitions_are_what_veritysetup_makes() {
    let directory = tempfile::tempdir().unwrap();
    let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    for data_blocks in [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
        let data: Vec<u8> = (0..data_blocks * BLOCK_BYTES / 4)
            .flat_map(|word| {
                u32::try_from(word)
                    .unwrap()
                    .wrapping_mul(2_654_435_761)
                    .to_le_bytes()
            })
            .collect();
        fs_err::write(directory.path().join("data"), &data).unwrap();
        fs_err::write(directory.path().join("hash"), "").unwrap();
        let output = std::process::Command::new("veritysetup")
            .args(["format", "data", "hash", "--salt", &"5a".repeat(32)])
            .args(["--uuid", &uuid.to_string()])
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let tree = tree_of(&data).unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let root = shown
            .lines()
            .find(|line| line.starts_with("Root hash:"))
            .unwrap();
        assert_eq!(
            root.split_whitespace().last().unwrap(),
            tree.root_hash().to_string(),
            "{data_blocks} blocks"
        );
        let mut ours = Vec::new();
        tree.write_to(&mut ours, uuid).unwrap();
        let theirs = fs_err::read(directory.path().join("hash")).unwrap();
        assert!(
            ours == theirs,
            "{data_blocks} blocks: {} and {} bytes",
            ours.len(),
            theirs.len()
        );
    }
}
