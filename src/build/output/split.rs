//! The parts of a tree that become files of their own (`SplitArtifacts=`): an archive of it, what describes the system,
//! its newest kernel and that one's initrd.

use std::io::{self, Write};

use super::{Error, WriteError, compressed, writing};
use crate::beneath::Place;
use crate::build::finish;
use crate::format::compression::Codec;
use crate::format::tar;
use crate::recipe::{Recipe, SplitArtifact, compare_versions};
use crate::tree::{Content, EntryKind, FileTree, TreePath};

const MODULES: &str = "usr/lib/modules";

/// What describes a system. `etc/os-release` is mostly a link to the other.
const RELEASES: [&str; 2] = ["usr/lib/os-release", "etc/os-release"];

/// A part of a tree, and the file that it becomes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Archive(Codec),
    File(Content),
}

/// Returns the kernel of `tree`, to be written beside an initrd that does not hold it.
pub(in crate::build) fn kernel_of(tree: &FileTree) -> Option<Content> {
    kernel(tree).map(|(_, content)| content)
}

/// Returns the parts of `tree` that the recipe asks for and the tree has; `removed` is the kernel that it had before.
pub(super) fn parts(recipe: &Recipe, tree: &FileTree, removed: Option<&Content>) -> Vec<Part> {
    let part = |artifact: &SplitArtifact| {
        let what = match artifact {
            SplitArtifact::Tar => {
                What::Archive(recipe.compress_output.codec(recipe.compress_level))
            }
            SplitArtifact::OsRelease => {
                What::File(RELEASES.iter().find_map(|path| file(tree, path))?)
            }
            SplitArtifact::Kernel => What::File(kernel_of(tree).or_else(|| removed.cloned())?),
            SplitArtifact::Initrd => What::File(initrd(tree)?),
            SplitArtifact::Partitions
            | SplitArtifact::RootHash
            | SplitArtifact::RepartDefinitions => return None,
        };
        let name = recipe.split_file_name(*artifact)?;
        Some(Part { name, what })
    };
    recipe.split_artifacts.iter().filter_map(part).collect()
}

impl Part {
    /// Writes the part at `place`.
    pub(super) fn write(&self, place: &Place<'_>, tree: &FileTree) -> Result<(), Error> {
        let written = match &self.what {
            What::Archive(codec) => compressed::write(place, *codec, |out| {
                tar::write(tree, out).map(drop).map_err(WriteError::from)
            }),
            What::File(content) => compressed::write(place, Codec::None, |out| copy(content, out)),
        };
        written.map_err(writing(&self.name))
    }
}

fn copy(content: &Content, mut out: &mut dyn Write) -> Result<(), WriteError> {
    let mut reader = content.open()?;
    Ok(io::copy(&mut reader, &mut out).map(drop)?)
}

/// Returns the content of a file, links followed.
fn file(tree: &FileTree, path: &str) -> Option<Content> {
    let path = tree.resolve(&TreePath::new(path).ok()?)?;
    match &tree.get(&path)?.kind {
        EntryKind::Regular(content) => Some(content.clone()),
        _ => None,
    }
}

/// Returns the version of the newest kernel that has a file, and that file.
fn kernel(tree: &FileTree) -> Option<(String, Content)> {
    let mut versions = names(tree, MODULES);
    versions.sort_by(|a, b| compare_versions(b, a));
    let with_file = |version: String| {
        let directory = format!("{MODULES}/{version}");
        let beside = names(tree, &directory);
        let beside = ["vmlinuz", "vmlinux"].iter().find_map(|kind| {
            let name = beside
                .iter()
                .find(|name| name.starts_with(kind) && !name.ends_with(".efi"))?;
            file(tree, &format!("{directory}/{name}"))
        });
        let content = beside
            .or_else(|| file(tree, &format!("boot/vmlinuz-{version}")))
            .or_else(|| file(tree, &format!("boot/vmlinux-{version}")))?;
        Some((version, content))
    };
    versions.into_iter().find_map(with_file)
}

/// Returns the initrd of the newest kernel, where distributions put it.
fn initrd(tree: &FileTree) -> Option<Content> {
    let (version, _) = kernel(tree)?;
    [
        format!("{MODULES}/{version}/initrd"),
        format!("boot/initrd.img-{version}"),
        format!("boot/initramfs-{version}.img"),
        format!("boot/initrd-{version}"),
    ]
    .iter()
    .find_map(|path| file(tree, path))
}

/// Returns the names in a directory that are text, in order.
fn names(tree: &FileTree, directory: &str) -> Vec<String> {
    let Some(directory) = tree.resolve(&finish::path(MODULES)).and_then(|modules| {
        let below = directory.strip_prefix(MODULES)?.trim_start_matches('/');
        match below.is_empty() {
            true => Some(modules),
            false => modules.join(below.as_bytes()).ok(),
        }
    }) else {
        return Vec::new();
    };
    tree.descendants(&directory)
        .filter(|(path, _)| path.parent().as_ref() == Some(&directory))
        .filter_map(|(path, _)| String::from_utf8(path.file_name().to_vec()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, Timestamp};

    fn tree(files: &[&str]) -> FileTree {
        let time = Timestamp::default();
        let mut tree = FileTree::new(Entry::directory(time)).unwrap();
        for file in files {
            let path = finish::path(file);
            let mut parents: Vec<_> =
                std::iter::successors(path.parent(), TreePath::parent).collect();
            parents.reverse();
            for parent in parents {
                if tree.get(&parent).is_none() {
                    tree.insert(parent, Entry::directory(time)).unwrap();
                }
            }
            let kind = EntryKind::Regular(Content::from_bytes(file.as_bytes()));
            tree.insert(path, Entry::new(kind, 0o644, time)).unwrap();
        }
        tree
    }

    fn text(content: Option<Content>) -> Option<String> {
        Some(String::from_utf8(content?.read_all().unwrap()).unwrap())
    }

    #[test]
    fn newest_kernel_is_chosen_with_its_initrd() {
        let tree = tree(&[
            "boot/initrd.img-6.10.1",
            "boot/initrd.img-6.9.0",
            "boot/vmlinuz-6.10.1",
            "usr/lib/modules/6.10.1/modules.dep",
            "usr/lib/modules/6.11.0/modules.dep",
            "usr/lib/modules/6.9.0/vmlinuz",
        ]);
        let (version, content) = kernel(&tree).unwrap();
        assert_eq!(version, "6.10.1");
        assert_eq!(text(Some(content)).unwrap(), "boot/vmlinuz-6.10.1");
        assert_eq!(text(initrd(&tree)).unwrap(), "boot/initrd.img-6.10.1");
    }

    #[test]
    fn kernel_beside_its_modules_goes_before_one_in_boot() {
        let tree = tree(&[
            "boot/vmlinuz-6.1",
            "usr/lib/modules/6.1/vmlinux",
            "usr/lib/modules/6.1/vmlinuz-virt",
            "usr/lib/modules/6.1/vmlinuz-virt.efi",
        ]);
        let (_, content) = kernel(&tree).unwrap();
        assert_eq!(
            text(Some(content)).unwrap(),
            "usr/lib/modules/6.1/vmlinuz-virt"
        );
    }

    #[test]
    fn tree_without_a_kernel_has_none() {
        let tree = tree(&["usr/lib/os-release"]);
        assert!(kernel(&tree).is_none());
        assert_eq!(text(initrd(&tree)), None);
        assert_eq!(
            text(file(&tree, RELEASES[0])).as_deref(),
            Some("usr/lib/os-release")
        );
    }
}
