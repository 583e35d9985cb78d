//! What must hold of anything that apt prints, which quotes what mirrors and packages say, and of kernel modules.

pub use super::modules::fuzzing::kernel_module;

use super::apt_error::{missing, signature_problem, unknown_package, unreachable, untrusted};
use crate::packages::apt::{Status, build_time, parse_status, parse_uris};

/// Packages to download, progress, failures, and the head of a package file.
pub fn apt_output(bytes: &[u8]) {
    let _ = build_time(bytes);
    let text = String::from_utf8_lossy(bytes);
    for package in parse_uris(&text).unwrap_or_default() {
        // It is the name of a file in a directory of ours.
        let name = std::path::Path::new(&package.file_name);
        assert_eq!(name.file_name(), Some(name.as_os_str()));
        assert!(package.file_name.ends_with(".deb") && !package.file_name.contains('\0'));
        assert_eq!(package.sha256.len(), 64);
    }
    for line in text.lines() {
        if let Some(Status::Package { package, action }) = parse_status(line) {
            assert!(!package.contains(':') && !action.contains(char::is_whitespace));
        }
        let parts = [unknown_package(line), untrusted(line), missing(line)];
        for part in parts.into_iter().flatten() {
            assert!(line.contains(part));
            signature_problem(line, part);
        }
        unreachable(line);
    }
}
