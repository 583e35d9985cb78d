//! What programs make of many packages' files: caches, indexes, databases.
//!
//! Such a file belongs to no package, so that it changes with each that is installed, and an extension that has one
//! hides the base's and that of every extension below it. Where programs see only what the file lists, one that lists
//! the base and the extension is what makes the extension's files found: it is kept. Where programs do without, or the
//! file is a host's own, it is left out, so that nothing is hidden for nothing.

use super::{ExtensionKind, Lint};
use crate::tree::{EntryKind, FileTree, TreePath};

/// What becomes of such a file when it differs from the base's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CachePolicy {
    /// Programs find what the extension adds only through it.
    Keep,
    /// Programs do without, or make it themselves.
    Drop,
    /// Kept beside a source file that the extension has, dropped elsewhere.
    WithSource,
    /// It is a host's own, and hiding it is harm; it is left out, and that is told.
    Refuse,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CacheRow {
    /// A path in which `*` stands for any part of one name, and `**` for any names.
    pub pattern: &'static str,
    pub policy: CachePolicy,
    pub reason: &'static str,
}

const fn row(pattern: &'static str, policy: CachePolicy, reason: &'static str) -> CacheRow {
    CacheRow {
        pattern,
        policy,
        reason,
    }
}

const SUPERSET: &str =
    "it was made of the files of base and extension, and programs see only what it lists";
const ACCOUNTS: &str = "the host's users, groups and passwords would be hidden";
const PACKAGES: &str = "the host's list of installed packages would be hidden";

/// The policy, by path; `README.md` says it in words.
pub(super) const CACHES: [CacheRow; 39] = [
    row("usr/share/mime/*", CachePolicy::Keep, SUPERSET),
    row(
        "usr/share/applications/mimeinfo.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/share/icons/*/icon-theme.cache",
        CachePolicy::Keep,
        "programs that find one with the time of its directory look for icons nowhere else",
    ),
    row("usr/lib/udev/hwdb.bin", CachePolicy::Keep, SUPERSET),
    row("usr/lib/modules/*/modules.*", CachePolicy::Keep, SUPERSET),
    row(
        "usr/share/glib-2.0/schemas/gschemas.compiled",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/gio/modules/giomodule.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib*/*/gio/modules/giomodule.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib64/gio/modules/giomodule.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib*/gdk-pixbuf-2.0/*/loaders.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib*/gtk-*/*/immodules.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/*/gtk-*/*/immodules.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib*/gconv/gconv-modules.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/*/gconv/gconv-modules.cache",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row("usr/lib/locale/locale-archive", CachePolicy::Keep, SUPERSET),
    row(
        "usr/lib*/vlc/plugins/plugins.dat",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/*/vlc/plugins/plugins.dat",
        CachePolicy::Keep,
        SUPERSET,
    ),
    row(
        "usr/lib/fontconfig/cache/*",
        CachePolicy::Drop,
        "it is keyed by the time of directories, and whoever shows fonts makes one",
    ),
    row(
        "usr/share/info/dir",
        CachePolicy::Drop,
        "it is a menu; manuals are found without it",
    ),
    row(
        "**/__pycache__/*",
        CachePolicy::WithSource,
        "Python compiles again what it finds not compiled; byte code of the base's modules is the base's",
    ),
    row("usr/share/rpm/**", CachePolicy::Drop, PACKAGES),
    row("usr/lib/apk/db/**", CachePolicy::Drop, PACKAGES),
    row("usr/lib/pacman/db/**", CachePolicy::Drop, PACKAGES),
    row(
        "etc/ld.so.cache",
        CachePolicy::Drop,
        "the host's lists the libraries of its own, which would not be found any more",
    ),
    row("etc/udev/hwdb.bin", CachePolicy::Keep, SUPERSET),
    row("etc/.pwd.lock", CachePolicy::Drop, "it is a lock"),
    row(
        "etc/.updated",
        CachePolicy::Drop,
        "it says when the host's `/etc` was completed",
    ),
    row("etc/passwd", CachePolicy::Refuse, ACCOUNTS),
    row("etc/group", CachePolicy::Refuse, ACCOUNTS),
    row("etc/shadow", CachePolicy::Refuse, ACCOUNTS),
    row("etc/gshadow", CachePolicy::Refuse, ACCOUNTS),
    row(
        "etc/passwd-",
        CachePolicy::Drop,
        "it is a copy of before the last change",
    ),
    row(
        "etc/group-",
        CachePolicy::Drop,
        "it is a copy of before the last change",
    ),
    row(
        "etc/shadow-",
        CachePolicy::Drop,
        "it is a copy of before the last change",
    ),
    row(
        "etc/gshadow-",
        CachePolicy::Drop,
        "it is a copy of before the last change",
    ),
    row(
        "etc/sub?id",
        CachePolicy::Refuse,
        "the host's ranges of ids would be hidden",
    ),
    row(
        "etc/sub?id-",
        CachePolicy::Drop,
        "it is a copy of before the last change",
    ),
    row(
        "etc/machine-id",
        CachePolicy::Refuse,
        "the identity of the host would be hidden",
    ),
];

/// Leaves out of an extension's `tree` what the table says, and tells of it and of what is kept over the base's.
pub fn settle_caches(
    mut tree: FileTree,
    base: Option<&FileTree>,
    kind: ExtensionKind,
) -> (FileTree, Vec<Lint>) {
    let mut dropped = Vec::new();
    let mut refused = Vec::new();
    let mut kept = Vec::new();
    for (path, entry) in tree.iter().filter(|(path, _)| kind.holds(path)) {
        if entry.is_directory() {
            continue;
        }
        let Some(row) = row_of(path) else { continue };
        let found = (path.clone(), row.reason);
        match row.policy {
            CachePolicy::Refuse => refused.push(found),
            CachePolicy::Drop => dropped.push(found),
            CachePolicy::WithSource if !has_source(&tree, path) => dropped.push(found),
            CachePolicy::WithSource => {}
            CachePolicy::Keep => {
                let is_regular = matches!(entry.kind, EntryKind::Regular(_));
                if is_regular && base.is_some_and(|base| base.get(path).is_some()) {
                    kept.push(found);
                }
            }
        }
    }
    for (path, _) in dropped.iter().chain(&refused) {
        tree.remove(path);
        remove_empty_parents(&mut tree, base, path);
    }
    let lints = [
        (refused, Lint::HostFilesLeftOut as fn(_) -> _),
        (kept, Lint::CachesKept),
        (dropped, Lint::CachesLeftOut),
    ];
    let lints = lints.into_iter().filter(|(found, _)| !found.is_empty());
    (tree, lints.map(|(found, lint)| lint(found)).collect())
}

/// Tells whether the table has a row that keeps `path` over the base's.
pub(super) fn is_kept_cache(path: &TreePath) -> bool {
    row_of(path).is_some_and(|row| row.policy == CachePolicy::Keep)
}

fn row_of(path: &TreePath) -> Option<&'static CacheRow> {
    const ROWS: &[CacheRow] = &CACHES;
    ROWS.iter().find(|row| matches(row.pattern, path))
}

/// Removes directories that are left empty and say nothing that the base does not.
fn remove_empty_parents(tree: &mut FileTree, base: Option<&FileTree>, path: &TreePath) {
    let mut next = path.parent();
    while let Some(directory) = next.filter(|directory| !directory.is_root()) {
        let Some(entry) = tree.get(&directory) else {
            return;
        };
        let of_base = base.and_then(|base| base.get(&directory));
        // Directories are compared without reading anything.
        let is_the_bases =
            of_base.is_some_and(|of_base| entry.is_same_as(of_base).unwrap_or(false));
        let is_ours_to_remove = is_the_bases || directory.file_name() == b"__pycache__";
        if !is_ours_to_remove || tree.has_children(&directory) {
            return;
        }
        tree.remove(&directory);
        next = directory.parent();
    }
}

/// Tells whether the extension has the module that `path`, `D/__pycache__/NAME.TAG.pyc`, was compiled of.
fn has_source(tree: &FileTree, path: &TreePath) -> bool {
    let name = path.file_name();
    let stem = &name[..name
        .iter()
        .position(|byte| *byte == b'.')
        .unwrap_or(name.len())];
    let directory = path.parent().and_then(|cache| cache.parent());
    let source = directory.and_then(|directory| directory.join(&[stem, b".py"].concat()).ok());
    source.is_some_and(|source| tree.get(&source).is_some())
}

/// Tells whether `path` has the form of `pattern`.
fn matches(pattern: &str, path: &TreePath) -> bool {
    let patterns: Vec<&[u8]> = pattern.as_bytes().split(|byte| *byte == b'/').collect();
    let names: Vec<&[u8]> = path.components().collect();
    match patterns.as_slice() {
        [b"**", rest @ ..] => {
            let start = names.len().checked_sub(rest.len());
            start.is_some_and(|start| are_names(rest, &names[start..]))
        }
        [rest @ .., b"**"] => names.len() > rest.len() && are_names(rest, &names[..rest.len()]),
        all => are_names(all, &names),
    }
}

fn are_names(patterns: &[&[u8]], names: &[&[u8]]) -> bool {
    patterns.len() == names.len()
        && patterns
            .iter()
            .zip(names)
            .all(|(pattern, name)| is_name(pattern, name))
}

/// Tells whether a name has the form of one with at most one `*`, and with `?` for any one character.
fn is_name(pattern: &[u8], name: &[u8]) -> bool {
    let is_same = |pattern: &[u8], name: &[u8]| {
        pattern.len() == name.len()
            && pattern
                .iter()
                .zip(name)
                .all(|(wanted, found)| *wanted == b'?' || wanted == found)
    };
    match pattern.iter().position(|byte| *byte == b'*') {
        None => is_same(pattern, name),
        Some(star) => {
            let (start, end) = (&pattern[..star], &pattern[star + 1..]);
            name.len() >= start.len() + end.len()
                && is_same(start, &name[..start.len()])
                && is_same(end, &name[name.len() - end.len()..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{names, path, tree};
    use super::{CACHES, CachePolicy, matches, row_of, settle_caches};
    use crate::extension::{ExtensionKind, Lint};
    use crate::tree::TreePath;

    #[test]
    fn each_row_has_a_reason_and_a_pattern_of_its_own() {
        for (index, row) in CACHES.iter().enumerate() {
            assert!(
                !row.reason.is_empty() && !row.reason.ends_with('.'),
                "{row:?}"
            );
            let others = CACHES.iter().skip(index + 1);
            assert!(
                others.clone().all(|other| other.pattern != row.pattern),
                "{row:?}"
            );
        }
    }

    #[test]
    fn stars_stand_for_parts_of_one_name_or_for_names() {
        for (pattern, text, expected) in [
            (
                "usr/lib/modules/*/modules.*",
                "usr/lib/modules/6.1/modules.dep.bin",
                true,
            ),
            (
                "usr/lib/modules/*/modules.*",
                "usr/lib/modules/6.1/kernel/modules.x",
                false,
            ),
            ("usr/lib*/gconv/x", "usr/lib/gconv/x", true),
            ("usr/lib*/gconv/x", "usr/lib64/gconv/x", true),
            ("usr/lib*/gconv/x", "usr/share/gconv/x", false),
            ("**/__pycache__/*", "usr/lib/a/__pycache__/b.pyc", true),
            ("**/__pycache__/*", "usr/lib/a/__pycache__", false),
            ("usr/lib/sysimage/**", "usr/lib/sysimage/rpm/db", true),
            ("usr/lib/sysimage/**", "usr/lib/sysimage", false),
            ("etc/sub?id", "etc/subuid", true),
            ("etc/sub?id", "etc/subuid-", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, &path(text)), expected, "{pattern} {text}");
        }
    }

    fn texts(found: &[(TreePath, &str)]) -> Vec<String> {
        found.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn caches_are_kept_where_programs_need_them_and_left_out_elsewhere() {
        let base = tree(&[
            "usr/lib/python3/__pycache__/old.pyc=1",
            "usr/lib/python3/old.py",
            "usr/share/mime/mime.cache=1",
            "usr/share/info/dir=1",
        ]);
        let payload = tree(&[
            "usr/lib/python3/__pycache__/new.cpython-313.pyc",
            "usr/lib/python3/__pycache__/old.cpython-313.pyc",
            "usr/lib/python3/new.py",
            "usr/lib/other/__pycache__/x.pyc",
            "usr/lib/modules/6.1/modules.dep",
            "usr/share/info/dir=2",
            "usr/share/mime/mime.cache=2",
        ]);
        let (settled, lints) = settle_caches(payload, Some(&base), ExtensionKind::Sysext);
        assert_eq!(
            names(&settled),
            [
                "usr",
                "usr/lib",
                "usr/lib/modules",
                "usr/lib/modules/6.1",
                "usr/lib/modules/6.1/modules.dep",
                "usr/lib/other",
                "usr/lib/python3",
                "usr/lib/python3/__pycache__",
                "usr/lib/python3/__pycache__/new.cpython-313.pyc",
                "usr/lib/python3/new.py",
                "usr/share",
                "usr/share/mime",
                "usr/share/mime/mime.cache",
            ]
        );
        match lints.as_slice() {
            [Lint::CachesKept(kept), Lint::CachesLeftOut(left_out)] => {
                assert_eq!(texts(kept), ["usr/share/mime/mime.cache"]);
                let expected = [
                    "usr/lib/other/__pycache__/x.pyc",
                    "usr/lib/python3/__pycache__/old.cpython-313.pyc",
                    "usr/share/info/dir",
                ];
                assert_eq!(texts(left_out), expected);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_confext_never_hides_the_accounts_or_the_identity_of_its_host() {
        let payload = tree(&[
            "etc/app.conf",
            "etc/machine-id",
            "etc/passwd",
            "etc/shadow-",
            "usr/x",
        ]);
        let (settled, lints) = settle_caches(payload, None, ExtensionKind::Confext);
        assert_eq!(names(&settled), ["etc", "etc/app.conf", "usr", "usr/x"]);
        match lints.as_slice() {
            [
                Lint::HostFilesLeftOut(refused),
                Lint::CachesLeftOut(dropped),
            ] => {
                assert_eq!(texts(refused), ["etc/machine-id", "etc/passwd"]);
                assert_eq!(texts(dropped), ["etc/shadow-"]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(
            row_of(&path("etc/passwd")).unwrap().policy,
            CachePolicy::Refuse
        );
    }
}
