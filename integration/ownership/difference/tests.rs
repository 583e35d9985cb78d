use std::collections::BTreeMap;

use super::super::tree::Node;
use super::*;

fn node() -> Node {
    Node {
        kind: "file",
        mode: 0o644,
        modified: (1_700_000_000, 5),
        links: Some((1, "/x".to_owned())),
        device: Some("1:3".to_owned()),
        target: Some("y".to_owned()),
        content: Some((4, [0; 32])),
        attributes: BTreeMap::from([("user.note".to_owned(), "01".to_owned())]),
        ..Node::default()
    }
}

fn tree(nodes: impl IntoIterator<Item = (&'static str, Node)>) -> Tree {
    let nodes = nodes.into_iter();
    nodes.map(|(path, node)| (path.to_owned(), node)).collect()
}

fn lines(expected: &Tree, found: &Tree) -> Vec<String> {
    let differences = differences(expected, found);
    differences.iter().map(ToString::to_string).collect()
}

type Change = fn(&mut Node);

#[test]
fn a_change_of_any_field_is_one_line() {
    let cases: [(Change, &str); 11] = [
        (|node| node.kind = "FIFO", "/x: type is FIFO, expected file"),
        (|node| node.mode = 0o4755, "/x: mode is 4755, expected 0644"),
        (|node| node.uid = 7, "/x: uid is 7, expected 0"),
        (|node| node.gid = 42, "/x: gid is 42, expected 0"),
        (
            |node| node.modified.1 = 6,
            "/x: time is 1700000000.000000006, expected 1700000000.000000005",
        ),
        (
            |node| node.links = Some((2, "/a".to_owned())),
            "/x: links is 2 with /a, expected 1 with /x",
        ),
        (
            |node| node.device = Some("1:5".to_owned()),
            "/x: device is 1:5, expected 1:3",
        ),
        (
            |node| node.target = Some("z".to_owned()),
            "/x: target is z, expected y",
        ),
        (
            |node| node.content = Some((4, [1; 32])),
            "/x: content is 4 bytes 010101010101, expected 4 bytes 000000000000",
        ),
        (
            |node| node.attributes.clear(),
            "/x: user.note is missing, expected 01",
        ),
        (
            |node| {
                let value = "permitted 2000".to_owned();
                node.attributes
                    .insert("security.capability".to_owned(), value);
            },
            "/x: security.capability is permitted 2000, expected none",
        ),
    ];
    for (change, line) in cases {
        let mut changed = node();
        change(&mut changed);
        assert_eq!(
            lines(&tree([("/x", node())]), &tree([("/x", changed)])),
            [line]
        );
    }
}

#[test]
fn an_entry_that_only_one_tree_has_is_one_line() {
    let (few, many) = (
        tree([("/x", node())]),
        tree([("/x", node()), ("/y", node())]),
    );
    assert_eq!(lines(&few, &few), Vec::<String>::new());
    assert_eq!(lines(&few, &many), ["/y: entry is file, expected none"]);
    assert_eq!(lines(&many, &few), ["/y: entry is missing, expected file"]);
}

const KEYS: Known = Known {
    path: "/etc/ssh/*_key",
    field: "content",
    reason: "drawn",
};

/// Returns the complaints about a changed mode and content of a file, with `KEYS` known.
fn judged(path: &'static str) -> Vec<String> {
    let changed = Node {
        mode: 0o600,
        content: Some((4, [1; 32])),
        ..node()
    };
    let found = differences(&tree([(path, node())]), &tree([(path, changed)]));
    let found: Vec<_> = found
        .into_iter()
        .map(|found| ("here".to_owned(), found))
        .collect();
    complaints(&found, &[KEYS])
}

#[test]
fn a_known_difference_excuses_its_field_alone() {
    assert_eq!(
        judged("/etc/ssh/a_key"),
        ["here: /etc/ssh/a_key: mode is 0600, expected 0644"]
    );
}

#[test]
fn a_known_difference_that_is_not_there_is_an_error() {
    assert_eq!(
        judged("/etc/ssh/below/a_key"),
        [
            "here: /etc/ssh/below/a_key: content is 4 bytes 010101010101, expected 4 bytes 000000000000",
            "here: /etc/ssh/below/a_key: mode is 0600, expected 0644",
            "/etc/ssh/*_key: content does not differ, but is known to: drawn",
        ]
    );
}
