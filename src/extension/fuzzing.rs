//! What must hold of the files in which a tree says what it is.

use super::{Accounts, ExtensionKind, parse_os_release};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// os-release files are the same when written again; files of accounts can be anything.
pub fn release_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let release = parse_os_release(&text);
    for (_, value) in release.iter() {
        assert!(!value.chars().any(char::is_control));
    }
    assert_eq!(parse_os_release(&release.to_string()), release);

    let then = Timestamp::from_seconds(0);
    let mut tree = FileTree::new(Entry::directory(then)).expect("it is a directory");
    for directory in ["etc", "usr", "usr/lib", "usr/lib/sysusers.d"] {
        insert(&mut tree, directory, Entry::directory(then));
    }
    for file in ["etc/passwd", "etc/group", "usr/lib/sysusers.d/a.conf"] {
        let content = EntryKind::Regular(Content::from_bytes(bytes));
        insert(&mut tree, file, Entry::new(content, 0o644, then));
    }
    let accounts = Accounts::read(&tree, None, ExtensionKind::Sysext);
    accounts.expect("what is in memory can be read");
}

fn insert(tree: &mut FileTree, path: &str, entry: Entry) {
    let path = TreePath::new(path).expect("a constant path is valid");
    tree.insert(path, entry).expect("its directory is there");
}
