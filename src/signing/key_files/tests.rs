use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{
    CERTIFICATE_FILE, KEY_FILE, Overwrite, StagedFile, WriteKeyError, publish_both, write_key_pair,
};
use crate::Hint;
use crate::signing::KeyPair;

fn pair(name: &str) -> KeyPair {
    KeyPair {
        key_pem: format!("key {name}").into_bytes(),
        certificate_pem: format!("certificate {name}").into_bytes(),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn both_files_are_written_with_their_modes() {
    let directory = tempfile::tempdir().unwrap();
    write_key_pair(directory.path(), &pair("a"), Overwrite::Refuse).unwrap();
    assert_eq!(names(directory.path()), [CERTIFICATE_FILE, KEY_FILE]);
    assert_eq!(mode(&directory.path().join(KEY_FILE)), 0o600);
    assert_eq!(mode(&directory.path().join(CERTIFICATE_FILE)), 0o644);
    assert_eq!(
        fs_err::read(directory.path().join(KEY_FILE)).unwrap(),
        b"key a"
    );
}

#[test]
fn a_file_that_is_there_is_kept_and_the_other_is_not_made() {
    for existing in [KEY_FILE, CERTIFICATE_FILE] {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join(existing), "old").unwrap();
        let error = write_key_pair(directory.path(), &pair("a"), Overwrite::Refuse).unwrap_err();
        assert!(matches!(&error, WriteKeyError::Exists { path } if path.ends_with(existing)));
        assert!(error.hint().unwrap().contains("genkey -f"));
        assert_eq!(names(directory.path()), [existing]);
        assert_eq!(
            fs_err::read(directory.path().join(existing)).unwrap(),
            b"old"
        );
    }
}

#[test]
fn replacing_changes_both_and_restores_the_modes() {
    let directory = tempfile::tempdir().unwrap();
    write_key_pair(directory.path(), &pair("a"), Overwrite::Refuse).unwrap();
    let key = directory.path().join(KEY_FILE);
    fs_err::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    write_key_pair(directory.path(), &pair("b"), Overwrite::Replace).unwrap();
    assert_eq!(fs_err::read(&key).unwrap(), b"key b");
    assert_eq!(mode(&key), 0o600);
    assert_eq!(names(directory.path()), [CERTIFICATE_FILE, KEY_FILE]);
}

#[test]
fn a_symbolic_link_is_never_written_through() {
    for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        let link = directory.path().join(KEY_FILE);
        fs_err::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write_key_pair(directory.path(), &pair("a"), overwrite).is_err());
        assert_eq!(names(elsewhere.path()), [""; 0]);
        assert_eq!(names(directory.path()), [KEY_FILE]);
    }
}

#[test]
fn a_directory_in_the_certificates_place_leaves_the_old_key() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join(KEY_FILE), "old").unwrap();
    fs_err::create_dir(directory.path().join(CERTIFICATE_FILE)).unwrap();
    let error = write_key_pair(directory.path(), &pair("a"), Overwrite::Replace).unwrap_err();
    assert!(matches!(error, WriteKeyError::NotReplaceable { .. }));
    assert_eq!(
        fs_err::read(directory.path().join(KEY_FILE)).unwrap(),
        b"old"
    );
}

#[test]
fn a_certificate_that_cannot_be_published_brings_the_old_key_back() {
    for (overwrite, expected) in [
        (Overwrite::Refuse, None),
        (Overwrite::Replace, None),
        (Overwrite::Replace, Some("old")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let key_path = directory.path().join(KEY_FILE);
        if let Some(old) = expected {
            fs_err::write(&key_path, old).unwrap();
        }
        let key = StagedFile::write(&key_path, b"new", 0o600).unwrap();
        let certificate_path = directory.path().join(CERTIFICATE_FILE);
        let certificate = StagedFile::write(&certificate_path, b"new", 0o644).unwrap();
        fs_err::remove_file(&certificate.staged).unwrap();
        assert!(publish_both(&key, &certificate, overwrite).is_err());
        drop((key, certificate));
        assert_eq!(fs_err::read_to_string(&key_path).ok().as_deref(), expected);
        assert_eq!(
            names(directory.path()).len(),
            usize::from(expected.is_some())
        );
    }
}
