//! Trees of the recipe that are put into the image: skeleton trees before its packages, extra trees after them.
//!
//! A directory or a file is the recipe's own, and becomes root's. An archive or an image keeps the owners and times that
//! it has; where the image has accounts, the names of owners count for more than their numbers.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::beneath::{Directory, Place};
use crate::capture;
use crate::format::tar::accounts::Accounts;
use crate::recipe::{Recipe, TreeSource, Value};
use crate::source::{self, Scratch, Source};
use crate::tree::{self, Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp, TreePath};

use super::{Error, bases, private};

/// Which trees of a recipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trees {
    Skeleton,
    Extra,
}

impl Trees {
    fn setting(self) -> &'static str {
        match self {
            Self::Skeleton => "SkeletonTrees",
            Self::Extra => "ExtraTrees",
        }
    }

    fn sources(self, recipe: &Recipe) -> &[TreeSource] {
        match self {
            Self::Skeleton => &recipe.skeleton_trees,
            Self::Extra => &recipe.extra_trees,
        }
    }

    fn origin(self, recipe: &Recipe, tree: &TreeSource) -> String {
        recipe.origin_of(self.setting(), &Value::Tree(tree.clone()).to_string())
    }
}

/// What a tree is made of.
#[derive(Debug)]
enum Opened {
    Directory(Directory),
    /// One file, with the path that it was found at once links were followed.
    File(PathBuf),
    /// An archive or an image.
    Packed(Source),
}

/// Fails when a tree that `recipe` adds cannot be opened, or holds what is not for images.
pub(super) fn check(recipe: &Recipe) -> Result<(), Error> {
    for trees in [Trees::Skeleton, Trees::Extra] {
        for tree in trees.sources(recipe) {
            open(recipe, tree, &trees.origin(recipe, tree))?;
        }
    }
    Ok(())
}

fn open(recipe: &Recipe, tree: &TreeSource, origin: &str) -> Result<Opened, Error> {
    let failed = |source| Error::SourceTree {
        origin: origin.into(),
        source: Box::new(source),
    };
    // The person named it, or the recipe one that was found inside its own directory. What is checked is what is read.
    let source = Source::open(&tree.source).map_err(failed)?;
    let real = match source {
        Source::Directory(directory) | Source::Layout(directory) => {
            private::check(recipe, &directory, origin)?;
            return Ok(Opened::Directory(directory));
        }
        Source::File(_) => fs_err::canonicalize(&tree.source).map_err(|source| {
            failed(source::Error::Open {
                path: tree.source.clone(),
                source,
            })
        })?,
    };
    private::check_file(recipe, &real, origin)?;
    Ok(match tree.target.is_none() && is_packed(&real) {
        true => Opened::Packed(source),
        false => Opened::File(real),
    })
}

/// Tells by its name, as mkosi does, whether a file is to be unpacked: others may be archives that an image needs.
fn is_packed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut parts = name.split(|byte| *byte == b'.').skip(1).collect::<Vec<_>>();
    let last = parts.pop();
    last == Some(b"raw") || last == Some(b"tar") || parts.pop() == Some(b"tar")
}

/// Puts trees of `recipe` into `tree`; what is made for them gets the time `time`.
///
/// Directories that the tree has keep their metadata; where one of them is a link to a directory there, the link is
/// followed inside the tree, so that `lib/x` goes to `usr/lib/x` on a merged system. A later tree replaces files of an
/// earlier one.
pub(super) fn add(
    tree: &mut FileTree,
    trees: Trees,
    recipe: &Recipe,
    scratch: &Scratch<'_>,
    time: Timestamp,
) -> Result<(), Error> {
    for source in trees.sources(recipe) {
        let origin = trees.origin(recipe, source);
        let target = TreePath::new(source.target().as_os_str().as_bytes())
            .map_err(|error| Error::ExtraTreeTarget { source: error })?;
        let added = match open(recipe, source, &origin)? {
            Opened::Directory(directory) => of_root(capture::merge_directory(directory)?, time),
            Opened::File(path) => {
                let place = match source.target {
                    Some(_) => target,
                    None => file_place(&path)?,
                };
                add_file(tree, &path, &place, &origin, time)?;
                continue;
            }
            Opened::Packed(packed) => {
                let names = Accounts::of_tree(tree);
                let architecture = bases::architecture(recipe);
                let owner = |member: &_| names.owner(member);
                packed
                    .tree_owned_by(architecture, scratch, &owner)
                    .map_err(|source| Error::SourceTree {
                        origin,
                        source: Box::new(source),
                    })?
                    .tree
            }
        };
        merge(tree, &added, &target, time)?;
    }
    Ok(())
}

/// Makes everything in a tree root's, and each name a file of its own.
fn of_root(mut tree: FileTree, time: Timestamp) -> FileTree {
    for (_, entry) in tree.iter_mut() {
        (entry.uid, entry.gid, entry.modified) = (0, 0, time);
        entry.hard_link = None;
    }
    tree
}

fn file_place(path: &Path) -> Result<TreePath, Error> {
    let name = path.file_name().unwrap_or_default();
    TreePath::new(name.as_bytes()).map_err(|source| Error::ExtraTreeTarget { source })
}

/// Puts the file at `path` into `tree`, with its mode.
fn add_file(
    tree: &mut FileTree,
    path: &Path,
    place: &TreePath,
    origin: &str,
    time: Timestamp,
) -> Result<(), Error> {
    let failed = |error: crate::beneath::Error| Error::SourceTree {
        origin: origin.into(),
        source: Box::new(source::Error::Open {
            path: path.into(),
            source: error.into_cause(),
        }),
    };
    let over_directory = || Error::FileOverDirectory {
        path: path.into(),
        target: place.clone(),
        origin: origin.into(),
    };
    let (directory, name) = Place::split(path).map_err(failed)?;
    let directory = Directory::open(directory).map_err(failed)?;
    let inode = directory.entry(name.as_bytes()).map_err(failed)?;
    if inode.file_type() != FileType::RegularFile {
        return Err(failed(
            inode.failed("reading", std::io::ErrorKind::InvalidInput),
        ));
    }
    let content = Content::from_file(directory.into(), file_place(path)?, inode.status().stx_size);
    let entry = Entry::new(EntryKind::Regular(content), inode.mode(), time);
    let Some(parent) = place.parent() else {
        return Err(over_directory());
    };
    let parent = make_directory(tree, None, &parent, time)?;
    let path = parent
        .join(place.file_name())
        .expect("the last component of a tree path is a name");
    if tree.get(&path).is_some_and(Entry::is_directory) {
        return Err(over_directory());
    }
    tree.insert(path, entry)?;
    Ok(())
}

/// Puts `added` into `tree`, below `target`.
pub(super) fn merge(
    tree: &mut FileTree,
    added: &FileTree,
    target: &TreePath,
    time: Timestamp,
) -> Result<(), Error> {
    let groups = tree.iter().filter_map(|(_, entry)| entry.hard_link);
    let mut next_group = groups
        .map(|HardLinkGroup(group)| group + 1)
        .max()
        .unwrap_or(0);
    let mut renumbered = HashMap::new();
    for (path, entry) in added.iter() {
        let destination = path
            .components()
            .try_fold(target.clone(), |path, name| path.join(name))
            .expect("components of a tree path are names");
        let mut entry = entry.clone();
        entry.hard_link = entry.hard_link.map(|group| {
            *renumbered.entry(group).or_insert_with(|| {
                next_group += 1;
                HardLinkGroup(next_group - 1)
            })
        });
        insert(tree, &destination, entry, time)?;
    }
    Ok(())
}

fn insert(
    tree: &mut FileTree,
    path: &TreePath,
    entry: Entry,
    time: Timestamp,
) -> Result<(), Error> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let parent = make_directory(tree, None, &parent, time)?;
    let path = parent
        .join(path.file_name())
        .expect("the last component of a tree path is a name");
    match tree.get(&path) {
        Some(found) if entry.is_directory() && found.is_directory() => return Ok(()),
        Some(found) if entry.is_directory() && matches!(found.kind, EntryKind::Symlink(_)) => {
            return Ok(());
        }
        Some(found) if !entry.is_directory() && found.is_directory() => tree.remove(&path),
        _ => {}
    }
    tree.insert(path, entry)?;
    Ok(())
}

/// Returns the directory that `path` leads to, after making it and those above it.
pub(super) fn make_directory(
    tree: &mut FileTree,
    base: Option<&FileTree>,
    path: &TreePath,
    time: Timestamp,
) -> Result<TreePath, Error> {
    let find = |path: &TreePath| tree.get(path).or_else(|| base?.get(path));
    let target = tree::resolve(path, find)
        .map_err(|source| Error::FollowLinks { source })?
        .path;
    let mut reached = TreePath::root();
    for name in target.components() {
        reached = reached
            .join(name)
            .expect("components of a tree path are names");
        if tree.get(&reached).is_none() {
            let found = base.and_then(|base| base.get(&reached)).cloned();
            let directory = found.unwrap_or_else(|| Entry::directory(time));
            tree.insert(reached.clone(), directory)?;
        }
    }
    Ok(reached)
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::super::fixture::{TIME, names, path, recipe, text, tree};
    use super::{Trees, is_packed};

    use crate::beneath::Directory;
    use crate::format::tar;
    use crate::recipe::Recipe;
    use crate::source::{self, Scratch};
    use crate::tree::{Content, Entry, EntryKind, FileTree, HardLinkGroup, Timestamp};

    fn add(tree: &mut FileTree, recipe: &Recipe) -> Result<(), Error> {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch {
            directory: &Directory::open(directory.path()).unwrap(),
            limit_bytes: 1 << 20,
        };
        super::add(tree, Trees::Extra, recipe, &scratch, TIME)
    }

    const SETTINGS: &str = "[Output]\nFormat=directory\n[Content]\nExtraTrees=extra\n";

    #[test]
    fn links_to_directories_are_followed_inside_the_tree() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/lib/new")).unwrap();
        fs_err::write(directory.path().join("extra/lib/new/file"), "x").unwrap();
        let mut tree = tree(&["lib -> usr/lib", "usr/", "usr/lib/"]);
        add(&mut tree, &recipe).unwrap();
        let expected = [
            "lib -> usr/lib",
            "usr/",
            "usr/lib/",
            "usr/lib/new/",
            "usr/lib/new/file",
        ];
        assert_eq!(names(&tree), expected);
    }

    #[test]
    fn a_link_that_points_out_of_the_tree_ends_at_its_root() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/out")).unwrap();
        fs_err::write(directory.path().join("extra/out/file"), "x").unwrap();
        let mut tree = tree(&["out -> ../../../etc"]);
        add(&mut tree, &recipe).unwrap();
        assert_eq!(names(&tree), ["etc/", "etc/file", "out -> ../../../etc"]);
    }

    #[test]
    fn a_link_that_leads_to_itself_is_told() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/loop")).unwrap();
        fs_err::write(directory.path().join("extra/loop/file"), "x").unwrap();
        let failed = add(&mut tree(&["loop -> loop"]), &recipe);
        assert!(matches!(failed, Err(Error::FollowLinks { .. })));
    }

    #[test]
    fn what_is_there_keeps_its_directories_and_loses_its_files() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/etc")).unwrap();
        fs_err::write(directory.path().join("extra/etc/conf"), "mine").unwrap();
        let mut tree = tree(&["etc/", "etc/conf"]);
        tree.get_mut(&path("etc")).unwrap().mode = 0o700;
        tree.get_mut(&path("etc/conf")).unwrap().uid = 7;
        add(&mut tree, &recipe).unwrap();
        assert_eq!(tree.get(&path("etc")).unwrap().mode, 0o700);
        assert_eq!(text(&tree, "etc/conf"), "mine");
        assert_eq!(tree.get(&path("etc/conf")).unwrap().uid, 0);
    }

    #[test]
    fn a_file_goes_where_it_is_told_and_else_to_the_top() {
        let settings = "[Output]\nFormat=directory\n[Content]\nExtraTrees=a.conf:/etc/b.conf,a.conf,x.tar:/x.tar\n";
        let (directory, recipe) = recipe(settings);
        fs_err::write(directory.path().join("a.conf"), "a").unwrap();
        fs_err::write(directory.path().join("x.tar"), "no archive").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4751);
        fs_err::set_permissions(directory.path().join("a.conf"), mode).unwrap();
        let mut tree = tree(&["etc -> usr/etc", "usr/", "usr/etc/"]);
        add(&mut tree, &recipe).unwrap();
        let expected = [
            "a.conf",
            "etc -> usr/etc",
            "usr/",
            "usr/etc/",
            "usr/etc/b.conf",
            "x.tar",
        ];
        assert_eq!(names(&tree), expected);
        let file = tree.get(&path("usr/etc/b.conf")).unwrap();
        assert_eq!((file.mode, file.uid, file.modified), (0o4751, 0, TIME));
        assert_eq!(text(&tree, "a.conf"), "a");
    }

    #[test]
    fn a_file_does_not_take_the_place_of_a_directory() {
        let settings = "[Output]\nFormat=directory\n[Content]\nExtraTrees=a.conf:/etc\n";
        let (directory, recipe) = recipe(settings);
        fs_err::write(directory.path().join("a.conf"), "a").unwrap();
        let mut tree = tree(&["etc/", "etc/passwd"]);
        let failed = add(&mut tree, &recipe);
        assert!(matches!(failed, Err(Error::FileOverDirectory { .. })));
        assert_eq!(names(&tree), ["etc/", "etc/passwd"]);
    }

    /// Writes an archive of a directory and two names of a file, all of `uid`.
    fn write_archive(place: &std::path::Path, uid: u32) {
        let old = Timestamp::from_seconds(5);
        let mut packed = FileTree::new(Entry::directory(old)).unwrap();
        let content = EntryKind::Regular(Content::from_bytes(*b"new"));
        let mut file = Entry::new(content, 0o640, old);
        (file.uid, file.gid, file.hard_link) = (uid, uid, Some(HardLinkGroup(0)));
        let mut directory = Entry::directory(old);
        directory.mode = 0o700;
        for (name, entry) in [
            ("etc", &directory),
            ("etc/one", &file),
            ("etc/two", &file),
            ("run", &directory),
            ("run/state", &file),
        ] {
            packed.insert(path(name), entry.clone()).unwrap();
        }
        let mut bytes = Vec::new();
        tar::write(&packed, &mut bytes).unwrap();
        fs_err::write(place, bytes).unwrap();
    }

    #[test]
    fn an_archive_keeps_owners_times_and_links_but_nothing_of_a_running_system() {
        let settings = "[Output]\nFormat=directory\n[Content]\nExtraTrees=x.tar\n";
        let (directory, recipe) = recipe(settings);
        write_archive(&directory.path().join("x.tar"), 7);
        let mut tree = tree(&["etc/", "etc/one"]);
        tree.get_mut(&path("etc/one")).unwrap().hard_link = Some(HardLinkGroup(0));
        add(&mut tree, &recipe).unwrap();
        assert_eq!(names(&tree), ["etc/", "etc/one", "etc/two", "run/"]);
        let file = tree.get(&path("etc/one")).unwrap();
        assert_eq!((file.uid, file.modified.seconds), (7, 5));
        assert_eq!(file.hard_link, Some(HardLinkGroup(1)));
        assert_eq!(
            tree.get(&path("etc/two")).unwrap().hard_link,
            file.hard_link
        );
        // What is there keeps its metadata.
        assert_eq!(tree.get(&path("etc")).unwrap().mode, 0o755);
    }

    #[test]
    fn archives_and_images_are_known_by_their_names() {
        for (name, packed) in [
            ("mkosi.extra.tar", true),
            ("x.tar.zst", true),
            ("x.1.tar.gz", true),
            ("x.raw", true),
            ("x.tgz", false),
            ("tar", false),
            ("x.tar.gz.sig", false),
            ("raw", false),
        ] {
            assert_eq!(is_packed(name.as_ref()), packed, "{name}");
        }
    }

    #[test]
    fn a_damaged_archive_is_told() {
        let settings = "[Output]\nFormat=directory\n[Content]\nExtraTrees=x.tar\n";
        let (directory, recipe) = recipe(settings);
        fs_err::write(directory.path().join("x.tar"), "no archive").unwrap();
        let failed = add(&mut tree(&[]), &recipe);
        let Err(Error::SourceTree { source, .. }) = failed else {
            panic!("{failed:?}")
        };
        assert!(matches!(*source, source::Error::NoTree { .. }));
    }

    #[test]
    fn the_signing_key_is_no_extra_tree() {
        let settings = "[Output]\nFormat=directory\n[Content]\nExtraTrees=mine.key:/etc/x\n[Validation]\nVerityKey=mine.key\n";
        let (directory, recipe) = recipe(settings);
        fs_err::write(directory.path().join("mine.key"), "").unwrap();
        let failed = add(&mut tree(&[]), &recipe);
        assert!(matches!(failed, Err(Error::TreeHoldsPrivate { .. })));
    }
}
