//! What must hold of any file that is said to be a package.

use super::{Control, read};

/// What is read has one place in an index, which is read again as the same.
pub fn package_file(bytes: &[u8]) {
    for found in [read(bytes), Control::parse(bytes)].into_iter().flatten() {
        check(&found);
    }
}

fn check(control: &Control) {
    let file_name = control.file_name();
    assert!(!file_name.contains('/') && file_name.len() <= 255);
    assert_eq!(file_name.split('_').count(), 3);
    let entry = control.index_entry(1, "digest");
    let paragraph = entry.strip_suffix("\n\n");
    let paragraph = paragraph.expect("a paragraph ends with an empty line");
    assert!(!paragraph.contains("\n\n") && !paragraph.contains('\r'));
    let count = |name: &str| {
        let lines = paragraph.lines();
        lines
            .filter(|line| line.to_ascii_lowercase().starts_with(name))
            .count()
    };
    for once in [
        "package:",
        "version:",
        "architecture:",
        "filename:",
        "size:",
        "sha256:",
    ] {
        assert_eq!(count(once), 1, "{once}");
    }
    let own = paragraph.split("Filename: ./").next();
    let own = own.expect("a text has a first part");
    assert_eq!(
        &Control::parse(own.as_bytes()).expect("it was read before"),
        control
    );
}
