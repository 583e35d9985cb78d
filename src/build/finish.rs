//! Completes and cleans the tree of an image. Nothing on disk changes.

use fs_err as fs;

use super::Error;
use crate::recipe::{Feature, Format, Recipe};
use crate::tree::{Content, Entry, EntryKind, FileTree, Timestamp, TreePath};

/// What /etc/machine-id says until the first boot gives the machine an id (machine-id(5)).
const UNINITIALIZED: &str = "uninitialized\n";

/// The machine id while packages are installed. A valid one keeps systemd's maintainer scripts from making up another,
/// which would differ from build to build wherever it ends up.
pub(super) const BUILD_MACHINE_ID: &str = "6f766572636f61746f766572636f6174";

/// What installing packages leaves behind and no system wants to share: identities, seeds, logs of the build, and a
/// cache that holds inode numbers.
const LEFTOVERS: [&str; 10] = [
    "etc/machine-info",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/journal/6f766572636f61746f766572636f6174",
];

/// Directories whose contents belong to the running system.
const VOLATILE: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

const SYSTEMD: &str = "usr/lib/systemd/systemd";

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a constant path is valid")
}

/// Gives the tree of a whole system what every image has: no identity, links for the initrd, the certificate.
pub(super) fn complete_system(
    tree: &mut FileTree,
    recipe: &Recipe,
    time: Timestamp,
) -> Result<(), Error> {
    for leftover in LEFTOVERS {
        tree.remove(&path(leftover));
    }
    for directory in VOLATILE.map(path) {
        let contents: Vec<TreePath> = tree
            .iter()
            .map(|(path, _)| path.clone())
            .filter(|path| path.parent().as_ref() == Some(&directory))
            .collect();
        contents.iter().for_each(|path| tree.remove(path));
    }
    if tree.get(&path("etc")).is_some_and(Entry::is_directory) {
        let content = Content::from_bytes(UNINITIALIZED.as_bytes());
        tree.insert(
            path("etc/machine-id"),
            Entry::new(EntryKind::Regular(content), 0o444, time),
        )?;
    }
    if tree.get(&path(SYSTEMD)).is_some() && tree.get(&path("init")).is_none() {
        tree.insert(path("init"), link(&format!("/{SYSTEMD}"), time))?;
    }
    if recipe.make_initrd
        && tree.get(&path("etc/initrd-release")).is_none()
        && tree.get(&path("etc")).is_some()
    {
        tree.insert(path("etc/initrd-release"), link("/etc/os-release", time))?;
    }
    add_release_fields(tree, recipe, time)?;
    add_certificate(tree, recipe, time)
}

fn link(target: &str, time: Timestamp) -> Entry {
    Entry::new(EntryKind::Symlink(target.as_bytes().to_vec()), 0o777, time)
}

/// Sets `IMAGE_ID=` and `IMAGE_VERSION=` in os-release (os-release(5)).
fn add_release_fields(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    let fields = [
        ("IMAGE_ID", &recipe.image_id),
        ("IMAGE_VERSION", &recipe.image_version),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .collect();
    for file in [
        "usr/lib/os-release",
        "usr/lib/initrd-release",
        "etc/os-release",
    ]
    .map(path)
    {
        let Some(entry) = tree.get_mut(&file) else {
            continue;
        };
        let EntryKind::Regular(content) = &entry.kind else {
            continue;
        };
        if fields.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(&content.read_all()?).into_owned();
        let kept = text.lines().filter(|line| {
            !fields
                .iter()
                .any(|(key, _)| line.starts_with(&format!("{key}=")))
        });
        let mut text: String = kept.map(|line| format!("{line}\n")).collect();
        for (key, value) in &fields {
            text += &format!("{key}={value}\n");
        }
        entry.kind = EntryKind::Regular(Content::from_bytes(text.into_bytes()));
        entry.modified = time;
    }
    Ok(())
}

/// Lets the system trust extensions that are signed with the recipe's key, as mkosi does (verity.d, systemd v256).
fn add_certificate(tree: &mut FileTree, recipe: &Recipe, time: Timestamp) -> Result<(), Error> {
    let Some(certificate) = &recipe.verity_certificate else {
        return Ok(());
    };
    if !tree.get(&path("usr/lib")).is_some_and(Entry::is_directory) {
        return Ok(());
    }
    let bytes = fs::read(certificate).map_err(|source| Error::Prepare {
        path: certificate.clone(),
        source,
    })?;
    let name = certificate
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let directory = path("usr/lib/verity.d");
    if tree.get(&directory).is_none() {
        tree.insert(directory.clone(), Entry::directory(time))?;
    }
    let file = directory.join(format!("{name}.crt").as_bytes());
    let file = file.map_err(|source| Error::CertificateName {
        path: certificate.clone(),
        source,
    })?;
    tree.insert(
        file,
        Entry::new(EntryKind::Regular(Content::from_bytes(bytes)), 0o644, time),
    )?;
    Ok(())
}

/// Package managers: the program in the image, and what it keeps there.
const PACKAGE_DATABASES: [(&str, &[&str]); 2] = [
    ("usr/bin/dpkg", &["var/lib/dpkg"]),
    ("usr/bin/apt-get", &["var/lib/apt", "var/cache/apt"]),
];

/// Removes package databases that nothing in the image uses, and the files that the recipe names.
pub(super) fn remove_files(mut tree: FileTree, recipe: &Recipe) -> FileTree {
    for (program, databases) in PACKAGE_DATABASES {
        let remove = match recipe.clean_package_metadata {
            Feature::Enabled => true,
            Feature::Disabled => false,
            Feature::Auto => {
                recipe.format != Format::Directory && tree.get(&path(program)).is_none()
            }
        };
        if remove {
            databases
                .iter()
                .for_each(|database| tree.remove(&path(database)));
        }
    }
    if recipe.remove_files.is_empty() {
        return tree;
    }
    let patterns: Vec<Vec<&str>> = recipe
        .remove_files
        .iter()
        .map(|pattern| {
            pattern
                .split('/')
                .filter(|component| !component.is_empty())
                .collect()
        })
        .collect();
    tree.retain(|path, _| {
        let components: Vec<&[u8]> = path.components().collect();
        !patterns
            .iter()
            .any(|pattern| matches_path(pattern, &components))
    })
}

/// Tells whether a path matches a pattern component by component; `**` stands for any number of components.
fn matches_path(pattern: &[&str], path: &[&[u8]]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            (0..=path.len()).any(|skipped| matches_path(rest, &path[skipped..]))
        }
        ([first, pattern @ ..], [name, path @ ..]) => {
            matches_name(first.as_bytes(), name) && matches_path(pattern, path)
        }
        _ => false,
    }
}

/// Tells whether a name matches a pattern with `*`, `?` and `[...]` (glob(7)).
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            (0..=name.len()).any(|skipped| matches_name(rest, &name[skipped..]))
        }
        ([b'?', rest @ ..], [_, name @ ..]) => matches_name(rest, name),
        ([b'[', rest @ ..], [byte, name @ ..]) => {
            match rest.iter().skip(1).position(|end| *end == b']') {
                Some(end) => {
                    matches_set(&rest[..=end], *byte) && matches_name(&rest[end + 2..], name)
                }
                None => *byte == b'[' && matches_name(rest, name),
            }
        }
        ([first, rest @ ..], [byte, name @ ..]) => first == byte && matches_name(rest, name),
        _ => false,
    }
}

fn matches_set(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        (found, set) = match rest {
            [b'-', last, rest @ ..] => (found || (*first..=*last).contains(&byte), rest),
            _ => (found || *first == byte, rest),
        };
    }
    found != negated
}

#[cfg(test)]
mod tests;
