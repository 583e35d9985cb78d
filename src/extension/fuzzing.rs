//! What must hold of any tree, and of the files in which it says what it is.

use super::{
    Accounts, ExtensionKind, allocated_owners, parse_os_release, read_os_release,
    read_shipped_release, select,
};
use crate::format::cpio;
use crate::tree::fuzzing::{Bytes, tree};
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

/// What is read of a tree, and every archive of it: the walk ends, and nothing that is no file is read.
pub fn base_tree(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (Some(base), Some(payload)) = (tree(&mut bytes), tree(&mut bytes)) else {
        return;
    };
    let _ = read_os_release(&base);
    for kind in [ExtensionKind::Sysext, ExtensionKind::Confext] {
        let _ = read_shipped_release(&payload, kind, "x");
        if let Ok(accounts) = Accounts::read(&payload, Some(&base), kind) {
            allocated_owners(&payload, &accounts, &[0..=99]);
        }
        let selected = select(payload.clone(), kind);
        let roots = kind.hierarchies();
        for (path, _) in selected.tree.iter().skip(1) {
            let first = path.components().next().unwrap_or_default();
            assert!(roots.iter().any(|root| root.as_bytes() == first));
        }
    }
    let _ = cpio::write(&base, &mut Vec::new());
}
