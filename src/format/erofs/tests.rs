use super::reader::read_tree;
use super::{Options, Plan};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

const BUILD_TIME: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn options() -> Options {
    Options {
        uuid: uuid::Uuid::from_bytes([0x5a; 16]),
        build_time: BUILD_TIME,
        volume_name: "overcoat".into(),
    }
}

fn image_of(tree: &FileTree) -> Vec<u8> {
    let plan = Plan::new(tree, &options()).unwrap();
    let mut image = Vec::new();
    plan.write(&mut image).unwrap();
    assert_eq!(image.len() as u64, plan.size_bytes());
    assert_eq!(image.len() % 4096, 0);
    image
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

#[test]
fn contents_around_a_block_survive_a_round_trip() {
    for length in [
        0, 1, 4031, 4032, 4033, 4063, 4064, 4065, 4095, 4096, 4097, 8191, 65_536, 65_537, 300_001,
    ] {
        let bytes: Vec<u8> = (0..length)
            .map(|index: u32| index.to_le_bytes()[0] | 1)
            .collect();
        let mut tree = FileTree::new(Entry::directory(BUILD_TIME)).unwrap();
        let content = Content::from_bytes(bytes.as_slice());
        tree.insert(
            path("f"),
            Entry::new(EntryKind::Regular(content), 0o644, BUILD_TIME),
        )
        .unwrap();
        let found = read_tree(&image_of(&tree)).unwrap();
        let EntryKind::Regular(content) = &found.get(&path("f")).unwrap().kind else {
            panic!("{length}: not a file");
        };
        assert!(content.read_all().unwrap() == bytes, "{length}");
    }
}
