//! What has changed in the packages of an image (`ManifestFormat=changelog`): a report for people, in mkosi's form, from
//! the changelogs that packages bring.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

use flate2::read::GzDecoder;

use super::Error;
use crate::packages::dpkg::InstalledPackage;
use crate::tree::{EntryKind, FileTree, TreePath};

/// Where Debian's packages put it (Debian Policy 12.7): those of Debian's own making have no other.
const NAMES: [&str; 4] = [
    "changelog.Debian.gz",
    "changelog.gz",
    "changelog.Debian",
    "changelog",
];

/// Several times the longest in Debian. What an untrusted package puts there may be anything, and grow when unpacked.
const LIMIT_BYTES: u64 = 16 << 20;

/// What is between one source package and the next.
const RULE_WIDTH: usize = 80;

/// Reports `packages`, of which `tree` has the files.
pub(super) fn report(packages: &[InstalledPackage], tree: &FileTree) -> Result<String, Error> {
    let mut sources: BTreeMap<&str, Vec<&InstalledPackage>> = BTreeMap::new();
    for package in packages {
        sources.entry(&package.source).or_default().push(package);
    }
    let mut report = format!(
        "Packages: {}\nSize:     {}\n",
        packages.len(),
        size_bytes(packages)
    );
    for (source, packages) in sources {
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        let _ = write!(
            report,
            "{}\nSourcePackage: {source}\nPackages:      {}\nSize:          {}\n",
            "-".repeat(RULE_WIDTH),
            names.join(" "),
            size_bytes(packages.iter().copied()),
        );
        if let Some(changelog) = changelog(&names, tree)? {
            let _ = write!(report, "\nChangelog:\n{}\n", changelog.trim());
        }
    }
    Ok(report)
}

fn size_bytes<'a>(packages: impl IntoIterator<Item = &'a InstalledPackage>) -> u64 {
    let sizes = packages
        .into_iter()
        .map(|package| package.installed_kib.saturating_mul(1024));
    sizes.fold(0, u64::saturating_add)
}

/// Returns the first changelog that is found in the documentation of these packages of one source.
fn changelog(packages: &[&str], tree: &FileTree) -> Result<Option<String>, Error> {
    for package in packages {
        for name in NAMES {
            let path = format!("usr/share/doc/{package}/{name}");
            let path = TreePath::new(path.as_bytes()).ok();
            let found = path.and_then(|path| tree.resolve(&path));
            let Some(EntryKind::Regular(content)) = found
                .and_then(|path| tree.get(&path))
                .map(|entry| &entry.kind)
            else {
                continue;
            };
            let reader = content.open()?;
            let mut bytes = Vec::new();
            let read = match name.ends_with(".gz") {
                true => GzDecoder::new(reader)
                    .take(LIMIT_BYTES)
                    .read_to_end(&mut bytes),
                false => reader.take(LIMIT_BYTES).read_to_end(&mut bytes),
            };
            // One that is damaged says as much as it can; it is a package's own word and nothing hangs on it.
            if read.is_ok() || !bytes.is_empty() {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::build::finish;
    use crate::tree::{Content, Entry, Timestamp};

    fn package(name: &str, source: &str, installed_kib: u64) -> InstalledPackage {
        InstalledPackage {
            name: name.into(),
            version: "1".into(),
            architecture: "all".into(),
            source: source.into(),
            installed_kib,
        }
    }

    #[test]
    fn changelogs_are_reported_by_source_package() {
        let time = Timestamp::default();
        let mut tree = FileTree::new(Entry::directory(time)).unwrap();
        for directory in ["usr", "usr/share", "usr/share/doc", "usr/share/doc/tool"] {
            tree.insert(finish::path(directory), Entry::directory(time))
                .unwrap();
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed
            .write_all(b"tool (1) unstable\n\n  * New.\n\n")
            .unwrap();
        let kind = EntryKind::Regular(Content::from_bytes(packed.finish().unwrap()));
        tree.insert(
            finish::path("usr/share/doc/tool/changelog.Debian.gz"),
            Entry::new(kind, 0o644, time),
        )
        .unwrap();
        let link = EntryKind::Symlink(b"tool".to_vec());
        tree.insert(
            finish::path("usr/share/doc/libtool1"),
            Entry::new(link, 0o777, time),
        )
        .unwrap();
        let packages = [
            package("libtool1", "tool", 2),
            package("other", "other", 1),
            package("tool", "tool", 3),
        ];
        let rule = "-".repeat(80);
        assert_eq!(
            report(&packages, &tree).unwrap(),
            format!(
                "Packages: 3\nSize:     6144\n{rule}\n\
                 SourcePackage: other\nPackages:      other\nSize:          1024\n{rule}\n\
                 SourcePackage: tool\nPackages:      libtool1 tool\nSize:          5120\n\n\
                 Changelog:\ntool (1) unstable\n\n  * New.\n"
            )
        );
    }
}
