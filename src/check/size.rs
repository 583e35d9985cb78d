//! What takes room in an extension: by directory, and by package where a manifest says what is installed.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::packages::dpkg::InstalledPackage;
use crate::tree::{FileTree, TreePath};

/// How many directories are told, the largest first.
const SHOWN: usize = 12;
/// How deep directories are told apart: `/usr/share/doc`.
const DEPTH: usize = 3;

/// How large an extension is without compression.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sizes {
    pub total_bytes: u64,
    pub directories: Vec<Part>,
    /// As their makers estimate it.
    pub packages: Vec<Part>,
}

/// A part of an extension.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Part {
    pub name: String,
    pub size_bytes: u64,
}

pub(super) fn of(tree: &FileTree, packages: &[InstalledPackage]) -> Sizes {
    let mut directories: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut total_bytes: u64 = 0;
    for (path, entry) in tree.iter() {
        // Links of one file take the room of one.
        let is_again = entry.hard_link.is_some_and(|group| !seen.insert(group));
        if entry.is_directory() || is_again {
            continue;
        }
        let size_bytes = entry.size_bytes();
        total_bytes = total_bytes.saturating_add(size_bytes);
        let sum = directories.entry(directory_of(path)).or_default();
        *sum = sum.saturating_add(size_bytes);
    }
    let part = |(name, size_bytes)| Part { name, size_bytes };
    let directories = directories.into_iter().map(part);
    let packages = packages.iter().map(|package| Part {
        name: package.name.clone(),
        size_bytes: package.installed_kib.saturating_mul(1024),
    });
    Sizes {
        total_bytes,
        directories: largest(directories.collect(), SHOWN),
        packages: largest(packages.collect(), usize::MAX),
    }
}

fn directory_of(path: &TreePath) -> String {
    let count = path.components().count().saturating_sub(1).min(DEPTH);
    let names = path.components().take(count);
    let names = names.map(String::from_utf8_lossy);
    names.fold(String::new(), |text, name| text + "/" + &name)
}

fn largest(mut parts: Vec<Part>, count: usize) -> Vec<Part> {
    parts.sort_by(|one, other| (other.size_bytes, &one.name).cmp(&(one.size_bytes, &other.name)));
    parts.truncate(count);
    parts
}
