//! Following symbolic links inside a tree, as a system would whose root the tree is (path_resolution(7)).

use super::{Entry, EntryKind, FileTree, TreePath};

/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    /// The path without symbolic links.
    pub path: TreePath,
    /// Whether everything on the way there exists.
    pub exists: bool,
}

/// A path whose symbolic links lead nowhere.
#[derive(Debug, thiserror::Error)]
#[error("`/{path}` cannot be followed: {reason}")]
#[non_exhaustive]
pub struct UnresolvablePath {
    pub path: TreePath,
    pub reason: &'static str,
}

/// Follows the symbolic links of `path`, also of its last name, among the entries that `entry` finds.
///
/// Absolute links start at the root, and `..` of the root is the root. A name that is not found is taken for that of a
/// directory to be.
///
/// # Errors
/// [`UnresolvablePath`] when there are more links than the kernel follows, or one's target can be no path.
pub fn resolve<'a>(
    path: &TreePath,
    entry: impl Fn(&TreePath) -> Option<&'a Entry>,
) -> Result<Resolved, UnresolvablePath> {
    let unresolvable = |reason| UnresolvablePath {
        path: path.clone(),
        reason,
    };
    let mut reached = TreePath::root();
    let mut exists = true;
    let mut links = 0;
    // The names still to walk, the next one last.
    let mut pending = reversed_names(path.as_bytes());
    while let Some(name) = pending.pop() {
        if name == b".." {
            reached = reached.parent().unwrap_or(reached);
            continue;
        }
        let next = reached
            .join(&name)
            .map_err(|_| unresolvable("the target of a symbolic link holds a NUL byte"))?;
        let found = entry(&next);
        if let Some(EntryKind::Symlink(target)) = found.map(|entry| &entry.kind) {
            links += 1;
            if links > MAX_LINKS {
                return Err(unresolvable("it leads through more than 40 symbolic links"));
            }
            if target.starts_with(b"/") {
                reached = TreePath::root();
            }
            pending.extend(reversed_names(target));
        } else {
            exists &= found.is_some();
            reached = next;
        }
    }
    Ok(Resolved {
        path: reached,
        exists,
    })
}

impl FileTree {
    /// Follows the symbolic links of `path` inside the tree; `None` when nothing is there.
    pub fn resolve(&self, path: &TreePath) -> Option<TreePath> {
        let resolved = resolve(path, |path| self.get(path)).ok()?;
        resolved.exists.then_some(resolved.path)
    }
}

fn reversed_names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// Returns a tree of `dir/`, `file` and `link -> target`.
    fn tree(names: &[&str]) -> FileTree {
        let then = Timestamp::default();
        let mut tree = FileTree::new(Entry::directory(then)).unwrap();
        for name in names {
            let (name, entry) = match name.split_once(" -> ") {
                Some((name, target)) => {
                    let kind = EntryKind::Symlink(target.into());
                    (name, Entry::new(kind, 0o777, then))
                }
                None if name.ends_with('/') => (*name, Entry::directory(then)),
                None => {
                    let kind = EntryKind::Regular(Content::from_bytes([]));
                    (*name, Entry::new(kind, 0o644, then))
                }
            };
            tree.insert(path(name), entry).unwrap();
        }
        tree
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = tree(&[
            "absolute -> /usr/lib",
            "dangling -> usr/none",
            "deep -> usr/../usr/./lib//up/file",
            "etc/",
            "etc/out -> ../../../../usr/file",
            "self -> .",
            "up -> ..",
            "usr/",
            "usr/file",
            "usr/lib/",
            "usr/lib/up -> ..",
        ]);
        let cases = [
            ("", Some("")),
            ("usr/file", Some("usr/file")),
            ("absolute/up/file", Some("usr/file")),
            ("deep", Some("usr/file")),
            ("self/self/usr", Some("usr")),
            // `..` of the root is the root, however often it is said.
            ("up/up/usr", Some("usr")),
            ("etc/out", Some("usr/file")),
            ("dangling", None),
            ("usr/none", None),
            ("usr/file/below", None),
        ];
        for (from, to) in cases {
            assert_eq!(tree.resolve(&path(from)), to.map(path), "{from}");
        }
    }

    #[test]
    fn what_is_not_there_is_taken_for_a_directory_and_told() {
        let tree = tree(&["lib -> usr/lib", "usr/"]);
        let resolved = resolve(&path("lib/new"), |path| tree.get(path)).unwrap();
        assert_eq!(
            (resolved.path, resolved.exists),
            (path("usr/lib/new"), false)
        );
    }

    #[test]
    fn loops_end() {
        let tree = tree(&["a -> b", "b -> /a", "grows -> grows/x"]);
        for from in ["a", "b/c", "grows"] {
            let error = resolve(&path(from), |path| tree.get(path)).unwrap_err();
            let expected = format!(
                "`/{from}` cannot be followed: it leads through more than 40 symbolic links"
            );
            assert_eq!(error.to_string(), expected);
            assert_eq!(tree.resolve(&path(from)), None);
        }
    }

    #[test]
    fn as_many_links_are_followed_as_the_kernel_follows() {
        let chain: Vec<_> = (0..41)
            .map(|number| format!("{number} -> {}", number + 1))
            .chain(["41/".to_owned()])
            .collect();
        let chain: Vec<_> = chain.iter().map(String::as_str).collect();
        let tree = tree(&chain);
        assert_eq!(tree.resolve(&path("1")), Some(path("41")));
        assert_eq!(tree.resolve(&path("0")), None);
    }
}
