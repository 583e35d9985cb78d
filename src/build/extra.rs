//! Extra trees: directories of the recipe that are put into the image after its packages.

use std::os::unix::ffi::OsStrExt;

use crate::beneath::Directory;
use crate::capture;
use crate::recipe::{Recipe, TreeSource, Value};
use crate::tree::{self, Entry, EntryKind, FileTree, Timestamp, TreePath};

use super::{Error, private};

/// Fails when an extra tree of `recipe` is not a directory, or holds what is not for images.
pub(super) fn check(recipe: &Recipe) -> Result<(), Error> {
    recipe
        .extra_trees
        .iter()
        .try_for_each(|tree| open(recipe, tree).map(drop))
}

fn open(recipe: &Recipe, tree: &TreeSource) -> Result<Directory, Error> {
    let origin = recipe.origin_of("ExtraTrees", &Value::Tree(tree.clone()).to_string());
    // The person named it, or the recipe one that was found inside its own directory. What is checked is what is read.
    let Ok(directory) = Directory::open(&tree.source) else {
        return Err(Error::ExtraTreeNotDirectory {
            path: tree.source.clone(),
            origin,
        });
    };
    private::check(recipe, &directory, &origin)?;
    Ok(directory)
}

/// Puts the extra trees of `recipe` into `tree`, owned by root and with the time `time`.
///
/// Directories that the tree or `base` has keep their metadata; where one of them is a link to a directory there, the
/// link is followed inside the tree, so that `lib/x` goes to `usr/lib/x` on a merged system.
pub(super) fn add(
    tree: &mut FileTree,
    base: Option<&FileTree>,
    recipe: &Recipe,
    time: Timestamp,
) -> Result<(), Error> {
    check(recipe)?;
    for source in &recipe.extra_trees {
        let added = capture::merge_directory(open(recipe, source)?)?;
        let target = TreePath::new(source.target().as_os_str().as_bytes())
            .map_err(|error| Error::ExtraTreeTarget { source: error })?;
        for (path, entry) in added.iter() {
            let destination = path
                .components()
                .try_fold(target.clone(), |path, name| path.join(name));
            let destination = destination.expect("components of a tree path are names");
            insert(tree, base, &destination, entry, time)?;
        }
    }
    Ok(())
}

fn insert(
    tree: &mut FileTree,
    base: Option<&FileTree>,
    path: &TreePath,
    entry: &Entry,
    time: Timestamp,
) -> Result<(), Error> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let parent = make_directory(tree, base, &parent, time)?;
    let path = parent
        .join(path.file_name())
        .expect("the last component of a tree path is a name");
    let found = tree.get(&path).or_else(|| base?.get(&path));
    match found {
        Some(found) if entry.is_directory() && found.is_directory() => {
            make_directory(tree, base, &path, time)?;
            return Ok(());
        }
        Some(found) if entry.is_directory() && matches!(found.kind, EntryKind::Symlink(_)) => {
            return Ok(());
        }
        Some(found) if !entry.is_directory() && found.is_directory() => tree.remove(&path),
        _ => {}
    }
    let added = Entry {
        uid: 0,
        gid: 0,
        modified: time,
        hard_link: None,
        ..entry.clone()
    };
    tree.insert(path, added)?;
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
    use super::add;

    const SETTINGS: &str = "[Output]\nFormat=directory\n[Content]\nExtraTrees=extra\n";

    #[test]
    fn links_to_directories_are_followed_inside_the_tree() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/lib/new")).unwrap();
        fs_err::write(directory.path().join("extra/lib/new/file"), "x").unwrap();
        let mut tree = tree(&["lib -> usr/lib", "usr/", "usr/lib/"]);
        add(&mut tree, None, &recipe, TIME).unwrap();
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
        add(&mut tree, None, &recipe, TIME).unwrap();
        assert_eq!(names(&tree), ["etc/", "etc/file", "out -> ../../../etc"]);
    }

    #[test]
    fn a_link_that_leads_to_itself_is_told() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/loop")).unwrap();
        fs_err::write(directory.path().join("extra/loop/file"), "x").unwrap();
        let failed = add(&mut tree(&["loop -> loop"]), None, &recipe, TIME);
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
        add(&mut tree, None, &recipe, TIME).unwrap();
        assert_eq!(tree.get(&path("etc")).unwrap().mode, 0o700);
        assert_eq!(text(&tree, "etc/conf"), "mine");
        assert_eq!(tree.get(&path("etc/conf")).unwrap().uid, 0);
    }

    #[test]
    fn parents_come_from_the_base_of_an_overlay() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::create_dir_all(directory.path().join("extra/usr/share")).unwrap();
        fs_err::write(directory.path().join("extra/usr/share/x"), "x").unwrap();
        let mut base = tree(&["usr/", "usr/share/", "usr/share/other"]);
        base.get_mut(&path("usr/share")).unwrap().mode = 0o711;
        let mut payload = tree(&[]);
        add(&mut payload, Some(&base), &recipe, TIME).unwrap();
        assert_eq!(names(&payload), ["usr/", "usr/share/", "usr/share/x"]);
        assert_eq!(payload.get(&path("usr/share")).unwrap().mode, 0o711);
    }

    #[test]
    fn a_file_is_no_extra_tree() {
        let (directory, recipe) = recipe(SETTINGS);
        fs_err::write(directory.path().join("extra"), "x").unwrap();
        let failed = add(&mut tree(&[]), None, &recipe, TIME);
        assert!(matches!(failed, Err(Error::ExtraTreeNotDirectory { .. })));
    }
}
